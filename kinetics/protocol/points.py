"""The ten points that a first-in-human cell-therapy protocol must settle, and what a protocol says on each.

A protocol whose rule is no 3+3 has an eleventh, the constants of [design]: those without a published value
must be given. They are the rule itself, as the numbers of [mtd] are a 3+3, and need no sentence.

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
    """What one of the points asks of one field; `remedy` says which values answer it.

    `sentence`: whether a value needs one. `needed`: whether the field may not be left out.
    """

    number: int
    title: str
    field: str
    remedy: str
    sentence: bool = True
    needed: bool = True


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

    three_plus_three = protocol.design.rule == "three_plus_three"
    if protocol.design.max_patients.value is None:
        yield _Question(4, "number of patients", "size.planned", "the fewest and the most, as [9, 18]")
    if three_plus_three:
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

    for key in protocol.design.knows(protocol.design.rule):
        if not isinstance(getattr(protocol.design, key), Point):
            continue
        title, remedy = _CONSTANTS.get(key, (f"the constant {key} of {protocol.design.rule}", "its value"))
        yield _Question(11, title, f"design.{key}", remedy, sentence=False, needed=key in _CONSTANTS)


# constants of [design] that no paper gives -> what they are, and what to write
_CONSTANTS = {
    "target": ("the DLT rate that the rule looks for", "a rate, as 0.3"),
    "exposure": ("the exposure that the rule looks at", "its name, as car_copies_auc_28d"),
    "wanted_exposure": ("the mean exposure wanted", "a number in the exposure's unit"),
}


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
        stated = point.value is not None or bool(point.statements)
        if _settles(point, question) or not (question.needed or stated):
            continue
        kind, what = _reason_open(point)
        remedy = f'write `value` ({question.remedy}) and `because = "..."`'
        if not question.sentence:
            remedy = f"write {question.remedy}"
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


def _settles(point: Point[Any], question: _Question) -> bool:
    """Whether a point answers a question."""
    return point.settled or (point.value is not None and not question.sentence)


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
        if point is not None and _settles(point, question):
            value = _plain(point.value)
            because = point.because or "the protocol says so in [design]"
            points.append(SettledPoint(question.number, question.title, question.field, value, because))
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
        *_design_clashes(protocol),
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
    if protocol.design.rule != "three_plus_three":
        return
    variant = protocol.escalation.variant
    mtd = protocol.mtd
    if variant in ("storer", "korn") and mtd.fill_top_level:
        what = f"variant {variant} recommends a top level with 3, `mtd.fill_top_level` fills it"
        yield Problem(what, 'write `variant = "protocol"` or `fill_top_level = false`')
    cohort = protocol.escalation.cohort
    if variant == "storer" and mtd.evaluable > cohort:
        what = f"variant storer recommends a level with {cohort}, "
        what += f"the MTD rule asks for {mtd.evaluable} evaluable"
        yield Problem(what, f"choose protocol or korn, which fill, or write `evaluable = {cohort}`")
    if variant == "crmpack" and protocol.titration is not None:
        what = "variant crmpack has no titration, and there is a [titration]"
        yield Problem(what, "choose another variant")
    if variant == "crmpack" and (mtd.evaluable, mtd.dlts) != (6, 1):
        what = f"variant crmpack ends at 6 with at most 1 DLT, not at {mtd.evaluable} with {mtd.dlts}"
        yield Problem(what, "choose another variant")


# rules of [design] that a titration may come before
TITRATED = ("three_plus_three", "boin", "tite_boin", "i3plus3", "mtpi2", "keyboard", "joint")


def _design_clashes(protocol: Protocol) -> Iterator[Problem]:
    """The rule and its constants against the levels, and against tables that only other rules read."""
    design = protocol.design
    levels = protocol.levels
    if design.start_level > len(levels):
        what = f"`design.start_level` = {design.start_level} and there are levels 1 to {len(levels)}"
        near = [i for i, level in enumerate(levels, start=1) if level == design.start_level]
        remedy = f"levels are counted: write {near[0]}" if near else "count from 1, the lowest level"
        yield Problem(what, remedy)
    if "below_start" in design.model_fields_set and design.start_level == 1:
        what = "`design.below_start` speaks of levels below the first, and the trial starts at the lowest"
        yield Problem(what, "write `start_level`, counted from 1, or leave `below_start` out")
    for key in ("skeleton", "skeleton_level"):
        value = getattr(design, key).value
        count = len(value) if isinstance(value, tuple) else value
        if count is not None and (count > len(levels) or (key == "skeleton" and count != len(levels))):
            what = f"`design.{key}` is {shown(value)} and there are {len(levels)} levels"
            yield Problem(what, "give one probability a level" if key == "skeleton" else "name a level")
    if protocol.titration is not None:
        if design.rule not in TITRATED:
            what = f"the rule {design.rule} has no titration, and there is a [titration]"
            yield Problem(what, f"leave [titration] out, or choose one of {', '.join(TITRATED)}")
        elif protocol.titration.levels < design.start_level:
            what = f"the titration runs up to level {protocol.titration.levels}, the trial starts above it"
            yield Problem(what, "raise `titration.levels`, or lower `design.start_level`")
    if design.rule != "three_plus_three":
        yield from _keys_of_a_3_plus_3(protocol)


def _keys_of_a_3_plus_3(protocol: Protocol) -> Iterator[Problem]:
    """Keys of other tables that only a 3+3 reads, where the rule is another; and numbers given twice."""
    design = protocol.design
    rule = design.rule
    keys = [f"escalation.{key}" for key in ("variant", "second_dlt") if key in _written(protocol.escalation)]
    if rule != "joint":
        keys += [f"mtd.{key}" for key in ("evaluable", "dlts") if key in _written(protocol.mtd)]
        keys += ["mtd.fill_top_level"] if protocol.mtd.fill_top_level else []
    for key in keys:
        yield Problem(
            f"`{key}` is of a 3+3, and the rule is {rule}", f"leave it out: {rule} does not read it"
        )
    cap = design.max_patients.value
    planned = protocol.size.planned.value
    if protocol.size.more_than_planned.value == "allowed":
        what = f"`size.more_than_planned` is allowed, and {rule} ends with the patients planned"
        yield Problem(what, 'write `value = "stops"`, or leave it out')
    if cap is not None and planned is not None and planned[1] != cap:
        what = f"`design.max_patients` is {cap}, `size.planned` ends at {planned[1]}"
        yield Problem(what, "give one number of patients of the dose finding")
    cohort = design.cohort.value
    if (
        cohort is not None
        and "cohort" in _written(protocol.escalation)
        and cohort != protocol.escalation.cohort
    ):
        what = f"`design.cohort` is {cohort}, `escalation.cohort` {protocol.escalation.cohort}"
        yield Problem(what, "give one size of the cohorts")


def _written(table: BaseModel) -> set[str]:
    """The keys of a table that the file has."""
    return table.model_fields_set


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
