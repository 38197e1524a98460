"""A protocol's stopping clauses, applied to the adverse events of a study.

All subjects are looked at, those whom the escalation does not count too. A death that is due to a study
product is always asked about: it meets a clause, or it is a problem that names the clause to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from pandas import isna

from kinetics.arguments import require
from kinetics.errors import Problem, StudyError
from kinetics.outcomes.event_names import event_name
from kinetics.outcomes.trial_days import from_day, in_window
from kinetics.outcomes.triggers import Answer, Event, attribution_of, dlt_problems, event_problem, is_adverse
from kinetics.outcomes.vital_status import DEATH
from kinetics.protocol import Protocol, StoppingClause
from kinetics.study import Study

__all__ = ["StoppingState", "stopping_states"]

FATAL = 5  # CTCAE and ASTCT: grade 5 is death


@dataclass(frozen=True)
class StoppingState:
    """A stopping clause, and how near it is to stopping enrolment.

    `words` is the clause. `applied`: it says what is counted; another is only shown. `patients` are those who
    had such an event, each with the event; `stops_at` is how many of them stop enrolment. `resumed` is why
    the safety board let the trial go on, where it did.
    """

    words: str
    applied: bool
    patients: tuple[str, ...] = ()
    stops_at: int = 0
    resumed: str = ""

    @property
    def met(self) -> bool:
        """Whether the clause stops enrolment."""
        return self.applied and len(self.patients) >= self.stops_at

    def __str__(self) -> str:
        if not self.applied:
            return f"{self.words} (in words: the program does not apply it)"
        patients = f": {'; '.join(self.patients)}" if self.patients else ""
        text = f"{self.words} ({len(self.patients)} of {self.stops_at}{patients})"
        if self.resumed:
            text += f"; resumed before: {self.resumed}"
        return f"MET: {text}" if self.met else text

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for `--json`."""
        return asdict(self) | {"met": self.met}


def stopping_states(protocol: Protocol, study: Study | None = None) -> list[StoppingState]:
    """Every stopping clause of a protocol with the patients of a study who had what it counts.

    Without a study nobody was treated. StudyError lists the events of which it cannot be told whether they
    count, and the deaths by the treatment that no clause counts.
    """
    require(protocol=(protocol, Protocol), study=(study, Study | None))
    if study is None:
        return [_state(clause, []) for clause in protocol.stopping]
    problems = []
    states = []
    counted: set[tuple[str, float]] = set()
    for clause in protocol.stopping:
        patients: dict[str, str] = {}
        if clause.applied:
            problems += _asked(clause, protocol, study)
            for event in _events_of(clause, protocol, study):
                counted.add((str(event["subject"]), float(event["time"])))
                patients.setdefault(str(event["subject"]), _shown(event))
        states.append(_state(clause, [f"{subject} {event}" for subject, event in sorted(patients.items())]))
    problems += _deaths_of_no_clause(protocol, study, counted)
    if problems:
        raise StudyError(list(dict.fromkeys([*dlt_problems(study, protocol), *problems])))
    return states


def _state(clause: StoppingClause, patients: list[str]) -> StoppingState:
    resumed = "" if clause.resumed is None else clause.resumed.because
    stops_at = clause.stops_at if clause.applied else 0
    return StoppingState(clause.words, clause.applied, tuple(patients), stops_at, resumed)


def _events_of(clause: StoppingClause, protocol: Protocol, study: Study) -> list[Event]:
    """The events that a clause counts, by subject and time."""
    table = study.events.sort_values(["subject", "time"], kind="stable")
    return [event for event in table.to_dict("records") if _counts(clause, event, protocol, study) == "yes"]


def _asked(clause: StoppingClause, protocol: Protocol, study: Study) -> Iterator[Problem]:
    """Events that a clause would count but for a scale, an attribution or a missing grade."""
    for event in study.events.to_dict("records"):
        if _counts(clause, event, protocol, study) != "asked":
            continue
        what = f"it may meet the stopping clause {clause.words!r}"
        if _attributed(clause, event, protocol, study) == "asked":
            products = ", ".join(clause.attribution or sorted(protocol.products))
            remedy = f"write what it is due to: {products}, disease or other"
            yield event_problem(event, f"{what}, and its attribution does not say", remedy, "attribution")
        elif isna(event["grade"]):
            yield event_problem(event, f"{what}, and it has no grade", "grade it", "grade")
        else:
            remedy = "grades never convert: grade it so, or write a clause for the other scale"
            yield event_problem(event, f"{what}, which is by {clause.system}", remedy, "grading_system")


