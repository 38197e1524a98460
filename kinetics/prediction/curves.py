"""What a fit predicts: each subject's curve, and the curve of a new patient.

Curves are of what an assay reads, its scale factor included, without residual error. Every function is a pure
function of the fit and a seed.
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
_MOST = 1_000_000  # numbers of an output solved at once, subject block by subject block
_SOLVERS: dict[tuple[str, tuple[str, ...], Solver], Callable[..., dict[str, Array]]] = {}

Theta = Mapping[str, Float[np.ndarray, "draw subject"]]
Sites = Mapping[str, Any]  # of a posterior, each (draw, ...)
Times = Float[np.ndarray, "subject time"]


def curve_times(fit: Fit, *, points: int = 160, until: float | None = None) -> Times:
    """A time grid [study day] for every subject: even over its follow-up, finer in the days after each dose.

    It begins at the first record or dose and ends at `until`, by default the last record.
    """
    seen = fit.bound.data.observations.time
    doses = fit.bound.data.doses.time
    around = np.array([-1e-4, 0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.4, 2.0, 3.0])
    rows = []
    for own, given in zip(np.asarray(seen), np.asarray(doses), strict=True):
        first = min(own.min(), given.min())
        last = max(own.max(), given.max()) if until is None else until
        near = (given[:, None] + around * (last - first) / points).ravel()
        rows.append(np.sort(np.clip(np.concatenate([np.linspace(first, last, points), near]), first, last)))
    return np.array(rows)


def individual_curves(
    fit: Fit,
    times: Float[np.ndarray, " time"] | Times | None = None,
    *,
    analyte: str | None = None,
    draws: int = 400,
) -> DataFrame:
    """Each subject's curve over the posterior: subject, analyte, unit, time [study day], q5 q25 q50 q75 q95.

    `times`: one grid for all, or one row per subject (default: `curve_times`). The bands are of the curve,
    not of a new measurement: no residual error. `analyte`: one, by default every analyte of the fit.
    """
    sites = fit.sites(at_most=draws)
    subjects = fit.bound.subjects
    own = curve_times(fit) if times is None else np.sort(np.atleast_2d(np.asarray(times, float)), axis=1)
    grid = np.broadcast_to(own, (len(subjects), own.shape[1]))
    return _curve_table(fit, sites, grid, np.arange(len(subjects)), observed_assays(fit, analyte), subjects)


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
    q95). `covariates`: "reference" sets every design column to 0, that is each covariate at its centre, its
    most frequent category or its reference weight; "subject" takes those of `like`, as a dose level that
    is itself a covariate needs. StudyError if there is no such subject.
    """
    bound = fit.bound
    if like not in bound.subjects:
        raise StudyError(Problem(f"no subject {like!r} in this fit", did_you_mean(like, bound.subjects)))
    i = bound.subjects.index(like)
    own = curve_times(fit)[i] if times is None else np.sort(np.asarray(times, float))
    design = {k: np.asarray(v)[i : i + 1] * (covariates == "subject") for k, v in bound.data.design.items()}
    assays = observed_assays(fit, analyte)
    sites = population_draws(fit, draws)
    typical = sites | typical_patients(fit, sites, design, 1)
    repeated = {k: np.repeat(v, patients, axis=0) for k, v in sites.items()}
    rng = stream(seed, "new patients of a curve")
    new = repeated | patients_of_each_draw(fit, repeated, design, 1, rng)
    tables = [
        _curve_table(fit, of, own[None], np.array([i]), assays, [who])
        for who, of in (("typical", typical), ("new", new))
    ]
    return pd.concat(tables, ignore_index=True).rename(columns={"subject": "who"})


def _curve_table(
    fit: Fit,
    sites: Sites,
    times: Times,
    subjects: Int[np.ndarray, " row"],
    assays: Sequence[BoundAssay],
    labels: Sequence[str],
) -> DataFrame:
    """Quantiles over draws of what the assays read, long; one row per label, assay and time.

    `subjects`: whose doses and nucleated cells each row has.
    """
    doses = Doses(*(np.asarray(x)[subjects] for x in fit.bound.data.doses))
    theta = {name: sites[name] for name in fit.bound.parameters}
    found = {a.analyte: np.empty((len(QUANTILES), *times.shape)) for a in assays}
    outputs = tuple(dict.fromkeys(a.output for a in assays))
    for rows, predicted in predicted_blocks(fit, outputs, times, theta, doses):
        for a in assays:
            read = a.seen(sites, predicted[a.output], times[rows], subjects[rows])
            found[a.analyte][:, rows] = np.quantile(read, list(QUANTILES.values()), axis=0)
    tables = []
    for assay in assays:
        columns = {"subject": np.repeat(np.asarray(labels, object), times.shape[1]), "analyte": assay.analyte}
        columns |= {"unit": assay.unit, "time": times.ravel()}
        columns |= {name: q.ravel() for name, q in zip(QUANTILES, found[assay.analyte], strict=True)}
        tables.append(DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def predicted_blocks(
    fit: Fit, outputs: tuple[str, ...], times: Times, theta: Theta, doses: Doses
) -> Iterator[tuple[slice, dict[str, Float[np.ndarray, "draw subject time"]]]]:
    """The outputs of every draw, for one block of subjects after another; blocks have one compiled shape."""
    run = _solver(fit, outputs)
    n = len(times)
    draws = len(next(iter(theta.values())))
    count = -(-n // max(1, _MOST // (draws * times.shape[1])))
    size = -(-n // count)
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        own = Doses(*(np.asarray(x)[rows] for x in doses))
        predicted = run(times[rows], {k: v[:, rows] for k, v in theta.items()}, own)
        stop = min(start + size, n)
        yield slice(start, stop), {k: np.asarray(v)[:, : stop - start] for k, v in predicted.items()}


def _solver(fit: Fit, outputs: tuple[str, ...]) -> Callable[..., dict[str, Array]]:
    """`solve` over draws, compiled; kept by the model file's hash and the solver, all that it depends on."""
    model, key = fit.model, (fit.model.sha256, outputs, solver := fit.bound.solver)
    if key in _SOLVERS and model.sha256:
        return _SOLVERS[key]

    def one(times: Array, theta: Mapping[str, Array], doses: Doses) -> dict[str, Array]:
        return solve(model, times, theta, doses, outputs, solver=solver)

    _SOLVERS[key] = jax.jit(jax.vmap(one, in_axes=(None, 0, None)))
    return _SOLVERS[key]


def observed_assays(fit: Fit, analyte: str | None) -> tuple[BoundAssay, ...]:
    chosen = tuple(a for a in fit.bound.assays if analyte in (None, a.analyte))
    if not chosen:
        what = f"the fit {fit.name} does not observe {analyte!r}"
        raise StudyError(Problem(what, did_you_mean(str(analyte), [a.analyte for a in fit.bound.assays])))
    return chosen
