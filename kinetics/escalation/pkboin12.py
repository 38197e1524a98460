"""PKBOIN-12 (Sun & Tu 2024, Pharm Stat 24:e2444): BOIN12 that also asks whether a level's exposure suffices.

psi0 is the exposure wanted, psi1 = 0.6 psi0 is too little, and zeta1 = (psi0 + psi1) / 2 = 0.8 psi0 lies
between them. Where the mean exposure at the current level is above zeta1, lower levels may be chosen too,
down to the lowest with a mean above zeta1. Where a level has 6 patients and P(its mean exposure < 1.25 zeta1
= psi0) > 0.95, every decision taken there drops the lowest level below it that is left; where that is the top
level, all levels are dropped. The OBD is sought from that level upwards whose mean exposure, made to rise, is
nearest to psi0 from below.

The evidence of exposure is raw values, as in the paper, or posterior draws of a model's mean exposure per
level (OURS: the draws account for samples below the limit of quantification and for partial sampling). The
decisions taken so far are read off the cohorts in their order. As in the authors' code, a decision may still
send patients to the level that it drops. OURS: today's exposures answer for all decisions, whereas theirs
remembers each; its neighbours of a level skip the levels dropped. Also ours: means are made to rise with
patients as weights; a level that is not admissible is never the OBD. The authors' example is met
(tests/escalation/test_tite_pkboin12.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtr

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin12 import Boin12, Limits
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, escalation_last, tallies

__all__ = ["EXPOSURE_CLAUSE", "ExposureEvidence", "ModelExposures", "PkBoin12", "RawExposures"]

TOO_LITTLE = 0.6  # psi1 / psi0: Sun & Tu 2024
CERTAIN = 0.95  # P(too little exposure) above it drops a level: Sun & Tu 2024
ENOUGH = 6  # patients at a level before its exposure drops any: Sun & Tu 2024
EXPOSURE_CLAUSE = (
    f"from {ENOUGH} patients on P(mean exposure below the wanted) above {CERTAIN:g} drops lower levels; from "
    f"{(1 + TOO_LITTLE) / 2:g} of the wanted on lower levels may be chosen: Sun & Tu 2024"
)


class ExposureEvidence(Protocol):
    """Evidence of the mean exposure of each level, counted from 1.

    >>> from kinetics.escalation import ExposureEvidence, RawExposures
    >>> exposures: ExposureEvidence = RawExposures(((4e3, 6e3), ()))
    >>> exposures.levels, exposures.mean(1), exposures.below(2, 1e4)
    (2, 5000.0, None)
    """

    @property
    def levels(self) -> int:
        """How many levels there is evidence of."""
        ...

    def mean(self, level: int) -> float | None:
        """The mean exposure; None where nothing is known."""
        ...

    def below(self, level: int, bar: float) -> float | None:
        """P(mean exposure < bar); None where it cannot be told."""
        ...


@dataclass(frozen=True)
class RawExposures:
    """Individual exposures: `values` holds one tuple per level, in any one unit.

    With mean r, SD s and n values, P(mean < bar) = Phi((bar - r) / (s / sqrt n)). InputError for a value that
    is no number from 0 up.

    >>> from kinetics.escalation import RawExposures
    >>> exposures = RawExposures(((4e3, 6e3), (1e4, 2e4, 3e4)))
    >>> exposures.levels, exposures.mean(2), round(exposures.below(2, 1e4), 3)
    (2, 20000.0, 0.042)
    """

    values: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for level, values in enumerate(self.values, start=1):
            if not all(isfinite(x) and x >= 0 for x in values):
                what = f"level {level}: an exposure is no number from 0 up"
                raise InputError(Problem(what, "give measured ones"))

    @property
    def levels(self) -> int:
        """How many levels there are values of."""
        return len(self.values)

    def mean(self, level: int) -> float | None:
        """The mean of a level's values; None without any."""
        values = self.values[level - 1]
        return sum(values) / len(values) if values else None

    def below(self, level: int, bar: float) -> float | None:
        """P(mean exposure of a level < bar); None with fewer than two values."""
        values = self.values[level - 1]
        if len(values) < 2:
            return None
        error = float(np.std(values, ddof=1)) / sqrt(len(values))
        distance = bar - float(np.mean(values))
        return float(ndtr(distance / error)) if error else float(distance > 0)


