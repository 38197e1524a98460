"""3+3 as coded by Storer 1989, Korn 1994 and the protocol of NCT07021534, with or without a titration before.

At a level: 0 of 3 with a DLT, up; 1 of 3, three more; 1 of 6, up; 2 or more, the level is closed.
The codings differ in what happens then, and they find different doses:

- Storer 1989 (Biometrics 45:925): the level below is recommended as it is, even with 3 patients; the top
  level with 0 of 3 is recommended at once.
- Korn 1994 (Stat Med 13:1799): the level below is filled to 6, and the MTD is the highest level with at least
  6 evaluable and at most 1 DLT.
- The protocol of NCT07021534 ("highest dose level at which no more than 1 of 6 evaluable participants has a
  DLT") is Korn's with 6 at the top level too.

The answer depends on the counts of each level alone, never on the order of the patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from kinetics.escalation.history import Cohort, Decision, Tally, check_history, highest_tried, tallies
from kinetics.escalation.titration import Titration, why_over

__all__ = ["ThreePlusThree", "korn_1994", "passing_probability", "storer_1989"]


_FEWER = "fewer DLTs at that level"


@dataclass(frozen=True)
class ThreePlusThree:
    """A 3+3 design. `deescalate` and `fill_top` choose the coding; the module says which is which.

    `cohort`, `needed` and `allowed` are 3, 6 and 1: cohorts of 3, an MTD of at least 6 evaluable with at most
    1 DLT. `most` is a cap on patients, all levels together, where the protocol has one. The trial begins at
    the level `start` and sends nobody below `lowest`.

    >>> from kinetics.escalation import Cohort, ThreePlusThree, Titration
    >>> rule = ThreePlusThree(levels=4, titration=Titration(levels=2))
    >>> sorted(rule.trigger_levels), rule.decide([Cohort(level=1, evaluable=1, triggers=1)]).size
    ([1, 2], 2)
    """

    order_matters: ClassVar[bool] = False
    last_cohort_matters: ClassVar[bool] = False
    levels: int
    titration: Titration | None = None
    deescalate: bool = True
    fill_top: bool = True
    cohort: int = 3
    needed: int = 6
    allowed: int = 1
    most: int | None = None
    start: int = 1
    lowest: int = 1

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts."""
        check_history(history, self.levels)
        counts = tallies(history, self.levels)
        closed = next((level for level, t in counts.items() if t.dlts > self.allowed), None)
        decision = self._down(counts, closed) if closed else self._up(counts)
        return self._capped(decision, counts, closed)

    def _up(self, counts: dict[int, Tally]) -> Decision:
        """The decision where no level is closed."""
        if self.titration and (decision := self.titration.decide(counts, self.levels, self.cohort)):
            return decision
        current = highest_tried(counts)
        if current < self.lowest:
            why = f"3+3 begins with a cohort of {self.cohort} at level {self.start}"
            would = "nothing: nobody was treated yet"
            return Decision("treat", why, would, level=self.start, size=self.cohort)
        tally = counts[current]
        if not self._passed(tally) and not self._left_at_a_trigger(counts, current):
            return self._fill(current, tally, self._titration_ended(counts))
        if current == self.levels:
            return self._top(counts)
        waiting = sum(t.pending for t in counts.values())
        if waiting:
            in_window = f"{waiting} patients are still in their DLT window"
            why = f"level {current} may be left, but {in_window}: no escalation"
            return Decision("wait", why, "the end of the open windows without a DLT", level=current)
        passed = f"{_counted(tally)} at level {current}: {self._passing_clause(tally)}"
        why = f"{passed}, so up to level {current + 1}"
        would = f"{self.allowed + 1 - tally.dlts} more with a DLT at level {current} would close it"
        return Decision("treat", why, would, level=current + 1, size=self.cohort)

    def _top(self, counts: dict[int, Tally]) -> Decision:
        """The decision where the highest level is passed."""
        tally = counts[self.levels]
        if self.fill_top and tally.evaluable < self.needed:
            return self._fill(self.levels, tally, f"the top level is filled to {self.needed}")
        if any(t.pending for t in counts.values()):
            return self._wait(self.levels)
        why = f"{_counted(tally)} at the top level: {self._mtd_clause(tally)}, and there is no level above"
        return Decision(
            "stop", why, f"{self.allowed + 1 - tally.dlts} more with a DLT there", mtd=self.levels
        )

    def _down(self, counts: dict[int, Tally], closed: int) -> Decision:
        """The decision on the level below `closed`, which has too many DLTs."""
        clause = (
            f"{_counted(counts[closed])} at level {closed}: more than {self.allowed}, the level is closed"
        )
        below = closed - 1
        if below < self.lowest:
            return Decision("stop", f"{clause}; no level is below, so there is no MTD", _FEWER, mtd=0)
        tally = counts[below]
        if (
            self.titration
            and self._only_titrated(below, tally)
            and self.titration.clean_patient == "not_a_level"
        ):
            only_titrated = f"level {below} had only its titration patient, which makes no level"
            return Decision("stop", f"{clause}; {only_titrated}, so there is no MTD", _FEWER, mtd=0)
        too_few = tally.evaluable < self.needed if self.deescalate else not self._passed(tally)
        if too_few:
            return self._fill(below, tally, clause)
        if any(t.pending for level, t in counts.items() if level <= below):
            return self._wait(below)
        why = f"{clause}; {_counted(tally)} at level {below}: {self._mtd_clause(tally)}"
        would = (
            f"{self.allowed + 1 - tally.dlts} more with a DLT at level {below}, or fewer at level {closed}"
        )
        return Decision("stop", why, would, mtd=below)

    def _fill(self, level: int, tally: Tally, clause: str) -> Decision:
        """More patients at a level: to a whole cohort first, then to the number that an MTD needs."""
        goal = self.cohort if tally.evaluable < self.cohort else self.needed
        slots = goal - tally.treated
        if slots <= 0:
            return self._wait(level)
        prefix = f"{clause}; " if clause else ""
        why = f"{prefix}{_counted(tally)} at level {level}: filled to {goal}"
        would = f"{self.allowed + 1 - tally.dlts} more with a DLT at level {level} would close it"
        return Decision("treat", why, would, level=level, size=slots)

    def _wait(self, level: int) -> Decision:
        windows = "DLT windows there or below are open"
        why = f"level {level} is full and {windows}: nothing is decided before it ends"
        return Decision("wait", why, "the end of the open windows, or a DLT in them", level=level)

    def _passed(self, tally: Tally) -> bool:
        """Whether a level has enough patients, few enough of them with a DLT, to go up from."""
        enough = self.needed if tally.dlts else self.cohort
        return tally.evaluable >= enough and tally.dlts <= self.allowed

    def _only_titrated(self, level: int, tally: Tally) -> bool:
        """Whether a level had titration patients alone, without a DLT or a trigger."""
        titrated = self.titration is not None and level <= self.titration.levels and tally.treated > 0
        return titrated and tally.evaluable < self.cohort and not tally.dlts and not tally.triggers

    def _left_at_a_trigger(self, counts: dict[int, Tally], level: int) -> bool:
        """Whether the titration leaves a level after a trigger that was no DLT, its cohort not filled."""
        titration = self.titration
        if titration is None or titration.after_trigger != "leave" or level > titration.levels:
            return False
        tally = counts[level]
        return not tally.dlts and tally.triggers > 0 and tally.treated >= titration.size

    def _titration_ended(self, counts: dict[int, Tally]) -> str:
        """The clause that ended the titration, while the cohort it ended with is being filled; else empty."""
        current = highest_tried(counts)
        if self.titration and current <= self.titration.levels and counts[current].evaluable < self.cohort:
            return why_over(self.titration, counts)
        return ""

    def _passing_clause(self, tally: Tally) -> str:
        if tally.evaluable < self.cohort:
            return "the titration's trigger was no DLT, and this protocol leaves the level"
        return f"at most {self.allowed} of {self.needed}" if tally.dlts else f"none of {self.cohort} or more"

    def _mtd_clause(self, tally: Tally) -> str:
        if tally.evaluable >= self.needed:
            return f"the highest level with at least {self.needed} evaluable and at most {self.allowed} DLT"
        return "recommended as it is (no filling in this coding)"

    def _capped(self, decision: Decision, counts: dict[int, Tally], closed: int | None) -> Decision:
        """The same decision, or a stop where it would take the trial over its cap."""
        treated = sum(t.treated for t in counts.values())
        if self.most is None or decision.action != "treat" or treated + decision.size <= self.most:
            return decision
        if any(t.pending for t in counts.values()):
            wait = self._wait(highest_tried(counts))
            return replace(wait, why=f"the cap of {self.most} is near; windows are open")
        below = closed or self.levels + 1
        tolerated = [
            level
            for level, t in counts.items()
            if self.lowest <= level < below and t.evaluable >= self.needed and t.dlts <= self.allowed
        ]
        why = f"the cap of {self.most} patients: {treated} were treated and {decision.size} more are wanted"
        return Decision("stop", why, "a higher cap", mtd=max(tolerated, default=0))


