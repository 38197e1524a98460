"""The points that a first-in-human cell-therapy protocol must settle, and what a protocol says on each.

A protocol whose rule is no 3+3 has an eleventh, the constants of [design]: those without a published value
must be given. They are the rule itself, as the numbers of [mtd] are a 3+3, and need no sentence.

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

from kinetics.errors import Problem, did_you_mean
from kinetics.protocol.grading_systems import GRADING_SYSTEMS
from kinetics.protocol.infusion_plan import last_day, planned_infusions
from kinetics.protocol.products_and_routes import ANY_INFUSION, LYMPHODEPLETION, clock_of
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA
from kinetics.protocol.statements import Point
from kinetics.protocol.tables import Protocol

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
    named = ", ".join([*protocol.products, "infusion"])
    clocks = f"first_, last_ or each_ and one of {named}, such as first_{product}"
    yield _Question(3, "clock of the DLT window", "dlt.clock", clocks)

    three_plus_three = protocol.design.rule == "three_plus_three"
    if protocol.design.max_patients.value is None:
        yield _Question(4, "number of patients", "size.planned", "the fewest and the most, as [9, 18]")
    if three_plus_three:
        more = "allowed or stops"
        if protocol.mtd.evaluable.value is not None:
            usable = len(protocol.levels) * protocol.mtd.evaluable.value
            more = f"allowed or stops: the written rules can use {usable}"
        yield _Question(4, "more patients than planned", "size.more_than_planned", more)
    if protocol.arms is not None:
        each = f"a number for each of {', '.join(protocol.arms.names)}"
        yield _Question(4, "most patients of each arm", "arms.most_patients", each)

    if not all(level.infusions for level in protocol.level) or not protocol.level:
        counted = "administration, cycle or total"
        yield _Question(5, "what a dose level counts", f"dosing.{product}.per", counted)
    tolerance = "the share by which a dose may differ from its level: 0.2 is 20 %"
    yield _Question(5, "a dose other than the level's", "evaluable.dose_tolerance", tolerance)
    other = "as_assigned, as_treated or not_evaluable"
    yield _Question(5, "a dose other than the level's", "evaluable.other_dose", other)

    yield from _titration_questions(protocol)
    yield from _evaluability_questions(protocol)

    others = [name for name in protocol.products if name != product]
    if others:
        title = f"a DLT after {' or '.join(map(_in_print, others))} only"
        where = "at_no_level or at_assigned_level"
        yield _Question(9, title, "dlt.after_other_product_only", where)

    if _has_censoring(protocol):
        missed = "censored_after_two or ignored"
        yield _Question(10, "missed scans in PFS and DOR", "censoring.missed_scans", missed)
        therapy = "censored, event or ignored"
        yield _Question(10, "new therapy in PFS and DOR", "censoring.new_therapy", therapy)

    if three_plus_three:
        yield from _rule_questions(protocol)

    for key in protocol.design.knows(protocol.design.rule):
        if not isinstance(getattr(protocol.design, key), Point):
            continue
        title, remedy = _CONSTANTS.get(key, (f"the constant {key} of {protocol.design.rule}", "its value"))
        yield _Question(11, title, f"design.{key}", remedy, sentence=False, needed=key in _CONSTANTS)


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


# constants of [design] that no paper gives -> what they are, and what to write
_CONSTANTS = {
    "target": ("the DLT rate that the rule looks for", "a rate, as 0.3"),
    "exposure": ("the exposure that the rule looks at", "its name, as car_copies_auc_28d"),
    "wanted_exposure": ("the mean exposure wanted", "a number in the exposure's unit"),
}


def _in_print(product: str) -> str:
    """The name of a product as it is printed: `CAR-NK` for `car_nk`."""
    return {"car_nk": "CAR-NK", "car_t": "CAR-T"}.get(product, product)


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
    """Every field of the points that is settled, with its sentence."""
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
        *_product_clashes(protocol),
        *_variant_clashes(protocol),
        *_design_clashes(protocol),
        *_mtd_clashes(protocol),
        *_population_clashes(protocol),
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
    titrated = 0 if protocol.titration is None else protocol.titration.levels.value or 0
    if titrated > len(levels):
        what = f"the titration runs at {titrated} of {len(levels)} levels"
        yield Problem(what, "lower `titration.levels`")
    if protocol.arms is not None and protocol.design.max_patients.value is not None:
        what = "`design.max_patients` in a trial whose arms escalate each for itself"
        yield Problem(what, "write `size.planned` for all of them, and `arms.most_patients`")
    most = protocol.arms.most_patients.value if protocol.arms else None
    planned = protocol.size.planned.value
    if most and planned and sum(most.values()) > planned[1]:
        what = f"the arms may have {sum(most.values())} patients, `size.planned` at most {planned[1]}"
        yield Problem(what, "lower `arms.most_patients`, or plan for more")


def _product_clashes(protocol: Protocol) -> Iterator[Problem]:
    """Products of triggers and stopping clauses that nobody is given: they would never be met."""
    given = {*protocol.products, *(drug.drug for drug in protocol.lymphodepletion), LYMPHODEPLETION}
    named: list[tuple[str, str, str]] = []
    triggers = protocol.titration.triggers.value if protocol.titration is not None else None
    for trigger in triggers or ():
        place = f"the trigger {trigger.term}"
        named += [(place, "attribution", product) for product in trigger.attribution]
        named += [(place, "after", product) for product in trigger.after]
    for clause in protocol.stopping:
        place = f"the stopping clause {clause.words!r}"
        named += [(place, "attribution", product) for product in clause.attribution if product != "any"]
        named += [(place, "after", clause.after or ""), (place, "before", clause.before or "")]
    for place, key, product in named:
        if product and product not in given:
            what = f"{place}: `{key}` names {product}, which nobody is given"
            yield Problem(what, did_you_mean(product, protocol.products))


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
    if protocol.design.rule != "three_plus_three":
        return
    variant = protocol.escalation.variant.value
    mtd = protocol.mtd
    if variant in ("storer", "korn") and mtd.fill_top_level.value:
        what = f"variant {variant} recommends a top level with 3, `mtd.fill_top_level` fills it"
        yield Problem(what, 'write `variant = "protocol"` or `fill_top_level = false`')
    cohort = protocol.escalation.cohort.value
    evaluable = mtd.evaluable.value
    more_than_a_cohort = cohort is not None and evaluable is not None and evaluable > cohort
    if variant == "storer" and more_than_a_cohort:
        what = f"variant storer recommends a level with {cohort}, the MTD rule asks for {evaluable} evaluable"
        yield Problem(what, f"choose protocol or korn, which fill, or write `evaluable = {cohort}`")
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
        elif (protocol.titration.levels.value or len(levels)) < design.start_level:
            what = (
                f"the titration runs up to level {protocol.titration.levels.value}, the trial starts above it"
            )
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
        keys += ["mtd.fill_top_level"] if protocol.mtd.fill_top_level.value else []
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
    other = protocol.escalation.cohort.value
    if cohort is not None and other is not None and cohort != other:
        what = f"`design.cohort` is {cohort}, `escalation.cohort` {other}"
        yield Problem(what, "give one size of the cohorts")


def _written(table: BaseModel) -> set[str]:
    """The keys of a table that the file has."""
    return table.model_fields_set


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
