"""Goodness of fit, record by record: predictions, residuals, and whether these are what the model says.

A censored record has no number to subtract from: its iwres and npde are drawn from the model's distribution
inside the limits of the record, with a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pandas import DataFrame
from scipy.special import ndtri, ndtri_exp

from kinetics.bind import BoundAssay
from kinetics.fit import Fit
from kinetics.npde import Discrepancies, discrepancies, normality, record_limits
from kinetics.observe import AssayRecords, log_likelihood
from kinetics.predict import observed_assays
from kinetics.replicates import individual_records, simulate_records, typical_records
from kinetics.streams import stream

__all__ = ["GoodnessOfFit", "gof"]


@dataclass(frozen=True)
class GoodnessOfFit:
    """table: one row a record, columns as pharmacometrics names them:

    subject, analyte, time [study day], tad (time after the latest dose [day]; before the first, the negative time
    to it), dv [unit; the limit where censored], censored, pred (typical subject with its covariates), ipred (the
    subject's own; both posterior medians [unit]), res (dv - pred [unit]; NaN where censored), iwres (residual of
    the subject's own prediction in residual SDs, on the normal scale), npd and npde (normalised prediction
    discrepancy, and decorrelated). iwres and npde are NaN for a censored record that the model cannot miss.

    tests: for each analyte and residual: n, mean, sd, p_mean, p_variance, p_normal, p_global, shrinkage
    (1 - sd, of iwres), verdict.

    >>> found = kn.gof(kn.load_fit("runs/theophylline"), replicates=100, draws=20)
    >>> found.table.loc[0, ["time", "tad", "dv"]].astype(float).tolist()
    [0.0, 0.0, 0.74]
    >>> found.tests[["residual", "n"]]
      residual      n
    0     npde  132.0
    1    iwres  132.0
    >>> list(found.as_dict())
    ['fit', 'replicates', 'tests', 'records']
    """

    fit: str
    table: DataFrame
    tests: DataFrame
    replicates: int

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "fit": self.fit,
            "replicates": self.replicates,
            "tests": self.tests.to_dict("records"),
            "records": self.table.to_dict("records"),
        }

    def __str__(self) -> str:
        lines = [f"{self.fit}: residuals of {len(self.table)} records, {self.replicates} replicates"]
        for row in self.tests.to_dict("records"):
            lines.append(
                f"  {row['analyte']} {row['residual']}: mean {row['mean']:.2f}, SD {row['sd']:.2f} "
                f"({row['n']:.0f} records), p {row['p_global']:.3g}: {row['verdict']}"
            )
        return "\n".join(lines)


def gof(
    fit: Fit, analyte: str | None = None, *, replicates: int = 1000, draws: int = 400, seed: int = 0
) -> GoodnessOfFit:
    """Predictions and residuals of every record of one analyte (default: of all).

    `replicates` studies are simulated for npde, `draws` posterior draws used for ipred and iwres. The posterior
    has seen these records, so that npde of a small study are a little too good: they reject a wrong model
    less often than their p-values say. StudyError for an analyte that the fit does not observe.

    >>> found = kn.gof(kn.load_fit("runs/theophylline"), replicates=100, draws=20)
    >>> list(found.table)
    ['subject', 'analyte', 'time', 'tad', 'dv', 'censored', 'pred', 'ipred', 'res', 'iwres', 'npd', 'npde']
    """
    tables, tests = [], []
    for assay in observed_assays(fit, analyte):
        scores = discrepancies(simulate_records(fit, assay.analyte, draws=replicates, seed=seed), seed=seed)
        table = _records(fit, assay, scores, draws, seed)
        tables.append(table)
        for residual in ("npde", "iwres"):
            found = normality(
                table[residual].to_numpy(float), scores.replicated if residual == "npde" else None
            )
            row = {"analyte": assay.analyte, "residual": residual, **found}
            row["shrinkage"] = 1 - found["sd"] if residual == "iwres" else np.nan
            tests.append(row | {"verdict": _verdict(residual, found)})
    columns = {name: np.concatenate([t[name].to_numpy() for t in tables]) for name in tables[0]}
    return GoodnessOfFit(fit.name, DataFrame(columns), DataFrame(tests), replicates)


def _verdict(residual: str, found: dict[str, float]) -> str:
    if not np.isfinite(found["p_global"]):
        return "too few records to say"
    if residual == "iwres":
        if found["p_mean"] < 0.05:
            return f"individual predictions are too {'low' if found['mean'] > 0 else 'high'}"
        if found["sd"] > 1 and found["p_variance"] < 0.05:
            return "records scatter more than the residual SD says"
        return "an SD below 1 is the fit's own doing; look for trends"
    if found["p_global"] >= 0.05:
        return "as a right model gives"
    worst = min(("p_mean", "p_variance", "p_normal"), key=lambda name: found[name])
    said = {
        "p_mean": f"the mean is not 0: the model is too {'low' if found['mean'] > 0 else 'high'}",
        "p_variance": f"the SD is not 1: patients differ {'more' if found['sd'] > 1 else 'less'} than the model",
        "p_normal": "not normal: a tail or a group that the model does not have",
    }
    return said[worst]


def _records(fit: Fit, assay: BoundAssay, scores: Discrepancies, draws: int, seed: int) -> DataFrame:
    records = fit.study.observed(assay.analyte).reset_index(drop=True)
    f = individual_records(fit, assay, draws=draws)
    pred = typical_records(fit, assay.analyte)
    measured = (records["censored"] == "none").to_numpy()
    value = records["value"].to_numpy(float)
    columns = {"subject": records["subject"], "analyte": assay.analyte, "time": records["time"].astype(float)}
    columns |= {"tad": _after_dose(fit, records), "dv": value, "censored": records["censored"]}
    columns |= {"pred": pred, "ipred": np.median(f, axis=0), "res": np.where(measured, value - pred, np.nan)}
    columns["iwres"] = _individual_residuals(fit, assay, records, f, seed)
    return DataFrame(columns | {"npd": scores.npd, "npde": scores.npde})


def _individual_residuals(
    fit: Fit, assay: BoundAssay, records: DataFrame, f: Float[np.ndarray, "draw record"], seed: int
) -> Float[np.ndarray, " record"]:
    """The normal score of each record in its own predictive distribution, the mean over draws."""
    sites = fit.sites(at_most=len(f))
    residual = {k: jnp.asarray(v) for k, v in assay.residual(dict[str, Any](sites)).items()}
    lower, upper = record_limits(records)
    measured = lower == upper
    below_upper, above_upper = _tails(assay, f, residual, upper)
    z = np.where(below_upper < above_upper, ndtri_exp(below_upper), -ndtri_exp(above_upper))
    low, high = np.exp(_tails(assay, f, residual, lower)[0]), np.exp(below_upper)
    u = stream(seed, "individual residuals").random(len(records))
    imputed = ndtri(np.clip(low + u * (high - low), 1e-300, 1 - 1e-16))
    certain = ~measured & np.all(high - low > 1 - 1e-9, axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(certain, np.nan, np.where(measured, z, imputed).mean(axis=0))


def _tails(
    assay: BoundAssay, f: np.ndarray, residual: dict[str, Array], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """log P(measurement < y) and log P(> y) for every draw and record; `y` may be infinite."""
    yes, no = np.ones((1, len(y)), bool), np.zeros((1, len(y)), bool)
    finite = np.where(np.isfinite(y), y, 1.0)[None]

    def one(f: Array, residual: dict[str, Array]) -> tuple[Array, Array]:
        def tail(left: np.ndarray, right: np.ndarray) -> Array:
            records = AssayRecords(finite, finite, measured=no, left=left, right=right, interval=no)
            return log_likelihood(
                assay.likelihood, f[None], records, residual, nu=assay.nu, dna_ug=assay.dna_ug
            )[0]

        return tail(yes, no), tail(no, yes)

    below, above = (np.asarray(x) for x in jax.jit(jax.vmap(one))(jnp.asarray(f), residual))
    open_below, open_above = np.isneginf(y), np.isposinf(y)
    below = np.where(open_below, -np.inf, np.where(open_above, 0.0, below))
    return below, np.where(open_below, 0.0, np.where(open_above, -np.inf, above))


def _after_dose(fit: Fit, records: DataFrame) -> Float[np.ndarray, " record"]:
    """Days since the latest dose before each record: one taken at the very time of a dose is before it."""
    doses, row = fit.bound.data.doses, {s: i for i, s in enumerate(fit.bound.subjects)}
    out = np.full(len(records), np.nan)
    pairs = zip(records["subject"], records["time"].to_numpy(float), strict=True)
    for k, (subject, time) in enumerate(pairs):
        i = row[str(subject)]
        given = np.asarray(doses.time[i])[np.asarray(doses.amount[i]) > 0]
        if given.size:
            earlier = given[given < time]
            out[k] = time - (earlier.max() if earlier.size else given.min())
    return out
