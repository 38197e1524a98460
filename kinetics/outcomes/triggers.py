"""Adverse events as the protocol reads them: what ends the titration, and what it cannot read.

An event that would count but for its scale, its attribution or a missing grade is no "no": it is a problem
that somebody has to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pandas import isna

from kinetics.errors import Problem
from kinetics.outcomes.event_names import event_name
from kinetics.outcomes.trial_days import from_day, in_window
from kinetics.outcomes.vital_status import STATUS_EVENTS
from kinetics.protocol import Protocol, Trigger
from kinetics.study import Study

__all__ = [
    "Event",
    "attribution_of",
    "dlt_problems",
    "event_problem",
    "is_adverse",
    "trigger_problems",
    "triggered",
]

Event = Mapping[Any, Any]  # a row of events.csv
Answer = Literal["yes", "no", "asked"]

_UNRELATED = frozenset(
    {
        "comorbidity",
        "concomitant_medication",
        "disease",
        "disease_progression",
        "infection",
        "intercurrent_illness",
        "lymphodepletion",
        "no",
        "none",
        "not_related",
        "other",
        "procedure",
        "progression",
        "tumor",
        "tumour",
        "underlying_disease",
        "unlikely",
        "unrelated",
    }
)


def is_adverse(event: Event) -> bool:
    """Whether a row is an adverse event, and not what became of the subject (a death without a grade)."""
    return event["event"] not in STATUS_EVENTS or not isna(event["grade"])


def attribution_of(event: Event, products: frozenset[str], others: frozenset[str] = frozenset()) -> Answer:
    """Whether an event is attributed to one of `products`; "asked" where the cell is empty or not understood.

    A cell may name several, as `car_nk; car_t`. `others` are further words that mean something else: products
    of the study.
    """
    cell = event.get("attribution")
    if cell is None or isna(cell):
        return "asked"
    words = {
        re.sub(r"[^a-z0-9]+", "_", word.strip().lower()).strip("_")
        for word in re.split(r"[;,+/&|]|\band\b", str(cell))
    }
    words -= {""}
    if not words:
        return "asked"
    if words & products:
        return "yes"
    return "no" if words <= _UNRELATED | others else "asked"


def event_problem(event: Event, what: str, remedy: str, column: str = "") -> Problem:
    """A problem of one row of events.csv."""
    row = int(event["row"]) if "row" in event else None
    grade = "" if isna(event["grade"]) else f" of grade {event['grade']:g} ({event['grading_system']})"
    text = f"{event['event']}{grade} on day {event['time']:g}: {what}"
    return Problem(text, remedy, "events.csv", row, str(event["subject"]), column=column)


def dlt_problems(study: Study, protocol: Protocol) -> Iterator[Problem]:
    """Events of which it cannot be told whether they are DLTs."""
    products: frozenset[str] = frozenset(protocol.products)
    scales = {e.grading.value for e in protocol.endpoints.values() if e.grading is not None}
    scales -= {None}
    for event in study.events.to_dict("records"):
        cell = event.get("dlt")
        word = "" if cell is None or isna(cell) else str(cell).strip()
        if word not in ("yes", "no", "") or (word == "" and is_adverse(event)):
            shown = f"dlt is {word!r}" if word else "dlt is empty"
            yield event_problem(event, f"{shown}, neither yes nor no", "write yes or no", "dlt")
        if word != "yes":
            continue
        attributed = attribution_of(event, products)
        cell = event.get("attribution")
        if attributed == "asked" and (cell is None or isna(cell) or not str(cell).strip()):
            remedy = f"write what it is due to: {', '.join(sorted(products))}, or correct dlt"
            yield event_problem(event, "a DLT that is attributed to nothing", remedy, "attribution")
        if attributed == "no" and str(cell).strip().lower() not in set(study.doses["product"]):
            what = f"a DLT that is attributed to {cell}, which is no treatment"
            yield event_problem(event, what, "correct the attribution, or dlt", "attribution")
        system = event["grading_system"]
        if scales and not isna(event["grade"]) and system not in scales:
            what = f"a DLT, and no endpoint of the protocol is graded by {system}"
            remedy = f"grades never convert: grade it by {' or '.join(sorted(map(str, scales)))}"
            yield event_problem(event, what, f"{remedy}, or add an endpoint", "grading_system")


def triggered(
    protocol: Protocol, doses: Sequence[Event], events: Sequence[Event], start: float | None
) -> bool:
    """Whether a subject had an event that ends the titration. `start`: the day on which its window began."""
    return any(
        _fires(trigger, event, doses, protocol, start) == "yes"
        for event in events
        for trigger in _triggers(protocol)
    )


def trigger_problems(
    protocol: Protocol, doses: Sequence[Event], events: Sequence[Event], start: float | None
) -> Iterator[Problem]:
    """Events of a subject that would end the titration but for a scale, an attribution or a missing grade."""
    for event in events:
        if not is_adverse(event):
            continue
        triggers = [t for t in _triggers(protocol) if _is_of(t, event)]
        answers = {trigger: _fires(trigger, event, doses, protocol, start) for trigger in triggers}
        if "yes" in answers.values():
            continue
        for trigger, answer in answers.items():
            if answer == "asked":
                yield _trigger_problem(event, trigger, protocol, doses)
                break


def _trigger_problem(event: Event, trigger: Trigger, protocol: Protocol, doses: Sequence[Event]) -> Problem:
    """Why it cannot be told whether an event is a trigger."""
    triggers = ", ".join(sorted({t.system for t in _triggers(protocol) if _is_of(t, event)}))
    question = "it may end the titration, and"
    if isna(event["grade"]):
        return event_problem(event, f"{question} it has no grade", f"grade it by {triggers}", "grade")
    if attribution_of(event, frozenset(trigger.attribution), _dosed(protocol, doses)) == "asked":
        remedy = (
            f"write what it is due to: {', '.join(trigger.attribution)}, lymphodepletion, disease or other"
        )
        cell = str(event.get("attribution") or "")
        attributed = f"the attribution {cell!r} is not understood" if cell else "it is attributed to nothing"
        return event_problem(event, f"{question} {attributed}", remedy, "attribution")
    what = f"{question} the triggers are graded by {triggers}"
    remedy = (
        f"grades never convert: grade it so, or add a trigger by {event['grading_system']} to the protocol"
    )
    return event_problem(event, what, remedy, "grading_system")


def _triggers(protocol: Protocol) -> tuple[Trigger, ...]:
    if protocol.titration is None:
        return ()
    return protocol.titration.triggers.value or ()


def _is_of(trigger: Trigger, event: Event) -> bool:
    """Whether a trigger is of events of this name."""
    return trigger.term == "any" or event_name(trigger.term) == event_name(event["event"])


def _dosed(protocol: Protocol, doses: Sequence[Event]) -> frozenset[str]:
    """The products to which an event may be attributed: the protocol's, and what the subject was given."""
    return frozenset([*protocol.products, *(str(dose["product"]) for dose in doses)])


