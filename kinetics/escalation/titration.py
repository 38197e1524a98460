"""Accelerated titration: one patient a level until something happens, then whole cohorts.

The phase of its own that a cohort rule (3+3, BOIN) begins with. What counts as a trigger is the protocol's
to say (`Cohort.triggers`); a DLT always ends the titration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kinetics.escalation.history import Decision, Tally, highest_tried

__all__ = ["Titration", "why_over"]


@dataclass(frozen=True)
class Titration:
    """How the titration runs and what ends it.

    `levels`: it may run at levels 1 to this one. `size`: patients a level. `triggers`: so many triggers
    without a DLT, over all its levels, end it. `step`: levels climbed at once. `after_trigger`: "fill" makes
    the patient who triggered one of a whole cohort at that level; "leave" goes up after a trigger that was no
    DLT, with whole cohorts from there. `clean_patient`: at de-escalation the untroubled patients of a
    titrated level are "counted" among those the level needs, or the level is "not_a_level" and cannot become
    the MTD.

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

    @property
    def at(self) -> frozenset[int]:
        """The levels at which it may run."""
        return frozenset(range(1, self.levels + 1))

    def decide(self, known: Mapping[int, Tally], levels: int, cohort: int) -> Decision | None:
        """The titration's decision; None once it is over and whole cohorts are treated."""
        current = highest_tried(dict(known))
        if current == 0:
            why = f"accelerated titration begins with {_patients(self.size)} at level 1"
            return Decision("treat", why, _BEGUN, level=1, size=self.size, titrating=True)
        if current > self.levels or why_over(self, known) or known[current].evaluable > self.size:
            return None
        own = known[current]
        if own.treated < self.size:
            why = f"accelerated titration: level {current} has {own.treated} of {_patients(self.size)}"
            return Decision("treat", why, _WOULD, level=current, size=self.size - own.treated, titrating=True)
        if any(t.pending for t in known.values()):
            why = f"accelerated titration: the DLT window of level {current} is open"
            return Decision("wait", why, "the window's end, or a DLT or trigger in it", level=current)
        return self._leave(current, levels, cohort)

    def _leave(self, current: int, levels: int, cohort: int) -> Decision:
        if current == levels:
            why = f"accelerated titration reached the top level: its cohort is filled to {cohort}"
            return Decision("treat", why, _WOULD, level=current, size=max(cohort - self.size, 0))
        up = min(current + self.step, levels)
        goes_on = up <= self.levels
        size = self.size if goes_on else cohort
        ends = "" if goes_on else f"; titration ends, cohorts of {cohort} from here"
        why = f"accelerated titration: no trigger and no DLT at level {current}, so up{ends}"
        return Decision("treat", why, f"a trigger or DLT at level {current}", up, size, titrating=goes_on)


_BEGUN = "nothing: nobody was treated yet"
_WOULD = "a DLT, or a trigger, in the titration"


def why_over(titration: Titration, known: Mapping[int, Tally]) -> str:
    """The clause that ended the titration; empty while it runs."""
    for level, t in known.items():
        if t.dlts:
            return f"a DLT at level {level} ended the titration"
    fired = sum(t.triggers for level, t in known.items() if level <= titration.levels)
    if fired >= titration.triggers:
        return (
            f"trigger {fired} of the titration ended it"
            if titration.triggers > 1
            else "a trigger ended the titration"
        )
    return ""


def _patients(count: int) -> str:
    return "1 patient" if count == 1 else f"{count} patients"
