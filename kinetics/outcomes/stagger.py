"""The days between patients that a protocol asks for, checked against the dates of their first infusions.

Times of a study are counted from each subject's own day 0, so the dates are a column of subjects.csv:
`infused_on`, the date of the first infusion of cells (2026-03-01), or its number of days since the trial
began. Without it nothing is checked, and that is said.

A cohort is as many evaluable or pending patients in a row at one level as the protocol's `cohort`, in the
order of their dates; a patient who is not evaluable is replaced and takes no place in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from pandas import isna

from kinetics.errors import Problem, StudyError
from kinetics.outcomes.dlts import Patient
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["INFUSED_ON", "Gap", "Stagger", "stagger_of"]

INFUSED_ON = "infused_on"


@dataclass(frozen=True)
class Gap:
    """Two patients who were infused closer together than the protocol asks for, in days."""

    subject: str
    after: str
    days: float
    least: float
    rule: str

    def __str__(self) -> str:
        between = f"{self.subject} was infused {self.days:g} days after {self.after}"
        return f"{between}; the protocol asks for {self.least:g} ({self.rule})"


@dataclass(frozen=True)
class Stagger:
    """What a protocol asks for between patients, and where the data break it.

    `asked` is a sentence for each of its rules, `gaps` are the breaches, and `unchecked` says why nothing was
    checked, "" where it was.
    """

    asked: Sequence[str]
    gaps: Sequence[Gap]
    unchecked: str = ""


def stagger_of(protocol: Protocol, study: Study | None, patients: Sequence[Patient]) -> Stagger:
    """The protocol's days between patients, against a study's. StudyError for a date that cannot be read."""
    rule = protocol.escalation
    asked = []
    if rule.days_between_patients:
        asked.append(f"{rule.days_between_patients:g} days between any two patients")
    if rule.days_after_first_of_cohort:
        asked.append(f"{rule.days_after_first_of_cohort:g} days after the first patient of a cohort")
    if not asked or study is None or len(patients) < 2:
        return Stagger(asked, [])
    if INFUSED_ON not in study.subjects.columns:
        return Stagger(asked, [], f"not checked: subjects.csv has no column {INFUSED_ON} (a date)")
    days = _days(study)
    dated = sorted((p for p in patients if p.subject in days), key=lambda p: days[p.subject])
    gaps = [*_too_close(protocol, dated, days), *_too_close_to_first(protocol, dated, days)]
    undated = [p.subject for p in patients if p.subject not in days]
    unchecked = f"not checked: {', '.join(undated)} without {INFUSED_ON}" if undated else ""
    return Stagger(asked, gaps, unchecked)


def _days(study: Study) -> dict[str, float]:
    """Subject -> the day of its first infusion, counted from any origin; without those of an empty cell."""
    days = {}
    problems = []
    for subject, cell in study.subjects[INFUSED_ON].items():
        text = "" if isna(cell) else str(cell).strip()
        if not text:
            continue
        day = _day(text)
        if day is None:
            what = "not a date"
            remedy = "write year-month-day, as 2026-03-01, or a number of days"
            problem = Problem(what, remedy, "subjects.csv", None, str(subject), column=INFUSED_ON, value=text)
            problems.append(problem)
        else:
            days[str(subject)] = day
    if problems:
        raise StudyError(problems)
    return days


def _day(text: str) -> float | None:
    """A date, or a number of days, as a number of days; None for anything else."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(date.fromisoformat(text[:10]).toordinal())
    except ValueError:
        return None


def _too_close(protocol: Protocol, dated: Sequence[Patient], days: dict[str, float]) -> Iterator[Gap]:
    """Patients in a row who are closer than any two may be."""
    least = protocol.escalation.days_between_patients
    for earlier, later in pairwise(dated):
        apart = days[later.subject] - days[earlier.subject]
        if apart < least:
            yield Gap(later.subject, earlier.subject, apart, least, "days_between_patients")


def _too_close_to_first(
    protocol: Protocol, dated: Sequence[Patient], days: dict[str, float]
) -> Iterator[Gap]:
    """Patients who came too soon after the first of their cohort."""
    least = protocol.escalation.days_after_first_of_cohort
    for cohort in _cohorts(protocol, dated):
        first = cohort[0]
        for later in cohort[1:]:
            apart = days[later.subject] - days[first.subject]
            if apart < least:
                yield Gap(later.subject, first.subject, apart, least, "days_after_first_of_cohort")


def _cohorts(protocol: Protocol, dated: Sequence[Patient]) -> list[list[Patient]]:
    """The patients in cohorts, in the order of their dates."""
    cohorts: list[list[Patient]] = []
    for patient in dated:
        current = cohorts[-1] if cohorts else []
        places = sum(member.status != "not_evaluable" for member in current)
        if current and current[0].level == patient.level and places < protocol.cohort_size:
            current.append(patient)
        else:
            cohorts.append([patient])
    return cohorts
