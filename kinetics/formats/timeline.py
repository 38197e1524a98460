"""The doses and records of a study in one order of time, each with the dose it refers to."""

from __future__ import annotations

from pandas import DataFrame, concat

from kinetics.errors import Problem, StudyError
from kinetics.study import CDISC_ROUTES, Study

__all__ = ["compartments", "products_of", "timeline"]


def timeline(study: Study) -> tuple[DataFrame, DataFrame]:
    """Doses and records of every subject in order of time, a record before a dose of the same time unless it
    is said to be taken after it.

    Return two tables of as many rows. The first has the columns of doses and observations and, besides,
    `dose` (whether the row is one), `first` (day of the subject's first dose of cells) and `since` (days from
    the reference dose). The second has each row's reference dose, with its `visit` (product and cycle), its
    `name` (the dose within the visit), ROUTE and EXLOC. The reference dose of a record is the latest dose of
    cells before it, or else the next one; a dose is its own. In a subject who had no cells every dose counts.
    StudyError where nobody was dosed.
    """
    if study.doses.empty:
        what = f"{study.name} has no doses, from which the tables count time"
        raise StudyError(Problem(what, "its own tables, subjects.csv and observations.csv, say all of it"))

    # the doses, named and counted within their product and cycle
    doses = study.doses.assign(dose=True, analyte="", censored="", order=1)
    doses["visit"] = doses["product"] + " cycle " + doses["cycle"].astype(str)
    count = doses.groupby(["subject", "visit"]).cumcount() + 1
    doses["name"] = doses["visit"] + " dose " + count.astype(str)
    routes = [CDISC_ROUTES.get(route, (route.replace("_", " ").upper(), "")) for route in doses["route"]]
    doses["ROUTE"] = [route for route, _ in routes]
    doses["EXLOC"] = [location for _, location in routes]

    # doses and records in one order
    units = {name: analyte.unit for name, analyte in study.analytes.items()}
    records = study.observations.assign(dose=False, order=0, unit=study.observations["analyte"].map(units))
    if "timing" in records:
        records["order"] = records["order"].mask(records["timing"] == "after", 2)
    rows = concat([records, doses], ignore_index=True)
    rows["dose"] = rows["dose"].astype(bool)
    rows["rank"] = rows["subject"].map({subject: rank for rank, subject in enumerate(study.subject_ids)})
    rows = rows.sort_values(["rank", "time", "order"], kind="stable", ignore_index=True)

    # the doses that count as reference doses: of cells, or all of a subject who had none
    is_cells = doses["unit"] == "cells"
    counts = is_cells | ~doses["subject"].isin(doses.loc[is_cells, "subject"])
    rows["first"] = rows["subject"].map(doses[counts].groupby("subject")["time"].min())
    rows["counts"] = False
    rows.loc[rows["dose"], "counts"] = list(counts)
    reference = _references(rows, doses)
    since = (rows["time"] - reference["time"]).round(9)
    return rows.assign(since=since.where(~rows["dose"], 0.0)), reference


def _references(rows: DataFrame, doses: DataFrame) -> DataFrame:
    """The reference dose of each row; for a dose, the dose itself."""
    # each row's dose as an index into `doses`, which has them in the same order as the rows; -1 for a record
    doses_in_order = iter(doses.index)
    indices = [next(doses_in_order) if is_dose else -1 for is_dose in rows["dose"]]

    # a subject's latest dose so far; before its first dose that counts, that one
    latest = {}
    for subject, index, counts in zip(rows["subject"], indices, rows["counts"], strict=True):
        if counts:
            latest.setdefault(subject, index)
    references = []
    columns = (rows["subject"], rows["dose"], rows["counts"], indices)
    for subject, is_dose, counts, index in zip(*columns, strict=True):
        if counts:
            latest[subject] = index
        references.append(index if is_dose else latest[subject])
    return doses.loc[references].reset_index(drop=True)


def products_of(study: Study) -> list[tuple[str, str, str]]:
    """The (product, route, unit) of the doses in order of appearance: CMT 1, 2, ..."""
    return list(dict.fromkeys(study.doses[["product", "route", "unit"]].itertuples(index=False, name=None)))


def compartments(study: Study, rows: DataFrame) -> list[int]:
    """CMT of every row of a timeline: the products first, then the analytes."""
    products = products_of(study)
    analytes = list(study.analytes)
    columns = (rows[name] for name in ("dose", "product", "route", "unit", "analyte"))
    return [
        products.index((product, route, unit)) + 1 if dose else len(products) + analytes.index(analyte) + 1
        for dose, product, route, unit, analyte in zip(*columns, strict=True)
    ]
