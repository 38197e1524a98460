"""BOIN12, PKBOIN-12 and backfill: published numbers, every branch by hand, laws on random trials, what
they find.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.stats import rankdata

from kinetics.errors import InputError
from kinetics.escalation.backfill import Backfill
from kinetics.escalation.boin import Boin, lambdas
from kinetics.escalation.boin12 import Boin12, Utilities, above
from kinetics.escalation.crm import indifference_skeleton
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.escalation.history import Cohort, Decision, Tally, highest_tried, merged, tallies
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12, RawExposures
from kinetics.escalation.response_simulation import response_characteristics

FIVE = Boin12(5, most=30, most_at_a_level=12)


def path(text: str) -> list[Cohort]:
    """`2NTB`: three at level 2; N nothing, T a DLT, E a response, B both, as the R package escalation
    writes it.
    """
    found = []
    for word in text.split():
        had = word[1:]
        both = had.count("B")
        dlts, responses = had.count("T") + both, had.count("E") + both
        found.append(Cohort(int(word[0]), len(had), dlts, responses=responses, dlts_with_response=both))
    return found


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
    table = {  # patients, DLTs, responses -> rank; a tie takes the middle, as in the R package's test of the table
        (0, 0, 0): 60, (3, 0, 3): 91, (6, 1, 5): 87, (9, 0, 8): 99, (9, 2, 3): 32.5, (9, 5, 5): 32.5, (9, 3, 1): 7,
    }  # fmt: skip
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
        ("1EBB", 1), ("1EEE", 1), ("1EET", 1), ("1ETT", 1), ("1NEB", 1), ("1NEE", 1), ("1NET", 2), ("1NNB", 2),
        ("1NNN", 2), ("1NNT", 2), ("1NTT", 1),
        ("2BBB", 1), ("2EEB", 2), ("2EET", 2), ("2NBB", 1), ("2NEB", 2), ("2NET", 3), ("2NNB", 3), ("2NNT", 3),
        ("2NTB", 1), ("2TTT", 1),
        ("5EBB", 4), ("5EEB", 5), ("5EET", 5), ("5NEE", 5), ("5NET", 4), ("5NNE", 4), ("5NNN", 4), ("5TTT", 4),
    ],
)  # fmt: skip
def test_one_cohort_is_answered_as_the_authors_software_does(cohort, level):
    assert FIVE.decide(path(cohort)).level == level


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


# -------------------------------------------------------------------------------------------- PKBOIN-12

AMPLE = ModelExposures(np.full((10, 5), 1e6) * np.arange(1, 6))  # rising, and far above any bar


def pk(means: tuple[float, ...], spread: float = 0.0, rule: Boin12 = FIVE) -> PkBoin12:
    """Draws with these means; a `spread` puts half of them so far below, half above."""
    return PkBoin12(rule, ModelExposures(np.array([means, means]) * [[1 - spread], [1 + spread]]), 100.0)


def test_zeta_lies_half_way_to_too_little():
    assert pk((1, 2, 3, 4, 5)).zeta == pytest.approx(80)  # psi0 = 100, psi1 = 60: 1.25 zeta1 = psi0


def test_exposure_of_raw_values_is_a_normal_tail_and_of_draws_a_share():
    raw = RawExposures(((80.0, 100.0, 120.0), (50.0,), (7.0, 7.0)))
    assert raw.mean(1) == pytest.approx(100)
    # sd 20, error 20 / sqrt 3: (110 - 100) / 11.547 = .866
    assert raw.below(1, 110) == pytest.approx(0.80676, abs=1e-5)
    assert (raw.mean(2), raw.below(2, 60)) == (50, None)  # one value has no spread
    assert (raw.below(3, 8), raw.below(3, 6)) == (1.0, 0.0)
    assert RawExposures(((),)).mean(1) is None
    draws = ModelExposures(np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 90.0], [7.0, 80.0]]))
    assert (draws.mean(1), draws.below(2, 25)) == (4.0, 0.5)


def test_enough_exposure_lets_lower_levels_be_chosen_too():
    # level 1 has the best score, and the trial is at level 3
    history = [Cohort(1, 3, 0, responses=3), Cohort(2, 3), Cohort(3, 3, 0, responses=1)]
    assert FIVE.decide(history).level == 4  # .295, more than .156 at level 3 and .113 at level 2
    far = pk((90, 150, 200, 250, 300)).decide(history)
    assert far.level == 1
    assert "mean exposure 200" in far.why
    # not where level 1 has too little, nor where level 3 has
    assert pk((70, 150, 200, 250, 300)).decide(history).level == 4
    assert pk((60, 65, 70, 250, 300)).decide(history).level == 4
    # down goes to the best of these, too
    toxic = [*history[:2], Cohort(3, 3, 2)]
    assert (FIVE.decide(toxic).level, pk((90, 150, 200, 250, 300)).decide(toxic).level) == (2, 1)


def test_too_little_exposure_drops_the_lowest_level_from_six_patients_on():
    rule = pk((10, 20, 200, 300, 400))
    history = [Cohort(1, 3, 0, responses=3), Cohort(2, 6, 0, responses=2)]
    assert FIVE.decide(history).level == 1
    dropped = rule.decide(history)
    assert dropped.level == 3
    assert rule.decide([history[0], replace(history[1], evaluable=5)]).level == 1
    # half of the draws above the bar: not certain enough
    assert pk((10, 60, 200, 300, 400), spread=0.9).decide(history).level == 1
    # nor is anything dropped by level 1 itself; and a rate to go down at stays where nothing is left below
    assert rule.decide([Cohort(1, 6, 0, responses=5)]).level == 1
    stays = rule.decide([Cohort(1, 3), Cohort(2, 6, 3, responses=3)])
    assert (stays.level, "no level is below" in stays.why) == (2, True)


def test_two_levels_with_too_little_drop_two():
    rule = pk((10, 20, 30, 300, 400))
    history = [Cohort(1, 3, 0, responses=3), Cohort(2, 6, 0, responses=6), Cohort(3, 6, 0, responses=1)]
    assert FIVE.decide(history).level == 2
    assert rule.decide(history).level == 4


def test_too_little_exposure_at_the_top_ends_the_trial_without_an_obd():
    said = pk((10, 20, 30, 40, 50)).decide([Cohort(4, 3, 0, responses=3), Cohort(5, 6, 0, responses=5)])
    assert (said.action, said.mtd) == ("stop", 0)
    assert "which drops every level" in said.why


def test_the_obd_has_the_exposure_nearest_to_the_wanted_from_below_or_more():
    # five patients a level: nothing is dropped before six
    rule = Boin12(4, most=20)
    history = [Cohort(i, 5, 0, responses=r) for i, r in ((1, 5), (2, 3), (3, 4), (4, 2))]
    assert rule.decide(history).mtd == 1
    said = PkBoin12(rule, ModelExposures(np.array([[20.0, 60.0, 105.0, 210.0]])), 100.0).decide(history)
    assert said.mtd == 3
    assert "exposure is nearest to 100 from below at level 2" in said.why
    # exposures that fall are pooled: (90 + 50) / 2 at levels 1 and 2, the lower of the two is the bound
    pooled = PkBoin12(rule, ModelExposures(np.array([[90.0, 50.0, 300.0, 400.0]])), 100.0)
    assert pooled.decide(history).mtd == 1
    # where that is above the MTD, the MTD it is
    toxic = [Cohort(1, 5, 0, responses=5), Cohort(3, 5, 5), Cohort(4, 5, 5), Cohort(2, 5, 2, responses=1)]
    late = PkBoin12(rule, ModelExposures(np.array([[10.0, 20.0, 30.0, 310.0]])), 100.0)
    assert (rule.decide(toxic).mtd, late.decide(toxic).mtd) == (1, 2)


def test_raw_values_and_draws_of_the_same_mean_decide_alike():
    rng = np.random.default_rng(2)
    raw = RawExposures(tuple(tuple(rng.normal(m, m / 5, 40).tolist()) for m in (40, 90, 180, 300, 500)))
    means = [raw.mean(i) or 0.0 for i in range(1, 6)]
    errors = [np.std(own, ddof=1) / np.sqrt(40) for own in raw.values]
    draws = ModelExposures(rng.normal(means, errors, (4000, 5)))
    for bar in (80.0, 92.0, 190.0):
        for i in range(1, 6):
            assert draws.below(i, bar) == pytest.approx(raw.below(i, bar), abs=0.03)
    for history, _ in trials("boin12", 4, 60):
        said = [PkBoin12(RULES["boin12"], e, 150.0).decide(history) for e in (four(raw), four(draws))]
        assert (said[0].action, said[0].level, said[0].mtd) == (said[1].action, said[1].level, said[1].mtd)


def four(exposures: RawExposures | ModelExposures) -> RawExposures | ModelExposures:
    if isinstance(exposures, RawExposures):
        return RawExposures(exposures.values[:4])
    return ModelExposures(exposures.draws[:, :4])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: PkBoin12(FIVE, RawExposures(((1.0,),)), 100.0), "exposures of 1 levels for a rule of 5"),
        (lambda: PkBoin12(FIVE, AMPLE, 0.0), "a wanted exposure of 0"),
        (lambda: RawExposures(((1.0,), (float("nan"),))), "level 2: an exposure is no number"),
        (lambda: ModelExposures(np.array([1.0, 2.0])), "a row a draw and a column a level"),
    ],
)
def test_exposures_that_cannot_be_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


# ------------------------------------------------------------------------------------------------- laws

RULES: dict[str, Boin12] = {
    "boin12": Boin12(4, most=36),
    "capped": Boin12(5, 0.3, 0.2, most=30, most_at_a_level=9),
    "strict": Boin12(3, 0.2, 0.4, Utilities(100, 50, 30, 0), toxic=0.9, futile=0.8, most=24),
}


def with_exposure(rule: Boin12) -> PkBoin12:
    """Exposures about the wanted: the lower levels have too little."""
    means = np.linspace(40, 160, rule.levels)
    return PkBoin12(
        rule, ModelExposures(np.random.default_rng(5).normal(means, 12, (400, rule.levels))), 100.0
    )


def trials(
    name: str, seed: int, count: int = 200, *, exposed: bool = False
) -> Iterator[tuple[list[Cohort], Decision]]:
    """(history, decision) of every step of random trials; some patients' windows and responses are late."""
    base, rng = RULES[name], random.Random(seed)
    rule = with_exposure(base) if exposed else base
    for _ in range(count):
        p = sorted(rng.random() * 0.7 for _ in range(base.levels))
        q = [rng.random() for _ in range(base.levels)]
        history: list[Cohort] = []
        for _ in range(80):
            said = rule.decide(history)
            yield list(history), said
            if said.action == "stop":
                break
            if said.action == "wait":
                history = [
                    patient(c.level, p, q, rng) if c.pending or c.response_pending else c for c in history
                ]
                continue
            for _ in range(said.size):
                late = rng.random()
                new = patient(said.level or 0, p, q, rng)
                if late < 0.1:
                    new = Cohort(new.level, 0, pending=1)
                elif late < 0.2:
                    new = Cohort(new.level, 1, new.dlts, response_pending=1)
                history.append(new)
        else:
            raise AssertionError(f"{name} did not end: {history}")


