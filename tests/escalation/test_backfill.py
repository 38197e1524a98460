"""Backfill: the levels that take patients beside the escalation, and when they close."""

from __future__ import annotations

from kinetics.escalation.backfill import Backfill
from kinetics.escalation.history import Cohort, Decision
from tests.support.boin12_trials import path

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
