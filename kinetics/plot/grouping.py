"""How subjects are told apart by colour: dose level, worst CRS grade, or any covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas import Series

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.plot.frame import number_text, unit_text
from kinetics.study import Study
from kinetics.units import UnitError, dimension

__all__ = ["group_subjects", "groupings"]

_DOSES = ("cells", "cells per body weight", "mass", "mass per body weight")
MISSING = "not recorded"


def groupings(study: Study) -> dict[str, str]:
    """What subjects can be grouped by: name -> label. Dose first, then CRS, then the other covariates."""
    labels = {name: _label(study, name) for name in study.covariates}
    dose = {name: label for name, label in labels.items() if _measures_dose(study, name)}
    if (study.doses["level"] != "").any():
        dose = {"level": "Dose level"} | dose
    elif not dose:
        dose = {"dose": "First dose"}
    crs = {name: label for name, label in labels.items() if name.startswith("crs")}
    if not crs and (study.events["event"] == "crs").any():
        crs = {"crs": "Worst CRS grade"}
    return dose | crs | labels


def group_subjects(study: Study, by: str) -> Series:
    """The group of each subject as an ordered category, index `subject`; StudyError for an unknown `by`.

    Numbers with more than six values are cut into thirds. `crs` is the worst grade recorded as an event.
    """
    if by not in groupings(study):
        raise StudyError(Problem(f"cannot group by {by!r}", did_you_mean(by, groupings(study))))
    doses = study.doses.sort_values("time").groupby("subject")
    if by == "level":
        return _ordered(doses["level"].first().reindex(study.subject_ids))
    if by == "dose":
        return _numeric(doses["amount"].first().reindex(study.subject_ids), str(study.doses["unit"].iloc[0]))
    if by == "crs":
        events = study.events[study.events["event"] == "crs"]
        worst = events.groupby("subject")["grade"].max().reindex(study.subject_ids)
        return _ordered(worst.map(lambda g: "no CRS recorded" if pd.isna(g) else f"grade {g:g}"))
    values = study.subjects[by]
    spec = study.dictionary.columns.subjects.get(by)
    if pd.api.types.is_numeric_dtype(values):
        return _numeric(values, "kg" if by == "weight_kg" else (spec.unit or "1") if spec else "1")
    order = list(dict.fromkeys(spec.labels.values())) if spec and spec.labels else None
    return _ordered(values, order)


def _label(study: Study, name: str) -> str:
    spec = study.dictionary.columns.subjects.get(name)
    return (spec.label if spec else "") or {"weight_kg": "Weight"}.get(name, name.replace("_", " "))


def _measures_dose(study: Study, name: str) -> bool:
    spec = study.dictionary.columns.subjects.get(name)
    try:
        return bool(spec and spec.unit and dimension(spec.unit) in _DOSES)
    except UnitError:
        return False


def _ordered(values: Series, order: list[str] | None = None) -> Series:
    labels = values.map(lambda v: MISSING if pd.isna(v) or v == "" else str(v))
    present = list(dict.fromkeys(labels))
    known = [label for label in order or sorted(present) if label in present]
    rest = [label for label in present if label not in known]
    return Series(pd.Categorical(labels, [*known, *rest], ordered=True), index=values.index)


def _numeric(values: Series, unit: str) -> Series:
    """Numbers as categories: themselves if six or fewer, else thirds named by their range."""
    x = values.to_numpy(float)
    distinct = np.unique(x[~np.isnan(x)])
    unit = unit_text(unit)
    if len(distinct) <= 6:
        names = [f"{number_text(v)} {unit}".strip() for v in distinct]
        labels = [MISSING if np.isnan(v) else names[int(np.searchsorted(distinct, v))] for v in x]
    else:
        cuts = np.quantile(distinct, [1 / 3, 2 / 3])
        place = np.searchsorted(cuts, x)
        parts = [distinct[np.searchsorted(cuts, distinct) == k] for k in range(3)]
        names = [f"{number_text(p.min())} to {number_text(p.max())} {unit}".strip() for p in parts]
        labels = [MISSING if np.isnan(v) else names[k] for v, k in zip(x, place, strict=True)]
    return _ordered(Series(labels, index=values.index), names)