def patient(level: int, p: list[float], q: list[float], rng: random.Random) -> Cohort:
    dlt, responds = int(rng.random() < p[level - 1]), int(rng.random() < q[level - 1])
    return Cohort(level, 1, dlt, responses=responds, dlts_with_response=dlt * responds)


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_no_untried_level_is_skipped_and_nobody_is_treated_at_one_too_toxic(name, exposed):
    rule, ends = RULES[name], set()
    for history, said in trials(name, 1, exposed=exposed):
        assert said.why
        assert said.would_change
        assert (said.mtd is not None) == (said.action == "stop")
        known = tallies(history, rule.levels)
        at = said.level if said.action == "treat" else said.mtd
        assert said.action == "wait" or (at or 0) < rule.too_toxic(known)
        if said.action == "treat":
            assert (said.level or 0) <= highest_tried(known) + 1
            assert said.size > 0
        elif said.mtd:
            assert said.mtd in rule.admissible(known)
            assert known[said.mtd].evaluable
            ends.add(said.mtd)
    assert len(ends) > 1


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_the_order_of_patients_within_a_level_does_not_matter(name, exposed):
    rule, rng = with_exposure(RULES[name]) if exposed else RULES[name], random.Random(7)
    for history, said in trials(name, 2, 60, exposed=exposed):
        if history:
            last = [c for c in history if c.level == history[-1].level]
            rest = [c for c in history if c.level != history[-1].level]
            assert rule.decide([*rng.sample(rest, len(rest)), *rng.sample(last, len(last))]) == said
            assert rule.decide(merged(history, last_is_last=True)) == said


