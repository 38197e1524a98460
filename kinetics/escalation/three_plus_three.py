"""3+3, with or without accelerated titration before it: Storer 1989, Korn 1994, and the protocol of
NCT07021534.

At a level: 0 of 3 with a DLT, up; 1 of 3, three more; 1 of 6, up; 2 or more, the level is closed.
What happens then is where the codings differ, and they find different doses:

Storer 1989 (Biometrics 45:925): the level below is recommended as it is, even with 3 patients; the top level
with 0 of 3 is recommended at once. Korn 1994 (Stat Med 13:1799): the level below is filled to 6, and the MTD
is the highest level with at least 6 evaluable and at most 1 DLT. The protocol of NCT07021534 ("highest dose
level at which no more than 1 of 6 evaluable participants has a DLT") is Korn's with 6 at the top level too.

The answer depends on the counts of each level alone, never on the order of the patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from kinetics.escalation.history import Cohort, Decision, Tally, check_history, highest_tried, tallies
from kinetics.escalation.titration import Titration, why_over

__all__ = ["ThreePlusThree", "korn_1994", "passing_probability", "storer_1989"]


@dataclass(frozen=True)
class ThreePlusThree:
    """The rule. `deescalate` and `fill_top` choose the coding; the module says which is which.

    `cohort`, `needed` and `allowed` are 3, 6 and 1: cohorts of 3, an MTD of at least 6 evaluable with at most
    1 DLT. `most` is a cap on patients, all levels together, where the protocol has one.

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

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """What next, after these cohorts."""
        check_history(history, self.levels)
        known = tallies(history, self.levels)
        closed = next((level for level, t in known.items() if t.dlts > self.allowed), None)
        decision = self._down(known, closed) if closed else self._up(known)
        return self._capped(decision, known, closed)

    def _up(self, known: dict[int, Tally]) -> Decision:
        """No level is closed."""
        if self.titration and (decision := self.titration.decide(known, self.levels, self.cohort)):
            return decision
        current = highest_tried(known)
        if current == 0:
            why = f"3+3 begins with a cohort of {self.cohort} at level 1"
            return Decision("treat", why, "nothing: nobody was treated yet", level=1, size=self.cohort)
        own = known[current]
        if not self._passed(own) and not self._left_at_a_trigger(known, current):
            return self._fill(current, own, self._over(known))
        if current == self.levels:
            return self._top(known)
        waiting = sum(t.pending for t in known.values())
        if waiting:
            why = f"level {current} may be left, but {waiting} patients are still in their DLT window: no escalation"
            return Decision("wait", why, "the end of the open windows without a DLT", level=current)
        why = f"{_counted(own)} at level {current}: {self._passing_clause(own)}, so up to level {current + 1}"
        would = f"{self.allowed + 1 - own.dlts} more with a DLT at level {current} would close it"
        return Decision("treat", why, would, level=current + 1, size=self.cohort)

    def _top(self, known: dict[int, Tally]) -> Decision:
        """The highest level passed."""
        own = known[self.levels]
        if self.fill_top and own.evaluable < self.needed:
            return self._fill(self.levels, own, f"the top level is filled to {self.needed}")
        if any(t.pending for t in known.values()):
            return self._wait(self.levels)
        why = f"{_counted(own)} at the top level: {self._mtd_clause(own)}, and there is no level above"
        return Decision("stop", why, f"{self.allowed + 1 - own.dlts} more with a DLT there", mtd=self.levels)

    def _down(self, known: dict[int, Tally], closed: int) -> Decision:
        """`closed` has too many DLTs: what of the level below?"""
        clause = f"{_counted(known[closed])} at level {closed}: more than {self.allowed}, the level is closed"
        below = closed - 1
        if below == 0:
            return Decision("stop", f"{clause}; no level is below, so there is no MTD", _FEWER, mtd=0)
        own = known[below]
        if (
            self.titration
            and self._only_titrated(below, own)
            and self.titration.clean_patient == "not_a_level"
        ):
            why = f"{clause}; level {below} had only its titration patient, which makes no level, so there is no MTD"
            return Decision("stop", why, _FEWER, mtd=0)
        if own.evaluable < self.needed if self.deescalate else not self._passed(own):
            return self._fill(below, own, clause)
        if any(t.pending for level, t in known.items() if level <= below):
            return self._wait(below)
        why = f"{clause}; {_counted(own)} at level {below}: {self._mtd_clause(own)}"
        would = f"{self.allowed + 1 - own.dlts} more with a DLT at level {below}, or fewer at level {closed}"
        return Decision("stop", why, would, mtd=below)

    def _fill(self, level: int, own: Tally, clause: str) -> Decision:
        """More patients at a level: to a whole cohort first, then to the number that an MTD needs."""
        goal = self.cohort if own.evaluable < self.cohort else self.needed
        slots = goal - own.treated
        if slots <= 0:
            return self._wait(level)
        prefix = f"{clause}; " if clause else ""
        why = f"{prefix}{_counted(own)} at level {level}: filled to {goal}"
        would = f"{self.allowed + 1 - own.dlts} more with a DLT at level {level} would close it"
        return Decision("treat", why, would, level=level, size=slots)

    def _wait(self, level: int) -> Decision:
        why = f"level {level} is full and DLT windows there or below are open: nothing is decided before it ends"
        return Decision("wait", why, "the end of the open windows, or a DLT in them", level=level)

    def _passed(self, own: Tally) -> bool:
        return own.evaluable >= (self.needed if own.dlts else self.cohort) and own.dlts <= self.allowed

    def _only_titrated(self, level: int, own: Tally) -> bool:
        titrated = self.titration is not None and level <= self.titration.levels
        return titrated and own.evaluable < self.cohort and not own.dlts and not own.triggers

    def _left_at_a_trigger(self, known: dict[int, Tally], level: int) -> bool:
        own = known[level]
        titration = self.titration
        left = titration is not None and titration.after_trigger == "leave" and level <= titration.levels
        return (
            left and not own.dlts and own.triggers > 0 and own.treated >= (titration.size if titration else 1)
        )

    def _over(self, known: dict[int, Tally]) -> str:
        current = highest_tried(known)
        if self.titration and current <= self.titration.levels and known[current].evaluable < self.cohort:
            return why_over(self.titration, known)
        return ""

    def _passing_clause(self, own: Tally) -> str:
        if own.evaluable < self.cohort:
            return "the titration's trigger was no DLT, and this protocol leaves the level"
        return f"at most {self.allowed} of {self.needed}" if own.dlts else f"none of {self.cohort} or more"

    def _mtd_clause(self, own: Tally) -> str:
        if own.evaluable >= self.needed:
            return f"the highest level with at least {self.needed} evaluable and at most {self.allowed} DLT"
        return "recommended as it is (no filling in this coding)"

    def _capped(self, decision: Decision, known: dict[int, Tally], closed: int | None) -> Decision:
        """The same decision, or a stop where it would take the trial over its cap."""
        treated = sum(t.treated for t in known.values())
        if self.most is None or decision.action != "treat" or treated + decision.size <= self.most:
            return decision
        if any(t.pending for t in known.values()):
            return replace(
                self._wait(highest_tried(known)), why=f"the cap of {self.most} is near; windows are open"
            )
        full = [
            level
            for level, t in known.items()
            if t.evaluable >= self.needed and t.dlts <= self.allowed and level < (closed or self.levels + 1)
        ]
        why = f"the cap of {self.most} patients: {treated} were treated and {decision.size} more are wanted"
        return Decision("stop", why, "a higher cap", mtd=max(full, default=0))


