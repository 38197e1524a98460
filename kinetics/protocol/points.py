"""The ten points that a first-in-human cell-therapy protocol must settle, and what a protocol says on each.

A point is open where the text is silent, vague (mentioned, but not as a value that decides), contradicts
itself, or gives a value without its sentence. `contradictions` lists what lies beside the ten points: values
that contradict each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel

from kinetics.errors import Problem
from kinetics.protocol.tables import Point, Protocol

__all__ = ["OpenPoint", "SettledPoint", "contradictions", "open_points", "settled_points", "shown"]

Kind = Literal["silence", "vague", "contradiction", "unexplained"]


@dataclass(frozen=True)
class OpenPoint:
    """One field that does not decide: which of the ten points it belongs to, what is wrong, what to write."""

    number: int
    title: str
    field: str
    kind: Kind
    what: str
    remedy: str

    def problem(self, file: str) -> Problem:
        what = f"point {self.number}, {self.title}: `{self.field}` {self.what}"
        return Problem(what, self.remedy, file=file)


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
    """What one of the ten points asks of one field; `remedy` says which values answer it."""

    number: int
    title: str
    field: str
    remedy: str


def _questions(protocol: Protocol) -> Iterator[_Question]:
    """Every field that belongs to one of the ten points, in their order."""
    product = protocol.level_product
    other_products = [name for name in protocol.dosing if name != product]
    for name in other_products:
        field = f"dosing.{name}.cells"
        yield _Question(1, f"cells of {name} each day", field, "one number of cells for each of its days")

    one_scale = "one scale, stored with each event, never converted"
    for name in protocol.graded_endpoints():
        yield _Question(2, "grading system", f"endpoints.{name}.grading", one_scale)

    yield _Question(3, "DLT window", "dlt.window_days", "a number of days")
    clocks = "first_car_nk, first_car_t or last_car_t"
    yield _Question(3, "clock of the DLT window", "dlt.clock", clocks)

    yield _Question(4, "number of patients", "size.planned", "the fewest and the most, as [9, 18]")
    usable = len(protocol.levels) * protocol.mtd.evaluable
    more = f"allowed or stops: the written rules can use {usable}"
    yield _Question(4, "more patients than planned", "size.more_than_planned", more)

    counted = "administration, cycle or total"
    yield _Question(5, "what a dose level counts", f"dosing.{product}.per", counted)

    if protocol.titration is not None:
        after = "fill (its cohort, there) or leave"
        yield _Question(6, "the level of a trigger", "titration.after_trigger", after)
        title = "an untroubled titration patient at de-escalation"
        clean = "counted (among those the level needs) or not_a_level"
        yield _Question(6, title, "titration.clean_patient", clean)
        trigger = "tables with term, system, grade, attribution and after (whose infusion)"
        yield _Question(7, "what triggers 3+3", "titration.triggers", trigger)

    requires = "any_infusion, first_cycle or every_cycle"
    yield _Question(8, "who is evaluable", "evaluable.requires", requires)

    if other_products:
        nk_only = "at_no_level or at_assigned_level"
        yield _Question(9, "a DLT after CAR-NK only", "dlt.after_car_nk_only", nk_only)

    missed = "censored_after_two or ignored"
    yield _Question(10, "missed scans in PFS and DOR", "censoring.missed_scans", missed)
    therapy = "censored, event or ignored"
    yield _Question(10, "new therapy in PFS and DOR", "censoring.new_therapy", therapy)


def _point_at(protocol: Protocol, field: str) -> Point[Any] | None:
    """The point at a dotted path, None where a table on the way is absent."""
    table: Any = protocol
    for name in field.split("."):
        table = table.get(name) if isinstance(table, dict) else getattr(table, name, None)
        if table is None:
            return None
    return table


def open_points(protocol: Protocol) -> list[OpenPoint]:
    """Every field of the ten points that is not settled."""
    points = []
    for question in _questions(protocol):
        point = _point_at(protocol, question.field) or Point()
        if point.settled:
            continue
        kind, what = _reason_open(point)
        remedy = f'write `value` ({question.remedy}) and `because = "..."`'
        points.append(
            OpenPoint(
                number=question.number,
                title=question.title,
                field=question.field,
                kind=kind,
                what=what,
                remedy=remedy,
            )
        )
    return points


def _reason_open(point: Point[Any]) -> tuple[Kind, str]:
    """In which way a point is open, and the words that say so."""
    if point.value is not None:
        return "unexplained", f"is {shown(point.value)} without the sentence that says why"
    if not point.statements:
        return "silence", "is left out: the text is silent"
    statements = "; ".join(f"{shown(s.value)} ({s.where})" for s in point.statements)
    values = {json.dumps(s.value, default=str) for s in point.statements}
    if len(values) > 1:
        return "contradiction", f"has statements that differ: {statements}"
    return "vague", f"is said in words that do not decide: {statements}"


def settled_points(protocol: Protocol) -> list[SettledPoint]:
    """Every field of the ten points that is settled, with its sentence."""
    points = []
    for question in _questions(protocol):
        point = _point_at(protocol, question.field)
        if point is not None and point.settled:
            value = _plain(point.value)
            points.append(SettledPoint(question.number, question.title, question.field, value, point.because))
    return points


def _plain(value: Any) -> Any:
    """A value as JSON has it: tuples as lists, tables as dicts."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value


