"""From exposure to outcome: Bayesian proportional-odds regression that knows how uncertain each exposure is.

    logit P(grade of subject i >= k) = logit P_k + sum_j slope_j ln(x_ij / reference_j),     k = 1 ... K

P_k, the chance of grade k or more at the reference exposures, comes of grade shares with a Dirichlet prior; a
slope is the log odds ratio of one unit of ln exposure, normal a priori. An exposure is not a number but the
subject's posterior draws: its likelihood is the mean over them,

    L_i = 1/S sum_s P(grade_i | x_i^(s)),

the individual-parameters-with-uncertainty approach (IPPSE: Lacroix BD, Friberg LE, Karlsson MO, J
Pharmacokinet Pharmacodyn 2012;39:177) without its normal approximation. Subjects' draws are taken as
independent of one another, and what an outcome says of an exposure is not handed back to the kinetic fit.

With a handful of parameters and a few dozen subjects the prior is a good proposal: its draws are weighted by
the likelihood until they are worth `WORTH` and then resampled. No chain, no tuning; the effective number is
reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from scipy.special import expit, logit, logsumexp

from kinetics.errors import InputError, Problem

__all__ = ["ExposureResponse", "Slope", "exposure_response"]

# draws of the prior at a time, and in all
BATCH = 5_000
MOST = 400_000
KEPT = 4_000  # draws resampled
WORTH = 2_000.0  # effective draws (Kish) that end the search
ENOUGH = 400.0  # effective draws below which `ok` is false: the fit's own threshold for chains


@dataclass(frozen=True)
class Slope:
    """The prior of a log odds ratio a unit of ln exposure, where ln exposure counts from, and where both are
    from.

    Normal with this `mean` and `sd` of log odds; `reference` is an exposure in its own unit; `source` says
    both.

    >>> kn.decision.Slope(mean=0.0, sd=1.0, reference=1e4, source="a guess").reference
    10000.0
    """

    mean: float
    sd: float
    reference: float
    source: str


@dataclass(frozen=True, eq=False)
class ExposureResponse:
    """The posterior. `p_at_reference` (draw x k): P(grade k + 1 or more); `slopes` (draw,) by exposure.

    `n` subjects, `counts` of each grade of the `outcome`; `ess` is what the weighted draws are worth.

    >>> cmax, prior = np.array([[2e3, 8e3, 2e4, 9e4]]), kn.decision.Slope(0.0, 1.0, reference=1e4, source="a guess")
    >>> found = kn.decision.exposure_response("CRS", [0, 0, 1, 2], {"cmax": cmax}, {"cmax": prior}, categories=3)
    >>> found.ok, found.table()["exposure"].tolist()
    (True, ['cmax'])
    >>> p = found.probability({"cmax": np.full((len(found.slopes["cmax"]), 1), 5e4)}, at_least=1)
    >>> bool(0.5 < np.median(p) < 1)
    True
    """

    outcome: str
    n: int
    counts: tuple[int, ...]  # subjects of each grade
    priors: Mapping[str, Slope]
    p_at_reference: Float[np.ndarray, "draw grade"]
    slopes: Mapping[str, Float[np.ndarray, " draw"]]
    ess: float

    @property
    def ok(self) -> bool:
        """Whether the draws are worth 400 independent ones."""
        return self.ess > ENOUGH

    def probability(
        self, exposures: Mapping[str, Float[np.ndarray, "draw patient"]], at_least: int = 1
    ) -> Float[np.ndarray, "draw patient"]:
        """P(grade `at_least` or more) at each exposure; draw s of the exposures meets draw s of the
        regression.

        Raises InputError for a grade there is none of, an exposure that is missing or not above 0.
        """
        problems = [
            Problem(f"no exposure {k!r}", f"give {', '.join(self.slopes)}")
            for k in self.slopes
            if k not in exposures
        ]
        if not 1 <= at_least <= self.p_at_reference.shape[1]:
            problems.append(
                Problem(f"grade {at_least} of {self.outcome}", f"1 to {self.p_at_reference.shape[1]}")
            )
        problems += [
            Problem(f"{k} holds a value that is not above 0", "leave these draws out")
            for k in self.slopes
            if k in exposures and not (np.asarray(exposures[k]) > 0).all()
        ]
        if problems:
            raise InputError(problems)
        draws = len(next(iter(exposures.values())))
        which = np.arange(draws) * len(self.p_at_reference) // draws
        eta = logit(self.p_at_reference[which, at_least - 1])[:, None]
        for k, slope in self.slopes.items():
            eta = eta + slope[which][:, None] * np.log(np.asarray(exposures[k]) / self.priors[k].reference)
        return expit(eta)

    def table(self) -> DataFrame:
        """One row a slope: odds ratio for twice the exposure (median, 90 %), P(slope > 0), what the prior
        said.
        """
        rows = []
        for k, slope in self.slopes.items():
            prior = self.priors[k]
            ratios = 2.0 ** np.quantile(slope, [0.05, 0.5, 0.95])
            before = 2.0 ** (prior.mean + np.array([-1.645, 0.0, 1.645]) * prior.sd)
            rows.append(
                {
                    "outcome": self.outcome,
                    "exposure": k,
                    "n": self.n,
                    "by_grade": " ".join(map(str, self.counts)),
                    "or_per_doubling": ratios[1],
                    "lower": ratios[0],
                    "upper": ratios[2],
                    "p_positive": float(np.mean(slope > 0)),
                    "prior_or": before[1],
                    "prior_lower": before[0],
                    "prior_upper": before[2],
                    "learnt": max(0.0, 1 - float(np.std(slope)) / prior.sd),
                    "prior_source": prior.source,
                }
            )
        return DataFrame(rows)


def exposure_response(
    outcome: str,
    grades: Sequence[int],
    exposures: Mapping[str, Float[np.ndarray, "draw subject"]],
    priors: Mapping[str, Slope],
    *,
    categories: int,
    shares: Sequence[float] | None = None,
    seed: int = 1,
) -> ExposureResponse:
    """Fit `grades` (subject,; 0 to categories - 1) to the exposures of the same subjects.

    `shares` is the concentration of the Dirichlet prior of the grades' shares at the reference exposures
    (default: 1 each, uniform). InputError lists what is wrong: lengths, grades, exposures without a prior or
    not above 0. `outcome` names what is graded.

    >>> cmax = np.array([[2e3, 8e3, 2e4, 9e4]])  # one draw, four subjects
    >>> prior = kn.decision.Slope(mean=0.0, sd=1.0, reference=1e4, source="a guess")
    >>> found = kn.decision.exposure_response("CRS", [0, 0, 1, 2], {"cmax": cmax}, {"cmax": prior}, categories=3)
    >>> found.n, found.counts
    (4, (2, 1, 1))
    """
    y = np.asarray(grades, int)
    x = {k: np.asarray(v, float) for k, v in exposures.items()}
    concentration = np.ones(categories) if shares is None else np.asarray(shares, float)
    _check(outcome, y, x, priors, categories, concentration)
    logs = np.stack([np.log(x[k] / priors[k].reference) for k in priors])  # exposure, draw, subject
    rng = np.random.default_rng(seed)
    ess = 0.0
    tails = np.zeros((0, categories - 1))
    slopes = np.zeros((0, len(priors)))
    weights = relative = np.zeros(0)
    while ess < WORTH and len(weights) < MOST:
        fresh = _drawn(concentration, list(priors.values()), rng)
        weights = np.concatenate([weights, _log_likelihood(fresh[0], fresh[1], logs, y)])
        relative = np.exp(weights - logsumexp(weights))
        ess = float(1 / np.sum(relative**2))
        tails = np.concatenate([tails, fresh[0]])
        slopes = np.concatenate([slopes, fresh[1]])
    positions = (rng.uniform() + np.arange(KEPT)) / KEPT  # systematic resampling
    which = rng.permutation(np.minimum(np.searchsorted(np.cumsum(relative), positions), len(relative) - 1))
    counts = tuple(int(np.sum(y == k)) for k in range(categories))
    kept = {k: slopes[which, j] for j, k in enumerate(priors)}
    return ExposureResponse(outcome, len(y), counts, dict(priors), tails[which], kept, min(ess, KEPT))


def _drawn(
    concentration: np.ndarray, priors: Sequence[Slope], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "draw grade"], Float[np.ndarray, "draw exposure"]]:
    """A batch of the prior: P(grade k or more) at the reference, and the slopes."""
    shares = rng.dirichlet(concentration, BATCH)
    tails = np.clip(1 - np.cumsum(shares, axis=1)[:, :-1], 1e-12, 1 - 1e-12)
    return tails, np.stack([rng.normal(p.mean, p.sd, BATCH) for p in priors], axis=1)


def _log_likelihood(
    tails: Float[np.ndarray, "draw grade"],
    slopes: Float[np.ndarray, "draw exposure"],
    logs: Float[np.ndarray, "exposure sample subject"],
    y: Float[np.ndarray, " subject"],
) -> Float[np.ndarray, " draw"]:
    """Of every draw, summed over subjects: ln of the mean over a subject's exposures of P(own grade)."""
    cuts = np.pad(logit(tails), ((0, 0), (1, 1)), constant_values=((0, 0), (np.inf, -np.inf)))
    total = np.zeros(len(tails))
    for i, grade in enumerate(y):
        shift = slopes @ logs[:, :, i]  # draw, sample
        own = expit(cuts[:, grade, None] + shift) - expit(cuts[:, grade + 1, None] + shift)
        total += np.log(np.maximum(own.mean(axis=1), 1e-300))
    return total


def _check(
    outcome: str,
    y: np.ndarray,
    x: Mapping[str, np.ndarray],
    priors: Mapping[str, Slope],
    categories: int,
    concentration: np.ndarray,
) -> None:
    problems = []
    if categories < 2 or concentration.shape != (categories,) or (concentration <= 0).any():
        problems.append(Problem(f"{categories} grades of {outcome}", "two or more, a share above 0 for each"))
    if not len(y) or y.min() < 0 or y.max() >= categories:
        problems.append(
            Problem(
                f"grades of {outcome}: {sorted(set(y.tolist()))}",
                f"at least one subject, 0 to {categories - 1}",
            )
        )
    if set(x) != set(priors) or not x:
        problems.append(
            Problem(f"exposures {sorted(x)}, priors {sorted(priors)}", "give one prior for each exposure")
        )
    for k, v in x.items():
        if v.ndim != 2 or v.shape[1] != len(y):
            problems.append(Problem(f"{k} has shape {v.shape}", f"(draws, {len(y)}): a column a subject"))
        elif not (np.isfinite(v) & (v > 0)).all():
            problems.append(
                Problem(f"{k} is not above 0 for a subject", "leave that subject out, or clip at the LLOQ")
            )
    if problems:
        raise InputError(problems)
