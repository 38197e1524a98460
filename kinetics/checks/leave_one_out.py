"""Leave-one-out by Pareto-smoothed importance sampling: how well a fit predicts what it has not seen.

`by="observation"` leaves out one record and keeps the patient's others: it asks about another sample of the
same patient. `by="subject"` leaves out a patient with all records: it asks about a new patient. PSIS is
ArviZ's (Vehtari, Gelman & Gabry 2017; Vehtari, Simpson, Gelman, Yao & Gabry 2024).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from arviz_stats.base import array_stats  # pyright: ignore[reportPrivateImportUsage]
from pandas import DataFrame
from scipy.special import logsumexp

from kinetics.arguments import require
from kinetics.checks.log_likelihoods import Pointwise, record_log_likelihoods, subject_log_likelihoods
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.inference import Fit

__all__ = ["By", "Loo", "loo"]

By = Literal["observation", "subject"]
_EVEN = 0.5  # a unit whose log-likelihood varies by less over all draws needs no smoothing
_NOISY = 0.3  # the greatest Monte Carlo error of an integrated log-likelihood that may be used
_CONDITIONAL = (
    "conditional on each subject's own random effects, which only its own records inform: leaving a subject "
    "out by reweighting is unreliable here; use marginal=True"
)


@dataclass(frozen=True)
class Loo:
    """The expected log predictive density of left-out units, and how far it may be trusted.

    elpd: the sum over units. se: its standard error (from the spread of the units). p_loo: effective number
    of parameters. units: one row for each unit: subject[, analyte, time [study day], censored], elpd,
    pareto_k, p_loo, reason ("" where the unit's elpd may be used). threshold: the Pareto k above which PSIS
    fails with this number of draws, at most 0.7.

    >>> found = kn.loo(kn.load_fit("runs/theophylline"))
    >>> len(found.unreliable) == sum(found.units["reason"] != ""), found.threshold <= 0.7
    (True, True)
    >>> type(found.worst_k).__name__, type(found.advice).__name__, found.as_dict()["by"]
    ('float', 'str', 'observation')
    """

    fit: str
    by: By
    marginal: bool
    elpd: float
    se: float
    p_loo: float
    units: DataFrame
    threshold: float
    draws: int

    @property
    def worst_k(self) -> float:
        """The largest Pareto k; NaN where no unit has one."""
        return float(self.units["pareto_k"].max())

    @property
    def unreliable(self) -> DataFrame:
        """The rows of `units` whose elpd may not be used, the worst first."""
        bad = self.units[self.units["reason"] != ""]
        return DataFrame(bad).sort_values("pareto_k", ascending=False).reset_index(drop=True)

    @property
    def advice(self) -> str:
        """What to do about the unreliable units; "" where there are none."""
        high = int((self.units["pareto_k"] > self.threshold).sum())
        sentences = []
        if high and self.by == "observation":
            sentences.append(
                f"{high} of {len(self.units)} records have a Pareto k above {self.threshold:.2f}: the fit "
                "leans on each of them, and elpd is too optimistic. Look at these records, try an error "
                "model with heavier tails (student_t), or fit again without each of them for an exact answer"
            )
        elif high:
            sentences.append(
                f"{high} of {len(self.units)} subjects have a Pareto k above {self.threshold:.2f}: the "
                "population values would move if they were left out, and elpd is too optimistic. Fit again "
                "without each of them for an exact answer, or take more draws"
            )
        other = int((self.units["reason"] != "").sum()) - high
        if other > 0:
            sentences.append(f"{other} more units have a reason in their row")
        if self.by == "subject" and not self.marginal:
            sentences.append(_CONDITIONAL)
        return "; ".join(sentences)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for `--json`."""
        return {
            "fit": self.fit,
            "by": self.by,
            "marginal": self.marginal,
            "elpd": self.elpd,
            "se": self.se,
            "p_loo": self.p_loo,
            "worst_k": self.worst_k,
            "threshold": self.threshold,
            "draws": self.draws,
            "advice": self.advice,
            "units": self.units.to_dict("records"),
        }

    def __str__(self) -> str:
        units = "records" if self.by == "observation" else "subjects"
        lines = [
            f"{self.fit}: leave one {self.by} out, {len(self.units)} {units}, {self.draws} draws",
            f"  elpd {self.elpd:.1f} (SE {self.se:.1f}), effective parameters {self.p_loo:.1f}, "
            f"worst Pareto k {self.worst_k:.2f}",
        ]
        if self.advice:
            lines.append(f"  {self.advice}")
        return "\n".join(lines)


def loo(
    fit: Fit,
    by: By = "observation",
    *,
    marginal: bool = True,
    draws: int | None = None,
    points: int = 256,
    seed: int = 0,
    together: Collection[str] = (),
) -> Loo:
    """Leave out one record, or one subject, at a time.

    The records of one subject at one time are left out as one unit, with their joint density, if their
    analytes are those of a correlated pair, or all in `together`.

    By subject the likelihood is `marginal`: for each posterior draw it is integrated over the random effects
    at `points` points, which `seed` places. The conditional likelihood (`marginal=False`) is kept for
    comparison with other programs, and is unreliable. `draws` is the greatest number of draws from each chain
    (default: all by observation, 500 by subject). InputError for another `by`.

    >>> found = kn.loo(kn.load_fit("runs/theophylline"))
    >>> found.by, len(found.units)
    ('observation', 132)
    """
    require(fit=(fit, Fit))
    if by == "observation":
        pointwise = record_log_likelihoods(fit, draws=draws, together=together)
    elif by == "subject":
        thinned = 500 if draws is None else draws
        pointwise = subject_log_likelihoods(fit, marginal=marginal, points=points, draws=thinned, seed=seed)
    else:
        raise InputError(
            Problem(f"cannot leave one {by!r} out", did_you_mean(str(by), ["observation", "subject"]))
        )
    return _loo(fit.name, by, marginal and by == "subject", pointwise)


def _loo(name: str, by: By, marginal: bool, pointwise: Pointwise) -> Loo:
    """The sums over units, and for each unit whether its elpd may be used."""
    draws = pointwise.values.shape[0] * pointwise.values.shape[1]
    threshold = min(1 - 1 / float(np.log10(draws)), 0.7)
    rows = []
    log_draws = np.log(draws)
    mean = logsumexp(pointwise.values, axis=(0, 1)) - log_draws
    plain = log_draws - logsumexp(-pointwise.values, axis=(0, 1))
    units_of = zip(np.moveaxis(pointwise.values, -1, 0), pointwise.error, mean, plain, strict=True)
    for values, error, mean_of_unit, plain_of_unit in units_of:
        elpd, k, p, reason = _left_out(values, mean=float(mean_of_unit), plain=float(plain_of_unit))
        if k > threshold:
            reason = (
                f"Pareto k {k:.2f} is above {threshold:.2f}: the draws cannot stand in for a fit without it"
            )
        elif not reason and error > _NOISY:
            reason = f"the integral over random effects has an error of {error:.2f}: give more points"
        rows.append({"elpd": elpd, "pareto_k": k, "p_loo": p, "reason": reason})
    units = DataFrame({**pointwise.units, **DataFrame(rows)})
    if marginal:
        units.insert(units.columns.get_loc("reason"), "integration_error", pointwise.error)  # pyright: ignore
    elpd_of_unit = units["elpd"].to_numpy(float)
    se = np.nan
    if np.isfinite(elpd_of_unit).all():
        se = float(np.sqrt(len(elpd_of_unit) * np.var(elpd_of_unit)))
    return Loo(
        fit=name,
        by=by,
        marginal=marginal,
        elpd=float(elpd_of_unit.sum()),
        se=se,
        p_loo=float(units["p_loo"].sum()),
        units=units,
        threshold=threshold,
        draws=draws,
    )


def _left_out(values: np.ndarray, *, mean: float, plain: float) -> tuple[float, float, float, str]:
    """elpd, Pareto k, effective parameters and a reason of a unit with log-likelihoods (chain, draw).

    `mean` is the log of the mean of the likelihoods, `plain` that of their harmonic mean.
    """
    failed = int((~np.isfinite(values)).sum())
    if failed:
        return -np.inf, np.nan, np.nan, f"{failed} draws give it no likelihood: see `kinetics check`"
    if np.ptp(values) < _EVEN:  # nearly even weights have no tail to smooth, and k says nothing
        return plain, np.nan, mean - plain, ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            density = np.exp(values - values.max())
            efficiency = float(np.asarray(array_stats.ess(density, method="mean"))) / values.size
            usable = np.isfinite(efficiency) and efficiency > 0
            elpd, k, p = array_stats.loo(values, r_eff=min(efficiency, 1.0) if usable else 1.0)
        except ValueError as error:
            return plain, np.nan, mean - plain, f"no tail to smooth ({error}): more draws"
    return float(elpd), float(k), float(p), ""
