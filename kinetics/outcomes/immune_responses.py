"""A study's responses by iRECIST: iBOR, rates, and the progression that iPFS and iDOR end with, as trials
report them.

Where a reader recorded the immune response, the column `irecist` of responses.csv (iCR, iPR, iSD, iUPD, iCPD,
NE) is taken as it is. Else it is judged from what was measured (`kinetics.outcomes.irecist`): `sum_mm` of the
targets, `new_lesions` (yes: one is present), and where they are there `new_lesion_count` (so far),
`new_lesions_mm` (their sum) and `non_target` (absent, present, unequivocal_progression, not_evaluated). A sum
cannot show that nodes are normal or that other lesions are gone: where `overall` is CR, the visit is an iCR.
A PD that neither the sum nor a new lesion explains is refused, not guessed at, unless `non_target` is there.
Without `new_lesion_count` nobody knows whether a later new lesion is another one: it confirms nothing.

Progression is the first iUPD that an iCPD confirms or that no later iSD, iPR or iCR resets: FROM MEMORY of
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
from kinetics.outcomes.irecist import (
    ImmuneAssessment,
    ImmuneResponse,
    ImmuneVisit,
    best_immune_response,
    immune_responses,
)
from kinetics.outcomes.lesion_size import SIZE, baseline_size
from kinetics.outcomes.recist import Assessment, Lesion, Response
from kinetics.outcomes.responses import check_by, first_infusions, rates_of
from kinetics.study import Study

__all__ = [
    "as_recist",
    "best_immune_responses",
    "immune_assessments_of",
    "immune_progression",
    "immune_response_rates",
]

RECORDED = "irecist"  # a reader's column of responses.csv
IMMUNE_RATES = {"orr": ("iCR", "iPR"), "dcr": ("iCR", "iPR", "iSD")}
PLAIN: dict[str, Response] = {"iCR": "CR", "iPR": "PR", "iSD": "SD", "NE": "NE"}
TARGETS = "targets"


def immune_assessments_of(study: Study) -> dict[str, list[ImmuneAssessment]]:
    """Every subject's assessments after the first infusion of cells by iRECIST; StudyError with every
    problem.
    """
    found: dict[str, list[ImmuneAssessment]] = {s: [] for s in study.subject_ids}
    table = study.responses
    problems = list[Problem]()
    recorded = RECORDED in table.columns
    if not recorded and not {SIZE, "new_lesions"} <= set(table.columns):
        remedy = f"record `{RECORDED}`, or `{SIZE}` and `new_lesions`, and declare the columns"
        raise StudyError(Problem("nothing to judge by iRECIST from", remedy, file="responses.csv"))
    for subject, start in first_infusions(study).items():
        own = table[table["subject"] == subject].sort_values("time", kind="stable")
        rows = [{str(k): v for k, v in r.items()} for r in own[own["time"] > start].to_dict("records")]
        if not rows:
            continue
        if recorded:
            found[subject] = _recorded(rows, subject, problems)
            continue
        first = baseline_size(study, DataFrame(own[own["time"] <= start]), subject)
        if isinstance(first, Problem):
            problems.append(first)
        else:
            found[subject] = _judged(rows, subject, start, first, problems)
    if problems:
        raise StudyError(problems)
    return found


def best_immune_responses(study: Study, *, by: str = "dose_level") -> DataFrame:
    """One row a subject, as `kinetics.outcomes.best_responses`: the best up to an iCPD, unconfirmed.

    subject; the column `by`; treated; response (iCR, iPR, iSD, iCPD, iUPD, NE, MISSING); day; progressed_on
    (day of the iUPD that an iCPD confirmed); assessments; why.
    """
    check_by(study, by)
    seen = immune_assessments_of(study)
    starts = first_infusions(study)
    rows = []
    for subject in study.subject_ids:
        own = seen[subject]
        start = starts.get(subject)
        best = best_immune_response(own, subject=subject, reference_day=start or 0.0)
        why = best.why if start is not None else "no infusion of cells"
        rows.append(
            {
                "subject": subject,
                by: study.subjects.loc[subject, by],
                "treated": start is not None,
                "response": best.response,
                "day": nan if best.day is None else best.day,
                "progressed_on": nan if best.progressed_on is None else best.progressed_on,
                "assessments": len(own),
                "why": why,
            }
        )
    return DataFrame(rows)


def immune_response_rates(study: Study, by: str = "dose_level") -> DataFrame:
    """iORR and iDCR of the treated, as `kinetics.outcomes.response_rates`."""
    return rates_of(best_immune_responses(study, by=by), by, IMMUNE_RATES)


def immune_progression(assessments: Sequence[ImmuneAssessment]) -> tuple[float, str] | None:
    """The day of progression and what makes it one; None where there is none."""
    standing: ImmuneAssessment | None = None
    for a in assessments:
        if a.response == "iCPD":
            day = a.progressed_on if a.progressed_on is not None else standing.day if standing else a.day
            return day, f"iUPD, confirmed by the iCPD of day {a.day:g}"
        if a.response == "iUPD":
            standing = standing or a
        elif a.response != "NE":
            standing = None
    if standing is None:
        return None
    last = "on the last scan" if standing is assessments[-1] else "and no later scan resets it"
    return standing.day, f"iUPD, unconfirmed {last}"


def as_recist(assessments: Sequence[ImmuneAssessment]) -> list[Assessment]:
    """The same scans with one PD, the progression; an iUPD that was reset is a scan without one (SD)."""
    end = immune_progression(assessments)
    found = []
    for a in assessments:
        if end is not None and a.day >= end[0]:
            return [*found, Assessment(end[0], "PD", end[1], a.sum_mm)]
        found.append(Assessment(a.day, PLAIN.get(a.response, "SD"), a.why, a.sum_mm))
    return found


# ---------------------------------------------------------------------------------------- what is read


def _recorded(
    rows: Sequence[dict[str, Any]], subject: str, problems: list[Problem]
) -> list[ImmuneAssessment]:
    """The reader's responses; a day without one is no assessment."""
    found: list[ImmuneAssessment] = []
    opened: float | None = None
    for row in rows:
        said = row[RECORDED]
        day = float(row["time"])
        if isna(said) or said == "":
            continue
        if said not in get_args(ImmuneResponse):
            remedy = f"write one of {', '.join(get_args(ImmuneResponse))}"
            problems.append(_problem(row, subject, f"day {day:g}: {said!r} is no response", remedy, RECORDED))
            continue
        if said == "iCPD" and opened is None:
            what = f"day {day:g}: an iCPD without an iUPD before it that stands"
            problems.append(_problem(row, subject, what, "record the iUPD that it confirms", RECORDED))
        if found and found[-1].day == day:
            problems.append(_problem(row, subject, f"day {day:g}: two responses on it", "keep one", RECORDED))
        if said == "iUPD":
            opened = day if opened is None else opened
        elif said not in ("iCPD", "NE"):
            opened = None
        response = cast(ImmuneResponse, said)
        since = opened if said in ("iUPD", "iCPD") else None
        found.append(ImmuneAssessment(day, response, "as recorded", progressed_on=since))
    return found


