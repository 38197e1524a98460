"""The design columns of a fit: centred covariates, indicators of categories, allometric offsets.

`design_columns` makes them. The checks return a list of `Problem`s, beside the values where there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from kinetics.errors import Problem, did_you_mean
from kinetics.model import Normal
from kinetics.plan.plan import FitPlan
from kinetics.plan.tables import Covariate, ShrinkageSpec
from kinetics.population import Effect
from kinetics.study import Study

__all__ = ["columns_of_new_subjects", "design_columns", "expected_problems", "outcome_columns"]

_SD = 0.5  # SD of an effect's Normal(0, sd) prior (link scale), where the plan names none


def design_columns(
    plan: FitPlan, study: Study
) -> tuple[dict[str, np.ndarray], tuple[Effect, ...], list[Problem]]:
    """Return columns (subject,) by name, the effects that use them, and every problem.

    A continuous covariate gives x - centre, or log(x/centre) for `power`. A categorical one gives an
    indicator for every level but the most frequent one (of equally frequent levels, the first by name). Where
    the effect is shrunk, the column of a number is divided by the subjects' SD (n, not n - 1), so that
    effects are comparable; an indicator stays as it is. Allometry gives exponent log(weight/reference) in the
    column `allometry_<parameter>`. Every other column belongs to one parameter too: `<parameter>_<name>`.
    """
    columns: dict[str, np.ndarray] = {}
    effects: list[Effect] = []
    problems: list[Problem] = []
    unusable = 0
    for parameter, specs in plan.covariates.items():
        for i, spec in enumerate(specs):
            values, spec_problems = _values(spec.covariate, study)
            if values is not None and not spec_problems:
                spec_problems = _unusable(parameter, spec, values, specs[:i])
            problems += spec_problems
            shrunk = _is_shrunk(plan.shrinkage, parameter, spec)
            if spec_problems or values is None:
                unusable += shrunk
                continue
            for effect, column in _effects(parameter, spec, values, shrunk=shrunk):
                columns[effect.column] = column
                effects.append(effect)
    for parameter, spec in plan.allometry.items():
        values, spec_problems = _values(spec.covariate, study)
        if values is not None and not spec_problems:
            spec_problems = _without_a_power(spec.covariate, values)
        problems += spec_problems
        if values is not None and not spec_problems:
            measured = values.to_numpy(float)
            columns[f"allometry_{parameter}"] = spec.exponent * np.log(measured / spec.reference)
    count = unusable + sum(e.shrunk for e in effects)
    return columns, tuple(effects), [*problems, *expected_problems(plan, count)]


def outcome_columns(
    outcome: str, specs: Sequence[Covariate], study: Study
) -> tuple[dict[str, np.ndarray], tuple[Effect, ...], list[Problem]]:
    """Return columns (subject,) by name, the effects on an event or on grades, and every problem.

    A column is named `<outcome>_<covariate>`, as those of a parameter are.
    """
    columns: dict[str, np.ndarray] = {}
    effects: list[Effect] = []
    problems: list[Problem] = []
    for i, spec in enumerate(specs):
        values, spec_problems = _values(spec.covariate, study)
        if values is not None and not spec_problems:
            spec_problems = _unusable(outcome, spec, values, tuple(specs[:i]))
        problems += spec_problems
        if values is None or spec_problems:
            continue
        for effect, column in _effects(outcome, spec, values, shrunk=False):
            columns[effect.column] = column
            effects.append(effect)
    return columns, tuple(effects), problems


def expected_problems(plan: FitPlan, count: int) -> list[Problem]:
    """Return why a horseshoe cannot expect so many of `count` effects to matter.

    The list is empty if it can, if there are no effects, or if the plan has no horseshoe.
    """
    expected = plan.shrinkage.expected if plan.shrinkage else None
    if expected is None or count == 0 or expected < count:
        return []
    what = f"shrinkage: {expected:g} effects are expected to matter, and there are {count}"
    return [Problem(what, f"expect fewer than {count}, or leave `shrinkage` out")]


def _is_shrunk(shrinkage: ShrinkageSpec | None, parameter: str, spec: Covariate) -> bool:
    """Whether an effect shares the plan's prior: its parameter takes part, and it has no `sd` of its own."""
    named = shrinkage is not None and (shrinkage.parameters is None or parameter in shrinkage.parameters)
    return named and spec.sd is None


def _values(name: str, study: Study) -> tuple[pd.Series | None, list[Problem]]:
    """Return a covariate's value of each subject (None if there is no such covariate), and the problems."""
    analyte, separator, day = name.partition("@")
    if separator:
        return _measured(name, analyte, day, study)
    covariates = [*study.covariates, "weight_kg"]
    if name not in covariates or name not in study.subjects.columns:
        return None, [Problem(f"no covariate {name!r}", did_you_mean(name, covariates), file="subjects.csv")]
    values = study.subjects[name]
    remedy = "give a value, or leave the covariate out"
    missing = [
        Problem(f"{name} is missing", remedy, file="subjects.csv", subject=str(s))
        for s in values.index[values.isna()]
    ]
    return values, missing


