"""An Excel workbook (.xlsx) as raw tables, one a sheet. Reading one needs openpyxl: the extra `excel`.

A sheet's first row names its columns. The sheet `dictionary` holds a dictionary.toml, one line a row. A formula is read
as the value that was stored with it.
"""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any

from kinetics.errors import Problem
from kinetics.tables import RawTable, cell_text, make_table

__all__ = ["DICTIONARY_SHEET", "WORKBOOK_SUFFIXES", "read_workbook", "sheet_name"]

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")
DICTIONARY_SHEET = "dictionary"


def sheet_name(path: Path, sheet: str) -> str:
    """How a Problem names a sheet."""
    return f"{path.name} [{sheet}]"


def read_workbook(path: Path, problems: list[Problem]) -> tuple[dict[str, RawTable], str | None] | None:
    """Sheet (lower case) -> table, and the text of the sheet `dictionary`; None where it is no workbook.

    A sheet without any cell is left out.
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
    tables: dict[str, RawTable] = {}
    dictionary = None
    for sheet in shown.sheetnames:
        name, rows = sheet.strip().lower(), _cells(shown[sheet])
        if name == DICTIONARY_SHEET:
            dictionary = "\n".join(row[0] if row else "" for row in rows)
            continue
        _unstored(path, sheet, shown[sheet], written[sheet], problems)
        if rows:
            width = max((place for row in rows for place, cell in enumerate(row, start=1) if cell), default=0)
            trimmed = [row[:width] for row in rows]
            records = list(enumerate(trimmed[1:], start=2))
            table = make_table(sheet_name(path, sheet), trimmed[0], records, problems)
            if table is not None:
                tables[name] = table
    return tables, dictionary


def _cells(sheet: Any) -> list[list[str]]:
    """Every row of a sheet as text; none where the sheet is empty."""
    rows = [[cell_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    return rows if any(any(row) for row in rows) else []


def _unstored(path: Path, sheet: str, shown: Any, written: Any, problems: list[Problem]) -> None:
    """A formula whose value was never stored would read as an empty cell."""
    for row in written.iter_rows():
        for cell in row:
            if cell.data_type == "f" and shown[cell.coordinate].value is None:
                remedy = "open the workbook in Excel and save it, or paste the values"
                what = f"{cell.coordinate} is a formula without a stored value"
                where = sheet_name(path, sheet)
                problems.append(Problem(what, remedy, file=where, row=cell.row, value=str(cell.value)))
