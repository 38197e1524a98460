"""Duration of response, progression-free and overall survival of a study, by a protocol's censoring.

PFS and OS begin at the first infusion of CAR-NK or CAR-T, DOR at the first CR or PR. PFS and DOR end with progression
(an overall response PD) or death, or are censored at the last evaluable assessment (not NE); without one, at the start.
OS ends with death or is censored at the last day known alive. What a protocol settles in `[censoring]`:
  missed_scans = "censored_after_two": progression or death more than two planned intervals (and the window of a
    scan) after the last evaluable assessment, or the start, is censored there;
  new_therapy = "censored": at the last evaluable assessment up to the first other anticancer therapy; "event": that
    therapy is an event like progression.
An endpoint's `within_days` is when it is read, not a rule of censoring: nothing is cut off there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any, Literal, get_args

from pandas import DataFrame

from kinetics.errors import InputError, PlanError, Problem, did_you_mean
from kinetics.outcomes.immune_responses import as_recist, immune_assessments_of
from kinetics.outcomes.recist import RECIST_1_1, Assessment, RecistRules, best_response, first_response
from kinetics.outcomes.responses import assessments_of, check_by
from kinetics.outcomes.vital_status import follow_up
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["ENDPOINTS", "Criteria", "Endpoint", "survival_times"]

Endpoint = Literal["dor", "pfs", "os"]
Criteria = Literal["recist_1.1", "irecist"]
ENDPOINTS: dict[Endpoint, str] = {
    "dor": "duration of response",
    "pfs": "progression-free survival",
    "os": "overall survival",
}
COLUMNS = ("start", "time", "event")
MISSED = 2  # FDA guidance on endpoints, Appendix 3 Table A: two or more assessments missed


@dataclass(frozen=True)
class _Censoring:
    """The two options, and the longest gap between assessments that leaves fewer than two missed [day]."""

    new_therapy: Literal["censored", "event", "ignored"]
    longest_gap: float
    every_days: float


@dataclass(frozen=True)
class _Life:
    """A subject's days of the study: NaN for what was not."""

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
    endpoint: Endpoint,
    *,
    by: str = "dose_level",
    confirmed: bool = False,
    assessed_every_days: float | None = None,
    criteria: Criteria = "recist_1.1",
    rules: RecistRules = RECIST_1_1,
) -> DataFrame:
    """One row a subject, in the order of subjects.csv: what ended the time, or why it is censored.

    subject; the column `by`; start (day of the study); time (days from it, NaN for who is not counted: no
    infusion of cells, or for DOR no response); event; why. `confirmed`: DOR begins at the first CR or PR that
    a later assessment confirms. `assessed_every_days` takes the place of the protocol's
    `[censoring.assessments]`. `criteria` irecist gives iPFS and iDOR: an iUPD that later scans reset is no
    progression (`kinetics.outcomes.immune_responses`). `rules` are those of RECIST. InputError for another
    endpoint or criteria, PlanError where the protocol leaves the censoring open.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.outcomes.survival_times(study, protocol, "pfs")[["subject", "time", "event", "why"]].head(2)
      subject    time  event                        why
    0     S01  142.99   True  progression on day 142.99
    1     S02  140.06   True  progression on day 140.06
    """
    if endpoint not in get_args(Endpoint):
        raise InputError(Problem(f"endpoint {endpoint!r}", did_you_mean(str(endpoint), get_args(Endpoint))))
    if criteria not in get_args(Criteria):
        raise InputError(Problem(f"criteria {criteria!r}", did_you_mean(str(criteria), get_args(Criteria))))
    check_by(study, by, COLUMNS)
    censoring = None if endpoint == "os" else _censoring(protocol, assessed_every_days)
    seen = {} if censoring is None else _assessed(study, criteria)
    rows = []
    for row in follow_up(study).to_dict("records"):
        known: dict[str, Any] = {str(k): v for k, v in row.items()}
        subject = known["subject"]
        life = _Life(**known, assessments=seen.get(subject, []))
        start, why = _start(life, endpoint, confirmed, rules)
        ended = nan
        event = False
        if not isnan(start):
            ended, event, why = _survival(life) if censoring is None else _progression(life, start, censoring)
        found = {"start": start, "time": ended - start, "event": event, "why": why}
        rows.append({"subject": subject, by: study.subjects.loc[subject, by]} | found)
    return DataFrame(rows)


