"""Accelerated titration: one patient a level until something happens, then whole cohorts.

It is a separate first phase of a cohort rule (3+3, BOIN). The protocol says what counts as a trigger
(`Cohort.triggers`); a DLT always ends the titration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kinetics.escalation.history import Decision, Tally, highest_tried

__all__ = ["Titration", "titrated", "why_over"]


_AT_THE_START = "nothing: nobody was treated yet"
_WOULD_CHANGE = "a DLT, or a trigger, in the titration"


@dataclass(frozen=True)
class Titration:
    """How the titration runs and what ends it.

    It may run at levels `start` to `levels`, with `size` patients at each. `triggers` triggers without a DLT,
    over all its levels, end it. `step` is the number of levels climbed at once.
    `after_trigger` "fill" makes the patient with the trigger one of a whole cohort at that level; "leave"
    goes up after a trigger that was no DLT, with whole cohorts from there. `clean_patient` matters at
    de-escalation: titration patients with neither a trigger nor a DLT are "counted" among those their level
    needs, or their level is "not_a_level" and cannot become the MTD.

    >>> from kinetics.escalation import Titration
    >>> titration = Titration(levels=2)
    >>> sorted(titration.at), titration.decide({}, levels=4, cohort=3).size
    ([1, 2], 1)
    """

    levels: int = 1
    size: int = 1
    triggers: int = 1
    step: int = 1
    after_trigger: Literal["fill", "leave"] = "fill"
    clean_patient: Literal["counted", "not_a_level"] = "counted"
    start: int = 1

    @property
    def at(self) -> frozenset[int]:
        """The levels at which the titration may run."""
        return frozenset(range(self.start, self.levels + 1))

    def decide(self, counts: Mapping[int, Tally], levels: int, cohort: int) -> Decision | None:
        """The titration's decision; None once it is over and whole cohorts are treated."""
        current = highest_tried(dict(counts))
        if current < self.start:
            why = f"accelerated titration begins with {_patients(self.size)} at level {self.start}"
            return Decision("treat", why, _AT_THE_START, level=self.start, size=self.size, titrating=True)
        if current > self.levels or why_over(self, counts) or counts[current].evaluable > self.size:
            return None
        tally = counts[current]
        if tally.treated < self.size:
            why = f"accelerated titration: level {current} has {tally.treated} of {_patients(self.size)}"
            return Decision(
                "treat", why, _WOULD_CHANGE, level=current, size=self.size - tally.treated, titrating=True
            )
        if any(t.pending for t in counts.values()):
            why = f"accelerated titration: the DLT window of level {current} is open"
            return Decision("wait", why, "the window's end, or a DLT or trigger in it", level=current)
        return self._next_level(current, levels, cohort)

    def _next_level(self, current: int, levels: int, cohort: int) -> Decision:
        """The decision where the current level has all its patients and none with a trigger or a DLT."""
        if current == levels:
            why = f"accelerated titration reached the top level: its cohort is filled to {cohort}"
            return Decision("treat", why, _WOULD_CHANGE, level=current, size=max(cohort - self.size, 0))
        up = min(current + self.step, levels)
        goes_on = up <= self.levels
        why = f"accelerated titration: no trigger and no DLT at level {current}, so up"
        if not goes_on:
            why += f"; titration ends, cohorts of {cohort} from here"
        return Decision(
            "treat",
            why,
            would_change=f"a trigger or DLT at level {current}",
            level=up,
            size=self.size if goes_on else cohort,
            titrating=goes_on,
        )


def titrated(
    titration: Titration | None, counts: Mapping[int, Tally], levels: int, cohort: int
) -> Decision | None:
    """The decision of a `titration` before a rule of whole cohorts.

    It is the titration's own, or the filling of the cohort with which it ended. None after it, or without
    one.
    """
    if titration is None:
        return None
    if decision := titration.decide(counts, levels, cohort):
        return decision
    current = highest_tried(dict(counts))
    tally = counts[current]
    if current <= titration.levels and tally.treated < cohort:
        why = f"the titration is over: the cohort at level {current} is filled to {cohort}"
        would = "no trigger and no DLT in the titration"
        return Decision("treat", why, would, level=current, size=cohort - tally.treated)
    return None


def why_over(titration: Titration, counts: Mapping[int, Tally]) -> str:
    """The clause that ended the titration; empty while it runs."""
    for level, t in counts.items():
        if t.dlts:
            return f"a DLT at level {level} ended the titration"
    triggers = sum(t.triggers for level, t in counts.items() if level <= titration.levels)
    if triggers < titration.triggers:
        return ""
    if titration.triggers > 1:
        return f"trigger {triggers} of the titration ended it"
    return "a trigger ended the titration"


def _patients(count: int) -> str:
    return "1 patient" if count == 1 else f"{count} patients"
