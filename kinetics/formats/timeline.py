"""The doses and records of a study in one order of time, each with the dose it refers to."""

from __future__ import annotations

from pandas import DataFrame, concat

from kinetics.study import CDISC_ROUTES, Study

__all__ = ["compartments", "products_of", "timeline"]


def timeline(study: Study) -> tuple[DataFrame, DataFrame]:
    """Doses and records of every subject in order of time, a record before a dose of the same time.

    The rows (columns of both tables; dose, first: the day of the subject's first dose of cells, since: days
    from the reference dose), and row by row the reference dose: the latest dose of cells before the record,
    else the next (visit: product and cycle, name: of the dose in it, ROUTE, EXLOC). A dose refers to itself.
    Every dose counts in a subject who had no cells.
    """
    doses = study.doses.assign(dose=True, analyte="", censored="", order=1)
    doses["visit"] = doses["product"] + " cycle " + doses["cycle"].astype(str)
    count = doses.groupby(["subject", "visit"]).cumcount() + 1
    doses["name"] = doses["visit"] + " dose " + count.astype(str)
    pairs = [CDISC_ROUTES.get(route, (route.replace("_", " ").upper(), "")) for route in doses["route"]]
    doses["ROUTE"], doses["EXLOC"] = [p[0] for p in pairs], [p[1] for p in pairs]
    units = {name: analyte.unit for name, analyte in study.analytes.items()}
    records = study.observations.assign(dose=False, order=0, unit=study.observations["analyte"].map(units))
    rows = concat([records, doses], ignore_index=True)
    rows["dose"] = rows["dose"].astype(bool)
    rows["rank"] = rows["subject"].map({s: i for i, s in enumerate(study.subject_ids)})
    rows = rows.sort_values(["rank", "time", "order"], kind="stable", ignore_index=True)
    given = doses["unit"] == "cells"
    cells = given | ~doses["subject"].isin(doses.loc[given, "subject"])
    rows["first"] = rows["subject"].map(doses[cells].groupby("subject")["time"].min())
    rows["counts"] = False
    rows.loc[rows["dose"], "counts"] = list(cells)
    reference = _references(rows, doses)
    since = (rows["time"] - reference["time"]).round(9)
    return rows.assign(since=since.where(~rows["dose"], 0.0)), reference


def _references(rows: DataFrame, doses: DataFrame) -> DataFrame:
    """Each row's reference dose; of a dose, the dose itself."""
    places = iter(doses.index)  # the rows have the doses in the order of `doses`
    place = [next(places) if is_dose else -1 for is_dose in rows["dose"]]
    first = {
        s: p
        for s, p, counts in zip(rows["subject"][::-1], place[::-1], rows["counts"][::-1], strict=True)
        if counts
    }
    latest = dict(first)
    found = []
    for subject, is_dose, counts, own in zip(
        rows["subject"], rows["dose"], rows["counts"], place, strict=True
    ):
        latest[subject] = own if counts else latest[subject]
        found.append(own if is_dose else latest[subject])
    return doses.loc[found].reset_index(drop=True)


def products_of(study: Study) -> list[tuple[str, str, str]]:
    """The products by route and unit, in order of appearance: CMT 1, 2, ... of the doses."""
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
