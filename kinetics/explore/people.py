"""Whom the explorer predicts: new patients of a fit or of the priors, and one subject of a fit."""

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
_COURSES = 4  # two products, two cycles


@dataclass(frozen=True)
class NewPatients:
    """New patients, `LANES` of them: each a draw of the posterior (or of the priors) with random effects of
    its own.

    Covariates are at the fit's reference, but for two that a regimen says itself: body weight, and the cells
    per kg of an infusion where the fit has an effect of such a dose.
    """

    model: Model
    fit: Fit | None = None
    seed: int = 0

    def lanes(self, weight_kg: float, cells_per_kg: float) -> Lanes:
        """Every parameter of every patient."""
        if self.fit is None:
            patients = numbered_patients(virtual_population(self.model, "prior"), self.seed)
            theta = patients(np.arange(1, LANES + 1))
            return {name: np.asarray(values) for name, values in theta.items()}
        of = _with_courses(self.fit)
        design = {name: np.zeros(1) for name in of.bound.data.design}
        design |= dict(_columns(of, weight_kg, cells_per_kg))
        return _drawn(of, population_draws(of, LANES), design, self.seed)

    @property
    def moves_with(self) -> tuple[str, ...]:
        """What of the patients themselves a slider changes: none of it, and they need to be drawn only
        once.
        """
        return () if self.fit is None else tuple(dict(_columns(self.fit, 70.0, 1e7)))

    @property
    def held(self) -> list[str]:
        """The covariate effects and allometry that stay at the fit's reference."""
        if self.fit is None:
            return []
        h = self.fit.bound.hierarchy
        moved = self.moves_with
        effects = [e.site for e in h.effects if (e.column or e.name) not in moved]
        return [*effects, *(f"allometry of {k}" for k in h.scaled if f"allometry_{k}" not in moved)]


def new_like(fit: Fit, subject: str, seed: int = 0) -> tuple[Lanes, dict[str, Any]]:
    """New patients with the covariates of one subject of the study, and the population sites that each is
    of.
    """
    i = fit.bound.subjects.index(subject)
    sites = population_draws(fit, LANES)
    design = {name: np.asarray(column)[i : i + 1] for name, column in fit.bound.data.design.items()}
    return _drawn(fit, sites, design, seed), sites


def of_subject(fit: Fit, subject: str) -> tuple[Lanes, dict[str, Any]]:
    """`LANES` posterior draws of one subject's own parameters (repeated where there are fewer), and all
    their sites.
    """
    keep = np.linspace(0, fit.draws - 1, LANES).round().astype(int)
    sites = {name: values[keep] for name, values in fit.sites().items()}
    i = fit.bound.subjects.index(subject)
    return {name: sites[name][:, i] for name in fit.bound.parameters}, sites


def _drawn(fit: Fit, sites: dict[str, Any], design: dict[str, Any], seed: int) -> Lanes:
    rng = stream(seed, "new patients of the explorer")
    theta = patients_of_each_draw(fit, sites, design, 1, rng)
    return {name: values[:, 0] for name, values in theta.items()}


def _with_courses(fit: Fit) -> Fit:
    """The fit with as many courses as a what-if regimen can have: what varies between them is drawn for
    each.
    """
    h = fit.bound.hierarchy
    wide = replace(h, courses=max(h.courses, _COURSES)) if h.gamma else h
    return replace(fit, bound=replace(fit.bound, hierarchy=wide))


def _columns(fit: Fit, weight_kg: float, cells_per_kg: float) -> Iterator[tuple[str, np.ndarray]]:
    """Design columns that the regimen itself says: allometry of body weight, and effects of the dose per
    kg.
    """
    plan = fit.bound.plan
    for parameter, spec in plan.allometry.items():
        if spec.covariate == "weight_kg":
            yield f"allometry_{parameter}", spec.exponent * np.log([weight_kg / spec.reference])
    for effect in fit.bound.hierarchy.effects:
        if not _is_dose(fit, effect.covariate) or cells_per_kg <= 0:
            continue
        (spec,) = (s for s in plan.covariates[effect.parameter] if s.covariate == effect.covariate)
        values = fit.study.subjects[effect.covariate].to_numpy(float)
        centre = float(np.median(values)) if spec.centre is None else spec.centre
        column = np.log(cells_per_kg / centre) if spec.form == "power" else cells_per_kg - centre
        yield effect.column or effect.name, np.array([column / effect.unit])


def _is_dose(fit: Fit, covariate: str) -> bool:
    spec = fit.study.dictionary.columns.subjects.get(covariate)
    try:
        return bool(spec and spec.unit and dimension(spec.unit) == "cells per body weight")
    except UnitError:
        return False
