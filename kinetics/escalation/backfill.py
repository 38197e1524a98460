"""Backfill: which lower levels may take patients whom the escalation has no place for (BF-BOIN).

Zhao 2024, Clin Cancer Res 30:673: the paper was not read; the rules are those of the R package bfboin, which
follows it. A level is open where it is below the escalation's, a response was seen at it, it has fewer
patients than the cap, and neither it nor any level below it is unsafe. A level is unsafe where the DLT rate
of the evaluable is at or above lambda_d both at the level and pooled with the next one up. Patients go to the
highest open level.

This module says only where to backfill; `kinetics.escalation.calendar` simulates trials that do. The
escalation then decides from all patients at its level; BF-BOIN's
pooling of levels whose data conflict is not done. In a history the backfilled cohorts stand before the last
cohort of the escalation, because the last cohort is where the trial is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kinetics.escalation.boin import boundary
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, tallies

__all__ = ["Backfill", "OpenLevel"]

CAP = 12  # patients a level: bfboin, n.cap


@dataclass(frozen=True)
class OpenLevel:
    """A level that may take `room` patients, and why; `room` is 0 where it may not.

    >>> from kinetics.escalation import OpenLevel
    >>> OpenLevel(level=1, room=9, why="a response was seen").room
    9
    """

    level: int
    room: int
    why: str


@dataclass(frozen=True)
class Backfill:
    """The rule for `levels` with a `target` DLT rate.

    `cap` is the most patients of a level. With `needs_response` only levels with a response are open.

    >>> from kinetics.escalation import Backfill, Boin, Cohort
    >>> history = [Cohort(1, 3, responses=1), Cohort(2, 3)]
    >>> decision = Boin(levels=3, target=0.3).decide(history)
    >>> [(level.level, level.room) for level in Backfill(levels=3, target=0.3).of(decision, history)]
    [(2, 0), (1, 9)]
    """

    levels: int
    target: float
    cap: int = CAP
    needs_response: bool = True

    def of(self, decision: Decision, history: Sequence[Cohort]) -> list[OpenLevel]:
        """Every level below the escalation's, highest first; nothing once the escalation has stopped."""
        check_history(history, self.levels)
        if decision.action == "stop" or decision.level is None:
            return []
        counts = tallies(history, self.levels)
        below = range(1, decision.level)
        unsafe = next((level for level in below if self._unsafe(level, counts)), self.levels + 1)
        return [self._level(level, counts[level], unsafe) for level in reversed(below)]

    def _level(self, level: int, tally: Tally, unsafe: int) -> OpenLevel:
        """What one level may take, where `unsafe` is the lowest unsafe level."""
        if level >= unsafe:
            whose = "its" if level == unsafe else f"level {unsafe}'s"
            return OpenLevel(level, 0, f"{whose} DLT rate is one to go down at, with the level above it too")
        if tally.treated == 0:
            return OpenLevel(level, 0, "nobody was treated there: it is not cleared")
        if self.needs_response and tally.responses == 0:
            return OpenLevel(level, 0, f"no response in {tally.treated} yet")
        if tally.treated >= self.cap:
            return OpenLevel(level, 0, f"{tally.treated} are there: full")
        outcomes = f"{tally.responses} with a response and {tally.dlts} with a DLT in {tally.treated}"
        return OpenLevel(level, self.cap - tally.treated, f"{outcomes}; {self.cap} at most")

    def _unsafe(self, level: int, counts: Mapping[int, Tally]) -> bool:
        """Whether the DLT rate is one to go down at, at the level and pooled with the next one up."""
        tally = counts[level]
        above = counts[level + 1]
        pooled = Tally(tally.evaluable + above.evaluable, tally.dlts + above.dlts)
        return all(
            t.evaluable and t.dlts >= boundary(t.evaluable, self.target).deescalate for t in (tally, pooled)
        )
