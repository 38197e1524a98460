"""Keyboard (Yan, Mandrekar & Yuan 2017, Clin Cancer Res 23:3994): the strongest key of the posterior decides.

A key is an interval of DLT rates. The target key lies around the target, and the others, as long as it,
beside it. The strongest key has most probability under Beta(1 + y, 1 + n - y), y of n patients having had a
DLT at the level treated last. Left of the target key: up; right of it: down; the target key itself: stay.
The keys at the two ends are shorter. The R package Keyboard 0.1.3 counts them as if they were whole, which
makes the strongest key mTPI-2's interval (`kinetics.escalation.mtpi2`): the two designs decide alike.
`kinetics.escalation.by_interval` has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kinetics.escalation.by_interval import HALF_WIDTH, Verdict, check_interval, decide_by_interval
from kinetics.escalation.history import Cohort, Decision
from kinetics.escalation.mtpi2 import EDGE, densest_interval
from kinetics.escalation.titration import Titration

__all__ = ["Keyboard"]


@dataclass(frozen=True)
class Keyboard:
    """The keyboard design.

    `target` is the DLT rate wanted, `interval` the target key, by default 0.05 either way. A level is
    eliminated where P(DLT rate > target) is above `cutoff`. `most` patients end the trial; `most_at_a_level`
    patients at one level end it too where the rule says stay there. The trial begins at the level `start` and
    sends nobody below `lowest`. InputError for a target key without the target.

    >>> from kinetics.escalation import Cohort, Keyboard
    >>> rule = Keyboard(levels=4, target=0.3)
    >>> print(rule.decide([Cohort(level=2, evaluable=6, dlts=3)]).why)
    3 of 6 with a DLT at level 2: the strongest key is 0.45 to 0.55, right of the target key, so down
    >>> rule.verdict(dlts=2, n=6)[0], rule.trigger_levels, rule.design
    ('stay', frozenset(), 'Keyboard')
    >>> [round(end, 2) for end in rule.around]
    [0.25, 0.35]
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    design: ClassVar[str] = "Keyboard"
    levels: int
    target: float
    interval: tuple[float, float] | None = None
    cohort: int = 3
    most: int = 30
    most_at_a_level: int | None = None
    cutoff: float = 0.95  # Yan 2017
    titration: Titration | None = None
    start: int = 1
    lowest: int = 1

    def __post_init__(self) -> None:
        check_interval(self.around, self.target)

    @property
    def around(self) -> tuple[float, float]:
        """The target key."""
        return self.interval or (self.target - HALF_WIDTH, self.target + HALF_WIDTH)

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

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

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. The trial is at the level of the last one."""
        return decide_by_interval(self, history)
