"""A study's responses by iRECIST: iBOR, response rates, and the progression that ends iPFS and iDOR.

Where a reader recorded the immune response, the column `irecist` of responses.csv (iCR, iPR, iSD,
NON-iCR/NON-iUPD, iUPD, iCPD, NE) is taken as it is. Otherwise the response is judged from measurements
(`kinetics.outcomes.irecist`): `sum_mm` of the targets and `new_lesions` (yes: one is present), and, where
they are recorded, `new_lesion_count` (so far), `new_lesions_mm` (their sum) and `non_target` (absent,
present, unequivocal_progression, not_evaluated).

A sum cannot show that nodes are normal or that other lesions are gone: where `overall` is CR, the visit is an
iCR. A PD that neither the sum nor a new lesion explains is refused, not guessed at, unless `non_target` is
recorded. Without `new_lesion_count` it is unknown whether a later new lesion is another one, so it confirms
nothing.

Progression is the first iUPD that an iCPD confirms or that no later iSD, iPR or iCR resets. FROM MEMORY of
the iRECIST paper (Seymour 2017, Lancet Oncol 18:e143, on statistical considerations): an unconfirmed iUPD is
a progression where the patient dies, stops, or is not looked at again. So one on the last scan counts, and
its sentence says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any, cast, get_args

from pandas import DataFrame, isna

from kinetics.errors import InputError, Problem, StudyError
from kinetics.outcomes.grouping import check_by
from kinetics.outcomes.irecist import (
    ImmuneAssessment,
    ImmuneResponse,
    ImmuneVisit,
    best_immune_response,
    immune_responses,
)
from kinetics.outcomes.lesion_size import SIZE, baseline_size
from kinetics.outcomes.recist import Assessment, Lesion, Response
from kinetics.outcomes.responses import first_infusions, rates_of
from kinetics.study import Study

__all__ = [
    "as_recist",
    "best_immune_responses",
    "immune_assessments_of",
    "immune_progression",
    "immune_response_rates",
]

RECORDED = "irecist"  # a reader's column of responses.csv
IMMUNE_RATES = {"orr": ("iCR", "iPR"), "dcr": ("iCR", "iPR", "iSD", "NON-iCR/NON-iUPD")}
PLAIN: dict[str, Response] = {
    "iCR": "CR",
    "iPR": "PR",
    "iSD": "SD",
    "NON-iCR/NON-iUPD": "NON-CR/NON-PD",
    "NE": "NE",
}
TARGETS = "targets"


def immune_assessments_of(study: Study) -> dict[str, list[ImmuneAssessment]]:
    """Every subject's assessments by iRECIST after the first infusion of cells.

    StudyError lists every problem of the responses.
    """
    table = study.responses
    recorded = RECORDED in table.columns
    if not recorded and not {SIZE, "new_lesions"} <= set(table.columns):
        remedy = f"record `{RECORDED}`, or `{SIZE}` and `new_lesions`, and declare the columns"
        raise StudyError(Problem("nothing to judge by iRECIST from", remedy, file="responses.csv"))

    by_subject: dict[str, list[ImmuneAssessment]] = {s: [] for s in study.subject_ids}
    problems = list[Problem]()
    for subject, start in first_infusions(study).items():
        responses = table[table["subject"] == subject].sort_values("time", kind="stable")
        after = responses[responses["time"] > start]
        rows = [{str(column): value for column, value in row.items()} for row in after.to_dict("records")]
        if not rows:
            continue
        if recorded:
            by_subject[subject], row_problems = _recorded(rows, subject)
            problems += row_problems
            continue
        baseline = baseline_size(study, DataFrame(responses[responses["time"] <= start]), subject)
        if isinstance(baseline, Problem):
            problems.append(baseline)
        else:
            by_subject[subject], row_problems = _judged(rows, subject, start, baseline)
            problems += row_problems
    if problems:
        raise StudyError(problems)
    return by_subject


def best_immune_responses(study: Study, *, by: str = "dose_level") -> DataFrame:
    """The best response of each subject up to an iCPD, unconfirmed; one row per subject.

    The table is like that of `kinetics.outcomes.best_responses`. Columns: subject; the column `by`; treated;
    response (iCR, iPR, iSD, NON-iCR/NON-iUPD, iCPD, iUPD, NE, MISSING); day; progressed_on (day of the iUPD
    that an iCPD confirmed); assessments (how many); why.
    """
    check_by(study, by)
    by_subject = immune_assessments_of(study)
    starts = first_infusions(study)
    rows = []
    for subject in study.subject_ids:
        assessments = by_subject[subject]
        start = starts.get(subject)
        best = best_immune_response(assessments, subject=subject, reference_day=start or 0.0)
        why = best.why if start is not None else "no infusion of cells"
        rows.append(
            {
                "subject": subject,
                by: study.subjects.loc[subject, by],
                "treated": start is not None,
                "response": best.response,
                "day": nan if best.day is None else best.day,
                "progressed_on": nan if best.progressed_on is None else best.progressed_on,
                "assessments": len(assessments),
                "why": why,
            }
        )
    return DataFrame(rows)


def immune_response_rates(study: Study, by: str = "dose_level") -> DataFrame:
    """iORR and iDCR of the treated, as `kinetics.outcomes.response_rates`."""
    return rates_of(best_immune_responses(study, by=by), by, IMMUNE_RATES)


def immune_progression(assessments: Sequence[ImmuneAssessment]) -> tuple[float, str] | None:
    """The day of progression and the reason why it is one; None where there is none."""
    standing: ImmuneAssessment | None = None
    for a in assessments:
        if a.response == "iCPD":
            first = standing.day if standing else a.day
            day = a.progressed_on if a.progressed_on is not None else first
            return day, f"iUPD, confirmed by the iCPD of day {a.day:g}"
        if a.response == "iUPD":
            standing = standing or a
        elif a.response != "NE":
            standing = None
    if standing is None:
        return None
    if standing is assessments[-1]:
        return standing.day, "iUPD, unconfirmed on the last scan"
    return standing.day, "iUPD, unconfirmed and no later scan resets it"


def as_recist(assessments: Sequence[ImmuneAssessment]) -> list[Assessment]:
    """The same scans up to one PD, the progression; an iUPD that was reset is a scan without one (SD)."""
    progression = immune_progression(assessments)
    scans = []
    for a in assessments:
        if progression is not None and a.day >= progression[0]:
            day, why = progression
            return [*scans, Assessment(day, "PD", why, a.sum_mm)]
        scans.append(Assessment(a.day, PLAIN.get(a.response, "SD"), a.why, a.sum_mm))
    return scans


# ---------------------------------------------------------------------------------------- what is read


def _recorded(rows: Sequence[dict[str, Any]], subject: str) -> tuple[list[ImmuneAssessment], list[Problem]]:
    """The reader's responses, and their problems; a day without a response is no assessment."""
    assessments: list[ImmuneAssessment] = []
    problems = list[Problem]()
    iupd_day: float | None = None  # of the iUPD that stands
    for row in rows:
        cell = row[RECORDED]
        day = float(row["time"])
        if isna(cell) or cell == "":
            continue
        if cell not in get_args(ImmuneResponse):
            what = f"day {day:g}: {cell!r} is no response"
            remedy = f"write one of {', '.join(get_args(ImmuneResponse))}"
            problems.append(_problem(row, subject, what, remedy, RECORDED))
            continue
        if cell == "iCPD" and iupd_day is None:
            what = f"day {day:g}: an iCPD without an iUPD before it that stands"
            problems.append(_problem(row, subject, what, "record the iUPD that it confirms", RECORDED))
        if assessments and assessments[-1].day == day:
            what = f"day {day:g}: two responses on it"
            problems.append(_problem(row, subject, what, "keep one", RECORDED))
        if cell == "iUPD":
            iupd_day = day if iupd_day is None else iupd_day
        elif cell not in ("iCPD", "NE"):
            iupd_day = None
        progressed_on = iupd_day if cell in ("iUPD", "iCPD") else None
        response = cast(ImmuneResponse, cell)
        assessments.append(ImmuneAssessment(day, response, "as recorded", progressed_on=progressed_on))
    return assessments, problems