def _measured(name: str, analyte: str, day: str, study: Study) -> tuple[pd.Series | None, list[Problem]]:
    """Return the values of a covariate `analyte@day` (None if it has no meaning), and the problems.

    Each subject's value is interpolated at that day, linearly in the logs, between the subject's own samples.
    Before the first sample it is the first value, after the last sample the last. Replicates count as their
    geometric mean. A value below the LLOQ
    counts as half the LLOQ, one above the ULOQ as the ULOQ.
    """
    if analyte not in study.analytes:
        what = f"covariate {name!r}: no analyte {analyte!r}"
        return None, [Problem(what, did_you_mean(analyte, study.analytes))]
    try:
        time = float(day)
    except ValueError:
        time = np.nan
    if not np.isfinite(time):
        return None, [Problem(f"covariate {name!r}: {day!r} is no day", f'write it as "{analyte}@7"')]
    records = study.observed(analyte)
    below = (records["censored"] == "left").to_numpy()
    measured = pd.Series(np.where(below, 0.5, 1.0) * records["value"], index=records.index)
    usable = (measured > 0) & np.isfinite(measured)
    values = pd.Series(np.nan, index=study.subjects.index, name=name)
    for subject, samples in records[usable].sort_values("time", kind="stable").groupby("subject"):
        logs = measured[samples.index].map(np.log).groupby(samples["time"]).mean()  # of replicates
        values[str(subject)] = np.exp(np.interp(time, logs.index.to_numpy(float), logs.to_numpy(float)))
    remedy = "leave the covariate out, or the subject"
    missing = [
        Problem(f"{name}: no {analyte} was measured", remedy, file="observations.csv", subject=str(s))
        for s in values.index[values.isna()]
    ]
    return values, missing


def _unusable(
    parameter: str, spec: Covariate, values: pd.Series, earlier: tuple[Covariate, ...]
) -> list[Problem]:
    """Return why a covariate that has values cannot have the effect that the plan asks for."""
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
        what = f"covariates.{parameter}: centre {spec.centre:g} of {name}"
        return [Problem(what, "a power needs a centre above 0")]
    return _without_a_power(name, values, f"covariates.{parameter}: ")


def _without_a_power(name: str, values: pd.Series, where: str = "") -> list[Problem]:
    """Return why no power can be taken of a covariate; `where` comes before the name of a category."""
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
    """Yield the effects of one covariate on one parameter, each with its column."""
    effect_of = partial(
        Effect, parameter, prior=Normal(0.0, spec.sd or _SD), covariate=spec.covariate, shrunk=shrunk
    )
    if not pd.api.types.is_numeric_dtype(values):
        labels = values.astype(str)
        reference = str(labels.value_counts().sort_index().idxmax())
        for level in sorted(set(labels) - {reference}):
            name = f"{spec.covariate}_{level}"
            effect = effect_of(name, column=f"{parameter}_{name}", level=level, reference=reference)
            yield effect, (labels == level).to_numpy(float)
        return
    x = values.to_numpy(float)
    centre = float(np.median(x)) if spec.centre is None else spec.centre
    column = _about_centre(x, spec.form, centre)
    unit = float(np.std(column)) if shrunk else 1.0
    name = spec.covariate
    effect = effect_of(name, column=f"{parameter}_{name}", form=spec.form, unit=unit, centre=centre)
    yield effect, column / unit


def _about_centre(x: np.ndarray, form: str, centre: float) -> np.ndarray:
    """Return x - centre, or log(x/centre) for the form `power`."""
    return np.log(x / centre) if form == "power" else x - centre


def columns_of_new_subjects(
    plan: FitPlan, effects: Sequence[Effect], study: Study
) -> tuple[dict[str, np.ndarray], list[Problem]]:
    """Return the columns (subject,) by name that the `effects` of a fit have in another study, and problems.

    Centres, references and units are those of the fit. Problems: a covariate that the study lacks or that a
    subject lacks, a value without a power, a category that the fit has never had.
    """
    columns: dict[str, np.ndarray] = {}
    problems: list[Problem] = []
    for covariate in dict.fromkeys(effect.covariate for effect in effects):
        values, covariate_problems = _values(covariate, study)
        problems += covariate_problems
        if values is None or covariate_problems:
            continue
        own = [effect for effect in effects if effect.covariate == covariate]
        if any(effect.level for effect in own):
            problems += _new_levels(own, values)
            labels = values.astype(str)
            columns |= {e.column: (labels == e.level).to_numpy(float) for e in own}
            continue
        if not pd.api.types.is_numeric_dtype(values):
            what = f"{covariate} is a category, and the fit has it as a number"
            problems.append(Problem(what, "write its numbers", file="subjects.csv"))
            continue
        powers = any(effect.form == "power" for effect in own)
        power_problems = _without_a_power(covariate, values) if powers else []
        problems += power_problems
        if not power_problems:
            x = values.to_numpy(float)
            columns |= {e.column: _about_centre(x, e.form, e.centre) / e.unit for e in own}
    for parameter, spec in plan.allometry.items():
        values, covariate_problems = _values(spec.covariate, study)
        if values is not None and not covariate_problems:
            covariate_problems = _without_a_power(spec.covariate, values)
        problems += covariate_problems
        if values is not None and not covariate_problems:
            columns[f"allometry_{parameter}"] = spec.exponent * np.log(
                values.to_numpy(float) / spec.reference
            )
    return columns, list(dict.fromkeys(problems))


def _new_levels(effects: Sequence[Effect], values: pd.Series) -> Iterator[Problem]:
    """Problems of subjects whose category the fit has never had."""
    levels = {effects[0].reference, *(effect.level for effect in effects)}
    for subject, label in values.astype(str).items():
        if label not in levels:
            what = f"{effects[0].covariate} is {label!r}, which no subject of the fit was"
            remedy = f"the fit has {', '.join(sorted(levels))}; leave the subject out"
            yield Problem(what, remedy, file="subjects.csv", subject=str(subject))
