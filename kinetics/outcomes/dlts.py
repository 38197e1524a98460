"""DLTs as a protocol counts them: by subject, as the history that a dose rule reads, and by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any, Literal

from pandas import DataFrame, concat, isna

from kinetics.arguments import require
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.escalation import Cohort, Decision, Rule
from kinetics.outcomes.arm_studies import study_of_arm
from kinetics.outcomes.enrolment import enrolment_order
from kinetics.outcomes.escalation_population import outside_of_escalation, population_problems
from kinetics.outcomes.leaving import (
    FOLLOWED_UNTIL,
    Departure,
    departures_of,
    follow_up_problems,
    followed_until,
)
from kinetics.outcomes.proportions import proportion_columns
from kinetics.outcomes.received_dose import (
    OtherDose,
    first_cycle_of,
    infusion_days,
    other_dose_problems,
    other_doses,
)
from kinetics.outcomes.stated_evaluability import DLT_EVALUABLE, evaluability_problems, stated_evaluable
from kinetics.outcomes.trial_days import ends_by, from_day, in_window
from kinetics.outcomes.triggers import Event, dlt_problems, is_adverse, trigger_problems, triggered
from kinetics.outcomes.vital_status import DEATH, PROGRESSION
from kinetics.protocol import (
    ANY_INFUSION,
    LYMPHODEPLETION,
    Protocol,
    clock_of,
    level_of,
    level_words,
    needed_infusions,
    protocol_of_arm,
)
from kinetics.study import Study

__all__ = [
    "Patient",
    "Step",
    "UncountedDlt",
    "dlt_table",
    "history_of",
    "patients_of",
    "replayed",
    "uncounted_dlts",
]

Status = Literal["evaluable", "pending", "not_evaluable"]


@dataclass(frozen=True)
class Patient:
    """One subject as the rule sees it, and the reason for it. `level` counts from 1.

    `followed` is the share of the DLT window for which a pending subject was followed; 0 before the window
    began. `outside` says why the escalation does not count the subject at all (phase IB, backfill), "" where
    it does; such a subject may have had a dose that is no level, which is level 0. `other_dose` says which
    dose was received where it is not the assigned level's, and `assigned` is that level.
    """

    subject: str
    level: int
    status: Status
    dlt: bool
    trigger: bool
    why: str
    followed: float = 0.0
    outside: str = ""
    other_dose: str = ""
    assigned: int = 0

    @property
    def counts(self) -> bool:
        """Whether a rule counts the subject, as evaluable or pending."""
        return self.status != "not_evaluable" and not self.outside


@dataclass(frozen=True)
class Step:
    """The rule's decision before a patient was treated; `legal`: the patient had the level that it gave."""

    subject: str
    level: int
    legal: bool
    decision: Decision


@dataclass(frozen=True)
class UncountedDlt:
    """A DLT that no level counts: whose, what, on which day, and why."""

    subject: str
    event: str
    day: float
    why: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.event} on day {self.day:g}; {self.why}"


def patients_of(study: Study, protocol: Protocol, *, level_column: str = "dose_level") -> list[Patient]:
    """Every subject as the rule sees it, in the order of enrolment.

    The order is that of `enrolled_on` or `enrolment` of subjects.csv; without them, of the rows. StudyError
    lists everything that keeps a subject from being read, or that somebody has to answer first.
    """
    require(study=(study, Study), protocol=(protocol, Protocol))
    _check_columns(study, level_column)
    outside = outside_of_escalation(study, protocol)
    levels, problems = _levels(study, protocol, level_column, outside)
    problems += follow_up_problems(study)
    problems += evaluability_problems(study)
    problems += _product_problems(study, protocol)
    problems += population_problems(study, protocol)
    problems += dlt_problems(study, protocol)
    others = other_doses(study, protocol, levels)
    problems += other_dose_problems(study, protocol, others)
    order = enrolment_order(study)
    if problems:
        raise StudyError(problems)
    departures = departures_of(study)
    stated = stated_evaluable(study)
    patients = []
    for subject in study.subject_ids:
        facts = _facts(study, protocol, subject, departures.get(subject))
        other = others.get(subject)
        level = levels[subject]
        patient, more = _patient(protocol, facts, level, other)
        patient, contradictions = _as_stated(patient, stated.get(subject))
        problems += contradictions
        titrated = protocol.titration is not None and level <= (protocol.titration.levels.value or inf)
        if titrated and subject not in outside:
            problems += trigger_problems(protocol, facts.doses, facts.events, facts.start)
        problems += more
        patients.append(replace(patient, outside=outside.get(subject, "")))
    if problems:
        raise StudyError(problems)
    return sorted(patients, key=lambda p: order.get(p.subject, inf))


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
        if not p.counts:
            continue
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
        else:
            trigger = int(p.trigger and not p.dlt)
            both = int(p.dlt and answer is True)
            cohort = Cohort(p.level, 1, int(p.dlt), trigger, dlts_with_response=both, **responses)
        history.append(cohort)
    return history


