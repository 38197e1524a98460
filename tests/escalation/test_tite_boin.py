"""TITE-BOIN: what a pending patient counts for, when accrual is suspended, and BOIN where nobody is
pending.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kinetics.errors import InputError
from kinetics.escalation.boin import Boin, eliminating, lambdas
from kinetics.escalation.history import Cohort, Decision, highest_tried, merged, tallies
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.titration import Titration
from kinetics.outcomes.dlts import history_of, patients_of
from kinetics.protocol.dose_rule import rule_of
from kinetics.protocol.protocol import read_protocol
from kinetics.study.study import read_study

QUARTER, THIRTY = TiteBoin(Boin(5, 0.25)), TiteBoin(Boin(4, 0.30))
BELOW = Cohort(1, 3)  # a clean level 1


@pytest.mark.parametrize(
    ("cohort", "level"),
    [
        # escalation's tests of get_boin_tite at a target of 25 % (lambda_e .1968, lambda_d .2984), by hand
        (Cohort(2, 3, 1, pending=1, followed=0.5), 2),  # 1 / 3.5 = .286
        (Cohort(2, 4, 1, pending=2, followed=0.3 + 0.7), 2),  # 1 / 5 = .2
        (Cohort(2, 2, 0, pending=1, followed=0.3), 3),  # 0 / 2.3
        (Cohort(2, 3, 2, pending=1, followed=0.6), 1),  # 2 / 3.6 = .556
    ],
)
def test_a_pending_patient_counts_for_the_share_of_the_window_he_was_followed(cohort, level):
    said = QUARTER.decide([BELOW, cohort])
    assert (said.action, said.level, said.size) == ("treat", level, 3)
    assert (
        f"{cohort.evaluable + cohort.followed:.2f} effective of {cohort.evaluable + cohort.pending}"
        in said.why
    )


def test_follow_up_alone_carries_a_level_over_the_bound():
    # 30 %: up at 1 DLT in 1 / .236491 = 4.2285 effective patients or more; down at 1 in 1 / .358519 = 2.789
    # or fewer
    def at(evaluable: int, pending: int, followed: float) -> int | None:
        return THIRTY.decide([BELOW, Cohort(2, evaluable, 1, pending=pending, followed=followed)]).level

    assert [at(4, 1, w) for w in (0.22, 0.23)] == [2, 3]
    assert [at(2, 1, w) for w in (0.78, 0.79)] == [1, 2]


def test_accrual_is_suspended_above_half_pending_and_not_at_half():
    two_of_three = THIRTY.decide([BELOW, Cohort(2, 1, pending=2, followed=1.8)])
    assert (two_of_three.action, two_of_three.level) == ("wait", 2)
    assert "2 of 3 at level 2 are pending, more than 50%: accrual is suspended" in two_of_three.why
    assert THIRTY.decide([BELOW, Cohort(2, 2, pending=2, followed=0.1)]).level == 3
    # only the current level's patients count
    assert THIRTY.decide([Cohort(1, 0, pending=3, followed=1), Cohort(2, 3)]).level == 3
    assert replace(THIRTY, most_pending=0.7).decide([BELOW, Cohort(2, 1, pending=2, followed=1)]).level == 3


def test_nobody_followed_yet_is_no_reason_to_go_up():
    said = TiteBoin(Boin(4, 0.3), most_pending=1).decide([Cohort(1, 0, pending=3)])
    assert said.action == "wait"
    assert "nobody at level 1 was followed yet" in said.why


def test_at_level_1_a_high_rate_waits_for_the_open_windows():
    said = THIRTY.decide([Cohort(1, 2, 1, pending=1, followed=0.5)])  # 1 / 2.5 = .4, and no level is below
    assert said.action == "wait"
    assert "no level is below, so accrual is suspended" in said.why
    assert THIRTY.decide([Cohort(1, 2, 1, pending=1, followed=0.9)]).level == 1  # 1 / 2.9 = .345: stay


def test_elimination_counts_all_treated_and_does_not_wait():
    # P(p > .3 | Beta(1 + 3, 1 + n - 3)): .969 at n = 4, .930 at n = 5
    assert (eliminating(4, 0.3), eliminating(5, 0.3)) == (3, 4)
    gone = THIRTY.decide([Cohort(1, 3, 3, pending=1)])
    assert (gone.action, gone.mtd) == ("stop", 0)
    down = THIRTY.decide([BELOW, Cohort(2, 3, 3, pending=2, followed=0.2)])
    assert (down.action, down.level) == ("treat", 1)
    assert "eliminated" not in down.why
    assert "so down" in down.why
    one_less = THIRTY.decide([BELOW, Cohort(2, 3, 3, pending=1)])
    assert one_less.level == 1
    assert "eliminated" in one_less.why
    # not even where nearly all are pending: a DLT cannot be undone
    assert THIRTY.decide([BELOW, Cohort(2, 3, 3), Cohort(2, 1, 1, pending=3)]).level == 1


def test_the_mtd_waits_for_every_window():
    full = [Cohort(1, 3), Cohort(2, 3), Cohort(3, 2, 1, pending=1, followed=0.9)]
    said = TiteBoin(Boin(4, 0.3, most=9)).decide(full)
    assert said.action == "wait"
    assert "the MTD waits" in said.why
    said = TiteBoin(Boin(3, 0.3, most_at_a_level=3)).decide(
        [*full[:2], Cohort(3, 2, 0, pending=1, followed=0.9)]
    )
    assert (said.action, "level 3 is full" in said.why) == ("wait", True)


def test_the_titration_is_boins_and_waits_for_its_one_patient():
    rule = TiteBoin(Boin(4, 0.3, titration=Titration(levels=2)))
    assert rule.decide([Cohort(1, 0, pending=1, followed=0.9)]).action == "wait"
    assert rule.decide([Cohort(1, 1)]).titrating
    assert rule.trigger_levels == rule.boin.trigger_levels == {1, 2}
    filled = rule.decide([Cohort(1, 1), Cohort(2, 1, 1)])
    assert (filled.level, filled.size) == (2, 2)


def test_follow_up_beyond_the_pending_is_refused():
    with pytest.raises(InputError, match=r"1 pending were followed for 1\.5 windows"):
        THIRTY.decide([Cohort(1, 0, pending=1, followed=1.5)])
    with pytest.raises(InputError, match="below 0"):
        THIRTY.decide([Cohort(1, 0, pending=1, followed=-0.5)])
    with pytest.raises(InputError, match="between 0 and 1"):
        TiteBoin(Boin(4, 0.3), most_pending=2)


# ------------------------------------------------------------------------------------------------ laws

RULES = {
    "plain": TiteBoin(Boin(4, 0.3, most=24)),
    "full": TiteBoin(Boin(5, 0.25, most=30, most_at_a_level=9)),
    "titration": TiteBoin(Boin(4, 0.3, most=24, titration=Titration(2, after_trigger="leave"))),
    "extra safe": TiteBoin(Boin(3, 0.35, most=18, extra_safe=True), most_pending=0.34),
}


def trials(name: str, seed: int) -> Iterator[tuple[list[Cohort], Decision]]:
    """(history, decision) of every step of random trials, each patient in a cohort of his own, windows
    open a while.
    """
    rule, rng = RULES[name], random.Random(seed)
    for _ in range(150):
        p = sorted(rng.random() * 0.7 for _ in range(rule.levels))
        history: list[Cohort] = []
        for _ in range(200):
            said = rule.decide(history)
            yield list(history), said
            if said.action == "stop":
                break
            history = [followed(c, p, rng) for c in history]
            if said.action == "treat":
                fires = int(rng.random() < 0.2)
                new = Cohort(said.level or 0, 0, 0, fires, pending=1)
                history += [followed(new, p, rng) for _ in range(said.size)]
        else:
            raise AssertionError(f"{name} did not end: {history}")


def followed(c: Cohort, p: list[float], rng: random.Random) -> Cohort:
    """The patient some time later: followed further, or his window has ended, or he had a DLT."""
    if not c.pending or rng.random() < 0.3:
        return c
    if rng.random() < p[c.level - 1] / 2:
        return Cohort(c.level, 1, 1)
    later = c.followed + rng.random()
    return replace(c, followed=later) if later < 1 else Cohort(c.level, 1, 0, c.triggers)


@pytest.mark.parametrize("name", RULES)
def test_no_untried_level_is_skipped_and_nobody_is_treated_where_eliminated(name):
    rule, with_open = RULES[name], 0
    for history, said in trials(name, 1):
        assert said.why
        assert said.would_change
        assert (said.mtd is not None) == (said.action == "stop")
        known = tallies(history, rule.levels)
        gone = [i for i, t in known.items() if t.dlts >= (eliminating(t.treated, rule.boin.target) or 99)]
        at = said.level if said.action == "treat" else said.mtd
        assert said.action == "wait" or (at or 0) < min(gone, default=99)
        if said.action == "treat":
            assert (said.level or 0) <= highest_tried(known) + 1
            assert said.size > 0
            with_open += any(t.pending for t in known.values())
    assert with_open > 50


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_patients_within_a_level_does_not_matter(name):
    rule, rng = RULES[name], random.Random(7)
    for history, said in trials(name, 2):
        if history:
            last = [c for c in history if c.level == history[-1].level]
            rest = [c for c in history if c.level != history[-1].level]
            again = rule.decide([*rng.sample(rest, len(rest)), *rng.sample(last, len(last))])
            assert again == said
            assert rule.decide(merged(history, last_is_last=True)) == said


@pytest.mark.parametrize("name", RULES)
def test_where_nobody_is_pending_it_is_boin(name):
    rule, met = RULES[name], 0
    for history, said in trials(name, 3):
        ended = [replace(c, evaluable=1, pending=0, followed=0.0) for c in history]
        assert rule.decide(ended) == rule.boin.decide(ended)
        if not any(c.pending for c in history):
            assert said == rule.boin.decide(history)
            met += 1
    assert met > 50


def test_more_follow_up_without_a_dlt_never_lowers_the_level():
    rng, low = random.Random(9), lambdas(0.3)[0]
    moved = 0
    for _ in range(500):
        evaluable, pending = rng.randint(1, 8), rng.randint(1, 4)
        dlts = rng.randint(0, min(evaluable, 3))
        weights = sorted(rng.random() * pending for _ in range(2))
        said = [
            THIRTY.decide([BELOW, Cohort(2, evaluable, dlts, pending=pending, followed=w)]) for w in weights
        ]
        if all(s.action == "treat" for s in said):
            assert said[0].level <= said[1].level  # type: ignore[operator]
            moved += said[0].level != said[1].level
            assert (said[1].level == 3) == (dlts <= low * (evaluable + weights[1]))
    assert moved > 5


# ------------------------------------------------------------------------------------- a study's history


def test_a_study_says_for_how_long_who_is_pending_was_followed():
    protocol, study = read_protocol("nkg2d_phase1_synthetic"), read_study("nkg2d_phase1_synthetic")
    days = {s: 999.0 for s in study.subject_ids[:7]} | {study.subject_ids[7]: 25.0}

    def cut(table):
        return table[table["subject"].map(days).ge(table["time"])].reset_index(drop=True)

    tables = {name: cut(getattr(study, name)) for name in ("doses", "observations", "events", "responses")}
    early = replace(study, subjects=study.subjects[study.subjects.index.isin(list(days))], **tables)
    patients = patients_of(early, protocol)
    (waiting,) = [p for p in patients if p.status == "pending"]
    days_followed = float(waiting.why.split()[1])  # "followed 10.9 of 28 days"
    assert 0 < waiting.followed < 1
    assert waiting.followed == pytest.approx(days_followed / 28, abs=0.002)
    assert all(p.followed == 0 for p in patients if p is not waiting)
    assert sum(c.followed for c in history_of(patients)) == waiting.followed
    rule = rule_of(protocol, "tite_boin", target=0.3)
    assert isinstance(rule, TiteBoin)
    assert rule.boin.decide(history_of(patients)).action == "wait"
    assert rule.decide(history_of(patients)).action == "treat"  # 1 of 3 at 5e7 is pending: TITE-BOIN goes on