@pytest.mark.parametrize("name", RULES)
def test_ample_exposure_everywhere_is_boin12_but_for_lower_levels_that_may_be_chosen_too(name):
    rule = RULES[name]
    ample = PkBoin12(rule, ModelExposures(AMPLE.draws[:, : rule.levels]), 100.0)
    same = other = 0
    for history, said in trials(name, 3):
        again = ample.decide(history)
        if (again.action, again.level, again.mtd) == (said.action, said.level, said.mtd):
            same += 1
            continue
        # the rule as published: from level 3 on it may choose a level two or more below that scores as well
        known, current, chosen = tallies(history, rule.levels), history[-1].level, again.level or 0
        assert 1 <= chosen <= current - 2
        down = said.level is not None and said.level < current  # BOIN12 asks no score there
        assert down or said.level is None or rule.score(known[chosen]) >= rule.score(known[said.level])
        other += 1
    assert same > 10 * other > 0


def test_ample_exposure_at_two_levels_is_boin12():
    # there is no level two below: the two rules are one
    rule = Boin12(2, most=30)
    ample = PkBoin12(rule, ModelExposures(AMPLE.draws[:, :2]), 100.0)
    for history, _ in trials("boin12", 3, 60):
        low = [c for c in history if c.level < 3]
        assert ample.decide(low) == rule.decide(low)


