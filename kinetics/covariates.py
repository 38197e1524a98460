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
    most frequent one. Allometry: exponent log(weight/reference), column `allometry_<parameter>`.
    """
    columns: dict[str, np.ndarray] = {}
    effects: list[Effect] = []
    problems: list[Problem] = []
    for parameter, specs in plan.covariates.items():
        for spec in specs:
            values, found = _values(spec.covariate, study)
            problems += found
            if found or values is None:
                continue
            new = _columns(spec, values)
            columns |= new
            effects += [Effect(parameter, name, Normal(0.0, spec.sd)) for name in new]
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
    return values, [
        Problem(
            f"{name} is missing",
            "give a value, or leave the covariate out",
            file="subjects.csv",
            subject=str(s),
        )
        for s in values.index[values.isna()]
    ]


def _columns(spec: Covariate, values: pd.Series) -> dict[str, np.ndarray]:
    if not pd.api.types.is_numeric_dtype(values):
        labels = values.astype(str)
        reference = labels.value_counts().index[0]
        levels = sorted(set(labels) - {reference})
        return {f"{spec.covariate}_{level}": (labels == level).to_numpy(float) for level in levels}
    x = values.to_numpy(float)
    centre = float(np.median(x)) if spec.centre is None else spec.centre
    return {spec.covariate: np.log(x / centre) if spec.form == "power" else x - centre}
