"""BOIN, the Bayesian optimal interval design (Liu & Yuan 2015), as the R package BOIN has it.

J R Stat Soc C 64:507. The DLT rate at the level treated last decides: up at or below lambda_e, down at or
above lambda_d, else stay. A level and all above it are eliminated where n >= 3 and P(p > target | data) >
0.95 under a uniform prior. The MTD is the tried level whose rate, made to rise with dose, is nearest to the
target.

Two peculiarities of the package are kept. The bound to go down is floor(lambda_d n) + 1, so where lambda_d n
is a whole number, exactly that count stays. And the bound never exceeds the count that eliminates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import floor, log
from typing import ClassVar

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import betaincc

from kinetics.errors import InputError, Problem
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, escalation_last, tallies
from kinetics.escalation.titration import Titration, titrated

__all__ = ["Boin", "Boundary", "boundaries", "boundary", "eliminating", "lambdas", "select_mtd"]

WHOLE = 1e-12  # how near to a whole number counts as one: R package BOIN, get.boundary


@dataclass(frozen=True)
class Boundary:
    """The bounds for `n` evaluable patients, in DLTs.

    The trial goes up at `escalate` or fewer, down at `deescalate` or more, and the level is eliminated at
    `eliminate` or more (None: never).
    """

    n: int
    escalate: int
    deescalate: int
    eliminate: int | None


@dataclass(frozen=True)
class Boin:
    """The Bayesian optimal interval design.

    `target` is the DLT rate wanted, 0.05 to 0.6. A level is eliminated where P(DLT rate > target) is above
    `cutoff`; with `extra_safe`, 0.05 less than `cutoff` at the lowest level. `most` patients end the trial;
    `most_at_a_level` patients at one level end it too where the rule says stay there. `bounds` are lambda_e
    and lambda_d, by default those of the paper for the target. The trial begins at the level `start` and
    sends nobody below `lowest`. InputError for another target, or bounds that do not enclose it.

    >>> from kinetics.escalation import Boin, Cohort
    >>> rule = Boin(levels=4, target=0.3)
    >>> print(rule.decide([Cohort(level=1, evaluable=3, dlts=1)]).why)
    1 of 3 with a DLT at level 1: between 0.2365 and 0.3585, so stay
    >>> rule.trigger_levels, rule.titrated({}), rule.lowest_eliminated({})
    (frozenset(), None, 5)
    >>> [round(bound, 4) for bound in rule.lambdas]
    [0.2365, 0.3585]
    >>> rule.move(2, dlts=0, n=3, counted="0 of 3", eliminated=5)
    ('0 of 3: at most 0.2365, so up', 3)
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    levels: int
    target: float
    cohort: int = 3
    most: int = 30
    most_at_a_level: int | None = None
    cutoff: float = 0.95
    extra_safe: bool = False
    titration: Titration | None = None
    bounds: tuple[float, float] | None = None
    start: int = 1
    lowest: int = 1

    def __post_init__(self) -> None:
        low, high = self.lambdas
        if not 0 < low < self.target < high < 1:
            what = f"BOIN's lambda_e {low:g} and lambda_d {high:g} do not enclose the target {self.target:g}"
            raise InputError(Problem(what, "give two rates between 0 and 1, one below and one above it"))

    @property
    def lambdas(self) -> tuple[float, float]:
        """lambda_e and lambda_d."""
        return self.bounds or lambdas(self.target)

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. The trial is at the level of the last one."""
        check_history(history, self.levels)
        history = escalation_last(history, self.lowest)
        counts = tallies(history, self.levels)
        if decision := self.titrated(counts):
            return decision
        if not history or history[-1].level < self.lowest:
            why = f"BOIN begins with a cohort of {self.cohort} at level {self.start}"
            would = "nothing: nobody was treated yet"
            return Decision("treat", why, would, level=self.start, size=self.cohort)
        current = history[-1].level
        treated = sum(t.treated for t in counts.values())
        tally = counts[current]
        if any(t.pending for t in counts.values()):
            why = "DLT windows are open: BOIN decides when they have ended (TITE-BOIN would weigh them)"
            return Decision("wait", why, "the end of the open windows", level=current)
        eliminated = self.lowest_eliminated(counts)
        counted = f"{tally.dlts} of {tally.evaluable} with a DLT at level {current}"
        clause, level = self.move(current, tally.dlts, tally.evaluable, counted, eliminated)
        if level == 0:
            return Decision("stop", clause, f"fewer DLTs at level {eliminated}", mtd=0)
        full = (
            self.most_at_a_level is not None and level == current and tally.evaluable >= self.most_at_a_level
        )
        if treated >= self.most or full:
            mtd = select_mtd(counts, self.target, self.cutoff, self.extra_safe, self.lowest)
            why = f"{treated} patients were planned" if treated >= self.most else f"level {current} is full"
            if mtd:
                why += f"; level {mtd} has the rising DLT rate nearest to {self.target:g}"
            return Decision("stop", why, "more patients", mtd=mtd)
        size = min(self.cohort, self.most - treated)
        return Decision("treat", clause, self._would(current, tally), level=level, size=size)

    def titrated(self, counts: dict[int, Tally]) -> Decision | None:
        """The titration's decision, or the filling of the cohort with which it ended.

        None after it, or without one.
        """
        return titrated(self.titration, counts, self.levels, self.cohort)

    def lowest_eliminated(self, counts: Mapping[int, Tally]) -> int:
        """The lowest eliminated level; one above the highest where none is."""
        for level, t in counts.items():
            cutoff = self.cutoff - 0.05 if self.extra_safe and level == self.lowest else self.cutoff
            bound = eliminating(t.evaluable, self.target, cutoff)
            if bound is not None and t.dlts >= bound:
                return level
        return self.levels + 1

    def move(self, current: int, dlts: int, n: float, counted: str, eliminated: int) -> tuple[str, int]:
        """The clause and the next level (0: none is left).

        `dlts` of `n` patients at the level `current` had a DLT, and `counted` says so in words; `n` may be an
        effective number of patients. `eliminated` is what `lowest_eliminated` gives.
        """
        if eliminated <= current:
            toxic = f"P(DLT rate > {self.target:g}) is above {self.cutoff:g}"
            why = f"{counted}: {toxic} at level {eliminated}, eliminated"
            if eliminated <= self.lowest:
                return f"{why}; no level is left", 0
            return why, eliminated - 1
        low, high = self.lambdas
        if dlts <= low * n + WHOLE:
            if current == self.levels:
                return f"{counted}: at most {low:.4f}, but there is no level above, so stay", current
            if current + 1 >= eliminated:
                return f"{counted}: at most {low:.4f}, but the level above is eliminated, so stay", current
            return f"{counted}: at most {low:.4f}, so up", current + 1
        if dlts > high * n + WHOLE:
            if current == self.lowest:
                return f"{counted}: at least {high:.4f}, but no level is below, so stay", current
            return f"{counted}: at least {high:.4f}, so down", current - 1
        return f"{counted}: between {low:.4f} and {high:.4f}, so stay", current

    def _would(self, current: int, tally: Tally) -> str:
        bound = boundary(tally.evaluable, self.target, self.cutoff, self.bounds)
        bounds = f"{bound.escalate} or fewer up, {bound.deescalate} or more down"
        return f"of {tally.evaluable} at level {current}: {bounds}"


def lambdas(target: float, under: float | None = None, over: float | None = None) -> tuple[float, float]:
    """lambda_e and lambda_d for phi_1 `under` and phi_2 `over` (Liu & Yuan 2015).

    By default phi_1 is 0.6 target and phi_2 1.4 target, as in the paper. InputError for a target outside .05
    to .6, or rates that do not enclose it.
    """
    if not 0.05 <= target <= 0.6:
        raise InputError(Problem(f"a BOIN target of {target:g}", "choose one between 0.05 and 0.6"))
    low = 0.6 * target if under is None else under
    high = 1.4 * target if over is None else over
    if not 0 < low < target < high < 1:
        what = f"phi_1 {low:g} and phi_2 {high:g} do not enclose the target {target:g}"
        raise InputError(Problem(what, "give two rates between 0 and 1, one below and one above it"))
    escalate = log((1 - low) / (1 - target)) / log(target * (1 - low) / (low * (1 - target)))
    deescalate = log((1 - target) / (1 - high)) / log(high * (1 - target) / (target * (1 - high)))
    return escalate, deescalate


@cache
def eliminating(n: int, target: float, cutoff: float = 0.95) -> int | None:
    """The fewest DLTs y of n at which P(p > target | Beta(1 + y, 1 + n - y)) > cutoff.

    None below 3 patients, or where no count of DLTs eliminates.
    """
    if n < 3:
        return None
    for dlts in range(n + 1):
        if betaincc(1 + dlts, 1 + n - dlts, target) > cutoff:
            return dlts
    return None


@cache
def boundary(
    n: int, target: float, cutoff: float = 0.95, bounds: tuple[float, float] | None = None
) -> Boundary:
    """The bounds for n evaluable patients, by lambda_e and lambda_d or by the `bounds` in their place."""
    low, high = bounds or lambdas(target)
    eliminate = eliminating(n, target, cutoff)
    escalate = floor(low * n + WHOLE)
    deescalate = floor(high * n + WHOLE) + 1
    if eliminate is not None:
        deescalate = min(deescalate, eliminate)
    return Boundary(n, escalate, deescalate, eliminate)


def boundaries(target: float, most: int, cutoff: float = 0.95) -> list[Boundary]:
    """The table of bounds for 1 to `most` evaluable patients at a level."""
    return [boundary(n, target, cutoff) for n in range(1, most + 1)]


def select_mtd(
    counts: Mapping[int, Tally],
    target: float,
    cutoff: float = 0.95,
    extra_safe: bool = False,
    lowest: int = 1,
) -> int:
    """The MTD among tried levels from `lowest` up that are not eliminated; 0 where there is none.

    The rates are (y + .05)/(n + .1), made to rise by pooling with weights 1/variance of Beta(y + .05, n - y +
    .05). 1e-10 a level breaks ties, so upward below the target (R package BOIN, select.mtd).
    """
    tried = []
    for level, t in counts.items():
        level_cutoff = cutoff - 0.05 if extra_safe and level == lowest else cutoff
        bound = eliminating(t.evaluable, target, level_cutoff)
        if bound is not None and t.dlts >= bound:
            break
        if t.evaluable:
            tried.append(level)
    if not tried or tried[-1] < lowest:
        return 0
    y = np.array([counts[level].dlts for level in tried])
    n = np.array([counts[level].evaluable for level in tried])
    a = y + 0.05
    b = n - y + 0.05
    variance = a * b / ((n + 0.1) ** 2 * (n + 1.1))
    rates = isotonic_regression(a / (n + 0.1), weights=1 / variance).x
    rates = rates + 1e-10 * np.arange(1, len(tried) + 1)
    distances = np.where(np.array(tried) < lowest, np.inf, np.abs(rates - target))
    return tried[int(np.argmin(distances))]
