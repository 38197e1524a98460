"""Goodness of fit, record by record: predictions, residuals, and tests of the residuals.

A censored record has no number to subtract a prediction from. Its iwres and npde are drawn from the model's
distribution inside the limits of the record, with a fixed seed.

Normalised prediction distribution errors (npde) say where each record lies among its replicates, on the
normal scale. The prediction discrepancy of a record is the share of replicated records below it; that of a
BLQ record is drawn uniformly between 0 and the replicated share below its LLOQ (the cdf method: Nguyen,
Comets & Mentré 2012). Records of one subject are dependent, so their discrepancies are decorrelated in the
order of time (Brendel, Comets, Laffont, Laveille & Mentré 2006). The decorrelation uses normal scores of the
ranks, so that a linear or a logarithmic scale of the assay makes no difference, and the replicates are
censored at the same limits. If the model is right, each npde is N(0, 1). Decorrelated is not quite
independent, so the tests compare with the npde of the replicates.
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

from kinetics.arguments import require
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
    """The residuals of a fit and their tests.

    table: one row for each record, with the column names of pharmacometrics: subject, analyte, time [study
    day], tad (time after the latest dose [day]; before the first, the negative time to it), dv [unit; the
    limit where censored], censored, pred (typical subject with its covariates), ipred (the subject's own
    prediction; both are posterior medians [unit]), res (dv - pred [unit]; NaN where censored), iwres
    (residual of the subject's own prediction in residual SDs, on the normal scale), npd (normalised
    prediction discrepancy) and npde (the same, decorrelated). iwres and npde are NaN for a censored record
    that the model cannot miss.

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
        """The tests and the records as plain values, for `--json`."""
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

    `replicates` studies are simulated for npde, and `draws` posterior draws are used for ipred and iwres. The
    posterior has seen these records, so the npde of a small study are a little too good: they reject a wrong
    model less often than their p-values say. StudyError for an analyte that the fit does not observe.

    >>> found = kn.checks.gof(kn.load_fit("runs/theophylline"), replicates=100, draws=20)
    >>> list(found.table)
    ['subject', 'analyte', 'time', 'tad', 'dv', 'censored', 'pred', 'ipred', 'res', 'iwres', 'npd', 'npde']
    """
    require(fit=(fit, Fit))
    tables = []
    tests = []
    for assay in observed_assays(fit, analyte):
        scores = discrepancies(simulate_records(fit, assay.analyte, draws=replicates, seed=seed), seed=seed)
        table = _records(fit, assay, scores, draws, seed)
        tables.append(table)
        npde = normality(table["npde"].to_numpy(float), scores.replicated)
        tests.append(
            {
                "analyte": assay.analyte,
                "residual": "npde",
                **npde,
                "shrinkage": np.nan,
                "verdict": _npde_verdict(npde),
            }
        )
        iwres = normality(table["iwres"].to_numpy(float))
        tests.append(
            {
                "analyte": assay.analyte,
                "residual": "iwres",
                **iwres,
                "shrinkage": 1 - iwres["sd"],
                "verdict": _iwres_verdict(iwres),
            }
        )
    columns = {name: np.concatenate([t[name].to_numpy() for t in tables]) for name in tables[0]}
    return GoodnessOfFit(fit.name, DataFrame(columns), DataFrame(tests), replicates)


def _iwres_verdict(test: dict[str, float]) -> str:
    """The verdict of the test of iwres, which `normality` gives."""
    if not np.isfinite(test["p_global"]):
        return "too few records to say"
    if test["p_mean"] < 0.05:
        return f"individual predictions are too {'low' if test['mean'] > 0 else 'high'}"
    if test["sd"] > 1 and test["p_variance"] < 0.05:
        return "records scatter more than the residual SD says"
    return "an SD below 1 is the fit's own doing; look for trends"


def _npde_verdict(test: dict[str, float]) -> str:
    """The verdict of the test of npde, which `normality` gives."""
    if not np.isfinite(test["p_global"]):
        return "too few records to say"
    if test["p_global"] >= 0.05:
        return "as a right model gives"
    worst = min(("p_mean", "p_variance", "p_normal"), key=lambda name: test[name])
    if worst == "p_mean":
        return f"the mean is not 0: the model is too {'low' if test['mean'] > 0 else 'high'}"
    if worst == "p_variance":
        return f"the SD is not 1: patients differ {'more' if test['sd'] > 1 else 'less'} than the model"
    return "not normal: a tail or a group that the model does not have"


def _records(fit: Fit, assay: BoundAssay, scores: Discrepancies, draws: int, seed: int) -> DataFrame:
    """The rows of `GoodnessOfFit.table` of one analyte."""
    records = fit.study.observed(assay.analyte).reset_index(drop=True)
    individual = individual_records(fit, assay, draws=draws)
    pred = typical_records(fit, assay.analyte)
    measured = (records["censored"] == "none").to_numpy()
    value = records["value"].to_numpy(float)
    return DataFrame(
        {
            "subject": records["subject"],
            "analyte": assay.analyte,
            "time": records["time"].astype(float),
            "tad": _after_dose(fit, records),
            "dv": value,
            "censored": records["censored"],
            "pred": pred,
            "ipred": np.median(individual, axis=0),
            "res": np.where(measured, value - pred, np.nan),
            "iwres": _individual_residuals(fit, assay, records, individual, seed),
            "npd": scores.npd,
            "npde": scores.npde,
        }
    )


def _individual_residuals(
    fit: Fit, assay: BoundAssay, records: DataFrame, f: Float[np.ndarray, "draw record"], seed: int
) -> Float[np.ndarray, " record"]:
    """The normal score of each record in its subject's own predictive distribution, the mean over draws.

    `f` is what the assay would read by each draw. The score of a censored record is that of a value drawn
    between its limits; NaN where every draw is certain to lie between them.
    """
    sites = fit.sites(at_most=len(f))
    residual = {k: jnp.asarray(v) for k, v in assay.residual(dict[str, Any](sites)).items()}
    lower, upper = record_limits(records)
    measured = lower == upper
    below_upper, above_upper = _tails(assay, f, residual, upper)

    # a measured record: from the lower tail, which keeps more digits
    z = np.where(below_upper < above_upper, ndtri_exp(below_upper), -ndtri_exp(above_upper))

    # a censored record: uniform between the probabilities of its two limits
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
    """log P(measurement < y) and log P(measurement > y) for every draw and record; `y` may be infinite."""
    yes = np.ones((1, len(y)), bool)
    no = np.zeros((1, len(y)), bool)
    finite = np.where(np.isfinite(y), y, 1.0)[None]

    def tails_of_draw(f: Array, residual: dict[str, Array]) -> tuple[Array, Array]:
        def tail(left: np.ndarray, right: np.ndarray) -> Array:
            records = AssayRecords(finite, finite, measured=no, left=left, right=right, interval=no)
            return log_likelihood(
                assay.likelihood, f[None], records, residual, nu=assay.nu, dna_ug=assay.dna_ug
            )[0]

        return tail(yes, no), tail(no, yes)

    log_below, log_above = jax.jit(jax.vmap(tails_of_draw))(jnp.asarray(f), residual)
    open_below = np.isneginf(y)
    open_above = np.isposinf(y)
    below = np.where(open_below, -np.inf, np.where(open_above, 0.0, np.asarray(log_below)))
    above = np.where(open_below, 0.0, np.where(open_above, -np.inf, np.asarray(log_above)))
    return below, above


def _after_dose(fit: Fit, records: DataFrame) -> Float[np.ndarray, " record"]:
    """Days since the latest dose before each record; before the first dose, the negative time to it.

    A record at the very time of a dose is before that dose. NaN for a subject without a dose.
    """
    doses = fit.bound.data.doses
    row_of_subject = {s: i for i, s in enumerate(fit.bound.subjects)}
    days = np.full(len(records), np.nan)
    pairs = zip(records["subject"], records["time"].to_numpy(float), strict=True)
    for k, (subject, time) in enumerate(pairs):
        i = row_of_subject[str(subject)]
        dose_times = np.asarray(doses.time[i])[np.asarray(doses.amount[i]) > 0]
        if dose_times.size:
            earlier = dose_times[dose_times < time]
            days[k] = time - (earlier.max() if earlier.size else dose_times.min())
    return days


# --- npde -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Discrepancies:
    """`npd` (normal score of the rank) and `npde` (the same, decorrelated within the subject) of each record.

    Both are NaN where every replicate lies below the LLOQ, as the record does: it says nothing about the
    model. `replicated` holds the npde of every replicate, computed as if it were the study.
    """

    npd: Float[np.ndarray, " record"]
    npde: Float[np.ndarray, " record"]
    replicated: Float[np.ndarray, "draw record"]


def record_limits(records: DataFrame) -> tuple[Float[np.ndarray, " record"], Float[np.ndarray, " record"]]:
    """The lower and the upper limit of each measurement: equal if it was measured, else -inf or inf if
    open.
    """
    value = records["value"].to_numpy(float)
    limit = records["limit"].to_numpy(float)
    kind = records["censored"].to_numpy(str)
    floor = np.where(np.isnan(limit), -np.inf, limit)
    lower = np.where(np.isin(kind, ["left", "interval"]), floor, value)
    ceiling = np.where(np.isnan(limit), np.inf, limit)
    upper = np.where(kind == "right", ceiling, value)
    return lower, upper


def discrepancies(replicates: Replicates, *, seed: int = 0) -> Discrepancies:
    """npd and npde of every record of one analyte. `seed` fixes imputed records and the order of ties."""
    records = replicates.records
    y = replicates.latent
    n = len(y)
    rng = stream(seed, "prediction discrepancies")
    lower, upper = record_limits(records)

    # npd: the normal score of the share of replicates below the record
    low = (y < lower).mean(axis=0)
    high = (y <= upper).mean(axis=0)
    measured = lower == upper
    u = rng.random(len(records))
    share = np.where(measured, 0.5 * (low + high), low + u * (high - low))
    certain = ~measured & (high - low >= 1.0)
    npd = np.where(certain, np.nan, ndtri(np.clip(share, 0.5 / n, 1 - 0.5 / n)))

    # npde: the scores of each subject's records, decorrelated in the order of time
    scores = _replicated_scores(replicates, rng)
    npde = np.full(len(records), np.nan)
    replicated = np.full(y.shape, np.nan)
    subjects = records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    for subject in dict.fromkeys(subjects):
        rows = np.flatnonzero((subjects == subject) & ~certain)
        rows = rows[np.argsort(time[rows], kind="stable")]
        if len(rows):
            npde[rows], replicated[:, rows] = _decorrelated(npd[rows], scores[:, rows])
    return Discrepancies(npd, npde, replicated)


def _replicated_scores(replicates: Replicates, rng: np.random.Generator) -> Float[np.ndarray, "draw record"]:
    """Normal scores of the replicated records.

    Those outside the assay's limits are drawn as the observed ones are, so that a subject's records below the
    LLOQ lose their correlation both in the data and in the replicates.
    """
    y = replicates.latent
    n = len(replicates.latent)

    # ranks, at random among equals: many replicates may have no cells at all
    order = np.argsort(rng.random(y.shape), axis=0)
    shuffled_ranks = rankdata(np.take_along_axis(y, order, axis=0), method="ordinal", axis=0)
    ranks = np.empty_like(y)
    np.put_along_axis(ranks, order, shuffled_ranks, axis=0)
    share = (ranks - 0.5) / n

    # outside the limits: uniform within the share of replicates there
    u = rng.random(y.shape)
    below = replicates.below
    above = replicates.above
    share = np.where(below, u * below.mean(axis=0), np.where(above, 1 - u * above.mean(axis=0), share))
    return ndtri(np.clip(share, 0.5 / n, 1 - 0.5 / n))


def _decorrelated(
    observed: Float[np.ndarray, " record"], simulated: Float[np.ndarray, "draw record"]
) -> tuple[Float[np.ndarray, " record"], Float[np.ndarray, "draw record"]]:
    """Normal scores of each record given the earlier ones (by Cholesky), ranked among the replicates.

    Returns those of the observed records and of the replicates, which are treated alike.
    """
    n = len(simulated)
    centre = simulated.mean(axis=0)
    covariance = np.atleast_2d(np.cov(simulated, rowvar=False)) + 1e-9 * np.eye(len(observed))
    root = np.linalg.cholesky(covariance)
    white_observed = np.linalg.solve(root, observed - centre)
    white_simulated = np.linalg.solve(root, (simulated - centre).T).T
    share = np.clip((white_simulated < white_observed).mean(axis=0), 0.5 / n, 1 - 0.5 / n)
    return ndtri(share), ndtri((rankdata(white_simulated, axis=0) - 0.5) / n)


def normality(
    scores: Float[np.ndarray, " record"], replicated: Float[np.ndarray, "draw record"] | None = None
) -> dict[str, float]:
    """Tests of whether scores are N(0, 1): n, mean, sd, p_mean, p_variance, p_normal and p_global.

    The p-values are those of a mean of 0, a variance of 1, a normal distribution (Shapiro & Wilk 1965), and
    of the three together (the smallest times three). With the scores of replicates each p-value comes from
    the rank among them; without, from a t test and Fisher's variance test. NaN for fewer than four scores.
    """
    finite = np.isfinite(scores)
    z = scores[finite]
    n = int(finite.sum())
    if n < 4 or np.ptp(z) == 0:
        names = ("mean", "sd", "p_mean", "p_variance", "p_normal", "p_global")
        return {"n": float(n)} | dict.fromkeys(names, np.nan)
    mean = float(z.mean())
    sd = float(z.std(ddof=1))
    if replicated is None:
        tail = float(chi2.cdf((n - 1) * sd**2, n - 1))
        p_mean = 2 * float(student_t.sf(abs(mean) / (sd / np.sqrt(n)), n - 1))
        p_variance = 2 * min(tail, 1 - tail)
        p_normal = float(shapiro(z).pvalue)
    else:
        others = replicated[:, finite]
        log_sds = np.log(others.std(axis=1, ddof=1))
        departures = np.array([1 - float(shapiro(row).statistic) for row in others])
        p_mean = _rank_p(abs(mean), np.abs(others.mean(axis=1)))
        p_variance = _rank_p(abs(np.log(sd)), np.abs(log_sds))
        p_normal = _rank_p(1 - float(shapiro(z).statistic), departures)
    return {
        "n": float(n),
        "mean": mean,
        "sd": sd,
        "p_mean": p_mean,
        "p_variance": p_variance,
        "p_normal": p_normal,
        "p_global": min(1.0, 3 * min(p_mean, p_variance, p_normal)),
    }


def _rank_p(observed: float, replicated: Float[np.ndarray, " draw"]) -> float:
    """Monte Carlo p-value: the share of replicates that are as extreme as the observed value."""
    return float((1 + np.sum(replicated >= observed)) / (1 + len(replicated)))
