"""The names in a report as words: parameters, sites of the posterior, covariates and products.

A parameter of a model file has a name for equations. What it is called here comes from the model's derived
quantities where one has its name, else from the list below, else it is the name without its underscores.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.plan import BoundEvent, BoundGrades
from kinetics.plot import product_name
from kinetics.population import Effect

__all__ = [
    "assay_words",
    "covariate_words",
    "cycle_words",
    "parameter_words",
    "place_words",
    "product_words",
    "site_words",
    "unit_words",
]

_PARAMETERS = {
    "cmax": "Peak",
    "tmax": "Time to peak",
    "tlag": "Lag before expansion",
    "lag_fraction": "Lag, share of the time to peak",
    "doubling_time": "Doubling time of the expansion",
    "half_life_contraction": "Half-life of the contraction",
    "half_life_persistence": "Half-life of the persistence",
    "fb": "Share of the peak that persists",
    "nucleated_per_vcn": "Nucleated cells in blood per vector copy",
    "nucleated": "Nucleated cells in blood",
    "blood_volume": "Blood volume",
    "ka": "Absorption rate",
    "ke": "Elimination rate",
    "cl": "Clearance",
    "v": "Volume of distribution",
    "il6_baseline": "IL-6 at rest",
    "il6_loss": "Loss of IL-6",
    "il6_per_kill": "IL-6 released per tumour cell killed",
    "ifn_gamma_baseline": "IFN-γ at rest",
    "ifn_gamma_loss": "Loss of IFN-γ",
    "ifn_gamma_per_kill": "IFN-γ released per tumour cell killed",
    "crp_baseline": "CRP at rest",
    "crp_loss": "Loss of CRP",
    "crp_gain": "CRP made in answer to IL-6",
    "tocilizumab_cl": "Clearance of tocilizumab",
    "tocilizumab_v": "Volume of tocilizumab",
    "tocilizumab_vmax": "Saturable elimination of tocilizumab, greatest rate",
    "tocilizumab_km": "Saturable elimination of tocilizumab, half of that rate",
    "toci_ec50": "Tocilizumab at half of its effect",
    "toci_il6": "Tocilizumab's effect on IL-6",
    "toci_crp": "Tocilizumab's effect on CRP",
    "steroid_half_life": "Half-life of the steroid",
    "steroid_volume": "Volume of the steroid",
    "crp_half": "IL-6 at half of CRP's answer",
}
_TRIAL = {  # the models of CAR-NK and CAR-T in the body, whose parameters are symbols
    "kin": "Uptake from blood by organs",
    "kout": "Return from organs to blood",
    "phiL": "Share of that uptake by the liver",
    "kPB": "Return from lung to blood",
    "fP": "Share of intravenous cells held in the lung",
    "F_NK": "CAR-NK kept by the liver's first pass",
    "F_T": "CAR-T kept by the liver's first pass",
    "TN": "Arterial perfusion, tumour over liver",
    "rho": "Tumour cells in a mL",
    "QU": "Blood flow of the tumour",
    "EU_NK": "CAR-NK taken from the tumour's blood",
    "EU_T": "CAR-T taken from the tumour's blood",
    "kUB": "Return from tumour to blood",
    "rK": "Division of CAR-NK with IL-15",
    "EC15": "IL-15 at half of its effect",
    "dK0": "Loss of CAR-NK",
    "drej": "Loss of CAR-NK by rejection",
    "trej": "Day on which rejection begins",
    "uE": "CAR-T that begin to divide in the tumour",
    "N": "Doublings of a CAR-T cell in the tumour",
    "NH": "Doublings of a CAR-T cell outside the tumour",
    "uH": "CAR-T that begin to divide outside the tumour",
    "U50": "Tumour cells at half of CAR-T's activation",
    "d1": "Loss of resting CAR-T",
    "d2": "Loss of CAR-T effector cells",
    "kEM": "CAR-T effectors that become memory cells",
    "dM": "Loss of CAR-T memory cells",
    "kapT": "Killing of tumour cells by CAR-T",
    "kapK": "Killing of tumour cells by CAR-NK",
    "theta": "Effector to target ratio at half of killing",
    "kg": "Growth of the tumour",
    "ligand": "Ligand score of the tumour",
    "wK": "Cytokine release by CAR-NK over that by CAR-T",
    "delta15": "IL-15 added by lymphodepletion",
    "VCN_NK": "Vector copies in a CAR-NK cell",
    "VCN_T": "Vector copies in a CAR-T cell",
    "U0": "Tumour cells at the start",
    "TS0": "Sum of diameters at the start",
}


def parameter_words(model: Model, name: str) -> str:
    """What a parameter, or a derived quantity, of a model is called."""
    if name in model.derived:
        return _capital(model.derived[name].label)
    cycle = re.fullmatch(r"(.+)_cycle(\d+)", name)
    if cycle and cycle[1] in model.parameters:
        return f"{parameter_words(model, cycle[1])} in cycle {cycle[2]}"
    words = _PARAMETERS
    if "car_nk" in model.sites:
        words = _PARAMETERS | _TRIAL
    if name in words:
        return words[name]
    plain = name.replace("_", " ")
    return _capital(plain) if len(plain) > 3 else plain


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
