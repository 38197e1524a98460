"""Duration of response, progression-free and overall survival of a study, by a protocol's censoring.

PFS and OS begin at the first infusion of CAR-NK or CAR-T, DOR at the first CR or PR. PFS and DOR end with
progression (an overall response PD) or death, or are censored at the last evaluable assessment (not NE), or
at the start where there is none. OS ends with death or is censored at the last day known alive.

A protocol settles two points in `[censoring]`:
  missed_scans = "censored_after_two": progression or death more than two planned intervals (and the window of
    a scan) after the last evaluable assessment, or the start, is censored there;
  new_therapy = "censored": at the last evaluable assessment up to the first other anticancer therapy;
    "event": that therapy is an event like progression.

An endpoint's `within_days` is the time at which it is read, not a rule of censoring: nothing is cut off
there.

Where subjects are followed only from some day on (a registry that they enter alive), a column of subjects.csv
says that day, and the times have it as `entry`: before it they are not at risk (left truncation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any, Literal, get_args

from pandas import DataFrame

from kinetics.arguments import require
from kinetics.errors import InputError, PlanError, Problem, StudyError, did_you_mean
from kinetics.outcomes.by_criteria import ResponseReading, as_recist_scans, reading_of, recist_rules
from kinetics.outcomes.grouping import check_by
from kinetics.outcomes.recist import RECIST_1_1, Assessment, RecistRules, best_response, first_response
from kinetics.outcomes.vital_status import follow_up
from kinetics.protocol import CriteriaName, Protocol
from kinetics.study import Study
from kinetics.units import UnitError, convert

__all__ = ["ENDPOINTS", "Criteria", "SurvivalEndpoint", "survival_times"]

SurvivalEndpoint = Literal["dor", "pfs", "os"]
Criteria = CriteriaName
ENDPOINTS: dict[SurvivalEndpoint, str] = {
    "dor": "duration of response",
    "pfs": "progression-free survival",
    "os": "overall survival",
}
COLUMNS = ("start", "time", "event", "entry")
MISSED = 2  # FDA guidance on endpoints, Appendix 3 Table A: two or more assessments missed


@dataclass(frozen=True)
class _Censoring:
    """The two points of a protocol's censoring, and its assessments.

    `longest_gap` [day] is the longest gap between assessments in which fewer than two are missed;
    `every_days` the planned days between assessments, NaN where none are planned.
    """

    new_therapy: Literal["censored", "event", "ignored"]
    longest_gap: float
    every_days: float


@dataclass(frozen=True)
class _Life:
    """A subject's days of the study, NaN for what did not happen, and its assessments."""

    subject: str
    start: float
    died_on: float
    alive_on: float
    known_by: str
    new_therapy_on: float
    assessments: Sequence[Assessment]


