"""Exposure-response: Bayesian proportional-odds regression that uses the uncertainty of each exposure.

    logit P(grade of subject i >= k) = logit P_k + sum_j slope_j ln(x_ij / reference_j),     k = 1 ... K

P_k, the chance of grade k or more at the reference exposures, comes from the shares of the grades, which have
a Dirichlet prior. A slope is the log odds ratio of one unit of ln exposure, normal a priori. An exposure is
not a number but the subject's posterior draws: its likelihood is the mean over them,

    L_i = 1/S sum_s P(grade_i | x_i^(s)),

the individual-parameters-with-uncertainty approach (IPPSE: Lacroix BD, Friberg LE, Karlsson MO, J
Pharmacokinet Pharmacodyn 2012;39:177) without its normal approximation. Subjects' draws are taken as
independent of one another, and what an outcome says about an exposure is not handed back to the kinetic fit.

With a handful of parameters and a few dozen subjects the prior is a good proposal: its draws are weighted by
the likelihood until they are worth `WORTH` independent ones, and then resampled. This needs no chain and no
tuning, and the effective number of draws is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """The prior of a slope, which is the log odds ratio of one unit of ln exposure.

    Normal with this `mean` and `sd` of log odds. `reference` is the exposure, in its own unit, from which ln
    exposure is counted. `source` says where the numbers come from.

    >>> kn.decision.Slope(mean=0.0, sd=1.0, reference=1e4, source="a guess").reference
    10000.0
    """

    mean: float
    sd: float
    reference: float
    source: str


@dataclass(frozen=True, eq=False)
class ExposureResponse:
    """The posterior of an exposure-response regression.

    `p_at_reference` (draw x k): P(grade k + 1 or more) at the reference exposures; `slopes`: exposure ->
    (draw,). `n` subjects, `counts` of each grade of the `outcome`; `ess` is the number of independent draws
    that the weighted ones are worth.

    >>> cmax = {"cmax": np.array([[2e3, 8e3, 2e4, 9e4]])}
    >>> prior = {"cmax": kn.decision.Slope(0.0, 1.0, reference=1e4, source="a guess")}
    >>> found = kn.decision.exposure_response("CRS", [0, 0, 1, 2], cmax, prior, categories=3)
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
        """Whether the effective sample size of the draws is at least 400."""
        return self.ess > ENOUGH

    def probability(
        self, exposures: Mapping[str, Float[np.ndarray, "draw patient"]], at_least: int = 1
    ) -> Float[np.ndarray, "draw patient"]:
        """P(grade `at_least` or more) at each exposure.

        Draw s of the exposures uses draw s of the regression. InputError for a grade that does not exist, or
        an exposure that is missing or not above 0.
        """
        problems = []
        for name in self.slopes:
            if name not in exposures:
                problems.append(Problem(f"no exposure {name!r}", f"give {', '.join(self.slopes)}"))
        highest = self.p_at_reference.shape[1]
        if not 1 <= at_least <= highest:
            problems.append(Problem(f"grade {at_least} of {self.outcome}", f"1 to {highest}"))
        for name in self.slopes:
            if name in exposures and not (np.asarray(exposures[name]) > 0).all():
                what = f"{name} holds a value that is not above 0"
                problems.append(Problem(what, "leave these draws out"))
        if problems:
            raise InputError(problems)
        draws = len(next(iter(exposures.values())))
        rows = np.arange(draws) * len(self.p_at_reference) // draws  # draws of the regression
        eta = logit(self.p_at_reference[rows, at_least - 1])[:, None]
        for name, slope in self.slopes.items():
            logs = np.log(np.asarray(exposures[name]) / self.priors[name].reference)
            eta = eta + slope[rows][:, None] * logs
        return expit(eta)

    def table(self) -> DataFrame:
        """One row per slope: odds ratio for twice the exposure (median, 90 %), P(slope > 0), and the prior.

        Columns: outcome, exposure, n, by_grade (subjects of each grade), or_per_doubling, lower, upper,
        p_positive, prior_or, prior_lower, prior_upper, learnt (share by which the SD is below the prior's),
        prior_source.
        """
        rows = []
        for name, slope in self.slopes.items():
            prior = self.priors[name]
            lower, median, upper = 2.0 ** np.quantile(slope, [0.05, 0.5, 0.95])
            prior_quantiles = prior.mean + np.array([-1.645, 0.0, 1.645]) * prior.sd
            prior_lower, prior_median, prior_upper = 2.0**prior_quantiles
            rows.append(
                {
                    "outcome": self.outcome,
                    "exposure": name,
                    "n": self.n,
                    "by_grade": " ".join(map(str, self.counts)),
                    "or_per_doubling": median,
                    "lower": lower,
                    "upper": upper,
                    "p_positive": float(np.mean(slope > 0)),
                    "prior_or": prior_median,
                    "prior_lower": prior_lower,
                    "prior_upper": prior_upper,
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
    """Fit grades, an array (subject,) of 0 to categories - 1, to the exposures of the same subjects.

    `outcome` names what is graded. `shares` is the concentration of the Dirichlet prior of the grades' shares
    at the reference exposures (default: 1 each, uniform). `seed` draws the sample. InputError lists every
    problem: lengths, grades, exposures without a prior or not above 0.

    >>> cmax = {"cmax": np.array([[2e3, 8e3, 2e4, 9e4]])}  # one draw, four subjects
    >>> prior = {"cmax": kn.decision.Slope(mean=0.0, sd=1.0, reference=1e4, source="a guess")}
    >>> found = kn.decision.exposure_response("CRS", [0, 0, 1, 2], cmax, prior, categories=3)
    >>> found.n, found.counts
    (4, (2, 1, 1))
    """
    y = np.asarray(grades, int)
    x = {k: np.asarray(v, float) for k, v in exposures.items()}
    concentration = np.ones(categories) if shares is None else np.asarray(shares, float)
    problems = list(_problems(outcome, y, x, priors, categories, concentration=concentration))
    if problems:
        raise InputError(problems)
    logs = np.stack([np.log(x[k] / priors[k].reference) for k in priors])  # exposure, draw, subject

    # importance sampling: batches of the prior, weighted by the likelihood
    rng = np.random.default_rng(seed)
    ess = 0.0
    tails = np.zeros((0, categories - 1))
    slopes = np.zeros((0, len(priors)))
    log_weights = np.zeros(0)
    weights = np.zeros(0)
    while ess < WORTH and len(log_weights) < MOST:
        new_tails, new_slopes = _prior_draws(concentration, list(priors.values()), rng)
        new_log_weights = _log_likelihood(new_tails, new_slopes, logs, y)
        log_weights = np.concatenate([log_weights, new_log_weights])
        weights = np.exp(log_weights - logsumexp(log_weights))
        ess = float(1 / np.sum(weights**2))
        tails = np.concatenate([tails, new_tails])
        slopes = np.concatenate([slopes, new_slopes])

    # systematic resampling
    positions = (rng.uniform() + np.arange(KEPT)) / KEPT
    rows = np.minimum(np.searchsorted(np.cumsum(weights), positions), len(weights) - 1)
    rows = rng.permutation(rows)
    return ExposureResponse(
        outcome=outcome,
        n=len(y),
        counts=tuple(int(np.sum(y == k)) for k in range(categories)),
        priors=dict(priors),
        p_at_reference=tails[rows],
        slopes={name: slopes[rows, j] for j, name in enumerate(priors)},
        ess=min(ess, KEPT),
    )


def _prior_draws(
    concentration: np.ndarray, priors: Sequence[Slope], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "draw grade"], Float[np.ndarray, "draw exposure"]]:
    """A batch of draws of the prior: P(grade k or more) at the reference, and the slopes."""
    shares = rng.dirichlet(concentration, BATCH)
    tails = np.clip(1 - np.cumsum(shares, axis=1)[:, :-1], 1e-12, 1 - 1e-12)
    return tails, np.stack([rng.normal(p.mean, p.sd, BATCH) for p in priors], axis=1)


def _log_likelihood(
    tails: Float[np.ndarray, "draw grade"],
    slopes: Float[np.ndarray, "draw exposure"],
    logs: Float[np.ndarray, "exposure sample subject"],
    y: Float[np.ndarray, " subject"],
) -> Float[np.ndarray, " draw"]:
    """The log likelihood of every draw.

    The sum over subjects of the log of P(the subject's grade), averaged over the subject's exposures.
    """
    cuts = np.pad(logit(tails), ((0, 0), (1, 1)), constant_values=((0, 0), (np.inf, -np.inf)))
    total = np.zeros(len(tails))
    for i, grade in enumerate(y):
        shift = slopes @ logs[:, :, i]  # draw, sample
        p_grade = expit(cuts[:, grade, None] + shift) - expit(cuts[:, grade + 1, None] + shift)
        total += np.log(np.maximum(p_grade.mean(axis=1), 1e-300))
    return total


def _problems(
    outcome: str,
    y: np.ndarray,
    x: Mapping[str, np.ndarray],
    priors: Mapping[str, Slope],
    categories: int,
    *,
    concentration: np.ndarray,
) -> Iterator[Problem]:
    """What keeps a regression from being fitted."""
    if categories < 2 or concentration.shape != (categories,) or (concentration <= 0).any():
        yield Problem(f"{categories} grades of {outcome}", "two or more, a share above 0 for each")
    if not len(y) or y.min() < 0 or y.max() >= categories:
        what = f"grades of {outcome}: {sorted(set(y.tolist()))}"
        yield Problem(what, f"at least one subject, 0 to {categories - 1}")
    if set(x) != set(priors) or not x:
        what = f"exposures {sorted(x)}, priors {sorted(priors)}"
        yield Problem(what, "give one prior for each exposure")
    for name, values in x.items():
        if values.ndim != 2 or values.shape[1] != len(y):
            what = f"{name} has shape {values.shape}"
            yield Problem(what, f"(draws, {len(y)}): a column per subject")
        elif not (np.isfinite(values) & (values > 0)).all():
            what = f"{name} is not above 0 for a subject"
            yield Problem(what, "leave that subject out, or clip at the LLOQ")
