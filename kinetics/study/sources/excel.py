"""An Excel workbook (.xlsx) as raw tables, one a sheet. Reading one needs openpyxl: the extra `excel`.

A sheet's first row names its columns. The sheet `dictionary` holds a dictionary.toml, one line a row. A
formula is read as the value that was stored with it.
"""

from __future__ import annotations

import importlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinetics.errors import Problem
from kinetics.study.raw_table import RawTable, cell_text, make_table

__all__ = ["DICTIONARY_SHEET", "WORKBOOK_SUFFIXES", "Sheet", "read_workbook", "sheet_name"]

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")
DICTIONARY_SHEET = "dictionary"


@dataclass(frozen=True)
class Sheet:
    """One sheet as a table (None where none can be made of it), and what is wrong with it."""

    table: RawTable | None
    problems: list[Problem] = field(default_factory=list)


def sheet_name(path: Path, sheet: str) -> str:
    """How a Problem names a sheet."""
    return f"{path.name} [{sheet}]"


def read_workbook(path: Path, problems: list[Problem]) -> tuple[dict[str, Sheet], str | None] | None:
    """Sheet (lower case) -> its table, and the text of the sheet `dictionary`; None where it is no workbook.

    A sheet without any cell is left out. What is wrong with a sheet matters only where it is read: a sheet of
    notes may look as it likes.
    """
    try:
        load = importlib.import_module("openpyxl").load_workbook
    except ImportError:
        remedy = "pip install 'cellkinetics[excel]', or save each sheet as 'CSV UTF-8'"
        problems.append(
            Problem("an Excel workbook needs openpyxl, which is not installed", remedy, file=path.name)
        )
        return None
    try:
        shown, written = (load(path, data_only=stored) for stored in (True, False))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        remedy = "open it in Excel and save it as .xlsx"
        problems.append(Problem(f"not a readable workbook: {error}", remedy, file=path.name))
        return None
    sheets: dict[str, Sheet] = {}
    dictionary = None
    for name in shown.sheetnames:
        rows = _cells(shown[name])
        if name.strip().lower() == DICTIONARY_SHEET:
            dictionary = "\n".join(row[0] if row else "" for row in rows)
        elif rows:
            found = _unstored(path, name, shown[name], written[name])
            sheets[name.strip().lower()] = Sheet(_table(path, name, rows, found), found)
    return sheets, dictionary


def _table(path: Path, sheet: str, rows: list[list[str]], problems: list[Problem]) -> RawTable | None:
    """The table of a sheet's cells, without the empty columns at its right."""
    width = max(place for row in rows for place, cell in enumerate(row, start=1) if cell)
    records = [(row, cells[:width]) for row, cells in enumerate(rows[1:], start=2)]
    return make_table(sheet_name(path, sheet), rows[0][:width], records, problems)


def _cells(sheet: Any) -> list[list[str]]:
    """Every row of a sheet as text; none where the sheet is empty."""
    rows = [[cell_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    return rows if any(any(row) for row in rows) else []


def _unstored(path: Path, sheet: str, shown: Any, written: Any) -> list[Problem]:
    """A formula whose value was never stored would read as an empty cell."""
    found = []
    for row in written.iter_rows():
        for cell in row:
            if cell.data_type == "f" and shown[cell.coordinate].value is None:
                remedy = "open the workbook in Excel and save it, or paste the values"
                what = f"{cell.coordinate} is a formula without a stored value"
                where = sheet_name(path, sheet)
                found.append(Problem(what, remedy, file=where, row=cell.row, value=str(cell.value)))
    return found