_FEWER = "fewer DLTs at that level"


def storer_1989(levels: int, titration: Titration | None = None) -> ThreePlusThree:
    """No de-escalation for more patients: the level below the one that was closed is recommended as it is.

    A level that had only titration patients gets its cohort first, by the same 3+3.

    >>> from kinetics.escalation import Cohort, storer_1989
    >>> storer_1989(levels=2).decide([Cohort(1, 3), Cohort(2, 3, dlts=2)]).mtd
    1
    """
    return ThreePlusThree(levels, titration, deescalate=False, fill_top=False)


def korn_1994(levels: int, titration: Titration | None = None) -> ThreePlusThree:
    """De-escalation fills to 6; the top level with 0 of 3 is recommended at once.

    >>> from kinetics.escalation import Cohort, korn_1994
    >>> korn_1994(levels=2).decide([Cohort(1, 3), Cohort(2, 3)]).mtd
    2
    """
    return ThreePlusThree(levels, titration, deescalate=True, fill_top=False)


def passing_probability(dlt: float) -> float:
    """P(3+3 goes up from a level with this DLT probability) = q^3 + 3 p q^2 * q^3, q = 1 - p."""
    q = 1 - dlt
    return q**3 + 3 * dlt * q**2 * q**3


def _counted(own: Tally) -> str:
    return f"{own.dlts} of {own.evaluable} evaluable with a DLT"
