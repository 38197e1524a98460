"""The sum of target lesion diameters of every subject: its change from baseline, and the best change.

A size is a column of responses.csv. The baseline is the last size up to the first infusion of cells. Where no
row of responses.csv is that early, it is a column of subjects.csv, which has to be named.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import nan
from typing import Any

from pandas import DataFrame, isna

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.outcomes.responses import best_responses, first_infusions
from kinetics.study import Study

__all__ = ["BASELINE", "SIZE", "baseline_size", "best_changes", "size_changes"]

SIZE = "sum_mm"  # of responses.csv
BASELINE = "baseline_sld"  # of subjects.csv


def size_changes(study: Study, size: str = SIZE, baseline: str = BASELINE) -> DataFrame:
    """One row per assessment after the first infusion of cells, and one at the baseline (day 0, change 0).

    Columns: subject; day (since that infusion); mm; percent (change from baseline); overall ("" at baseline
    or where there is none); new_lesions (yes or no, "" where not recorded). `size` is the column of
    responses.csv, `baseline` that of subjects.csv. StudyError lists every subject that has no baseline.
    """
    table = study.responses
    if size not in table.columns:
        what = f"no column {size!r}"
        remedy = "write each assessment's sum of diameters in mm and declare the column"
        raise StudyError(Problem(what, remedy, file="responses.csv"))
    rows = []
    problems = []
    for subject, start in first_infusions(study).items():
        measured = table[(table["subject"] == subject) & table[size].notna()]
        after = measured[measured["time"] > start]
        if after.empty:
            continue
        before = DataFrame(measured[measured["time"] <= start])
        first = baseline_size(study, before, subject, size, baseline)
        if isinstance(first, Problem):
            problems.append(first)
            continue
        rows.append((subject, 0.0, first, 0.0, "", ""))
        for row in after.to_dict("records"):
            day = float(row["time"]) - start
            mm = float(row[size])
            percent = 100 * (mm / first - 1)
            rows.append((subject, day, mm, percent, _text(row, "overall"), _text(row, "new_lesions")))
    if problems:
        raise StudyError(problems)
    columns = ["subject", "day", "mm", "percent", "overall", "new_lesions"]
    return DataFrame(rows, columns=columns)


def _text(row: Mapping[Hashable, Any], column: str) -> str:
    """A cell as text; "" where the column or the value is missing."""
    cell = row.get(column, "")
    return "" if isna(cell) else str(cell)


def baseline_size(
    study: Study, before: DataFrame, subject: str, size: str = SIZE, column: str = BASELINE
) -> float | Problem:
    """A subject's size [mm] before treatment, or the problem that keeps it from being known.

    `before` holds the subject's rows of responses.csv up to the first infusion.
    """
    if len(before):
        value = float(before.sort_values("time")[size].iloc[-1])
    elif column in study.subjects.columns:
        value = float(study.subjects[column][subject])
    else:
        near = did_you_mean(column, map(str, study.subjects.columns))
        remedy = f"record `{size}` before the first infusion, or a column of subjects.csv ({near})"
        return Problem("no size before treatment", remedy, "responses.csv", subject=subject, column=size)
    if not value > 0:
        what = "the size before treatment is not above 0"
        remedy = "a change in % needs one: correct it"
        return Problem(what, remedy, subject=subject, value=f"{value:g}")
    return value


def best_changes(
    study: Study,
    size: str = SIZE,
    baseline: str = BASELINE,
    *,
    by: str = "dose_level",
    confirmed: bool = False,
) -> DataFrame:
    """The smallest size up to progression as change from baseline, with the best response; a row per subject.

    Columns: subject; the column `by`; percent (NaN where there is no size after baseline); day (since the
    first infusion); response; why (the reason for the response, or for there being no change). `size`,
    `baseline`: as `size_changes`. `confirmed`: a CR or PR needs a later assessment that confirms it.
    """
    changes = size_changes(study, size, baseline)
    rows = []
    for row in best_responses(study, confirmed, by=by).to_dict("records"):
        after = changes[(changes["subject"] == row["subject"]) & (changes["day"] > 0)]
        progression = after.loc[after["overall"] == "PD", "day"].min()
        if not isna(progression):
            after = after[after["day"] <= progression]
        if len(after):
            best = after.loc[after["percent"].idxmin()]
            percent = float(best["percent"])
            day = float(best["day"])
            why = row["why"]
        else:
            percent = nan
            day = nan
            why = f"no size after baseline; {row['why']}"
        rows.append(
            {
                "subject": row["subject"],
                by: row[by],
                "percent": percent,
                "day": day,
                "response": row["response"],
                "why": why,
            }
        )
    return DataFrame(rows)
