"""Curves that a fit predicts: of each subject of the study, and of a new patient.

A curve is what an assay would read, its scale factor included, without residual error. Every function is a
pure function of the fit and a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from pandas import DataFrame

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.inference import Fit
from kinetics.plan import BoundAssay
from kinetics.prediction.patients import patients_of_each_draw, population_draws, typical_patients
from kinetics.prediction.solutions import DRAWS, Curves, Times, own_blocks, predicted_blocks
from kinetics.regimen import Doses
from kinetics.streams import stream

__all__ = [
    "QUANTILES",
    "Sites",
    "curve_times",
    "individual_curves",
    "observed_assays",
    "population_curve",
    "population_tables",
]

QUANTILES = {"q5": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}
Sites = Mapping[str, Any]  # the sites of a posterior, each (draw, ...)


def curve_times(fit: Fit, *, points: int = 160, until: float | None = None) -> Times:
    """A time grid [study day] for every subject: even over its follow-up, finer in the days after each dose.

    A subject's grid begins at its first record or dose and ends at `until`, by default at its last record or
    dose.
    """
    record_times = np.asarray(fit.bound.data.observations.time)
    dose_times = np.asarray(fit.bound.data.doses.time)
    around = np.array([-1e-4, 0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.4, 2.0, 3.0])
    rows = []
    for records, doses in zip(record_times, dose_times, strict=True):
        first = min(records.min(), doses.min())
        last = max(records.max(), doses.max()) if until is None else until
        near_doses = (doses[:, None] + around * (last - first) / points).ravel()
        even = np.linspace(first, last, points)
        rows.append(np.sort(np.clip(np.concatenate([even, near_doses]), first, last)))
    return np.array(rows)


def individual_curves(
    fit: Fit,
    times: Float[np.ndarray, " time"] | Times | None = None,
    *,
    analyte: str | None = None,
    draws: int = DRAWS,
) -> DataFrame:
    """Each subject's curve over the posterior: subject, analyte, unit, time [study day], q5 q25 q50 q75 q95.

    `times` is one grid for all, or one row for each subject (default: `curve_times`). The bands are those of
    the curve, without residual error: a new measurement scatters more. `analyte` chooses one, by default
    every analyte of the fit. StudyError for an analyte that the fit does not observe.
    """
    sites = fit.sites(at_most=draws)
    subjects = fit.bound.subjects
    times = curve_times(fit) if times is None else np.atleast_2d(np.asarray(times, float))
    grid = np.sort(times, axis=1)
    grid = np.broadcast_to(grid, (len(subjects), grid.shape[1]))
    assays = observed_assays(fit, analyte)
    blocks = own_blocks(fit, _outputs(assays), grid, draws=draws)
    rows = np.arange(len(subjects))
    return _curve_table(assays, sites, blocks, times=grid, subjects=rows, labels=subjects)


def population_curve(
    fit: Fit,
    times: Float[np.ndarray, " time"] | None = None,
    *,
    like: str,
    covariates: Literal["reference", "subject"] = "reference",
    analyte: str | None = None,
    draws: int = 400,
    patients: int = 5,
    seed: int = 0,
) -> DataFrame:
    """Curves of patients who were not in the study, dosed as the subject `like` was.

    Columns: who, analyte, unit, time [study day], q5 q25 q50 q75 q95. `who` is "typical" (random effects at
    zero: the band is what is not known about the population) or "new" (`patients` random effects drawn from
    omega for each posterior draw: the band is where a new patient's curve lies, 90 % of them between q5 and
    q95). `covariates`: "reference" sets every design column to 0, which puts each covariate at its centre,
    its most frequent category or its reference weight; "subject" takes the covariates of `like`, as a dose
    level that is itself a covariate needs. StudyError if there is no such subject.
    """
    grid = None if times is None else {like: np.sort(np.asarray(times, float))}
    tables = population_tables(
        fit,
        [like],
        grid,
        covariates=covariates,
        analyte=analyte,
        draws=draws,
        patients=patients,
        seed=seed,
    )
    return tables[like]


def population_tables(
    fit: Fit,
    likes: Sequence[str],
    times: Mapping[str, Float[np.ndarray, " time"]] | None = None,
    *,
    covariates: Literal["reference", "subject"] = "reference",
    analyte: str | None = None,
    draws: int = 400,
    patients: int = 5,
    seed: int = 0,
) -> dict[str, DataFrame]:
    """The tables of `population_curve` for each of the subjects `likes`, all solved at once.

    `times` are the days for each of them; by default those of `curve_times`.
    """
    bound = fit.bound
    unknown = [like for like in likes if like not in bound.subjects]
    if unknown:
        what = f"no subject {unknown[0]!r} in this fit"
        raise StudyError(Problem(what, did_you_mean(unknown[0], bound.subjects)))
    rows = np.array([bound.subjects.index(like) for like in likes])
    if times is None:
        grid = curve_times(fit)[rows]
    else:
        width = max(len(times[like]) for like in likes)
        grid = np.array([np.pad(times[like], (0, width - len(times[like])), mode="edge") for like in likes])
    sites = population_draws(fit, draws)
    repeated = {k: np.repeat(v, patients, axis=0) for k, v in sites.items()}
    columns: dict[str, dict[str, list[np.ndarray]]] = {who: {} for who in ("typical", "new")}
    for i in rows:
        design = {
            k: np.asarray(v)[i : i + 1] * (covariates == "subject") for k, v in bound.data.design.items()
        }
        rng = stream(seed, "new patients of a curve")
        drawn = {
            "typical": typical_patients(fit, sites, design, 1),
            "new": patients_of_each_draw(fit, repeated, design, 1, rng),
        }
        for who, theta in drawn.items():
            for name in bound.parameters:
                columns[who].setdefault(name, []).append(theta[name])
    theta = {
        who: {k: np.concatenate(v, axis=1) for k, v in of_name.items()} for who, of_name in columns.items()
    }
    # the typical patient of every draw, then the new ones: one solve of both
    both = {name: np.concatenate([theta["typical"][name], theta["new"][name]]) for name in bound.parameters}
    assays = observed_assays(fit, analyte)
    doses = Doses(*(np.asarray(x)[rows] for x in bound.data.doses))
    blocks = list(predicted_blocks(fit, _outputs(assays), grid, both, doses))
    parts = {"typical": slice(0, draws), "new": slice(draws, None)}
    tables: dict[str, list[DataFrame]] = {like: [] for like in likes}
    for who, of_draws in (("typical", sites), ("new", repeated)):
        of_who = [(block, {k: v[parts[who]] for k, v in curves.items()}) for block, curves in blocks]
        table = _curve_table(assays, of_draws, of_who, times=grid, subjects=rows, labels=list(likes))
        for like in likes:
            of_like = DataFrame(table[table["subject"] == like]).drop_duplicates(["analyte", "time"])
            tables[like].append(of_like.assign(subject=who))
    return {
        like: pd.concat(both, ignore_index=True).rename(columns={"subject": "who"})
        for like, both in tables.items()
    }


def _outputs(assays: Sequence[BoundAssay]) -> tuple[str, ...]:
    """The outputs that the assays read."""
    return tuple(dict.fromkeys(assay.output for assay in assays))


def _curve_table(
    assays: Sequence[BoundAssay],
    sites: Sites,
    blocks: Iterable[tuple[slice, Curves]],
    *,
    times: Times,
    subjects: Int[np.ndarray, " row"],
    labels: Sequence[str],
) -> DataFrame:
    """Quantiles over draws of what the assays read, as a long table: one row for each label, assay and time.

    `blocks` are the outputs in the draws of `sites`, and `subjects` says whose nucleated cells each row has.
    """
    quantiles = {a.analyte: np.empty((len(QUANTILES), *times.shape)) for a in assays}
    for rows, predicted in blocks:
        for a in assays:
            read = a.reading(sites, predicted[a.output], times[rows], subjects[rows])
            quantiles[a.analyte][:, rows] = np.quantile(read, list(QUANTILES.values()), axis=0)
    tables = []
    for assay in assays:
        columns: dict[str, Any] = {
            "subject": np.repeat(np.asarray(labels, object), times.shape[1]),
            "analyte": assay.analyte,
            "unit": assay.unit,
            "time": times.ravel(),
        }
        for name, values in zip(QUANTILES, quantiles[assay.analyte], strict=True):
            columns[name] = values.ravel()
        tables.append(DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def observed_assays(fit: Fit, analyte: str | None) -> tuple[BoundAssay, ...]:
    """The assay of one analyte of a fit; all assays for None.

    StudyError where the fit does not observe the analyte.
    """
    chosen = tuple(a for a in fit.bound.assays if analyte in (None, a.analyte))
    if not chosen:
        what = f"the fit {fit.name} does not observe {analyte!r}"
        raise StudyError(Problem(what, did_you_mean(str(analyte), [a.analyte for a in fit.bound.assays])))
    return chosen
