"""Outcomes by subject as numbers for a dose decision: DLT, worst CRS grade, objective response."""

from __future__ import annotations

from math import nan

from pandas import DataFrame, isna

from kinetics.arguments import require
from kinetics.errors import InputError, Problem, StudyError
from kinetics.outcomes.by_criteria import (
    ResponseReading,
    as_recist_scans,
    reading_of,
    recist_rules,
)
from kinetics.outcomes.dlts import patients_of
from kinetics.outcomes.event_names import event_name
from kinetics.outcomes.grouping import check_by
from kinetics.outcomes.leaving import departures_of, followed_until
from kinetics.outcomes.recist import first_response
from kinetics.outcomes.responses import first_infusions
from kinetics.outcomes.triggers import event_problem
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["known_responses", "response_days", "response_follow_up", "subject_outcomes", "worst_crs"]

RECIST = ResponseReading()
AWAITED = 365.0  # days that a response may take where the protocol does not say; a guess


def subject_outcomes(
    study: Study, protocol: Protocol, *, level_column: str = "dose_level", confirmed: bool = False
) -> DataFrame:
    """One row for each subject who had the level's product at one of its levels, in the order of enrolment.

    Columns: subject; level (from 1); dose (of the protocol, in its level_unit); dlt (1 or 0, NaN where not
    evaluable or pending); crs (worst grade by the scale that the protocol names for it, from the first
    infusion of cells; 0 where there was none, NaN where the protocol names no scale); response (1 for CR or
    PR, or what else the protocol counts; 0 where nothing more is awaited; NaN where it is not known yet:
    `known_responses` within the days of `response_days`). InputError where the protocol's days for a response
    are not above 0, StudyError as `patients_of`, and for a CRS that is graded by another scale, or not at
    all.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.outcomes.subject_outcomes(study, protocol).head(3)
      subject  level        dose  dlt  crs  response
    0     S01      1  15000000.0  0.0  0.0       0.0
    1     S02      2  30000000.0  0.0  1.0       0.0
    2     S04      2  30000000.0  0.0  0.0       0.0
    """
    require(study=(study, Study), protocol=(protocol, Protocol))
    dosed = set(study.doses.loc[study.doses["product"] == protocol.level_product, "subject"])
    everyone = patients_of(study, protocol, level_column=level_column)
    patients = [p for p in everyone if p.subject in dosed and p.level > 0]
    crs = worst_crs(study, protocol)
    responded: dict[str, bool | None] = {}
    if not study.responses.empty:
        days = response_days(protocol)
        responded = known_responses(
            study,
            within_days=days,
            confirmed=confirmed,
            level_column=level_column,
            reading=reading_of(protocol),
        )
    rows = [
        {
            "subject": p.subject,
            "level": p.level,
            "dose": float(protocol.levels[p.level - 1]),
            "dlt": float(p.dlt) if p.status == "evaluable" else nan,
            "crs": nan if crs is None else crs.get(p.subject, 0.0),
            "response": _number(responded.get(p.subject)),
        }
        for p in patients
    ]
    return DataFrame(rows, columns=["subject", "level", "dose", "dlt", "crs", "response"])


def known_responses(
    study: Study,
    *,
    within_days: float,
    confirmed: bool = False,
    level_column: str = "dose_level",
    reading: ResponseReading = RECIST,
) -> dict[str, bool | None]:
    """Whether each subject responded within `within_days` of its first infusion of cells.

    A response is a category that counts by `reading`: CR or PR by RECIST 1.1, if no other is given.

    The value is None where this is not known yet: there is no response so far, and neither progression, a
    death, another therapy or another end of the study was seen, nor the end of these days
    (`kinetics.outcomes.leaving`).
    InputError where `within_days` is not above 0.
    """
    if not within_days > 0:
        raise InputError(Problem(f"responses within {within_days:g} days", "give a number above 0"))
    if confirmed and reading.criteria == "irecist":
        what = "iRECIST with confirmation: confirmation of iCR and iPR is not judged"
        raise InputError(Problem(what, "leave one of them out"))
    check_by(study, level_column)
    starts = first_infusions(study)
    assessments = as_recist_scans(study, reading)
    rules = recist_rules(reading)
    ended = set(departures_of(study))
    responses: dict[str, bool | None] = {}
    for subject in study.subject_ids:
        start = starts.get(subject)
        if start is None:
            responses[subject] = None
            continue
        first = first_response(assessments[subject], confirmed=confirmed, rules=rules)
        progressed = any(a.response == "PD" for a in assessments[subject])
        if first is not None and first.day - start <= within_days:
            responses[subject] = True
        elif progressed or subject in ended or followed_until(study, subject)[0] - start >= within_days:
            responses[subject] = False
        else:
            responses[subject] = None
    return responses


def response_follow_up(study: Study, *, within_days: float) -> dict[str, float]:
    """Subject -> the share of `within_days` since its first infusion of cells for which it was followed."""
    return {
        subject: min(max((followed_until(study, subject)[0] - start) / within_days, 0.0), 1.0)
        for subject, start in first_infusions(study).items()
    }


def worst_crs(study: Study, protocol: Protocol) -> dict[str, float] | None:
    """Subject -> worst CRS grade, without subjects who had none; None where the protocol names no scale.

    StudyError with every CRS that is graded by another scale, or not at all: it is no grade 0.
    """
    endpoint = protocol.endpoints.get("crs")
    system = endpoint.grading.value if endpoint and endpoint.grading else None
    if system is None:
        return None
    crs = study.events[study.events["event"].map(event_name) == "crs"]
    problems = []
    for event in crs.to_dict("records"):
        if isna(event["grade"]):
            problems.append(event_problem(event, "it has no grade", f"grade it by {system}", "grade"))
        elif event["grading_system"] != system:
            remedy = f"grades never convert: grade it by {system}, or correct [endpoints.crs] of the protocol"
            what = f"the protocol grades CRS by {system}"
            problems.append(event_problem(event, what, remedy, "grading_system"))
    if problems:
        raise StudyError(problems)
    worst = crs.groupby("subject")["grade"].max()
    return {str(subject): float(grade) for subject, grade in worst.items()}


def response_days(protocol: Protocol) -> float:
    """Days in which a response may come: the protocol's `within_days`, or else a year."""
    endpoint = protocol.endpoints.get("response")
    return (endpoint.within_days if endpoint else None) or AWAITED


def _number(answer: bool | None) -> float:
    return nan if answer is None else float(answer)
