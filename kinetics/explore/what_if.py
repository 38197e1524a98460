"""A regimen made with sliders, and the curves that new patients would have under it.

`Choice` and `Course` hold the sliders, `regimen_of` makes a regimen of them, and `WhatIf` answers with
`Answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from time import perf_counter

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame

from kinetics.errors import PlanError, Problem
from kinetics.explore.people import Lanes, NewPatients
from kinetics.explore.program import LANES, Program
from kinetics.exposures import segment_areas
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.prediction import QUANTILES
from kinetics.regimen import Doses, Regimen, doses_for, entry_of
from kinetics.solve import solve

__all__ = [
    "OTHER_ROUTE",
    "ROUTES",
    "Answer",
    "Choice",
    "Course",
    "WhatIf",
    "products_of",
    "regimen_of",
    "routes_of",
]

ROUTES = ("hepatic_artery", "iv", "portal_vein")
OTHER_ROUTE = {"iv": "hepatic_artery", "hepatic_artery": "iv", "portal_vein": "iv"}  # the one to compare with
_ANSWERS = 16  # the latest answers kept, of about a megabyte each
WINDOW = 28.0  # days of the areas
LYMPHODEPLETION = "lymphodepletion/iv"

Curves = Float[np.ndarray, "patient output time"]


@dataclass(frozen=True)
class Course:
    """One product's cells in each cycle: `cells_per_kg` in total, split over `split` days from `start`."""

    product: str
    cells_per_kg: float
    route: str = "iv"
    split: int = 1
    start: float = 0.0

    def regimen(self, route: str | None = None) -> Regimen:
        """The infusions of one cycle, by another `route` if one is named."""
        days = [self.start + day for day in range(self.split)]
        each = self.cells_per_kg / self.split
        return Regimen.dose(product=self.product, route=route or self.route, on=days, cells_per_kg=each)


@dataclass(frozen=True)
class Choice:
    """The values of the sliders. `second_cycle` is the days from the first cycle to a second one, or None.

    `lymphodepletion` is before "none", the "first" or "every" cycle, on the day on which the cycle begins.
    """

    courses: tuple[Course, ...]
    weight_kg: float = 70.0
    second_cycle: float | None = None
    lymphodepletion: str = "none"
    until: float = 90.0

    @property
    def given(self) -> tuple[Course, ...]:
        """The courses that have cells."""
        return tuple(course for course in self.courses if course.cells_per_kg > 0)

    @property
    def starts(self) -> dict[str, float]:
        """Product -> first day, for every product that is given."""
        return {course.product: course.start for course in self.given}

    @property
    def per_infusion(self) -> float:
        """Cells per kg of one infusion of the last product given, which is what a dose level means."""
        if not self.given:
            return 0.0
        last = self.given[-1]
        return last.cells_per_kg / last.split


@dataclass(frozen=True)
class Answer:
    """Curves and numbers of new patients under a regimen, by one route or by two.

    `bands` has route, output, unit, time [day], q5 q25 q50 q75 q95. `numbers` has route, output, unit,
    patient, peak, peak_day and auc_28d, from the product's first infusion. `seconds` is the time that the
    answer took, and `gave_up` the number of patients, summed over the routes, on whom the solver gave up.
    """

    bands: DataFrame
    numbers: DataFrame
    seconds: float
    gave_up: int


def products_of(model: Model, known: Sequence[str] = ()) -> list[str]:
    """The products given in cells that a model distinguishes.

    If it distinguishes none: its only product, or the first of `known`, those of the study, or else "car_t".
    """
    dosed = [key.partition("/")[0] for key in model.dosing if "/" in key]
    cells = list(dict.fromkeys(product for product in dosed if model.unit_of(product) == "cells"))
    return cells or [next(iter([*model.sites, *known]), "car_t")]


def routes_of(model: Model, product: str) -> list[str]:
    """The routes by which a model takes a product; [] if it does not distinguish routes."""
    entries = tuple(model.dosing)
    if not entries:
        return []
    return [route for route in ROUTES if entry_of(product, route, entries) is not None]


