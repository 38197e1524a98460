"""BOIN12: published numbers, and every branch by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import sqrt

import pytest
from scipy.stats import rankdata

from kinetics.errors import InputError
from kinetics.escalation.boin import lambdas
from kinetics.escalation.boin12 import Boin12, Utilities, above
from kinetics.escalation.history import Cohort, Tally, tallies
from kinetics.escalation.response_simulation import response_characteristics
from tests.support.boin12_trials import FIVE, path

# ------------------------------------------------------------------------------------- published numbers


def test_the_benchmark_is_the_papers():
    assert FIVE.utilities.undesirable(0.35, 0.25) == pytest.approx(41.0)
    assert FIVE.benchmark == pytest.approx(70.5)
    assert lambdas(FIVE.target) == pytest.approx((0.276334, 0.418908), abs=1e-6)


def test_desirability_ranks_are_those_of_lins_table_3():
    one, scores = Boin12(1), {}
    for n in (0, 3, 6, 9):
        for dlts, responses in product(range(n + 1), repeat=2):
            own = Tally(n, dlts, responses=responses, dlts_with_response=max(0, dlts + responses - n))
            if one.admissible({1: own}):
                scores[n, dlts, responses] = one.score(own)
    ranks = dict(zip(scores, rankdata([round(s, 12) for s in scores.values()]), strict=True))
    # patients, DLTs, responses -> rank; a tie takes the middle, as in the R package's test of the table
    table = {
        (0, 0, 0): 60,
        (3, 0, 3): 91,
        (6, 1, 5): 87,
        (9, 0, 8): 99,
        (9, 2, 3): 32.5,
        (9, 5, 5): 32.5,
        (9, 3, 1): 7,
    }
    assert {outcome: ranks[outcome] for outcome in table} == table
    assert not {(6, 5, 1), (9, 4, 0), (9, 6, 9)} & set(ranks)


def test_the_published_trial_is_followed_step_by_step():
    # Lin 2020, supplement, section 6 and figure S2, as the R package's test has it
    trial = ["1NNN", "2NNB", "3NEE", "3NTN", "4ETE", "4NBE", "4BNN", "5BEN", "5NBT", "4NEN"]
    said = [FIVE.decide(path(" ".join(trial[:k]))) for k in range(len(trial) + 1)]
    assert [d.level for d in said[:-1]] == [1, 2, 3, 3, 4, 4, 4, 5, 5, 4]
    assert (said[-1].action, said[-1].mtd) == ("stop", 4)
    assert FIVE.decide(path("1NNN 2ENT 3ETT 2EEN")).level == 2  # p. 1396


@pytest.mark.parametrize(
    ("cohort", "level"),
    [
        # the authors' software at its defaults, as the R package's test has it
        ("1EBB", 1), ("1EEE", 1), ("1EET", 1), ("1ETT", 1), ("1NEB", 1), ("1NEE", 1), ("1NET", 2),
        ("1NNB", 2), ("1NNN", 2), ("1NNT", 2), ("1NTT", 1),
        ("2BBB", 1), ("2EEB", 2), ("2EET", 2), ("2NBB", 1), ("2NEB", 2), ("2NET", 3), ("2NNB", 3),
        ("2NNT", 3), ("2NTB", 1), ("2TTT", 1),
        ("5EBB", 4), ("5EEB", 5), ("5EET", 5), ("5NEE", 5), ("5NET", 4), ("5NNE", 4), ("5NNN", 4),
        ("5TTT", 4),
    ],
)  # fmt: skip
def test_one_cohort_is_answered_as_the_authors_software_does(cohort, level):
    assert FIVE.decide(path(cohort)).level == level


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "shares"),
    [
        # what differs from trialdesign.org, and by how much: 100,000 trials of seed 7 gave these per cent
        ({"explored": None, "full_ends": True}, (57.73, 21.37)),
        ({"explored": None}, (58.90, 22.36)),
        ({}, (57.65, 22.79)),
    ],
)
def test_trialdesign_org_ends_a_trial_as_soon_as_a_level_is_full(options, shares):
    """The example of issue 8 of the R package escalation, which trialdesign.org ran without exploring.

    10,000 trials there selected levels 2 and 3 in 57.3 and 21.3 %, standard errors .49 and .41. So the first
    line is .8 and .2 standard errors of the difference away; level 3 of the others is 2.5 and 3.5.
    """
    rule = Boin12(5, most=36, most_at_a_level=12, **options)
    truth = ((0.03, 0.17, 0.35, 0.50, 0.65), (0.12, 0.39, 0.43, 0.55, 0.65))
    found = response_characteristics(rule, *truth, trials=20_000, seed=11)
    for level, share in zip((2, 3), shares, strict=True):
        assert 100 * found.p_obd[level] == pytest.approx(share, abs=4 * 100 * found.error[level])
    if len(options) == 2:
        for level, theirs in zip((2, 3), (0.573, 0.213), strict=True):
            error = sqrt(theirs * (1 - theirs) * (1 / 10_000 + 1 / found.trials))
            assert abs(found.p_obd[level] - theirs) < 2 * error


# --------------------------------------------------------------------------------- BOIN12, branch by branch


def test_quasi_events_are_the_patients_utilities_over_100():
    own = tallies(path("1EBTN"), 1)[1]
    assert FIVE.utilities.events(own) == pytest.approx((100 + 60 + 0 + 40) / 100)
    # x = 1, n = 3: P(U > u | Beta(2, 3)) = (1 - u)^4 + 4 u (1 - u)^3
    assert above(1, 3, 0.705) == pytest.approx(0.295**4 + 4 * 0.705 * 0.295**3)
    assert FIVE.score(Tally()) == pytest.approx(1 - 0.705)


def test_utilities_that_do_not_add_up_tell_who_had_both():
    # 100 + 0 is not 20 + 30: a DLT and a response in two patients are worth 0 and 100, in one and the next 30
    # and 20
    skewed = Utilities(neither=20, response_with_dlt=30)
    apart, together = tallies(path("1ETN"), 1)[1], tallies(path("1BNN"), 1)[1]
    assert (skewed.events(apart), skewed.events(together)) == pytest.approx((1.2, 0.7))
    assert FIVE.utilities.events(apart) == pytest.approx(FIVE.utilities.events(together))


@pytest.mark.parametrize(
    ("history", "level", "why"),
    [
        ("1NNN 2NTT", 1, "at least 0.4189, so down"),
        ("1NNN 2TTB 2ETT", 1, "eliminated"),  # 5 of 6: P(rate > .35) = .996
        ("1TTN", 1, "no level is below, so stay"),
        (
            "1NEE 1NNN 2ENT 2ENT",
            1,
            "in 6 or more, so not up",
        ),  # 2 of 6 = .333; x = 2.8 there, 3.6 at level 1
        ("1NNN 2NEE 2NNT 2NNT", 3, "nobody on the level above: up"),  # 2 of 9 = .222, score or no score
        ("1NNN 2NNN", 3, "level 3 is best"),
        ("1EEE 2NNN", 1, "level 1 is best"),
    ],
)
def test_every_move_has_its_clause(history, level, why):
    said = FIVE.decide(path(history))
    assert (said.action, said.level) == ("treat", level)
    assert why in said.why


def test_eight_patients_are_not_more_than_eight():
    assert FIVE.decide([Cohort(1, 8, 1, responses=6)]).level == 1  # the score keeps it there
    assert FIVE.decide([Cohort(1, 9, 1, responses=6)]).level == 2  # nobody was at level 2
    assert FIVE.decide([Cohort(2, 3, 1), Cohort(1, 9, 1, responses=6)]).level == 1


def test_ties_go_to_the_higher_level():
    same = [Cohort(i, 6, 1, responses=3) for i in (1, 3, 2)]
    assert FIVE.decide(same).level == 3


def test_a_futile_level_is_not_chosen_and_with_none_left_there_is_no_obd():
    # P(rate < .25 | Beta(1, 10)) = 1 - .75^10 = .944 with 0 of 9, .867 with 0 of 6
    assert FIVE.admissible(tallies([Cohort(1, 9)], 5)) == (2, 3, 4, 5)
    assert FIVE.admissible(tallies([Cohort(1, 6)], 5)) == (1, 2, 3, 4, 5)
    low = Boin12(2, most=60)
    said = low.decide([Cohort(1, 9), Cohort(2, 9)])
    assert (said.action, said.mtd) == ("stop", 0)
    assert "no level is admissible" in said.why
    # one too toxic closes those above, tried or not
    assert FIVE.admissible(tallies([Cohort(1, 3, 0, responses=2), Cohort(2, 3, 3, responses=3)], 5)) == (1,)
    toxic = FIVE.decide([Cohort(1, 3, 3, responses=3, dlts_with_response=3)])
    assert (toxic.action, toxic.mtd) == ("stop", 0)


def test_the_trial_stops_where_none_of_the_neighbours_is_admissible_and_still_seeks_an_obd():
    rule = Boin12(4, most=60)
    history = [Cohort(1, 6, 0, responses=5), Cohort(2, 9), Cohort(4, 3, 3), Cohort(3, 9, 3)]
    said = rule.decide(history)  # 3 of 9 at level 3, futile; level 2 futile; level 4 too toxic
    assert (said.action, said.mtd) == ("stop", 1)
    assert "none of the levels to choose from is admissible" in said.why


def test_the_obd_is_the_best_mean_utility_at_or_below_the_mtd():
    rule = Boin12(4, most=18)
    history = path("1NEE 1NNE 2EEE 2EEN 3BBB 3EEN")  # the MTD is level 3: 3 of 6; .35 is nearest above
    said = rule.decide(history)
    assert (said.action, said.mtd) == ("stop", 2)
    # (1 + x) / (2 + n): 6 patients, x = 3 + .4 * 3, 5 + .4, 2 + 3 * .6 + .4
    assert "65.0 at level 1, 80.0 at level 2, 65.0 at level 3" in said.why
    # a better one above the MTD is not taken: 6 of 6 with a DLT at level 3
    above_it = rule.decide([Cohort(1, 6, 0, responses=2), Cohort(3, 6, 6, responses=6, dlts_with_response=6),
                            Cohort(2, 6, 1, responses=3)])  # fmt: skip
    assert above_it.mtd == 2


def test_a_full_level_ends_the_trial_only_where_the_rule_says_stay():
    said = FIVE.decide([Cohort(2, 3, 2), Cohort(1, 12, 1, responses=9)])
    assert (said.action, said.mtd) == ("stop", 1)
    assert "level 1 is full" in said.why
    assert FIVE.decide([Cohort(1, 12, 1, responses=9)]).level == 2


def test_a_full_level_ends_the_trial_whatever_comes_next_if_so_asked():
    ends = replace(FIVE, full_ends=True).decide([Cohort(1, 12, 1, responses=9)])
    assert (ends.action, ends.mtd) == ("stop", 1)
    assert (
        replace(FIVE, explored=None, most_at_a_level=None).decide([Cohort(1, 9, 1, responses=6)]).level == 1
    )


def test_it_waits_for_windows_and_for_responses():
    assert FIVE.decide([Cohort(1, 2, pending=1)]).action == "wait"
    awaited = FIVE.decide([Cohort(1, 3, response_pending=1)])
    assert (awaited.action, "responses awaited" in awaited.why) == ("wait", True)


@pytest.mark.parametrize(
    "cohort",
    [
        Cohort(1, 3, 0, responses=4),
        Cohort(1, 3, 1, responses=1, dlts_with_response=2),
        Cohort(1, 3, 3, responses=1),  # nobody is left who responds without a DLT
        Cohort(1, 3, responses=2, response_pending=2),
        Cohort(1, 3, response_pending=-1),
    ],
)
def test_responses_that_do_not_add_up_are_refused(cohort):
    with pytest.raises(InputError, match=r"add up|below 0"):
        FIVE.decide([cohort])


def test_utilities_out_of_order_are_refused():
    with pytest.raises(InputError, match="response without DLT the most"):
        Utilities(neither=120)
    with pytest.raises(InputError, match="DLT without response the least"):
        Utilities(dlt_without_response=50)
