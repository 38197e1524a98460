"""The decimal mark of each sheet, and the question of the cells that it could write in two ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kinetics.errors import Problem
from kinetics.lab_sheet.cell_values import CellValue, Decimal, cell_value, decimal_mark
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.findings import Findings
from kinetics.lab_sheet.grid import Cell
from kinetics.lab_sheet.questions import Answers, Item, answer_of, open_items
from kinetics.lab_sheet.sheet_reading import SheetReading

__all__ = ["DecimalMarks", "decimal_marks"]

_NUMERIC = ("measure", "value", "dose", "weight", "covariate")


@dataclass(frozen=True)
class DecimalMarks:
    """The decimal mark of each sheet; and the sheets of decimal commas in which a lone point is one too."""

    marks: Mapping[str, Decimal]
    with_points: frozenset[str] = frozenset()

    def value(self, sheet: str, cell: Cell) -> CellValue:
        """What a cell of a sheet says."""
        mark = self.marks.get(sheet, "point")
        if sheet in self.with_points and isinstance(cell, str) and "," not in cell:
            mark = "point"
        return cell_value(cell, mark)


def decimal_marks(readings: Sequence[SheetReading], answers: Answers) -> tuple[DecimalMarks, Findings]:
    """The decimal marks of all sheets. Open are those of sheets whose cells do not tell."""
    marks: dict[str, Decimal] = {}
    with_points: set[str] = set()
    items = []
    entries = []
    problems = []
    for reading in readings:
        sheet = reading.name
        cells = {
            reading.grid.address(row.place, place): reading.grid.at(row.place, place)
            for row in reading.rows
            for place in reading.columns(*_NUMERIC)
        }
        style = decimal_mark(cells.values())
        marks[sheet] = style.decimal or "point"
        if style.decimal == "comma":
            entries.append(Entry("decimal mark", sheet, "cells such as 1,5", "comma", "written"))
        if not style.doubtful:
            continue
        places = tuple(name for name, cell in cells.items() if _is_doubtful(cell, style.doubtful))
        answer = answer_of("numbers", sheet, answers)
        choices = ("comma", "point") if style.decimal is None else ("thousands", "decimals")
        where = f"{', '.join(style.doubtful[:3])} in {', '.join(places[:3])}: {' or '.join(choices)}"
        items.append(Item(sheet, where=where))
        if answer is not None and answer not in choices:
            problems.append(Problem(f"numbers: {sheet} = {answer!r}", f"write {' or '.join(choices)}"))
        elif answer is not None:
            written = ", ".join(style.doubtful[:8])
            entries.append(Entry("decimal mark", sheet, written, answer, "answer", cells=places))
            if answer in ("comma", "point"):
                marks[sheet] = "comma" if answer == "comma" else "point"
            if answer == "decimals":
                with_points.add(sheet)
    questions = tuple(open_items("numbers", items, answers))
    return DecimalMarks(marks, frozenset(with_points)), Findings(questions, tuple(entries), tuple(problems))


def _is_doubtful(cell: Cell, texts: Sequence[str]) -> bool:
    return isinstance(cell, str) and re.sub(r"^[<>≤≥]\s*", "", cell) in texts
