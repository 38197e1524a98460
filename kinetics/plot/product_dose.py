"""The dose against which an exposure is drawn: a column of subjects.csv, or the product's own dose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame, Series

from kinetics.decision import levels_of
from kinetics.outcomes import cell_products
from kinetics.plot.frame import product_name, unit_text
from kinetics.plot.records import rows_where
from kinetics.study import Study

__all__ = ["LEVEL", "DoseAxis", "dose_axis"]

LEVEL = "dose_level"  # the column of subjects.csv with the assigned level
_ALIKE = 0.05  # so far, relatively, a dose may lie from its level: what was given is seldom exactly the level


@dataclass(frozen=True)
class DoseAxis:
    """The dose of each subject by its name (`doses`), with the title and the footnote of an axis of it."""

    doses: Mapping[str, float]
    title: str
    note: str


def dose_axis(study: Study, analyte: str, by: str | None) -> DoseAxis:
    """The dose of each subject for an exposure of an analyte.

    It is the column `by` of subjects.csv; by default `dose_level`. Where the analyte counts the cells of one
    product and that column is not its dose, the default is what the subjects were given of the product.
    StudyError where there is no such column.

    >>> from kinetics.plot.product_dose import dose_axis
    >>> study = kn.read_study("nkg2d_phase1_synthetic")
    >>> dose_axis(study, "t_cells", None).title
    'CAR-T cells per kg and infusion (cells/kg)'
    >>> dose_axis(study, "nk_cells", None).title
    'CAR-NK, all infusions (cells)'
    """
    product = study.analytes[analyte].product if analyte in study.analytes else None
    products = cell_products(study)
    if by is None and product in products and len(products) > 1 and not _is_dose_of(study, str(product)):
        return _given_doses(study, str(product))
    column = by or LEVEL
    doses = levels_of(study, column)
    spec = study.dictionary.columns.subjects.get(column)
    label = (spec.label if spec else "") or column.replace("_", " ").capitalize()
    unit = unit_text((spec.unit or "") if spec else "")
    note = f"Dose: column {column} of subjects.csv, as assigned, given or not."
    return DoseAxis(doses, f"{label} ({unit})" if unit else label, note)


def _is_dose_of(study: Study, product: str) -> bool:
    """Whether the assigned level is the dose of a product: of most subjects an infusion or all of them, in
    cells or per kg.
    """
    if LEVEL not in study.subjects.columns:
        return False
    levels = levels_of(study)
    weights = study.subjects["weight_kg"] if "weight_kg" in study.subjects else Series(dtype=float)
    alike = []
    for subject, infusions in _infusions(study, product).groupby("subject"):
        level = levels.get(str(subject))
        if level is None:
            continue
        amounts = infusions["amount"].to_numpy(float)
        cells = np.append(amounts, amounts.sum())
        per_kg = cells / float(weights.get(subject, np.nan))
        alike.append(bool((np.abs(np.append(cells, per_kg) / level - 1) < _ALIKE).any()))
    return bool(alike) and np.mean(alike) > 0.5  # pyright: ignore


def _given_doses(study: Study, product: str) -> DoseAxis:
    """The cells of a product that each subject was given in all, per kg where that leaves fewer doses."""
    total = _infusions(study, product).groupby("subject")["amount"].sum()
    unit = "cells"
    if "weight_kg" in study.subjects:
        per_kg = total / study.subjects["weight_kg"].reindex(total.index).astype(float)
        if per_kg.notna().all() and _distinct(per_kg) < _distinct(total):
            total = per_kg
            unit = "cells/kg"
    doses = {str(subject): float(dose) for subject, dose in total.items() if dose > 0}
    name = product_name(product)
    note = f"Dose: all {name} that a subject was given, by doses.csv; dose_level is that of another product."
    return DoseAxis(doses, f"{name}, all infusions ({unit})", note)


def _infusions(study: Study, product: str) -> DataFrame:
    """The doses of a product in cells."""
    return rows_where(rows_where(study.doses, "product", product), "unit", "cells")


def _distinct(doses: Series) -> int:
    """How many different doses there are, to two digits."""
    return len({f"{dose:.1e}" for dose in doses})
