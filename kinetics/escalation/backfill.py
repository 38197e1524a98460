"""Backfill: which lower levels may take patients whom the escalation has no place for (BF-BOIN).

Zhao 2024, Clin Cancer Res 30:673: the paper was not read, the rules are those of the R package bfboin, which
follows it. A level is open where it is below the escalation's, a response was seen at it, it has fewer
patients than the cap, and neither it nor any level below it is unsafe. Unsafe: the DLT rate at or above
lambda_d both at the level and pooled with the next one up, of the evaluable. Patients go to the highest open
level.

Only where to backfill is said here. The escalation then decides from all patients at its level; that BF-BOIN
pools levels whose data conflict is not done. In a history the backfilled cohorts stand before the last of the
escalation, for the last cohort is where the trial is.
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
    """A level that may take `room` patients, and why; or none, and why not.

    >>> from kinetics.escalation import OpenLevel
    >>> OpenLevel(level=1, room=9, why="a response was seen").room
    9
    """

    level: int
    room: int
    why: str


@dataclass(frozen=True)
class Backfill:
    """The rule for `levels` with a `target` DLT rate. `needs_response`: only levels where activity was seen.

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
        known = tallies(history, self.levels)
        unsafe = next((i for i in range(1, decision.level) if self._unsafe(i, known)), self.levels + 1)
        return [self._level(i, known[i], unsafe) for i in range(decision.level - 1, 0, -1)]

    def _level(self, level: int, own: Tally, unsafe: int) -> OpenLevel:
        if level >= unsafe:
            which = "its" if level == unsafe else f"level {unsafe}'s"
            return OpenLevel(level, 0, f"{which} DLT rate is one to go down at, with the level above it too")
        if own.treated == 0:
            return OpenLevel(level, 0, "nobody was treated there: it is not cleared")
        if self.needs_response and own.responses == 0:
            return OpenLevel(level, 0, f"no response in {own.treated} yet")
        room = max(self.cap - own.treated, 0)
        seen = f"{own.responses} with a response and {own.dlts} with a DLT in {own.treated}"
        return OpenLevel(
            level, room, f"{seen}; {self.cap} at most" if room else f"{own.treated} are there: full"
        )

    def _unsafe(self, level: int, known: Mapping[int, Tally]) -> bool:
        own = known[level]
        above = known[level + 1]
        pooled = Tally(own.evaluable + above.evaluable, own.dlts + above.dlts)
        return all(
            t.evaluable and t.dlts >= boundary(t.evaluable, self.target).deescalate for t in (own, pooled)
        )
