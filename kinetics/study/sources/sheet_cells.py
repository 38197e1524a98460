"""The cells of an Excel workbook, sheet by sheet, up to the last that holds something. It needs openpyxl.

A sheet is read as a stream of the rows that it stores, so that a formatted cell in the last row of Excel
costs nothing. A value far from everything else is refused: it is a slip, and would be a row or a column of
the table.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetics.errors import Problem
from kinetics.study.table_size import cells_problem, text_problem

__all__ = ["ExcelCell", "SheetCells", "workbook_cells"]

MOST_EMPTY_ROWS = 10_000  # between two rows of a sheet; a guess
MOST_EMPTY_COLUMNS = 1_000  # between two cells of a row; a guess


@dataclass(frozen=True)
class ExcelCell:
    """The value of a cell, and the format in which Excel shows its number."""

    value: Any
    number_format: str


@dataclass(frozen=True)
class SheetCells:
    """The rows of a sheet, from the first one of Excel up to the last that holds something.

    A row ends with its last cell that holds something; None is an empty cell. `problems` are those of the
    sheet: formulas without a stored value, a cell far from the others, too many cells. After one of the last
    two nothing more is read, and `whole` is False.
    """

    title: str
    rows: list[list[ExcelCell | None]]
    problems: list[Problem]
    whole: bool = True


def workbook_cells(path: Path) -> list[SheetCells] | Problem:
    """The sheets of a workbook; a Problem where it cannot be read or openpyxl is not installed."""
    try:
        load = importlib.import_module("openpyxl").load_workbook
    except ImportError:
        remedy = "pip install 'cellkinetics[excel]', or save each sheet as 'CSV UTF-8'"
        return Problem("an Excel workbook needs openpyxl, which is not installed", remedy, file=path.name)
    books = []
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist() if part.filename.endswith(".xml"))
        too_large = text_problem(path.name, unpacked)
        if too_large is not None:
            return too_large
        for data_only in (True, False):
            books.append(load(path, read_only=True, data_only=data_only))
        values, formulas = books
        pairs = zip(values.worksheets, formulas.worksheets, strict=True)
        return [_sheet_cells(path, value, formula) for value, formula in pairs]
    except MemoryError:
        raise
    except Exception as error:  # openpyxl raises what zipfile, zlib, the XML parser and its own code raise
        what = f"not a readable workbook: {type(error).__name__}: {error}"
        return Problem(what, "open it in Excel and save it as .xlsx", file=path.name)
    finally:
        for book in books:
            book.close()


def _sheet_cells(path: Path, values: Any, formulas: Any) -> SheetCells:
    """The cells of one sheet, of which `values` has the stored values and `formulas` the formulas."""
    file = f"{path.name} [{values.title}]"
    rows: list[list[ExcelCell | None]] = []
    problems = list[Problem]()
    count = 0
    last = 0  # the last row that holds something
    for number, (row, with_formulas) in enumerate(_stored_rows(values, formulas), start=1):
        problems += _unstored(file, number, row, with_formulas)
        cells = _up_to_the_last([_cell(cell) for cell in row])
        if not cells:
            continue
        stray = _stray(file, number, last, cells)
        if stray is not None:
            return SheetCells(values.title, rows, [stray], whole=False)
        count += len(cells)
        too_many = cells_problem(file, number, count // number)
        if too_many is not None:
            return SheetCells(values.title, rows, [too_many], whole=False)
        rows += [[] for _ in range(number - 1 - len(rows))]
        rows.append(cells)
        last = number
    return SheetCells(values.title, rows, problems)


def _stored_rows(values: Any, formulas: Any) -> Iterator[tuple[Any, Any]]:
    """The rows of both forms of a sheet, those that it stores and empty ones between them.

    The size that a sheet says of itself is not used: programs write it wrong, and a format makes it huge.
    """
    for sheet in (values, formulas):
        sheet.reset_dimensions()
    yield from zip(values.iter_rows(), formulas.iter_rows(), strict=True)


def _cell(cell: Any) -> ExcelCell | None:
    """A cell that holds something, None where it is empty or blank."""
    value = cell.value
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return ExcelCell(value, cell.number_format)


def _up_to_the_last(cells: list[ExcelCell | None]) -> list[ExcelCell | None]:
    """A row without the empty cells at its end."""
    width = len(cells)
    while width and cells[width - 1] is None:
        width -= 1
    return cells[:width]


def _unstored(file: str, row: int, values: Any, formulas: Any) -> Iterator[Problem]:
    """A Problem for every formula whose value was never stored: it would read as an empty cell."""
    for value, formula in zip(values, formulas, strict=True):
        if formula.value is not None and formula.data_type == "f" and value.value is None:
            what = f"{formula.coordinate} is a formula without a stored value"
            remedy = "open the workbook in Excel and save it, or paste the values"
            yield Problem(what, remedy, file=file, row=row, value=str(formula.value))


def _stray(file: str, row: int, last: int, cells: list[ExcelCell | None]) -> Problem | None:
    """The Problem of a cell that is far below or beside the others; None where none is."""
    filled = [place for place, cell in enumerate(cells, start=1) if cell is not None]
    column = filled[0]
    where = ""
    if last and row - last > MOST_EMPTY_ROWS:
        where = f"{row - last:,} rows below the others"
    for left, right in zip([0, *filled], filled, strict=False):
        if right - left > MOST_EMPTY_COLUMNS:
            column = right
            where = f"{right - left:,} columns beside the others"
    if not where:
        return None
    cell = cells[column - 1]
    address = f"{_letters(column)}{row}"
    value = "" if cell is None else str(cell.value)
    return Problem(
        f"{address} stands {where}", "delete it, or move it to the table", file=file, row=row, value=value
    )


def _letters(column: int) -> str:
    """The name of a column as Excel has it: 1 is A, 27 is AA."""
    name = ""
    while column:
        column, place = divmod(column - 1, 26)
        name = chr(ord("A") + place) + name
    return name
