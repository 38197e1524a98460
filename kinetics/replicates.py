"""Replicated studies: new patients with the doses, times and assay limits of the study, from the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from pandas import DataFrame

from kinetics.bind import BoundAssay
from kinetics.fit import Fit
from kinetics.predict import Sites, Times, observed_assays, population_sites, predicted_blocks, subject_theta
from kinetics.residual import simulate_residual

__all__ = ["Replicates", "predicted_records", "simulate_records", "typical_records"]


@dataclass(frozen=True)
class Replicates:
    """Simulated studies: the columns of `value` [unit] are the rows of `records`, the rows replicates.

    `below` and `above`: the simulated measurement lay outside the limits of its record, and `value` is then
    that limit; `latent` is the measurement that no limit had cut. `records` are the study's own: subject,
    time [study day], value, censored, lloq, uloq.
    """

    analyte: str
    unit: str
    records: DataFrame
    value: Float[np.ndarray, "draw record"]
    below: Bool[np.ndarray, "draw record"]
    above: Bool[np.ndarray, "draw record"]
    latent: Float[np.ndarray, "draw record"]


def simulate_records(fit: Fit, analyte: str, *, draws: int = 500, seed: int = 0) -> Replicates:
    """Replicate the study: new patients with the same doses, covariates, sampling times and assay limits.

    Each replicate takes one posterior draw, new random effects, and residual error; the errors of correlated
    analytes are drawn one by one. StudyError for an analyte that the fit does not observe.
    """
    (assay,) = observed_assays(fit, analyte)
    bound, n = fit.bound, len(fit.bound.subjects)
    records = fit.study.observed(analyte)
    rng = np.random.default_rng([seed, 2])
    sites = population_sites(fit, draws)
    eta = {k: rng.standard_normal((draws, n)) for k in bound.hierarchy.vary}
    chance = rng.uniform(size=(draws, n)) if "prob_class" in sites else None
    theta = subject_theta(fit, sites, bound.data.design, eta, n, chance)
    f = predicted_records(fit, assay, sites | theta)
    residual = {k: np.asarray(v)[:, None] for k, v in assay.residual(dict[str, Any](sites)).items()}
    y = simulate_residual(assay.likelihood, f, residual, rng, nu=assay.nu, dna_ug=assay.dna_ug)
    lloq, uloq = records["lloq"].to_numpy(float), records["uloq"].to_numpy(float)
    below, above = y < lloq, y > uloq
    value = np.where(below, lloq, np.where(above, uloq, y))
    return Replicates(analyte, assay.unit, records, value, below, above, y)


def typical_records(fit: Fit, analyte: str, *, draws: int = 200) -> Float[np.ndarray, " record"]:
    """What the model says of each record's subject without its random effects (PRED) [unit]: the posterior
    median over `draws`. The rows are those of `fit.study.observed(analyte)`.
    """
    (assay,) = observed_assays(fit, analyte)
    bound, n = fit.bound, len(fit.bound.subjects)
    sites = population_sites(fit, min(draws, fit.draws))
    eta = {k: np.zeros((len(next(iter(sites.values()))), n)) for k in bound.hierarchy.vary}
    theta = subject_theta(fit, sites, bound.data.design, eta, n)
    return np.median(predicted_records(fit, assay, sites | theta), axis=0)


def predicted_records(fit: Fit, assay: BoundAssay, sites: Sites) -> Float[np.ndarray, "draw record"]:
    """What the assay reads [unit] at each of its records, for every draw of `sites`: the fit's own, and every
    parameter of every subject.
    """
    i, j, times = _dense_times(fit.study.observed(assay.analyte), fit.bound.subjects)
    theta = {name: sites[name] for name in fit.bound.parameters}
    f = np.empty((len(next(iter(theta.values()))), *times.shape))
    for rows, predicted in predicted_blocks(fit, (assay.output,), times, theta, fit.bound.data.doses):
        f[:, rows] = assay.seen(sites, predicted[assay.output], times[rows], np.arange(len(times))[rows])
    return f[:, i, j]


def _dense_times(
    records: DataFrame, subjects: Sequence[str]
) -> tuple[Int[np.ndarray, " record"], Int[np.ndarray, " record"], Times]:
    """Row and slot of each record, and the times there; a free slot repeats its subject's last time."""
    row = {subject: i for i, subject in enumerate(subjects)}
    i = np.array([row[str(subject)] for subject in records["subject"]])
    j = records.groupby("subject", sort=False).cumcount().to_numpy(int)
    times = np.full((len(subjects), j.max() + 1), np.nan)
    times[i, j] = records["time"]
    return i, j, np.asarray(DataFrame(times).ffill(axis=1).fillna(0.0))
