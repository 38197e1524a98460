"""The sum of target lesion diameters of every subject as change from its baseline, and the best of it.

A size is a column of responses.csv. The baseline is the last size up to the first infusion of cells; where no
row of responses.csv is that early, a column of subjects.csv that has to be named.
"""

from __future__ import annotations

from math import nan

from pandas import DataFrame, isna

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.outcomes.responses import best_responses, first_infusions
from kinetics.study import Study

__all__ = ["BASELINE", "SIZE", "baseline_size", "best_changes", "size_changes"]

SIZE = "sum_mm"  # of responses.csv
BASELINE = "baseline_sld"  # of subjects.csv


def size_changes(study: Study, size: str = SIZE, baseline: str = BASELINE) -> DataFrame:
    """One row an assessment after the first infusion of cells, and one at the baseline (day 0, change 0).

    subject; day (since that infusion); mm; percent (change from baseline); overall ("" at baseline or where
    there is none); new_lesions (yes or no, "" where not recorded). StudyError with every subject that has no
    baseline.
    """
    table = study.responses
    if size not in table.columns:
        what = f"no column {size!r}"
        remedy = "write each assessment's sum of diameters in mm and declare the column"
        raise StudyError(Problem(what, remedy, file="responses.csv"))
    rows = []
    problems = []
    for subject, start in first_infusions(study).items():
        own = table[(table["subject"] == subject) & table[size].notna()]
        after = own[own["time"] > start]
        if after.empty:
            continue
        first = baseline_size(study, DataFrame(own[own["time"] <= start]), subject, size, baseline)
        if isinstance(first, Problem):
            problems.append(first)
            continue
        rows.append((subject, 0.0, first, 0.0, "", ""))
        for row in after.to_dict("records"):
            mm = float(row[size])
            overall = row.get("overall", "")
            new = row.get("new_lesions", "")
            said = ["" if isna(v) else str(v) for v in (overall, new)]
            rows.append((subject, float(row["time"]) - start, mm, 100 * (mm / first - 1), *said))
    if problems:
        raise StudyError(problems)
    columns = ["subject", "day", "mm", "percent", "overall", "new_lesions"]
    return DataFrame(rows, columns=columns)


def baseline_size(
    study: Study, before: DataFrame, subject: str, size: str = SIZE, column: str = BASELINE
) -> float | Problem:
    """A subject's size before treatment, or what keeps it from being known; `before`: its rows of
    responses.csv.
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
    """One row a subject: the smallest size up to progression as change from baseline, with the best response.

    subject; the column `by`; percent (NaN where there is no size after baseline); day (since the first
    infusion); response; why (the reason for the response, or for there being no change).
    """
    changes = size_changes(study, size, baseline)
    rows = []
    for row in best_responses(study, confirmed, by=by).to_dict("records"):
        own = changes[(changes["subject"] == row["subject"]) & (changes["day"] > 0)]
        progressed = own.loc[own["overall"] == "PD", "day"].min()
        own = own if isna(progressed) else own[own["day"] <= progressed]
        best = own.loc[own["percent"].idxmin()] if len(own) else None
        found = {k: nan if best is None else float(best[k]) for k in ("percent", "day")}
        why = row["why"] if best is not None else f"no size after baseline; {row['why']}"
        rows.append({k: row[k] for k in ("subject", by)} | found | {"response": row["response"], "why": why})
    return DataFrame(rows)
