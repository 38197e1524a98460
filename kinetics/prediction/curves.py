"""Curves that a fit predicts: of each subject of the study, and of a new patient.

A curve is what an assay would read, its scale factor included, without residual error. Every function is a
pure function of the fit and a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int
from pandas import DataFrame

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.inference import Fit
from kinetics.plan import BoundAssay
from kinetics.prediction.patients import patients_of_each_draw, population_draws, typical_patients
from kinetics.regimen import Doses
from kinetics.solve import Solver, solve
from kinetics.streams import stream

__all__ = [
    "QUANTILES",
    "Sites",
    "Theta",
    "Times",
    "curve_times",
    "individual_curves",
    "observed_assays",
    "population_curve",
    "predicted_blocks",
]

QUANTILES = {"q5": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}
_MOST = 1_000_000  # the most values of one output that are solved at once, in a block of subjects
_SOLVERS: dict[tuple[str, tuple[str, ...], Solver], Callable[..., dict[str, Array]]] = {}

Theta = Mapping[str, Float[np.ndarray, "draw subject"]]
Sites = Mapping[str, Any]  # the sites of a posterior, each (draw, ...)
Times = Float[np.ndarray, "subject time"]


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
    draws: int = 400,
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
    rows = np.arange(len(subjects))
    return _curve_table(fit, sites, times=grid, subjects=rows, analyte=analyte, labels=subjects)


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
    bound = fit.bound
    if like not in bound.subjects:
        raise StudyError(Problem(f"no subject {like!r} in this fit", did_you_mean(like, bound.subjects)))
    i = bound.subjects.index(like)
    grid = curve_times(fit)[i] if times is None else np.sort(np.asarray(times, float))
    design = {k: np.asarray(v)[i : i + 1] * (covariates == "subject") for k, v in bound.data.design.items()}
    sites = population_draws(fit, draws)
    typical = sites | typical_patients(fit, sites, design, 1)
    repeated = {k: np.repeat(v, patients, axis=0) for k, v in sites.items()}
    rng = stream(seed, "new patients of a curve")
    new = repeated | patients_of_each_draw(fit, repeated, design, 1, rng)
    tables = []
    for who, draws_of_patient in (("typical", typical), ("new", new)):
        table = _curve_table(
            fit,
            draws_of_patient,
            times=grid[None],
            subjects=np.array([i]),
            analyte=analyte,
            labels=[who],
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True).rename(columns={"subject": "who"})


def _curve_table(
    fit: Fit,
    sites: Sites,
    *,
    times: Times,
    subjects: Int[np.ndarray, " row"],
    analyte: str | None,
    labels: Sequence[str],
) -> DataFrame:
    """Quantiles over draws of what the assays read, as a long table: one row for each label, assay and time.

    `subjects` says whose doses and nucleated cells each row has.
    """
    assays = observed_assays(fit, analyte)
    doses = Doses(*(np.asarray(x)[subjects] for x in fit.bound.data.doses))
    theta = {name: sites[name] for name in fit.bound.parameters}
    quantiles = {a.analyte: np.empty((len(QUANTILES), *times.shape)) for a in assays}
    outputs = tuple(dict.fromkeys(a.output for a in assays))
    for rows, predicted in predicted_blocks(fit, outputs, times, theta, doses):
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


def predicted_blocks(
    fit: Fit, outputs: tuple[str, ...], times: Times, theta: Theta, doses: Doses
) -> Iterator[tuple[slice, dict[str, Float[np.ndarray, "draw subject time"]]]]:
    """The outputs of every draw, one block of subjects after another: (the block's rows, output -> values).

    All blocks have one shape, so that the solver is compiled once; the last is filled up with its last
    subject.
    """
    run = _solver(fit, outputs)
    n = len(times)
    draws = len(next(iter(theta.values())))
    blocks = -(-n // max(1, _MOST // (draws * times.shape[1])))
    size = -(-n // blocks)
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        block_doses = Doses(*(np.asarray(x)[rows] for x in doses))
        predicted = run(times[rows], {k: v[:, rows] for k, v in theta.items()}, block_doses)
        stop = min(start + size, n)
        yield slice(start, stop), {k: np.asarray(v)[:, : stop - start] for k, v in predicted.items()}


def _solver(fit: Fit, outputs: tuple[str, ...]) -> Callable[..., dict[str, Array]]:
    """`solve` over draws, compiled.

    It depends on the model file's hash, the outputs and the solver only, and is kept by these.
    """
    model = fit.model
    solver = fit.bound.solver
    key = (model.sha256, outputs, solver)
    if key in _SOLVERS and model.sha256:
        return _SOLVERS[key]

    def one(times: Array, theta: Mapping[str, Array], doses: Doses) -> dict[str, Array]:
        return solve(model, times, theta, doses, outputs, solver=solver)

    _SOLVERS[key] = jax.jit(jax.vmap(one, in_axes=(None, 0, None)))
    return _SOLVERS[key]


def observed_assays(fit: Fit, analyte: str | None) -> tuple[BoundAssay, ...]:
    """The assay of one analyte of a fit; all assays for None.

    StudyError where the fit does not observe the analyte.
    """
    chosen = tuple(a for a in fit.bound.assays if analyte in (None, a.analyte))
    if not chosen:
        what = f"the fit {fit.name} does not observe {analyte!r}"
        raise StudyError(Problem(what, did_you_mean(str(analyte), [a.analyte for a in fit.bound.assays])))
    return chosen