def _assessed(study: Study, criteria: Criteria) -> dict[str, list[Assessment]]:
    if criteria == "recist_1.1":
        return assessments_of(study)
    return {subject: as_recist(own) for subject, own in immune_assessments_of(study).items()}


def _censoring(protocol: Protocol, every: float | None) -> _Censoring:
    """What the protocol settles; PlanError with all that it does not."""
    said = protocol.censoring
    problems = []
    for name in ("missed_scans", "new_therapy"):
        if getattr(said, name).value is None:
            problems.append(Problem(f"`censoring.{name}` is open", "settle it: kinetics lint says how"))
    if every is not None and not every > 0:
        problems.append(Problem(f"assessments every {every:g} days", "write a number above 0"))
    plan = said.assessments
    longest = inf
    every = plan.every_days if every is None and plan is not None else every
    if said.missed_scans.value == "censored_after_two":
        if every is None:
            what = "two missed scans censor, and the days between two scans are not said"
            remedy = "write `every_days` in [censoring.assessments], or give the days (--assessed-every)"
            problems.append(Problem(what, remedy))
        else:
            longest = MISSED * every + (plan.window_days if plan is not None else 0.0)
    if problems:
        raise PlanError(problems)
    return _Censoring(said.new_therapy.value or "ignored", longest, every or nan)


def _start(life: _Life, endpoint: Endpoint, confirmed: bool, rules: RecistRules) -> tuple[float, str]:
    """The day the time begins; NaN, and why, for who is not counted."""
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
    """The day of death, or the last day known alive."""
    if not isnan(life.died_on):
        return life.died_on, True, f"death on day {life.died_on:g}"
    alive = max(life.alive_on, life.start)
    return alive, False, f"alive on day {alive:g}, by {life.known_by}"


def _progression(life: _Life, start: float, censoring: _Censoring) -> tuple[float, bool, str]:
    """The day of progression or death, or of the assessment that PFS or DOR is censored at."""
    evaluable = [a.day for a in life.assessments if a.response != "NE" and a.day >= start]
    progressed = [(a.day, _progressed(a)) for a in life.assessments if a.response == "PD"]
    ends = [(day, what) for day, what in progressed if day > start][:1]
    if not isnan(life.died_on):
        ends.append((life.died_on, f"death on day {life.died_on:g}"))
    day, what = min(ends, default=(inf, "no progression or death"))
    therapy = life.new_therapy_on  # NaN where none: no comparison holds
    if therapy < day and censoring.new_therapy == "event":
        return max(therapy, start), True, f"new anticancer therapy on day {therapy:g}"
    if therapy < day and censoring.new_therapy == "censored":
        until = [d for d in evaluable if d <= therapy]
        return _censored(until, start, f"new anticancer therapy on day {therapy:g}")
    before = [d for d in evaluable if d < day]
    if day == inf:
        return _censored(before, start, what)
    gap = day - max(before, default=start)
    if gap > censoring.longest_gap:
        after = f"{gap:.4g} days after the {'last evaluable scan' if before else 'start'}"
        missed = f"{what}, {after}: two due every {censoring.every_days:g} days missed"
        return _censored(before, start, missed)
    return day, True, what


def _progressed(a: Assessment) -> str:
    immune = f" ({a.why})" if a.why.startswith("iUPD") else ""
    return f"progression on day {a.day:g}{immune}"


def _censored(evaluable: Sequence[float], start: float, why: str) -> tuple[float, bool, str]:
    """Censored at the last of these assessments, at the start where there is none."""
    last = max(evaluable, default=start)
    at = "last evaluable assessment" if evaluable else "no evaluable assessment: start"
    return last, False, f"{why}; {at}, day {last:g}"
