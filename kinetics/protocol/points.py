"""The ten points that a first-in-human cell-therapy protocol must settle, and what a protocol says on each.

A point is open where the text is silent, vague (said, but not in a value that decides), contradicts itself,
or gives a value without its sentence. Besides the ten: values that contradict each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel

from kinetics.errors import Problem
from kinetics.protocol.tables import Point, Protocol

__all__ = ["OpenPoint", "SettledPoint", "contradictions", "open_points", "settled_points", "shown"]


@dataclass(frozen=True)
class OpenPoint:
    """One field that does not decide: which of the ten, what is wrong, what to write."""

    number: int
    title: str
    field: str
    kind: Literal["silence", "vague", "contradiction", "unexplained"]
    what: str
    remedy: str

    def problem(self, file: str) -> Problem:
        return Problem(
            f"point {self.number}, {self.title}: `{self.field}` {self.what}", self.remedy, file=file
        )


@dataclass(frozen=True)
class SettledPoint:
    """One field that decides, and its sentence."""

    number: int
    title: str
    field: str
    value: Any
    because: str


@dataclass(frozen=True)
class _Question:
    number: int
    title: str
    field: str
    remedy: str
    read: Callable[[Protocol], Point[Any] | None]


def _questions(protocol: Protocol) -> Iterator[_Question]:
    """Every field that belongs to one of the ten points, in their order."""

    def ask(number: int, title: str, field: str, remedy: str) -> _Question:
        return _Question(number, title, field, remedy, lambda p: _at(p, field))

    fixed = [name for name in protocol.dosing if name != protocol.level_product]
    for name in fixed:
        yield ask(
            1, f"cells of {name} each day", f"dosing.{name}.cells", "one number of cells for each of its days"
        )
    yield from (
        ask(
            2,
            "grading system",
            f"endpoints.{name}.grading",
            "one scale, stored with each event, never converted",
        )
        for name in protocol.graded_endpoints()
    )
    product = protocol.level_product
    yield ask(3, "DLT window", "dlt.window_days", "a number of days")
    yield ask(3, "clock of the DLT window", "dlt.clock", "first_car_nk, first_car_t or last_car_t")
    yield ask(4, "number of patients", "size.planned", "the fewest and the most, as [9, 18]")
    most = len(protocol.levels) * protocol.mtd.evaluable
    more = f"allowed or stops: the written rules can use {most}"
    yield ask(4, "more patients than planned", "size.more_than_planned", more)
    yield ask(5, "what a dose level counts", f"dosing.{product}.per", "administration, cycle or total")
    if protocol.titration is not None:
        yield ask(6, "the level of a trigger", "titration.after_trigger", "fill (its cohort, there) or leave")
        clean = "counted (among those the level needs) or not_a_level"
        yield ask(6, "an untroubled titration patient at de-escalation", "titration.clean_patient", clean)
        trigger = "tables with term, system, grade, attribution and after (whose infusion)"
        yield ask(7, "what triggers 3+3", "titration.triggers", trigger)
    requires = "any_infusion, first_cycle or every_cycle"
    yield ask(8, "who is evaluable", "evaluable.requires", requires)
    nk_only = "at_no_level or at_assigned_level"
    if fixed:
        yield ask(9, "a DLT after CAR-NK only", "dlt.after_car_nk_only", nk_only)
    yield ask(10, "missed scans in PFS and DOR", "censoring.missed_scans", "censored_after_two or ignored")
    yield ask(10, "new therapy in PFS and DOR", "censoring.new_therapy", "censored, event or ignored")


def _at(protocol: Protocol, field: str) -> Point[Any] | None:
    """The point at a dotted path, None where a table on the way is absent."""
    here: Any = protocol
    for name in field.split("."):
        here = here.get(name) if isinstance(here, dict) else getattr(here, name, None)
        if here is None:
            return None
    return here


def open_points(protocol: Protocol) -> list[OpenPoint]:
    """Every field of the ten points that is not settled."""
    found = []
    for q in _questions(protocol):
        point = q.read(protocol) or Point()
        if point.settled:
            continue
        kind, what = _open(point)
        remedy = f'write `value` ({q.remedy}) and `because = "..."`'
        found.append(OpenPoint(q.number, q.title, q.field, kind, what, remedy))
    return found


def _open(point: Point[Any]) -> tuple[Literal["silence", "vague", "contradiction", "unexplained"], str]:
    if point.value is not None:
        return "unexplained", f"is {shown(point.value)} without the sentence that says why"
    if not point.statements:
        return "silence", "is left out: the text is silent"
    said = "; ".join(f"{shown(s.value)} ({s.where})" for s in point.statements)
    if len({json.dumps(s.value, default=str) for s in point.statements}) > 1:
        return "contradiction", f"has statements that differ: {said}"
    return "vague", f"is said in words that do not decide: {said}"


def settled_points(protocol: Protocol) -> list[SettledPoint]:
    """Every field of the ten points that is settled, with its sentence."""
    read = [(q, q.read(protocol)) for q in _questions(protocol)]
    return [
        SettledPoint(q.number, q.title, q.field, _plain(point.value), point.because)
        for q, point in read
        if point is not None and point.settled
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def shown(value: Any) -> str:
    """A value as a reader of a protocol writes it: 1e9, not 1000000000.0."""
    value = _plain(value)
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, dict):
        return "(" + " ".join(f"{k} {shown(v)}" for k, v in value.items()) + ")"
    return f"{value:g}".replace("e+0", "e") if isinstance(value, float) else str(value)


def contradictions(protocol: Protocol) -> list[Problem]:
    """Values that cannot hold together, whatever their sentences."""
    return [Problem(what, remedy) for what, remedy in _clashes(protocol)]


def _clashes(p: Protocol) -> Iterator[tuple[str, str]]:
    if any(a >= b for a, b in pairwise(p.levels)) or min(p.levels) <= 0:
        yield (
            f"`levels` {shown(p.levels)} do not rise from above 0",
            "list each level once, the lowest first",
        )
    if p.level_product not in p.dosing:
        yield f"`level_product` {p.level_product} has no [dosing.{p.level_product}]", "add the table"
    clock = (p.dlt.clock.value or "").partition("_")[2]
    if clock and clock not in p.dosing:
        yield f"the DLT window begins with {clock}, which nobody is given", "choose a product of [dosing]"
    if p.titration is not None and p.titration.levels > len(p.levels):
        yield (
            f"the titration runs at {p.titration.levels} of {len(p.levels)} levels",
            "lower `titration.levels`",
        )
    if p.escalation.variant in ("storer", "korn") and p.mtd.fill_top_level:
        what = f"variant {p.escalation.variant} recommends a top level with 3, `mtd.fill_top_level` fills it"
        yield what, 'write `variant = "protocol"` or `fill_top_level = false`'
    if p.escalation.variant == "storer":
        yield (
            f"variant storer recommends a level with 3, the MTD rule asks for {p.mtd.evaluable} evaluable",
            "choose protocol or korn, which fill",
        )
    if p.escalation.variant == "crmpack" and p.titration is not None:
        yield "variant crmpack has no titration, and there is a [titration]", "choose another variant"
    if p.escalation.variant == "crmpack" and (p.mtd.evaluable, p.mtd.dlts) != (6, 1):
        what = f"variant crmpack ends at 6 with at most 1 DLT, not at {p.mtd.evaluable} with {p.mtd.dlts}"
        yield what, "choose another variant"
    yield from _scales(p)
    yield from _windows(p)


def _scales(p: Protocol) -> Iterator[tuple[str, str]]:
    used = {e.grading.value for e in p.endpoints.values() if e.grading is not None and e.grading.value}
    for trigger in (p.titration.triggers.value or ()) if p.titration is not None else ():
        if used and trigger.system not in used:
            what = f"the trigger {trigger.term} is graded by {trigger.system}, no endpoint is"
            yield what, f"grades never convert: use one of {', '.join(sorted(used))}, or add an endpoint"


def _windows(p: Protocol) -> Iterator[tuple[str, str]]:
    given = p.dosing.get(p.level_product)
    window = p.dlt.window_days.value
    if given is None or window is None or p.dlt.clock.value != "first_car_t":
        return
    last = (given.cycles - 1) * (given.days_between_cycles or 0) + max(given.days)
    if window <= last and p.evaluable.requires.value == "every_cycle":
        what = f"a window of {window:g} days from the first CAR-T ends before its last infusion, day {last:g}"
        yield what, "lengthen the window, or start its clock at the last infusion"
