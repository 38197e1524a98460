"""The order in which subjects were enrolled, where subjects.csv says it.

The rows of a table have no order that means anything: sites sort by ID. The column `enrolled_on` (a date such
as 2026-03-01, or days since the trial began) says it, or `enrolment`, the sequence number of the subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from math import isnan

from pandas import Series, isna
from pandas.api.types import is_numeric_dtype

from kinetics.errors import Problem, StudyError
from kinetics.study import Study

__all__ = ["ENROLLED_ON", "ENROLMENT", "enrolment_order"]

ENROLLED_ON = "enrolled_on"
ENROLMENT = "enrolment"
_DATE = 'a date: 2026-03-01, or declare the column with unit = "day"'


def enrolment_order(study: Study) -> dict[str, float]:
    """Subject -> its place in the order of enrolment: a day, or a sequence number.

    Equal places are unordered. Subjects whose cells are empty are left out; without either column nobody is
    in it. StudyError with every cell that cannot be read, and where the two columns contradict each other.
    """
    columns = study.subjects.columns
    problems: list[Problem] = []
    numbers: dict[str, float] = {}
    days: dict[str, float] = {}
    if ENROLMENT in columns:
        numbers, wrong = _read(study.subjects[ENROLMENT], ENROLMENT, "a sequence number: 1, 2, 3, ...")
        problems += wrong
        problems += _repeated(numbers)
    if ENROLLED_ON in columns:
        days, wrong = _read(study.subjects[ENROLLED_ON], ENROLLED_ON, _DATE)
        problems += wrong
    problems += _contradictions(numbers, days)
    if problems:
        raise StudyError(problems)
    return numbers or days


def _read(cells: Series, column: str, wanted: str) -> tuple[dict[str, float], list[Problem]]:
    """The cells of a column as numbers by subject, dates as days; and a Problem for each that is neither."""
    places = {}
    problems = []
    for subject, cell in cells.items():
        if isna(cell) or str(cell).strip() == "":
            continue
        place = _number(cell, is_numeric_dtype(cells), dates=column == ENROLLED_ON)
        if isnan(place):
            what = f"not {wanted.partition(':')[0]}"
            problem = Problem(
                what,
                f"write {wanted}",
                file="subjects.csv",
                subject=str(subject),
                column=column,
                value=str(cell),
            )
            problems.append(problem)
        else:
            places[str(subject)] = place
    return places, problems


def _number(cell: object, numeric: bool, *, dates: bool) -> float:
    """A cell as a number, a date as its day; NaN for anything else."""
    text = str(cell).strip()
    if dates and not numeric:
        try:
            return float(date.fromisoformat(text[:10]).toordinal())
        except ValueError:
            return float("nan")
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _repeated(numbers: dict[str, float]) -> Iterator[Problem]:
    """Sequence numbers that two subjects share."""
    owners: dict[float, str] = {}
    for subject, number in numbers.items():
        if number in owners:
            what = f"has the sequence number {number:g} of {owners[number]}"
            yield Problem(what, "number each subject once", "subjects.csv", subject=subject, column=ENROLMENT)
        owners.setdefault(number, subject)


def _contradictions(numbers: dict[str, float], days: dict[str, float]) -> Iterator[Problem]:
    """Subjects who are later by number and earlier by date."""
    both: Sequence[str] = sorted(numbers.keys() & days.keys(), key=lambda subject: numbers[subject])
    for earlier, later in pairwise(both):
        if days[later] < days[earlier]:
            what = f"enrolled after {earlier} by {ENROLMENT} and before by {ENROLLED_ON}"
            yield Problem(what, "correct one of the two columns", "subjects.csv", None, later)
