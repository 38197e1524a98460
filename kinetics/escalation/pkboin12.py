"""PKBOIN-12 (Sun & Tu 2024, Pharm Stat 24:e2444): BOIN12 that also asks whether a level's exposure suffices.

psi0 is the exposure wanted, psi1 = 0.6 psi0 too little, zeta1 = (psi0 + psi1) / 2 = 0.8 psi0 between them.
Where the mean exposure at the current level is above zeta1, lower levels down to the lowest with a mean above
it may be chosen too. Where a level has 6 patients and P(its mean exposure < 1.25 zeta1 = psi0) > 0.95, the
lowest level below it that is left is dropped; at the top level, all are. The OBD is sought from the level up
whose mean exposure, made to rise, is nearest to psi0 from below.

Evidence of exposure is raw values, as in the paper, or posterior draws of a model's mean exposure per level
(OURS: they know of samples below the limit of quantification and of partial sampling). OURS too, so that the
same data get the same answer: each level with too little exposure drops one, whereas the authors' code drops
one more at every decision there; means are made to rise with patients as weights; a level that is not
admissible is never the OBD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from math import isfinite, sqrt
from typing import ClassVar, Protocol

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtr

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin12 import Boin12, Limits
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, tallies

__all__ = ["Exposures", "ModelExposures", "PkBoin12", "RawExposures"]

TOO_LITTLE = 0.6  # psi1 / psi0: Sun & Tu 2024
CERTAIN = 0.95  # P(too little exposure) above it drops a level: Sun & Tu 2024
ENOUGH = 6  # patients at a level before its exposure drops any: Sun & Tu 2024


class Exposures(Protocol):
    """What is known of the mean exposure of each level, 1 up.

    >>> from kinetics.escalation import Exposures, RawExposures
    >>> exposures: Exposures = RawExposures(((4e3, 6e3), ()))
    >>> exposures.levels, exposures.mean(1), exposures.below(2, 1e4)
    (2, 5000.0, None)
    """

    @property
    def levels(self) -> int:
        """How many levels it knows of."""
        ...

    def mean(self, level: int) -> float | None:
        """The mean exposure; None where nothing is known."""
        ...

    def below(self, level: int, bar: float) -> float | None:
        """P(mean exposure < bar); None where it cannot be told."""
        ...


@dataclass(frozen=True)
class RawExposures:
    """Individual exposures, a tuple a level: mean r, and P(mean < bar) = Phi((bar - r) / (s / sqrt n)).

    `values` are in any one unit. InputError for a value that is none.

    >>> from kinetics.escalation import RawExposures
    >>> exposures = RawExposures(((4e3, 6e3), (1e4, 2e4, 3e4)))
    >>> exposures.levels, exposures.mean(2), round(exposures.below(2, 1e4), 3)
    (2, 20000.0, 0.042)
    """

    values: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if wrong := [
            i for i, own in enumerate(self.values, 1) if not all(isfinite(x) and x >= 0 for x in own)
        ]:
            raise InputError(
                Problem(f"level {wrong[0]}: an exposure is no number from 0 up", "give measured ones")
            )

    @property
    def levels(self) -> int:
        """How many levels there are values of."""
        return len(self.values)

    def mean(self, level: int) -> float | None:
        """The mean of a level's values; None without any."""
        own = self.values[level - 1]
        return sum(own) / len(own) if own else None

    def below(self, level: int, bar: float) -> float | None:
        """P(mean exposure of a level < bar); None with fewer than two values."""
        own = self.values[level - 1]
        if len(own) < 2:
            return None
        error = float(np.std(own, ddof=1)) / sqrt(len(own))
        distance = bar - float(np.mean(own))
        return float(ndtr(distance / error)) if error else float(distance > 0)


