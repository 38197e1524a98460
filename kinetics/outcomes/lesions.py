"""Responses by RECIST 1.1 and iRECIST from a table of lesion measurements, one row per lesion and visit.

Columns: subject, time [day], lesion (a name), kind (target, non_target, new), diameter_mm (the longest
diameter, of a node the short axis; 0 where gone, empty where not measured), state (of a non-target lesion:
absent, present, unequivocal_progression, not_evaluated). Optional columns: node (yes, no), larger (yes: a
lesion that is not measured grew since the visit before).

The first visit of a subject is its baseline. A visit lists every target. A subject without rows of targets
has disease that cannot be measured; one without rows of non-target lesions has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan
from pathlib import Path
from typing import Any, get_args

from pandas import DataFrame

from kinetics.errors import InputError, Problem, StudyError
from kinetics.outcomes.irecist import ImmuneRules, ImmuneVisit, best_immune_response, immune_responses
from kinetics.outcomes.recist import (
    DiseaseAfterCr,
    Lesion,
    NonTarget,
    RecistRules,
    Visit,
    best_response,
    overall_responses,
    sum_of_diameters,
)
from kinetics.study import Column, RawTable, Study, numbers, read_columns, subjects_of, times

__all__ = ["LesionResponses", "lesion_responses", "other_than_recorded", "read_lesions"]

NEEDED = ("subject", "time", "lesion", "kind", "diameter_mm", "state")
OPTIONAL = ("node", "larger")
KINDS = ("target", "non_target", "new")
VISIT_COLUMNS = ["subject", "time", "sum_mm", "new_lesions", "overall", "irecist", "why", "irecist_why"]
BEST_COLUMNS = ["subject", "unconfirmed", "confirmed", "irecist", "why"]
Visits = dict[str, list[ImmuneVisit]]


@dataclass(frozen=True, eq=False)
class LesionResponses:
    """The responses of all visits and subjects.

    `visits` has one row per visit after baseline: subject, time [day], sum_mm, new_lesions, overall, irecist,
    why, irecist_why. `best` has one row per subject: subject, unconfirmed, confirmed, irecist, why; the days
    to a stable disease are counted from `reference_day`.
    """

    visits: DataFrame
    best: DataFrame


def read_lesions(path: str | Path) -> Visits:
    """Read a table of lesions: subject -> its visits in order of time, the baseline first.

    StudyError lists every problem of the file.
    """
    raw, whole = read_columns(path, NEEDED, OPTIONAL, "a CSV of lesion measurements")
    rows = _rows(raw) if whole else []
    if raw.problems:
        raise StudyError(raw.problems)
    visits: Visits = {}
    for (subject, day), lesions in groupby(rows, key=lambda r: (r["subject"], r["time"])):
        visits.setdefault(subject, []).append(_visit(day, list(lesions)))
    return visits


def lesion_responses(
    visits: Visits,
    *,
    reference_day: float | dict[str, float] = 0.0,
    disease_after_cr: DiseaseAfterCr = "pd",
) -> LesionResponses:
    """The response at every visit, and the best response of every subject.

    `reference_day` is the day of the first infusion of cells, of all subjects or by subject.
    `disease_after_cr`: whether disease that is back after a CR is PD ("pd"), PD after a confirmed CR only
    ("pd_if_confirmed") or judged by its size ("as_measured"). StudyError lists everything that keeps a visit
    from being judged.
    """
    rules = RecistRules(disease_after_cr=disease_after_cr)
    rows = []
    best = []
    problems = list[Problem]()
    for subject, course in visits.items():
        try:
            by_recist = overall_responses([_plain(visit) for visit in course], subject=subject, rules=rules)
            by_irecist = immune_responses(course, subject=subject, rules=ImmuneRules(rules))
        except InputError as error:
            problems += error.problems
            continue
        for visit, assessment, immune in zip(course[1:], by_recist, by_irecist, strict=True):
            mm = sum_of_diameters(_plain(visit))
            rows.append(
                {
                    "subject": subject,
                    "time": visit.day,
                    "sum_mm": nan if mm is None else mm,
                    "new_lesions": "yes" if _has_new_lesion(visit) else "no",
                    "overall": assessment.response,
                    "irecist": immune.response,
                    "why": assessment.why,
                    "irecist_why": immune.why,
                }
            )
        day = reference_day.get(subject, 0.0) if isinstance(reference_day, dict) else reference_day
        unconfirmed = best_response(
            by_recist, confirmed=False, subject=subject, reference_day=day, rules=rules
        )
        confirmed = best_response(by_recist, confirmed=True, subject=subject, reference_day=day, rules=rules)
        best_immune = best_immune_response(by_irecist, subject=subject, reference_day=day)
        best.append(
            {
                "subject": subject,
                "unconfirmed": unconfirmed.response,
                "confirmed": confirmed.response,
                "why": confirmed.why,
                "irecist": best_immune.response,
            }
        )
    if problems:
        raise StudyError(problems)
    return LesionResponses(DataFrame(rows, columns=VISIT_COLUMNS), DataFrame(best, columns=BEST_COLUMNS))


def other_than_recorded(visits: DataFrame, study: Study, *, within_days: float = 1.0) -> DataFrame:
    """Visits whose recorded `overall` differs: subject, time, recorded ("" where none is), by_lesions.

    `visits` is that table of `LesionResponses`; a response recorded within `within_days` of a visit is that
    visit's. StudyError where the study records no `overall`.
    """
    table = study.responses
    if "overall" not in table.columns:
        what = "no column 'overall'"
        raise StudyError(Problem(what, "record it, or leave --study out", file="responses.csv"))
    rows = []
    for row in visits.to_dict("records"):
        near = (table["time"] - row["time"]).abs() <= within_days
        matches = table[(table["subject"] == row["subject"]) & near]
        recorded = "" if matches.empty else str(matches["overall"].iloc[0])
        if recorded != row["overall"]:
            rows.append(
                {
                    "subject": row["subject"],
                    "time": row["time"],
                    "recorded": recorded,
                    "by_lesions": row["overall"],
                }
            )
    return DataFrame(rows, columns=["subject", "time", "recorded", "by_lesions"])


def _visit(day: float, rows: Sequence[dict[str, Any]]) -> ImmuneVisit:
    """One visit from the rows of its lesions."""
    targets = tuple(Lesion(r["lesion"], r["mm"], r["node"]) for r in rows if r["kind"] == "target")
    non_targets = [r for r in rows if r["kind"] == "non_target"]
    new = [r for r in rows if r["kind"] == "new"]
    unmeasured = [r for r in new if r["mm"] is None]
    return ImmuneVisit(
        day,
        targets,
        _worst_state([r["state"] for r in non_targets]),
        non_target_larger=any(r["larger"] for r in non_targets),
        new_targets=tuple(Lesion(r["lesion"], r["mm"]) for r in new if r["mm"] is not None),
        new_non_targets=tuple(r["lesion"] for r in unmeasured),
        new_non_targets_growth="larger" if any(r["larger"] for r in unmeasured) else "none",
        evaluable=not targets or any(t.diameter_mm is not None for t in targets),
    )


def _worst_state(states: Iterable[str]) -> Any:
    """The state of all non-target lesions: the worst of them, absent only where each is (RECIST 4.3.2)."""
    present = set(states)
    for state in ("unequivocal_progression", "present", "not_evaluated"):
        if state in present:
            return state
    return "absent"


def _plain(visit: ImmuneVisit) -> Visit:
    """A visit for RECIST 1.1."""
    return Visit(
        visit.day,
        visit.targets,
        visit.non_target,
        new_lesion=_has_new_lesion(visit),
        evaluable=visit.evaluable,
    )


def _has_new_lesion(visit: ImmuneVisit) -> bool:
    return bool(visit.new_non_targets) or any(t.diameter_mm for t in visit.new_targets)


def _rows(raw: RawTable) -> list[dict[str, Any]]:
    """The rows of the table in order of subject and time, as typed values."""
    kind = raw.words("kind")
    state = raw.words("state")
    raw.flag(~kind.isin(list(KINDS)), "kind", "not known", f"write one of {', '.join(KINDS)}")
    states = get_args(NonTarget)
    bad = (kind == "non_target") & ~state.isin(list(states))
    raw.flag(bad, "state", "not known", f"write one of {', '.join(states)}")
    mm = numbers(raw, "diameter_mm", required=False)
    raw.flag(mm < 0, "diameter_mm", "below 0", "write mm, 0 where the lesion is gone")
    raw.flag(
        raw.missing("lesion"),
        "lesion",
        "the lesion has no name",
        "write one, the same at every visit",
    )
    for name in OPTIONAL:
        if name not in raw:
            continue
        words = raw.words(name, "no")
        raw.flag(~words.isin(["yes", "no"]), name, "neither yes nor no", "write yes or no")
    columns = {
        "subject": subjects_of(raw),
        "time": times(raw, "time", Column(unit="day"), "lesions"),
        "kind": kind,
        "state": state,
        "lesion": raw.words("lesion"),
        "mm": mm.astype(object).where(mm.notna(), None),
        "node": raw.words("node", "no") == "yes",
        "larger": raw.words("larger", "no") == "yes",
    }
    twice = DataFrame(columns).duplicated(["subject", "time", "lesion"]) & ~raw.missing("lesion")
    raw.flag(twice, "lesion", "a second row of this lesion at this visit", "keep one of them")
    table = DataFrame(columns).sort_values(["subject", "time"], kind="stable")
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
