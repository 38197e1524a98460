"""A table of lesion measurements as responses by RECIST 1.1 and iRECIST: one row a lesion and visit in.

Columns: subject, time [day], lesion (a name), kind (target, non_target, new), diameter_mm (the longest, of a
node the short axis; 0 where gone, empty where not measured), state (of a non-target lesion: absent, present,
unequivocal_progression, not_evaluated); if there are any: node (yes, no), larger (yes: a lesion that is not
measured grew since the visit before). The first visit of a subject is its baseline. A visit lists every
target; a subject without non-target lesions has none.
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
from kinetics.outcomes.irecist import ImmuneVisit, best_immune_response, immune_responses
from kinetics.outcomes.recist import (
    Assessment,
    Lesion,
    NonTarget,
    Visit,
    best_response,
    overall_responses,
    sum_of_diameters,
)
from kinetics.study import RawTable, Study, numbers, read_columns, subjects_of

__all__ = ["LesionResponses", "lesion_responses", "other_than_recorded", "read_lesions"]

NEEDED = ("subject", "time", "lesion", "kind", "diameter_mm", "state")
OPTIONAL = ("node", "larger")
KINDS = ("target", "non_target", "new")
Visits = dict[str, list[ImmuneVisit]]


@dataclass(frozen=True, eq=False)
class LesionResponses:
    """`visits`: subject, time, sum_mm, new_lesions, overall, irecist, why, irecist_why, a row a visit after
    baseline.

    `best`: subject, unconfirmed, confirmed, irecist and why, a row a subject; days to a stable disease are
    counted from `reference_day`.
    """

    visits: DataFrame
    best: DataFrame


def read_lesions(path: str | Path) -> Visits:
    """Every subject's visits in order of time, the baseline first; StudyError with every problem of the
    file.
    """
    raw, whole = read_columns(path, NEEDED, OPTIONAL, "a CSV of lesion measurements")
    rows = _rows(raw) if whole else []
    if raw.problems:
        raise StudyError(raw.problems)
    found: Visits = {}
    for (subject, day), own in groupby(rows, key=lambda r: (r["subject"], r["time"])):
        found.setdefault(subject, []).append(_visit(day, list(own)))
    return found


def lesion_responses(visits: Visits, *, reference_day: float | dict[str, float] = 0.0) -> LesionResponses:
    """Every visit's response and every subject's best; StudyError with everything that keeps one from being
    read.

    `reference_day`: the first infusion of cells, of all subjects or by subject.
    """
    rows = []
    best = []
    problems = list[Problem]()
    for subject, own in visits.items():
        try:
            plain = overall_responses([_plain(v) for v in own], subject=subject)
            immune = immune_responses(own, subject=subject)
        except InputError as error:
            problems += error.problems
            continue
        day = reference_day.get(subject, 0.0) if isinstance(reference_day, dict) else reference_day
        for visit, a, i in zip(own[1:], plain, immune, strict=True):
            mm = sum_of_diameters(_plain(visit))
            rows.append(
                {
                    "subject": subject,
                    "time": visit.day,
                    "sum_mm": nan if mm is None else mm,
                    "new_lesions": "yes" if _new(visit) else "no",
                    "overall": a.response,
                    "irecist": i.response,
                    "why": a.why,
                    "irecist_why": i.why,
                }
            )
        best.append(
            {"subject": subject}
            | _best(plain, subject, day)
            | {
                "irecist": best_immune_response(immune, subject=subject, reference_day=day).response,
            }
        )
    if problems:
        raise StudyError(problems)
    return LesionResponses(DataFrame(rows, columns=_VISIT), DataFrame(best, columns=_BEST))


def other_than_recorded(visits: DataFrame, study: Study, *, within_days: float = 1.0) -> DataFrame:
    """Scans whose recorded `overall` is another: subject, time, recorded ("" where none), by_lesions."""
    table = study.responses
    rows = []
    if "overall" not in table.columns:
        raise StudyError(
            Problem("no column 'overall'", "record it, or leave --study out", file="responses.csv")
        )
    for row in visits.to_dict("records"):
        own = table[
            (table["subject"] == row["subject"]) & ((table["time"] - row["time"]).abs() <= within_days)
        ]
        said = "" if own.empty else str(own["overall"].iloc[0])
        if said != row["overall"]:
            rows.append(
                {k: row[k] for k in ("subject", "time")} | {"recorded": said, "by_lesions": row["overall"]}
            )
    return DataFrame(rows, columns=["subject", "time", "recorded", "by_lesions"])


_VISIT = ["subject", "time", "sum_mm", "new_lesions", "overall", "irecist", "why", "irecist_why"]
_BEST = ["subject", "unconfirmed", "confirmed", "irecist", "why"]


def _best(plain: Sequence[Assessment], subject: str, day: float) -> dict[str, str]:
    either, both = (
        best_response(plain, confirmed=c, subject=subject, reference_day=day) for c in (False, True)
    )
    return {"unconfirmed": either.response, "confirmed": both.response, "why": both.why}


def _visit(day: float, rows: Sequence[dict[str, Any]]) -> ImmuneVisit:
    """One visit of its lesions' rows."""
    of = {kind: [r for r in rows if r["kind"] == kind] for kind in KINDS}
    targets = tuple(Lesion(r["lesion"], r["mm"], r["node"]) for r in of["target"])
    sized = tuple(Lesion(r["lesion"], r["mm"]) for r in of["new"] if r["mm"] is not None)
    unsized = [r for r in of["new"] if r["mm"] is None]
    return ImmuneVisit(
        day,
        targets,
        _together([r["state"] for r in of["non_target"]]),
        non_target_larger=any(r["larger"] for r in of["non_target"]),
        new_targets=sized,
        new_non_targets=tuple(r["lesion"] for r in unsized),
        new_non_targets_growth="larger" if any(r["larger"] for r in unsized) else "none",
        evaluable=any(t.diameter_mm is not None for t in targets),
    )


