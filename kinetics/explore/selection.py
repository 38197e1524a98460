"""The selection of subjects: a smaller study, which every figure takes as it takes a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pandas import DataFrame

from kinetics.plot import group_subjects, groupings, rows_where
from kinetics.study import Study

__all__ = ["Choices", "Selection", "cells_per_kg", "choices_of", "selected", "study_of_subjects"]


@dataclass(frozen=True)
class Choices:
    """The options of the filters. `levels` group subjects by `level_label`, `assays` group analytes."""

    level_label: str
    levels: tuple[str, ...]
    routes: tuple[str, ...]
    products: tuple[str, ...]
    assays: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """Subjects of any of these dose levels who had cells of these products by these routes; () means all."""

    levels: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    def __str__(self) -> str:
        filters = [values for values in (self.levels, self.routes, self.products) if values]
        return "; ".join(", ".join(values).replace("_", " ") for values in filters)


def choices_of(study: Study) -> Choices:
    """The dose levels (or groups of the first dose), routes, products and assays of a study."""
    by = next(iter(groupings(study)))
    infused = _infused(study)
    return Choices(
        level_label=groupings(study)[by],
        levels=tuple(str(level) for level in group_subjects(study, by).cat.categories),
        routes=tuple(dict.fromkeys(infused["route"])),
        products=tuple(dict.fromkeys(infused["product"])),
        assays=tuple(dict.fromkeys(analyte.assay for analyte in study.analytes.values())),
    )


@lru_cache(maxsize=8)
def selected(study: Study, selection: Selection) -> Study:
    """The study of the selected subjects. The latest are kept: readers who select the same share it."""
    groups = group_subjects(study, next(iter(groupings(study))))
    subjects = list(study.subject_ids)
    if selection.levels:
        subjects = [subject for subject in subjects if str(groups[subject]) in selection.levels]
    doses = _infused(study)
    if selection.routes:
        doses = rows_where(doses, "route", *selection.routes)
    if selection.products:
        doses = rows_where(doses, "product", *selection.products)
    if selection.routes or selection.products:
        dosed = set(doses["subject"])
        subjects = [subject for subject in subjects if subject in dosed]
    return study_of_subjects(study, subjects)


def study_of_subjects(study: Study, subjects: Sequence[str]) -> Study:
    """The study with these of its subjects only; its name and hash stay, because the data are the same."""
    if len(subjects) == len(study.subject_ids):
        return study
    tables = {}
    for name in ("doses", "observations", "events", "responses"):
        rows = rows_where(getattr(study, name), "subject", *subjects)
        tables[name] = rows.reset_index(drop=True)
    return replace(study, subjects=DataFrame(study.subjects.loc[list(subjects)]), **tables)


def cells_per_kg(study: Study) -> dict[str, float]:
    """Subject -> all cells infused per kg of body weight; subjects without cells or weight are left out."""
    cells = rows_where(study.doses, "unit", "cells").groupby("subject")["amount"].sum()
    weights = study.subjects["weight_kg"].to_dict()
    per_kg = {str(subject): float(total) / float(weights[subject]) for subject, total in cells.items()}
    return {subject: value for subject, value in per_kg.items() if value > 0}  # drops NaN too


def _infused(study: Study) -> DataFrame:
    """The doses of cells, or all doses where none is of cells."""
    cells = rows_where(study.doses, "unit", "cells")
    return cells if len(cells) else study.doses
