"""The patients whose curves are predicted: new ones of a fit or of the priors, and one subject of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from kinetics.explore.program import LANES
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.prediction import numbered_patients, patients_of_each_draw, population_draws, virtual_population
from kinetics.streams import stream
from kinetics.units import UnitError, dimension

__all__ = ["NewPatients", "new_like", "of_subject"]

Lanes = dict[str, Float[np.ndarray, " lane"]]
_COURSES = 4  # most courses of a what-if regimen: two products, two cycles


@dataclass(frozen=True)
class NewPatients:
    """New patients, `LANES` of them, each a draw of the posterior (or of the priors).

    Every patient has random effects of its own. Covariates are at the fit's reference, except two that follow
    from the regimen: body weight, and the cells per kg of an infusion if the fit has an effect of such a
    dose.
    """

    model: Model
    fit: Fit | None = None
    seed: int = 0

    def lanes(self, weight_kg: float, cells_per_kg: float) -> Lanes:
        """Parameter -> values (lane) of the patients."""
        if self.fit is None:
            patients = numbered_patients(virtual_population(self.model, "prior"), self.seed)
            theta = patients(np.arange(1, LANES + 1))
            return {name: np.asarray(values) for name, values in theta.items()}
        fit = _with_courses(self.fit)
        design = {name: np.zeros(1) for name in fit.bound.data.design}
        design |= dict(_regimen_columns(fit, weight_kg, cells_per_kg))
        return _draw_patients(fit, population_draws(fit, LANES), design, self.seed)

    @property
    def moves_with(self) -> tuple[str, ...]:
        """The design columns of the patients that a slider changes; without any they are drawn only once."""
        if self.fit is None:
            return ()
        return tuple(dict(_regimen_columns(self.fit, 70.0, 1e7)))

    @property
    def held(self) -> list[str]:
        """The covariate effects and allometry that stay at the fit's reference."""
        if self.fit is None:
            return []
        hierarchy = self.fit.bound.hierarchy
        moving = self.moves_with
        effects = [
            effect.site for effect in hierarchy.effects if (effect.column or effect.name) not in moving
        ]
        scaled = [name for name in hierarchy.scaled if f"allometry_{name}" not in moving]
        return [*effects, *(f"allometry of {name}" for name in scaled)]


def new_like(fit: Fit, subject: str, seed: int = 0) -> tuple[Lanes, dict[str, Any]]:
    """New patients with the covariates of one subject of the study, and the population sites of each."""
    i = fit.bound.subjects.index(subject)
    sites = population_draws(fit, LANES)
    design = {name: np.asarray(column)[i : i + 1] for name, column in fit.bound.data.design.items()}
    return _draw_patients(fit, sites, design, seed), sites


def of_subject(fit: Fit, subject: str) -> tuple[Lanes, dict[str, Any]]:
    """`LANES` posterior draws of one subject's parameters (repeated if there are fewer), and their sites."""
    keep = np.linspace(0, fit.draws - 1, LANES).round().astype(int)
    sites = {name: values[keep] for name, values in fit.sites().items()}
    i = fit.bound.subjects.index(subject)
    return {name: sites[name][:, i] for name in fit.bound.parameters}, sites


def _draw_patients(fit: Fit, sites: dict[str, Any], design: dict[str, Any], seed: int) -> Lanes:
    """One new patient of each population draw."""
    rng = stream(seed, "new patients of the explorer")
    theta = patients_of_each_draw(fit, sites, design, 1, rng)
    return {name: values[:, 0] for name, values in theta.items()}


def _with_courses(fit: Fit) -> Fit:
    """The fit with as many courses as a what-if regimen can have, so that variation between them is drawn."""
    hierarchy = fit.bound.hierarchy
    if hierarchy.gamma:
        hierarchy = replace(hierarchy, courses=max(hierarchy.courses, _COURSES))
    return replace(fit, bound=replace(fit.bound, hierarchy=hierarchy))


def _regimen_columns(fit: Fit, weight_kg: float, cells_per_kg: float) -> Iterator[tuple[str, np.ndarray]]:
    """Design columns that follow from the regimen: allometry of body weight, effects of the dose per kg."""
    plan = fit.bound.plan
    for parameter, spec in plan.allometry.items():
        if spec.covariate == "weight_kg":
            yield f"allometry_{parameter}", spec.exponent * np.log([weight_kg / spec.reference])
    for effect in fit.bound.hierarchy.effects:
        if not _is_dose(fit, effect.covariate) or cells_per_kg <= 0:
            continue
        specs = plan.covariates[effect.parameter]
        (spec,) = [spec for spec in specs if spec.covariate == effect.covariate]
        centre = spec.centre
        if centre is None:
            centre = float(np.median(fit.study.subjects[effect.covariate].to_numpy(float)))
        if spec.form == "power":
            column = np.log(cells_per_kg / centre)
        else:
            column = cells_per_kg - centre
        yield effect.column or effect.name, np.array([column / effect.unit])


def _is_dose(fit: Fit, covariate: str) -> bool:
    """Whether a covariate has a unit of cells per body weight."""
    spec = fit.study.dictionary.columns.subjects.get(covariate)
    try:
        return bool(spec and spec.unit and dimension(spec.unit) == "cells per body weight")
    except UnitError:
        return False
