"""From a study's tables to the history a dose rule reads: who is evaluable, who had a DLT, whose window is
open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pandas import DataFrame
from pandas.api.types import is_numeric_dtype

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.escalation import Cohort, Decision, Rule
from kinetics.protocol import Protocol, Trigger
from kinetics.study import Study

__all__ = ["FOLLOWED_UNTIL", "Patient", "Step", "followed_until", "history_of", "patients_of", "replayed"]

FOLLOWED_UNTIL = "followed_until"  # a column of subjects.csv: the day up to which a DLT was looked for

WHOLE_DAY = 0.5  # an infusion or sample is on its planned day within this: a guess, for jittered actual times


@dataclass(frozen=True)
class Patient:
    """One subject as the rule sees it, and why. `level` counts from 1.

    `followed` is the share of the DLT window that a pending subject was followed; 0 before the window began.
    """

    subject: str
    level: int
    status: Literal["evaluable", "pending", "not_evaluable"]
    dlt: bool
    trigger: bool
    why: str
    followed: float = 0.0


@dataclass(frozen=True)
class Step:
    """What the rule said before a patient was treated, and whether the patient's level is what it said."""

    subject: str
    level: int
    legal: bool
    decision: Decision


def patients_of(study: Study, protocol: Protocol, *, level_column: str = "dose_level") -> list[Patient]:
    """Every subject in the order of subjects.csv; StudyError with everything that keeps one from being
    read.
    """
    _check_columns(study, level_column)
    levels, problems = _levels(study, protocol, level_column)
    problems += _follow_up_problems(study)
    if problems:
        raise StudyError(problems)
    return [_patient(study, protocol, s, levels[s]) for s in study.subject_ids]


def history_of(
    patients: Sequence[Patient], responded: Mapping[str, bool | None] | None = None
) -> list[Cohort]:
    """One cohort a patient, in their order; who is not evaluable was replaced and is in none.

    `responded` says of each subject whether it responded, None where that is not known yet; for rules that
    look at responses (`kinetics.outcomes.known_responses`).
    """
    found = []
    for p in patients:
        answer = False if responded is None else responded[p.subject]
        responses = {"responses": int(answer is True), "response_pending": int(answer is None)}
        if p.status == "pending":
            found.append(Cohort(p.level, 0, 0, int(p.trigger), pending=1, followed=p.followed, **responses))
        elif p.status == "evaluable":
            both = int(p.dlt and answer is True)
            fired = int(p.trigger and not p.dlt)
            found.append(Cohort(p.level, 1, int(p.dlt), fired, dlts_with_response=both, **responses))
    return found


def replayed(rule: Rule, patients: Sequence[Patient]) -> list[Step]:
    """The rule asked before each patient, as if every window before had ended: was the level what it said?

    For rules of cohorts that answer with the open places of a cohort (3+3), not for those that decide anew.
    """
    steps = []
    for place, p in enumerate(patients):
        decision = rule.decide(history_of(patients[:place]))
        legal = decision.action == "treat" and decision.level == p.level
        steps.append(Step(p.subject, p.level, legal, decision))
    return steps


def _check_columns(study: Study, level_column: str) -> None:
    problems = []
    if level_column not in study.subjects.columns:
        what = f"no column {level_column!r}"
        remedy = did_you_mean(level_column, study.subjects.columns)
        problems.append(Problem(what, f"the assigned level of each subject: {remedy}", file="subjects.csv"))
    for column in ("dlt", "attribution"):
        if column not in study.events.columns:
            remedy = f"add `{column}` ({'yes or no' if column == 'dlt' else 'a product'}) and declare it"
            problems.append(Problem(f"no column {column!r}", remedy, file="events.csv"))
    if problems:
        raise StudyError(problems)


def _follow_up_problems(study: Study) -> list[Problem]:
    """Records after the day until which a subject is said to be followed."""
    if FOLLOWED_UNTIL not in study.subjects.columns:
        return []
    if not is_numeric_dtype(study.subjects[FOLLOWED_UNTIL]):
        remedy = 'declare it in dictionary.toml with unit = "day"'
        return [Problem("not a number of days", remedy, "subjects.csv", column=FOLLOWED_UNTIL)]
    problems = []
    for name in ("doses", "observations", "events"):
        table = getattr(study, name)
        until = table["subject"].map(study.subjects[FOLLOWED_UNTIL].to_dict())
        for row in table[table["time"] > until + WHOLE_DAY].to_dict("records"):
            what = f"day {row['time']:g}: later than {FOLLOWED_UNTIL} of subjects.csv"
            where = int(row["row"]) if "row" in row else None
            problems.append(
                Problem(what, "correct one of the days", f"{name}.csv", where, str(row["subject"]))
            )
    return problems


def _levels(study: Study, protocol: Protocol, column: str) -> tuple[dict[str, int], list[Problem]]:
    """The level of every subject, and a Problem for each that is none of the protocol's."""
    found = {}
    problems = []
    for subject, dose in zip(study.subject_ids, study.subjects[column].astype(float), strict=True):
        near = [i for i, level in enumerate(protocol.levels, start=1) if abs(dose / level - 1) < 1e-6]
        found[subject] = near[0] if near else 0
        if not near:
            known = ", ".join(protocol.level_name(i) for i in range(1, len(protocol.levels) + 1))
            what = "is no level of the protocol"
            problems.append(
                Problem(
                    what, f"known: {known}", "subjects.csv", subject=subject, column=column, value=f"{dose:g}"
                )
            )
    return found, problems


