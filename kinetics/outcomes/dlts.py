"""DLTs as a protocol counts them: by subject, as the history that a dose rule reads, and by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Literal

from pandas import DataFrame, concat
from pandas.api.types import is_numeric_dtype

from kinetics.arguments import require
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.escalation import Cohort, Decision, Rule
from kinetics.outcomes.arm_studies import study_of_arm
from kinetics.outcomes.proportions import proportion_columns
from kinetics.protocol import (
    ANY_INFUSION,
    LYMPHODEPLETION,
    Protocol,
    Trigger,
    clock_of,
    level_of,
    level_words,
    needed_infusions,
    protocol_of_arm,
)
from kinetics.study import Study

__all__ = [
    "FOLLOWED_UNTIL",
    "Patient",
    "Step",
    "dlt_table",
    "followed_until",
    "history_of",
    "patients_of",
    "replayed",
]

FOLLOWED_UNTIL = "followed_until"  # a column of subjects.csv: the day up to which a DLT was looked for

WHOLE_DAY = 0.5  # days within which an infusion or sample is on its planned day: a guess, for jittered times


@dataclass(frozen=True)
class Patient:
    """One subject as the rule sees it, and the reason for it. `level` counts from 1.

    `followed` is the share of the DLT window for which a pending subject was followed; 0 before the window
    began.
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
    """The rule's decision before a patient was treated; `legal`: the patient had the level that it gave."""

    subject: str
    level: int
    legal: bool
    decision: Decision


def patients_of(study: Study, protocol: Protocol, *, level_column: str = "dose_level") -> list[Patient]:
    """Every subject as the rule sees it, in the order of subjects.csv.

    StudyError lists everything that keeps a subject from being read.
    """
    require(study=(study, Study), protocol=(protocol, Protocol))
    _check_columns(study, level_column)
    levels, problems = _levels(study, protocol, level_column)
    problems += _follow_up_problems(study)
    problems += _product_problems(study, protocol)
    if problems:
        raise StudyError(problems)
    return [_patient(study, protocol, s, levels[s]) for s in study.subject_ids]


def history_of(
    patients: Sequence[Patient],
    responded: Mapping[str, bool | None] | None = None,
    watched: Mapping[str, float] | None = None,
) -> list[Cohort]:
    """One cohort a patient, in their order; a patient who is not evaluable was replaced and has none.

    `responded`: subject -> whether it responded, None where that is not known yet; for rules that look at
    responses (`kinetics.outcomes.known_responses`). `watched`: subject -> the share of the time for a
    response that it was followed, for rules that weigh it (`kinetics.outcomes.response_follow_up`).
    """
    history = []
    for p in patients:
        answer = False if responded is None else responded[p.subject]
        responses: dict[str, Any] = {
            "responses": int(answer is True),
            "response_pending": int(answer is None),
        }
        if answer is None and watched:
            responses["response_followed"] = watched.get(p.subject, 0.0)
        if p.status == "pending":
            trigger = int(p.trigger)
            cohort = Cohort(p.level, 0, 0, trigger, pending=1, followed=p.followed, **responses)
            history.append(cohort)
        elif p.status == "evaluable":
            trigger = int(p.trigger and not p.dlt)
            both = int(p.dlt and answer is True)
            cohort = Cohort(p.level, 1, int(p.dlt), trigger, dlts_with_response=both, **responses)
            history.append(cohort)
    return history


def replayed(rule: Rule, patients: Sequence[Patient]) -> list[Step]:
    """Compare each patient's level with the rule's decision, as if every earlier window had ended.

    For rules that answer with the open places of a cohort (3+3), not for those that decide anew for each
    patient.
    """
    steps = []
    for place, p in enumerate(patients):
        decision = rule.decide(history_of(patients[:place]))
        legal = decision.action == "treat" and decision.level == p.level
        steps.append(Step(p.subject, p.level, legal, decision))
    return steps


def dlt_table(
    study: Study, protocol: Protocol, *, level_column: str = "dose_level", level: float = 0.95
) -> DataFrame:
    """Dose-limiting toxicities by the protocol's window, clock and evaluability: one row per level.

    Where the protocol has arms, the first column is the arm, and every arm has a row for each level. Columns:
    level (from 1); dose (of the protocol); subjects; evaluable; pending; not_evaluable; dlts
    (evaluable subjects with one); estimate; lower; upper (Clopper-Pearson, of the evaluable, with probability
    `level`); with_dlt (who, and what); reason (why there is no estimate). StudyError as `patients_of`.
    """
    if protocol.arms is not None:
        tables = []
        for arm in protocol.arms.names:
            members = study_of_arm(study, protocol, arm)
            table = dlt_table(members, protocol_of_arm(protocol, arm), level_column=level_column, level=level)
            table.insert(0, "arm", arm)
            tables.append(table)
        return concat(tables, ignore_index=True)
    patients = patients_of(study, protocol, level_column=level_column)
    rows = []
    for number, dose in enumerate(protocol.levels, start=1):
        at_level = [p for p in patients if p.level == number]
        row: dict[str, float | str] = {"level": number, "dose": float(dose), "subjects": len(at_level)}
        for status in ("evaluable", "pending", "not_evaluable"):
            row[status] = sum(p.status == status for p in at_level)
        with_dlt = [p for p in at_level if p.status == "evaluable" and p.dlt]
        evaluable = sum(p.status == "evaluable" for p in at_level)
        row["dlts"] = len(with_dlt)
        row |= proportion_columns(len(with_dlt), evaluable, level, "no evaluable subject")
        row["with_dlt"] = "; ".join(f"{p.subject}: {p.why}" for p in with_dlt)
        rows.append(row)
    return DataFrame(rows)