def regimen_of(choice: Choice, *, other_route: bool = False) -> Regimen:
    """The regimen of the sliders; with `other_route`, by the route that OTHER_ROUTE has for each one.

    PlanError if no product is given.
    """
    if not choice.given:
        raise PlanError(Problem("no cells are given", "raise the cells/kg of a product"))
    cycle = Regimen()
    for course in choice.given:
        cycle += course.regimen(OTHER_ROUTE[course.route] if other_route else None)
    first = min(dose.time for dose in cycle.given)
    lymphodepletion = Regimen.lymphodepletion(on=[first])
    if choice.lymphodepletion == "every":
        cycle += lymphodepletion
    if choice.second_cycle is not None:
        cycle = cycle.repeat(every_days=choice.second_cycle, times=2)
    if choice.lymphodepletion == "first":
        cycle += lymphodepletion
    return cycle


class WhatIf:
    """The answers to a choice of sliders, by one compiled solve that is kept."""

    def __init__(self, model: Model, fit: Fit | None = None, *, program: Program | None = None) -> None:
        self.model = model
        self.fit = fit
        self.people = NewPatients(model, fit)
        self.program = program or Program(model, fit)
        self._lanes: dict[tuple[float, ...], Lanes] = {}
        self._kept_answer = lru_cache(maxsize=_ANSWERS)(self._answer)

    @cached_property
    def amount_matters(self) -> bool:
        """Whether the curves depend on how many cells are given; those by Cmax and half-lives do not."""
        if any("allometry" not in name for name in self.people.moves_with):
            return True
        if self.model.solution is None:
            return True

        # a closed form that is finite for an amount of NaN does not use the amount
        zero = np.zeros((1, 1))
        first = zero.astype(int)
        unknown_amount = Doses(
            time=zero,
            amount=np.full((1, 1), np.nan),
            duration=zero,
            share=np.ones((1, 1)),
            course=first,
            entry=first,
        )
        theta = {name: np.full(1, value) for name, value in self.model.typical().items()}
        curves = solve(self.model, np.array([[0.5, 7.0]]), theta, unknown_amount)
        return not all(np.isfinite(curve).all() for curve in curves.values())

    @property
    def notes(self) -> list[str]:
        """The assumptions of the answers, as sentences."""
        sentences = ["Curves of the model, without residual error; doses as boluses."]
        held = self.people.held
        if held:
            sentences.append(f"Held at the fit's reference: {', '.join(held)}.")
        moving = self.people.moves_with
        if moving:
            sentences.append(f"Follow the sliders: {', '.join(moving)}.")
        if not self.amount_matters:
            sentences.append(
                "How many cells are given does not matter to this model; when and how split does."
            )
        return sentences

    def lanes(self, choice: Choice) -> Lanes:
        """The parameters of the patients, drawn anew only if a slider changes the patients."""
        moving = self.people.moves_with
        by_weight = any(name.startswith("allometry_") for name in moving)
        by_dose = any(not name.startswith("allometry_") for name in moving)
        key = (choice.weight_kg * by_weight, choice.per_infusion * by_dose)
        if key not in self._lanes:
            lanes = self.people.lanes(choice.weight_kg, choice.per_infusion)
            self._lanes = {key: lanes}  # only the latest are kept
        return self._lanes[key]

    def answer(self, choice: Choice, *, compare: bool = True) -> Answer:
        """The answer for the chosen regimen and, to `compare`, for the other route if the model has both.

        The latest answers are kept, so readers with the same sliders share one.
        """
        return self._kept_answer(choice, compare)

    def _answer(self, choice: Choice, compare: bool) -> Answer:
        clock = perf_counter()
        lanes = self.lanes(choice)
        regimens = {"chosen": regimen_of(choice)}
        if compare and self.both_routes(choice):
            regimens["other"] = regimen_of(choice, other_route=True)
        with ThreadPoolExecutor(2) as pool:  # a solve keeps one core busy
            solutions = list(pool.map(lambda regimen: self._solve(regimen, choice, lanes), regimens.values()))

        starts = _starts(self.model, choice)
        bands = []
        numbers = []
        gave_up = 0
        for route, (patients, times, curves) in zip(regimens, solutions, strict=True):
            bands.append(_bands(self.model, times, curves).assign(route=route))
            numbers.append(_numbers(self.model, starts, patients, times, curves).assign(route=route))
            gave_up += LANES - len(patients)
        return Answer(
            bands=pd.concat(bands, ignore_index=True),
            numbers=pd.concat(numbers, ignore_index=True),
            seconds=perf_counter() - clock,
            gave_up=gave_up,
        )

    def _solve(self, regimen: Regimen, choice: Choice, lanes: Lanes) -> tuple[np.ndarray, np.ndarray, Curves]:
        """The numbers (from 1) of the patients that were solved, the days, and their curves."""
        entries = tuple(self.model.dosing)
        weight = np.array([choice.weight_kg])
        doses = doses_for(regimen, weight, entries, dose_unit=self.model.dose_unit)
        window_ends = [start + WINDOW for start in choice.starts.values()]
        times = self.program.times(doses, choice.until, also=window_ends)
        curves = np.stack(list(self.program(times, lanes, doses).values()), axis=1)
        solved = np.isfinite(curves).all(axis=(1, 2))
        return np.flatnonzero(solved) + 1, times, curves[solved]

    def both_routes(self, choice: Choice) -> bool:
        """Whether the model takes every product given by hepatic artery and iv."""
        routes = {"hepatic_artery", "iv"}
        return all(routes <= set(routes_of(self.model, course.product)) for course in choice.given)


