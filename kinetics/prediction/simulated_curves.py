"""`simulate`: a model and a regimen in, the curves of virtual patients out, a few thousand at a time.

Curves are of the model's outputs, without residual error. However many patients there are, `simulate_chunks`
holds one chunk of them; whether a patient is solved with many others or with few changes nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.errors import KineticsWarning, PlanError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.model import Model, load_model
from kinetics.prediction.curves import QUANTILES
from kinetics.prediction.patients import (
    ParameterSource,
    VirtualPopulation,
    numbered_patients,
    virtual_population,
    virtual_population_problems,
)
from kinetics.regimen import Doses, Regimen, doses_for, doses_of
from kinetics.solve import Solver, solve, trouble
from kinetics.study import Study, read_study

__all__ = [
    "Simulation",
    "VirtualPatients",
    "curve_bands",
    "gave_up_text",
    "peak_table",
    "simulate",
    "simulate_chunks",
    "simulated_values",
    "simulation",
]

CHUNK = 1000
_NAMED = 10  # patients the solver gave up on that a message names
_PROGRAMS: dict[tuple[Any, ...], Callable[..., dict[str, Array]]] = {}


@dataclass(frozen=True, eq=False)
class Simulation:
    """What is to be simulated, checked: `simulate_chunks` does it.

    `doses` has one row a way of being dosed: one for a regimen, one a subject of a study (`subjects` names
    them); patient n takes row n - 1, and after the last row the first again. `weights` [kg] belong to the
    rows. `notes` say what was assumed, `synthetic` whether it leans on simulated data.
    """

    model: Model
    population: VirtualPopulation
    outputs: tuple[str, ...]
    times: Float[np.ndarray, " time"]
    doses: Doses
    subjects: tuple[str, ...]
    weights: Float[np.ndarray, " row"]
    patients: int
    seed: int
    solver: Solver
    notes: tuple[str, ...]
    synthetic: bool


@dataclass(frozen=True, eq=False)
class VirtualPatients:
    """One chunk of patients. `curves`: patient, time [day], output, unit, value, in that order of sorting.

    `parameters`: patient, subject (where the doses are a study's), weight_kg, and every parameter of the
    model. `gave_up`: patient -> the day on which the solver gave up; their values from there on are NaN.
    """

    curves: DataFrame
    parameters: DataFrame
    gave_up: Mapping[int, float]


def simulate(
    model: Model | str | Path,
    regimen: Regimen | None = None,
    *,
    study: Study | str | Path | None = None,
    patients: int = 1,
    parameters: ParameterSource = "typical",
    set: Mapping[str, float] | None = None,
    times: Sequence[float] | AnyArray = range(91),
    weight_kg: float = 70.0,
    outputs: Sequence[str] | None = None,
    products: Sequence[str] | None = None,
    seed: int = 0,
    solver: Solver | None = None,
) -> DataFrame:
    """The curves of virtual patients: patient (from 1), time [day], output, unit, value.

    `regimen` is what every patient of `weight_kg` takes; with a `study` they take its subjects' doses in
    turn; with neither, the model's typical dose is one bolus at day 0. `parameters`: "typical" (patients
    differ in their doses only), "prior", or a Fit (posterior draws, new random effects, covariates at their
    reference); `set` replaces typical or population values. `products` keeps only those doses. A sample at
    the very time of a dose is taken before it where the model is equations. PlanError lists what cannot be; a
    KineticsWarning names patients whose values are NaN because the solver gave up on them. `times` are days,
    `outputs` those wanted (default: all).

    >>> regimen = kn.Regimen.iv(cells_per_kg=3e7, on=[0, 1])
    >>> curves = kn.simulate("stein_2019", regimen, patients=2, parameters="prior", times=[0, 14, 28], seed=1)
    >>> curves[["patient", "time", "output", "unit"]].head(3)
       patient  time  output           unit
    0        1   0.0  copies  copies/ug DNA
    1        1  14.0  copies  copies/ug DNA
    2        1  28.0  copies  copies/ug DNA
    """
    prepared = simulation(
        model,
        regimen,
        study=study,
        patients=patients,
        parameters=parameters,
        set=set,
        times=times,
        weight_kg=weight_kg,
        outputs=outputs,
        products=products,
        seed=seed,
        solver=solver,
    )
    parts = list(simulate_chunks(prepared))
    if gave_up := {number: day for part in parts for number, day in part.gave_up.items()}:
        warnings.warn(gave_up_text(gave_up, patients), KineticsWarning, stacklevel=2)
    return pd.concat([part.curves for part in parts], ignore_index=True)


def simulation(
    model: Model | str | Path,
    regimen: Regimen | None = None,
    *,
    study: Study | str | Path | None = None,
    patients: int = 1,
    parameters: ParameterSource = "typical",
    set: Mapping[str, float] | None = None,
    times: Sequence[float] | AnyArray = range(91),
    weight_kg: float = 70.0,
    outputs: Sequence[str] | None = None,
    products: Sequence[str] | None = None,
    seed: int = 0,
    solver: Solver | None = None,
) -> Simulation:
    """Everything checked and nothing solved; the keywords are those of `simulate`."""
    model = model if isinstance(model, Model) else load_model(model)
    read = read_study(study) if isinstance(study, str | Path) else study
    days = np.unique(np.asarray(times, float))
    found = virtual_population_problems(model, parameters, set or {})
    found += _problems(model, days, patients, outputs)
    if regimen is not None and read is not None:
        found.append(Problem("a regimen and a study", "give the one whose doses are to be taken"))
    if found:
        raise PlanError(found)
    fit = parameters if isinstance(parameters, Fit) else None
    model = model if fit is None else fit.model
    products = (
        fit.bound.plan.products if fit is not None and products is None and read is not None else products
    )
    doses, weights, notes = _doses(model, regimen, read, weight_kg, products)
    if fit is not None and (held := _held(fit)):
        notes.append(f"held at the reference of the fit, whatever the doses and weights: {', '.join(held)}")
    if parameters == "typical" and patients > len(weights):
        notes.append("typical patients with the same doses are all the same; draw them with a prior or a fit")
    base = solver or (Solver() if fit is None else fit.bound.plan.solver.solver())
    solver = replace(base, infusions=base.infusions and bool(np.any(np.asarray(doses.duration) > 0)))
    synthetic = any(s.synthetic for s in (read, fit and fit.study) if s is not None)
    courses = int(np.max(doses.course, initial=0)) + 1
    population = virtual_population(model, parameters, set, courses=courses)
    return Simulation(
        model,
        population,
        tuple(outputs or model.outputs),
        days,
        doses,
        () if read is None else tuple(read.subject_ids),
        weights,
        patients,
        seed,
        solver,
        tuple(notes),
        synthetic,
    )


def _held(fit: Fit) -> list[str]:
    """The covariate effects and allometry of a fit, which its virtual patients do without."""
    h = fit.bound.hierarchy
    return [*(effect.site for effect in h.effects), *(f"allometry of {name}" for name in h.scaled)]


def _problems(
    model: Model, days: Float[np.ndarray, " time"], patients: int, outputs: Sequence[str] | None
) -> list[Problem]:
    found = [
        Problem(f"{model.name} has no output {name!r}", did_you_mean(name, model.outputs))
        for name in outputs or ()
        if name not in model.outputs
    ]
    if not days.size or not np.isfinite(days).all():
        found.append(Problem("times that are no days", "give at least one finite day"))
    if patients < 1:
        found.append(Problem(f"{patients} patients", "give at least 1"))
    return found


def _doses(
    model: Model,
    regimen: Regimen | None,
    study: Study | None,
    weight_kg: float,
    products: Sequence[str] | None,
) -> tuple[Doses, Float[np.ndarray, " row"], list[str]]:
    """The doses, a row each, with the weights, and what had to be assumed."""
    entries = tuple(model.dosing)
    if study is not None:
        weights = study.subjects["weight_kg"].to_numpy(float)
        return doses_of(study, products=products, entries=entries), weights, []
    weights = np.array([weight_kg], float)
    notes = []
    if regimen is None:
        amount, note = _typical_dose(model)
        notes = [f"no regimen and no study: {note}"]
        product, _, route = next(iter(entries), "iv").rpartition("/")
        if model.dose_unit == "cells":
            regimen = Regimen.dose(route=route, product=product or "car_t", on=0.0, cells=amount)
        else:
            regimen = Regimen.dose(route=route, product=product or "drug", on=0.0, mg=amount)
    elif products is not None:
        regimen = regimen.only(*products)
    return doses_for(regimen, weights, entries, dose_unit=model.dose_unit), weights, notes


def _typical_dose(model: Model) -> tuple[float, str]:
    """The amount of the model's typical dose and a sentence on it; PlanError where there has to be one."""
    entry = next(iter(model.dosing), "iv")
    if model.typical_dose is not None:
        amount = f"{model.typical_dose:g} {model.dose_unit}"
        return model.typical_dose, f"{model.name}'s typical dose, {amount}, as one bolus at day 0 by {entry}"
    if model.solution is not None:
        day = np.array([[0.5, 7.0]])
        one = np.ones((1, 1))
        unknown = Doses(0 * one, np.nan * one, 0 * one, one, (0 * one).astype(int), (0 * one).astype(int))
        curves = solve(model, day, {k: np.full(1, v) for k, v in model.typical().items()}, unknown)
        if all(np.isfinite(y).all() for y in curves.values()):
            return 1.0, f"one dose at day 0 by {entry}; how large it is does not matter to {model.name}"
    what = f"{model.name} has no typical dose, and its curves depend on the dose"
    raise PlanError(Problem(what, "give a regimen or a study"))


