"""BLRM, Bayesian logistic regression with overdose control (EWOC): Neuenschwander 2008, Stat Med 27:2420.

logit P(dose) = log alpha + beta log(dose / reference), (log alpha, log beta) bivariate normal. A level is
admissible where P(overdose) does not exceed `feasible`. The intervals are data, because published ones
differ: OncoBayes2 has 0 / .16 / .33 / 1, crmPack's examples .20 and .35. Every decision prints those it used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
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

__all__ = ["Blrm", "LevelPosterior"]


@dataclass(frozen=True)
class LevelPosterior:
    """The posterior of one level's DLT probability: its mean, and P(under, in, over the target interval)."""

    level: int
    mean: float
    under: float
    target: float
    over: float


@dataclass(frozen=True)
class Blrm:
    """Bayesian logistic regression of DLT on dose, with overdose control.

    `doses` are in any one unit, and the `reference` dose in the same. `mean`, `sd` and `correlation` are the
    prior of (log alpha, log beta). `target` is the interval wanted; above it is overdose, and `feasible` is
    the greatest P(overdose) that is admissible. `choose` picks, among admissible levels, the one with most
    probability in the target ("target") or the highest one ("highest", plain EWOC). The trial begins at the
    level `start` and sends nobody below `lowest`. `most` patients end it; so does a next level that has
    `most_at_a_level` evaluable patients already. The grid spans 6 prior SDs either way with `points` a side.
    InputError for doses or an interval that do not rise, or for a prior
    that is no bivariate normal.

    >>> from kinetics.escalation import Blrm, Cohort
    >>> rule = Blrm(doses=(1.5e7, 3e7, 5e7), reference=3e7, mean=(-0.85, 0.0), sd=(2.0, 1.0))
    >>> history = [Cohort(level=1, evaluable=3)]
    >>> rule.levels, rule.decide(history).level, len(rule.posterior(history))
    (3, 2, 3)
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    doses: tuple[float, ...]
    reference: float
    mean: tuple[float, float]
    sd: tuple[float, float]
    correlation: float = 0.0
    target: tuple[float, float] = (0.16, 0.33)  # OncoBayes2's intervals: 0 / .16 / .33 / 1
    feasible: float = 0.25  # P(overdose) at most: EWOC, Babb 1998 (Stat Med 17:1103) and OncoBayes2
    choose: Literal["target", "highest"] = "highest"
    start: int = 1
    cohort: int = 3
    most: int = 30
    points: int = 241
    lowest: int = 1
    most_at_a_level: int | None = None
    trigger_levels: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        problems = []
        rising = all(lower < upper for lower, upper in pairwise((0.0, *self.doses)))
        if not rising or self.reference <= 0:
            what = f"doses {self.doses}, reference {self.reference:g}"
            problems.append(Problem(what, "give rising doses above 0"))
        if not 0 < self.target[0] < self.target[1] < 1:
            problems.append(Problem(f"a target interval of {self.target}", "give two rising probabilities"))
        if not -1 < self.correlation < 1 or min(self.sd) <= 0:
            remedy = "SDs above 0, a correlation between -1 and 1"
            problems.append(Problem("the prior is no bivariate normal", remedy))
        if problems:
            raise InputError(problems)

    @property
    def levels(self) -> int:
        """How many doses there are."""
        return len(self.doses)

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """The logit of P(DLT), level x grid point, and the log prior of every grid point."""
        z = np.linspace(-6, 6, self.points)  # in prior SDs
        first, second = np.meshgrid(z, z, indexing="ij")
        log_alpha = self.mean[0] + self.sd[0] * first
        mixed = self.correlation * first + np.sqrt(1 - self.correlation**2) * second
        beta = np.exp(self.mean[1] + self.sd[1] * mixed)
        x = np.log(np.array(self.doses) / self.reference)
        logit = log_alpha.reshape(-1) + beta.reshape(-1) * x.reshape(-1, 1)
        return logit, (-0.5 * (first**2 + second**2)).reshape(-1)

    @cached_property
    def _grid_probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """-log P(no DLT), level x grid point; and what is averaged: P(DLT), whether under, whether over.

        The second is (P(DLT), under, over) x level x grid point.
        """
        logit = self._grid[0]
        low, high = (np.log(p / (1 - p)) for p in self.target)
        chance = np.exp(-np.logaddexp(0, -logit))
        return np.logaddexp(0, logit), np.stack([chance, logit < low, logit > high])

    def posterior(self, history: Sequence[Cohort]) -> list[LevelPosterior]:
        """Mean and interval probabilities of every level."""
        logit, log_weight = self._grid
        no_dlt, averaged = self._grid_probabilities
        for level, t in tallies(history, self.levels).items():
            if t.evaluable:
                log_weight = log_weight + t.dlts * logit[level - 1] - t.evaluable * no_dlt[level - 1]
        weight = np.exp(log_weight - log_weight.max())
        means = (averaged @ (weight / weight.sum())).T.tolist()
        return [
            LevelPosterior(level, mean, under, 1 - under - over, over)
            for level, (mean, under, over) in enumerate(means, start=1)
        ]

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts."""
        check_history(history, self.levels)
        history = escalation_last(history, self.lowest)
        counts = tallies(history, self.levels)
        treated = sum(t.treated for t in counts.values())
        tried = highest_tried(counts)
        if not history or history[-1].level < self.lowest:
            why = f"BLRM begins with {self.cohort} at level {self.start}"
            return Decision("treat", why, "another starting level", level=self.start, size=self.cohort)
        if any(t.pending for t in counts.values()):
            why = "DLT windows are open: this BLRM decides when they have ended"
            return Decision("wait", why, "the end of the open windows", level=history[-1].level)
        posterior = self.posterior(history)
        rule = f"target {self.target[0]:g} to {self.target[1]:g}, P(overdose) at most {self.feasible:g}"
        would = "another prior, another interval, or another outcome of the last cohort"
        admissible = [p for p in posterior if p.over <= self.feasible and self.lowest <= p.level <= tried + 1]
        if not admissible:
            over = posterior[self.lowest - 1].over
            why = f"no level is admissible: P(overdose) is {over:.3f} at level {self.lowest} ({rule})"
            return Decision("stop", why, would, mtd=0)
        best = max(admissible, key=self._merit)
        probabilities = f"P(target) {best.target:.3f}, P(overdose) {best.over:.3f}"
        why = f"level {best.level}: {probabilities} ({rule}; {self.choose})"
        if treated >= self.most:
            tested = [p for p in admissible if counts[p.level].evaluable]
            mtd = max(tested, key=self._merit).level if tested else 0
            return Decision("stop", f"{treated} were planned; {why}", would, mtd=mtd)
        if self.most_at_a_level is not None and counts[best.level].evaluable >= self.most_at_a_level:
            full = f"{why}; {counts[best.level].evaluable} are at level {best.level}: full"
            return Decision("stop", full, would, mtd=best.level)
        return Decision("treat", why, would, level=best.level, size=min(self.cohort, self.most - treated))

    def _merit(self, p: LevelPosterior) -> tuple[float, int]:
        """What the chosen level has most of; the higher of two equal levels comes first."""
        return (p.target if self.choose == "target" else p.level), p.level
