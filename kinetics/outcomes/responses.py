"""A study's recorded responses: each subject's assessments and best response, and response rates by group.

Every table is by a column of subjects.csv (`dose_level` unless another is named). Rates have exact intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Literal, cast

from pandas import DataFrame, isna

from kinetics.errors import InputError, Problem, StudyError
from kinetics.outcomes.grouping import check_by
from kinetics.outcomes.proportions import proportion_columns
from kinetics.outcomes.recist import (
    RECIST_1_1,
    Assessment,
    BestResponse,
    RecistRules,
    Response,
    best_response,
)
from kinetics.study import Study

__all__ = [
    "assessments_of",
    "best_responses",
    "cell_products",
    "first_infusions",
    "rates_of",
    "response_rates",
]

OVERALL = ("CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE")
RATES = {"orr": ("CR", "PR"), "dcr": ("CR", "PR", "SD", "NON-CR/NON-PD")}  # objective response; control

Population = Literal["treated", "evaluable"]


def best_responses(
    study: Study, confirmed: bool = False, *, by: str = "dose_level", rules: RecistRules = RECIST_1_1
) -> DataFrame:
    """Best overall response among those recorded after the first infusion of cells: one row per subject.

    Rows are in the order of subjects.csv. Columns: subject; the column `by`; treated (had an infusion of
    cells); response (CR, PR, SD,
    NON-CR/NON-PD, PD, NE, MISSING); day (of the study, NaN where MISSING); confirmed_on (day,
    NaN where not); assessments (how many after first infusion); why (the reason for the response, or for
    there being none). With `confirmed`, a CR or PR needs a later assessment that confirms it; `rules` are
    those of RECIST.
    """
    check_by(study, by)
    by_subject = assessments_of(study)
    starts = first_infusions(study)
    rows = []
    for subject in study.subject_ids:
        assessments = by_subject[subject]
        start = starts.get(subject)
        if start is None:
            best = BestResponse("MISSING", None, None, "no infusion of cells")
        else:
            best = best_response(
                assessments, confirmed=confirmed, subject=subject, reference_day=start, rules=rules
            )
            if best.response == "MISSING":
                why = "no assessment after the first infusion of cells"
                best = BestResponse("MISSING", None, None, why)
        rows.append(
            {
                "subject": subject,
                by: study.subjects.loc[subject, by],
                "treated": start is not None,
                "response": best.response,
                "day": nan if best.day is None else best.day,
                "confirmed_on": nan if best.confirmed_on is None else best.confirmed_on,
                "assessments": len(assessments),
                "why": best.why,
            }
        )
    return DataFrame(rows)


def response_rates(
    study: Study,
    by: str = "dose_level",
    *,
    confirmed: bool = False,
    population: Population = "treated",
    level: float = 0.95,
    rules: RecistRules = RECIST_1_1,
) -> DataFrame:
    """Rates of objective response and of disease control, two rows a group.

    Columns: the column `by`; rate (orr, dcr); confirmed; n; events; estimate; lower; upper (Clopper-Pearson,
    with probability `level`); reason (why there is no estimate). `population` "treated" counts a subject who
    is NE or MISSING as one without a response; "evaluable" leaves such subjects out. `confirmed`, `rules`: as
    `best_responses`. InputError for another population.
    """
    if population not in ("treated", "evaluable"):
        raise InputError(Problem(f"population {population!r}", "write 'treated' or 'evaluable'"))
    table = best_responses(study, confirmed, by=by, rules=rules)
    return rates_of(table, by, RATES, confirmed=confirmed, population=population, level=level)


def rates_of(
    best: DataFrame,
    by: str,
    rates: Mapping[str, Sequence[str]],
    *,
    confirmed: bool = False,
    population: Population = "treated",
    level: float = 0.95,
) -> DataFrame:
    """The rows of `response_rates` from a table of best responses; `rates`: name -> responses that count."""
    rows = []
    for group in sorted(best[by].unique()):
        members = best[(best[by] == group) & best["treated"]]
        if population == "evaluable":
            members = members[~members["response"].isin(["NE", "MISSING"])]
        n = len(members)
        for rate, counted in rates.items():
            events = int(members["response"].isin(list(counted)).sum())
            row = {by: group, "rate": rate, "confirmed": confirmed, "n": n, "events": events}
            rows.append(row | proportion_columns(events, n, level, f"no {population} subject"))
    return DataFrame(rows)


def cell_products(study: Study) -> list[str]:
    """The products whose doses are counted in cells, in the order in which doses.csv first names them."""
    return list(dict.fromkeys(study.doses["product"][study.doses["unit"] == "cells"]))


def first_infusions(study: Study) -> dict[str, float]:
    """Subject -> day of the study of its first infusion of cells; subjects without one are left out."""
    cells = study.doses[study.doses["unit"] == "cells"]
    return {str(s): float(t) for s, t in cells.groupby("subject")["time"].min().items()}


def assessments_of(study: Study) -> dict[str, list[Assessment]]:
    """Every subject's recorded overall responses after the first infusion of cells, in order of time.

    Without a record, as before the first scan of a trial, nobody has one. StudyError with every response that
    cannot be read.
    """
    table = study.responses
    if table.empty:
        return {s: [] for s in study.subject_ids}
    if "overall" not in table.columns:
        what = "no column 'overall'"
        remedy = f"write each assessment's overall response ({', '.join(OVERALL)}) and declare the column"
        raise StudyError(Problem(what, remedy, file="responses.csv"))
    starts = first_infusions(study)
    by_subject: dict[str, list[Assessment]] = {s: [] for s in study.subject_ids}
    problems = []
    for row in table.sort_values(["subject", "time"], kind="stable").to_dict("records"):
        subject = str(row["subject"])
        day = float(row["time"])
        overall = row["overall"]
        assessments = by_subject[subject]
        at_baseline = day <= starts.get(subject, float("inf"))
        if at_baseline and (isna(overall) or overall == ""):
            continue  # the measurement before treatment, which has no response
        if overall not in OVERALL:
            what = f"day {day:g}: not an overall response"
            remedy = f"write one of {', '.join(OVERALL)}"
        elif at_baseline:
            what = f"day {day:g}: a response before any cells"
            remedy = "leave `overall` empty at baseline"
        elif assessments and assessments[-1].day == day:
            what = f"day {day:g}: two responses on it"
            remedy = "keep one"
        else:
            why = "a new lesion" if overall == "PD" and row.get("new_lesions") == "yes" else ""
            assessments.append(Assessment(day, cast(Response, overall), why))
            continue
        problem = Problem(
            what,
            remedy,
            file="responses.csv",
            row=int(row["row"]),
            subject=subject,
            column="overall",
            value="" if isna(overall) else str(overall),
        )
        problems.append(problem)
    if problems:
        raise StudyError(problems)
    return by_subject
