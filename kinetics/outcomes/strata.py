"""Subgroups of the interim analysis: response, disease control, DLTs and grade 3 or more, each with its exact
interval.

A number is split at its median, a word is a stratum of its own, and so is what was not recorded. Grades of
different systems have rows of their own. With a dozen patients these are counts to look at, not comparisons:
no stratum is tested against another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from pandas import DataFrame

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.outcomes.dlts import patients_of
from kinetics.outcomes.responses import CELLS, best_responses, check_by, clopper_pearson, response_rates
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["strata_of", "strata_table"]

NOT_RECORDED = "not recorded"
COLUMNS = ["by", "stratum", "rate", "n", "events", "estimate", "lower", "upper"]


def strata_of(protocol: Protocol) -> tuple[list[str], list[str]]:
    """The columns of the protocol's interim strata, and the strata for which the study has no column."""
    named = protocol.interim.strata
    return [column for column in named.values() if column], [
        label for label, column in named.items() if not column
    ]


def strata_table(
    study: Study, columns: Sequence[str], protocol: Protocol | None = None, *, confirmed: bool = False,
    level_column: str = "dose_level",
) -> DataFrame:  # fmt: skip
    """One row a column, stratum and rate: by, stratum, rate, n, events, estimate, lower, upper
    (Clopper-Pearson).

    rate: orr, dcr (of the treated); dlt (of the evaluable, with a protocol); grade_3_or_more of each grading
    system (of the treated, attributed to cells). StudyError with every column that is not there.
    """
    strange = [c for c in columns if c not in study.subjects.columns]
    if strange:
        known = list(map(str, study.subjects.columns))
        raise StudyError(
            Problem(f"no column {c!r}", did_you_mean(c, known), file="subjects.csv") for c in strange
        )
    rows = [_split(study, column, protocol, confirmed, level_column) for column in columns]
    return pd.concat(rows, ignore_index=True) if rows else DataFrame()


def _split(
    study: Study, column: str, protocol: Protocol | None, confirmed: bool, level_column: str
) -> DataFrame:
    values = study.subjects[column]
    if pd.api.types.is_numeric_dtype(values):
        middle = float(values.median())
        split = values.map(lambda v: f"above {middle:g}" if v > middle else f"at most {middle:g}")
        split = split.where(values.notna(), NOT_RECORDED)
    else:
        split = values.where(values.notna() & (values != ""), NOT_RECORDED)
    study = replace(study, subjects=study.subjects.assign(**{column: split}))
    check_by(study, column)
    found = response_rates(study, column, confirmed=confirmed).rename(columns={column: "stratum"})
    parts = [found.assign(by=column)[COLUMNS], _safety(study, column, protocol, level_column)]
    order = {name: i for i, name in enumerate(dict.fromkeys(found["stratum"]))}
    both = pd.concat(parts, ignore_index=True)
    return both.sort_values("stratum", key=lambda s: s.map(order), kind="stable")


def _safety(study: Study, column: str, protocol: Protocol | None, level_column: str) -> DataFrame:
    """DLTs of the evaluable, and subjects with grade 3 or more attributed to cells, by grading system."""
    group = study.subjects[column]
    rows = []
    treated = best_responses(study, by=column)
    dosed = treated.loc[treated["treated"], "subject"].tolist()
    severe = study.events[(study.events["grade"] >= 3) & study.events["attribution"].isin(list(CELLS))]
    systems = sorted(set(study.events.loc[study.events["grade"].notna(), "grading_system"]))
    evaluable = {}
    if protocol is not None:
        people = patients_of(study, protocol, level_column=level_column)
        evaluable = {p.subject: p.dlt for p in people if p.status == "evaluable"}
    for stratum in sorted(group.unique()):
        members = [s for s in dosed if group[s] == stratum]
        counted = [evaluable[s] for s in study.subject_ids if s in evaluable and group[s] == stratum]
        if protocol is not None:
            rows.append(_row(column, stratum, "dlt", sum(counted), len(counted)))
        for system in systems:
            own = set(severe.loc[severe["grading_system"] == system, "subject"])
            rate = f"grade_3_or_more {system}"
            rows.append(_row(column, stratum, rate, sum(s in own for s in members), len(members)))
    return DataFrame(rows, columns=COLUMNS)


def _row(by: str, stratum: str, rate: str, events: int, n: int) -> dict[str, object]:
    lower, upper = clopper_pearson(events, n)
    estimate = events / n if n else float("nan")
    return dict(zip(COLUMNS, (by, stratum, rate, n, events, estimate, lower, upper), strict=True))
