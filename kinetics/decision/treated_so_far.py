"""What a dose decision looks at before its rule: the order of enrolment, stopping clauses, DLTs at no level.

`kinetics next` and `kinetics recommend` ask the same questions here, so that they cannot answer differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, permutations, product
from math import factorial, prod
from typing import Any

from kinetics.errors import Problem, StudyError
from kinetics.escalation import Cohort, Decision, Rule, answers_of_orders, order_matters
from kinetics.outcomes import (
    DEATH,
    ENROLLED_ON,
    ENROLMENT,
    Patient,
    StoppingState,
    UncountedDlt,
    enrolment_order,
    history_of,
    patients_of,
    stopping_states,
    uncounted_dlts,
)
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["TreatedSoFar", "history_in_order", "nobody_counts", "stopped", "treated_so_far"]

FATAL = 5  # CTCAE and ASTCT: grade 5 is death
MOST_ORDERS = 5000  # orders of subjects enrolled on one day that are tried out


@dataclass(frozen=True)
class TreatedSoFar:
    """The patients of a study as a protocol counts them, in the order of enrolment where that is known.

    `places`: subject -> its place in that order; subjects of one place, or without one, are unordered.
    `stopping` are the protocol's stopping clauses, `uncounted` the DLTs that no level counts, and `notes`
    what a reader should know of how the tables were read.
    """

    patients: Sequence[Patient]
    places: Mapping[str, float]
    stopping: Sequence[StoppingState]
    uncounted: Sequence[UncountedDlt]
    notes: Sequence[str]

    @property
    def ordered(self) -> bool:
        """Whether the order of those whom the escalation counts is known, each in a place of its own."""
        return self._has_places([p.subject for p in self.patients if not p.outside])

    def _has_places(self, subjects: Sequence[str]) -> bool:
        """Whether each of these subjects has a place of its own."""
        places = {self.places[subject] for subject in subjects if subject in self.places}
        return len(places) == len(subjects)

    def check_order(self, rule: Rule, history: Sequence[Cohort]) -> None:
        """StudyError where the answer of a rule depends on an order of enrolment that nothing says.

        `history` has one cohort for each patient who counts, in the order of the patients.
        """
        counted = [p.subject for p in self.patients if p.counts]
        if not order_matters(rule) or self._has_places(counted):
            return
        unplaced = [subject for subject in counted if subject not in self.places]
        answers: Sequence[Decision]
        if unplaced:
            answers = answers_of_orders(rule, history)
        else:
            answers = _answers_of_ties(rule, history, [self.places[subject] for subject in counted])
        if len(answers) < 2:
            return
        either = " or ".join(_in_short(answer) for answer in answers)
        if unplaced and len(unplaced) < len(counted):
            who = f"the order of {', '.join(unplaced)}"
        elif unplaced:
            who = "the order in which the subjects were enrolled"
        else:
            who = f"the order of subjects with one {ENROLLED_ON}"
        what = f"the answer of this rule depends on {who}, which no column says: {either}"
        remedy = f"add `{ENROLLED_ON}` (a date) or `{ENROLMENT}` (1, 2, 3, ...), and declare it as a note"
        raise StudyError(Problem(what, remedy, file="subjects.csv"))


def treated_so_far(
    protocol: Protocol, study: Study | None, *, level_column: str = "dose_level"
) -> TreatedSoFar:
    """The patients of a study as a protocol counts them; without a study nobody was treated.

    StudyError lists everything that somebody has to answer first.
    """
    if study is None:
        return TreatedSoFar([], {}, stopping_states(protocol), [], [])
    problems: list[Problem] = []
    patients: list[Patient] = []
    states: list[StoppingState] = []
    try:
        patients = patients_of(study, protocol, level_column=level_column)
    except StudyError as error:
        problems += error.problems
    try:
        states = stopping_states(protocol, study)
    except StudyError as error:
        problems += error.problems
    if problems:
        raise StudyError(list(dict.fromkeys(problems)))
    places = enrolment_order(study)
    return TreatedSoFar(
        patients, places, states, uncounted_dlts(study, protocol, patients), list(_notes(study, patients))
    )


def stopped(states: Sequence[StoppingState]) -> Decision | None:
    """The decision where a stopping clause is met: nobody is treated; None where none is."""
    met = [state for state in states if state.met]
    if not met:
        return None
    clauses = "; ".join(f"{state.words} ({'; '.join(state.patients)})" for state in met)
    would = "the safety board's decision, which goes into the clause as `resumed`"
    return Decision("stop", f"stopping clause met: {clauses}", would)


def nobody_counts(decision: Decision, study: Study | None, history: Sequence[Cohort]) -> Decision:
    """The decision of a rule, in words that are true where patients were treated and none of them counts."""
    if study is None or history or study.doses.empty:
        return decision
    treated = study.doses["subject"].nunique()
    patients = "1 patient was" if treated == 1 else f"{treated} patients were"
    would = f"a patient who counts: {patients} treated, and none counts at a level"
    return replace(decision, would_change=would)


def _notes(study: Study, patients: Sequence[Patient]) -> Iterator[str]:
    """How the tables were read, where a reader may not expect it."""
    if study.events.empty:
        yield "events.csv has no event: nobody has had an adverse event, and so no DLT"
    for p in patients:
        if p.other_dose:
            yield f"{p.subject} {p.other_dose}: {p.status.replace('_', ' ')}"
    for event in study.events[study.events["event"] == DEATH].to_dict("records"):
        cell = event.get("attribution")
        if cell is None or str(cell).strip() in ("", "nan"):
            subject = event["subject"]
            yield f"{subject} died on day {event['time']:g}; it is not said of what, and no clause counts it"
    dead = set(study.events.loc[study.events["event"] == DEATH, "subject"])
    for event in study.events[study.events["grade"] == FATAL].to_dict("records"):
        if event.get("dlt") == "no":
            note = f"{event['subject']}: {event['event']} of grade 5 on day {event['time']:g}, and dlt is no"
            if event["subject"] not in dead:
                note += f"; read as a death on that day: add the event `{DEATH}` if it was on another"
            yield note


def _answers_of_ties(rule: Rule, history: Sequence[Cohort], places: Sequence[float]) -> list[Decision]:
    """The different answers of a rule where cohorts of one place may have come in any order, two at most."""
    groups = [list(group) for _, group in groupby(range(len(places)), key=lambda i: places[i])]
    if prod(factorial(len(group)) for group in groups) > MOST_ORDERS:
        return list(answers_of_orders(rule, history))
    answers: dict[tuple[Any, ...], Decision] = {}
    for order in product(*(permutations(group) for group in groups)):
        decision = rule.decide([history[place] for group in order for place in group])
        answers.setdefault((decision.action, decision.level, decision.size, decision.mtd), decision)
        if len(answers) > 1:
            break
    return list(answers.values())


def _in_short(decision: Decision) -> str:
    """A decision in a few words."""
    if decision.action == "stop":
        return f"stop with level {decision.mtd} as the MTD"
    if decision.action == "wait":
        return "wait"
    return f"treat {decision.size} at level {decision.level}"


def history_in_order(
    so_far: TreatedSoFar,
    rule: Rule,
    responded: Mapping[str, bool | None] | None = None,
    watched: Mapping[str, float] | None = None,
) -> list[Cohort]:
    """The history that a rule reads. StudyError where the rule needs an order that nothing says."""
    history = history_of(so_far.patients, responded, watched)
    so_far.check_order(rule, history)
    return history
