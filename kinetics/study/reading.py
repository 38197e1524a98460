"""A single file that is a whole study: an event table, an ADaM-shaped table, or a workbook of tables.

A text (`.csv` or another), a Parquet file, or a workbook with one sheet is an ADPC- or ADPPK-shaped table
where it has USUBJID and PARAMCD (`kinetics.study.sources.adam`), else an event table
(`kinetics.study.sources.nonmem`). A workbook with the sheets subjects, doses and observations, and if needed
events and responses, is a study folder in one file. Its dictionary is its sheet `dictionary`, or the TOML of
the same name beside the workbook.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kinetics.errors import Problem, did_you_mean
from kinetics.files import not_readable
from kinetics.study.assembly import (
    DOSES_OR_NONE,
    OPTIONAL_FILES,
    REQUIRED_FILES,
    Reading,
    build_tables,
)
from kinetics.study.dictionary import Dictionary, dictionary_of, read_dictionary
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.adam import is_adam, read_adam_table
from kinetics.study.sources.declared import sidecar
from kinetics.study.sources.event_rows import header_place, read_rows, title_problem
from kinetics.study.sources.excel import WORKBOOK_SUFFIXES, Workbook, read_workbook, sheet_name
from kinetics.study.sources.nonmem import read_event_table
from kinetics.study.sources.parquet import read_parquet_table

__all__ = ["read_study_file"]

# sheet -> the file of a study folder that it stands for
_SHEETS = {name.removesuffix(".csv"): name for name in (*REQUIRED_FILES, *OPTIONAL_FILES)}


def read_study_file(path: Path, options: Mapping[str, Any]) -> Reading:
    """Canonical tables of one file, with notes on what was set aside."""
    fault = not_readable(path)
    if fault:
        siblings = [file.name for file in path.parent.iterdir()] if os.path.isdir(path.parent) else []
        remedy = did_you_mean(path.name, siblings) if siblings else "check the path"
        if path.name in siblings:
            remedy = "put a file there that can be read"
        return Reading(None, [Problem(fault, remedy, file=str(path))])
    suffix = path.suffix.lower()
    if suffix in WORKBOOK_SUFFIXES:
        return _workbook(path, options)
    if suffix == ".xls":
        what = "an old Excel workbook (.xls) is not read"
        return Reading(None, [Problem(what, "open it in Excel and save it as .xlsx", file=path.name)])
    if suffix == ".parquet":
        return _single_table(path, *read_parquet_table(path), options)
    table, comments, problems = read_rows(path)
    return _single_table(path, table, problems, options, comments=comments)


def _single_table(
    path: Path,
    table: RawTable | None,
    problems: list[Problem],
    options: Mapping[str, Any],
    *,
    comments: int = 0,
) -> Reading:
    """The study of a single table, event or ADaM-shaped; `problems` are those of reading its file, and
    `comments` counts the comment rows left out.
    """
    if table is None:
        return Reading(None, problems)
    table.problems.extend(problems)
    if is_adam(table.columns):
        return read_adam_table(path, table, options)
    return read_event_table(path, options, table=table, comments=comments)


def _workbook(path: Path, options: Mapping[str, Any]) -> Reading:
    """The study of a workbook: the tables of a study folder, or a single table."""
    workbook = read_workbook(path)
    if isinstance(workbook, Problem):
        return Reading(None, [workbook])
    sheets = workbook.sheets
    if set(sheets) & set(_SHEETS):
        return _workbook_of_tables(path, workbook, options)
    places = {name: header_place(sheet.first_rows) for name, sheet in sheets.items()}
    tables = [name for name, place in places.items() if place == 0]
    titled = {name: place for name, place in places.items() if place}
    if not tables and len(titled) == 1:
        ((name, place),) = titled.items()
        return Reading(None, [title_problem(sheet_name(path, name), place + 1)])
    if len(sheets) == 1:
        tables = list(sheets)
    if len(tables) == 1 and workbook.dictionary is None:
        sheet = sheets[tables[0]]
        others = [name for name in sheets if name != tables[0]]
        reading = _single_table(path, sheet.table, sheet.problems, options)
        return replace(reading, notes={"sheets_not_read": others} | reading.notes) if others else reading
    if len(tables) == 1:
        what = "a sheet 'dictionary' beside a single table is not read"
        remedy = f"write its lines to {sidecar(path).name} beside the workbook, and delete the sheet"
    else:
        what = f"the sheets are {', '.join(sheets)}" if sheets else "the workbook has no table"
        remedy = f"name them {', '.join(_SHEETS)}, or leave one sheet with an event table"
    return Reading(None, [Problem(what, remedy, file=path.name)])


def _workbook_of_tables(path: Path, workbook: Workbook, options: Mapping[str, Any]) -> Reading:
    """The study of a workbook that holds the tables of a study folder."""
    problems = []
    if options:
        what = f"options of a single event table ({', '.join(options)})"
        problems.append(Problem(what, "a workbook of tables says it in its dictionary", file=path.name))
    dictionary, file, dictionary_problems = _dictionary_of_workbook(path, workbook)
    without_doses = dictionary is not None and dictionary.without_doses
    problems += _missing_sheets(path, workbook.sheets, without_doses=without_doses)
    tables = {name: sheet for name, sheet in workbook.sheets.items() if name in _SHEETS}
    others = [name for name in workbook.sheets if name not in _SHEETS]
    for sheet in tables.values():
        problems += sheet.problems
    problems += _stray_sheets(path, others, tables)
    problems += dictionary_problems
    if dictionary is None:
        return Reading(None, problems)
    raw: dict[str, RawTable | None] = {}
    for name, sheet in tables.items():
        if sheet.table is not None:
            raw[_SHEETS[name]] = replace(sheet.table, dictionary=file)
    reading = build_tables(dictionary, raw, earlier=problems)
    return replace(reading, notes={"sheets_not_read": others} if others else {})


def _missing_sheets(path: Path, sheets: Iterable[str], *, without_doses: bool) -> Iterator[Problem]:
    """Problems of required tables that have no sheet."""
    for file in REQUIRED_FILES:
        name = file.removesuffix(".csv")
        if name not in sheets and not (name == "doses" and without_doses):
            near = get_close_matches(name, list(sheets), n=1, cutoff=0.6)
            remedy = f"rename the sheet {near[0]!r} to {name!r}" if near else f"add the sheet {name!r}"
            if name == "doses" and not near:
                remedy += f"; {DOSES_OR_NONE} the dictionary"
            yield Problem("a sheet is missing", remedy, file=path.name, value=name)


def _stray_sheets(path: Path, others: Iterable[str], tables: Iterable[str]) -> Iterator[Problem]:
    """Problems of sheets that are not read though they nearly have a table's name."""
    unused = [name for name in _SHEETS if name not in tables]
    for name in others:
        near = get_close_matches(name, unused, n=1, cutoff=0.8)
        if near:
            what = "the sheet is not read: no table has this name"
            yield Problem(what, f"rename it to {near[0]!r}", file=sheet_name(path, name))


def _dictionary_of_workbook(path: Path, workbook: Workbook) -> tuple[Dictionary | None, str, list[Problem]]:
    """The dictionary of a workbook of tables (None where none can be used), the name of the sheet or file
    that holds it, and its Problems.
    """
    beside = sidecar(path)
    if workbook.dictionary is not None and os.path.lexists(beside):
        what = "a dictionary stands in the workbook and in the file beside it"
        return None, beside.name, [Problem(what, "keep one of them", file=beside.name)]
    if workbook.dictionary is not None:
        file = sheet_name(path, "dictionary")
        dictionary, problems = dictionary_of(workbook.dictionary, file)
        return dictionary, file, problems
    if os.path.lexists(beside):
        dictionary, problems = read_dictionary(beside)
        return dictionary, beside.name, problems
    what = "the workbook has no dictionary"
    remedy = (
        f"write {beside.name} beside the workbook, or put its lines into a sheet 'dictionary', one per row"
    )
    return None, beside.name, [Problem(what, remedy, file=path.name)]