def simulate_chunks(simulation: Simulation, chunk: int = CHUNK) -> Iterator[VirtualPatients]:
    """The patients in the order of their numbers, at most `chunk` solved at once, all compiled once."""
    s = simulation
    size = max(1, min(chunk, simulation.patients))
    patients = numbered_patients(s.population, s.seed)
    run = _program(solve, s)
    times = np.broadcast_to(s.times, (size, len(s.times)))
    for first in range(1, s.patients + 1, size):
        # the last chunk is filled up with its last patient, so that it has the shape of the others
        numbers = np.minimum(np.arange(first, first + size), s.patients)
        n = min(size, s.patients - first + 1)
        rows = (numbers - 1) % len(s.weights)
        theta = patients(numbers)
        doses = Doses(*(np.asarray(x)[rows] for x in s.doses))
        solved = run(times, theta, doses)
        values = np.stack([np.asarray(solved[name]) for name in s.outputs], axis=1)
        lost = np.flatnonzero(np.isnan(values[:n]).any(axis=(1, 2)))
        gave_up: dict[int, float] = {}
        if lost.size:
            first_nan = s.times[np.argmax(np.isnan(values).any(axis=1), axis=1)]
            at = np.asarray(_program(trouble, s)(times, theta, doses).at)
            days = np.where(np.isfinite(at), at, first_nan)
            gave_up = {int(numbers[i]): float(days[i]) for i in lost}
        curves = _curves(s, numbers[:n], values[:n])
        parameters = _parameters(s, numbers[:n], rows[:n], theta)
        yield VirtualPatients(curves, parameters, gave_up)


