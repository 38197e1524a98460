"""The design columns of a fit: centred covariates, indicators of categories, allometric offsets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kinetics.distributions import Normal
from kinetics.errors import Problem, did_you_mean
from kinetics.hierarchy import Effect
from kinetics.plan import Covariate, FitPlan
from kinetics.study import Study

__all__ = ["design_columns"]


def design_columns(
    plan: FitPlan, study: Study
) -> tuple[dict[str, np.ndarray], tuple[Effect, ...], list[Problem]]:
    """Columns (subject,) by name, the effects that use them, and every problem found.

    Continuous: x - centre, or log(x/centre) for `power`. Categorical: an indicator for every level but the
    most frequent one (of equally frequent ones, the first by name). Allometry: exponent log(weight/reference),
    column `allometry_<parameter>`. A column belongs to one parameter: `<parameter>_<name>`.
    """
    columns: dict[str, np.ndarray] = {}
    effects: list[Effect] = []
    problems: list[Problem] = []
    for parameter, specs in plan.covariates.items():
        for i, spec in enumerate(specs):
            values, found = _values(spec.covariate, study)
            if values is not None and not found:
                found = _unusable(parameter, spec, values, specs[:i])
            problems += found
            if found or values is None:
                continue
            for name, column in _columns(spec, values).items():
                columns[f"{parameter}_{name}"] = column
                effects.append(Effect(parameter, name, Normal(0.0, spec.sd), f"{parameter}_{name}"))
    for parameter, spec in plan.allometry.items():
        values, found = _values("weight_kg", study)
        problems += found
        if values is not None and not found:
            weight = values.to_numpy(float)
            columns[f"allometry_{parameter}"] = spec.exponent * np.log(weight / spec.reference)
    return columns, tuple(effects), problems


def _values(name: str, study: Study) -> tuple[pd.Series | None, list[Problem]]:
    known = [*study.covariates, "weight_kg"]
    if name not in known or name not in study.subjects.columns:
        return None, [Problem(f"no covariate {name!r}", did_you_mean(name, known), file="subjects.csv")]
    values = study.subjects[name]
    remedy = "give a value, or leave the covariate out"
    return values, [
        Problem(f"{name} is missing", remedy, file="subjects.csv", subject=str(s))
        for s in values.index[values.isna()]
    ]


def _unusable(
    parameter: str, spec: Covariate, values: pd.Series, earlier: tuple[Covariate, ...]
) -> list[Problem]:
    """Why a covariate, though there, cannot have the effect that the plan asks for."""
    name = spec.covariate
    if name in {e.covariate for e in earlier}:
        return [Problem(f"covariates.{parameter}: {name} stands there twice", "name it once")]
    if values.nunique() == 1:
        what = (
            f"covariates.{parameter}: {name} is the same in every subject, so its effect would be its prior"
        )
        return [Problem(what, "leave it out")]
    if spec.form != "power":
        return []
    if not pd.api.types.is_numeric_dtype(values):
        return [
            Problem(f"covariates.{parameter}: {name} is a category", 'a category has no `form = "power"`')
        ]
    if spec.centre is not None and spec.centre <= 0:
        return [
            Problem(
                f"covariates.{parameter}: centre {spec.centre:g} of {name}", "a power needs a centre above 0"
            )
        ]
    remedy = 'a power needs values above 0; use `form = "linear"`'
    return [
        Problem(f"{name} is {values[s]:g}", remedy, file="subjects.csv", subject=str(s))
        for s in values.index[values <= 0]
    ]


def _columns(spec: Covariate, values: pd.Series) -> dict[str, np.ndarray]:
    if not pd.api.types.is_numeric_dtype(values):
        labels = values.astype(str)
        reference = labels.value_counts().sort_index().idxmax()
        levels = sorted(set(labels) - {reference})
        return {f"{spec.covariate}_{level}": (labels == level).to_numpy(float) for level in levels}
    x = values.to_numpy(float)
    centre = float(np.median(x)) if spec.centre is None else spec.centre
    return {spec.covariate: np.log(x / centre) if spec.form == "power" else x - centre}
