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
from kinetics.protocol.grading_systems import GRADING_SYSTEMS
from kinetics.protocol.planned_infusions import last_day, planned_infusions
from kinetics.protocol.products_and_routes import ANY_INFUSION, LYMPHODEPLETION, clock_of
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA
from kinetics.protocol.tables import Censoring, Point, Protocol

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
    named = ", ".join([*protocol.products, "infusion"])
    clocks = f"first_, last_ or each_ and one of {named}, such as first_{product}"
    yield _Question(3, "clock of the DLT window", "dlt.clock", clocks)

    yield _Question(4, "number of patients", "size.planned", "the fewest and the most, as [9, 18]")
    usable = len(protocol.levels) * protocol.mtd.evaluable
    more = f"allowed or stops: the written rules can use {usable}"
    yield _Question(4, "more patients than planned", "size.more_than_planned", more)
    if protocol.arms is not None:
        each = f"a number for each of {', '.join(protocol.arms.names)}"
        yield _Question(4, "most patients of each arm", "arms.most_patients", each)

    if not all(level.infusions for level in protocol.level) or not protocol.level:
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

    others = [name for name in protocol.products if name != product]
    if others:
        title = f"a DLT after {' or '.join(map(_in_print, others))} only"
        where = "at_no_level or at_assigned_level"
        yield _Question(9, title, "dlt.after_other_product_only", where)

    if not _looks_at_progression(protocol):
        return
    missed = "censored_after_two or ignored"
    yield _Question(10, "missed scans in PFS and DOR", "censoring.missed_scans", missed)
    therapy = "censored, event or ignored"
    yield _Question(10, "new therapy in PFS and DOR", "censoring.new_therapy", therapy)


def _in_print(product: str) -> str:
    """The name of a product as it is printed: `CAR-NK` for `car_nk`."""
    return {"car_nk": "CAR-NK", "car_t": "CAR-T"}.get(product, product)


def _looks_at_progression(protocol: Protocol) -> bool:
    """Whether a trial has an endpoint that missed scans or new therapy could censor, or says how they do."""
    endpoints = {"progression_free_survival", "duration_of_response", "event_free_survival"}
    return bool(endpoints & set(protocol.endpoints)) or protocol.censoring != Censoring()


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
    if min(levels) <= 0 or (
        not protocol.levels_are_regimens and any(lower >= upper for lower, upper in pairwise(levels))
    ):
        what = f"`levels` {shown(levels)} do not rise from above 0"
        yield Problem(what, "list each level once, the lowest first")
    product = protocol.level_product
    by_amount = not protocol.level or any(level.amount is not None for level in protocol.level)
    if by_amount and product not in protocol.dosing:
        yield Problem(f"`level_product` {product} has no [dosing.{product}]", "add the table")
    if not by_amount and product in protocol.dosing:
        what = f"[dosing.{product}], and every level is a regimen that says how {product} is given"
        yield Problem(what, "leave one of them out")
    if protocol.dlt.clock.value is not None:
        yield from _clock_clashes(protocol, clock_of(protocol.dlt.clock.value).product)
    if protocol.titration is not None and protocol.titration.levels > len(levels):
        what = f"the titration runs at {protocol.titration.levels} of {len(levels)} levels"
        yield Problem(what, "lower `titration.levels`")
    most = protocol.arms.most_patients.value if protocol.arms else None
    planned = protocol.size.planned.value
    if most and planned and sum(most.values()) > planned[1]:
        what = f"the arms may have {sum(most.values())} patients, `size.planned` at most {planned[1]}"
        yield Problem(what, "lower `arms.most_patients`, or plan for more")


def _clock_clashes(protocol: Protocol, product: str) -> Iterator[Problem]:
    """A DLT window that begins with what nobody is given."""
    lymphodepletion = {drug.drug for drug in protocol.lymphodepletion}
    if lymphodepletion:
        lymphodepletion.add(LYMPHODEPLETION)
    if product not in {*protocol.products, ANY_INFUSION, *lymphodepletion}:
        what = f"the DLT window begins with {product}, which nobody is given"
        remedy = "choose a product of [dosing]"
        if product == LYMPHODEPLETION:
            remedy = "add tables [[lymphodepletion]], or choose a product of [dosing]"
        yield Problem(what, remedy)


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
    """Triggers that are graded by a scale that no endpoint uses, and scales of the other kind."""
    for name, endpoint in protocol.endpoints.items():
        scale = endpoint.grading.value if endpoint.grading else None
        if name == "response" and scale in GRADING_SYSTEMS:
            what = f"`endpoints.response.grading` {scale} is a scale of adverse events"
            yield Problem(what, f"name the criteria of the response: {', '.join(RESPONSE_CRITERIA)}")
        if name in ("adverse_events", "crs", "icans") and scale in RESPONSE_CRITERIA:
            what = f"`endpoints.{name}.grading` {scale} are criteria of a response"
            yield Problem(what, f"name a scale of adverse events: {', '.join(GRADING_SYSTEMS)}")
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
    product = protocol.level_product
    window = protocol.dlt.window_days.value
    clock = protocol.dlt.clock.value
    if window is None or clock not in (f"first_{product}", f"first_{ANY_INFUSION}"):
        return
    if protocol.evaluable.requires.value != "every_cycle":
        return
    by_level = [planned_infusions(protocol, level) for level in range(1, len(protocol.levels) + 1)]
    last_infusion = max(last_day(infusions, product) for infusions in by_level)
    if window <= last_infusion:
        window_ends = f"a window of {window:g} days from the first {_in_print(product)} ends"
        what = f"{window_ends} before its last infusion, day {last_infusion:g}"
        yield Problem(what, "lengthen the window, or start its clock at the last infusion")