def _judged(
    rows: Sequence[dict[str, Any]], subject: str, start: float, first: float, problems: list[Problem]
) -> list[ImmuneAssessment]:
    """The responses that the measurements give."""
    visits = [ImmuneVisit(start, (Lesion(TARGETS, first),), "present")]
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
        judged = immune_responses(visits, subject=subject)
    except InputError as error:
        problems += error.problems
        return []
    whole = [row.get("overall") == "CR" for row in rows]
    return [_normal_nodes(a, said) for a, said in zip(judged, whole, strict=True)]


def _visit(row: dict[str, Any]) -> ImmuneVisit:
    """The sum of the new lesions stands in the first of their names; the others are there and not
    measured.
    """
    mm = row[SIZE]
    yes = int(row["new_lesions"] == "yes")
    count = max(int(row["new_lesion_count"]), yes) if _known(row, "new_lesion_count") else yes
    names = tuple(f"new {i}" for i in range(1, count + 1))
    sized = bool(names) and _known(row, "new_lesions_mm")
    return ImmuneVisit(
        float(row["time"]),
        (Lesion(TARGETS, None if isna(mm) else float(mm)),),
        _non_target(row),
        new_targets=(Lesion(names[0], float(row["new_lesions_mm"])),) if sized else (),
        new_non_targets=names[1:] if sized else names,
        evaluable=not isna(mm),
    )


def _non_target(row: dict[str, Any]) -> Any:
    return row["non_target"] if _known(row, "non_target") else "present"


def _known(row: dict[str, Any], column: str) -> bool:
    return column in row and not isna(row[column]) and row[column] != ""


def _explained(visits: Sequence[ImmuneVisit]) -> bool:
    """Whether the last visit progresses by its sum or a new lesion."""
    if visits[-1].new_targets or visits[-1].new_non_targets or visits[-1].targets[0].diameter_mm is None:
        return bool(visits[-1].new_targets or visits[-1].new_non_targets)
    return immune_responses(visits)[-1].response in ("iUPD", "iCPD")


def _normal_nodes(a: ImmuneAssessment, complete: bool) -> ImmuneAssessment:
    if not complete or a.response not in ("iPR", "iSD"):
        return a
    return ImmuneAssessment(a.day, "iCR", f"{a.why}; overall is CR: what is left are normal nodes", a.sum_mm)


def _problem(row: dict[str, Any], subject: str, what: str, remedy: str, column: str) -> Problem:
    number = int(row["row"]) if "row" in row else None
    return Problem(what, remedy, "responses.csv", number, subject, column)