# -------------------------------------------------------------------------------------------- simulation


def test_the_simulation_finds_the_obd_of_a_strong_scenario():
    # level 3: 70 % respond, 10 % have a DLT; 4 is too toxic, 1 and 2 do little. 2,000 trials: P(OBD 3) =
    # .948. 400 have a standard error of .011: .90 is four of them below
    found = response_characteristics(
        Boin12(4, most=36), (0.02, 0.05, 0.10, 0.55), (0.05, 0.15, 0.70, 0.72), trials=400, seed=11
    )
    assert 0.90 < found.p_obd[3] < 0.99
    assert sum(found.p_obd) == pytest.approx(1)
    assert found.error[3] == pytest.approx(0.011, abs=0.004)
    assert sum(found.doses.patients) == pytest.approx(found.doses.expected_n)
    assert found.doses.max_n == 36
    # 70 % of the patients at level 3 respond
    assert found.responses[2] / found.doses.patients[2] == pytest.approx(0.70, abs=0.03)


def test_exposure_moves_the_obd_off_a_level_that_has_too_little():
    # responses are alike everywhere, so BOIN12 stays low; level 1 has a fifth of the exposure wanted
    truth, rule = ((0.02, 0.04, 0.06, 0.10), (0.6, 0.62, 0.62, 0.62)), Boin12(4, most=24)
    draws = np.random.default_rng(0).lognormal(np.log([20, 60, 105, 210]), 0.1, (500, 4))
    plain = response_characteristics(rule, *truth, trials=200, seed=1)
    exposed = response_characteristics(
        PkBoin12(rule, ModelExposures(draws), 100.0), *truth, trials=200, seed=1
    )
    assert plain.p_obd[1] > 0.3
    assert exposed.p_obd[1] == 0
    assert exposed.p_obd[2] > 0.5


def test_everything_too_toxic_has_no_obd():
    found = response_characteristics(
        Boin12(4, most=36), (0.7, 0.8, 0.85, 0.9), (0.3, 0.4, 0.5, 0.6), trials=200, seed=3
    )
    assert found.p_obd[0] > 0.95


def test_the_simulation_meets_the_exact_answer_where_responses_do_not_matter():
    rule, truth = Boin(3, 0.3, most=12), (0.1, 0.3, 0.5)
    exact = operating_characteristics(rule, truth)
    drawn = response_characteristics(rule, truth, (0.2, 0.2, 0.2), trials=20_000, seed=5)
    for p, q, error in zip(exact.p_mtd, drawn.p_obd, drawn.error, strict=True):
        assert abs(p - q) < 4 * error + 1e-9
    assert drawn.doses.expected_n == pytest.approx(exact.expected_n, abs=0.05)


