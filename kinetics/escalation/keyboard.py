"""Keyboard (Yan, Mandrekar & Yuan 2017, Clin Cancer Res 23:3994): the strongest key of the posterior decides.

A key is an interval of DLT rates. The target key lies around the target, and the others, as long as it,
beside it. The strongest key has most probability under Beta(1 + y, 1 + n - y), y of n patients having had a
DLT at the level treated last. Left of the target key: up; right of it: down; the target key itself: stay.
The keys at the two ends are shorter. The R package Keyboard 0.1.3 counts them as if they were whole, which
makes the strongest key mTPI-2's interval (`kinetics.escalation.mtpi2`): the two designs decide alike.
`kinetics.escalation.by_interval` has the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kinetics.escalation.by_interval import IntervalRule, Verdict
from kinetics.escalation.mtpi2 import EDGE, densest_interval

__all__ = ["Keyboard"]


@dataclass(frozen=True)
class Keyboard(IntervalRule):
    """The keyboard design.

    A level is eliminated where P(DLT rate > target) is above `cutoff`; the other fields are those of every
    `IntervalRule`. InputError for an interval without the target.

    >>> from kinetics.escalation import Cohort, Keyboard
    >>> rule = Keyboard(levels=4, target=0.3)
    >>> print(rule.decide([Cohort(level=2, evaluable=6, dlts=3)]).why)
    3 of 6 with a DLT at level 2: the strongest key is 0.45 to 0.55, right of the target key, so down
    >>> rule.verdict(dlts=2, n=6)[0], rule.trigger_levels, rule.design
    ('stay', frozenset(), 'Keyboard')
    >>> [round(end, 2) for end in rule.around]
    [0.25, 0.35]
    """

    design: ClassVar[str] = "Keyboard"

    def verdict(self, dlts: int, n: int) -> Verdict:
        """Where `dlts` of `n` patients send the trial, and the clause that says so."""
        low, high = self.around
        start, end = densest_interval(dlts, n, self.around)
        key = f"the strongest key is {start:.4g} to {end:.4g}"
        if end <= low + EDGE:
            return "up", f"{key}, left of the target key"
        if start >= high - EDGE:
            return "down", f"{key}, right of the target key"
        return "stay", f"{key}, the target key"