def _counts(clause: StoppingClause, event: Event, protocol: Protocol, study: Study) -> Answer:
    """Whether a clause counts an event."""
    if not _is_named(clause, event) or not _in_time(clause, event, protocol, study):
        return "no"
    if clause.dlt and event.get("dlt") != "yes":
        return "no"
    answers = {_graded(clause, event), _attributed(clause, event, protocol, study)}
    if "no" in answers:
        return "no"
    return "asked" if "asked" in answers else "yes"


def _is_named(clause: StoppingClause, event: Event) -> bool:
    """Whether an event has the clause's name; a death without a grade is an event of grade 5."""
    if clause.event not in ("", "any"):
        return event_name(event["event"]) == event_name(clause.event)
    return is_adverse(event) or _is_fatal(event)


def _is_fatal(event: Event) -> bool:
    return event["grade"] == FATAL or (event["event"] == DEATH and bool(isna(event["grade"])))


def _graded(clause: StoppingClause, event: Event) -> Answer:
    """Whether an event has at least the clause's grade, by the clause's scale."""
    if clause.grade is None or _is_fatal(event):
        return "yes"
    if isna(event["grade"]):
        return "asked" if is_adverse(event) else "no"
    if event["grade"] < clause.grade:
        return "no"
    return "yes" if clause.system in (None, event["grading_system"]) else "asked"


def _attributed(clause: StoppingClause, event: Event, protocol: Protocol, study: Study) -> Answer:
    """Whether an event is due to the clause's products; a death without a word on it is not."""
    if "any" in clause.attribution or (clause.dlt and not clause.attribution):
        return "yes"
    products = frozenset(map(str, clause.attribution or protocol.products))
    answer = attribution_of(
        event, products, frozenset([*protocol.products, *study.doses["product"].map(str)])
    )
    return "no" if answer == "asked" and not is_adverse(event) else answer


def _in_time(clause: StoppingClause, event: Event, protocol: Protocol, study: Study) -> bool:
    """Whether an event lies after the first infusion of one product, before the other, and in the window."""
    doses = study.doses[study.doses["subject"] == event["subject"]]
    products = [clause.after] if clause.after else list(protocol.products)
    first = min(doses.loc[doses["product"].isin(products), "time"].astype(float), default=inf)
    time = float(event["time"])
    if not from_day(time, first):
        return False
    if clause.before is not None:
        other = min(doses.loc[doses["product"] == clause.before, "time"].astype(float), default=inf)
        if from_day(time, other):
            return False
    return clause.within_days is None or in_window(time, first + clause.within_days)


def _deaths_of_no_clause(
    protocol: Protocol, study: Study, counted: set[tuple[str, float]]
) -> Iterator[Problem]:
    """Deaths that are due to a study product, or may be, and that no clause counts."""
    products = frozenset(map(str, protocol.products))
    others = frozenset(study.doses["product"].map(str))
    counted_subjects = {subject for subject, _ in counted}
    graded_subjects = set(study.events.loc[study.events["grade"] == FATAL, "subject"])
    for event in study.events.to_dict("records"):
        key = (str(event["subject"]), float(event["time"]))
        if not _is_fatal(event) or key in counted:
            continue
        answer = attribution_of(event, products, others - products)
        unsaid = answer == "asked" and not is_adverse(event)  # a death without a word on it
        same_death = event["event"] == DEATH and key[0] in counted_subjects | graded_subjects
        if answer == "no" or unsaid or same_death:
            continue
        what = "a death by the treatment, and no stopping clause of the protocol counts it"
        remedy = (
            "write what follows: [[stopping]] with words and grade = 5; once the safety board has decided, "
        )
        remedy += "`resumed` with patients and because"
        if answer == "asked":
            what = "a death, and its attribution does not say whether it is by the treatment"
            remedy = f"write what it is due to: {', '.join(sorted(products))}, disease or other"
        yield event_problem(event, what, remedy, "attribution")


def _shown(event: Event) -> str:
    grade = "" if isna(event["grade"]) else f" grade {event['grade']:g} ({event['grading_system']})"
    return f"{event['event']}{grade} on day {event['time']:g}"
