"""CRS and ICANS by the ASTCT consensus (Lee 2019, Biol Blood Marrow Transplant 25:625) from raw signs.

The table was read as PMC9327779 Table 2 and PMC8021214 Table 1 give it, not in the paper. CRS: fever of 38.0
C or more that nothing else explains, and the worse of hypotension and hypoxia. Once CRS has begun and
antipyretics, tocilizumab or steroids were given, fever is no longer needed. ICANS, adults: the worst of the
ICE score, consciousness, seizures, motor weakness and oedema. Grade 5 (death) is an investigator's judgement
and is not made from signs. Grades of other scales (CTCAE, Lee 2014, Penn) are not converted from or into
these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Literal, get_args

from pandas import DataFrame

from kinetics.errors import InputError, Problem, StudyError
from kinetics.study import RawTable, Study, integers, numbers, read_columns, subjects_of

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
    """What was seen at one time; days of the study. None: not measured.

    `vasopressors` does not count vasopressin. `treated`: an antipyretic, tocilizumab or steroids by then.
    `other_cause`: something else explains the fever. `ice`: 0 to 10.
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
    """A grade, 0 for none, and why; None, and why, where it cannot be told."""

    day: float
    grade: int | None
    why: str


def crs_course(signs: Sequence[Signs]) -> list[Grade]:
    """The CRS grade at each time of one subject, in order of time; InputError with everything that cannot
    be.
    """
    _check(signs)
    began = treated = False
    found = []
    for s in signs:
        fever = s.temperature is not None and s.temperature >= FEVER and not s.other_cause
        began = began or fever
        treated = treated or (began and s.treated)
        grade, why = _circulation_and_oxygen(s)
        if fever:
            found.append(Grade(s.day, max(grade, 1), f"{s.temperature:g} C{why}"))
        elif treated:
            said = why.removeprefix(", ") or "neither hypotension nor oxygen"
            found.append(Grade(s.day, grade, f"{said}; fever is not needed after treatment"))
        elif s.temperature is None and not s.other_cause:
            found.append(Grade(s.day, None, "the temperature was not measured"))
        else:
            cause = "fever has another cause" if s.other_cause else f"no fever ({s.temperature:g} C)"
            found.append(Grade(s.day, 0, f"{cause}: no CRS{why and f', whatever else{why}'}"))
    return found


def icans_grade(signs: Signs) -> Grade:
    """The ICANS grade at one time."""
    _check([signs])
    seen = {
        f"consciousness: {signs.consciousness}": AWAKENS[signs.consciousness],
        f"seizure: {signs.seizure}": SEIZURES[signs.seizure],
        "motor weakness": 4 if signs.motor_weakness else 0,
        f"{signs.oedema} oedema": OEDEMA[signs.oedema],
    }
    if signs.ice is not None:
        seen[f"ICE {signs.ice}"] = _ice(signs.ice)
    worst = max(seen.values())
    if signs.ice is None and worst < 4:
        at_least = f"; at least {worst} by the other signs" if worst else ""
        return Grade(signs.day, None, f"the ICE score was not taken{at_least}")
    why = ", ".join(name for name, grade in seen.items() if grade == worst)
    return Grade(signs.day, worst, why if worst else "ICE 10 and nothing else")


def _ice(score: int) -> int:
    """PMC9327779 Table 2; 0 is grade 3 where the patient can be roused, and grade 4 by consciousness where
    not.
    """
    return 0 if score == 10 else 1 if score >= 7 else 2 if score >= 3 else 3


def _circulation_and_oxygen(s: Signs) -> tuple[int, str]:
    """The worse of hypotension and hypoxia, and what they are."""
    low = s.hypotension or s.vasopressors > 0 or s.vasopressin
    pressure = 4 if s.vasopressors > 1 else 3 if s.vasopressors or s.vasopressin else 2 if low else 0
    said = ""
    if low:
        count = f"{s.vasopressors} vasopressor{'s' if s.vasopressors > 1 else ''}" if s.vasopressors else ""
        both = " and ".join(x for x in (count, "vasopressin" if s.vasopressin else "") if x)
        said += f", hypotension with {both or 'no vasopressor'}"
    if s.oxygen != "none":
        said += f", oxygen by {s.oxygen}"
    return max(pressure, HYPOXIA[s.oxygen]), said


def _check(signs: Iterable[Signs]) -> None:
    problems = []
    last = float("-inf")
    for s in signs:
        on = f"day {s.day:g}"
        if s.day < last:
            problems.append(Problem(f"{on} comes after day {last:g}", "give the signs in order of time"))
        last = max(last, s.day)
        if s.temperature is not None and not 25 <= s.temperature <= 45:
            problems.append(Problem(f"{on}: a temperature of {s.temperature:g}", "write degrees Celsius"))
        if s.vasopressors < 0:
            problems.append(Problem(f"{on}: {s.vasopressors} vasopressors", "count them from 0 up"))
        if s.ice is not None and not 0 <= s.ice <= 10:
            problems.append(Problem(f"{on}: an ICE score of {s.ice}", "write a whole number from 0 to 10"))
        for name, known in WORDS.items():
            if (said := getattr(s, name)) not in known:
                remedy = f"write one of {', '.join(known)}"
                problems.append(Problem(f"{on}: {name} {said!r}", remedy))
    if problems:
        raise InputError(problems)