@dataclass(frozen=True, eq=False)
class ModelExposures:
    """Posterior draws of a model's mean exposure, draw x level: their mean, and their share below a bar.

    InputError for another shape, or what is no number.

    >>> from kinetics.escalation import ModelExposures
    >>> exposures = ModelExposures(np.array([[4e3, 1e4], [6e3, 3e4]]))  # two draws, two levels
    >>> exposures.levels, exposures.mean(2), exposures.below(2, 2e4)
    (2, 20000.0, 0.5)
    """

    draws: np.ndarray

    def __post_init__(self) -> None:
        draws = np.asarray(self.draws, dtype=float)
        if draws.ndim != 2 or draws.shape[0] == 0 or not np.isfinite(draws).all():
            what = f"draws of shape {draws.shape}"
            raise InputError(Problem(what, "give a table of numbers, a row a draw and a column a level"))

    @property
    def levels(self) -> int:
        """How many levels the draws are of."""
        return self.draws.shape[1]

    def mean(self, level: int) -> float | None:
        """The mean of a level's draws."""
        return float(self.draws[:, level - 1].mean())

    def below(self, level: int, bar: float) -> float | None:
        """The share of a level's draws below `bar`."""
        return float((self.draws[:, level - 1] < bar).mean())


@dataclass(frozen=True)
class PkBoin12:
    """The rule: its `boin12` within what `exposures` say; `wanted` is psi0, in their unit.

    InputError where the exposures are of other levels, or `wanted` is not above 0.

    >>> from kinetics.escalation import Boin12, Cohort, PkBoin12, RawExposures
    >>> exposures = RawExposures(((4e3, 6e3, 5e3), (), ()))
    >>> rule = PkBoin12(Boin12(levels=3), exposures, wanted=1e4)
    >>> rule.levels, rule.zeta, rule.decide([Cohort(level=1, evaluable=3, responses=1)]).level
    (3, 8000.0, 2)
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    boin12: Boin12
    exposures: Exposures
    wanted: float
    trigger_levels: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        problems = []
        if self.exposures.levels != self.levels:
            what = f"exposures of {self.exposures.levels} levels for a rule of {self.levels}"
            problems.append(Problem(what, "give one of each level, the lowest first"))
        if not self.wanted > 0:
            problems.append(Problem(f"a wanted exposure of {self.wanted:g}", "give one above 0"))
        if problems:
            raise InputError(problems)

    @property
    def levels(self) -> int:
        """How many levels its `boin12` has."""
        return self.boin12.levels

    @property
    def zeta(self) -> float:
        """zeta1: half way between the exposure wanted and too little."""
        return self.wanted * (1 + TOO_LITTLE) / 2

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """What next, after these cohorts and with these exposures; the last cohort is where the trial is."""
        check_history(history, self.levels)
        return self.boin12.within(history, self._limits(history))

    def _limits(self, history: Sequence[Cohort]) -> Limits:
        known = tallies(history, self.levels)
        means = {i: r for i, t in known.items() if t.evaluable and (r := self.exposures.mean(i)) is not None}
        if not history or not means:
            return Limits()
        current = history[-1].level
        enough = [i for i, r in means.items() if r > self.zeta]
        dropped, dropping = self._dropped(known)
        lower = range(enough[0], current - 1) if current in enough else range(0)
        obd_from = self._lowest(means, known)
        said = [f"mean exposure {means[current]:.4g} at level {current}"] if current in means else []
        for i, p in dropping:
            what = "every level" if i == self.levels else "the lowest left below it"
            said.append(f"P(mean exposure < {self.wanted:.4g}) is {p:.3f} at level {i}, which drops {what}")
        if obd_from > 1:
            said.append(f"exposure is nearest to {self.wanted:.4g} from below at level {obd_from}")
        return Limits(dropped, tuple(i for i in lower if i not in dropped), obd_from, ", ".join(said))

    def _dropped(self, known: Mapping[int, Tally]) -> tuple[frozenset[int], list[tuple[int, float]]]:
        """The levels dropped for too little exposure, and the levels that drop them with their P."""
        gone: list[int] = []
        dropping = []
        for level, t in known.items():
            p = self.exposures.below(level, self.wanted) if t.evaluable >= ENOUGH else None
            if p is None or p <= CERTAIN:
                continue
            if level == self.levels:
                return frozenset(known), [(level, p)]
            if left := [i for i in range(1, level) if i not in gone]:
                gone.append(left[0])
                dropping.append((level, p))
        return frozenset(gone), dropping

    def _lowest(self, means: Mapping[int, float], known: Mapping[int, Tally]) -> int:
        """The tried level whose mean exposure, made to rise, is nearest to the wanted from below; 1 where
        none is.
        """
        patients = [known[i].evaluable for i in means]
        rising = isotonic_regression(list(means.values()), weights=patients).x
        short = [r for r in rising if r < self.wanted]
        return next(compress(means, (r == short[-1] for r in rising))) if short else 1