def _bands(model: Model, times: np.ndarray, curves: Curves) -> DataFrame:
    """Quantiles over the patients, one row per output and day; NaN if there are no patients."""
    if len(curves):
        quantiles = np.quantile(curves, list(QUANTILES.values()), axis=0)
    else:
        quantiles = np.full((5, *curves.shape[1:]), np.nan)
    columns = _labels(model, len(times)) | {"time": np.tile(times, curves.shape[1])}
    return DataFrame(columns | {name: q.ravel() for name, q in zip(QUANTILES, quantiles, strict=True)})


def _starts(model: Model, choice: Choice) -> np.ndarray:
    """The day from which each output is summed up: its product's first infusion, or the first of all."""
    first = min(choice.starts.values())
    start_of_output = {}
    for product, sites in model.sites.items():
        for output in sites.values():
            start_of_output[output] = choice.starts.get(product, first)
    return np.array([start_of_output.get(output, first) for output in model.outputs])


def _numbers(
    model: Model, starts: np.ndarray, patients: np.ndarray, times: np.ndarray, curves: Curves
) -> DataFrame:
    """One row per output and patient: peak [unit], peak_day and auc_28d [unit x day], both from the start."""
    by_output = np.swapaxes(curves, 0, 1)
    since = times - starts[:, None]
    in_window = (since >= 0) & (since <= WINDOW + 1e-9)
    after_start = np.where((since >= 0)[:, None], by_output, -np.inf)
    peak_days = np.take_along_axis(since, after_start.argmax(axis=2), axis=1)
    areas = [
        segment_areas(times[days], values[:, days]).sum(axis=1)
        for values, days in zip(by_output, in_window, strict=True)
    ]
    columns = _labels(model, len(patients)) | {
        "patient": np.tile(patients, len(by_output)),
        "peak": after_start.max(axis=2).ravel(),
        "peak_day": peak_days.ravel(),
        "auc_28d": np.ravel(areas),
    }
    return DataFrame(columns)


def _labels(model: Model, each: int) -> dict[str, np.ndarray]:
    """The columns output and unit, with every output repeated `each` times."""
    names = list(model.outputs)
    units = [output.unit for output in model.outputs.values()]
    return {
        "output": np.repeat(np.array(names, object), each),
        "unit": np.repeat(np.array(units, object), each),
    }
