"""Groups of subjects, each in its own colour: by dose level, product, worst CRS grade or any covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas import Series

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.plot.frame import number_text, product_name, unit_text
from kinetics.study import Study
from kinetics.units import UnitError, dimension

__all__ = ["group_subjects", "groupings"]

_DOSES = (
    "cells",
    "cells per body weight",
    "cells per body surface",
    "mass",
    "mass per body weight",
    "mass per body surface",
)
_FEW = 6  # so many distinct values are each a group; more are cut into thirds
MISSING = "not recorded"


def groupings(study: Study) -> dict[str, str]:
    """What subjects can be grouped by, as name -> label: dose first, then CRS, then the other covariates, and
    `product` where subjects had different products of cells. `everyone` is the only one where there is no
    other.
    """
    labels = {name: _label(study, name) for name in study.covariates}
    dose = {name: label for name, label in labels.items() if _measures_dose(study, name)}
    if any(level != "" for level in study.doses["level"]):
        dose = {"level": "Dose level"} | dose
    elif not dose and len(study.doses):
        dose = {"dose": "First dose"}
    crs = {name: label for name, label in labels.items() if name.startswith("crs")}
    if not crs and "crs" in set(study.events["event"]):
        crs = {"crs": "Worst CRS grade"}
    products = {"product": "Product"} if len(set(_products(study).values())) > 1 else {}
    return dose | crs | labels | products or {"everyone": "Subjects"}


def group_subjects(study: Study, by: str) -> Series:
    """The group of each subject as an ordered category, index `subject`; StudyError for an unknown `by`.

    Numbers with more than six values are cut into thirds. `crs` is the worst grade recorded as an event.
    `product` is the products of cells that a subject had.
    """
    if by == "product":
        return _ordered(Series(_products(study)))
    if by not in groupings(study):
        remedy = f"{did_you_mean(by, groupings(study))}; there are {', '.join(groupings(study))}"
        raise StudyError(Problem(f"cannot group by {by!r}", remedy))
    if by == "everyone":
        return _ordered(Series("all", index=study.subjects.index))
    if by in ("level", "dose"):
        first = study.doses.sort_values("time").drop_duplicates("subject").set_index("subject")
        if by == "level":
            return _ordered(Series(first["level"].reindex(study.subject_ids)))
        return _by_first_dose(study, Series(first["amount"].reindex(study.subject_ids)))
    if by == "crs":
        return _ordered(Series(_worst_crs(study)))
    values = Series(study.subjects[by])
    spec = study.dictionary.columns.subjects.get(by)
    if pd.api.types.is_numeric_dtype(values):
        unit = "1"
        if by == "weight_kg":
            unit = "kg"
        elif spec and spec.unit:
            unit = spec.unit
        return _numeric(values, unit)
    order = None
    if spec and spec.labels:
        order = list(dict.fromkeys(spec.labels.values()))
    return _ordered(values, order)


def _by_first_dose(study: Study, amounts: Series) -> Series:
    """Groups by the amount of the first dose; per kg where only that leaves the few levels of a protocol."""
    unit = str(study.doses["unit"].iloc[0])
    weights = study.subjects["weight_kg"].reindex(amounts.index)
    per_kg = (amounts / weights).map(lambda x: float(f"{x:.2g}"))
    if len(amounts.unique()) > _FEW >= len(per_kg.unique()) and per_kg.notna().all():
        amounts = per_kg
        unit = f"{unit}/kg"
    return _numeric(amounts, unit, alike=1.5)


def _products(study: Study) -> dict[str, str]:
    """The products that each subject had, in the order of their first doses: those of cells, where the study
    has any.
    """
    doses = study.doses.sort_values("time", kind="stable")
    if (doses["unit"] == "cells").any():
        doses = doses[doses["unit"] == "cells"]
    had: dict[str, list[str]] = {}
    for subject, product in zip(doses["subject"], doses["product"], strict=True):
        if product_name(product) not in had.setdefault(str(subject), []):
            had[str(subject)].append(product_name(product))
    return {subject: ", then ".join(had.get(subject, [])) or "none" for subject in study.subject_ids}


def _worst_crs(study: Study) -> dict[str, str]:
    """The worst CRS grade of each subject, in words."""
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
    """Values as an ordered category: in the given order (default: sorted), then whatever that leaves out."""
    labels = values.map(lambda v: MISSING if pd.isna(v) or v == "" else str(v))
    present = list(dict.fromkeys(labels))
    ordered = [label for label in order or sorted(present) if label in present]
    rest = [label for label in present if label not in ordered]
    return Series(pd.Categorical(labels, [*ordered, *rest], ordered=True), index=values.index)


def _numeric(values: Series, unit: str, *, alike: float = 1.0) -> Series:
    """Numbers as categories: one for each if there are six or fewer, else thirds named by their range.

    There is one category only where the largest number is less than `alike` times the smallest.
    """
    x = values.to_numpy(float)
    distinct = np.unique(x[~np.isnan(x)])
    unit = unit_text(unit)
    if len(distinct) <= _FEW:
        names = [f"{number_text(v, 5, trim=True)} {unit}".strip() for v in distinct]
        labels = [MISSING if np.isnan(v) else names[int(np.searchsorted(distinct, v))] for v in x]
    else:
        all_alike = distinct[-1] < alike * distinct[0]
        cuts = np.quantile(distinct, [] if all_alike else [1 / 3, 2 / 3])
        part_of_distinct = np.searchsorted(cuts, distinct)
        names = []
        for k in range(len(cuts) + 1):
            part = distinct[part_of_distinct == k]
            low = number_text(part.min(), 4, trim=True)
            high = number_text(part.max(), 4, trim=True)
            names.append(f"{low} to {high} {unit}".strip())
        part_of_x = np.searchsorted(cuts, x)
        labels = [MISSING if np.isnan(v) else names[k] for v, k in zip(x, part_of_x, strict=True)]
    return _ordered(Series(labels, index=values.index), names)