def replayed(rule: Rule, patients: Sequence[Patient], *, whole_cohorts: bool = False) -> list[Step]:
    """Compare each patient's level with the rule's decision, as if every earlier window had ended.

    The patients are in the order of their enrolment; those whom the escalation does not count are left out.
    With `whole_cohorts` the patients for whom a decision had room may be treated whatever becomes of the
    first of them. For rules that answer with the open places of a cohort (3+3), not for those that decide
    anew for each patient.
    """
    steps = []
    escalated = [p for p in patients if not p.outside]
    room_at = 0
    room = 0
    for place, p in enumerate(escalated):
        level = p.assigned or p.level
        decision = rule.decide(history_of(escalated[:place]))
        legal = decision.action == "treat" and decision.level == level
        if legal:
            room_at = level
            room = decision.size
        elif whole_cohorts and level == room_at and room > 0:
            legal = True
        room -= 1
        steps.append(Step(p.subject, level, legal, decision))
    return steps


def uncounted_dlts(study: Study, protocol: Protocol, patients: Sequence[Patient]) -> list[UncountedDlt]:
    """Every DLT of events.csv that no level counts, with the reason, in the order of the patients."""
    if "dlt" not in study.events.columns:
        return []
    departures = departures_of(study)
    dlts = []
    for p in patients:
        if p.dlt and p.counts:
            continue
        facts = _facts(study, protocol, p.subject, departures.get(p.subject))
        for event in facts.toxic:
            why = p.outside or _why_uncounted(protocol, facts, event, p)
            dlts.append(UncountedDlt(p.subject, _named(event), float(event["time"]), why))
    return dlts


def _why_uncounted(protocol: Protocol, facts: _Facts, event: Event, patient: Patient) -> str:
    """Why the DLT of a patient of the escalation counts at no level."""
    product = protocol.level_product
    if not facts.infusion_days:
        return f"before any {product}, and there was none"
    if not from_day(float(event["time"]), facts.infusion_days[0]):
        return f"before any {product}"
    if facts.start is not None and not facts.in_a_window(event):
        return f"{facts.days_in(float(event['time'])):.1f} days in: outside of the DLT window"
    return patient.why


