"""A regimen put together with sliders, and what new patients' curves would be under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
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

__all__ = ["ROUTES", "Answer", "Choice", "Course", "WhatIf", "products_of", "regimen_of", "routes_of"]

ROUTES = ("hepatic_artery", "iv", "portal_vein")
WINDOW = 28.0  # days of the areas
LYMPHODEPLETION = "lymphodepletion/iv"

Curves = Float[np.ndarray, "patient output time"]


@dataclass(frozen=True)
class Course:
    """One product's cells in each cycle: `cells_per_kg` in all, in equal parts on `split` days from
    `start`.
    """

    product: str
    cells_per_kg: float
    route: str = "iv"
    split: int = 1
    start: float = 0.0

    def regimen(self, route: str | None = None) -> Regimen:
        days = [self.start + day for day in range(self.split)]
        each = self.cells_per_kg / self.split
        return Regimen.dose(product=self.product, route=route or self.route, on=days, cells_per_kg=each)


@dataclass(frozen=True)
class Choice:
    """What the sliders say; `second_cycle` is the days from the first cycle to a second one, None for none.

    `lymphodepletion` is before "none", "first" or "every" cycle, on the day the cycle begins.
    """

    courses: tuple[Course, ...]
    weight_kg: float = 70.0
    second_cycle: float | None = None
    lymphodepletion: str = "none"
    until: float = 90.0

    @property
    def given(self) -> tuple[Course, ...]:
        """The courses in which there is anything."""
        return tuple(course for course in self.courses if course.cells_per_kg > 0)

    @property
    def starts(self) -> dict[str, float]:
        """The first day of every product given."""
        return {course.product: course.start for course in self.given}

    @property
    def per_infusion(self) -> float:
        """Cells per kg of one infusion, of the last product given: what a dose level means."""
        return self.given[-1].cells_per_kg / self.given[-1].split if self.given else 0.0


@dataclass(frozen=True)
class Answer:
    """`bands`: route, output, unit, time [day], q5 q25 q50 q75 q95. `numbers`: route, output, unit, patient,
    peak, peak_day and auc_28d, from the product's first infusion.

    `seconds` is how long it took; `gave_up` of how many patients the solver gave up on, over the routes.
    """

    bands: DataFrame
    numbers: DataFrame
    seconds: float
    gave_up: int


def products_of(model: Model, known: Sequence[str] = ()) -> list[str]:
    """The products given in cells that a model tells apart; else its only one, or the first of the study's
    `known`.
    """
    named = [key.partition("/")[0] for key in model.dosing if "/" in key]
    cells = list(dict.fromkeys(p for p in named if model.unit_of(p) == "cells"))
    return cells or [next(iter([*model.sites, *known]), "car_t")]


def routes_of(model: Model, product: str) -> list[str]:
    """The routes by which a model takes a product; [] where routes are all the same to it."""
    entries = tuple(model.dosing)
    return [route for route in ROUTES if entry_of(product, route, entries) is not None] if entries else []


def regimen_of(choice: Choice, *, other_route: bool = False) -> Regimen:
    """The regimen of the sliders; with `other_route` iv where they say hepatic artery, and the other way
    about.
    """
    if not choice.given:
        raise PlanError(Problem("no cells are given", "raise the cells/kg of a product"))
    swap = {"iv": "hepatic_artery", "hepatic_artery": "iv", "portal_vein": "iv"}
    cycle = Regimen()
    for course in choice.given:
        cycle += course.regimen(swap[course.route] if other_route else None)
    first = min(dose.time for dose in cycle.given)
    depleted = Regimen.lymphodepletion(on=[first])
    if choice.lymphodepletion == "every":
        cycle += depleted
    if choice.second_cycle is not None:
        cycle = cycle.repeat(every_days=choice.second_cycle, times=2)
    return cycle + depleted if choice.lymphodepletion == "first" else cycle


class WhatIf:
    """Answers to sliders: one compiled solve, kept."""

    def __init__(self, model: Model, fit: Fit | None = None, *, program: Program | None = None) -> None:
        self.model = model
        self.fit = fit
        self.people = NewPatients(model, fit)
        self.program = program or Program(model, fit)
        self._lanes: dict[tuple[float, ...], Lanes] = {}

    @cached_property
    def amount_matters(self) -> bool:
        """Whether the curves depend on how many cells are given: a description by Cmax and half-lives does
        not.
        """
        if self.people.moves_with and any("allometry" not in name for name in self.people.moves_with):
            return True
        if self.model.solution is None:
            return True
        one = np.ones((1, 1))
        unknown = Doses(0 * one, np.nan * one, 0 * one, one, (0 * one).astype(int), (0 * one).astype(int))
        theta = {name: np.full(1, value) for name, value in self.model.typical().items()}
        seen = solve(self.model, np.array([[0.5, 7.0]]), theta, unknown)
        return not all(np.isfinite(curve).all() for curve in seen.values())

    @property
    def notes(self) -> list[str]:
        """What was assumed, as sentences."""
        said = ["Curves of the model, without residual error; doses as boluses."]
        if held := self.people.held:
            said.append(f"Held at the fit's reference: {', '.join(held)}.")
        if moved := self.people.moves_with:
            said.append(f"Follow the sliders: {', '.join(moved)}.")
        if not self.amount_matters:
            said.append("How many cells are given does not matter to this model; when and how split does.")
        return said

    def lanes(self, choice: Choice) -> Lanes:
        """The patients; drawn anew only where a slider changes who they are."""
        moved = self.people.moves_with
        by_weight = any(name.startswith("allometry_") for name in moved)
        by_dose = any(not name.startswith("allometry_") for name in moved)
        key = (choice.weight_kg * by_weight, choice.per_infusion * by_dose)
        if key not in self._lanes:
            self._lanes = {
                key: self.people.lanes(choice.weight_kg, choice.per_infusion)
            }  # the last ones only
        return self._lanes[key]

    def answer(self, choice: Choice, *, compare: bool = True) -> Answer:
        """Bands of every output under the regimen chosen, and, where the model knows both routes, by the
        other.
        """
        clock = perf_counter()
        lanes = self.lanes(choice)
        regimens = dict(self._regimens(choice, compare))
        with ThreadPoolExecutor(2) as two:  # a solve keeps one core busy
            solved = list(two.map(lambda regimen: self._solved(regimen, choice, lanes), regimens.values()))
        lost = sum(LANES - len(who) for who, _, _ in solved)
        named = list(zip(regimens, solved, strict=True))
        bands = pd.concat(
            [_bands(self.model, *of[1:]).assign(route=name) for name, of in named], ignore_index=True
        )
        starts = _starts(self.model, choice)
        table = [_numbers(self.model, starts, *of).assign(route=name) for name, of in named]
        table = pd.concat(table, ignore_index=True)
        return Answer(bands, table, perf_counter() - clock, lost)

    def _solved(
        self, regimen: Regimen, choice: Choice, lanes: Lanes
    ) -> tuple[np.ndarray, np.ndarray, Curves]:
        """The patients whose curves are whole, the days, and every output of theirs."""
        doses = self._doses(regimen, choice.weight_kg)
        times = self.program.times(
            doses, choice.until, also=[start + WINDOW for start in choice.starts.values()]
        )
        curves = np.stack(list(self.program(times, lanes, doses).values()), axis=1)
        whole = np.isfinite(curves).all(axis=(1, 2))
        return np.flatnonzero(whole) + 1, times, curves[whole]

    def _regimens(self, choice: Choice, compare: bool) -> Iterator[tuple[str, Regimen]]:
        yield "chosen", regimen_of(choice)
        if compare and self.both_routes(choice):
            yield "other", regimen_of(choice, other_route=True)

    def both_routes(self, choice: Choice) -> bool:
        """Whether the model takes every product given by hepatic artery and iv."""
        wanted = {"hepatic_artery", "iv"}
        return all(wanted <= set(routes_of(self.model, course.product)) for course in choice.given)

    def _doses(self, regimen: Regimen, weight_kg: float) -> Doses:
        return doses_for(
            regimen, np.array([weight_kg]), tuple(self.model.dosing), dose_unit=self.model.dose_unit
        )


def _bands(model: Model, times: np.ndarray, curves: Curves) -> DataFrame:
    levels = list(QUANTILES.values()) if len(curves) else []
    found = np.quantile(curves, levels, axis=0) if levels else np.full((5, *curves.shape[1:]), np.nan)
    columns = _labels(model, len(times)) | {"time": np.tile(times, curves.shape[1])}
    return DataFrame(columns | {name: q.ravel() for name, q in zip(QUANTILES, found, strict=True)})


def _starts(model: Model, choice: Choice) -> np.ndarray:
    """The day from which each output is summed up: its product's first infusion, or the first of all."""
    first = min(choice.starts.values())
    of = {
        o: choice.starts.get(product, first) for product, sites in model.sites.items() for o in sites.values()
    }
    return np.array([of.get(output, first) for output in model.outputs])


def _numbers(
    model: Model, starts: np.ndarray, who: np.ndarray, times: np.ndarray, curves: Curves
) -> DataFrame:
    """One row an output and patient: peak [unit], its day after the start, the area of 28 days from it
    [unit x day].
    """
    by_output = np.swapaxes(curves, 0, 1)
    since = times - starts[:, None]
    inside = (since >= 0) & (since <= WINDOW + 1e-9)
    peaks = np.where((since >= 0)[:, None], by_output, -np.inf)
    areas = [
        segment_areas(times[own], y[:, own]).sum(axis=1) for y, own in zip(by_output, inside, strict=True)
    ]
    days = np.take_along_axis(since, peaks.argmax(axis=2), axis=1)
    return DataFrame(
        _labels(model, len(who))
        | {
            "patient": np.tile(who, len(by_output)),
            "peak": peaks.max(axis=2).ravel(),
            "peak_day": days.ravel(),
            "auc_28d": np.ravel(areas),
        }
    )


def _labels(model: Model, each: int) -> dict[str, np.ndarray]:
    names = list(model.outputs)
    units = [output.unit for output in model.outputs.values()]
    return {
        "output": np.repeat(np.array(names, object), each),
        "unit": np.repeat(np.array(units, object), each),
    }
