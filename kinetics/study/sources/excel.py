"""An Excel workbook (.xlsx) as raw tables, one per sheet. It needs openpyxl: the extra `excel`.

The first row of a sheet names its columns. The sheet `dictionary` holds a dictionary.toml, one line per row.
A formula is read as the value that was stored with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kinetics.errors import Problem
from kinetics.study.raw_table import RawTable, cell_text, make_table
from kinetics.study.sources.sheet_cells import SheetCells, workbook_cells

__all__ = ["DICTIONARY_SHEET", "WORKBOOK_SUFFIXES", "Sheet", "Workbook", "read_workbook", "sheet_name"]

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")
DICTIONARY_SHEET = "dictionary"


@dataclass(frozen=True)
class Sheet:
    """One sheet as a table (None where none can be made of it), its Problems, and its first rows as text."""

    table: RawTable | None
    problems: list[Problem]
    first_rows: list[list[str]]


@dataclass(frozen=True)
class Workbook:
    """Sheet (in lower case) -> its table; and the text of the sheet `dictionary`, None without one."""

    sheets: dict[str, Sheet]
    dictionary: str | None


def sheet_name(path: Path, sheet: str) -> str:
    """The name by which a Problem calls a sheet: `trial.xlsx [doses]`."""
    return f"{path.name} [{sheet}]"


def read_workbook(path: Path) -> Workbook | Problem:
    """The sheets of a workbook; a Problem where it cannot be read or openpyxl is not installed.

    A sheet without any cell is left out. The Problems of a sheet matter only if the sheet is used: a sheet of
    notes may have any form.
    """
    stored = workbook_cells(path)
    if isinstance(stored, Problem):
        return stored
    sheets: dict[str, Sheet] = {}
    dictionary = None
    for name, count in Counter(sheet.title.strip().lower() for sheet in stored).items():
        if count > 1:
            what = f"{count} sheets are called {name!r}, but for case and spaces"
            return Problem(what, "rename or delete the others", file=path.name)
    for sheet in stored:
        rows = _padded(sheet)
        name = sheet.title.strip().lower()
        if name == DICTIONARY_SHEET:
            dictionary = "\n".join(row[0] if row else "" for row in rows)
        elif not sheet.whole:
            sheets[name] = Sheet(None, sheet.problems, rows[:20])
        elif rows:
            table, problems = _table(path, sheet.title, rows)
            sheets[name] = Sheet(table, [*sheet.problems, *problems], rows[:20])
    return Workbook(sheets, dictionary)


def _padded(sheet: SheetCells) -> list[list[str]]:
    """Every row of a sheet as text, filled up to the widest; no row at all where every cell is empty."""
    width = max((len(row) for row in sheet.rows), default=0)
    rows = []
    for row in sheet.rows:
        cells = ["" if cell is None else cell_text(cell.value) for cell in row]
        rows.append(cells + [""] * (width - len(cells)))
    return rows if any(any(row) for row in rows) else []


def _table(path: Path, sheet: str, rows: list[list[str]]) -> tuple[RawTable | None, list[Problem]]:
    """The table of a sheet's cells, without the empty columns at its right, and its Problems."""
    width = max(place for row in rows for place, cell in enumerate(row, start=1) if cell)
    records = [(row, cells[:width]) for row, cells in enumerate(rows[1:], start=2)]
    may_be_empty = sheet.strip().lower() in ("events", "responses")
    return make_table(sheet_name(path, sheet), rows[0][:width], records, may_be_empty=may_be_empty)
