"""A table of raw signs as ASTCT grades: one row a subject and time in, grades, episodes and events.csv rows out.

Columns of the table: subject, time [day], temperature [C], hypotension (yes, no), vasopressors (how many, vasopressin
not counted), oxygen (none, low_flow, blow_by, high_flow, face_mask, non_rebreather, venturi, cpap, bipap, ventilation);
if there are any: vasopressin, treated (antipyretic, tocilizumab or steroids by then), other_cause, motor_weakness (yes,
no), ice (0 to 10), consciousness (alert, spontaneous, voice, tactile, unarousable), seizure (none, resolved,
prolonged), oedema (none, focal, diffuse). ICANS is graded where a column `ice` is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

from pandas import DataFrame

from kinetics.astct import SYSTEM, WORDS, Grade, Signs, crs_course, icans_grade
from kinetics.errors import InputError, Problem, StudyError
from kinetics.parse import flag, integers, numbers, read_columns, subjects_of
from kinetics.study import Study
from kinetics.tables import RawTable

__all__ = ["astct_events", "astct_grades", "disagreements", "read_signs"]

NEEDED = ("subject", "time", "temperature", "hypotension", "vasopressors", "oxygen")
YES_NO = ("hypotension", "vasopressin", "treated", "other_cause", "motor_weakness")
OPTIONAL = tuple(c for c in (*YES_NO, *WORDS, "ice") if c not in NEEDED)


def read_signs(path: str | Path) -> dict[str, list[Signs]]:
    """Every subject's signs in order of time; StudyError with every problem of the file."""
    raw, problems, whole = read_columns(path, NEEDED, OPTIONAL, "a CSV of raw signs")
    columns = _columns(raw, problems) if whole else {}
    if problems:
        raise StudyError(problems)
    found: dict[str, list[Signs]] = {}
    for place in sorted(range(len(columns["day"])), key=lambda i: (columns["subject"][i], columns["day"][i])):
        row = {k: v[place] for k, v in columns.items()}
        found.setdefault(str(row.pop("subject")), []).append(Signs(**row))
    return found


def astct_grades(signs: dict[str, list[Signs]], *, icans: bool) -> DataFrame:
    """One row a subject and time: subject, time, crs, crs_why, and icans, icans_why where asked for; NaN: not known."""
    rows, problems = [], list[Problem]()
    for subject, own in signs.items():
        try:
            crs = crs_course(own)
            also = [icans_grade(s) for s in own] if icans else []
        except InputError as error:
            problems += [Problem(p.what, p.remedy, subject=subject) for p in error.problems]
            continue
        for i, c in enumerate(crs):
            row = {"subject": subject, "time": c.day, "crs": _number(c), "crs_why": c.why}
            rows.append(row | ({"icans": _number(also[i]), "icans_why": also[i].why} if icans else {}))
    if problems:
        raise StudyError(problems)
    return DataFrame(rows)


def astct_events(grades: DataFrame) -> DataFrame:
    """Rows for events.csv: subject, time (of the worst grade, the first), event, grade, grading_system, begins.

    One row a subject and toxicity that it had at all. `begins`: the day of the first grade above 0.
    """
    rows = []
    for event in [c for c in ("crs", "icans") if c in grades]:
        for subject, own in grades[grades[event] > 0].groupby("subject", sort=False):
            worst = own.sort_values(event, ascending=False, kind="stable").to_dict("records")[0]
            rows.append({
                "subject": subject, "time": worst["time"], "event": event, "grade": int(worst[event]),
                "grading_system": SYSTEM, "begins": float(own["time"].min()),
            })  # fmt: skip
    columns = ["subject", "time", "event", "grade", "grading_system", "begins"]
    return DataFrame(rows, columns=columns).sort_values(["subject", "event"]).reset_index(drop=True)


def disagreements(events: DataFrame, study: Study, *, icans: bool) -> DataFrame:
    """Where a study's worst recorded ASTCT grades differ from those of the signs: subject, event, recorded, by_signs.

    StudyError where a subject of the signs is none of the study.
    """
    strange = sorted(set(events["subject"]) - set(study.subject_ids))
    if strange:
        raise StudyError(Problem("no such subject in the study", "correct it", subject=s) for s in strange)
    rows, own = [], study.events[study.events["grading_system"] == SYSTEM]
    for subject in study.subject_ids:
        for event in ("crs", "icans") if icans else ("crs",):
            recorded = own[(own["subject"] == subject) & (own["event"] == event)]["grade"].max()
            signs = events[(events["subject"] == subject) & (events["event"] == event)]["grade"].max()
            pair = [0 if grade != grade else int(grade) for grade in (recorded, signs)]
            if pair[0] != pair[1]:
                rows.append({"subject": subject, "event": event, "recorded": pair[0], "by_signs": pair[1]})
    return DataFrame(rows, columns=["subject", "event", "recorded", "by_signs"])


def _columns(raw: RawTable, problems: list[Problem]) -> dict[str, Sequence[Any]]:
    """The fields of Signs, a value a row."""
    columns: dict[str, Sequence[Any]] = {
        "subject": subjects_of(raw, problems).tolist(),
        "day": numbers(raw, "time", problems).tolist(),
        "temperature": [None if t != t else t for t in numbers(raw, "temperature", problems, required=False)],
        "vasopressors": integers(raw, "vasopressors", problems, default=0).astype(int).tolist(),
    }
    for name in (c for c in YES_NO if c in raw):
        words = raw.words(name)
        flag(problems, raw, ~words.isin(["yes", "no"]), name, "neither yes nor no", "write yes or no")
        columns[name] = (words == "yes").tolist()
    for name, allowed in ((c, k) for c, k in WORDS.items() if c in raw):
        words = raw.words(name)
        flag(
            problems, raw, ~words.isin(list(allowed)), name, "not known", f"write one of {', '.join(allowed)}"
        )
        columns[name] = words.tolist()
    if "ice" in raw:
        scores = numbers(raw, "ice", problems, required=False)
        bad = scores.notna() & ((scores % 1 != 0) | (scores < 0) | (scores > 10))
        flag(problems, raw, bad, "ice", "not an ICE score", "write a whole number from 0 to 10")
        columns["ice"] = [None if x != x else int(x) for x in scores]
    return columns


def _number(grade: Grade) -> float:
    return nan if grade.grade is None else float(grade.grade)
