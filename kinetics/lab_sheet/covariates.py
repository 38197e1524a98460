"""The facts of each patient: weight and covariates, one value for each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pandas import DataFrame

from kinetics.errors import Problem
from kinetics.lab_sheet.cell_values import NO_VALUE
from kinetics.lab_sheet.column_names import analyte_name
from kinetics.lab_sheet.decimal_marks import DecimalMarks
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings, together
from kinetics.lab_sheet.grid import Cell, shown
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.unit_names import unit_named
from kinetics.units import convert

__all__ = ["subject_facts"]

_WEIGHT_UNITS = ("kg", "lb", "g body weight")
_RESERVED = {"subject", "weight_kg", "dose_level"}


def subject_facts(
    readings: Sequence[SheetReading],
    names: Mapping[tuple[str, str], str],
    patients: Sequence[str],
    marks: DecimalMarks,
) -> tuple[DataFrame, dict[str, dict[str, str]], Findings]:
    """subjects.csv as text, by patient; the declaration of each of its columns; and how they were read."""
    table = DataFrame(index=list(patients))
    declared: dict[str, dict[str, str]] = {}
    parts: list[Findings] = []
    all_weights: dict[str, str] = {}
    for reading in readings:
        for place in reading.columns("weight"):
            weights, found = _weights(reading, names, place, marks)
            parts.append(found)
            all_weights = weights | all_weights  # the first sheet's stand
            table["weight_kg"] = [all_weights.get(patient, "") for patient in patients]
        for place in reading.columns("covariate", "note"):
            values, differs = _values(reading, names, place)
            told = {p: cell for p, cell in values.items() if p in table.index and not _is_missing(cell)}
            if differs:
                read_as = "left out: it differs between the rows of a patient"
                about = f"column {reading.keys[place]}"
                parts.append(Findings(entries=(Entry(about, reading.name, differs, read_as, "guess"),)))
            elif told:
                name = _name(reading, place, list(table.columns))
                cells, declared[name] = _covariate(reading, place, told, marks)
                table[name] = [cells.get(patient, "") for patient in patients]
    return table, declared, together(parts)


def _weights(
    reading: SheetReading, names: Mapping[tuple[str, str], str], place: int, marks: DecimalMarks
) -> tuple[dict[str, str], Findings]:
    """Patient -> body weight in kg, as text."""
    use = reading.uses[place]
    key = reading.keys[place]
    unit = unit_named(use.unit) if use.unit else "kg"
    if unit not in _WEIGHT_UNITS:
        problem = Problem(f"a weight in {use.unit!r}", "write kg or lb", file=reading.name, column=key)
        return {}, Findings(problems=(problem,))
    values, differs = _values(reading, names, place)
    entries = [Entry("weight", reading.name, key, unit, "written" if use.unit else "guess")]
    if differs:
        entries.append(Entry("weight", reading.name, differs, "the first of a patient", "guess"))
    numbers = _numbers(values, reading.name, marks)
    weights = {p: f"{number * convert(unit, 'kg'):.10g}" for p, number in numbers.items() if number}
    lost = tuple(patient for patient in values if patient not in weights)
    if lost:
        words = ", ".join(dict.fromkeys(shown(values[patient]) for patient in lost))
        entries.append(Entry("weight", reading.name, words, "no weight", "guess", cells=lost))
    return weights, Findings(entries=tuple(entries))


def _covariate(
    reading: SheetReading, place: int, told: Mapping[str, Cell], marks: DecimalMarks
) -> tuple[dict[str, str], dict[str, str]]:
    """Patient -> the value of a covariate or note as text, and its declaration."""
    use = reading.uses[place]
    numbers = _numbers(told, reading.name, marks)
    is_number = all(number is not None for number in numbers.values())
    kind = "number" if is_number else "category"
    spec = {"role": use.kind, "label": reading.keys[place], "kind": kind}
    if is_number and use.unit:
        spec["unit"] = use.unit
    if is_number:
        return {patient: f"{number:.10g}" for patient, number in numbers.items()}, spec
    return {patient: shown(cell) for patient, cell in told.items()}, spec


def _values(
    reading: SheetReading, names: Mapping[tuple[str, str], str], place: int
) -> tuple[dict[str, Cell], str]:
    """Patient -> the first filled cell of a column; and an example of a patient with two that differ."""
    values: dict[str, Cell] = {}
    differs = ""
    for row in reading.rows:
        cell = reading.grid.at(row.place, place)
        patient = names.get((reading.name, row.patient), row.patient)
        if cell is None:
            continue
        if shown(values.setdefault(patient, cell)) != shown(cell) and not differs:
            differs = f"{patient}: {shown(values[patient])}, {shown(cell)}"
    return values, differs


def _numbers(values: Mapping[str, Cell], sheet: str, marks: DecimalMarks) -> dict[str, float | None]:
    numbers = {}
    for patient, cell in values.items():
        value = marks.value(sheet, cell if isinstance(cell, float) else shown(cell))
        numbers[patient] = value.value if value.kind == "number" else None
    return numbers


def _is_missing(cell: Cell) -> bool:
    return cell is None or bool(NO_VALUE.fullmatch(shown(cell)))


def _name(reading: SheetReading, place: int, taken: Sequence[str]) -> str:
    """The snake_case name of a covariate, apart from those that are taken."""
    key = reading.keys[place]
    sheet = analyte_name(reading.name)
    plain = re.sub(r"\(.*?\)|\[.*?\]", "", key) if reading.uses[place].unit else key
    name = analyte_name(plain) or sheet
    if name in taken or name in _RESERVED:
        name = f"{sheet}_{name}"
    while name in taken:
        name += "_2"
    return name
