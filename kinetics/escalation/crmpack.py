"""3+3 as crmPack's NextBestThreePlusThree has it (read in R/Rules-methods.R of openpharma/crmPack).

The rate at the level treated last decides. Below 1/3 the trial goes up, unless there is no level above or it
was tried: then it stays. At 1/3 with at most 3 patients it stays; else it goes down. The trial stops when the
next level already has more than 3 patients, and that level is the MTD, or when there is no level left. So the
top level is filled to 6 here too, cohort by cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from kinetics.escalation.history import Cohort, Decision, check_history, escalation_last, tallies

__all__ = ["CrmPackThreePlusThree"]


@dataclass(frozen=True)
class CrmPackThreePlusThree:
    """The 3+3 of the R package crmPack; no titration.

    The trial begins at the level `start` and sends nobody below `lowest`.

    >>> from kinetics.escalation import Cohort, CrmPackThreePlusThree
    >>> CrmPackThreePlusThree(levels=3).decide([Cohort(level=1, evaluable=3, dlts=2)]).mtd
    0
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    levels: int
    cohort: int = 3
    start: int = 1
    lowest: int = 1
    trigger_levels: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. The trial is at the level of the last one."""
        check_history(history, self.levels)
        history = escalation_last(history, self.lowest)
        if not history or history[-1].level < self.lowest:
            why = f"3+3 begins with a cohort of {self.cohort} at level {self.start}"
            would = "nothing: nobody was treated yet"
            return Decision("treat", why, would, level=self.start, size=self.cohort)
        counts = tallies(history, self.levels)
        current = history[-1].level
        tally = counts[current]
        waiting = sum(t.pending for t in counts.values())
        if waiting:
            why = f"{waiting} patients are still in their DLT window: nothing is decided before it ends"
            return Decision("wait", why, "the end of the open windows", level=current)
        above_tried = current < self.levels and counts[current + 1].treated > 0
        clause, level = self._move(current, tally.dlts, tally.evaluable, above_tried)
        would = f"one more or one fewer with a DLT at level {current}"
        if level < self.lowest:
            return Decision("stop", f"{clause}; no level is below, so there is no MTD", would, mtd=0)
        if counts[level].evaluable > self.cohort:
            why = f"{clause}; level {level} has more than {self.cohort} patients already"
            return Decision("stop", why, would, mtd=level)
        return Decision("treat", clause, would, level=level, size=self.cohort)

    def _move(self, current: int, dlts: int, evaluable: int, above_tried: bool) -> tuple[str, int]:
        """The clause and the next level; 0 where there is none below."""
        counted = f"{dlts} of {evaluable} with a DLT at level {current}"
        if 3 * dlts < evaluable:
            if current == self.levels or above_tried:
                return f"{counted}: below 1/3, but nothing above may be tried, so stay", current
            return f"{counted}: below 1/3, so up", current + 1
        if 3 * dlts == evaluable and evaluable <= self.cohort:
            return f"{counted}: 1/3 of at most {self.cohort}, so stay", current
        return f"{counted}: 1/3 or more, so down", current - 1