def _check_columns(study: Study, level_column: str) -> None:
    """Raise StudyError where a column is missing that the history needs."""
    problems = []
    if level_column not in study.subjects.columns:
        what = f"no column {level_column!r}"
        remedy = did_you_mean(level_column, study.subjects.columns)
        problems.append(Problem(what, f"the assigned level of each subject: {remedy}", file="subjects.csv"))
    for column, values in (("dlt", "yes or no"), ("attribution", "a product")):
        if column not in study.events.columns:
            remedy = f"add `{column}` ({values}) and declare it"
            problems.append(Problem(f"no column {column!r}", remedy, file="events.csv"))
    if problems:
        raise StudyError(problems)


def _follow_up_problems(study: Study) -> Iterator[Problem]:
    """Records after the day up to which a subject was followed."""
    if FOLLOWED_UNTIL not in study.subjects.columns:
        return
    if not is_numeric_dtype(study.subjects[FOLLOWED_UNTIL]):
        remedy = 'declare it in dictionary.toml with unit = "day"'
        yield Problem("not a number of days", remedy, "subjects.csv", column=FOLLOWED_UNTIL)
        return
    last_days = study.subjects[FOLLOWED_UNTIL].to_dict()
    for name in ("doses", "observations", "events"):
        table = getattr(study, name)
        until = table["subject"].map(last_days)
        for row in table[table["time"] > until + WHOLE_DAY].to_dict("records"):
            what = f"day {row['time']:g}: later than {FOLLOWED_UNTIL} of subjects.csv"
            number = int(row["row"]) if "row" in row else None
            yield Problem(what, "correct one of the days", f"{name}.csv", number, str(row["subject"]))


def _product_problems(study: Study, protocol: Protocol) -> Iterator[Problem]:
    """Products of cells in doses.csv that the protocol does not give."""
    cells = study.doses[study.doses["unit"] == "cells"]
    for product in dict.fromkeys(map(str, cells["product"])):
        if product not in protocol.products:
            what = f"doses of {product}, which is no product of the protocol"
            remedy = did_you_mean(product, protocol.products)
            yield Problem(what, remedy, file="doses.csv", column="product", value=product)


def _levels(study: Study, protocol: Protocol, column: str) -> tuple[dict[str, int], list[Problem]]:
    """The level of every subject, and a Problem for each dose that is not a level of the protocol."""
    levels = {}
    problems = []
    for subject, cell in study.subjects[column].items():
        levels[str(subject)] = level_of(protocol, cell)
        if not levels[str(subject)]:
            problem = Problem(
                "is no level of the protocol",
                f"known: {level_words(protocol)}",
                file="subjects.csv",
                subject=str(subject),
                column=column,
                value=f"{cell:g}" if isinstance(cell, float) else str(cell),
            )
            problems.append(problem)
    return levels, problems


