"""Simulated curves: a model and a regimen in, the curves of virtual patients out, a few thousand at a time.

Curves are of the model's outputs, without residual error. However many patients there are, `simulate_chunks`
holds only one chunk of them in memory. A patient's curve is the same whether it is solved with many others or
with few.
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

from kinetics.arguments import require
from kinetics.arrays import AnyArray
from kinetics.errors import KineticsWarning, PlanError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.prediction.curves import QUANTILES
from kinetics.prediction.patients import (
    ParameterSource,
    VirtualPopulation,
    chosen_model,
    numbered_patients,
    virtual_population,
    virtual_population_problems,
)
from kinetics.regimen import Doses, Regimen, doses_for, doses_of
from kinetics.solve import Solver, solve, solver_failures
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
_NAMED = 10  # the most patients that a message on the solver's giving up names
_PROGRAMS: dict[tuple[Any, ...], Callable[..., dict[str, Array]]] = {}


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulation that was checked and is ready to run with `simulate_chunks`.

    `doses` has one row for a regimen, or one for each subject of a study (`subjects` names them); patient n
    takes row n - 1, and after the last row the first again. `weights` [kg] belong to the rows. `prior_set` is
    the prior set of the model that is in place, None for its own priors. `notes` say what was assumed;
    `synthetic` says whether the simulation rests on simulated data.
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
    prior_set: str | None = None


@dataclass(frozen=True, eq=False)
class VirtualPatients:
    """One chunk of patients.

    Columns of `curves`: patient, time [day], output, unit, value; the rows go by patient, then output, then
    time.

    Columns of `parameters`: patient, subject (where the doses are a study's), weight_kg, and every parameter
    of the model. `gave_up`: patient -> the day on which the solver gave up; the patient's values from that
    day on are NaN.
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
    prior_set: str | None = None,
    set: Mapping[str, float] | None = None,
    times: Sequence[float] | AnyArray = range(91),
    weight_kg: float = 70.0,
    outputs: Sequence[str] | None = None,
    products: Sequence[str] | None = None,
    seed: int = 0,
    solver: Solver | None = None,
) -> DataFrame:
    """The curves of virtual patients: patient (from 1), time [day], output, unit, value.

    Doses: every patient takes `regimen`, at `weight_kg` [kg]; with a `study` the patients take its subjects'
    doses in turn; with neither, the model's typical dose is given as one bolus at day 0. `products` keeps
    only the doses of these products.

    Parameters: `parameters` is "typical" (patients differ in their doses only), "prior", or a Fit (posterior
    draws, new random effects, covariates at their reference). `prior_set` names a prior set of the model,
    whose typical values and priors replace the model's own; a Fit has its own. `set` replaces typical or
    population values.

    `times` are days and `outputs` the outputs to return (default: all). A sample at the very time of a dose
    is taken before the dose where the model is equations. PlanError lists what is not possible, ModelError
    refuses a model or prior set that does not exist. A KineticsWarning names patients whose values are NaN
    because the solver gave up on them.

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
        prior_set=prior_set,
        set=set,
        times=times,
        weight_kg=weight_kg,
        outputs=outputs,
        products=products,
        seed=seed,
        solver=solver,
    )
    parts = list(simulate_chunks(prepared))
    gave_up = {number: day for part in parts for number, day in part.gave_up.items()}
    if gave_up:
        warnings.warn(gave_up_text(gave_up, patients), KineticsWarning, stacklevel=2)
    return pd.concat([part.curves for part in parts], ignore_index=True)


def simulation(
    model: Model | str | Path,
    regimen: Regimen | None = None,
    *,
    study: Study | str | Path | None = None,
    patients: int = 1,
    parameters: ParameterSource = "typical",
    prior_set: str | None = None,
    set: Mapping[str, float] | None = None,
    times: Sequence[float] | AnyArray = range(91),
    weight_kg: float = 70.0,
    outputs: Sequence[str] | None = None,
    products: Sequence[str] | None = None,
    seed: int = 0,
    solver: Solver | None = None,
) -> Simulation:
    """The checked simulation that these arguments ask for, with nothing solved yet.

    The keywords and the errors are those of `simulate`.
    """
    require(
        model=(model, Model | str | Path),
        regimen=(regimen, Regimen | None),
        study=(study, Study | str | Path | None),
    )
    model = chosen_model(model, prior_set, parameters=parameters)
    if isinstance(study, str | Path):
        study = read_study(study)
    days = np.unique(np.asarray(times, float))
    problems = virtual_population_problems(model, parameters, set or {})
    problems.extend(_problems(model, days, patients, outputs))
    if regimen is not None and study is not None:
        problems.append(Problem("a regimen and a study", "give the one whose doses are to be taken"))
    if problems:
        raise PlanError(problems)

    # a fit brings its model, its solver and, with a study, its products
    base_solver = solver or Solver()
    fit = parameters if isinstance(parameters, Fit) else None
    if fit is not None:
        model = fit.model
        base_solver = solver or fit.bound.plan.solver.solver()
        if products is None and study is not None:
            products = fit.bound.plan.products
    doses, weights, notes = _doses(model, regimen, study, weight_kg, products)
    has_infusions = bool(np.any(np.asarray(doses.duration) > 0))

    if prior_set is not None:
        notes.append(f"typical values and priors of the prior set {prior_set}")
    held = [] if fit is None else _held(fit)
    if held:
        notes.append(f"held at the reference of the fit, whatever the doses and weights: {', '.join(held)}")
    if parameters == "typical" and patients > len(weights):
        notes.append("typical patients with the same doses are all the same; draw them with a prior or a fit")

    studies = [study, None if fit is None else fit.study]
    courses = int(np.max(doses.course, initial=0)) + 1
    return Simulation(
        model=model,
        population=virtual_population(model, parameters, set, courses=courses),
        outputs=tuple(outputs or model.outputs),
        times=days,
        doses=doses,
        subjects=() if study is None else tuple(study.subject_ids),
        weights=weights,
        patients=patients,
        seed=seed,
        solver=replace(base_solver, infusions=base_solver.infusions and has_infusions),
        notes=tuple(notes),
        synthetic=any(s.synthetic for s in studies if s is not None),
        prior_set=prior_set,
    )


def _held(fit: Fit) -> list[str]:
    """The covariate effects and allometry of a fit, which its virtual patients do without."""
    h = fit.bound.hierarchy
    return [*(effect.site for effect in h.effects), *(f"allometry of {name}" for name in h.scaled)]


def _problems(
    model: Model, days: Float[np.ndarray, " time"], patients: int, outputs: Sequence[str] | None
) -> Iterator[Problem]:
    """The problems of the outputs, the times and the number of patients."""
    for name in outputs or ():
        if name not in model.outputs:
            yield Problem(f"{model.name} has no output {name!r}", did_you_mean(name, model.outputs))
    if not days.size or not np.isfinite(days).all():
        yield Problem("times that are no days", "give at least one finite day")
    if patients < 1:
        yield Problem(f"{patients} patients", "give at least 1")


def _doses(
    model: Model,
    regimen: Regimen | None,
    study: Study | None,
    weight_kg: float,
    products: Sequence[str] | None,
) -> tuple[Doses, Float[np.ndarray, " row"], list[str]]:
    """The doses and the weights [kg], a row for each way of being dosed, and notes on what was assumed."""
    entries = tuple(model.dosing)
    if study is not None:
        weights = study.subjects["weight_kg"].to_numpy(float)
        return doses_of(study, products=products, entries=entries), weights, []
    weights = np.array([weight_kg], float)
    notes = []
    if regimen is None and _takes_no_dose(model):
        return _one_dose(0.0), weights, [f"{model.name} takes no dose"]
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


def _takes_no_dose(model: Model) -> bool:
    """Whether a model has equations and no way for a dose to enter them, as of an endogenous marker."""
    return model.vector_field is not None and not model.dosing


def _one_dose(amount: float) -> Doses:
    """One dose of an amount at day 0, for one patient."""
    zero = np.zeros((1, 1))
    return Doses(
        time=zero,
        amount=np.full((1, 1), amount),
        duration=zero,
        share=np.ones((1, 1)),
        course=zero.astype(int),
        entry=zero.astype(int),
    )


def _typical_dose(model: Model) -> tuple[float, str]:
    """The amount of the model's typical dose and a note on it.

    It is 1 for a closed form whose curves do not depend on the dose. PlanError where the model has no typical
    dose and needs one.
    """
    entry = next(iter(model.dosing), "iv")
    if model.typical_dose is not None:
        amount = f"{model.typical_dose:g} {model.dose_unit}"
        return model.typical_dose, f"{model.name}'s typical dose, {amount}, as one bolus at day 0 by {entry}"
    if model.solution is not None:
        # curves that are finite at an unknown amount do not depend on it
        days = np.array([[0.5, 7.0]])
        unknown = _one_dose(np.nan)
        curves = solve(model, days, {k: np.full(1, v) for k, v in model.typical().items()}, unknown)
        if all(np.isfinite(y).all() for y in curves.values()):
            return 1.0, f"one dose at day 0 by {entry}; how large it is does not matter to {model.name}"
    what = f"{model.name} has no typical dose, and its curves depend on the dose"
    raise PlanError(Problem(what, "give a regimen or a study"))


def simulate_chunks(simulation: Simulation, chunk: int = CHUNK) -> Iterator[VirtualPatients]:
    """The patients in the order of their numbers, at most `chunk` solved at once by one compiled program."""
    s = simulation
    size = max(1, min(chunk, simulation.patients))
    patients = numbered_patients(s.population, s.seed)
    run = _program(solve, s)
    times = np.broadcast_to(s.times, (size, len(s.times)))
    for first in range(1, s.patients + 1, size):
        # the last chunk is filled up with the last patient, so that it has the shape of the others
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
            stopped = np.asarray(_program(solver_failures, s)(times, theta, doses).day)
            days = np.where(np.isfinite(stopped), stopped, first_nan)
            gave_up = {int(numbers[i]): float(days[i]) for i in lost}
        curves = _curves(s, numbers[:n], values[:n])
        parameters = _parameters(s, numbers[:n], rows[:n], theta)
        yield VirtualPatients(curves, parameters, gave_up)


def simulated_values(
    simulation: Simulation, theta: Mapping[str, Float[AnyArray, " patient"]]
) -> Float[np.ndarray, "patient output time"]:
    """The outputs of patients with parameters `theta`, all dosed as the simulation's first patient.

    Values are NaN where the solver gave up.
    """
    s = simulation
    n = len(next(iter(theta.values())))
    doses = Doses(*(np.repeat(np.asarray(x)[:1], n, axis=0) for x in s.doses))
    solved = _program(solve, s)(np.broadcast_to(s.times, (n, len(s.times))), dict(theta), doses)
    return np.stack([np.asarray(solved[name]) for name in s.outputs], axis=1)


def _program(function: Callable[..., Any], s: Simulation) -> Callable[..., Any]:
    """`solve` or `solver_failures`, compiled.

    It depends on the equations, the outputs and the solver only, and is kept by these.
    """
    model = s.model
    outputs = s.outputs
    solver = s.solver
    parts = (*model.dosing.items(), *model.lag.items(), *((k, model.outputs[k].value) for k in outputs))
    scales = tuple((k, state.scale) for k, state in model.states.items())
    equations = (model.solution, model.vector_field, model.initial, model.stiff)
    key = (function, equations, parts, scales, outputs, solver)
    if key not in _PROGRAMS:
        _PROGRAMS[key] = jax.jit(
            lambda times, p, doses: function(model, times, p, doses, outputs, solver=solver)
        )
    return _PROGRAMS[key]


def _curves(
    s: Simulation, numbers: np.ndarray, values: Float[np.ndarray, "patient output time"]
) -> DataFrame:
    """The curves of patients `numbers`, as a long table."""
    n, outputs, times = values.shape
    units = [s.model.outputs[name].unit for name in s.outputs]
    return DataFrame(
        {
            "patient": np.repeat(numbers, outputs * times),
            "time": np.tile(s.times, n * outputs),
            "output": np.tile(np.repeat(np.array(s.outputs, object), times), n),
            "unit": np.tile(np.repeat(np.array(units, object), times), n),
            "value": values.ravel(),
        }
    )


def _parameters(
    s: Simulation, numbers: np.ndarray, rows: np.ndarray, theta: Mapping[str, Array]
) -> DataFrame:
    """The parameters of patients `numbers`, with the subject (of a study) and the weight of their `rows`."""
    columns: dict[str, Any] = {"patient": numbers}
    if s.subjects:
        columns["subject"] = np.array(s.subjects, object)[rows]
    columns["weight_kg"] = s.weights[rows]
    for name, values in theta.items():
        columns[name] = np.asarray(values)[: len(numbers)]
    return DataFrame(columns)


def gave_up_text(gave_up: Mapping[int, float], patients: int) -> str:
    """The message on the patients that the solver gave up on, with the days and a remedy."""
    named = ", ".join(f"patient {n} on day {day:.4g}" for n, day in list(gave_up.items())[:_NAMED])
    more = f" and {len(gave_up) - _NAMED} more" if len(gave_up) > _NAMED else ""
    return (
        f"the solver gave up on {len(gave_up)} of {patients} patients ({named}{more}); their values from "
        "that day on are NaN. Look at their parameters: equations that blow up have no solution; else try a "
        "larger rtol"
    )


def _whole(curves: DataFrame) -> DataFrame:
    """The rows of patients without a NaN, that is, of those whom the solver did not give up on."""
    return curves[~curves["patient"].isin(curves.loc[curves["value"].isna(), "patient"])]


def curve_bands(curves: DataFrame) -> DataFrame:
    """Quantiles over the patients whose curves are whole: output, unit, time [day], q5 q25 q50 q75 q95."""
    groups = _whole(curves).groupby(["output", "unit", "time"], sort=False)["value"]
    return DataFrame({name: groups.quantile(q) for name, q in QUANTILES.items()}).reset_index()


def peak_table(curves: DataFrame) -> DataFrame:
    """The peak of each output, its day, and the value at the last time, over patients with whole curves.

    One row for each output; columns: output, unit, patients, then the median and the 90 % interval (_5, _95)
    of `peak`, `peak_day` and `last`.
    """
    whole = _whole(curves).reset_index(drop=True)
    groups = whole.groupby(["output", "unit", "patient"], sort=False)
    peaks = whole.loc[groups["value"].idxmax()].set_index(["output", "unit", "patient"])
    numbers = DataFrame({"peak": peaks["value"], "peak_day": peaks["time"], "last": groups["value"].last()})
    by_output = numbers.groupby(["output", "unit"], sort=False)
    columns = {"patients": by_output.size()}
    for name in numbers.columns:
        for suffix, q in (("", 0.5), ("_5", 0.05), ("_95", 0.95)):
            columns[f"{name}{suffix}"] = by_output[name].quantile(q)
    return DataFrame(columns).reset_index()
