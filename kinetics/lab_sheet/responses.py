"""responses.csv from a column of overall responses (RECIST 1.1), a row for each assessment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pandas import DataFrame

from kinetics.errors import Problem
from kinetics.lab_sheet.cell_values import NO_VALUE
from kinetics.lab_sheet.cycle_labels import Cycles
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.grid import shown
from kinetics.lab_sheet.infusion_dates import Calendar
from kinetics.lab_sheet.questions import Answers, answer_of
from kinetics.lab_sheet.samples import days_answered, times_of_row, with_time_unit
from kinetics.lab_sheet.sheet_reading import SheetReading

__all__ = ["RESPONSE_COLUMNS", "responses_of"]

OVERALL = ("CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE")
RESPONSE_COLUMNS = {
    "time": {"unit": "day"},
    "overall": {"role": "note", "label": "Overall response", "codes": list(OVERALL)},
}


def responses_of(
    readings: Sequence[SheetReading],
    names: Mapping[tuple[str, str], str],
    calendar: Calendar,
    answers: Answers,
    *,
    month_days: float,
    cycles: Cycles,
    patients: Sequence[str],
) -> tuple[DataFrame, Findings]:
    """The responses of these patients: subject, time [day], overall; and the problems of their columns.

    A best response, one that is repeated in every row of a patient, or one in a sheet without times has no
    day and is a problem.
    """
    responses: dict[tuple[str, float], str] = {}
    problems: list[Problem] = []
    for reading in readings:
        reading, _, _ = with_time_unit(reading, answers)
        for place in reading.columns("response"):
            key = reading.keys[place]
            why = _without_day(reading, place)
            if why:
                what = f"a response without its day, {why}: {key!r}"
                remedy = (
                    "write `note` or `left out` for the column in the TOML; responses with their days go "
                    "into responses.csv, here or after the import"
                )
                problems.append(reading.grid.problem(what, remedy, reading.header.last, place))
                continue
            for row in reading.rows:
                patient = names.get((reading.name, row.patient), row.patient)
                cell = reading.grid.at(row.place, place)
                if cell is None or NO_VALUE.fullmatch(shown(cell)) or patient not in patients:
                    continue
                overall = shown(cell).upper()
                if overall not in OVERALL:
                    remedy = f"write one of {', '.join(OVERALL)}; or make the column `note` in the TOML"
                    problem = reading.grid.problem(
                        "no overall response", remedy, row.place, place, subject=patient
                    )
                    problems.append(problem)
                    continue
                times = times_of_row(
                    reading, row.place, calendar, patient, month_days=month_days, cycles=cycles
                )
                days = times.days
                if times.word and not cycles.is_open(times.word):
                    days = days_answered(answer_of("times", times.word, answers) or "")
                if times.problem is not None:
                    problems.append(times.problem)
                if days is not None and responses.setdefault((patient, days), overall) != overall:
                    what = f"two responses on day {days:g}"
                    problems.append(reading.grid.problem(what, "keep one", row.place, place, subject=patient))
    order = {patient: rank for rank, patient in enumerate(patients)}
    rows = sorted(
        ((patient, day, overall) for (patient, day), overall in responses.items()),
        key=lambda row: (order[row[0]], row[1]),
    )
    return DataFrame(rows, columns=["subject", "time", "overall"]), Findings(problems=tuple(problems))


def _without_day(reading: SheetReading, place: int) -> str:
    """Why the responses of a column have no day; "" where the day of each row is theirs."""
    if re.search(r"best|\bbor\b", reading.keys[place], re.IGNORECASE):
        return "the best of a patient"
    if not reading.columns("actual time", "time", "sample date"):
        return "in a sheet without times"
    cells: dict[str, list[str]] = {}
    for row in reading.rows:
        cells.setdefault(row.patient, []).append(shown(reading.grid.at(row.place, place)))
    repeated = all(len(set(words)) == 1 and words[0] for words in cells.values())
    if repeated and any(len(words) > 1 for words in cells.values()):
        return "the same in every row of a patient"
    return ""