def test_a_seed_fixes_it_and_more_trials_go_on_with_the_same_patients():
    truth = (0.05, 0.1, 0.2, 0.4), (0.1, 0.3, 0.4, 0.5)
    once, twice = (response_characteristics(RULES["boin12"], *truth, trials=50, seed=4) for _ in range(2))
    assert once == twice
    assert response_characteristics(RULES["boin12"], *truth, trials=50, seed=5) != once
    # common random numbers: with more DLTs at level 4 alone, trials that never reach it are the same
    worse = response_characteristics(RULES["boin12"], (0.05, 0.1, 0.2, 0.9), truth[1], trials=50, seed=4)
    assert worse.doses.dlts[3] > once.doses.dlts[3]
    same = response_characteristics(RULES["boin12"], *truth, trials=100, seed=4)
    assert same.trials == 100


@pytest.mark.parametrize(
    ("response", "trials_", "says"),
    [((0.1,), 10, "1 true response probabilities for 3"), ((0.1, 1.2, 0.3), 10, r"of 1\.2"),
     ((0.1, 0.2, 0.3), 0, "0 trials")],
)  # fmt: skip
def test_truths_that_cannot_be_are_refused(response, trials_, says):
    with pytest.raises(InputError, match=says):
        response_characteristics(RULES["strict"], (0.1, 0.2, 0.3), response, trials=trials_)


# ---------------------------------------------------------------------------------------------- backfill

UP = Decision("treat", "", "", level=4, size=3)


def test_backfill_takes_lower_levels_with_a_response_and_room():
    history = path("1NNN 2NEN 3EEN 3NNN")
    three, two, one = Backfill(5, 0.3).of(UP, history)
    assert [(x.level, x.room) for x in (three, two, one)] == [(3, 6), (2, 9), (1, 0)]
    assert "no response in 3 yet" in one.why
    assert [x.room for x in Backfill(5, 0.3, needs_response=False).of(UP, history)] == [6, 9, 9]
    assert [x.room for x in Backfill(5, 0.3, cap=6).of(UP, history)] == [0, 3, 0]


def test_backfill_closes_a_level_to_go_down_at_and_those_above_it():
    # 30 %, lambda_d .3585: 2 of 3 at level 2, and 2 of 6 with level 3 are .333, still safe; 3 of 6 are not
    def rooms(*history: Cohort) -> list[int]:
        return [x.room for x in Backfill(5, 0.3).of(UP, history)]

    first = Cohort(1, 3, 0, responses=1)
    assert rooms(first, Cohort(2, 3, 2, responses=1), Cohort(3, 3, 0, responses=1)) == [9, 9, 9]
    assert rooms(first, Cohort(2, 3, 2, responses=1), Cohort(3, 3, 1, responses=1)) == [0, 0, 9]


def test_backfill_ends_with_the_escalation_and_never_reaches_its_level():
    history = path("1EEE 2EEE 3EEE")
    assert Backfill(5, 0.3).of(Decision("stop", "", "", mtd=2), history) == []
    waits = Decision("wait", "", "", level=3)
    assert [x.level for x in Backfill(5, 0.3).of(waits, history)] == [2, 1]
    untreated = Backfill(5, 0.3).of(UP, path("2EEE 3EEE"))
    assert (untreated[-1].room, "not cleared" in untreated[-1].why) == (0, True)


# ------------------------------------------------------------------------------------- the CRM's skeleton


def test_at_the_edge_of_an_indifference_interval_neighbours_are_as_far_from_the_target():
    skeleton = indifference_skeleton(0.25, 5, at=3)
    assert skeleton[2] == pytest.approx(0.25)
    for lower, upper in pairwise(skeleton):
        power = np.log(0.20) / np.log(lower)  # the curve that gives the lower level target - half width
        assert upper**power == pytest.approx(0.30)
    with pytest.raises(InputError, match="level 6 of 5"):
        indifference_skeleton(0.25, 5, at=6)
