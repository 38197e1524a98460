"""Predicted records of a study: replicated with new patients, typical (PRED) and individual (IPRED).

A replicated study has new patients, drawn from the posterior, with the doses, record times and assay limits
of the study that was fitted.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pandas import DataFrame

from kinetics.assay import simulate_residual
from kinetics.inference import Fit
from kinetics.plan import BoundAssay
from kinetics.prediction.curves import Sites, observed_assays
from kinetics.prediction.patients import patients_of_each_draw, population_draws, typical_patients
from kinetics.prediction.solutions import DRAWS, Curves, Times, own_blocks, predicted_blocks
from kinetics.streams import stream

__all__ = [
    "Replicates",
    "individual_records",
    "predicted_records",
    "record_times",
    "simulate_records",
    "typical_records",
]


@dataclass(frozen=True)
class Replicates:
    """Simulated studies. In `value` [unit] a row is a replicate, and the columns are the rows of `records`.

    `below` and `above` mark simulated measurements outside the limits of their record, whose `value` is that
    limit. `latent` is the measurement before any limit censored it. `records` are the study's own: subject,
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
    return Replicates(
        analyte=analyte,
        unit=assay.unit,
        records=records,
        value=value,
        below=below,
        above=above,
        latent=y,
    )


def typical_records(fit: Fit, analyte: str, *, draws: int = 200) -> Float[np.ndarray, " record"]:
    """The prediction of each record without its subject's random effects (PRED) [unit of the analyte].

    It is the posterior median over `draws`. The entries are in the order of `fit.study.observed(analyte)`.
    StudyError for an analyte that the fit does not observe.
    """
    (assay,) = observed_assays(fit, analyte)
    sites = population_draws(fit, min(draws, fit.draws))
    theta = typical_patients(fit, sites, fit.bound.data.design, len(fit.bound.subjects))
    return np.median(_predicted(fit, assay, sites | theta, ("typical", draws, 0)), axis=0)


def individual_records(
    fit: Fit, assay: BoundAssay, *, draws: int = DRAWS
) -> Float[np.ndarray, "draw record"]:
    """What the assay reads [unit] at each of its records, by each subject's own posterior draws (IPRED)."""
    places = _places(fit, fit.bound.assays)
    blocks = own_blocks(fit, (assay.output,), places.times, draws=draws)
    return _read(fit, (assay,), fit.sites(at_most=draws), places, blocks)[assay.analyte]


def record_times(fit: Fit) -> Times:
    """The distinct days of the records of every subject (subject, slot); a free slot repeats the last."""
    return _places(fit, fit.bound.assays).times


# Predicted records of fits whose model is equations: by the id of a living fit, then by (kind, draws, seed)
# of the sites, then by analyte.
_KEPT: dict[int, dict[tuple[str, int, int], dict[str, Float[np.ndarray, "draw record"]]]] = {}


def _predicted(
    fit: Fit, assay: BoundAssay, sites: Sites, key: tuple[str, int, int]
) -> Float[np.ndarray, "draw record"]:
    """`predicted_records` of one assay for the sites that `key` (kind, draws, seed) names.

    Equations are solved for all assays at once and the result is kept: a report asks for the same curves
    several times for each analyte, and a solve of equations takes minutes.
    """
    if fit.model.vector_field is None:
        return predicted_records(fit, (assay,), sites)[assay.analyte]
    if id(fit) not in _KEPT:
        _KEPT[id(fit)] = {}
        weakref.finalize(fit, _KEPT.pop, id(fit), None)
    kept = _KEPT[id(fit)]
    if key not in kept:
        kept[key] = predicted_records(fit, fit.bound.assays, sites)
    return kept[key][assay.analyte]


def predicted_records(
    fit: Fit, assays: Sequence[BoundAssay], sites: Sites
) -> dict[str, Float[np.ndarray, "draw record"]]:
    """Analyte -> what the assay reads [unit] at each of its records, for every draw of `sites`.

    `sites` holds the fit's own sites and every parameter of every subject. All of `assays` are solved once,
    at the times of all their records.
    """
    places = _places(fit, assays)
    theta = {name: sites[name] for name in fit.bound.parameters}
    outputs = tuple(dict.fromkeys(a.output for a in assays))
    blocks = predicted_blocks(fit, outputs, places.times, theta, fit.bound.data.doses)
    return _read(fit, assays, sites, places, blocks)


@dataclass(frozen=True)
class _Places:
    """The distinct days of every subject's records (subject, slot), and analyte -> row and slot of each."""

    times: Times
    of: Mapping[str, tuple[Int[np.ndarray, " record"], Int[np.ndarray, " record"]]]


def _places(fit: Fit, assays: Sequence[BoundAssay]) -> _Places:
    """The days of the records of `assays`, and where each record is among them."""
    subjects = fit.bound.subjects
    records = {a.analyte: fit.study.observed(a.analyte) for a in assays}

    # the distinct times of every subject, as a dense array (subject, slot)
    distinct = pd.concat([r[["subject", "time"]] for r in records.values()]).drop_duplicates()
    if len(assays) > 1:
        distinct = distinct.sort_values(["subject", "time"], kind="stable")
    row_of_time, slot_of_time, times = _dense_times(distinct, subjects)

    # the subject's row and the time's slot of every record
    slots = {
        (row, time): slot
        for row, time, slot in zip(row_of_time.tolist(), distinct["time"], slot_of_time.tolist(), strict=True)
    }
    row_of_subject = {subject: k for k, subject in enumerate(subjects)}
    places = {}
    for analyte, table in records.items():
        rows = [row_of_subject[str(s)] for s in table["subject"]]
        record_slots = [slots[row, time] for row, time in zip(rows, table["time"], strict=True)]
        places[analyte] = (np.array(rows), np.array(record_slots))
    return _Places(times, places)


def _read(
    fit: Fit,
    assays: Sequence[BoundAssay],
    sites: Sites,
    places: _Places,
    blocks: Iterable[tuple[slice, Curves]],
) -> dict[str, Float[np.ndarray, "draw record"]]:
    """What the assays read at each of their records, from `blocks` of outputs at the days of `places`."""
    times = places.times
    read: dict[str, list[np.ndarray]] = {a.analyte: [] for a in assays}
    for block, predicted in blocks:
        rows = np.arange(len(times))[block]
        for a in assays:
            read[a.analyte].append(np.asarray(a.reading(sites, predicted[a.output], times[block], rows)))
    whole = {name: np.concatenate(parts, axis=1) for name, parts in read.items()}
    return {name: values[:, places.of[name][0], places.of[name][1]] for name, values in whole.items()}


def _dense_times(
    records: DataFrame, subjects: Sequence[str]
) -> tuple[Int[np.ndarray, " record"], Int[np.ndarray, " record"], Times]:
    """Row and slot of each record, and the times (subject, slot); a free slot repeats its subject's last."""
    row_of_subject = {subject: i for i, subject in enumerate(subjects)}
    rows = np.array([row_of_subject[str(subject)] for subject in records["subject"]])
    slots = records.groupby("subject", sort=False).cumcount().to_numpy(int)
    times = np.full((len(subjects), slots.max() + 1), np.nan)
    times[rows, slots] = records["time"]
    return rows, slots, np.asarray(DataFrame(times).ffill(axis=1).fillna(0.0))
