"""Which subjects of a study are looked at: a smaller study, which every figure takes as it takes a whole
one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pandas import DataFrame

from kinetics.plot import group_subjects, groupings, rows_where
from kinetics.study import Study

__all__ = ["Choices", "Selection", "cells_per_kg", "choices_of", "selected"]


@dataclass(frozen=True)
class Choices:
    """What there is to choose from. `levels` are groups of subjects by `level_label`; `assays` of
    analytes.
    """

    level_label: str
    levels: tuple[str, ...]
    routes: tuple[str, ...]
    products: tuple[str, ...]
    assays: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """Subjects of any of these dose levels who had cells by any of these routes; an empty choice is all."""

    levels: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [
            ", ".join(chosen).replace("_", " ")
            for chosen in (self.levels, self.routes, self.products)
            if chosen
        ]
        return "; ".join(said)


def choices_of(study: Study) -> Choices:
    """The dose levels (or groups of the first dose), routes, products and assays of a study."""
    by = next(iter(groupings(study)))
    infused = _infused(study)
    return Choices(
        groupings(study)[by],
        tuple(str(level) for level in group_subjects(study, by).cat.categories),
        tuple(dict.fromkeys(infused["route"])),
        tuple(dict.fromkeys(infused["product"])),
        tuple(dict.fromkeys(analyte.assay for analyte in study.analytes.values())),
    )


def selected(study: Study, selection: Selection) -> Study:
    """The study of the subjects selected; it has the same name and hash, for it is of the same data."""
    groups = group_subjects(study, next(iter(groupings(study))))
    keep = [s for s in study.subject_ids if not selection.levels or str(groups[s]) in selection.levels]
    doses = _infused(study)
    for column, chosen in (("route", selection.routes), ("product", selection.products)):
        doses = rows_where(doses, column, *chosen) if chosen else doses
    if selection.routes or selection.products:
        had = set(doses["subject"])
        keep = [s for s in keep if s in had]
    if len(keep) == len(study.subject_ids):
        return study
    tables = {name: getattr(study, name) for name in ("doses", "observations", "events", "responses")}
    smaller = {k: rows_where(table, "subject", *keep).reset_index(drop=True) for k, table in tables.items()}
    return replace(study, subjects=DataFrame(study.subjects.loc[keep]), **smaller)


def cells_per_kg(study: Study) -> dict[str, float]:
    """Cells per kg that each subject was infused with in all; subjects without cells or weight are not
    there.
    """
    cells = rows_where(study.doses, "unit", "cells").groupby("subject")["amount"].sum()
    weights = study.subjects["weight_kg"].to_dict()
    found = {str(s): float(total) / float(weights[s]) for s, total in cells.items()}
    return {s: value for s, value in found.items() if value > 0}  # NaN is not


def _infused(study: Study) -> DataFrame:
    """The doses of cells; all doses, where none is of cells."""
    cells = rows_where(study.doses, "unit", "cells")
    return cells if len(cells) else study.doses
