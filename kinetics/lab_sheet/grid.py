"""A sheet as it was written: the cells of an Excel sheet or of a CSV, before any meaning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from kinetics.errors import Problem, StudyError
from kinetics.files import not_readable
from kinetics.study import WORKBOOK_SUFFIXES, ExcelCell, csv_records, file_problem, workbook_cells

__all__ = ["Cell", "Grid", "address", "read_grids", "shown", "transposed"]

Cell = str | float | datetime | None
_DELIMITERS = (",", ";", "\t")
_NUL = "\x00"


@dataclass(frozen=True)
class Grid:
    """The cells of one sheet: text is stripped, an empty cell is None, a number of Excel a float.

    `sheet` is the name by which the TOML and the list call it. `how` says how a CSV was read. Of a sheet with
    its patients in columns the rows are its columns, and `turned` is true; the rows above its header are then
    left out, `offset` is their number, and `titles` are their texts.
    """

    file: str
    sheet: str
    rows: tuple[tuple[Cell, ...], ...]
    how: str = ""
    turned: bool = False
    offset: int = 0
    titles: tuple[str, ...] = ()

    def at(self, row: int, column: int) -> Cell:
        """The cell of a row and a column, both counted from 0; None beyond the edge of the sheet."""
        cells = self.rows[row]
        return cells[column] if column < len(cells) else None

    @property
    def width(self) -> int:
        """The number of columns."""
        return max((len(row) for row in self.rows), default=0)

    def address(self, row: int, column: int) -> str:
        """The cell's name as a spreadsheet has it, `B12`, for a row and a column counted from 0."""
        return address(column + self.offset, row) if self.turned else address(row, column)

    def row_number(self, row: int, column: int) -> int:
        """The row of the cell as a spreadsheet counts it."""
        return (column + self.offset if self.turned else row) + 1

    def problem(self, what: str, remedy: str, row: int, column: int, subject: str = "") -> Problem:
        """A Problem with one cell."""
        number = self.row_number(row, column)
        value = shown(self.at(row, column))
        name = f"{self.file} [{self.sheet}]"
        return Problem(what, remedy, file=name, row=number, subject=subject, value=value)


def address(row: int, column: int) -> str:
    """A row and a column, counted from 0, as a spreadsheet names the cell: (11, 1) is B12."""
    letters = ""
    rest = column + 1
    while rest:
        rest, place = divmod(rest - 1, 26)
        letters = chr(ord("A") + place) + letters
    return f"{letters}{row + 1}"


def shown(cell: Cell) -> str:
    """A cell as text: 72.0 is `72`, a date is ISO 8601, an empty cell is ""."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if (cell.hour, cell.minute) == (0, 0) else cell.isoformat(" ")
    if isinstance(cell, str):
        return cell
    return str(int(cell)) if cell % 1 == 0 and abs(cell) < 2**53 else repr(cell)


def transposed(grid: Grid, first: int = 0) -> Grid:
    """The grid from row `first` on, with its rows as columns."""
    places = range(first, len(grid.rows))
    rows = tuple(tuple(grid.at(row, column) for row in places) for column in range(grid.width))
    titles = tuple(shown(cell) for row in grid.rows[:first] for cell in row if cell is not None)
    return replace(grid, rows=rows, turned=True, offset=first, titles=titles)


def read_grids(paths: Sequence[Path]) -> list[Grid]:
    """The sheets of workbooks and CSV files that have any cell.

    StudyError with every file that cannot be read, and with every formula that has no stored value.
    """
    grids: list[Grid] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            grids += _read(path)
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(problems)
    return _with_names_apart([grid for grid in grids if any(any(row) for row in grid.rows)])


def _read(path: Path) -> list[Grid]:
    fault = not_readable(path)
    if fault:
        raise StudyError(Problem(fault, "check the path", file=str(path)))
    if path.suffix.lower() in WORKBOOK_SUFFIXES:
        return list(_sheets(path))
    if path.suffix.lower() == ".xls":
        raise StudyError(
            Problem("an .xls workbook of old Excel", "save it as .xlsx, or as CSV", file=path.name)
        )
    return [_csv(path)]


def _with_names_apart(grids: list[Grid]) -> list[Grid]:
    """The grids with a name each: of two that are alike, `file: sheet`."""
    count = Counter(grid.sheet for grid in grids)
    return [
        replace(grid, sheet=f"{grid.file}: {grid.sheet}") if count[grid.sheet] > 1 else grid for grid in grids
    ]


def _sheets(path: Path) -> Iterator[Grid]:
    """The sheets of a workbook."""
    stored = workbook_cells(path)
    if isinstance(stored, Problem):
        raise StudyError(stored)
    problems = [problem for sheet in stored for problem in sheet.problems]
    if problems:
        raise StudyError(problems)
    for sheet in stored:
        width = max((len(row) for row in sheet.rows), default=0)
        rows = tuple(tuple(map(_excel_cell, row)) + (None,) * (width - len(row)) for row in sheet.rows)
        yield Grid(path.name, sheet.title.strip(), rows)


def _excel_cell(cell: ExcelCell | None) -> Cell:
    """A cell of a workbook. A number that Excel shows as percent is the text that it shows."""
    if cell is None:
        return None
    value = cell.value
    if isinstance(value, int | float) and not isinstance(value, bool) and "%" in cell.number_format:
        return f"{100 * value:.12g}%"
    return _cell(value)


def _cell(value: Any) -> Cell:
    """A value of openpyxl as a cell."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    text = "" if value is None else re.sub(r"\s+", " ", str(value)).strip()
    return text or None


def _csv(path: Path) -> Grid:
    """A CSV, with the delimiter that gives its rows most columns."""
    too_large = file_problem(path)
    if too_large is not None:
        raise StudyError(too_large)
    raw = path.read_bytes()
    encoding = "utf-8-sig"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif not _decodes(raw):
        encoding = "cp1252"
    text = raw.decode(encoding, errors="replace")
    if _NUL in text or raw.startswith(b"PK\x03\x04"):
        raise StudyError(
            Problem("the file is binary, not text", "save it as .xlsx or as CSV", file=path.name)
        )
    if not text.strip():
        raise StudyError(Problem("the file is empty", "save the sheet again", file=path.name))
    tables: dict[str, list[list[str]]] = {}
    for mark in _DELIMITERS:
        records = csv_records(text, path.name, mark)
        if isinstance(records, Problem):
            raise StudyError(records)
        tables[mark] = records
    delimiter = max(_DELIMITERS, key=lambda mark: _usual_width(tables[mark]))
    rows = tuple(tuple(_cell(cell) for cell in row) for row in tables[delimiter])
    how = f"{'UTF-8' if encoding == 'utf-8-sig' else encoding}, columns divided by {_MARKS[delimiter]}"
    return Grid(path.name, path.stem, rows, how)


_MARKS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def _usual_width(rows: list[list[str]]) -> tuple[int, int]:
    """The width that most of the wide rows have, and how many of them have it."""
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return (0, 0)
    width, count = widths.most_common(1)[0]
    return (count * (width > 1), width)