def survival_times(
    study: Study,
    protocol: Protocol,
    endpoint: SurvivalEndpoint,
    *,
    by: str = "dose_level",
    confirmed: bool = False,
    assessed_every_days: float | None = None,
    criteria: Criteria | None = None,
    rules: RecistRules = RECIST_1_1,
    entry: str | None = None,
) -> DataFrame:
    """One row per subject, in the order of subjects.csv: what ended the time, or why it is censored.

    Columns: subject; the column `by`; start (day of the study); time (days from the start, NaN for a subject
    who is not counted: no infusion of cells, or for DOR no response); event; why. With `confirmed`, DOR
    begins at the first CR or PR that a later assessment confirms. `assessed_every_days` replaces the
    protocol's `[censoring.assessments]`. `criteria` are by default those of the protocol's response, or else
    RECIST 1.1; "irecist" gives iPFS and iDOR: an iUPD that later scans reset is no progression
    (`kinetics.outcomes.immune_responses`). `rules` are those of RECIST.

    `entry` names a column of subjects.csv with the day of the study from which each subject was followed: a
    column `entry` (days from the start, 0 where from before it) is added, and who ended before it is not
    counted. InputError for another endpoint or criteria, PlanError where the protocol leaves the censoring
    open, StudyError where `entry` is no column of days or not filled.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.outcomes.survival_times(study, protocol, "pfs")[["subject", "time", "event", "why"]].head(2)
      subject    time  event                        why
    0     S01  142.99   True  progression on day 142.99
    1     S02  140.06   True  progression on day 140.06
    """
    require(study=(study, Study), protocol=(protocol, Protocol))
    if endpoint not in get_args(SurvivalEndpoint):
        raise InputError(
            Problem(f"endpoint {endpoint!r}", did_you_mean(str(endpoint), get_args(SurvivalEndpoint)))
        )
    reading = reading_of(protocol) if criteria is None else ResponseReading(criteria)
    if criteria is not None and criteria == reading_of(protocol).criteria:
        reading = reading_of(protocol)  # with the categories that the protocol counts
    rules = recist_rules(reading, rules)
    check_by(study, by, COLUMNS)
    followed_from = None if entry is None else _entry_days(study, entry)
    censoring = None if endpoint == "os" else _censoring(protocol, assessed_every_days)
    assessments = {} if censoring is None else as_recist_scans(study, reading)
    rows = []
    for record in follow_up(study).to_dict("records"):
        days: dict[str, Any] = {str(column): value for column, value in record.items()}
        subject = days["subject"]
        life = _Life(**days, assessments=assessments.get(subject, []))
        start, why = _start(life, endpoint, confirmed, rules)
        end = nan
        event = False
        if not isnan(start):
            if censoring is None:
                end, event, why = _survival(life)
            else:
                end, event, why = _progression(life, start, censoring)
        row = {
            "subject": subject,
            by: study.subjects.loc[subject, by],
            "start": start,
            "time": end - start,
            "event": event,
            "why": why,
        }
        if followed_from is not None:
            row |= _with_entry(row, followed_from[subject])
        rows.append(row)
    return DataFrame(rows)


def _entry_days(study: Study, column: str) -> dict[str, float]:
    """Subject -> the day of the study from which it was followed; StudyError unless all are filled."""
    if column not in study.subjects.columns:
        remedy = did_you_mean(column, map(str, study.subjects.columns))
        what = f"no column {column!r} of the days from which subjects were followed"
        raise StudyError(Problem(what, remedy, file="subjects.csv"))
    days = study.subjects[column]
    remedy = f'declare `{column} = {{ unit = "day" }}` under [columns.subjects]'
    if days.dtype.kind not in "fi":
        raise StudyError(
            Problem("a column of words, not of days", remedy, file="subjects.csv", column=column)
        )
    spec = study.dictionary.columns.subjects.get(column)
    try:
        days = days * convert((spec and spec.unit) or "day", "day")
    except UnitError as error:
        raise StudyError(Problem(str(error), remedy, file="subjects.csv", column=column)) from error
    empty = [str(subject) for subject in study.subject_ids if isnan(days[subject])]
    if empty:
        remedy = "write the day from which it was followed, 0 or less where from the start"
        raise StudyError(
            Problem("no day of entry", remedy, file="subjects.csv", subject=subject, column=column)
            for subject in empty
        )
    return {subject: float(days[subject]) for subject in study.subject_ids}


def _with_entry(row: dict[str, Any], day: float) -> dict[str, Any]:
    """The columns of a subject that was followed from this day of the study on."""
    entry = max(day - row["start"], 0.0)
    if entry > 0 and entry >= row["time"]:
        why = f"not counted: followed from day {day:g} on, and it ended before ({row['why']})"
        return {"time": nan, "event": False, "why": why, "entry": entry}
    return {"entry": entry}


