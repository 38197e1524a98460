"""CRS and ICANS grades by the ASTCT consensus, from raw signs.

Source: Lee 2019, Biol Blood Marrow Transplant 25:625. The grading table was read as PMC9327779 Table 2 and
PMC8021214 Table 1 give it, not in the paper itself.

CRS: fever of 38.0 C or more that nothing else explains, and the worse of hypotension and hypoxia. Once CRS
has begun and antipyretics, tocilizumab or steroids were given, fever is no longer needed. ICANS, adults: the
worst of the ICE score, consciousness, seizures, motor weakness and oedema. Grade 5 (death) is an
investigator's judgement and is not derived from signs. Grades of other scales (CTCAE, Lee 2014, Penn) are not
converted to or from these.

A file of raw signs has one row per subject and time. Columns: subject, time [day], temperature [C],
hypotension (yes, no), vasopressors (how many, vasopressin not counted), oxygen (none, low_flow, blow_by,
high_flow, face_mask, non_rebreather, venturi, cpap, bipap, ventilation). Optional columns: vasopressin,
treated (antipyretic, tocilizumab or steroids by then), other_cause, motor_weakness (yes, no), ice (0 to 10),
consciousness (alert, spontaneous, voice, tactile, unarousable), seizure (none, resolved, prolonged), oedema
(none, focal, diffuse). ICANS is graded where there is a column `ice`. The result is a grade at each time, and
one row for events.csv for each subject and toxicity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Literal, get_args

from pandas import DataFrame, isna

from kinetics.errors import InputError, Problem, StudyError
from kinetics.study import Column, RawTable, Study, integers, numbers, read_columns, subjects_of, times

__all__ = [
    "SYSTEM",
    "WORDS",
    "Grade",
    "Signs",
    "astct_events",
    "astct_grades",
    "crs_course",
    "disagreements",
    "icans_grade",
    "read_signs",
]

SYSTEM = "astct_2019"
FEVER = 38.0  # degrees Celsius, PMC9327779 Table 2

Oxygen = Literal[
    "none",
    "low_flow",
    "blow_by",
    "high_flow",
    "face_mask",
    "non_rebreather",
    "venturi",
    "cpap",
    "bipap",
    "ventilation",
]
Consciousness = Literal["alert", "spontaneous", "voice", "tactile", "unarousable"]
Seizure = Literal["none", "resolved", "prolonged"]
Oedema = Literal["none", "focal", "diffuse"]

WORDS: dict[str, tuple[str, ...]] = {
    "oxygen": get_args(Oxygen),
    "consciousness": get_args(Consciousness),
    "seizure": get_args(Seizure),
    "oedema": get_args(Oedema),
}
HYPOXIA: dict[str, int] = dict.fromkeys(get_args(Oxygen), 3) | {  # PMC9327779 Table 2
    "none": 0,
    "low_flow": 2,
    "blow_by": 2,
    "cpap": 4,
    "bipap": 4,
    "ventilation": 4,
}
AWAKENS = {"alert": 0, "spontaneous": 1, "voice": 2, "tactile": 3, "unarousable": 4}  # PMC9327779 Table 2
SEIZURES = {"none": 0, "resolved": 3, "prolonged": 4}  # PMC9327779 Table 2; prolonged: above 5 minutes
OEDEMA = {"none": 0, "focal": 3, "diffuse": 4}  # PMC9327779 Table 2


@dataclass(frozen=True)
class Signs:
    """The signs of one subject at one time; `day` is a day of the study. None: not measured.

    `temperature` is in degrees Celsius. `vasopressors` does not count vasopressin. `treated`: an antipyretic,
    tocilizumab or steroids were given by then. `other_cause`: something else explains the fever. `ice`: 0 to
    10.
    """

    day: float
    temperature: float | None
    hypotension: bool = False
    vasopressors: int = 0
    vasopressin: bool = False
    oxygen: Oxygen = "none"
    treated: bool = False
    other_cause: bool = False
    ice: int | None = None
    consciousness: Consciousness = "alert"
    seizure: Seizure = "none"
    motor_weakness: bool = False
    oedema: Oedema = "none"


@dataclass(frozen=True)
class Grade:
    """A grade, 0 for none, and the reason for it. `grade` is None where the signs do not tell it."""

    day: float
    grade: int | None
    why: str


def crs_course(signs: Sequence[Signs]) -> list[Grade]:
    """The CRS grade at each time of one subject, whose `signs` are in order of time.

    InputError lists every sign that cannot be.
    """
    _check(signs)
    began = False
    treated = False
    grades = []
    for s in signs:
        fever = s.temperature is not None and s.temperature >= FEVER and not s.other_cause
        began = began or fever
        treated = treated or (began and s.treated)
        grade, support = _circulation_and_oxygen(s)
        if fever:
            grades.append(Grade(s.day, max(grade, 1), f"{s.temperature:g} C{support}"))
        elif treated:
            reason = support.removeprefix(", ") or "neither hypotension nor oxygen"
            grades.append(Grade(s.day, grade, f"{reason}; fever is not needed after treatment"))
        elif s.temperature is None and not s.other_cause:
            grades.append(Grade(s.day, None, "the temperature was not measured"))
        else:
            cause = "fever has another cause" if s.other_cause else f"no fever ({s.temperature:g} C)"
            whatever = f", whatever else{support}" if support else ""
            grades.append(Grade(s.day, 0, f"{cause}: no CRS{whatever}"))
    return grades


def icans_grade(signs: Signs) -> Grade:
    """The ICANS grade at one time."""
    _check([signs])
    grades = {
        f"consciousness: {signs.consciousness}": AWAKENS[signs.consciousness],
        f"seizure: {signs.seizure}": SEIZURES[signs.seizure],
        "motor weakness": 4 if signs.motor_weakness else 0,
        f"{signs.oedema} oedema": OEDEMA[signs.oedema],
    }
    if signs.ice is not None:
        grades[f"ICE {signs.ice}"] = _ice_grade(signs.ice)
    worst = max(grades.values())
    if signs.ice is None and worst < 4:
        at_least = f"; at least {worst} by the other signs" if worst else ""
        return Grade(signs.day, None, f"the ICE score was not taken{at_least}")
    if not worst:
        return Grade(signs.day, 0, "ICE 10 and nothing else")
    return Grade(signs.day, worst, ", ".join(name for name, grade in grades.items() if grade == worst))


def _ice_grade(score: int) -> int:
    """The grade of an ICE score (PMC9327779 Table 2).

    A score of 0 is grade 3 where the patient can be roused; where not, consciousness makes it grade 4.
    """
    if score == 10:
        return 0
    if score >= 7:
        return 1
    if score >= 3:
        return 2
    return 3


def _circulation_and_oxygen(s: Signs) -> tuple[int, str]:
    """The worse grade of hypotension and hypoxia, and both in words."""
    if s.vasopressors > 1:
        pressure = 4
    elif s.vasopressors or s.vasopressin:
        pressure = 3
    elif s.hypotension:
        pressure = 2
    else:
        pressure = 0

    words = ""
    if pressure:
        drugs = []
        if s.vasopressors:
            drugs.append(f"{s.vasopressors} vasopressor{'s' if s.vasopressors > 1 else ''}")
        if s.vasopressin:
            drugs.append("vasopressin")
        words += f", hypotension with {' and '.join(drugs) or 'no vasopressor'}"
    if s.oxygen != "none":
        words += f", oxygen by {s.oxygen}"
    return max(pressure, HYPOXIA[s.oxygen]), words


def _check(signs: Iterable[Signs]) -> None:
    """Raise InputError with every sign that cannot be."""
    problems = []
    last = float("-inf")
    for s in signs:
        when = f"day {s.day:g}"
        if s.day < last:
            problems.append(Problem(f"{when} comes after day {last:g}", "give the signs in order of time"))
        last = max(last, s.day)
        if s.temperature is not None and not 25 <= s.temperature <= 45:
            problems.append(Problem(f"{when}: a temperature of {s.temperature:g}", "write degrees Celsius"))
        if s.vasopressors < 0:
            problems.append(Problem(f"{when}: {s.vasopressors} vasopressors", "count them from 0 up"))
        if s.ice is not None and not 0 <= s.ice <= 10:
            problems.append(Problem(f"{when}: an ICE score of {s.ice}", "write a whole number from 0 to 10"))
        for name, words in WORDS.items():
            word = getattr(s, name)
            if word not in words:
                problems.append(Problem(f"{when}: {name} {word!r}", f"write one of {', '.join(words)}"))
    if problems:
        raise InputError(problems)


NEEDED = ("subject", "time", "temperature", "hypotension", "vasopressors", "oxygen")
YES_NO = ("hypotension", "vasopressin", "treated", "other_cause", "motor_weakness")
OPTIONAL = tuple(c for c in (*YES_NO, *WORDS, "ice") if c not in NEEDED)


def read_signs(path: str | Path) -> dict[str, list[Signs]]:
    """Read a file of raw signs: subject -> its signs in order of time.

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
    return by_subject