NEEDED = ("subject", "time", "temperature", "hypotension", "vasopressors", "oxygen")
YES_NO = ("hypotension", "vasopressin", "treated", "other_cause", "motor_weakness")
OPTIONAL = tuple(c for c in (*YES_NO, *WORDS, "ice") if c not in NEEDED)


def read_signs(path: str | Path) -> dict[str, list[Signs]]:
    """Every subject's signs in order of time; StudyError with every problem of the file."""
    raw, whole = read_columns(path, NEEDED, OPTIONAL, "a CSV of raw signs")
    columns = _columns(raw) if whole else {}
    if raw.problems:
        raise StudyError(raw.problems)
    found: dict[str, list[Signs]] = {}
    for place in sorted(range(len(columns["day"])), key=lambda i: (columns["subject"][i], columns["day"][i])):
        row = {k: v[place] for k, v in columns.items()}
        found.setdefault(str(row.pop("subject")), []).append(Signs(**row))
    return found


def astct_grades(signs: dict[str, list[Signs]], *, icans: bool) -> DataFrame:
    """One row a subject and time: subject, time, crs, crs_why, and icans, icans_why where asked for; NaN:
    not known.
    """
    rows = []
    problems = list[Problem]()
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
    """Rows for events.csv: subject, time (of the worst grade, the first), event, grade, grading_system,
    begins.

    One row a subject and toxicity that it had at all. `begins`: the day of the first grade above 0.
    """
    rows = []
    for event in [c for c in ("crs", "icans") if c in grades]:
        for subject, own in grades[grades[event] > 0].groupby("subject", sort=False):
            worst = own.sort_values(event, ascending=False, kind="stable").to_dict("records")[0]
            rows.append(
                {
                    "subject": subject,
                    "time": worst["time"],
                    "event": event,
                    "grade": int(worst[event]),
                    "grading_system": SYSTEM,
                    "begins": float(own["time"].min()),
                }
            )
    columns = ["subject", "time", "event", "grade", "grading_system", "begins"]
    return DataFrame(rows, columns=columns).sort_values(["subject", "event"]).reset_index(drop=True)


def disagreements(events: DataFrame, study: Study, *, icans: bool) -> DataFrame:
    """Where a study's worst recorded ASTCT grades differ from those of the signs: subject, event, recorded,
    by_signs.

    StudyError where a subject of the signs is none of the study.
    """
    strange = sorted(set(events["subject"]) - set(study.subject_ids))
    if strange:
        raise StudyError(Problem("no such subject in the study", "correct it", subject=s) for s in strange)
    rows = []
    own = study.events[study.events["grading_system"] == SYSTEM]
    for subject in study.subject_ids:
        for event in ("crs", "icans") if icans else ("crs",):
            recorded = own[(own["subject"] == subject) & (own["event"] == event)]["grade"].max()
            signs = events[(events["subject"] == subject) & (events["event"] == event)]["grade"].max()
            pair = [0 if grade != grade else int(grade) for grade in (recorded, signs)]
            if pair[0] != pair[1]:
                rows.append({"subject": subject, "event": event, "recorded": pair[0], "by_signs": pair[1]})
    return DataFrame(rows, columns=["subject", "event", "recorded", "by_signs"])


def _columns(raw: RawTable) -> dict[str, Sequence[Any]]:
    """The fields of Signs, a value a row."""
    columns: dict[str, Sequence[Any]] = {
        "subject": subjects_of(raw).tolist(),
        "day": numbers(raw, "time").tolist(),
        "temperature": [None if t != t else t for t in numbers(raw, "temperature", required=False)],
        "vasopressors": integers(raw, "vasopressors", default=0).astype(int).tolist(),
    }
    for name in (c for c in YES_NO if c in raw):
        words = raw.words(name)
        raw.flag(~words.isin(["yes", "no"]), name, "neither yes nor no", "write yes or no")
        columns[name] = (words == "yes").tolist()
    for name, allowed in ((c, k) for c, k in WORDS.items() if c in raw):
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
    return nan if grade.grade is None else float(grade.grade)


# # MERGED astct_table: """A table of raw signs as ASTCT grades: one row a subject and time in, grades,
# episodes and events.csv rows out.
#
# Columns of the table: subject, time [day], temperature [C], hypotension (yes, no), vasopressors (how many,
# vasopressin not counted), oxygen (none, low_flow, blow_by, high_flow, face_mask, non_rebreather, venturi,
# cpap, bipap, ventilation); if there are any: vasopressin, treated (antipyretic, tocilizumab or steroids by
# then), other_cause, motor_weakness (yes, no), ice (0 to 10), consciousness (alert, spontaneous, voice,
# tactile, unarousable), seizure (none, resolved, prolonged), oedema (none, focal, diffuse). ICANS is graded
# where a column `ice` is there. """
