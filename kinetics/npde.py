"""Normalised prediction distribution errors: where each record lies among its replicates, on the normal scale.

A record's prediction discrepancy is the share of replicated records below it; that of a BLQ record is drawn
uniformly between 0 and the replicated share below its LLOQ (the cdf method: Nguyen, Comets & Mentré 2012).
Records of one subject go together, so their discrepancies are decorrelated in the order of time (Brendel,
Comets, Laffont, Laveille & Mentré 2006). That is done on normal scores of the ranks, so that it does not matter
whether an assay is read on a linear or a log scale, and replicates are cut at the same limits. If the model is
right, each is N(0, 1); decorrelated is not quite independent, so the tests compare with the replicates' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pandas import DataFrame
from scipy.special import ndtri
from scipy.stats import chi2, rankdata, shapiro
from scipy.stats import t as student_t

from kinetics.replicates import Replicates
from kinetics.streams import stream

__all__ = ["Discrepancies", "discrepancies", "normality", "record_limits"]


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
    value, limit = records["value"].to_numpy(float), records["limit"].to_numpy(float)
    kind = records["censored"].to_numpy(str)
    lower = np.where(np.isin(kind, ["left", "interval"]), np.where(np.isnan(limit), -np.inf, limit), value)
    return lower, np.where(kind == "right", np.inf, value)


def discrepancies(replicates: Replicates, *, seed: int = 0) -> Discrepancies:
    """npd and npde of every record of one analyte; `seed` fixes the imputed records and how ties are broken."""
    records, y = replicates.records, replicates.latent
    n = len(y)
    rng = stream(seed, "prediction discrepancies")
    lower, upper = record_limits(records)
    low, high = (y < lower).mean(axis=0), (y <= upper).mean(axis=0)
    measured = lower == upper
    u = rng.random(len(records))
    share = np.where(measured, 0.5 * (low + high), low + u * (high - low))
    certain = ~measured & (high - low >= 1.0)
    npd = np.where(certain, np.nan, ndtri(np.clip(share, 0.5 / n, 1 - 0.5 / n)))
    scores = _replicated_scores(replicates, rng)
    npde, replicated = np.full(len(records), np.nan), np.full(y.shape, np.nan)
    subjects, time = records["subject"].to_numpy(str), records["time"].to_numpy(float)
    for subject in dict.fromkeys(subjects):
        own = np.flatnonzero((subjects == subject) & ~certain)
        own = own[np.argsort(time[own], kind="stable")]
        if len(own):
            npde[own], replicated[:, own] = _decorrelated(npd[own], scores[:, own])
    return Discrepancies(npd, npde, replicated)


def _replicated_scores(replicates: Replicates, rng: np.random.Generator) -> Float[np.ndarray, "draw record"]:
    """Normal scores of the replicated records, those outside the assay's limits drawn as the observed ones are:
    a subject's records below the LLOQ lose their correlation in the data and in the replicates alike.
    """
    y, n = replicates.latent, len(replicates.latent)
    order = np.argsort(rng.random(y.shape), axis=0)  # ranks at random among equals: no cells, and no cells
    ranks = np.empty_like(y)
    np.put_along_axis(
        ranks, order, rankdata(np.take_along_axis(y, order, axis=0), method="ordinal", axis=0), axis=0
    )
    share, u = (ranks - 0.5) / n, rng.random(y.shape)
    below, above = replicates.below, replicates.above
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
    """n, mean, sd, and p-values: p_mean (of 0), p_variance (of 1), p_normal (Shapiro & Wilk 1965) and p_global,
    the smallest of the three times three. With the scores of replicates each is a rank among them; without, a t
    test and Fisher's variance test. NaN for fewer than four scores.
    """
    there = np.isfinite(scores)
    z, n = scores[there], int(there.sum())
    keys = ("mean", "sd", "p_mean", "p_variance", "p_normal", "p_global")
    if n < 4 or np.ptp(z) == 0:
        return {"n": float(n)} | dict.fromkeys(keys, np.nan)
    mean, sd = float(z.mean()), float(z.std(ddof=1))
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