def _censoring(protocol: Protocol, every_days: float | None) -> _Censoring:
    """The censoring that the protocol settles; PlanError lists everything that it leaves open.

    `every_days` between assessments replaces the protocol's.
    """
    points = protocol.censoring
    problems = []
    for name in ("missed_scans", "new_therapy"):
        if getattr(points, name).value is None:
            problems.append(Problem(f"`censoring.{name}` is open", "settle it: kinetics lint says how"))
    if every_days is not None and not every_days > 0:
        problems.append(Problem(f"assessments every {every_days:g} days", "write a number above 0"))
    planned = points.assessments
    if every_days is None and planned is not None:
        every_days = planned.every_days
    longest_gap = inf
    if points.missed_scans.value == "censored_after_two":
        if every_days is None:
            what = "two missed scans censor, and the days between two scans are not said"
            remedy = "write `every_days` in [censoring.assessments], or give the days (--assessed-every)"
            problems.append(Problem(what, remedy))
        else:
            window = planned.window_days if planned is not None else 0.0
            longest_gap = MISSED * every_days + window
    if problems:
        raise PlanError(problems)
    return _Censoring(points.new_therapy.value or "ignored", longest_gap, every_days or nan)


def _start(life: _Life, endpoint: SurvivalEndpoint, confirmed: bool, rules: RecistRules) -> tuple[float, str]:
    """The day on which the time begins; NaN and the reason for a subject who is not counted."""
    if isnan(life.start):
        return nan, "no infusion of cells"
    if endpoint != "dor":
        return life.start, ""
    first = first_response(life.assessments, confirmed=confirmed, rules=rules)
    if first is not None:
        return first.day, ""
    best = best_response(life.assessments, confirmed=confirmed, reference_day=life.start, rules=rules)
    return nan, f"no response: {best.why}"


def _survival(life: _Life) -> tuple[float, bool, str]:
    """The end of OS: the day of death, or the last day known alive; whether it is an event; and why."""
    if not isnan(life.died_on):
        return life.died_on, True, f"death on day {life.died_on:g}"
    alive = max(life.alive_on, life.start)
    return alive, False, f"alive on day {alive:g}, by {life.known_by}"


def _progression(life: _Life, start: float, censoring: _Censoring) -> tuple[float, bool, str]:
    """The end of PFS or DOR: the day of progression, death or censoring; whether it is an event; and why."""
    evaluable = [a.day for a in life.assessments if a.response != "NE" and a.day >= start]
    ends = []
    for a in life.assessments:
        if a.response == "PD" and a.day > start:
            immune = f" ({a.why})" if a.why.startswith("iUPD") else ""
            ends.append((a.day, f"progression on day {a.day:g}{immune}"))
            break
    if not isnan(life.died_on):
        ends.append((life.died_on, f"death on day {life.died_on:g}"))
    end, what = min(ends, default=(inf, "no progression or death"))

    therapy = life.new_therapy_on  # NaN where none: no comparison holds
    if therapy < end and censoring.new_therapy == "event":
        return max(therapy, start), True, f"new anticancer therapy on day {therapy:g}"
    if therapy < end and censoring.new_therapy == "censored":
        until = [day for day in evaluable if day <= therapy]
        return _censored(until, start, f"new anticancer therapy on day {therapy:g}")

    before = [day for day in evaluable if day < end]
    if end == inf:
        return _censored(before, start, what)
    gap = end - max(before, default=start)
    if gap > censoring.longest_gap:
        after = f"{gap:.4g} days after the {'last evaluable scan' if before else 'start'}"
        missed = f"{what}, {after}: two due every {censoring.every_days:g} days missed"
        return _censored(before, start, missed)
    return end, True, what


def _censored(evaluable: Sequence[float], start: float, why: str) -> tuple[float, bool, str]:
    """Censor at the last of these evaluable assessments, at the start where there is none."""
    last = max(evaluable, default=start)
    where = "last evaluable assessment" if evaluable else "no evaluable assessment: start"
    return last, False, f"{why}; {where}, day {last:g}"
