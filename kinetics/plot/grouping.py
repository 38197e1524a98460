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
_FEW = 6  # values that are groups of their own
MISSING = "not recorded"


def groupings(study: Study) -> dict[str, str]:
    """What subjects can be grouped by: name -> label. Dose first, then CRS, then the other covariates."""
    labels = {name: _label(study, name) for name in study.covariates}
    dose = {name: label for name, label in labels.items() if _measures_dose(study, name)}
    if any(level != "" for level in study.doses["level"]):
        dose = {"level": "Dose level"} | dose
    elif not dose:
        dose = {"dose": "First dose"}
    crs = {name: label for name, label in labels.items() if name.startswith("crs")}
    if not crs and "crs" in set(study.events["event"]):
        crs = {"crs": "Worst CRS grade"}
    return dose | crs | labels


def group_subjects(study: Study, by: str) -> Series:
    """The group of each subject as an ordered category, index `subject`; StudyError for an unknown `by`.

    Numbers with more than six values are cut into thirds. `crs` is the worst grade recorded as an event.
    """
    if by not in groupings(study):
        raise StudyError(Problem(f"cannot group by {by!r}", did_you_mean(by, groupings(study))))
    if by in ("level", "dose"):
        first = study.doses.sort_values("time").drop_duplicates("subject").set_index("subject")
        own = Series(first["level" if by == "level" else "amount"].reindex(study.subject_ids))
        return _ordered(own) if by == "level" else _by_first_dose(study, own)
    if by == "crs":
        return _ordered(Series(_worst_crs(study)))
    values = Series(study.subjects[by])
    spec = study.dictionary.columns.subjects.get(by)
    if pd.api.types.is_numeric_dtype(values):
        return _numeric(values, "kg" if by == "weight_kg" else (spec.unit or "1") if spec else "1")
    order = list(dict.fromkeys(spec.labels.values())) if spec and spec.labels else None
    return _ordered(values, order)


def _by_first_dose(study: Study, own: Series) -> Series:
    """Amounts as they are, or per kg where that, and only that, leaves the few levels of a protocol."""
    unit = str(study.doses["unit"].iloc[0])
    per_kg = (own / study.subjects["weight_kg"].reindex(own.index)).map(lambda x: float(f"{x:.2g}"))
    if len(own.unique()) > _FEW >= len(per_kg.unique()) and per_kg.notna().all():
        own = per_kg
        unit = f"{unit}/kg"
    return _numeric(own, unit, alike=1.5)


def _worst_crs(study: Study) -> dict[str, str]:
    worst: dict[str, float] = {}
    for event in study.events.to_dict("records"):
        if event["event"] == "crs" and not pd.isna(event["grade"]):
            subject = str(event["subject"])
            worst[subject] = max(worst.get(subject, 0.0), float(event["grade"]))
    return {s: f"grade {worst[s]:g}" if s in worst else "no CRS recorded" for s in study.subject_ids}


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


def _numeric(values: Series, unit: str, *, alike: float = 1.0) -> Series:
    """Numbers as categories: themselves if six or fewer, else thirds named by their range.

    One category where the largest is less than `alike` times the smallest.
    """
    x = values.to_numpy(float)
    distinct = np.unique(x[~np.isnan(x)])
    unit = unit_text(unit)
    if len(distinct) <= _FEW:
        names = [f"{number_text(v, 5, trim=True)} {unit}".strip() for v in distinct]
        labels = [MISSING if np.isnan(v) else names[int(np.searchsorted(distinct, v))] for v in x]
    else:
        one = distinct[-1] < alike * distinct[0]
        cuts = np.quantile(distinct, [] if one else [1 / 3, 2 / 3])
        place = np.searchsorted(cuts, x)
        parts = [distinct[np.searchsorted(cuts, distinct) == k] for k in range(len(cuts) + 1)]
        ends = [(number_text(p.min(), 4, trim=True), number_text(p.max(), 4, trim=True)) for p in parts]
        names = [f"{low} to {high} {unit}".strip() for low, high in ends]
        labels = [MISSING if np.isnan(v) else names[k] for v, k in zip(x, place, strict=True)]
    return _ordered(Series(labels, index=values.index), names)