def dlt_table(
    study: Study, protocol: Protocol, *, level_column: str = "dose_level", level: float = 0.95
) -> DataFrame:
    """Dose-limiting toxicities by the protocol's window, clock and evaluability: one row per level.

    Where the protocol has arms, the first column is the arm, and every arm has a row for each level. Columns:
    level (from 1); dose (of the protocol); subjects (of the escalation); evaluable; pending; not_evaluable;
    dlts (evaluable subjects with one); estimate; lower; upper (Clopper-Pearson, of the evaluable, with
    probability `level`); with_dlt (who, and what); reason (why there is no estimate); outside (subjects at
    the level whom the escalation does not count). StudyError as `patients_of`.
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
        at_level = [p for p in patients if p.level == number and not p.outside]
        row: dict[str, float | str] = {"level": number, "dose": float(dose), "subjects": len(at_level)}
        for status in ("evaluable", "pending", "not_evaluable"):
            row[status] = sum(p.status == status for p in at_level)
        with_dlt = [p for p in at_level if p.status == "evaluable" and p.dlt]
        evaluable = sum(p.status == "evaluable" for p in at_level)
        row["dlts"] = len(with_dlt)
        row |= proportion_columns(len(with_dlt), evaluable, level, "no evaluable subject")
        row["with_dlt"] = "; ".join(f"{p.subject}: {p.why}" for p in with_dlt)
        row["outside"] = sum(p.level == number and p.outside != "" for p in patients)
        rows.append(row)
    return DataFrame(rows)


def _check_columns(study: Study, level_column: str) -> None:
    """Raise StudyError where a column is missing that the history needs.

    Without an adverse event there is nothing to be said of one, so events.csv may be absent.
    """
    problems = []
    if level_column not in study.subjects.columns:
        what = f"no column {level_column!r}"
        remedy = did_you_mean(level_column, study.subjects.columns)
        problems.append(Problem(what, f"the assigned level of each subject: {remedy}", file="subjects.csv"))
    adverse = any(is_adverse(event) for event in study.events.to_dict("records"))
    for column, values in (("dlt", "yes or no"), ("attribution", "a product")):
        if adverse and column not in study.events.columns:
            remedy = f"add `{column}` ({values}) and declare it"
            problems.append(Problem(f"no column {column!r}", remedy, file="events.csv"))
    if problems:
        raise StudyError(problems)


def _product_problems(study: Study, protocol: Protocol) -> Iterator[Problem]:
    """Products of cells in doses.csv that the protocol does not give."""
    cells = study.doses[study.doses["unit"] == "cells"]
    for product in dict.fromkeys(map(str, cells["product"])):
        if product not in protocol.products:
            what = f"doses of {product}, which is no product of the protocol"
            remedy = did_you_mean(product, protocol.products)
            yield Problem(what, remedy, file="doses.csv", column="product", value=product)


def _levels(
    study: Study, protocol: Protocol, column: str, outside: Mapping[str, str]
) -> tuple[dict[str, int], list[Problem]]:
    """The level of every subject, and a Problem for each dose that is not a level of the protocol.

    Subjects whom the escalation does not count may have had another dose, which is level 0.
    """
    levels = {}
    problems = []
    for subject, cell in study.subjects[column].items():
        levels[str(subject)] = level_of(protocol, cell)
        if not levels[str(subject)] and str(subject) not in outside:
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


@dataclass(frozen=True)
class _Facts:
    """What the tables say of one subject.

    `infusions` are those of the level's product, `infusion_days` their days. `starts` are the days on which a
    DLT window begins: one, unless every infusion opens one, and none before the first; `window` is its
    length. `progressed` is the day of the first
    progression, NaN without one. The rows of `doses` and `events` are in the order of their times.
    """

    subject: str
    doses: Sequence[Event]
    events: Sequence[Event]
    infusions: DataFrame
    infusion_days: list[float]
    starts: list[float]
    window: float
    followed_to: float
    known_by: str
    left: Departure | None
    progressed: float

    @property
    def toxic(self) -> Sequence[Event]:
        """The events that are DLTs."""
        return [event for event in self.events if event.get("dlt") == "yes"]

    @property
    def start(self) -> float | None:
        """The day on which the last window begins; None before one has."""
        return self.starts[-1] if self.starts else None

    def days_in(self, day: float) -> float:
        """Days from the last window that had begun by `day`; to the first (below 0) where none had."""
        begun = [start for start in self.starts if from_day(day, start)]
        return day - (begun[-1] if begun else self.starts[0])

    def in_a_window(self, event: Event) -> bool:
        """Whether an event lies before the end of the window that had begun by then."""
        return in_window(self.days_in(float(event["time"])), self.window)


def _facts(study: Study, protocol: Protocol, subject: str, left: Departure | None) -> _Facts:
    """The facts of one subject."""
    doses = _rows_of(study.doses, subject)
    infusions = doses[doses["product"] == protocol.level_product]
    followed_to, known_by = followed_until(study, subject)
    if left is not None and (known_by != FOLLOWED_UNTIL or left.day < followed_to):
        followed_to = left.day
        known_by = left.why
    return _Facts(
        subject=subject,
        doses=doses.to_dict("records"),
        events=_rows_of(study.events, subject).to_dict("records"),
        infusions=infusions,
        infusion_days=infusion_days(infusions),
        starts=_window_starts(protocol, doses),
        window=protocol.dlt.window_days.value or 0.0,
        followed_to=followed_to,
        known_by=known_by,
        left=left,
        progressed=_progressed(study, subject),
    )


def _patient(
    protocol: Protocol, facts: _Facts, level: int, other: OtherDose | None
) -> tuple[Patient, list[Problem]]:
    """One subject as the rule sees it, by the protocol's clock, DLT window, evaluability and received dose.

    The problems are points of the protocol that are open and on which this subject depends.
    """
    trigger = triggered(protocol, facts.doses, facts.events, facts.start)
    status, why, dlt, followed = _status(protocol, facts, level)
    patient = Patient(facts.subject, level, status, dlt=dlt, trigger=trigger, why=why, followed=followed)
    problems = []
    if status == "asked":
        what = f"{why}, and `evaluable.progression` of the protocol is open"
        problems.append(Problem(what, "settle it: kinetics lint says how", "", None, facts.subject))
    if other is None:
        return patient, problems
    patient = replace(patient, other_dose=str(other), assigned=level)
    if protocol.evaluable.other_dose.value == "as_treated":
        if other.level is not None:
            return replace(patient, level=other.level, why=f"{why}; counts as treated"), problems
        if dlt:
            what = f"{other}, and had a DLT: as treated, it is at no level"
            remedy = "the protocol's `evaluable.other_dose` must say at which level such a DLT counts"
            problems.append(Problem(what, remedy, "doses.csv", None, facts.subject))
        return replace(patient, status="not_evaluable", why="the dose received is no level"), problems
    if protocol.evaluable.other_dose.value == "not_evaluable" and not dlt:
        return replace(patient, status="not_evaluable", followed=0.0, why=str(other)), problems
    return replace(patient, why=f"{why}; counts as assigned"), problems


def _as_stated(patient: Patient, evaluable: bool | None) -> tuple[Patient, list[Problem]]:
    """The subject as `dlt_evaluable` of subjects.csv says, and the problem of a contradiction."""
    contradiction = ""
    if evaluable is False and patient.dlt:
        contradiction = f"no, and the tables say otherwise ({patient.why}): a DLT counts"
    if evaluable is True and patient.status == "not_evaluable":
        contradiction = f"yes, and the tables say otherwise: {patient.why}"
    if contradiction:
        remedy = "correct the column, or the table that is wrong; the protocol says who is evaluable"
        problem = Problem(
            f"it says {contradiction}", remedy, "subjects.csv", subject=patient.subject, column=DLT_EVALUABLE
        )
        return patient, [problem]
    if evaluable is False and patient.status != "not_evaluable":
        why = f"{DLT_EVALUABLE} of subjects.csv says no ({patient.why})"
        return replace(patient, status="not_evaluable", followed=0.0, why=why), []
    return patient, []


def _status(protocol: Protocol, facts: _Facts, level: int) -> tuple[Any, str, bool, float]:
    """The status of a subject, the reason, whether there was a DLT, and the share of the window followed.

    The status is "asked" where it depends on an open point.
    """
    product = protocol.level_product
    toxic = facts.toxic
    first = facts.infusion_days[0] if facts.infusion_days else inf
    at_level = [event for event in toxic if from_day(float(event["time"]), first)]

    # a DLT before any infusion of the level's product, and none after
    before_level = protocol.dlt.after_other_product_only.value
    if toxic and not at_level:
        if before_level == "at_assigned_level":
            return "evaluable", "a DLT before any infusion of the level", True, 0.0
        if not facts.infusion_days:
            return "not_evaluable", "a DLT before any infusion of the level counts at no level", False, 0.0

    # no infusion, or no window yet: not evaluable once the days for the first infusion are over
    start = facts.start
    if start is None or not facts.infusion_days:
        dosing = protocol.dosing.get(product)
        days = None if dosing is None else dosing.begins_on_days
        if days is not None and in_window(facts.followed_to, days[1]):
            if facts.left is not None:
                return "not_evaluable", f"no {product}, {_left_on(facts.left)}", False, 0.0
            why = f"day {facts.followed_to:.0f}: {product} may begin until day {days[1]:g}"
            return "pending", why, False, 0.0
        return "not_evaluable", f"no {product}", False, 0.0

    end = start + facts.window
    counts_from = first if before_level == "at_no_level" else min(first, facts.starts[0])
    within = [e for e in toxic if from_day(float(e["time"]), counts_from) and facts.in_a_window(e)]
    if within:
        event = within[0]
        days_in = facts.days_in(float(event["time"]))
        return "evaluable", f"DLT: {_named(event)} {days_in:.1f} days in", True, 0.0

    progression = protocol.evaluable.progression.value
    progressed = from_day(facts.progressed, start) and in_window(facts.progressed, end)
    if progressed and progression == "not_evaluable":
        why = f"progression {facts.progressed - start:.1f} days in, without a DLT"
        return "not_evaluable", why, False, 0.0

    followed = max(facts.followed_to - start, 0.0)
    so_far = f"followed {followed:.1f} of {facts.window:g} days"
    if not ends_by(end, facts.followed_to):
        if facts.left is None:
            return "pending", f"{so_far}, by {facts.known_by}", False, followed / facts.window
        left = f"{so_far}, {_left_on(facts.left)}"
        if progressed and progression is None:
            return "asked", f"{left} after progression", False, 0.0
        if progressed and progression == "evaluable":
            return "evaluable", f"{left} after progression, which counts as without a DLT", False, 0.0
        return "not_evaluable", f"{left}, without a DLT", False, 0.0

    needed, infusions = _needed_infusions(protocol, facts, level)
    if infusions < needed:
        why = f"{infusions} of {needed} infusions that make a patient evaluable"
        return "not_evaluable", why, False, 0.0
    if progressed and progression is None:
        return "asked", f"progression {facts.progressed - start:.1f} days in", False, 0.0
    late = [facts.days_in(float(e["time"])) for e in toxic if not facts.in_a_window(e)]
    outside = "".join(f"; a DLT {days:.1f} days in is outside the window" for days in late)
    return "evaluable", f"{facts.window:g} days without a DLT{outside}", False, 0.0


def _left_on(departure: Departure) -> str:
    return f"left on day {departure.day:g} ({departure.why})"


def _named(event: Event) -> str:
    """An event with its grade."""
    if isna(event["grade"]):
        return f"{event['event']} without a grade"
    return f"{event['event']} grade {event['grade']:g} ({event['grading_system']})"


def _needed_infusions(protocol: Protocol, facts: _Facts, level: int) -> tuple[int, int]:
    """Infusions of the level's product that make a patient evaluable, and how many of those there were."""
    infusions = facts.infusion_days
    if protocol.evaluable.requires.value == "first_cycle":
        infusions = infusion_days(first_cycle_of(protocol, facts.infusions))
    return needed_infusions(protocol, level), len(infusions)


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


def _progressed(study: Study, subject: str) -> float:
    """The day of a subject's first progression: a response PD, or an event; a death of disease is one too."""
    days = []
    events = study.events[study.events["subject"] == subject]
    for event in events.to_dict("records"):
        of_disease = event["event"] == DEATH and str(event.get("attribution")) in ("disease", "progression")
        if event["event"] == PROGRESSION or of_disease:
            days.append(float(event["time"]))
    if "overall" in study.responses.columns:
        responses = study.responses[study.responses["subject"] == subject]
        days += responses.loc[responses["overall"] == "PD", "time"].astype(float).tolist()
    return min(days, default=nan)


def _rows_of(table: DataFrame, subject: str) -> DataFrame:
    """The rows of one subject by time, whatever their order in the table."""
    keys = [key for key in ("time", "event", "grade", "product", "amount") if key in table.columns]
    return table[table["subject"] == subject].sort_values(keys, kind="stable")
