"""The points that a first-in-human cell-therapy protocol must settle, and what a protocol says on each.

A point is open where the text is silent, vague (mentioned, but not as a value that decides), contradicts
itself, or gives a value without its sentence. A point that the trial does not have (the censoring of a PFS
that is no endpoint) is not asked. `contradictions` lists what lies beside the points: values that contradict
each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel

from kinetics.errors import Problem
from kinetics.protocol.tables import Point, Protocol

__all__ = ["POINTS", "OpenPoint", "SettledPoint", "contradictions", "open_points", "settled_points", "shown"]

POINTS = 12  # points of a protocol, by their numbers; a trial need not have them all
# words of an endpoint that missed scans and new therapies censor
_CENSORED = re.compile(
    r"\b(progression free|time to progression|pfs|dor|duration of response)\b", re.IGNORECASE
)

Kind = Literal["silence", "vague", "contradiction", "unexplained"]


@dataclass(frozen=True)
class OpenPoint:
    """One field that does not decide: which of the points it belongs to, what is wrong, what to write."""

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
    """What one of the points asks of one field; `remedy` says which values answer it."""

    number: int
    title: str
    field: str
    remedy: str


def _questions(protocol: Protocol) -> Iterator[_Question]:
    """Every field that belongs to one of the points and that this trial has, in their order."""
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
    more = "allowed or stops"
    if protocol.mtd.evaluable.value is not None:
        usable = len(protocol.levels) * protocol.mtd.evaluable.value
        more = f"allowed or stops: the written rules can use {usable}"
    yield _Question(4, "more patients than planned", "size.more_than_planned", more)

    counted = "administration, cycle or total"
    yield _Question(5, "what a dose level counts", f"dosing.{product}.per", counted)
    tolerance = "the share by which a dose may differ from its level: 0.2 is 20 %"
    yield _Question(5, "a dose other than the level's", "evaluable.dose_tolerance", tolerance)
    other = "as_assigned, as_treated or not_evaluable"
    yield _Question(5, "a dose other than the level's", "evaluable.other_dose", other)

    yield from _titration_questions(protocol)
    yield from _evaluability_questions(protocol)

    if other_products:
        nk_only = "at_no_level or at_assigned_level"
        yield _Question(9, "a DLT after CAR-NK only", "dlt.after_car_nk_only", nk_only)

    if _has_censoring(protocol):
        missed = "censored_after_two or ignored"
        yield _Question(10, "missed scans in PFS and DOR", "censoring.missed_scans", missed)
        therapy = "censored, event or ignored"
        yield _Question(10, "new therapy in PFS and DOR", "censoring.new_therapy", therapy)

    yield from _rule_questions(protocol)


def _titration_questions(protocol: Protocol) -> Iterator[_Question]:
    """Points 6 and 7, of an accelerated titration."""
    if protocol.titration is None:
        return
    after = "fill (its cohort, there) or leave"
    yield _Question(6, "the level of a trigger", "titration.after_trigger", after)
    title = "an untroubled titration patient at de-escalation"
    clean = "counted (among those the level needs) or not_a_level"
    yield _Question(6, title, "titration.clean_patient", clean)
    trigger = "tables with term, system, grade, attribution and after (whose infusion)"
    yield _Question(7, "what triggers 3+3", "titration.triggers", trigger)
    window = 'a number of days from the clock of the DLT window, or "none"'
    yield _Question(7, "until when a trigger counts", "titration.window_days", window)
    yield _Question(7, "triggers that end it", "titration.triggers_needed", "how many; a DLT always ends it")
    yield _Question(7, "where it runs", "titration.levels", "how many levels, from the lowest")
    yield _Question(7, "patients at each of its levels", "titration.size", "how many")


def _evaluability_questions(protocol: Protocol) -> Iterator[_Question]:
    """Point 8: who is evaluable, and whose patients the escalation counts."""
    title = "who is evaluable"
    requires = "any_infusion, first_cycle or every_cycle"
    yield _Question(8, title, "evaluable.requires", requires)
    yield _Question(8, "who is not evaluable", "evaluable.replaced", "true: is replaced at the same level")
    progression = "not_evaluable, if_followed (to the window's end) or evaluable"
    yield _Question(8, "progression in the DLT window", "evaluable.progression", progression)
    counted = "counted or not_counted"
    if protocol.expansion is not None and protocol.expansion.only and not protocol.escalation.only:
        yield _Question(8, "phase IB patients in the escalation", "escalation.expansion", counted)
    if protocol.escalation.names_backfill or _mentioned(protocol.escalation.backfill):
        yield _Question(8, "backfill patients in the escalation", "escalation.backfill", counted)


def _rule_questions(protocol: Protocol) -> Iterator[_Question]:
    """Points 11 and 12: the dose rule and its numbers."""
    variants = "protocol, storer, korn or crmpack"
    yield _Question(11, "the coding of 3+3", "escalation.variant", variants)
    yield _Question(11, "patients of a cohort", "escalation.cohort", "how many")
    variant = protocol.escalation.variant.value
    if variant != "crmpack":
        second = "may_stay_away or must_stay_away"
        title = "the rest of a cohort after a second DLT"
        yield _Question(11, title, "escalation.second_dlt", second)

    title = "the MTD"
    yield _Question(12, title, "mtd.evaluable", "the fewest evaluable patients at an MTD")
    yield _Question(12, title, "mtd.dlts", "the most of them with a DLT")
    if variant in (None, "protocol"):
        yield _Question(
            12, "the top level", "mtd.fill_top_level", "true or false: is it filled like the others"
        )
    too_toxic = "the true DLT probability from which a level is too toxic, as 0.33"
    yield _Question(12, "overdosing", "mtd.overdose_above", too_toxic)


def _mentioned(point: Point[Any]) -> bool:
    """Whether the text says anything on a point."""
    return point.value is not None or bool(point.statements)


def _has_censoring(protocol: Protocol) -> bool:
    """Whether an endpoint is a time to progression, which missed scans and new therapies censor."""
    texts = [f"{name} {endpoint.definition}" for name, endpoint in protocol.endpoints.items()]
    return any(_CENSORED.search(re.sub("[_-]", " ", text)) for text in texts)


def _point_at(protocol: Protocol, field: str) -> Point[Any] | None:
    """The point at a dotted path, None where a table on the way is absent."""
    table: Any = protocol
    for name in field.split("."):
        table = table.get(name) if isinstance(table, dict) else getattr(table, name, None)
        if table is None:
            return None
    return table


def open_points(protocol: Protocol) -> list[OpenPoint]:
    """Every field of the points that is not settled."""
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
    """Every field of the points that is settled, with its sentence."""
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
        *_mtd_clashes(protocol),
        *_population_clashes(protocol),
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
    titrated = 0 if protocol.titration is None else protocol.titration.levels.value or 0
    if titrated > len(levels):
        what = f"the titration runs at {titrated} of {len(levels)} levels"
        yield Problem(what, "lower `titration.levels`")


def _variant_clashes(protocol: Protocol) -> Iterator[Problem]:
    """What a variant of 3+3 does, against the MTD rule and the titration."""
    variant = protocol.escalation.variant.value
    mtd = protocol.mtd
    if variant in ("storer", "korn") and mtd.fill_top_level.value:
        what = f"variant {variant} recommends a top level with 3, `mtd.fill_top_level` fills it"
        yield Problem(what, 'write `variant = "protocol"` or `fill_top_level = false`')
    if variant == "crmpack" and protocol.titration is not None:
        what = "variant crmpack has no titration, and there is a [titration]"
        yield Problem(what, "choose another variant")
    numbers = (mtd.evaluable.value, mtd.dlts.value)
    if variant == "crmpack" and numbers != (6, 1) and None not in numbers:
        what = f"variant crmpack ends at 6 with at most 1 DLT, not at {numbers[0]} with {numbers[1]}"
        yield Problem(what, "choose another variant")


def _mtd_clashes(protocol: Protocol) -> Iterator[Problem]:
    """An MTD with fewer patients than a cohort, and patients who would not be replaced."""
    evaluable = protocol.mtd.evaluable.value
    cohort = protocol.escalation.cohort.value
    if evaluable is not None and cohort is not None and evaluable < cohort:
        what = f"`mtd.evaluable` is {evaluable}, fewer than the {cohort} of a cohort"
        yield Problem(what, "an MTD has at least the patients of one cohort")
    if protocol.evaluable.replaced.value is False:
        what = "`evaluable.replaced` is false: every rule here counts evaluable patients, and would wait"
        yield Problem(what, "no rule decides on a cohort that is one short: write true, or decide by hand")


def _population_clashes(protocol: Protocol) -> Iterator[Problem]:
    """Phase IB patients who are both in the escalation and not."""
    expansion = protocol.expansion
    escalation = protocol.escalation
    counted = escalation.expansion.value
    if counted == "counted" and escalation.only:
        what = "`escalation.only` leaves patients out whom `escalation.expansion` counts"
        yield Problem(what, "keep one of the two")
    if counted == "not_counted" and not escalation.only and (expansion is None or not expansion.only):
        what = "phase IB patients do not count in the escalation, and nothing says who they are"
        yield Problem(what, 'write `only` in [escalation] or in [expansion], as only = { phase = "IA" }')


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
