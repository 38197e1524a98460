"""An Excel workbook (.xlsx) as raw tables, one per sheet. It needs openpyxl: the extra `excel`.

The first row of a sheet names its columns. The sheet `dictionary` holds a dictionary.toml, one line per row.
A formula is read as the value that was stored with it.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetics.errors import Problem
from kinetics.study.raw_table import RawTable, cell_text, make_table

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
    try:
        load = importlib.import_module("openpyxl").load_workbook
    except ImportError:
        remedy = "pip install 'cellkinetics[excel]', or save each sheet as 'CSV UTF-8'"
        return Problem("an Excel workbook needs openpyxl, which is not installed", remedy, file=path.name)
    try:
        values = load(path, data_only=True)
        formulas = load(path, data_only=False)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        remedy = "open it in Excel and save it as .xlsx"
        return Problem(f"not a readable workbook: {error}", remedy, file=path.name)
    sheets: dict[str, Sheet] = {}
    dictionary = None
    for name in values.sheetnames:
        rows = _cells(values[name])
        if name.strip().lower() == DICTIONARY_SHEET:
            dictionary = "\n".join(row[0] if row else "" for row in rows)
        elif rows:
            table, problems = _table(path, name, rows)
            unstored = _formulas_without_value(path, name, values[name], formulas[name])
            sheets[name.strip().lower()] = Sheet(table, [*unstored, *problems], rows[:20])
    return Workbook(sheets, dictionary)


def _cells(sheet: Any) -> list[list[str]]:
    """Every row of a sheet as text; no row at all where every cell is empty."""
    rows = [[cell_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    return rows if any(any(row) for row in rows) else []


def _table(path: Path, sheet: str, rows: list[list[str]]) -> tuple[RawTable | None, list[Problem]]:
    """The table of a sheet's cells, without the empty columns at its right, and its Problems."""
    width = max(place for row in rows for place, cell in enumerate(row, start=1) if cell)
    records = [(row, cells[:width]) for row, cells in enumerate(rows[1:], start=2)]
    may_be_empty = sheet.strip().lower() in ("events", "responses")
    return make_table(sheet_name(path, sheet), rows[0][:width], records, may_be_empty=may_be_empty)


def _formulas_without_value(path: Path, sheet: str, values: Any, formulas: Any) -> Iterator[Problem]:
    """A Problem for every formula whose value was never stored: it would read as an empty cell."""
    remedy = "open the workbook in Excel and save it, or paste the values"
    file = sheet_name(path, sheet)
    for row in formulas.iter_rows():
        for cell in row:
            if cell.data_type == "f" and values[cell.coordinate].value is None:
                what = f"{cell.coordinate} is a formula without a stored value"
                yield Problem(what, remedy, file=file, row=cell.row, value=str(cell.value))