def _patient(study: Study, protocol: Protocol, subject: str, level: int) -> Patient:
    doses = _of(study.doses, subject)
    events = _of(study.events, subject)
    product = protocol.level_product
    given = doses[doses["product"] == product]
    seen, known_by = followed_until(study, subject)
    start = _clock(protocol, doses)
    window = protocol.dlt.window_days.value or 0.0
    trigger = _triggered(protocol, doses, events)
    toxic = events[events["dlt"] == "yes"]
    first = given["time"].min() if len(given) else float("inf")
    if len(toxic[toxic["time"] < first]) and not len(toxic[toxic["time"] >= first]):
        if protocol.dlt.after_car_nk_only.value == "at_assigned_level":
            return Patient(
                subject, level, "evaluable", True, trigger, "a DLT before any infusion of the level"
            )
        if not len(given):
            why = "a DLT before any infusion of the level counts at no level"
            return Patient(subject, level, "not_evaluable", False, trigger, why)
    if start is None or not len(given):
        return _undosed(protocol, subject, level, seen, trigger)
    counts_from = first if protocol.dlt.after_car_nk_only.value == "at_no_level" else min(first, start)
    within = toxic[(toxic["time"] >= counts_from) & (toxic["time"] <= start + window)]
    if len(within):
        e = within.iloc[0]
        why = (
            f"DLT: {e['event']} grade {e['grade']:g} ({e['grading_system']}) {e['time'] - start:.1f} days in"
        )
        return Patient(subject, level, "evaluable", True, trigger, why)
    if seen < start + window - WHOLE_DAY:
        why = f"followed {max(seen - start, 0.0):.1f} of {window:g} days, by {known_by}"
        followed = max(seen - start, 0.0) / window
        return Patient(subject, level, "pending", False, trigger, why, followed)
    wanted = _wanted(protocol)
    if len(given) < wanted:
        why = f"{len(given)} of {wanted} infusions that make a patient evaluable"
        return Patient(subject, level, "not_evaluable", False, trigger, why)
    late = toxic[toxic["time"] > start + window]["time"]
    outside = "".join(f"; a DLT {day - start:.1f} days in is outside the window" for day in late)
    return Patient(subject, level, "evaluable", False, trigger, f"{window:g} days without a DLT{outside}")


def _undosed(protocol: Protocol, subject: str, level: int, seen: float, trigger: bool) -> Patient:
    """A subject without an infusion of the level's product: not evaluable once the days for it are over."""
    days = protocol.dosing[protocol.level_product].begins_on_days
    if days is not None and seen <= days[1]:
        why = f"day {seen:.0f}: {protocol.level_product} may begin until day {days[1]:g}"
        return Patient(subject, level, "pending", False, trigger, why)
    return Patient(subject, level, "not_evaluable", False, trigger, f"no {protocol.level_product}")


def _wanted(protocol: Protocol) -> int:
    """Infusions of the level's product that make a patient evaluable."""
    given = protocol.dosing[protocol.level_product]
    per_cycle = len(given.days)
    return {"any_infusion": 1, "first_cycle": per_cycle, "every_cycle": per_cycle * given.cycles}[
        protocol.evaluable.requires.value or "any_infusion"
    ]


def _clock(protocol: Protocol, doses: DataFrame) -> float | None:
    """The day that the DLT window begins; None before it has."""
    which = protocol.dlt.clock.value or "first_car_t"
    end, _, product = which.partition("_")
    times = doses[doses["product"] == product]["time"]
    return None if times.empty else float(times.min() if end == "first" else times.max())


def _triggered(protocol: Protocol, doses: DataFrame, events: DataFrame) -> bool:
    if protocol.titration is None:
        return False
    return any(_fires(trigger, doses, events) for trigger in protocol.titration.triggers.value or ())


def _fires(trigger: Trigger, doses: DataFrame, events: DataFrame) -> bool:
    after = doses[doses["product"].isin(trigger.after)]["time"]
    if after.empty:
        return False
    named = events if trigger.term == "any" else events[events["event"] == trigger.term]
    hit = (named["grading_system"] == trigger.system) & (named["grade"] >= trigger.grade)
    return bool((hit & named["attribution"].isin(trigger.attribution) & (named["time"] >= after.min())).any())


def followed_until(study: Study, subject: str) -> tuple[float, str]:
    """The last day up to which a DLT of a subject would be known, and what says so.

    The column `followed_until` of subjects.csv (the visit or the data cutoff), else the last day that
    anything is recorded of it. Nobody is taken to be followed for longer than that.
    """
    tables = {"doses": study.doses, "observations": study.observations, "events": study.events}
    tables["responses"] = study.responses
    last = {name: float(rows["time"].max()) for name, t in tables.items() if len(rows := _of(t, subject))}
    name = max(last, key=lambda k: last[k], default="")
    if FOLLOWED_UNTIL in study.subjects.columns:
        day = float(study.subjects[FOLLOWED_UNTIL][subject])
        if day == day:  # not empty
            return day, FOLLOWED_UNTIL
    return last.get(name, 0.0), f"last record ({name}.csv)" if name else "no record"


def _of(table: DataFrame, subject: str) -> DataFrame:
    return table[table["subject"] == subject]