def astct_grades(signs: dict[str, list[Signs]], *, icans: bool) -> DataFrame:
    """The grades at each time: one row per subject and time; NaN where a grade is not known.

    Columns: subject, time [day], crs, crs_why; with `icans` also icans, icans_why. StudyError lists every
    sign that cannot be, by subject.
    """
    rows = []
    problems = list[Problem]()
    for subject, course in signs.items():
        try:
            crs_grades = crs_course(course)
            icans_grades = [icans_grade(s) for s in course] if icans else []
        except InputError as error:
            problems += [Problem(p.what, p.remedy, subject=subject) for p in error.problems]
            continue
        for i, crs in enumerate(crs_grades):
            row = {"subject": subject, "time": crs.day, "crs": _number(crs), "crs_why": crs.why}
            if icans:
                row |= {"icans": _number(icans_grades[i]), "icans_why": icans_grades[i].why}
            rows.append(row)
    if problems:
        raise StudyError(problems)
    return DataFrame(rows)


def astct_events(grades: DataFrame) -> DataFrame:
    """Rows for events.csv, one for each subject and toxicity that the subject had at all.

    Columns: subject, time [day] (of the worst grade, its first), event, grade, grading_system, begins (the
    day of the first grade above 0).
    """
    rows = []
    for event in [c for c in ("crs", "icans") if c in grades]:
        for subject, graded in grades[grades[event] > 0].groupby("subject", sort=False):
            worst = graded.sort_values(event, ascending=False, kind="stable").to_dict("records")[0]
            rows.append(
                {
                    "subject": subject,
                    "time": worst["time"],
                    "event": event,
                    "grade": int(worst[event]),
                    "grading_system": SYSTEM,
                    "begins": float(graded["time"].min()),
                }
            )
    columns = ["subject", "time", "event", "grade", "grading_system", "begins"]
    return DataFrame(rows, columns=columns).sort_values(["subject", "event"]).reset_index(drop=True)


