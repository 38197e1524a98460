"""i3+3 (Liu, Wang & Ji 2020, J Biopharm Stat 30:294): 3+3 with an interval around any target, by arithmetic.

y of n patients at the level treated last had a DLT. y/n below the interval: up. In it: stay. Above it: stay
where (y - 1)/n is below the interval, because one patient alone then makes the difference; else down. The
ends of the interval belong to it. So with a target of 0.3 +- 0.05, 1 of 3 stays and 2 of 3 goes down.
`kinetics.escalation.by_interval` has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kinetics.escalation.boin import WHOLE
from kinetics.escalation.by_interval import HALF_WIDTH, Verdict, check_interval, decide_by_interval
from kinetics.escalation.history import Cohort, Decision
from kinetics.escalation.titration import Titration

__all__ = ["I3Plus3"]


@dataclass(frozen=True)
class I3Plus3:
    """The i3+3 design.

    `target` is the DLT rate wanted, `interval` the rates that are as good, by default 0.05 either way. A
    level is eliminated where P(DLT rate > target) is above `cutoff`. `most` patients end the trial;
    `most_at_a_level` patients at one level end it too where the rule says stay there. The trial begins at the
    level `start` and sends nobody below `lowest`. InputError for an interval without the target.

    >>> from kinetics.escalation import Cohort, I3Plus3
    >>> rule = I3Plus3(levels=4, target=0.25, interval=(0.2, 0.3))
    >>> print(rule.decide([Cohort(level=2, evaluable=3, dlts=1)]).why)
    1 of 3 with a DLT at level 2: above 0.3, but one DLT fewer is below 0.2, so stay
    >>> rule.verdict(dlts=2, n=6)[0], rule.trigger_levels, rule.around, rule.design
    ('stay', frozenset(), (0.2, 0.3), 'i3+3')
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    design: ClassVar[str] = "i3+3"
    levels: int
    target: float
    interval: tuple[float, float] | None = None
    cohort: int = 3
    most: int = 30
    most_at_a_level: int | None = None
    cutoff: float = 0.95  # Liu 2020
    titration: Titration | None = None
    start: int = 1
    lowest: int = 1

    def __post_init__(self) -> None:
        check_interval(self.around, self.target)

    @property
    def around(self) -> tuple[float, float]:
        """The interval around the target."""
        return self.interval or (self.target - HALF_WIDTH, self.target + HALF_WIDTH)

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

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

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. The trial is at the level of the last one."""
        return decide_by_interval(self, history)
