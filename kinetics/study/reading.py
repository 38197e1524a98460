"""One file that is a whole study: an event table, an ADaM-shaped table, a workbook of tables.

A `.csv` or other text, a Parquet file, or a workbook with one sheet is an event table
(`kinetics.study.sources.nonmem`) or, where it has USUBJID and PARAMCD, an ADPC- or ADPPK-shaped table
(`kinetics.study.sources.adam`). A workbook with the sheets subjects, doses and observations (events,
responses) is a study folder in one file, its dictionary the sheet `dictionary` or the TOML of the same name
beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kinetics.errors import Problem, did_you_mean
from kinetics.study.assembly import OPTIONAL_FILES, REQUIRED_FILES, Tables, build_tables
from kinetics.study.dictionary import dictionary_of, read_dictionary
from kinetics.study.raw_table import RawTable, decode, read_table
from kinetics.study.sources.adam import is_adam, read_adam_table
from kinetics.study.sources.declared import sidecar
from kinetics.study.sources.excel import WORKBOOK_SUFFIXES, Sheet, read_workbook, sheet_name
from kinetics.study.sources.nonmem import read_event_table
from kinetics.study.sources.parquet import read_parquet_table

__all__ = ["read_study_file"]

Found = tuple[Tables, dict[str, object]] | None
_SHEETS = {name.removesuffix(".csv"): name for name in (*REQUIRED_FILES, *OPTIONAL_FILES)}


def read_study_file(path: Path, options: Mapping[str, Any], problems: list[Problem]) -> Found:
    """Canonical tables of one file, and notes on what was set aside; None on any problem."""
    if not path.is_file():
        siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        remedy = did_you_mean(path.name, siblings) if siblings else "check the path"
        problems.append(Problem("no such file", remedy, file=str(path)))
        return None
    if path.suffix.lower() in WORKBOOK_SUFFIXES:
        return _workbook(path, options, problems)
    if path.suffix.lower() == ".xls":
        remedy = "open it in Excel and save it as .xlsx"
        problems.append(Problem("an old Excel workbook (.xls) is not read", remedy, file=path.name))
        return None
    if path.suffix.lower() == ".parquet":
        table = read_parquet_table(path, problems)
        return None if table is None else _one_table(path, table, options, problems)
    if is_adam(_header(path)):
        table = read_table(path, problems)
        return None if table is None else read_adam_table(path, table, options, problems)
    return read_event_table(path, options, problems)


def _header(path: Path) -> list[str]:
    """The column names of a comma-separated text, unchecked."""
    text = decode(path.read_bytes(), path.name)
    first = "" if isinstance(text, Problem) else text.partition("\n")[0]
    return [name.strip().strip('"') for name in first.split(",")]


def _one_table(path: Path, table: RawTable, options: Mapping[str, Any], problems: list[Problem]) -> Found:
    """The study of a single table that is not text."""
    if is_adam(table.columns):
        return read_adam_table(path, table, options, problems)
    return read_event_table(path, options, problems, table=table)


def _workbook(path: Path, options: Mapping[str, Any], problems: list[Problem]) -> Found:
    """The study of a workbook: one of tables, or of a single table."""
    read = read_workbook(path, problems)
    if read is None:
        return None
    sheets, dictionary = read
    if not set(sheets) & set(_SHEETS):
        if len(sheets) == 1 and dictionary is None:
            (only,) = sheets.values()
            problems.extend(only.problems)
            return None if only.table is None else _one_table(path, only.table, options, problems)
        what = f"the sheets are {', '.join(sheets)}" if sheets else "the workbook has no table"
        remedy = f"name them {', '.join(_SHEETS)}, or leave one sheet with an event table"
        if len(sheets) == 1:
            what = "a sheet 'dictionary' beside a single table is not read"
            remedy = f"write its lines to {sidecar(path).name} beside the workbook, and delete the sheet"
        problems.append(Problem(what, remedy, file=path.name))
        return None
    return _tables(path, sheets, dictionary, options, problems)


def _tables(
    path: Path,
    sheets: Mapping[str, Sheet],
    dictionary: str | None,
    options: Mapping[str, Any],
    problems: list[Problem],
) -> Found:
    """A study folder in one workbook."""
    if options:
        what = f"options of a single event table ({', '.join(options)})"
        problems.append(Problem(what, "a workbook of tables says it in its dictionary", file=path.name))
    for file in REQUIRED_FILES:
        if file.removesuffix(".csv") not in sheets:
            near = get_close_matches(file.removesuffix(".csv"), list(sheets), n=1, cutoff=0.6)
            wanted = file.removesuffix(".csv")
            remedy = f"rename the sheet {near[0]!r} to {wanted!r}" if near else f"add the sheet {wanted!r}"
            problems.append(Problem("a sheet is missing", remedy, file=path.name, value=wanted))
    problems.extend(p for name, sheet in sheets.items() if name in _SHEETS for p in sheet.problems)
    others = [name for name in sheets if name not in _SHEETS]
    for name in others:
        if near := get_close_matches(name, [n for n in _SHEETS if n not in sheets], n=1, cutoff=0.8):
            what = "the sheet is not read: no table has this name"
            problems.append(Problem(what, f"rename it to {near[0]!r}", file=sheet_name(path, name)))
    found = None
    file = sidecar(path).name
    if dictionary is not None and sidecar(path).is_file():
        what = "a dictionary stands in the workbook and in the file beside it"
        problems.append(Problem(what, "keep one of them", file=file))
    elif dictionary is not None:
        file = sheet_name(path, "dictionary")
        found = dictionary_of(dictionary, file, problems)
    elif sidecar(path).is_file():
        found = read_dictionary(sidecar(path), problems)
    else:
        remedy = f"write {file} beside the workbook, or put its lines into a sheet 'dictionary', one a row"
        problems.append(Problem("the workbook has no dictionary", remedy, file=path.name))
    if found is None:
        return None
    raw: dict[str, RawTable | None] = {csv: None for csv in _SHEETS.values()}
    for name, sheet in sheets.items():
        if name in _SHEETS and sheet.table is not None:
            raw[_SHEETS[name]] = replace(sheet.table, dictionary=file)
    tables = build_tables(found, raw, problems)
    notes: dict[str, object] = {"sheets_not_read": others} if others else {}
    return None if tables is None else (tables, notes)
