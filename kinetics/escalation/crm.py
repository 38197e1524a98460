"""CRM, the continual reassessment method (O'Quigley 1990, Biometrics 46:33), as the R package dfcrm has it.

The one parameter is beta ~ N(0, 1.34) (1.34 is the variance; dfcrm's default scale is sqrt(1.34)). The
posterior mean of beta is plugged into the curve, and the level nearest to the target is next. The empiric
curve is P = skeleton^exp(beta). The logistic one, with intercept 3, is logit P = 3 + exp(beta) x with x =
logit(skeleton) - 3. No untried level is skipped, and the trial does not go up right after a cohort whose DLT
rate reached the target (coherence, Cheung 2005, Biometrika 92:863). OURS: the MTD is a level at which
somebody was treated.

dfcrm has no stopping rule for toxicity. With `toxic` the trial stops, without an MTD, where P(DLT rate of the
lowest level > target | data) is above it, beta having its whole posterior: the rule of the R package
escalation (`stop_when_too_toxic`), which leaves its cut-off to the user; `TOXIC` is that of BOIN's and
Keyboard's elimination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from kinetics.errors import InputError, Problem
from kinetics.escalation.history import (
    Cohort,
    Decision,
    check_history,
    escalation_last,
    highest_tried,
    tallies,
)

__all__ = ["Crm", "indifference_skeleton"]

GRID = np.linspace(-8, 8, 4001)  # of beta: seven prior SDs either way, 0.004 apart
HALF_WIDTH = 0.05  # of the indifference interval: a GUESS, the usual choice with dfcrm's getprior
VARIANCE = 1.34  # of the prior of beta: dfcrm's default, scale = sqrt(1.34)
TOXIC = 0.95  # P(lowest level over the target) above which a trial stops: BOIN's (Liu & Yuan 2015), a choice


@dataclass(frozen=True)
class Crm:
    """The continual reassessment method.

    `skeleton` is the prior guess of every level's DLT probability, rising.
    `target` is the DLT rate wanted, `variance` that of beta's normal prior, `intercept` that of the logistic
    `model`. The trial stops where P(the lowest level is over the target) is above `toxic`; None: it never
    does. `most` patients end the trial; it ends too where the next level has `most_at_a_level` evaluable
    patients already. It begins at the level `start` and sends nobody below `lowest`. InputError for a
    skeleton that does not rise between 0 and 1.

    >>> from kinetics.escalation import Cohort, Crm, indifference_skeleton
    >>> rule = Crm(skeleton=indifference_skeleton(0.25, 4), target=0.25)
    >>> history = [Cohort(level=1, evaluable=3)]
    >>> rule.levels, round(rule.beta(history), 2), [round(p, 2) for p in rule.rates(history)]
    (4, 0.71, [0.02, 0.06, 0.12, 0.21])
    >>> rule.decide(history).level
    2
    >>> round(rule.over_target([Cohort(level=1, evaluable=3, dlts=3)]), 2)
    0.99
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = True
    skeleton: tuple[float, ...]
    target: float
    model: Literal["empiric", "logistic"] = "empiric"
    variance: float = VARIANCE
    intercept: float = 3.0
    start: int = 1
    cohort: int = 3
    most: int = 30
    toxic: float | None = None
    lowest: int = 1
    most_at_a_level: int | None = None
    trigger_levels: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        skeleton = self.skeleton
        rising = all(lower < upper for lower, upper in pairwise(skeleton))
        if not skeleton or not rising or not all(0 < p < 1 for p in skeleton):
            what = f"a CRM skeleton of {skeleton}"
            raise InputError(Problem(what, "give rising probabilities between 0 and 1"))

    @property
    def levels(self) -> int:
        """How many levels the skeleton has."""
        return len(self.skeleton)

    def beta(self, history: Sequence[Cohort]) -> float:
        """The posterior mean of beta."""
        return float((self._posterior(history) * GRID).sum())

    def over_target(self, history: Sequence[Cohort]) -> float:
        """P(DLT rate of the lowest level > target | history)."""
        over = self._curve(GRID, self.lowest) > self.target
        return float(self._posterior(history)[over].sum())

    def _posterior(self, history: Sequence[Cohort]) -> np.ndarray:
        """The posterior probability of every point of the grid of beta."""
        log_posterior = -(GRID**2) / (2 * self.variance)
        for level, t in tallies(history, self.levels).items():
            if t.evaluable:
                p = np.clip(self._curve(GRID, level), 1e-300, 1 - 1e-16)
                log_posterior += t.dlts * np.log(p) + (t.evaluable - t.dlts) * np.log1p(-p)
        weight = np.exp(log_posterior - log_posterior.max())
        return weight / weight.sum()

    def rates(self, history: Sequence[Cohort]) -> list[float]:
        """The DLT probability of every level at the posterior mean of beta."""
        beta = np.array([self.beta(history)])
        return [float(self._curve(beta, level)[0]) for level in range(1, self.levels + 1)]

    def _curve(self, beta: np.ndarray, level: int) -> np.ndarray:
        """The DLT probability of a level at each beta."""
        prior = self.skeleton[level - 1]
        if self.model == "empiric":
            return prior ** np.exp(beta)
        x = np.log(prior / (1 - prior)) - self.intercept
        return 1 / (1 + np.exp(np.minimum(-(self.intercept + np.exp(beta) * x), 700)))

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. Coherence looks at the last one."""
        check_history(history, self.levels)
        history = escalation_last(history, self.lowest)
        counts = tallies(history, self.levels)
        treated = sum(t.treated for t in counts.values())
        if not history or history[-1].level < self.lowest:
            why = f"CRM begins with {self.cohort} at level {self.start}"
            would = "another starting level"
            return Decision("treat", why, would, level=self.start, size=self.cohort)
        rates = self.rates(history)
        distances = np.abs(np.array(rates) - self.target)
        distances[: self.lowest - 1] = np.inf
        best = int(np.argmin(distances)) + 1
        clause = f"level {best} has the DLT probability ({rates[best - 1]:.3f}) nearest to {self.target:g}"
        current = history[-1].level
        last = history[-1]
        if any(t.pending for t in counts.values()):
            why = "DLT windows are open: this CRM decides when they have ended"
            return Decision("wait", why, "the end of the open windows", level=current)
        would = f"another cohort outcome at level {current} (now {last.dlts} of {last.evaluable})"
        over = 0.0 if self.toxic is None else self.over_target(history)
        if self.toxic is not None and over > self.toxic:
            why = f"P(DLT rate > {self.target:g}) is {over:.3f} at level {self.lowest}, above {self.toxic:g}"
            return Decision("stop", f"{why}: too toxic, no level is left", "fewer DLTs", mtd=0)
        tried = highest_tried(counts)
        if treated >= self.most:
            if best > tried:
                clause = f"{clause}, which nobody was treated at: level {tried} is the nearest that was"
            return Decision("stop", f"{treated} patients were planned; {clause}", would, mtd=min(best, tried))
        level = best
        if level > tried + 1:
            clause = f"{clause}, but no untried level is skipped: level {tried + 1}"
            level = tried + 1
        if level > current and last.evaluable and last.dlts / last.evaluable >= self.target:
            clause = f"{clause}, but the last cohort's rate reached the target: no escalation (coherence)"
            level = current
        if self.most_at_a_level is not None and counts[level].evaluable >= self.most_at_a_level:
            why = f"{clause}; {counts[level].evaluable} are at level {level}: full"
            return Decision("stop", why, would, mtd=level)
        return Decision("treat", clause, would, level=level, size=min(self.cohort, self.most - treated))


def indifference_skeleton(
    target: float, levels: int, *, at: int | None = None, half_width: float = HALF_WIDTH
) -> tuple[float, ...]:
    """The empiric skeleton by indifference intervals, as dfcrm's getprior (Lee & Cheung 2009).

    Clin Trials 6:227. Where one level's DLT probability is `target` - `half_width`, that of the next is
    `target` + `half_width`. `at` is the level that has the target before any data. Where it is not given it
    is the middle level, the lower of two: a GUESS. InputError where the interval leaves 0 to 1, or there is
    no such level.

    >>> from kinetics.escalation import indifference_skeleton
    >>> [round(p, 2) for p in indifference_skeleton(0.25, 4)]
    [0.16, 0.25, 0.35, 0.46]
    """
    if at is None:
        at = (levels + 1) // 2
    if not 1 <= at <= levels or not 0 < half_width < min(target, 1 - target):
        what = f"a skeleton with {target:g} +- {half_width:g} at level {at} of {levels}"
        raise InputError(Problem(what, "choose one of the levels, and an interval between 0 and 1"))
    # The ratio of log P at a level to log P at the next one up.
    ratio = np.log(target - half_width) / np.log(target + half_width)
    return tuple(float(target ** (ratio ** (at - level))) for level in range(1, levels + 1))