def _patient(study: Study, protocol: Protocol, subject: str, level: int) -> Patient:
    """One subject as the rule sees it, by the protocol's clock, DLT window and evaluability."""

    def patient(
        status: Literal["evaluable", "pending", "not_evaluable"],
        why: str,
        *,
        dlt: bool = False,
        followed: float = 0.0,
    ) -> Patient:
        return Patient(subject, level, status, dlt=dlt, trigger=trigger, why=why, followed=followed)

    doses = _rows_of(study.doses, subject)
    events = _rows_of(study.events, subject)
    product = protocol.level_product
    infusions = doses[doses["product"] == product]
    first = infusions["time"].min() if len(infusions) else float("inf")
    followed_to, known_by = followed_until(study, subject)
    starts = _window_starts(protocol, doses)
    window = protocol.dlt.window_days.value or 0.0
    trigger = _triggered(protocol, doses, events)
    toxic = events[events["dlt"] == "yes"]

    # a DLT before any infusion of the level's product, and none after
    before_level = protocol.dlt.after_other_product_only.value
    if len(toxic[toxic["time"] < first]) and not len(toxic[toxic["time"] >= first]):
        if before_level == "at_assigned_level":
            return patient("evaluable", "a DLT before any infusion of the level", dlt=True)
        if not len(infusions):
            return patient("not_evaluable", "a DLT before any infusion of the level counts at no level")

    # no infusion, or no window yet: not evaluable once the days for the first infusion are over
    if not starts or not len(infusions):
        dosing = protocol.dosing.get(product)
        days = None if dosing is None else dosing.begins_on_days
        if days is not None and followed_to <= days[1]:
            return patient("pending", f"day {followed_to:.0f}: {product} may begin until day {days[1]:g}")
        return patient("not_evaluable", f"no {product}")

    start = starts[-1]  # of the last window: the only one, unless every infusion opens one
    counts_from = first if before_level == "at_no_level" else min(first, starts[0])
    days_in = toxic["time"].map(lambda day: _days_in(float(day), starts))
    within = toxic[(toxic["time"] >= counts_from) & (days_in <= window)]
    if len(within):
        e = within.iloc[0]
        event = f"{e['event']} grade {e['grade']:g} ({e['grading_system']})"
        return patient("evaluable", f"DLT: {event} {_days_in(e['time'], starts):.1f} days in", dlt=True)

    if followed_to < start + window - WHOLE_DAY:
        days_followed = max(followed_to - start, 0.0)
        why = f"followed {days_followed:.1f} of {window:g} days, by {known_by}"
        return patient("pending", why, followed=days_followed / window)

    needed = needed_infusions(protocol, level)
    if len(infusions) < needed:
        why = f"{len(infusions)} of {needed} infusions that make a patient evaluable"
        return patient("not_evaluable", why)

    late = toxic[days_in > window]["time"]
    outside = "".join(
        f"; a DLT {_days_in(float(day), starts):.1f} days in is outside the window" for day in late
    )
    return patient("evaluable", f"{window:g} days without a DLT{outside}")


def _days_in(day: float, starts: Sequence[float]) -> float:
    """Days from the last window that had begun by `day`, or to the first (below 0) where none had."""
    return day - max((start for start in starts if start <= day), default=starts[0])


def _window_starts(protocol: Protocol, doses: DataFrame) -> list[float]:
    """The days on which a DLT window begins, in their order; none before the first has."""
    clock = clock_of(protocol.dlt.clock.value or f"first_{protocol.level_product}")
    if clock.product == ANY_INFUSION:
        counted = doses["unit"] == "cells"
    elif clock.product == LYMPHODEPLETION:
        drugs = [drug.drug for drug in protocol.lymphodepletion]
        counted = doses["product"].isin([LYMPHODEPLETION, *drugs])
    else:
        counted = doses["product"] == clock.product
    days = sorted(map(float, doses["time"][counted]))
    if clock.end == "each" or not days:
        return days
    return [days[0] if clock.end == "first" else days[-1]]


def _triggered(protocol: Protocol, doses: DataFrame, events: DataFrame) -> bool:
    """Whether a subject had an event that ends the protocol's accelerated titration."""
    if protocol.titration is None:
        return False
    return any(_fires(trigger, doses, events) for trigger in protocol.titration.triggers.value or ())


def _fires(trigger: Trigger, doses: DataFrame, events: DataFrame) -> bool:
    """Whether an event is a trigger's term, grade and attribution, from the first dose of its products on."""
    after = doses[doses["product"].isin(trigger.after)]["time"]
    if after.empty:
        return False
    named = events if trigger.term == "any" else events[events["event"] == trigger.term]
    graded = (named["grading_system"] == trigger.system) & (named["grade"] >= trigger.grade)
    attributed = named["attribution"].isin(trigger.attribution)
    return bool((graded & attributed & (named["time"] >= after.min())).any())


def followed_until(study: Study, subject: str) -> tuple[float, str]:
    """The last day up to which a DLT of a subject would be known, and the record that says so.

    It is the column `followed_until` of subjects.csv (the visit or the data cutoff), else the last day on
    which anything of the subject is recorded. No subject is taken to be followed for longer than that.
    """
    if FOLLOWED_UNTIL in study.subjects.columns:
        day = float(study.subjects[FOLLOWED_UNTIL][subject])
        if not isnan(day):  # the cell is not empty
            return day, FOLLOWED_UNTIL
    last: dict[str, float] = {}
    for name in ("doses", "observations", "events", "responses"):
        rows = _rows_of(getattr(study, name), subject)
        if len(rows):
            last[name] = float(rows["time"].max())
    if not last:
        return 0.0, "no record"
    latest = max(last, key=lambda name: last[name])
    return last[latest], f"last record ({latest}.csv)"


def _rows_of(table: DataFrame, subject: str) -> DataFrame:
    return table[table["subject"] == subject]
