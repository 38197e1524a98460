"""CRS and ICANS grades from a table of raw signs, one row per subject and time, by `kinetics.outcomes.astct`.

Columns: subject, time [day], temperature [C], hypotension (yes, no), vasopressors (how many, vasopressin
not counted), oxygen (none, low_flow, blow_by, high_flow, face_mask, non_rebreather, venturi, cpap, bipap,
ventilation).

Optional columns: vasopressin, treated (antipyretic, tocilizumab or steroids by then), other_cause (no; yes:
of every sign of the row; crs, icans: of the signs of that one), sedated. Of ICANS: ice (0 to 10) or, below 12
years, capd (0 to 32, unable), consciousness (alert, spontaneous, voice, tactile, unarousable), seizure (none,
resolved, prolonged), motor_weakness, oedema (none, focal, diffuse), posturing (none, decorticate,
decerebrate), papilloedema, sixth_nerve_palsy, cushing_triad. Of the time before the cells, in every row of a
subject or in one: baseline_oxygen, baseline_ice, baseline_capd.

An empty cell is a sign that was not looked for: the grade has bounds then. A finding that has no column was
never there. ICANS is graded where the table has a column of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

from pandas import DataFrame, isna

from kinetics.errors import InputError, Problem, StudyError
from kinetics.outcomes.astct import RESOLVED_DAYS, SYSTEM, WORDS, Grade, Signs, crs_course, icans_course
from kinetics.study import Column, RawTable, Study, numbers, read_columns, subjects_of, times

__all__ = [
    "SignsTable",
    "astct_events",
    "astct_grades",
    "disagreements",
    "not_compared",
    "read_signs",
    "unproven",
]

NEEDED = ("subject", "time", "temperature", "hypotension", "vasopressors", "oxygen")
FINDINGS = (
    "seizure",
    "motor_weakness",
    "oedema",
    "posturing",
    "papilloedema",
    "sixth_nerve_palsy",
    "cushing_triad",
)
ICANS = ("ice", "capd", "consciousness", *FINDINGS)  # one of these, and ICANS is graded
BASELINES = ("baseline_oxygen", "baseline_ice", "baseline_capd")
OPTIONAL = ("vasopressin", "treated", "other_cause", "sedated", *ICANS, *BASELINES)
YES_NO = (
    "hypotension",
    "vasopressin",
    "treated",
    "sedated",
    "motor_weakness",
    "papilloedema",
    "sixth_nerve_palsy",
    "cushing_triad",
)
SCORES = {"ice": 10, "baseline_ice": 10, "capd": 32, "baseline_capd": 32}  # column -> the most of it
CAUSES = {"yes": True, "no": False, "crs": "crs", "icans": "icans"}
EVENTS = ("crs", "icans")
EVENT_COLUMNS = [
    "subject",
    "time",
    "event",
    "grade",
    "at_least",
    "at_most",
    "grading_system",
    "begins",
]
FATAL = 5  # death, an investigator's judgement


@dataclass(frozen=True, eq=False)
class SignsTable:
    """The signs of a table: subject -> its signs in order of time; and the columns that the table has."""

    by_subject: dict[str, list[Signs]]
    columns: tuple[str, ...]

    @property
    def has_icans(self) -> bool:
        """Whether the table has a column of ICANS."""
        return any(name in self.columns for name in ICANS)

    @property
    def never_there(self) -> list[str]:
        """The findings that have no column and so count as never there."""
        names = ["vasopressin"]
        if self.has_icans:
            names += FINDINGS
        return [name for name in names if name not in self.columns]


def read_signs(path: str | Path) -> SignsTable:
    """Read a table of raw signs.

    StudyError lists every problem of the file.
    """
    raw, whole = read_columns(path, NEEDED, OPTIONAL, "a CSV of raw signs")
    columns = _columns(raw) if whole else {}
    if raw.problems:
        raise StudyError(raw.problems)
    by_subject: dict[str, list[Signs]] = {}
    rows = range(len(columns["day"]))
    for place in sorted(rows, key=lambda i: (columns["subject"][i], columns["day"][i])):
        row = {name: values[place] for name, values in columns.items()}
        subject = str(row.pop("subject"))
        by_subject.setdefault(subject, []).append(Signs(**row))
    return SignsTable(by_subject, tuple(raw.columns))


def astct_grades(
    signs: SignsTable,
    *,
    icans: bool | None = None,
    resolved_days: float = RESOLVED_DAYS,
    first_infusions: dict[str, float] | None = None,
) -> DataFrame:
    """The grades at each time: one row per subject and time.

    Columns: subject, time [day], crs (NaN where a missing sign leaves it open), crs_at_least, crs_at_most,
    crs_episode (from 1; 0 for none), crs_why; with `icans`, which is so where the table has a column of it,
    the same of icans. `resolved_days`: after so many days without a sign an episode is over.
    `first_infusions`: subject -> day; what was before is none of either. StudyError lists every sign that
    cannot be, by subject.
    """
    courses = {"crs": crs_course}
    if signs.has_icans if icans is None else icans:
        courses["icans"] = icans_course
    rows = []
    problems = list[Problem]()
    for subject, course in signs.by_subject.items():
        start = None if first_infusions is None else first_infusions.get(subject)
        try:
            graded = {
                event: grades(course, resolved_days=resolved_days, first_infusion=start)
                for event, grades in courses.items()
            }
        except InputError as error:
            problems += [Problem(p.what, p.remedy, subject=subject) for p in error.problems]
            continue
        for i, s in enumerate(course):
            row: dict[str, Any] = {"subject": subject, "time": s.day}
            for event, grades in graded.items():
                row |= _grade_columns(event, grades[i])
            rows.append(row)
    if problems:
        raise StudyError(problems)
    return DataFrame(rows)


def _grade_columns(event: str, grade: Grade) -> dict[str, Any]:
    """The columns of one grade."""
    return {
        event: nan if grade.grade is None else float(grade.grade),
        f"{event}_at_least": grade.at_least,
        f"{event}_at_most": grade.at_most,
        f"{event}_episode": grade.episode,
        f"{event}_why": grade.why,
    }


def astct_events(grades: DataFrame) -> DataFrame:
    """Rows for events.csv, one for each episode of a subject and toxicity.

    Columns: subject; time [day] (of the worst grade, its first); event; grade (the worst that the signs
    prove, NaN where they prove none); at_least (whether a missing sign could make it worse); at_most (how
    bad); grading_system; begins (the first day of the episode). `grades` comes from `astct_grades`.
    """
    rows = []
    for event in [event for event in EVENTS if event in grades]:
        least = f"{event}_at_least"
        most = f"{event}_at_most"
        episodes = grades[grades[f"{event}_episode"] > 0]
        for (subject, _), graded in episodes.groupby(["subject", f"{event}_episode"], sort=False):
            worst = graded.sort_values([least, most], ascending=False, kind="stable").iloc[0]
            proven = graded[graded[least] > 0]
            grade = int(worst[least])
            rows.append(
                {
                    "subject": subject,
                    "time": float(worst["time"]),
                    "event": event,
                    "grade": float(grade) if grade else nan,
                    "at_least": bool(graded[most].max() > grade),
                    "at_most": int(graded[most].max()),
                    "grading_system": SYSTEM,
                    "begins": float((proven if len(proven) else graded)["time"].min()),
                }
            )
    events = DataFrame(rows, columns=EVENT_COLUMNS)
    return events.sort_values(["subject", "event", "begins"]).reset_index(drop=True)


def unproven(events: DataFrame) -> DataFrame:
    """The events of which the signs neither prove nor exclude any grade: subject, event, time, at_most."""
    return events[events["grade"].isna()][["subject", "event", "time", "at_most"]].reset_index(drop=True)


def disagreements(grades: DataFrame, study: Study) -> DataFrame:
    """Subjects whose worst recorded ASTCT grade is not one that the signs allow.

    Columns: subject, event, recorded (0 for none), by_signs (the worst grade that the signs prove, 0 for
    none), at_most (the worst that they allow). A recorded grade 5 is death, which signs do not tell: it
    disagrees only where they exclude the toxicity. Subjects of `not_compared` are left out. StudyError where
    a subject of `grades` is not in the study.
    """
    _check_subjects(grades, study)
    compared = []
    for event, subject, recorded, scales in _recorded_grades(grades, study):
        graded = grades[grades["subject"] == subject]
        if graded.empty or (isna(recorded) and scales):
            continue
        worst = 0 if isna(recorded) else int(recorded)
        by_signs = int(graded[f"{event}_at_least"].max())
        at_most = int(graded[f"{event}_at_most"].max())
        agrees = at_most > 0 if worst == FATAL else by_signs <= worst <= at_most
        if not agrees:
            compared.append((subject, event, worst, by_signs, at_most))
    return DataFrame(compared, columns=["subject", "event", "recorded", "by_signs", "at_most"])


def not_compared(grades: DataFrame, study: Study) -> DataFrame:
    """Recorded toxicities without signs, or without an ASTCT grade. Columns: subject, event, why."""
    _check_subjects(grades, study)
    rows = []
    for event, subject, recorded, scales in _recorded_grades(grades, study):
        has_signs = (grades["subject"] == subject).any()
        if not isna(recorded) and not has_signs:
            rows.append(
                (subject, event, f"grade {recorded:g} is recorded; the table has no signs of the subject")
            )
        elif isna(recorded) and scales:
            rows.append((subject, event, f"recorded without an ASTCT grade: {', '.join(scales)}"))
    return DataFrame(rows, columns=["subject", "event", "why"])


def _recorded_grades(grades: DataFrame, study: Study) -> list[tuple[str, str, float, list[str]]]:
    """Event, subject, worst recorded ASTCT grade (NaN for none) and the other scales it is recorded on."""
    recorded = []
    for subject in study.subject_ids:
        for event in [event for event in EVENTS if event in grades]:
            rows = study.events[(study.events["subject"] == subject) & (study.events["event"] == event)]
            graded = rows[(rows["grading_system"] == SYSTEM) & rows["grade"].notna()]
            others = rows[~rows.index.isin(graded.index)]["grading_system"]
            scales = sorted({str(scale) or "no scale" for scale in others})
            recorded.append((event, subject, float(graded["grade"].max()), scales))
    return recorded


def _check_subjects(grades: DataFrame, study: Study) -> None:
    """Raise StudyError where a subject of the signs is not in the study."""
    strange = sorted(set(grades["subject"]) - set(study.subject_ids))
    if strange:
        raise StudyError(Problem("no such subject in the study", "correct it", subject=s) for s in strange)


# ------------------------------------------------------------------------------------------- the columns


def _columns(raw: RawTable) -> dict[str, Sequence[Any]]:
    """The fields of `Signs`: name -> one value per row."""
    days = times(raw, "time", Column(unit="day"), "signs")
    subjects = subjects_of(raw)
    repeated = DataFrame({"subject": subjects, "day": days}).duplicated() & days.notna()
    raw.flag(repeated, "time", "a second row of this subject and time", "keep one row for each time")
    columns: dict[str, Sequence[Any]] = {
        "subject": subjects.tolist(),
        "day": days.tolist(),
        "temperature": [None if t != t else t for t in numbers(raw, "temperature", required=False)],
        "vasopressors": _counts(raw, "vasopressors", None, "not a number of vasopressors"),
    }
    for name in YES_NO:
        if name in raw:
            words = _words(raw, name, ("yes", "no"))
            columns[name] = [None if word is None else word == "yes" for word in words]
    for name, allowed in WORDS.items():
        if name in raw:
            columns[name] = _words(raw, name, allowed)
    for name, most in SCORES.items():
        if name in raw:
            columns[name] = _counts(raw, name, most, f"not a {name.removeprefix('baseline_').upper()} score")
    if "other_cause" in raw:
        causes = _words(raw, "other_cause", tuple(CAUSES))
        columns["other_cause"] = [False if cause is None else CAUSES[cause] for cause in causes]
    if "consciousness" not in raw:
        columns["consciousness"] = _awake(columns)
    for name in BASELINES:
        if name in raw:
            columns[name] = _baseline(raw, name, columns["subject"], columns[name])
    if "ice" in raw and "capd" in raw:
        both = ~raw.missing("ice") & ~raw.missing("capd")
        raw.flag(both, "capd", "beside an ICE score", "give one: ICE from 12 years of age, CAPD below")
    return columns


def _words(raw: RawTable, name: str, allowed: Sequence[str]) -> list[str | None]:
    """A column of words, None where the cell is empty or its word, which is reported, is not allowed."""
    words = raw.words(name)
    bad = ~words.isin(["", *allowed])
    remedy = f"write {' or '.join(allowed)}" if len(allowed) == 2 else f"write one of {', '.join(allowed)}"
    what = "neither yes nor no" if tuple(allowed) == ("yes", "no") else "not known"
    raw.flag(bad, name, what, f"{remedy}; leave it empty where it was not looked for")
    return [word if word in allowed else None for word in words]


def _counts(raw: RawTable, name: str, most: int | None, what: str) -> list[Any]:
    """A column of whole numbers from 0, None where the cell is empty; CAPD may also be `unable`."""
    unable = raw.words(name) == "unable"
    if name != "capd":
        unable &= False
    values = numbers(_without(raw, name, unable), name, required=False)
    bad = values.notna() & ((values % 1 != 0) | (values < 0))
    if most is not None:
        bad |= values > most
    limit = "up" if most is None else f"to {most}"
    raw.flag(bad, name, what, f"write a whole number from 0 {limit}, nothing where it was not looked for")
    return [
        "unable" if is_unable else (None if isna(value) or is_bad else int(value))
        for value, is_bad, is_unable in zip(values, bad, unable, strict=True)
    ]


def _without(raw: RawTable, name: str, rows: Any) -> RawTable:
    """The table with empty cells of a column in these rows; it reports to the same list."""
    frame = raw.frame.copy()
    frame[name] = frame[name].mask(rows, "")
    return replace(raw, frame=frame)


def _awake(columns: dict[str, Sequence[Any]]) -> list[str | None]:
    """Consciousness where it has no column: who answers a question of ICE, or has a CAPD, is awake."""
    rows = len(columns["day"])
    ice = columns.get("ice", [None] * rows)
    capd = columns.get("capd", [None] * rows)
    awake = []
    for score, child_score in zip(ice, capd, strict=True):
        answers = bool(score) or (child_score is not None and child_score != "unable")
        awake.append("alert" if answers else None)
    return awake


def _baseline(raw: RawTable, name: str, subjects: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """One value for all rows of a subject; two different ones are reported."""
    by_subject: dict[Any, Any] = {}
    rows = zip(raw.frame.index, subjects, values, strict=True)
    for row, subject, value in rows:
        if value is None:
            continue
        first = by_subject.setdefault(subject, value)
        if value != first:
            what = f"another value than {first} in a row before"
            raw.report(what, "a subject has one baseline: write it alike", row=int(row), column=name)
    return [by_subject.get(subject) for subject in subjects]
