"""mTPI-2 (Guo 2017, Contemp Clin Trials 58:23): the interval with most probability a unit of length decides.

0 to 1 is cut into intervals as long as the one around the target; those at the two ends may be shorter. Under
a uniform prior the DLT rate of the level treated last is Beta(1 + y, 1 + n - y). The interval whose
probability divided by its length is greatest decides: left of the target's up, right of it down, else stay.
`kinetics.escalation.by_interval` has the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from scipy.special import betainc

from kinetics.escalation.by_interval import IntervalRule, Verdict

__all__ = ["Mtpi2", "densest_interval", "equal_intervals"]

EDGE = 1e-9  # an interval at an end of 0 to 1 that is shorter than this is rounding


@dataclass(frozen=True)
class Mtpi2(IntervalRule):
    """The mTPI-2 design.

    A level is eliminated where P(DLT rate > target) is above `cutoff`; the other fields are those of every
    `IntervalRule`. InputError for an interval without the target.

    >>> from kinetics.escalation import Cohort, Mtpi2
    >>> rule = Mtpi2(levels=4, target=0.3)
    >>> print(rule.decide([Cohort(level=2, evaluable=6, dlts=1)]).why)
    1 of 6 with a DLT at level 2: the DLT rate is most likely 0.15 to 0.25, below 0.25, so up
    >>> rule.verdict(dlts=2, n=6)[0], rule.trigger_levels, rule.design
    ('stay', frozenset(), 'mTPI-2')
    >>> [round(end, 2) for end in rule.around]
    [0.25, 0.35]
    """

    design: ClassVar[str] = "mTPI-2"

    def verdict(self, dlts: int, n: int) -> Verdict:
        """Where `dlts` of `n` patients send the trial, and the clause that says so."""
        low, high = self.around
        start, end = densest_interval(dlts, n, self.around)
        likely = f"the DLT rate is most likely {start:.4g} to {end:.4g}"
        if end <= low + EDGE:
            return "up", f"{likely}, below {low:g}"
        if start >= high - EDGE:
            return "down", f"{likely}, above {high:g}"
        return "stay", likely


@cache
def equal_intervals(interval: tuple[float, float]) -> np.ndarray:
    """The ends of the intervals of one length into which 0 to 1 is cut, `interval` being one of them.

    The first and the last may be shorter.
    """
    low, high = interval
    length = high - low
    below = np.arange(low, EDGE, -length)[::-1]
    above = np.arange(high, 1 - EDGE, length)
    return np.concatenate([[0.0], below, above, [1.0]])


@cache
def densest_interval(dlts: int, n: int, interval: tuple[float, float]) -> tuple[float, float]:
    """The interval with the most probability a unit of length under Beta(1 + dlts, 1 + n - dlts).

    Of two equal ones it is the higher.
    """
    ends = equal_intervals(interval)
    mass = np.diff(betainc(1 + dlts, 1 + n - dlts, ends)) / np.diff(ends)
    best = len(mass) - 1 - int(np.argmax(mass[::-1]))
    return float(ends[best]), float(ends[best + 1])