def _fires(
    trigger: Trigger, event: Event, doses: Sequence[Event], protocol: Protocol, start: float | None
) -> Answer:
    """Whether an event is a trigger's term, grade and attribution, within its time."""
    if not _is_of(trigger, event) or not _in_time(trigger, event, doses, protocol, start):
        return "no"
    grade: Answer = "asked" if is_adverse(event) else "no"
    if not isna(event["grade"]):
        grade = "yes" if event["grade"] >= trigger.grade else "no"
    answers = {grade, _scale_of(trigger, event, protocol)}
    answers.add(attribution_of(event, frozenset(trigger.attribution), _dosed(protocol, doses)))
    if "no" in answers:
        return "no"
    return "asked" if "asked" in answers else "yes"


def _scale_of(trigger: Trigger, event: Event, protocol: Protocol) -> Answer:
    """Whether an event is graded by a trigger's scale; "no" where another trigger reads it by its own."""
    if event["grading_system"] == trigger.system or isna(event["grade"]):
        return "yes"
    of_event = [t for t in _triggers(protocol) if _is_of(t, event)]
    by_its_scale = any(t.system == event["grading_system"] for t in of_event)
    return "no" if by_its_scale else "asked"


def _in_time(
    trigger: Trigger, event: Event, doses: Sequence[Event], protocol: Protocol, start: float | None
) -> bool:
    """Whether an event lies from the first infusion of the trigger's products to the end of its window."""
    infusions = [float(dose["time"]) for dose in doses if dose["product"] in trigger.after]
    if not infusions or not from_day(float(event["time"]), min(infusions)):
        return False
    window = protocol.titration.window_days.value if protocol.titration is not None else None
    if start is None or window is None or window == "none":
        return True
    return in_window(float(event["time"]), start + window)