def _judged(
    rows: Sequence[dict[str, Any]], subject: str, start: float, baseline: float
) -> tuple[list[ImmuneAssessment], list[Problem]]:
    """The responses that the measurements give, and their problems.

    `start` is the day of the first infusion, `baseline` the sum of diameters [mm] before it.
    """
    problems = list[Problem]()
    visits = [ImmuneVisit(start, (Lesion(TARGETS, baseline),), "present")]
    progressed = False
    for row in rows:
        visit = _visit(row)
        visits.append(visit)
        pd = row.get("overall") == "PD"
        if pd and not progressed and "non_target" not in row and not _explained(visits):
            what = f"day {visit.day:g}: a PD that neither the sum nor a new lesion explains"
            remedy = f"add a column `non_target` to say that it was progression there, or record `{RECORDED}`"
            problems.append(_problem(row, subject, what, remedy, "overall"))
        progressed = progressed or pd
    try:
        assessments = immune_responses(visits, subject=subject)
    except InputError as error:
        return [], [*problems, *error.problems]
    judged = []
    for row, assessment in zip(rows, assessments, strict=True):
        complete = row.get("overall") == "CR"
        judged.append(_with_normal_nodes(assessment) if complete else assessment)
    return judged, problems


def _visit(row: dict[str, Any]) -> ImmuneVisit:
    """One visit from a row of responses.csv.

    The sum of the new lesions stands in the first of their names; the others are present but not measured.
    """
    mm = row[SIZE]
    present = int(row["new_lesions"] == "yes")
    count = max(int(row["new_lesion_count"]), present) if _is_filled(row, "new_lesion_count") else present
    names = tuple(f"new {i}" for i in range(1, count + 1))
    new_targets = ()
    if names and _is_filled(row, "new_lesions_mm"):
        new_targets = (Lesion(names[0], float(row["new_lesions_mm"])),)
    return ImmuneVisit(
        day=float(row["time"]),
        targets=(Lesion(TARGETS, None if isna(mm) else float(mm)),),
        non_target=row["non_target"] if _is_filled(row, "non_target") else "present",
        new_targets=new_targets,
        new_non_targets=names[len(new_targets) :],
        evaluable=not isna(mm),
    )


def _is_filled(row: dict[str, Any], column: str) -> bool:
    """Whether the row has the column, and a value in it."""
    return column in row and not isna(row[column]) and row[column] != ""


def _explained(visits: Sequence[ImmuneVisit]) -> bool:
    """Whether the last visit progresses by its sum or has a new lesion."""
    last = visits[-1]
    if last.new_targets or last.new_non_targets:
        return True
    if last.targets[0].diameter_mm is None:
        return False
    return immune_responses(visits)[-1].response in ("iUPD", "iCPD")


def _with_normal_nodes(a: ImmuneAssessment) -> ImmuneAssessment:
    """The assessment of a visit whose overall response is CR: an iPR or iSD becomes an iCR."""
    if a.response not in ("iPR", "iSD"):
        return a
    return ImmuneAssessment(a.day, "iCR", f"{a.why}; overall is CR: what is left are normal nodes", a.sum_mm)


def _problem(row: dict[str, Any], subject: str, what: str, remedy: str, column: str) -> Problem:
    """A problem in one row of responses.csv."""
    number = int(row["row"]) if "row" in row else None
    return Problem(what, remedy, file="responses.csv", row=number, subject=subject, column=column)