def shown(value: Any) -> str:
    """A value as a reader of a protocol writes it: 1e9, not 1000000000.0."""
    value = _plain(value)
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, dict):
        return "(" + " ".join(f"{key} {shown(item)}" for key, item in value.items()) + ")"
    if isinstance(value, float):
        return f"{value:g}".replace("e+0", "e")
    return str(value)


def contradictions(protocol: Protocol) -> list[Problem]:
    """Values that cannot hold together, whatever their sentences."""
    return [
        *_level_clashes(protocol),
        *_variant_clashes(protocol),
        *_scale_clashes(protocol),
        *_window_clashes(protocol),
    ]


def _level_clashes(protocol: Protocol) -> Iterator[Problem]:
    """Levels, products, the clock's product and the titration's levels."""
    levels = protocol.levels
    if any(lower >= upper for lower, upper in pairwise(levels)) or min(levels) <= 0:
        what = f"`levels` {shown(levels)} do not rise from above 0"
        yield Problem(what, "list each level once, the lowest first")
    product = protocol.level_product
    if product not in protocol.dosing:
        yield Problem(f"`level_product` {product} has no [dosing.{product}]", "add the table")
    clock_product = (protocol.dlt.clock.value or "").partition("_")[2]
    if clock_product and clock_product not in protocol.dosing:
        what = f"the DLT window begins with {clock_product}, which nobody is given"
        yield Problem(what, "choose a product of [dosing]")
    if protocol.titration is not None and protocol.titration.levels > len(levels):
        what = f"the titration runs at {protocol.titration.levels} of {len(levels)} levels"
        yield Problem(what, "lower `titration.levels`")


def _variant_clashes(protocol: Protocol) -> Iterator[Problem]:
    """What a variant of 3+3 does, against the MTD rule and the titration."""
    variant = protocol.escalation.variant
    mtd = protocol.mtd
    if variant in ("storer", "korn") and mtd.fill_top_level:
        what = f"variant {variant} recommends a top level with 3, `mtd.fill_top_level` fills it"
        yield Problem(what, 'write `variant = "protocol"` or `fill_top_level = false`')
    if variant == "storer":
        what = f"variant storer recommends a level with 3, the MTD rule asks for {mtd.evaluable} evaluable"
        yield Problem(what, "choose protocol or korn, which fill")
    if variant == "crmpack" and protocol.titration is not None:
        what = "variant crmpack has no titration, and there is a [titration]"
        yield Problem(what, "choose another variant")
    if variant == "crmpack" and (mtd.evaluable, mtd.dlts) != (6, 1):
        what = f"variant crmpack ends at 6 with at most 1 DLT, not at {mtd.evaluable} with {mtd.dlts}"
        yield Problem(what, "choose another variant")


def _scale_clashes(protocol: Protocol) -> Iterator[Problem]:
    """Triggers that are graded by a scale that no endpoint uses."""
    gradings = [endpoint.grading for endpoint in protocol.endpoints.values()]
    scales = {grading.value for grading in gradings if grading is not None and grading.value}
    if protocol.titration is None or not scales:
        return
    for trigger in protocol.titration.triggers.value or ():
        if trigger.system not in scales:
            what = f"the trigger {trigger.term} is graded by {trigger.system}, no endpoint is"
            remedy = f"grades never convert: use one of {', '.join(sorted(scales))}, or add an endpoint"
            yield Problem(what, remedy)


def _window_clashes(protocol: Protocol) -> Iterator[Problem]:
    """A DLT window that ends before the last infusion that makes a patient evaluable."""
    dosing = protocol.dosing.get(protocol.level_product)
    window = protocol.dlt.window_days.value
    if dosing is None or window is None or protocol.dlt.clock.value != "first_car_t":
        return
    last_cycle = (dosing.cycles - 1) * (dosing.days_between_cycles or 0)
    last_infusion = last_cycle + max(dosing.days)
    if window <= last_infusion and protocol.evaluable.requires.value == "every_cycle":
        window_ends = f"a window of {window:g} days from the first CAR-T ends"
        what = f"{window_ends} before its last infusion, day {last_infusion:g}"
        yield Problem(what, "lengthen the window, or start its clock at the last infusion")