def disagreements(events: DataFrame, study: Study, *, icans: bool) -> DataFrame:
    """Subjects whose worst recorded ASTCT grade differs from that of the signs.

    Columns: subject, event, recorded, by_signs (grades, 0 for none). `events` comes from `astct_events`.
    StudyError where one of its subjects is not in the study.
    """
    strange = sorted(set(events["subject"]) - set(study.subject_ids))
    if strange:
        raise StudyError(Problem("no such subject in the study", "correct it", subject=s) for s in strange)
    rows = []
    graded = study.events[study.events["grading_system"] == SYSTEM]
    for subject in study.subject_ids:
        for event in ("crs", "icans") if icans else ("crs",):
            recorded = _worst(graded, subject, event)
            by_signs = _worst(events, subject, event)
            if recorded != by_signs:
                rows.append({"subject": subject, "event": event, "recorded": recorded, "by_signs": by_signs})
    return DataFrame(rows, columns=["subject", "event", "recorded", "by_signs"])


def _worst(events: DataFrame, subject: str, event: str) -> int:
    """The worst grade of an event that a subject had; 0 where it had none."""
    worst = events[(events["subject"] == subject) & (events["event"] == event)]["grade"].max()
    return 0 if isna(worst) else int(worst)


def _columns(raw: RawTable) -> dict[str, Sequence[Any]]:
    """The fields of `Signs`: name -> one value per row."""
    subject = subjects_of(raw)
    day = times(raw, "time", Column(unit="day"), "signs")
    twice = DataFrame({"subject": subject, "day": day}).duplicated() & day.notna()
    raw.flag(twice, "time", "a second row of this subject and time", "keep one of them, or correct its time")
    columns: dict[str, Sequence[Any]] = {
        "subject": subject.tolist(),
        "day": day.tolist(),
        "temperature": [None if t != t else t for t in numbers(raw, "temperature", required=False)],
        "vasopressors": integers(raw, "vasopressors", default=0).astype(int).tolist(),
    }
    for name in YES_NO:
        if name not in raw:
            continue
        words = raw.words(name)
        raw.flag(~words.isin(["yes", "no"]), name, "neither yes nor no", "write yes or no")
        columns[name] = (words == "yes").tolist()
    for name, allowed in WORDS.items():
        if name not in raw:
            continue
        words = raw.words(name)
        raw.flag(~words.isin(list(allowed)), name, "not known", f"write one of {', '.join(allowed)}")
        columns[name] = words.tolist()
    if "ice" in raw:
        scores = numbers(raw, "ice", required=False)
        bad = scores.notna() & ((scores % 1 != 0) | (scores < 0) | (scores > 10))
        raw.flag(bad, "ice", "not an ICE score", "write a whole number from 0 to 10")
        columns["ice"] = [None if x != x else int(x) for x in scores]
    return columns


def _number(grade: Grade) -> float:
    """The grade as a number; NaN where it is not known."""
    return nan if grade.grade is None else float(grade.grade)
