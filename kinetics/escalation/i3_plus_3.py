"""i3+3 (Liu, Wang & Ji 2020, J Biopharm Stat 30:294): 3+3 with an interval around any target, by arithmetic.

y of n patients at the level treated last had a DLT. y/n below the interval: up. In it: stay. Above it: stay
where (y - 1)/n is below the interval, because one patient alone then makes the difference; else down. The
ends of the interval belong to it. So with a target of 0.3 +- 0.05, 1 of 3 stays and 2 of 3 goes down.
`kinetics.escalation.by_interval` has the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kinetics.escalation.boin import WHOLE
from kinetics.escalation.by_interval import IntervalRule, Verdict

__all__ = ["I3Plus3"]


@dataclass(frozen=True)
class I3Plus3(IntervalRule):
    """The i3+3 design.

    A level is eliminated where P(DLT rate > target) is above `cutoff`; the other fields are those of every
    `IntervalRule`. InputError for an interval without the target.

    >>> from kinetics.escalation import Cohort, I3Plus3
    >>> rule = I3Plus3(levels=4, target=0.25, interval=(0.2, 0.3))
    >>> print(rule.decide([Cohort(level=2, evaluable=3, dlts=1)]).why)
    1 of 3 with a DLT at level 2: above 0.3, but one DLT fewer is below 0.2, so stay
    >>> rule.verdict(dlts=2, n=6)[0], rule.trigger_levels, rule.around, rule.design
    ('stay', frozenset(), (0.2, 0.3), 'i3+3')
    """

    design: ClassVar[str] = "i3+3"

    def verdict(self, dlts: int, n: int) -> Verdict:
        """Where `dlts` of `n` patients send the trial, and the clause that says so."""
        low, high = self.around
        if dlts < low * n - WHOLE:
            return "up", f"below {low:g}"
        if dlts <= high * n + WHOLE:
            return "stay", f"from {low:g} to {high:g}"
        if dlts - 1 < low * n - WHOLE:
            return "stay", f"above {high:g}, but one DLT fewer is below {low:g}"
        return "down", f"above {high:g}, and one DLT fewer is not below {low:g}"
