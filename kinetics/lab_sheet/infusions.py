"""What was infused: from columns of dose and product where the sheet has them, else as answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kinetics.errors import Problem
from kinetics.lab_sheet.analytes import LEAVE_OUT
from kinetics.lab_sheet.cell_values import number_of
from kinetics.lab_sheet.column_names import analyte_name
from kinetics.lab_sheet.cycle_labels import CHOICES, Cycles, later_infusion
from kinetics.lab_sheet.decimal_marks import DecimalMarks
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.grid import shown
from kinetics.lab_sheet.questions import ALL, Answers, Item, Question, answer_of, open_items
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.unit_names import unit_named
from kinetics.lab_sheet.visit_names import infusion_ranks
from kinetics.study import ROUTES
from kinetics.units import convert, dimension

__all__ = ["Infusion", "infusions_of", "level_of"]

_FEWEST_CELLS = 1e5  # a smaller number of a dose counts millions, or cells per kg
_DOSES = ("cells", "cells per body weight", "mass", "mass per body weight")
_NUMBER = r"(?<!\w)\d[\d.,]*(?:\s*[x×*]\s*10\s*\^?\s*\d+|[eE][+-]?\d+)?"
_AMOUNT = re.compile(
    rf"(?P<number>{_NUMBER})\s*(?P<unit>[A-Za-zµ%][\w/ ]*?)(?=$|\s+(?:{'|'.join(ROUTES)})\b)"
)


@dataclass(frozen=True)
class Infusion:
    """One infusion of a patient. Of an open answer the product is "?"."""

    patient: str
    product: str
    amount: float
    unit: str
    route: str
    day: float = 0.0
    cycle: int = 1


@dataclass(frozen=True)
class _Answered:
    """The parts of an answer: "" and None where it has none."""

    product: str = ""
    amount: float | None = None
    unit: str = ""
    route: str = ""


def infusions_of(
    readings: Sequence[SheetReading],
    names: Mapping[tuple[str, str], str],
    patients: Sequence[str],
    marks: DecimalMarks,
    answers: Answers,
    cycles: Cycles,
    later_days: Mapping[tuple[str, int], float],
) -> tuple[list[Infusion], Findings]:
    """The infusions of each patient, in the order of patients and cycles.

    `later_days` has the days of infusions after the first, by their dates: (patient, infusion) -> days.
    """
    amounts, of_amounts = _amounts(readings, names, marks, answers)
    products = _words(readings, names, "product")
    routes = _words(readings, names, "route")
    has_amounts = any(reading.columns("dose") for reading in readings)
    keys = {patient: products.get(patient, ALL) for patient in patients}
    needed = list(dict.fromkeys(keys.values()))
    items = []
    problems = []
    answered: dict[str, _Answered] = {}
    for key in needed:
        answer = answer_of("infusion", key, answers)
        if has_amounts and (key != ALL or (products and not patients)):
            answered[key] = _Answered(product=analyte_name(key))
            continue
        count = sum(value == key for value in keys.values())
        items.append(Item(key, None, f"{count} patients"))
        if answer is None:
            answered[key] = _Answered(product="?")
            continue
        parts = _parts(answer)
        if key != ALL and not parts.product:
            parts = _Answered(analyte_name(key), parts.amount, parts.unit, parts.route)
        answered[key] = parts
        if not parts.product or (parts.amount is None and not has_amounts):
            remedy = _choices(has_amounts, key)
            problems.append(Problem(f"infusion: {answer!r} is not read", f"write {remedy}"))
    infusions = []
    for patient in patients:
        parts = answered[keys[patient]]
        amount, unit = amounts.get((patient, 1), (parts.amount, parts.unit))
        if parts.product == "?":
            continue
        if amount is None:
            if has_amounts:
                remedy = f"fill in the dose, or leave the patient out: leave_out = [{patient!r}] in the TOML"
                problems.append(Problem("the patient has no dose", remedy, subject=patient))
            continue
        route = parts.route or routes.get(patient, "iv").lower().replace(" ", "_")
        infusions.append(Infusion(patient, parts.product, amount, unit, route))
    questions = [
        Question("infusion", question.items, _choices(has_amounts, question.items[0].name))
        for question in open_items("infusion", items, answers)
    ]
    questions += [
        Question("infusion", q.items, CHOICES) for q in open_items("infusion", cycles.items(), answers)
    ]
    entries = _entries(infusions, answers, routes)
    later, later_problems = _later_infusions(infusions, cycles, answers)
    dated, dated_problems = _dated_infusions(infusions, amounts, later_days)
    if later_days and cycles.patients:
        what = "later infusions stand in columns of dates, and the visits name cycles"
        remedy = "make one of the two `note` or `left out` in the TOML"
        dated_problems.append(Problem(what, remedy))
    place = {patient: rank for rank, patient in enumerate(patients)}
    infusions = sorted([*infusions, *later, *dated], key=lambda one: (place[one.patient], one.cycle))
    found = Findings(tuple(questions), tuple(entries), (*problems, *later_problems, *dated_problems))
    return infusions, Findings(
        (*of_amounts.questions, *found.questions),
        (*of_amounts.entries, *found.entries),
        (*of_amounts.problems, *found.problems),
    )


def _later_infusions(
    infusions: Sequence[Infusion], cycles: Cycles, answers: Answers
) -> tuple[list[Infusion], list[Problem]]:
    """The infusions of later cycles, as answered, of the patients who have a visit of the cycle."""
    first = {one.patient: one for one in infusions}
    later = []
    problems = []
    for cycle, patients in cycles.patients.items():
        answer = answer_of("infusion", f"cycle {cycle}", answers)
        if answer is None:
            continue
        infusion = later_infusion(answer)
        if infusion is None:
            problems.append(Problem(f"infusion: cycle {cycle} = {answer!r} names no day", f"write {CHOICES}"))
            continue
        parts = _parts(infusion.infused)
        if infusion.infused == "none":
            continue
        if infusion.infused and (not parts.product or parts.amount is None):
            problems.append(Problem(f"infusion: cycle {cycle} = {answer!r} is not read", f"write {CHOICES}"))
            continue
        for patient in patients:
            one = first.get(patient)
            if one is None:
                continue
            again = replace(one, day=infusion.day, cycle=cycle)
            if parts.product and parts.amount is not None:
                route = parts.route or one.route
                again = replace(
                    again, product=parts.product, amount=parts.amount, unit=parts.unit, route=route
                )
            later.append(again)
    return later, problems


def _dated_infusions(
    infusions: Sequence[Infusion],
    amounts: Mapping[tuple[str, int], tuple[float, str]],
    days: Mapping[tuple[str, int], float],
) -> tuple[list[Infusion], list[Problem]]:
    """The infusions after the first that have a date and a dose of their own, and those that lack one."""
    first = {one.patient: one for one in infusions}
    later = []
    problems = []
    for (patient, rank), day in days.items():
        if patient not in first:
            continue
        if (patient, rank) not in amounts:
            what = f"infusion {rank} has a date and no dose"
            problems.append(Problem(what, f"add a column `Dose {rank}` beside `Dose 1`", subject=patient))
            continue
        amount, unit = amounts[patient, rank]
        later.append(replace(first[patient], amount=amount, unit=unit, day=day, cycle=rank))
    for patient, rank in amounts:
        if rank > 1 and patient in first and (patient, rank) not in days:
            what = f"infusion {rank} has a dose and no date"
            problems.append(Problem(what, f"add a column `Infusion {rank} date`", subject=patient))
    return later, problems


def _choices(has_amounts: bool, key: str) -> str:
    """What an answer may be."""
    if has_amounts:
        return "PRODUCT, as car_t or car_nk; the route too if it is not iv"
    product = "PRODUCT " if key == ALL else ""
    example = "car_t " if key == ALL else ""
    examples = f"{example}420e6 cells or {example}1e6 cells/kg"
    return f"{product}AMOUNT UNIT, as {examples}; the route too if it is not iv"


def _entries(infusions: Sequence[Infusion], answers: Answers, routes: Mapping[str, str]) -> list[Entry]:
    entries = [
        Entry("infusion", "", "" if item == ALL else item, answer, "answer")
        for item, answer in answers.get("infusion", {}).items()
        if not answer.startswith("?")
    ]
    if infusions:
        entries.append(Entry("infusion", "", "no day", "the first infusion is on day 0", "guess"))
        stated = all(
            any(route in answer for route in ROUTES) for answer in answers.get("infusion", {}).values()
        )
        if not routes and not (answers.get("infusion") and stated):
            entries.append(Entry("infusion", "", "no route", "iv", "guess"))
    return entries


def _parts(answer: str) -> _Answered:
    """The parts of `car_t 420e6 cells iv`."""
    text = answer.strip()
    match = _AMOUNT.search(text)
    rest = text if match is None else f"{text[: match.start()]} {text[match.end() :]}"
    words = [word for word in rest.split() if word]
    route = next((word for word in words if word in ROUTES), "")
    product = next((word for word in words if word != route), "")
    if match is None:
        return _Answered(analyte_name(product) if product else "", route=route)
    unit = unit_named(match["unit"].strip()) or ""
    amount = number_of(match["number"])
    if amount is None or not unit or dimension(unit) not in _DOSES:
        return _Answered("", None, "", route)
    return _Answered(analyte_name(product) if product else "", amount, unit, route)


def _words(
    readings: Sequence[SheetReading], names: Mapping[tuple[str, str], str], kind: str
) -> dict[str, str]:
    """Patient -> the first word in the columns of a kind."""
    words: dict[str, str] = {}
    for reading in readings:
        for place in reading.columns(kind):
            for row in reading.rows:
                cell = reading.grid.at(row.place, place)
                if cell is not None:
                    words.setdefault(names.get((reading.name, row.patient), row.patient), shown(cell))
    return words


def _amounts(
    readings: Sequence[SheetReading],
    names: Mapping[tuple[str, str], str],
    marks: DecimalMarks,
    answers: Answers,
) -> tuple[dict[tuple[str, int], tuple[float, str]], Findings]:
    """(patient, infusion, from 1 up) -> the amount and unit in the columns of doses."""
    amounts: dict[tuple[str, int], tuple[float, str]] = {}
    items: list[Item] = []
    problems: list[Problem] = []
    entries: list[Entry] = []
    for reading in readings:
        places = reading.columns("dose")
        ranks = infusion_ranks([reading.keys[place] for place in places])
        for place, rank in zip(places, ranks or [1 for _ in places], strict=True):
            answer = answer_of("units", "dose", answers)
            unit = unit_named(answer or reading.uses[place].unit) or ""
            if unit and dimension(unit) not in _DOSES:
                unit = ""
            if not unit and answer not in (None, LEAVE_OUT):
                problems.append(
                    Problem(f"units: dose = {answer!r}", "write cells, 1e6 cells or 1e6 cells/kg")
                )
            if answer is not None or not reading.uses[place].unit or not unit:
                items.append(_dose_item(reading, place, marks))
            for row in reading.rows:
                cell = reading.grid.at(row.place, place)
                value = marks.value(reading.name, cell)
                patient = names.get((reading.name, row.patient), row.patient)
                if value.kind == "number" and value.value and unit:
                    known = amounts.setdefault((patient, rank), (value.value, unit))
                    if known != (value.value, unit):
                        what = "two doses of one patient"
                        remedy = "keep the first, and add the others to doses.csv after the import"
                        problems.append(reading.grid.problem(what, remedy, row.place, place, subject=patient))
                elif value.kind not in ("number", "no value"):
                    what = "no number of a dose"
                    remedy = (
                        "write the number alone, its unit in the header; or make it a covariate in the TOML"
                    )
                    problems.append(reading.grid.problem(what, remedy, row.place, place, subject=patient))
            if unit:
                basis = "written" if reading.uses[place].unit and answer is None else "answer"
                entries.append(Entry("dose", reading.name, reading.keys[place], unit, basis))
    questions = tuple(open_items("units", items[:1], answers))
    return amounts, Findings(questions, tuple(entries), tuple(problems))


def _dose_item(reading: SheetReading, place: int, marks: DecimalMarks) -> Item:
    """The question of the unit of doses; cells are proposed where every dose is a number of cells."""
    values = [marks.value(reading.name, reading.grid.at(row.place, place)).value for row in reading.rows]
    numbers = [value for value in values if value]
    proposal = "cells" if numbers and min(numbers) >= _FEWEST_CELLS else None
    where = f"column {reading.keys[place]} of {reading.name}"
    if numbers:
        where += f", from {min(numbers):g} to {max(numbers):g}"
    return Item("dose", proposal, where)


def level_of(infusion: Infusion) -> tuple[float, str]:
    """The dose level: the amount in cells or cells/kg, mg or mg/kg, and that unit."""
    kind = dimension(infusion.unit)
    unit = {"cells": "cells", "cells per body weight": "cells/kg", "mass": "mg"}.get(kind, "mg/kg")
    return infusion.amount * convert(infusion.unit, unit), unit