def storer_1989(levels: int, titration: Titration | None = None) -> ThreePlusThree:
    """Storer's coding: the level below the one that was closed is recommended as it is.

    It gets no more patients first, unless it had only titration patients: then its cohort is treated, by the
    same 3+3.

    >>> from kinetics.escalation import Cohort, storer_1989
    >>> storer_1989(levels=2).decide([Cohort(1, 3), Cohort(2, 3, dlts=2)]).mtd
    1
    """
    return ThreePlusThree(levels, titration, deescalate=False, fill_top=False)


def korn_1994(levels: int, titration: Titration | None = None) -> ThreePlusThree:
    """Korn's coding: de-escalation fills a level to 6; the top level with 0 of 3 is recommended at once.

    >>> from kinetics.escalation import Cohort, korn_1994
    >>> korn_1994(levels=2).decide([Cohort(1, 3), Cohort(2, 3)]).mtd
    2
    """
    return ThreePlusThree(levels, titration, deescalate=True, fill_top=False)


def passing_probability(dlt: float) -> float:
    """P(3+3 goes up from a level whose DLT probability p is `dlt`) = q^3 + 3 p q^2 * q^3, q = 1 - p."""
    q = 1 - dlt
    return q**3 + 3 * dlt * q**2 * q**3


def _counted(tally: Tally) -> str:
    return f"{tally.dlts} of {tally.evaluable} evaluable with a DLT"
