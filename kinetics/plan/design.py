"""The design columns of a fit: centred covariates, indicators of categories, allometric offsets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from kinetics.errors import Problem, did_you_mean
from kinetics.model import Normal
from kinetics.plan.plan import FitPlan
from kinetics.plan.tables import Covariate, ShrinkageSpec
from kinetics.population import Effect
from kinetics.study import Study

__all__ = ["design_columns", "expected_problems"]

_SD = 0.5  # of a Normal(0, sd) prior, where the plan says none


def design_columns(
    plan: FitPlan, study: Study
) -> tuple[dict[str, np.ndarray], tuple[Effect, ...], list[Problem]]:
    """Columns (subject,) by name, the effects that use them, and every problem found.

    Continuous: x - centre, or log(x/centre) for `power`. Categorical: an indicator for every level but the
    most frequent one (of equally frequent ones, the first by name). Where the effect is shrunk, the column of
    a number is divided by the subjects' SD (n, not n - 1), so that effects are comparable; an indicator stays
    as it is. Allometry: exponent log(weight/reference), column `allometry_<parameter>`. A column belongs to
    one parameter: `<parameter>_<name>`.
    """
    columns: dict[str, np.ndarray] = {}
    effects: list[Effect] = []
    problems: list[Problem] = []
    unusable = 0
    for parameter, specs in plan.covariates.items():
        for i, spec in enumerate(specs):
            values, found = _values(spec.covariate, study)
            if values is not None and not found:
                found = _unusable(parameter, spec, values, specs[:i])
            problems += found
            shrunk = _is_shrunk(plan.shrinkage, parameter, spec)
            if found or values is None:
                unusable += shrunk
                continue
            for effect, column in _effects(parameter, spec, values, shrunk=shrunk):
                columns[effect.column] = column
                effects.append(effect)
    for parameter, spec in plan.allometry.items():
        values, found = _values(spec.covariate, study)
        if values is not None and not found:
            found = _without_a_power(spec.covariate, values)
        problems += found
        if values is not None and not found:
            measured = values.to_numpy(float)
            columns[f"allometry_{parameter}"] = spec.exponent * np.log(measured / spec.reference)
    count = unusable + sum(e.shrunk for e in effects)
    return columns, tuple(effects), [*problems, *expected_problems(plan, count)]


def expected_problems(plan: FitPlan, count: int) -> list[Problem]:
    """Why a horseshoe cannot expect what it does of `count` effects; [] if it can, or there are none."""
    expected = plan.shrinkage.expected if plan.shrinkage else None
    if expected is None or count == 0 or expected < count:
        return []
    what = f"shrinkage: {expected:g} effects are expected to matter, and there are {count}"
    return [Problem(what, f"expect fewer than {count}, or leave `shrinkage` out")]


def _is_shrunk(shrinkage: ShrinkageSpec | None, parameter: str, spec: Covariate) -> bool:
    named = shrinkage is not None and (shrinkage.parameters is None or parameter in shrinkage.parameters)
    return named and spec.sd is None


def _values(name: str, study: Study) -> tuple[pd.Series | None, list[Problem]]:
    analyte, at, day = name.partition("@")
    if at:
        return _measured(name, analyte, day, study)
    known = [*study.covariates, "weight_kg"]
    if name not in known or name not in study.subjects.columns:
        return None, [Problem(f"no covariate {name!r}", did_you_mean(name, known), file="subjects.csv")]
    values = study.subjects[name]
    remedy = "give a value, or leave the covariate out"
    return values, [
        Problem(f"{name} is missing", remedy, file="subjects.csv", subject=str(s))
        for s in values.index[values.isna()]
    ]


def _measured(name: str, analyte: str, day: str, study: Study) -> tuple[pd.Series | None, list[Problem]]:
    """`analyte@day`: what was measured of each subject, read off a line of the logs between its own samples.

    Before the first and after the last sample it is theirs; a value below the LLOQ counts as half of it, one
    above the ULOQ as the ULOQ.
    """
    if analyte not in study.analytes:
        return None, [
            Problem(f"covariate {name!r}: no analyte {analyte!r}", did_you_mean(analyte, study.analytes))
        ]
    try:
        at = float(day)
    except ValueError:
        at = np.nan
    if not np.isfinite(at):
        return None, [Problem(f"covariate {name!r}: {day!r} is no day", f'write it as "{analyte}@7"')]
    records = study.observed(analyte)
    below = (records["censored"] == "left").to_numpy()
    found = pd.Series(np.where(below, 0.5, 1.0) * records["value"], index=records.index)
    usable = (found > 0) & np.isfinite(found)
    values = pd.Series(np.nan, index=study.subjects.index, name=name)
    for subject, own in records[usable].sort_values("time", kind="stable").groupby("subject"):
        values[str(subject)] = np.exp(np.interp(at, own["time"], np.log(found[own.index])))
    remedy = "leave the covariate out, or the subject"
    return values, [
        Problem(f"{name}: no {analyte} was measured", remedy, file="observations.csv", subject=str(s))
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
    if spec.centre is not None and spec.centre <= 0:
        return [
            Problem(
                f"covariates.{parameter}: centre {spec.centre:g} of {name}", "a power needs a centre above 0"
            )
        ]
    return _without_a_power(name, values, f"covariates.{parameter}: ")


def _without_a_power(name: str, values: pd.Series, where: str = "") -> list[Problem]:
    """Why no power can be taken of a covariate."""
    if not pd.api.types.is_numeric_dtype(values):
        return [Problem(f"{where}{name} is a category", 'a category has no `form = "power"`')]
    remedy = 'a power needs values above 0; use `form = "linear"`'
    return [
        Problem(f"{name} is {values[s]:g}", remedy, file="subjects.csv", subject=str(s))
        for s in values.index[values <= 0]
    ]


def _effects(
    parameter: str, spec: Covariate, values: pd.Series, *, shrunk: bool
) -> Iterator[tuple[Effect, np.ndarray]]:
    """The effects of one covariate on one parameter, each with its column."""
    of = partial(
        Effect, parameter, prior=Normal(0.0, spec.sd or _SD), covariate=spec.covariate, shrunk=shrunk
    )
    if not pd.api.types.is_numeric_dtype(values):
        labels = values.astype(str)
        reference = str(labels.value_counts().sort_index().idxmax())
        for level in sorted(set(labels) - {reference}):
            name = f"{spec.covariate}_{level}"
            effect = of(name, column=f"{parameter}_{name}", level=level, reference=reference)
            yield effect, (labels == level).to_numpy(float)
        return
    x = values.to_numpy(float)
    centre = float(np.median(x)) if spec.centre is None else spec.centre
    column = np.log(x / centre) if spec.form == "power" else x - centre
    unit = float(np.std(column)) if shrunk else 1.0
    name = spec.covariate
    yield of(name, column=f"{parameter}_{name}", form=spec.form, unit=unit), column / unit