def _together(states: Iterable[str]) -> Any:
    """The state of all non-target lesions: the worst that was seen, absent only where each is (RECIST
    4.3.2).
    """
    seen = set(states)
    for state in ("unequivocal_progression", "present", "not_evaluated"):
        if state in seen:
            return state
    return "absent"


def _plain(v: ImmuneVisit) -> Visit:
    return Visit(v.day, v.targets, v.non_target, new_lesion=_new(v), evaluable=v.evaluable)


def _new(v: ImmuneVisit) -> bool:
    return bool(v.new_non_targets) or any(t.diameter_mm for t in v.new_targets)


def _rows(raw: RawTable) -> list[dict[str, Any]]:
    """The rows, by subject and time."""
    kind = raw.words("kind")
    state = raw.words("state")
    raw.flag(~kind.isin(list(KINDS)), "kind", "not known", f"write one of {', '.join(KINDS)}")
    known = get_args(NonTarget)
    bad = (kind == "non_target") & ~state.isin(list(known))
    raw.flag(bad, "state", "not known", f"write one of {', '.join(known)}")
    mm = numbers(raw, "diameter_mm", required=False)
    raw.flag(mm < 0, "diameter_mm", "below 0", "write mm, 0 where the lesion is gone")
    raw.flag(
        raw.missing("lesion"),
        "lesion",
        "the lesion has no name",
        "write one, the same at every visit",
    )
    for name in (c for c in OPTIONAL if c in raw):
        words = raw.words(name, "no")
        raw.flag(~words.isin(["yes", "no"]), name, "neither yes nor no", "write yes or no")
    columns = {
        "subject": subjects_of(raw),
        "time": numbers(raw, "time"),
        "kind": kind,
        "state": state,
        "lesion": raw.words("lesion"),
        "mm": mm.astype(object).where(mm.notna(), None),
        "node": raw.words("node", "no") == "yes",
        "larger": raw.words("larger", "no") == "yes",
    }
    table = DataFrame(columns).sort_values(["subject", "time"], kind="stable")
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
