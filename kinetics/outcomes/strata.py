"""Subgroups of the interim analysis: response, disease control, DLTs, grade 3 or more, with exact intervals.

A number is split at its median. A word is a stratum of its own, and so are subjects for whom nothing was
recorded. Grades of different systems have rows of their own. With a dozen patients these are counts to look
at, not comparisons: no stratum is tested against another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import pandas as pd
from pandas import DataFrame

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.outcomes.by_criteria import ResponseReading, best_by_criteria, rates_by_criteria, reading_of
from kinetics.outcomes.dlts import patients_of
from kinetics.outcomes.grouping import check_by
from kinetics.outcomes.proportions import clopper_pearson
from kinetics.outcomes.responses import cell_products
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["strata_of", "strata_table"]

NOT_RECORDED = "not recorded"
COLUMNS = ["by", "stratum", "rate", "n", "events", "estimate", "lower", "upper"]


def strata_of(protocol: Protocol) -> tuple[list[str], list[str]]:
    """The columns of the protocol's interim strata, and the strata for which the study has no column."""
    strata = protocol.interim.strata
    columns = [column for column in strata.values() if column]
    without = [label for label, column in strata.items() if not column]
    return columns, without


def strata_table(
    study: Study,
    columns: Sequence[str],
    protocol: Protocol | None = None,
    *,
    confirmed: bool = False,
    level_column: str = "dose_level",
) -> DataFrame:
    """One row per column, stratum and rate.

    Columns: by, stratum, rate, n, events, estimate, lower, upper (Clopper-Pearson). The rates are orr and dcr
    (of the treated), dlt (of the evaluable, with a protocol), and grade_3_or_more of each grading system (of
    the treated, attributed to cells). StudyError lists every one of `columns` that the study does not have,
    and is raised for events without the column `attribution`.
    """
    strange = [column for column in columns if column not in study.subjects.columns]
    if strange:
        names = list(map(str, study.subjects.columns))
        raise StudyError(
            Problem(f"no column {column!r}", did_you_mean(column, names), file="subjects.csv")
            for column in strange
        )
    if not columns:
        return DataFrame()
    if len(study.events) and "attribution" not in study.events.columns:
        what = "no column 'attribution': grade 3 or more is counted where it is due to cells"
        products = ", ".join(cell_products(study))
        remedy = f"add it ({products} or other), and declare it in [columns.events] of dictionary.toml"
        raise StudyError(Problem(what, remedy, file="events.csv"))
    tables = [_rates_by(study, column, protocol, confirmed, level_column) for column in columns]
    return pd.concat(tables, ignore_index=True)


def _reading(protocol: Protocol | None) -> ResponseReading:
    """The criteria by which responses are read: those of the protocol, RECIST 1.1 without one."""
    return ResponseReading() if protocol is None else reading_of(protocol)


def _rates_by(
    study: Study, column: str, protocol: Protocol | None, confirmed: bool, level_column: str
) -> DataFrame:
    """The rows of one column: its strata, sorted, each with all of its rates."""
    values = study.subjects[column]
    if pd.api.types.is_numeric_dtype(values):
        median = float(values.median())
        strata = values.map(lambda value: f"above {median:g}" if value > median else f"at most {median:g}")
        strata = strata.where(values.notna(), NOT_RECORDED)
    else:
        strata = values.where(values.notna() & (values != ""), NOT_RECORDED)
    study = replace(study, subjects=study.subjects.assign(**{column: strata}))
    check_by(study, column)
    rates = rates_by_criteria(study, _reading(protocol), column, confirmed=confirmed).rename(
        columns={column: "stratum"}
    )
    rates = rates.assign(by=column)[COLUMNS]
    order = {name: i for i, name in enumerate(dict.fromkeys(rates["stratum"]))}
    safety = _safety(study, column, protocol, level_column)
    table = pd.concat([rates, safety], ignore_index=True)
    return table.sort_values("stratum", key=lambda names: names.map(order), kind="stable")


def _safety(study: Study, column: str, protocol: Protocol | None, level_column: str) -> DataFrame:
    """DLTs of the evaluable, and subjects with grade 3 or more attributed to cells, by grading system."""
    stratum_of = study.subjects[column]
    best = best_by_criteria(study, _reading(protocol), by=column)
    treated = best.loc[best["treated"], "subject"].tolist()
    severe = study.events[study.events["grade"] >= 3]
    if len(severe):
        severe = severe[severe["attribution"].isin(cell_products(study))]
    systems = sorted(set(study.events.loc[study.events["grade"].notna(), "grading_system"]))
    dlts = {}  # of the evaluable
    if protocol is not None:
        patients = patients_of(study, protocol, level_column=level_column)
        dlts = {p.subject: p.dlt for p in patients if p.status == "evaluable"}
    rows = []
    for stratum in sorted(stratum_of.unique()):
        if protocol is not None:
            counted = [dlts[s] for s in study.subject_ids if s in dlts and stratum_of[s] == stratum]
            rows.append(_row(column, stratum, "dlt", sum(counted), len(counted)))
        members = [s for s in treated if stratum_of[s] == stratum]
        for system in systems:
            with_severe = set(severe.loc[severe["grading_system"] == system, "subject"])
            events = sum(s in with_severe for s in members)
            rows.append(_row(column, stratum, f"grade_3_or_more {system}", events, len(members)))
    return DataFrame(rows, columns=COLUMNS)


def _row(by: str, stratum: str, rate: str, events: int, n: int) -> dict[str, object]:
    """One row of the table, with the exact interval of its proportion."""
    lower, upper = clopper_pearson(events, n)
    return {
        "by": by,
        "stratum": stratum,
        "rate": rate,
        "n": n,
        "events": events,
        "estimate": events / n if n else nan,
        "lower": lower,
        "upper": upper,
    }
