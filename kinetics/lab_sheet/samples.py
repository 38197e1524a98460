"""Every measured cell of all sheets with its patient and its time, before the meaning of the cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kinetics.errors import Problem
from kinetics.lab_sheet.cell_values import cell_value
from kinetics.lab_sheet.column_names import analyte_name
from kinetics.lab_sheet.cycle_labels import Cycles
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.grid import Cell, shown
from kinetics.lab_sheet.infusion_dates import Calendar
from kinetics.lab_sheet.questions import Answers, Item, answer_of, open_items
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.time_labels import MONTH_DAYS, days_of, time_label, time_unit
from kinetics.lab_sheet.unit_names import unit_named
from kinetics.lab_sheet.visit_names import cycle_and_day, is_week_and_day

__all__ = ["Sample", "SampleTimes", "days_answered", "samples_of", "times_of_row", "with_time_unit"]


@dataclass(frozen=True)
class Sample:
    """One measured cell. `days` is None where its time is a word that has no answer yet.

    `planned` is the planned time as written, and `planned_days` in days, where the sheet has one beside the
    actual time. `unit` is the one stated for it, "" without. `row` counts as the spreadsheet does.
    """

    patient: str
    analyte: str
    label: str
    unit: str
    days: float | None
    planned: str
    planned_days: float | None
    cell: Cell
    sheet: str
    address: str
    row: int

    @property
    def source(self) -> str:
        """The cell as a spreadsheet names it across sheets: `PCR!B12`."""
        return f"{self.sheet}!{self.address}"


@dataclass(frozen=True)
class SampleTimes:
    """The time of a row: in days, the word in its place, the planned time, and how it was read."""

    days: float | None = None
    word: str = ""
    planned: str = ""
    planned_days: float | None = None
    how: str = ""
    problem: Problem | None = None


def samples_of(
    readings: Sequence[SheetReading],
    names: Mapping[tuple[str, str], str],
    calendar: Calendar,
    answers: Answers,
    month_days: float,
    cycles: Cycles,
) -> tuple[list[Sample], Findings]:
    """The samples of all sheets. `names` maps (sheet, name as written) to the patient.

    Open are the units of times and the days of words such as `Baseline`.
    """
    samples: list[Sample] = []
    words: dict[str, list[str]] = {}
    entries: dict[tuple[str, str], list[str]] = {}
    problems: list[Problem] = []
    units: list[Item] = []
    for reading in readings:
        reading, unit_items, wrong = with_time_unit(reading, answers)
        problems += wrong
        units += unit_items
        for row in reading.rows:
            patient = names.get((reading.name, row.patient), row.patient)
            times = times_of_row(reading, row.place, calendar, patient, month_days=month_days, cycles=cycles)
            row_samples = list(_row_samples(reading, row.place, patient, times, month_days))
            told = [sample for sample in row_samples if cell_value(sample.cell).kind != "no value"]
            if cycles.is_open(times.word):
                continue
            if times.word and told:
                words.setdefault(times.word, []).append(f"{reading.name}!{_cell_of_row(reading, row.place)}")
                answer = answer_of("times", times.word, answers)
                if answer is None or answer == "leave out":
                    continue
                days = days_answered(answer)
                if days is None:
                    problems.append(
                        Problem(f"times: {times.word} = {answer!r}", "write a day, as -7, or leave out")
                    )
                row_samples = [replace(sample, days=days) for sample in row_samples]
            if times.problem is not None and told:
                problems.append(times.problem)
                continue
            if times.how and told:
                address = reading.grid.address(row.place, 0)
                entries.setdefault((reading.name, times.how), []).append(address)
            samples += row_samples
    items = [
        Item(word, _day_proposed(word), f"{len(places)} rows, the first {places[0]}")
        for word, places in words.items()
    ]
    listed = [
        Entry("time", "", text, f"day {days:g} (day {cycles.first_day} of a cycle is its infusion)", "guess")
        for text, days in cycles.labels.items()
        if days is not None
    ]
    listed += [
        Entry("time", sheet, "the time of a row", how, "guess", cells=tuple(cells))
        for (sheet, how), cells in entries.items()
    ]
    for word, places in words.items():
        answer = answer_of("times", word, answers)
        if answer is not None:
            read_as = answer if answer == "leave out" else f"day {answer}"
            listed.append(Entry("time", "", word, read_as, "answer", cells=tuple(places)))
    questions = (*open_items("units", units, answers), *open_items("times", items, answers))
    return samples, Findings(questions, tuple(listed), tuple(problems))


def _day_proposed(word: str) -> str | None:
    """The proposal for a word in place of a time; None for one that is a day, but which?"""
    if is_week_and_day(word):
        return None
    return "0" if re.fullmatch(r"(day of )?(car[- ]?\w* )?infusion( day)?", word.lower()) else "leave out"


def days_answered(answer: str) -> float | None:
    """The day that an answer says: `-7`, `day -7`."""
    match = re.fullmatch(r"(?:day )?([+-]?\d+(?:\.\d+)?)(?: days?)?", answer.strip())
    return float(match[1]) if match else None


def with_time_unit(reading: SheetReading, answers: Answers) -> tuple[SheetReading, list[Item], list[Problem]]:
    """The sheet with the unit of its times as answered, the item that asks for it where none is stated, and
    the problem of an answer that is no unit of time.
    """
    uses = list(reading.uses)
    items = []
    problems = []
    for place in reading.columns("actual time", "time"):
        cells = [reading.grid.at(row.place, place) for row in reading.rows]
        numbers = any(isinstance(cell, float) or cell_value(cell).kind == "number" for cell in cells if cell)
        if uses[place].unit or not numbers:
            continue
        key = f"time in {reading.name}"
        answer = answer_of("units", key, answers)
        is_visit = re.search("visit|point|zeitpunkt", reading.keys[place], re.IGNORECASE)
        where = f"column {reading.keys[place]}: min, h, day, week or month"
        items.append(Item(key, None if is_visit else "day", where))
        unit = time_unit(answer or "day")
        if unit is None:
            problems.append(Problem(f"units: {key} = {answer!r}", "write min, h, day, week or month"))
        uses[place] = replace(uses[place], unit=unit or "day")
    return replace(reading, uses=tuple(uses)), items[:1], problems


def _cell_of_row(reading: SheetReading, row: int) -> str:
    place = reading.column("actual time", "time", "sample date", "patient")
    return reading.grid.address(row, place or 0)


def times_of_row(
    reading: SheetReading, row: int, calendar: Calendar, patient: str, month_days: float, cycles: Cycles
) -> SampleTimes:
    """The time of a row of a long sheet: the actual one, else by its date, else the planned one."""
    planned_place = reading.column("time")
    planned_cell = None if planned_place is None else reading.grid.at(row, planned_place)
    planned_unit = "day" if planned_place is None else reading.uses[planned_place].unit
    planned_days = _days_of_cell(planned_cell, planned_unit, month_days, cycles)
    actual_place = reading.column("actual time")
    times = SampleTimes(planned=shown(planned_cell), planned_days=planned_days)
    if actual_place is not None:
        cell = reading.grid.at(row, actual_place)
        days = _days_of_cell(cell, reading.uses[actual_place].unit, month_days, cycles)
        if days is not None:
            return replace(times, days=days)
        if cell is not None and planned_place is None and cell_value(cell).kind != "no value":
            return replace(times, word=shown(cell))
    date_place = reading.column("sample date")
    if date_place is not None:
        date = calendar.date(reading, row, date_place)
        if date is not None and patient in calendar.infusions:
            infusion = calendar.infusions[patient]
            if (infusion.hour, infusion.minute) == (0, 0) or (date.hour, date.minute) == (0, 0):
                return replace(times, days=float((date.date() - infusion.date()).days))
            return replace(times, days=(date - infusion).total_seconds() / 86400)
        cell = reading.grid.at(row, date_place)
        if cell is not None and planned_days is None:
            what = "a sample date, and the patient has no infusion date"
            remedy = f"add the infusion date, or leave the patient out: leave_out = [{patient!r}] in the TOML"
            if date is None:
                what = "no date of a sample"
                remedy = "write it as 2024-03-31"
            return replace(
                times, problem=reading.grid.problem(what, remedy, row, date_place, subject=patient)
            )
    if planned_days is not None:
        has_better = actual_place is not None or date_place is not None
        how = "the planned time, because the row has no actual one" if has_better else ""
        return replace(times, days=planned_days, how=how)
    if planned_cell is not None and cell_value(planned_cell).kind != "no value":
        return replace(times, word=shown(planned_cell))
    if planned_place is None and actual_place is None and date_place is None:
        return times  # a wide sheet: each column has its time
    place = reading.column("actual time", "sample date", "time") or 0
    problem = reading.grid.problem(
        "a row without a time", "write its day, or delete the row", row, place, subject=patient
    )
    return replace(times, problem=problem)


def _days_of_cell(cell: Cell, unit: str, month_days: float, cycles: Cycles) -> float | None:
    """The days of a cell of times: a number in `unit`, or a label such as `Day 7`, `M2` or `C2D8`."""
    if cell is None:
        return None
    if isinstance(cell, str) and cycle_and_day(cell) is not None:
        return cycles.days(cell)
    value = cell_value(cell if isinstance(cell, float) else shown(cell))
    if value.kind == "number" and value.value is not None:
        days = days_of(value.value, unit if unit in ("min", "h", "day", "week", "month", "year") else "day")
        return days * month_days / MONTH_DAYS if unit == "month" else days
    label = time_label(shown(cell))
    if label is None or not re.fullmatch(r"|(visit|v|time ?point|tp) ?\d*", label.rest, re.IGNORECASE):
        return None
    return label.days * month_days / MONTH_DAYS if label.unit == "month" else label.days


def _row_samples(
    reading: SheetReading, row: int, patient: str, times: SampleTimes, month_days: float
) -> Iterator[Sample]:
    """The samples of a row: those of its columns of measures, or the one that an analyte column names."""
    has_actual = bool(reading.columns("actual time", "sample date"))
    sample = Sample(
        patient=patient,
        analyte="",
        label="",
        unit="",
        days=times.days,
        planned=times.planned if has_actual else "",
        planned_days=times.planned_days if has_actual else None,
        cell=None,
        sheet=reading.name,
        address="",
        row=row + 1,
    )
    for place in reading.columns("measure"):
        use = reading.uses[place]
        yield replace(
            sample,
            analyte=use.name,
            label=reading.keys[place],
            unit=use.unit,
            days=times.days if use.days is None else use.days,
            cell=reading.grid.at(row, place),
            address=reading.grid.address(row, place),
            row=reading.grid.row_number(row, place),
        )
    analyte = reading.column("analyte")
    value = reading.column("value")
    if analyte is None or value is None:
        return
    unit_place = reading.column("unit")
    label = shown(reading.grid.at(row, analyte))
    written = "" if unit_place is None else shown(reading.grid.at(row, unit_place))
    if label:
        yield replace(
            sample,
            analyte=analyte_name(label),
            label=label,
            unit=unit_named(written) or reading.uses[value].unit,
            cell=reading.grid.at(row, value),
            address=reading.grid.address(row, value),
            row=reading.grid.row_number(row, value),
        )
