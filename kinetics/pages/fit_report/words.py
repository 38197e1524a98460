"""The names in a report as words: parameters, sites of the posterior, covariates and products.

What a parameter is called comes from `kinetics.plot.parameter_words`.
"""

from __future__ import annotations

from collections.abc import Sequence

from kinetics.inference import Fit
from kinetics.plan import BoundEvent, BoundGrades
from kinetics.plot import parameter_words, product_name
from kinetics.population import Effect

__all__ = [
    "assay_words",
    "covariate_words",
    "cycle_words",
    "place_words",
    "product_words",
    "site_words",
    "unit_words",
]


def site_words(fit: Fit, site: str) -> str:
    """What a site of the posterior is called: `Peak, typical patient` for `cmax_pop`."""
    model = fit.model
    kind, _, name = site.partition("_")
    if site.endswith("_pop") and site[:-4] in model.parameters:
        return f"{parameter_words(model, site[:-4])}, typical patient"
    if site in model.derived or site in model.parameters:
        return parameter_words(model, site)
    for effect in fit.bound.hierarchy.effects:
        if site == effect.site:
            on = _lower(parameter_words(model, effect.parameter))
            level = f" {effect.level.replace('_', ' ')}" if effect.level else ""
            return f"Effect of {_lower(covariate_words(fit, effect.covariate or effect.name))}{level} on {on}"
    for event in fit.bound.events:
        if site in event.priors():
            return _event_words(fit, event, site)
    for grades in fit.bound.grades:
        if site in grades.priors():
            return _grade_words(fit, grades, site)
    own = _lower(parameter_words(model, name))
    if kind == "omega":
        return f"Spread between patients: {own}"
    if kind == "gamma":
        return f"Spread between cycles: {own}"
    if kind == "eta":
        return f"Patient’s own {own}"
    if kind == "shift":
        return f"Second class, shift of {own}"
    if kind == "sigma":
        analyte = name.removeprefix("add_").removeprefix("prop_")
        return f"Measurement error: {_analyte(fit, analyte)}"
    if kind == "scale":
        return f"Scale of the assay: {_analyte(fit, name)}"
    if kind == "vcn":
        return f"Vector copies per CAR+ cell: {_analyte(fit, name)}"
    if site == "prob_class":
        return "Share of patients in the second class"
    if kind == "corr":
        return f"Correlation between patients: {name.replace('_', ' ')}"
    if fit.bound.pair is not None and site == fit.bound.pair.site:
        return f"Correlation of errors: {' and '.join(_analyte(fit, a) for a in fit.bound.pair.analytes)}"
    return _capital(site.replace("_", " "))


def _event_words(fit: Fit, event: BoundEvent, site: str) -> str:
    """What a site of a time to an event is called."""
    name = event.name.replace("_", " ")
    if site == f"median_{event.name}":
        return f"{name}: median time at the reference"
    if site == f"shape_{event.name}":
        return f"{name}: shape of the hazard"
    if site == f"slope_{event.name}":
        return f"{name}: log hazard ratio of {event.output.replace('_', ' ')}"
    return f"{name}: log hazard ratio of {_effect_words(fit, event.effects, site)}"


def _grade_words(fit: Fit, grades: BoundGrades, site: str) -> str:
    """What a site of grades over time is called."""
    label = _analyte(fit, grades.spec.analyte)
    if site == f"slope_{grades.name}":
        return f"{label}: log odds ratio of {grades.output.replace('_', ' ')}"
    if site == f"cut1_{grades.name}":
        return f"{label}: cut of grade {grades.spec.levels[0]:g}"
    for k, lowest in enumerate(grades.spec.levels[1:], start=2):
        if site == f"gap{k}_{grades.name}":
            return f"{label}: further to the cut of grade {lowest:g}"
    return f"{label}: log odds ratio of {_effect_words(fit, grades.effects, site)}"


def _effect_words(fit: Fit, effects: Sequence[Effect], site: str) -> str:
    """The covariate of an effect on an outcome, with its level."""
    effect = next(effect for effect in effects if effect.site == site)
    level = f" {effect.level.replace('_', ' ')}" if effect.level else ""
    return f"{_lower(covariate_words(fit, effect.covariate))}{level}"


def place_words(fit: Fit, where: str) -> str:
    """Where a check has its value, with the site at its beginning in words."""
    site, comma, rest = where.partition(",")
    if site in fit.posterior["posterior"].dataset:
        return f"{site_words(fit, site)}{comma}{rest}"
    return where


def covariate_words(fit: Fit, covariate: str) -> str:
    """The label of a covariate in the study's dictionary, else its name without underscores."""
    spec = fit.study.dictionary.columns.subjects.get(covariate)
    label = spec.label if spec is not None else ""
    return label or covariate.replace("_", " ").capitalize()


def product_words(product: str) -> str:
    """A product's printed name; the rows of all products together say so."""
    return "all products" if product in ("", "all") else product_name(product)


def assay_words(assay: str) -> str:
    """The printed name of an assay."""
    return {"qpcr": "qPCR", "ddpcr": "ddPCR", "elisa": "ELISA"}.get(assay, assay.replace("_", " "))


def cycle_words(cycle: object) -> str:
    """A cycle of an exposure: its number, or all of them together."""
    return "whole course" if str(cycle) == "course" else str(cycle)


def unit_words(unit: str) -> str:
    """A unit as it is printed, with products as dots; "" for a pure number."""
    if unit in ("1", "none"):
        return ""
    return (
        unit.replace("ug", "µg")
        .replace("uL", "µL")
        .replace(" x day", "·day")
        .replace("cells day", "cells·day")
    )


def _analyte(fit: Fit, name: str) -> str:
    """The label of an analyte, else the name without underscores."""
    analyte = fit.study.analytes.get(name)
    return name.replace("_", " ") if analyte is None else analyte.label


def _lower(words: str) -> str:
    """Words to stand inside a sentence; names as `IL-6` or `CAR-T` keep their capitals."""
    first = words.split(" ")[0]
    return words if not first[1:].islower() else f"{words[0].lower()}{words[1:]}"


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
