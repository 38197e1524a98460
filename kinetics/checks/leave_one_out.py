"""How well a fit predicts what it has not seen: leave-one-out by Pareto-smoothed importance sampling.

`by="observation"` leaves out one record and knows the patient's others: it asks about another sample of a
known patient. `by="subject"` leaves out a patient with all records: it asks about a new patient. PSIS is
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

from kinetics.checks.log_likelihoods import Pointwise, record_log_likelihoods, subject_log_likelihoods
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.inference import Fit

__all__ = ["By", "Loo", "loo"]

By = Literal["observation", "subject"]
_EVEN = 0.5  # a unit whose log-likelihood varies by less over all draws needs no smoothing
_NOISY = 0.3  # Monte Carlo error of an integrated log-likelihood
_CONDITIONAL = (
    "conditional on each subject's own random effects, which only its own records inform: leaving a subject "
    "out by reweighting is unreliable here; use marginal=True"
)


@dataclass(frozen=True)
class Loo:
    """Expected log predictive density of left-out units, and how far it may be trusted.

    elpd: sum over units, se: its standard error (from the spread of the units), p_loo: effective number of
    parameters. units: one row a unit: subject[, analyte, time [study day], censored], elpd, pareto_k, p_loo,
    reason ("" where the unit's elpd may be used). threshold: the Pareto k above which PSIS fails with so many
    draws, at most 0.7.

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
        said = []
        if high and self.by == "observation":
            said.append(
                f"{high} of {len(self.units)} records have a Pareto k above {self.threshold:.2f}: the fit leans on "
                "each of them, and elpd is too optimistic. Look at these records, try an error model with heavier "
                "tails (student_t), or fit again without each of them for an exact answer"
            )
        elif high:
            said.append(
                f"{high} of {len(self.units)} subjects have a Pareto k above {self.threshold:.2f}: the population "
                "values would move if they were left out, and elpd is too optimistic. Fit again without each of "
                "them for an exact answer, or take more draws"
            )
        other = int((self.units["reason"] != "").sum()) - high
        if other > 0:
            said.append(f"{other} more units have a reason in their row")
        if self.by == "subject" and not self.marginal:
            said.append(_CONDITIONAL)
        return "; ".join(said)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
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
        what = "records" if self.by == "observation" else "subjects"
        lines = [
            f"{self.fit}: leave one {self.by} out, {len(self.units)} {what}, {self.draws} draws",
            f"  elpd {self.elpd:.1f} (SE {self.se:.1f}), effective parameters {self.p_loo:.1f}, "
            f"worst Pareto k {self.worst_k:.2f}",
        ]
        return "\n".join([*lines, *([f"  {self.advice}"] if self.advice else [])])


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

    The records of one subject at one time are left out as one if their analytes are those of a correlated
    pair, or all in `together`: neither is predicted as if the other had not been seen.

    By subject the likelihood is `marginal`: integrated over the random effects at `points` points, for each
    posterior draw; the conditional one (`marginal=False`) is kept for comparison with other programs, and
    is unreliable. `draws`: at most so many a chain (default: all by observation, 500 by subject).
    InputError for another `by`.

    >>> found = kn.loo(kn.load_fit("runs/theophylline"))
    >>> found.by, len(found.units)
    ('observation', 132)
    """
    if by == "observation":
        found = record_log_likelihoods(fit, draws=draws, together=together)
    elif by == "subject":
        thinned = 500 if draws is None else draws
        found = subject_log_likelihoods(fit, marginal=marginal, points=points, draws=thinned, seed=seed)
    else:
        raise InputError(
            Problem(f"cannot leave one {by!r} out", did_you_mean(str(by), ["observation", "subject"]))
        )
    return _loo(fit.name, by, marginal and by == "subject", found)


def _loo(name: str, by: By, marginal: bool, found: Pointwise) -> Loo:
    n = found.values.shape[0] * found.values.shape[1]
    threshold = min(1 - 1 / float(np.log10(n)), 0.7)
    rows = []
    for values, error in zip(np.moveaxis(found.values, -1, 0), found.error, strict=True):
        elpd, k, p, reason = _left_out(values)
        if k > threshold:
            reason = (
                f"Pareto k {k:.2f} is above {threshold:.2f}: the draws cannot stand in for a fit without it"
            )
        elif not reason and error > _NOISY:
            reason = f"the integral over random effects has an error of {error:.2f}: give more points"
        rows.append({"elpd": elpd, "pareto_k": k, "p_loo": p, "reason": reason})
    units = DataFrame({**found.units, **DataFrame(rows)})
    if marginal:
        units.insert(units.columns.get_loc("reason"), "integration_error", found.error)  # pyright: ignore
    each = units["elpd"].to_numpy(float)
    se = float(np.sqrt(len(each) * np.var(each))) if np.isfinite(each).all() else np.nan
    return Loo(name, by, marginal, float(each.sum()), se, float(units["p_loo"].sum()), units, threshold, n)


def _left_out(values: np.ndarray) -> tuple[float, float, float, str]:
    """elpd, Pareto k, effective parameters and a reason for one unit, from its log-likelihoods (chain,
    draw).
    """
    failed = int((~np.isfinite(values)).sum())
    if failed:
        return -np.inf, np.nan, np.nan, f"{failed} draws give it no likelihood: see `kinetics check`"
    mean = float(logsumexp(values) - np.log(values.size))
    plain = float(np.log(values.size) - logsumexp(-values))
    if np.ptp(values) < _EVEN:  # the weights are nearly even: there is no tail to smooth, and k says nothing
        return plain, np.nan, mean - plain, ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            density = np.exp(values - values.max())
            efficiency = float(np.asarray(array_stats.ess(density, method="mean"))) / values.size
            usable = np.isfinite(efficiency) and efficiency > 0
            found = array_stats.loo(values, r_eff=min(efficiency, 1.0) if usable else 1.0)
        except ValueError as error:
            return plain, np.nan, mean - plain, f"no tail to smooth ({error}): more draws"
    elpd, k, p = (float(x) for x in found)
    return elpd, k, p, ""
