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
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.grid import Cell, shown
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.unit_names import unit_named
from kinetics.units import convert

__all__ = ["subject_facts"]

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
    entries: list[Entry] = []
    problems: list[Problem] = []
    for reading in readings:
        for place in reading.columns("weight", "covariate", "note", "product"):
            use = reading.uses[place]
            key = reading.keys[place]
            if use.kind == "product":
                continue
            values, differs = _values(reading, names, place)
            values = {patient: cell for patient, cell in values.items() if patient in table.index}
            if differs and use.kind != "weight":
                read_as = "left out: it differs between the rows of a patient"
                entries.append(Entry(f"column {key}", reading.name, differs, read_as, "guess"))
                continue
            numbers = _numbers(values, reading.name, marks)
            if use.kind == "weight":
                unit = unit_named(use.unit) or "kg"
                if unit not in ("kg", "lb", "g body weight"):
                    problems.append(
                        Problem(f"a weight in {use.unit!r}", "write kg or lb", file=reading.name, column=key)
                    )
                    continue
                basis = "written" if use.unit else "guess"
                entries.append(Entry("weight", reading.name, key, unit, basis))
                if differs:
                    entries.append(Entry("weight", reading.name, differs, "the first of a patient", "guess"))
                kept = {p: f"{n * convert(unit, 'kg'):.10g}" for p, n in numbers.items() if n is not None}
                lost = sorted(set(values) - set(kept))
                if lost:
                    words = ", ".join(dict.fromkeys(shown(values[patient]) for patient in lost))
                    entries.append(Entry("weight", reading.name, words, "no weight", "guess", tuple(lost)))
                earlier = table["weight_kg"] if "weight_kg" in table else None
                column = table.index.to_series().map(kept)
                table["weight_kg"] = column if earlier is None else earlier.fillna(column)
                continue
            name = _name(key, use.unit, reading.name, list(table.columns))
            told = {patient: cell for patient, cell in values.items() if not _is_missing(cell)}
            is_number = bool(told) and all(numbers.get(patient) is not None for patient in told)
            if is_number:
                cells = {patient: f"{numbers[patient]:.10g}" for patient in told}
            else:
                cells = {patient: shown(cell) for patient, cell in told.items()}
            if not told:
                continue
            table[name] = table.index.to_series().map(cells)
            declared[name] = {
                "role": use.kind,
                "label": key,
                "kind": "number" if is_number else "category",
            }
            if use.unit and is_number:
                declared[name]["unit"] = use.unit
    return table.fillna(""), declared, Findings(entries=tuple(entries), problems=tuple(problems))


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


def _name(key: str, unit: str, sheet: str, taken: Sequence[str]) -> str:
    """The snake_case name of a covariate, apart from those that are taken."""
    name = analyte_name(re.sub(r"\(.*?\)|\[.*?\]", "", key) if unit else key) or analyte_name(sheet)
    if name in taken or name in _RESERVED:
        name = f"{analyte_name(sheet)}_{name}"
    while name in taken:
        name += "_2"
    return name