def simulated_values(
    simulation: Simulation, theta: Mapping[str, Float[AnyArray, " patient"]]
) -> Float[np.ndarray, "patient output time"]:
    """The outputs of patients with these parameters, all dosed as the simulation's first; NaN where not
    solved.
    """
    s = simulation
    n = len(next(iter(theta.values())))
    doses = Doses(*(np.repeat(np.asarray(x)[:1], n, axis=0) for x in s.doses))
    solved = _program(solve, s)(np.broadcast_to(s.times, (n, len(s.times))), dict(theta), doses)
    return np.stack([np.asarray(solved[name]) for name in s.outputs], axis=1)


def _program(what: Callable[..., Any], s: Simulation) -> Callable[..., Any]:
    """`solve` or `trouble`, compiled; kept by the equations themselves, on which alone it depends."""
    model = s.model
    outputs = s.outputs
    solver = s.solver
    parts = (*model.dosing.items(), *model.lag.items(), *((k, model.outputs[k].value) for k in outputs))
    scales = tuple((k, state.scale) for k, state in model.states.items())
    given = (model.solution, model.vector_field, model.initial, model.stiff)
    key = (what, given, parts, scales, outputs, solver)
    if key not in _PROGRAMS:
        _PROGRAMS[key] = jax.jit(lambda times, p, doses: what(model, times, p, doses, outputs, solver=solver))
    return _PROGRAMS[key]


