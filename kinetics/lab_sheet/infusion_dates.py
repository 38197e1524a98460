"""The dates of each patient's infusions, and the order of day and month in every column of dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from kinetics.errors import Problem
from kinetics.lab_sheet.dates import DateOrder, date_of, date_order
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings, together
from kinetics.lab_sheet.questions import Answers, Item, answer_of, open_items
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.visit_names import infusion_ranks

__all__ = ["Calendar", "calendar_of"]


@dataclass(frozen=True)
class Calendar:
    """The first infusion of each patient, and how each column of dates is read: (sheet, place) -> order.

    `later` has the days from it to further ones: (patient, infusion, from 2 up) -> days.
    """

    infusions: Mapping[str, datetime]
    orders: Mapping[tuple[str, int], DateOrder]
    later: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def date(self, reading: SheetReading, row: int, column: int) -> datetime | None:
        """The date in a cell, None where it is none."""
        order = self.orders.get((reading.name, column), "day first")
        return date_of(reading.grid.at(row, column), order)


def calendar_of(
    readings: Sequence[SheetReading], names: Mapping[tuple[str, str], str], answers: Answers
) -> tuple[Calendar, Findings]:
    """The calendar of all sheets. `names` maps (sheet, name as written) to the patient."""
    orders: dict[tuple[str, int], DateOrder] = {}
    items: list[Item] = []
    entries: list[Entry] = []
    problems: list[Problem] = []
    for reading in readings:
        for place in reading.columns("sample date", "infusion date", "actual time", "time"):
            key = f"{reading.name}: {reading.keys[place]}"
            cells = [reading.grid.at(row.place, place) for row in reading.rows]
            order = date_order(cells)
            addresses = tuple(
                reading.grid.address(row.place, place)
                for row in reading.rows
                if date_order([reading.grid.at(row.place, place)]) is not None
            )
            if order == "both":
                remedy = "write them all in one order, or as 2024-03-31"
                problems.append(Problem("dates that put day and month in two orders", remedy, file=key))
            elif order == "either":
                items.append(Item(key, where=f"{len(addresses)} cells, as {_example(cells)}"))
                answer = answer_of("dates", key, answers)
                if answer in ("day first", "month first"):
                    orders[reading.name, place] = cast("DateOrder", answer)
                    entries.append(
                        Entry(reading.keys[place], reading.name, "dates", answer, "answer", cells=addresses)
                    )
                elif answer is not None:
                    problems.append(Problem(f"dates: {answer!r}", "write day first or month first", file=key))
            elif order is not None:
                orders[reading.name, place] = order
                entries.append(
                    Entry(reading.keys[place], reading.name, "dates", order, "written", cells=addresses)
                )
    calendar = Calendar({}, orders)
    dates, found = _infusions(readings, names, calendar)
    asked = Findings(tuple(open_items("dates", items, answers)), tuple(entries), tuple(problems))
    infusions = {patient: date for (patient, rank), date in dates.items() if rank == 1}
    later = {
        (patient, rank): float((date.date() - infusions[patient].date()).days)
        for (patient, rank), date in dates.items()
        if rank > 1 and patient in infusions
    }
    wrong = [
        Problem(f"infusion {rank} is not after the first", "correct its date", subject=patient)
        for (patient, rank), days in later.items()
        if days <= 0
    ]
    wrong += [
        Problem(f"infusion {rank} has a date, and the first has none", "write it", subject=patient)
        for patient, rank in dates
        if rank > 1 and patient not in infusions
    ]
    return Calendar(infusions, orders, later), together([asked, found, Findings(problems=tuple(wrong))])


def _example(cells: Sequence[object]) -> str:
    """A cell with a slash, as an example."""
    return next((str(cell) for cell in cells if isinstance(cell, str) and ("/" in cell or "-" in cell)), "")


def _infusions(
    readings: Sequence[SheetReading], names: Mapping[tuple[str, str], str], calendar: Calendar
) -> tuple[dict[tuple[str, int], datetime], Findings]:
    """The infusion dates: (patient, infusion, from 1 up) -> date."""
    infusions: dict[tuple[str, int], datetime] = {}
    problems: list[Problem] = []
    for reading in readings:
        places = reading.columns("infusion date")
        ranks = infusion_ranks([reading.keys[place] for place in places])
        if ranks is None:
            columns = ", ".join(reading.keys[place] for place in places)
            what = f"more than one column of infusion dates: {columns}"
            remedy = (
                "number the columns, as `Infusion 1 date` and `Infusion 2 date`; or keep the first infusion "
                "as `infusion date` in the TOML and the others as `note`, and add their doses to doses.csv "
                "after the import"
            )
            problems.append(Problem(what, remedy, file=reading.grid.file))
        for place, rank in zip(places, ranks or [], strict=False):
            for row in reading.rows:
                patient = names.get((reading.name, row.patient), row.patient)
                date = calendar.date(reading, row.place, place)
                if date is None and reading.grid.at(row.place, place) is not None:
                    what = "no date of infusion"
                    remedy = "write it as 2024-03-31"
                    problems.append(reading.grid.problem(what, remedy, row.place, place, subject=patient))
                if date is not None and infusions.setdefault((patient, rank), date) != date:
                    what = "two infusion dates of one patient"
                    remedy = "correct one of them"
                    problems.append(reading.grid.problem(what, remedy, row.place, place, subject=patient))
    return infusions, Findings(problems=tuple(problems))
