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
from scipy.stats import chi2, rankdata, shapiro, t as student_t

from kinetics.assay import AssayRecords, log_likelihood
from kinetics.inference import Fit
from kinetics.plan import BoundAssay
from kinetics.prediction import (
    Replicates,
    individual_records,
    observed_assays,
    simulate_records,
    typical_records,
)
from kinetics.streams import stream

__all__ = ["Discrepancies", "GoodnessOfFit", "discrepancies", "gof", "normality", "record_limits"]


@dataclass(frozen=True)
class GoodnessOfFit:
    """table: one row a record, columns as pharmacometrics names them:

    subject, analyte, time [study day], tad (time after the latest dose [day]; before the first, the negative
    time to it), dv [unit; the limit where censored], censored, pred (typical subject with its covariates),
    ipred (the subject's own; both posterior medians [unit]), res (dv - pred [unit]; NaN where censored),
    iwres (residual of the subject's own prediction in residual SDs, on the normal scale), npd and npde
    (normalised prediction discrepancy, and decorrelated). iwres and npde are NaN for a censored record that
    the model cannot miss.

    tests: for each analyte and residual: n, mean, sd, p_mean, p_variance, p_normal, p_global, shrinkage
    (1 - sd, of iwres), verdict.

    >>> found = kn.checks.gof(kn.load_fit("runs/theophylline"), replicates=100, draws=20)
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

    `replicates` studies are simulated for npde, `draws` posterior draws used for ipred and iwres. The
    posterior has seen these records, so that npde of a small study are a little too good: they reject a wrong
    model less often than their p-values say. StudyError for an analyte that the fit does not observe.

    >>> found = kn.checks.gof(kn.load_fit("runs/theophylline"), replicates=100, draws=20)
    >>> list(found.table)
    ['subject', 'analyte', 'time', 'tad', 'dv', 'censored', 'pred', 'ipred', 'res', 'iwres', 'npd', 'npde']
    """
    tables = []
    tests = []
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
    low = np.exp(_tails(assay, f, residual, lower)[0])
    high = np.exp(below_upper)
    u = stream(seed, "individual residuals").random(len(records))
    imputed = ndtri(np.clip(low + u * (high - low), 1e-300, 1 - 1e-16))
    certain = ~measured & np.all(high - low > 1 - 1e-9, axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(certain, np.nan, np.where(measured, z, imputed).mean(axis=0))


def _tails(
    assay: BoundAssay, f: np.ndarray, residual: dict[str, Array], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """log P(measurement < y) and log P(> y) for every draw and record; `y` may be infinite."""
    yes = np.ones((1, len(y)), bool)
    no = np.zeros((1, len(y)), bool)
    finite = np.where(np.isfinite(y), y, 1.0)[None]

    def one(f: Array, residual: dict[str, Array]) -> tuple[Array, Array]:
        def tail(left: np.ndarray, right: np.ndarray) -> Array:
            records = AssayRecords(finite, finite, measured=no, left=left, right=right, interval=no)
            return log_likelihood(
                assay.likelihood, f[None], records, residual, nu=assay.nu, dna_ug=assay.dna_ug
            )[0]

        return tail(yes, no), tail(no, yes)

    below, above = (np.asarray(x) for x in jax.jit(jax.vmap(one))(jnp.asarray(f), residual))
    open_below = np.isneginf(y)
    open_above = np.isposinf(y)
    below = np.where(open_below, -np.inf, np.where(open_above, 0.0, below))
    return below, np.where(open_below, 0.0, np.where(open_above, -np.inf, above))


def _after_dose(fit: Fit, records: DataFrame) -> Float[np.ndarray, " record"]:
    """Days since the latest dose before each record: one taken at the very time of a dose is before it."""
    doses = fit.bound.data.doses
    row = {s: i for i, s in enumerate(fit.bound.subjects)}
    out = np.full(len(records), np.nan)
    pairs = zip(records["subject"], records["time"].to_numpy(float), strict=True)
    for k, (subject, time) in enumerate(pairs):
        i = row[str(subject)]
        given = np.asarray(doses.time[i])[np.asarray(doses.amount[i]) > 0]
        if given.size:
            earlier = given[given < time]
            out[k] = time - (earlier.max() if earlier.size else given.min())
    return out


@dataclass(frozen=True)
class Discrepancies:
    """For each record: `npd` (normal score of its rank) and `npde` (decorrelated within the subject).

    NaN where every replicate lies below the LLOQ, as the record does: it says nothing about the model.
    `replicated`: the npde of every replicate in place of the study.
    """

    npd: Float[np.ndarray, " record"]
    npde: Float[np.ndarray, " record"]
    replicated: Float[np.ndarray, "draw record"]


def record_limits(records: DataFrame) -> tuple[Float[np.ndarray, " record"], Float[np.ndarray, " record"]]:
    """Between which two values each measurement lies: equal where it was measured; -inf or inf where open."""
    value = records["value"].to_numpy(float)
    limit = records["limit"].to_numpy(float)
    kind = records["censored"].to_numpy(str)
    lower = np.where(np.isin(kind, ["left", "interval"]), np.where(np.isnan(limit), -np.inf, limit), value)
    return lower, np.where(kind == "right", np.inf, value)


def discrepancies(replicates: Replicates, *, seed: int = 0) -> Discrepancies:
    """npd and npde of every record of one analyte; `seed` fixes the imputed records and how ties are
    broken.
    """
    records = replicates.records
    y = replicates.latent
    n = len(y)
    rng = stream(seed, "prediction discrepancies")
    lower, upper = record_limits(records)
    low = (y < lower).mean(axis=0)
    high = (y <= upper).mean(axis=0)
    measured = lower == upper
    u = rng.random(len(records))
    share = np.where(measured, 0.5 * (low + high), low + u * (high - low))
    certain = ~measured & (high - low >= 1.0)
    npd = np.where(certain, np.nan, ndtri(np.clip(share, 0.5 / n, 1 - 0.5 / n)))
    scores = _replicated_scores(replicates, rng)
    npde = np.full(len(records), np.nan)
    replicated = np.full(y.shape, np.nan)
    subjects = records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    for subject in dict.fromkeys(subjects):
        own = np.flatnonzero((subjects == subject) & ~certain)
        own = own[np.argsort(time[own], kind="stable")]
        if len(own):
            npde[own], replicated[:, own] = _decorrelated(npd[own], scores[:, own])
    return Discrepancies(npd, npde, replicated)


def _replicated_scores(replicates: Replicates, rng: np.random.Generator) -> Float[np.ndarray, "draw record"]:
    """Normal scores of the replicated records, those outside the assay's limits drawn as the observed ones
    are: a subject's records below the LLOQ lose their correlation in the data and in the replicates alike.
    """
    y = replicates.latent
    n = len(replicates.latent)
    order = np.argsort(rng.random(y.shape), axis=0)  # ranks at random among equals: no cells, and no cells
    ranks = np.empty_like(y)
    np.put_along_axis(
        ranks, order, rankdata(np.take_along_axis(y, order, axis=0), method="ordinal", axis=0), axis=0
    )
    share = (ranks - 0.5) / n
    u = rng.random(y.shape)
    below = replicates.below
    above = replicates.above
    share = np.where(below, u * below.mean(axis=0), np.where(above, 1 - u * above.mean(axis=0), share))
    return ndtri(np.clip(share, 0.5 / n, 1 - 0.5 / n))


def _decorrelated(
    observed: Float[np.ndarray, " record"], simulated: Float[np.ndarray, "draw record"]
) -> tuple[Float[np.ndarray, " record"], Float[np.ndarray, "draw record"]]:
    """Each record given the earlier ones (Cholesky), ranked among the replicates treated alike."""
    n = len(simulated)
    centre = simulated.mean(axis=0)
    covariance = np.atleast_2d(np.cov(simulated, rowvar=False)) + 1e-9 * np.eye(len(observed))
    root = np.linalg.cholesky(covariance)
    own = np.linalg.solve(root, observed - centre)
    others = np.linalg.solve(root, (simulated - centre).T).T
    share = np.clip((others < own).mean(axis=0), 0.5 / n, 1 - 0.5 / n)
    return ndtri(share), ndtri((rankdata(others, axis=0) - 0.5) / n)


def normality(
    scores: Float[np.ndarray, " record"], replicated: Float[np.ndarray, "draw record"] | None = None
) -> dict[str, float]:
    """n, mean, sd, and p-values: p_mean (of 0), p_variance (of 1), p_normal (Shapiro & Wilk 1965) and
    p_global, the smallest of the three times three. With the scores of replicates each is a rank among them;
    without, a t test and Fisher's variance test. NaN for fewer than four scores.
    """
    there = np.isfinite(scores)
    z = scores[there]
    n = int(there.sum())
    keys = ("mean", "sd", "p_mean", "p_variance", "p_normal", "p_global")
    if n < 4 or np.ptp(z) == 0:
        return {"n": float(n)} | dict.fromkeys(keys, np.nan)
    mean = float(z.mean())
    sd = float(z.std(ddof=1))
    if replicated is None:
        tail = float(chi2.cdf((n - 1) * sd**2, n - 1))
        p_mean = 2 * float(student_t.sf(abs(mean) / (sd / np.sqrt(n)), n - 1))
        found = (p_mean, 2 * min(tail, 1 - tail), float(shapiro(z).pvalue))
    else:
        others = replicated[:, there]
        spread = np.abs(np.log(others.std(axis=1, ddof=1)))
        odd = np.array([1 - float(shapiro(row).statistic) for row in others])
        found = (
            _rank(abs(mean), np.abs(others.mean(axis=1))),
            _rank(abs(np.log(sd)), spread),
            _rank(1 - float(shapiro(z).statistic), odd),
        )
    return {"n": float(n)} | dict(zip(keys, (mean, sd, *found, min(1.0, 3 * min(found))), strict=True))


def _rank(observed: float, replicated: Float[np.ndarray, " draw"]) -> float:
    """Monte Carlo p-value: how often a replicate is as extreme."""
    return float((1 + np.sum(replicated >= observed)) / (1 + len(replicated)))


# # MERGED npde: """Normalised prediction distribution errors: where each record lies among its replicates, on
# the normal scale.
#
# A record's prediction discrepancy is the share of replicated records below it; that of a BLQ record is drawn
# uniformly between 0 and the replicated share below its LLOQ (the cdf method: Nguyen, Comets & Mentré 2012).
# Records of one subject go together, so their discrepancies are decorrelated in the order of time (Brendel,
# Comets, Laffont, Laveille & Mentré 2006). That is done on normal scores of the ranks, so that it does not
# matter whether an assay is read on a linear or a log scale, and replicates are cut at the same limits. If
# the model is right, each is N(0, 1); decorrelated is not quite independent, so the tests compare with the
# replicates' own. """
