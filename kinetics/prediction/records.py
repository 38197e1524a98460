"""Replicated studies: new patients with the doses, times and assay limits of the study, from the
posterior.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pandas import DataFrame

from kinetics.assay import simulate_residual
from kinetics.inference import Fit
from kinetics.plan import BoundAssay
from kinetics.prediction.curves import Sites, Times, observed_assays, predicted_blocks
from kinetics.prediction.patients import patients_of_each_draw, population_draws, typical_patients
from kinetics.streams import stream

__all__ = [
    "Replicates",
    "individual_records",
    "predicted_records",
    "simulate_records",
    "typical_records",
]


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
    bound = fit.bound
    n = len(fit.bound.subjects)
    records = fit.study.observed(analyte)
    rng = stream(seed, "replicated studies")
    sites = population_draws(fit, draws)
    theta = patients_of_each_draw(fit, sites, bound.data.design, n, rng)
    f = _predicted(fit, assay, sites | theta, ("new", draws, seed))
    residual = {k: np.asarray(v)[:, None] for k, v in assay.residual(dict[str, Any](sites)).items()}
    y = simulate_residual(assay.likelihood, f, residual, rng, nu=assay.nu, dna_ug=assay.dna_ug)
    lloq = records["lloq"].to_numpy(float)
    uloq = records["uloq"].to_numpy(float)
    below = y < lloq
    above = y > uloq
    value = np.where(below, lloq, np.where(above, uloq, y))
    return Replicates(analyte, assay.unit, records, value, below, above, y)


def typical_records(fit: Fit, analyte: str, *, draws: int = 200) -> Float[np.ndarray, " record"]:
    """What the model says of each record's subject without its random effects (PRED) [unit]: the posterior
    median over `draws`. The rows are those of `fit.study.observed(analyte)`.
    """
    (assay,) = observed_assays(fit, analyte)
    sites = population_draws(fit, min(draws, fit.draws))
    theta = typical_patients(fit, sites, fit.bound.data.design, len(fit.bound.subjects))
    return np.median(_predicted(fit, assay, sites | theta, ("typical", draws, 0)), axis=0)


_KEPT: dict[
    int, dict[tuple[str, int, int], dict[str, Float[np.ndarray, "draw record"]]]
] = {}  # by id of a living fit


def _predicted(
    fit: Fit, assay: BoundAssay, sites: Sites, which: tuple[str, int, int]
) -> Float[np.ndarray, "draw record"]:
    """`predicted_records` for the sites that `which` (kind, draws, seed) names; equations are solved for all
    assays at once and kept.

    A report asks for the same curves several times an analyte, and of equations a solve takes minutes.
    """
    if fit.model.vector_field is None:
        return predicted_records(fit, (assay,), sites)[assay.analyte]
    if id(fit) not in _KEPT:
        _KEPT[id(fit)] = {}
        weakref.finalize(fit, _KEPT.pop, id(fit), None)
    kept = _KEPT[id(fit)]
    if which not in kept:
        kept[which] = predicted_records(fit, fit.bound.assays, sites)
    return kept[which][assay.analyte]


def individual_records(fit: Fit, assay: BoundAssay, *, draws: int = 400) -> Float[np.ndarray, "draw record"]:
    """What the assay reads [unit] at each of its records by each subject's own posterior draws."""
    return _predicted(fit, assay, fit.sites(at_most=draws), ("individual", draws, 0))


def predicted_records(
    fit: Fit, assays: Sequence[BoundAssay], sites: Sites
) -> dict[str, Float[np.ndarray, "draw record"]]:
    """Analyte -> what the assay reads [unit] at each of its records, for every draw of `sites`: the fit's
    own, and every parameter of every subject. One solve at the times of all of `assays`.
    """
    subjects = fit.bound.subjects
    records = {a.analyte: fit.study.observed(a.analyte) for a in assays}
    every = pd.concat([r[["subject", "time"]] for r in records.values()]).drop_duplicates()
    every = every.sort_values(["subject", "time"], kind="stable") if len(assays) > 1 else every
    i, j, times = _dense_times(every, subjects)
    slot = dict(zip(zip(i.tolist(), every["time"], strict=True), j.tolist(), strict=True))
    theta = {name: sites[name] for name in fit.bound.parameters}
    row = {subject: k for k, subject in enumerate(subjects)}
    at = {}
    for name, r in records.items():
        rows = [row[str(s)] for s in r["subject"]]
        at[name] = (np.array(rows), np.array([slot[k, t] for k, t in zip(rows, r["time"], strict=True)]))
    f = {a.analyte: np.empty((len(next(iter(theta.values()))), *times.shape)) for a in assays}
    outputs = tuple(dict.fromkeys(a.output for a in assays))
    for rows, predicted in predicted_blocks(fit, outputs, times, theta, fit.bound.data.doses):
        for a in assays:
            seen = a.seen(sites, predicted[a.output], times[rows], np.arange(len(times))[rows])
            f[a.analyte][:, rows] = seen
    return {name: values[:, at[name][0], at[name][1]] for name, values in f.items()}


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