def _curves(
    s: Simulation, numbers: np.ndarray, values: Float[np.ndarray, "patient output time"]
) -> DataFrame:
    n, outputs, times = values.shape
    units = [s.model.outputs[name].unit for name in s.outputs]
    columns = {"patient": np.repeat(numbers, outputs * times), "time": np.tile(s.times, n * outputs)}
    columns |= {"output": np.tile(np.repeat(np.array(s.outputs, object), times), n)}
    columns |= {"unit": np.tile(np.repeat(np.array(units, object), times), n), "value": values.ravel()}
    return DataFrame(columns)


def _parameters(
    s: Simulation, numbers: np.ndarray, rows: np.ndarray, theta: Mapping[str, Array]
) -> DataFrame:
    columns: dict[str, Any] = {"patient": numbers}
    columns |= {"subject": np.array(s.subjects, object)[rows]} if s.subjects else {}
    columns |= {"weight_kg": s.weights[rows]}
    return DataFrame(columns | {name: np.asarray(v)[: len(numbers)] for name, v in theta.items()})


def gave_up_text(gave_up: Mapping[int, float], patients: int) -> str:
    """Whom the solver gave up on and when, in one sentence with a remedy."""
    named = ", ".join(f"patient {n} on day {day:.4g}" for n, day in list(gave_up.items())[:_NAMED])
    more = f" and {len(gave_up) - _NAMED} more" if len(gave_up) > _NAMED else ""
    return (
        f"the solver gave up on {len(gave_up)} of {patients} patients ({named}{more}); their values from "
        "that day on are NaN. Look at their parameters: equations that blow up have no solution; else try a "
        "larger rtol"
    )


def _whole(curves: DataFrame) -> DataFrame:
    """The rows of patients without a NaN: those the solver did not give up on."""
    return curves[~curves["patient"].isin(curves.loc[curves["value"].isna(), "patient"])]


def curve_bands(curves: DataFrame) -> DataFrame:
    """output, unit, time [day], q5 q25 q50 q75 q95 over the patients whose curves are whole."""
    groups = _whole(curves).groupby(["output", "unit", "time"], sort=False)["value"]
    return DataFrame({name: groups.quantile(q) for name, q in QUANTILES.items()}).reset_index()


def peak_table(curves: DataFrame) -> DataFrame:
    """One row an output: the peak, its day, and the value at the last time, over patients with whole curves.

    Columns: output, unit, patients, then median and 90 % interval (_5, _95) of `peak`, `peak_day` and `last`.
    """
    whole = _whole(curves).reset_index(drop=True)
    groups = whole.groupby(["output", "unit", "patient"], sort=False)
    top = whole.loc[groups["value"].idxmax()].set_index(["output", "unit", "patient"])
    numbers = DataFrame({"peak": top["value"], "peak_day": top["time"], "last": groups["value"].last()})
    by_output = numbers.groupby(["output", "unit"], sort=False)
    columns = {"patients": by_output.size()}
    for name in numbers.columns:
        for suffix, q in (("", 0.5), ("_5", 0.05), ("_95", 0.95)):
            columns[f"{name}{suffix}"] = by_output[name].quantile(q)
    return DataFrame(columns).reset_index()