@dataclass(frozen=True, eq=False)
class ModelExposures:
    """Posterior `draws` of a model's mean exposure, draw x level: their mean, and their share below a bar.

    InputError for another shape, or draws that are not finite.

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
            raise InputError(Problem(what, "give a table of numbers, a row per draw and a column per level"))

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


class _Drop(NamedTuple):
    """The `levels` dropped by a decision at the level `by`, with P(too little exposure) there.

    `newest` says whether that decision is the one to be taken now.
    """

    levels: tuple[int, ...]
    by: int
    p: float
    newest: bool


@dataclass(frozen=True)
class PkBoin12:
    """BOIN12 that also looks at exposures: its `boin12`, with the evidence of `exposures`.

    `wanted` is psi0, in the unit of the exposures.
    InputError where the exposures are of other levels, or `wanted` is not above 0.

    >>> from kinetics.escalation import Boin12, Cohort, PkBoin12, RawExposures
    >>> exposures = RawExposures(((4e3, 6e3, 5e3), (), ()))
    >>> rule = PkBoin12(Boin12(levels=3), exposures, wanted=1e4)
    >>> history = [Cohort(level=1, evaluable=3, responses=1)]
    >>> rule.levels, rule.zeta, rule.decide(history).level
    (3, 8000.0, 2)
    >>> print(rule.limits(history).why)
    mean exposure 5000 at level 1
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    boin12: Boin12
    exposures: ExposureEvidence
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
        """The decision after these cohorts and exposures. The trial is at the level of the last cohort."""
        check_history(history, self.levels)
        history = escalation_last(history, self.boin12.lowest)
        if not history or history[-1].level < self.boin12.lowest:
            return self.boin12.decide(history)
        return self.boin12.within(history, self.limits(history))

    def limits(self, history: Sequence[Cohort]) -> Limits:
        """What the exposures add to BOIN12 after the cohorts of `history`, and why.

        The trial is at the level of the last cohort. Pending patients count: exposures are known at once.
        """
        current = history[-1].level
        counts = tallies(history, self.levels)
        means = {}
        for level, tally in counts.items():
            mean = self.exposures.mean(level) if tally.treated else None
            if mean is not None:
                means[level] = mean
        if not means:
            return Limits()
        drops = list(self._drops(history))
        dropped = frozenset(level for drop in drops for level in drop.levels)
        newly_dropped = frozenset(level for drop in drops if drop.newest for level in drop.levels)

        # Where the current level has enough exposure, lower ones that have it too may be chosen.
        enough = [level for level, mean in means.items() if mean > self.zeta]
        lower = range(enough[0], current - 1) if current in enough else range(0)

        obd_from = self._obd_from(means, counts)
        reasons = []
        if current in means:
            reasons.append(f"mean exposure {means[current]:.4g} at level {current}")
        for by, p in dict.fromkeys((drop.by, drop.p) for drop in drops):
            lower_levels = [level for drop in drops if drop.by == by for level in drop.levels]
            which = "every level" if by == self.levels else _listed(lower_levels)
            too_little = f"P(mean exposure < {self.wanted:.4g}) is {p:.3f} at level {by}"
            from_when = " from the next decision on" if newly_dropped.intersection(lower_levels) else ""
            reasons.append(f"{too_little}, which drops {which}{from_when}")
        if obd_from > 1:
            reasons.append(f"exposure is nearest to {self.wanted:.4g} from below at level {obd_from}")
        return Limits(
            dropped=dropped,
            newly_dropped=newly_dropped,
            lower=tuple(level for level in lower if level not in dropped),
            obd_from=obd_from,
            why=", ".join(reasons),
        )

    def _drops(self, history: Sequence[Cohort]) -> Iterator[_Drop]:
        """The levels that were dropped, in order. At the top level, one drop of every level ends them.

        The decisions at a level are those after its sixth patient and after every cohort from then on.
        """
        treated = dict.fromkeys(range(1, self.levels + 1), 0)
        left = list(range(self.boin12.lowest, self.levels + 1))
        levels = [c.level for c in history for _ in range(c.evaluable + c.pending)]
        for patient, level in enumerate(levels, start=1):
            treated[level] += 1
            if treated[level] < ENOUGH or (treated[level] - ENOUGH) % self.boin12.cohort:
                continue
            p = self.exposures.below(level, self.wanted)
            if p is None or p <= CERTAIN:
                continue
            newest = patient == len(levels)
            if level == self.levels:
                yield _Drop(tuple(treated), level, p, newest)
                return
            if left[0] < level:
                yield _Drop((left.pop(0),), level, p, newest)

    def _obd_from(self, means: Mapping[int, float], counts: Mapping[int, Tally]) -> int:
        """The tried level whose mean exposure, made to rise, is nearest to the wanted one from below.

        1 where every mean is the wanted exposure or more; the lowest of levels pooled to one mean.
        """
        patients = [counts[level].treated for level in means]
        rising = isotonic_regression(list(means.values()), weights=patients).x
        too_low = [mean for mean in rising if mean < self.wanted]
        if not too_low:
            return 1
        nearest = too_low[-1]
        return next(level for level, mean in zip(means, rising, strict=True) if mean == nearest)


def _listed(levels: Sequence[int]) -> str:
    """Levels in words: "level 2", "levels 1, 2"."""
    return f"level{'s' if len(levels) > 1 else ''} {', '.join(map(str, levels))}"
