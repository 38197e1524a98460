"""The rows of a NONMEM or Monolix table: separator, comments and column names, before any meaning."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kinetics.errors import Problem
from kinetics.study.cells import nearest
from kinetics.study.dictionary import EventTable
from kinetics.study.raw_table import RawTable, decode, make_table
from kinetics.study.sources.known_columns import STANDARD, known_column, plain_name, with_role
from kinetics.study.table_size import file_problem

__all__ = ["EventRows", "header_place", "read_rows", "rows_of", "title_problem"]

_CANONICAL = {name: name for name in STANDARD} | {
    other: name for name, others in STANDARD.items() for other in others
}
_REQUIRED = ("ID", "TIME", "DV", "AMT")


@dataclass(frozen=True)
class EventRows:
    """The rows, with the standard columns under NONMEM's names, and the number of comment rows left out."""

    table: RawTable
    comments: int

    def own_columns(self, spec: EventTable, declared: Iterable[str]) -> list[str]:
        """The columns of the user's own that are kept: the weight, the covariates, and of the known columns
        those that the user `declared` to be covariates.
        """
        wanted = {*declared, *spec.columns, spec.weight_column}
        apart = {*STANDARD, *spec.drop, spec.cycle_column}
        return [
            column
            for column in self.table.columns
            if column not in apart and (column in wanted or known_column(column) is None)
        ]

    def known_columns(self, spec: EventTable, declared: Iterable[str]) -> list[str]:
        """The known columns that are neither standard, nor declared to be covariates, nor the cycle's."""
        own = {*self.own_columns(spec, declared), *STANDARD, *spec.drop, spec.cycle_column}
        return [column for column in self.table.columns if column not in own]


def read_rows(path: Path) -> tuple[RawTable | None, int, list[Problem]]:
    """Read a text file of events. Return its table (None where none can be made), the number of comment rows
    left out, and its Problems.
    """
    too_large = file_problem(path)
    if too_large is not None:
        return None, 0, [too_large]
    text = decode(path.read_bytes(), path.name)
    if isinstance(text, Problem):
        return None, 0, [text]
    lines = list(enumerate(text.splitlines(), start=1))
    start = next((place for place, (_, line) in enumerate(lines) if _is_header(line)), None)
    if start is None:
        what = "the file has no header" if text.strip() else "the file is empty"
        remedy = "begin it with a row that names the columns (ID, TIME, ...)"
        return None, 0, [Problem(what, remedy, file=path.name)]
    endless = _endless_cell(path.name, lines[start:])
    if endless is not None:
        return None, 0, [endless]
    header_line = lines[start][1].lstrip().lstrip("#")
    separator = _separator(header_line)
    header = _split(header_line, separator)
    rows = [(row, _split(line, separator)) for row, line in _joined(lines[start + 1 :]) if line.strip()]
    begin = lines[start : start + 20]
    place = header_place([_split(line, _separator(line)) for _, line in begin])
    if place:
        return None, 0, [title_problem(path.name, begin[place][0])]
    records = [(row, cells) for row, cells in rows if not _is_comment(cells)]
    problems = []
    if separator == ";":
        records, problems = _with_points(path.name, header, records)
    table, table_problems = make_table(path.name, header, records)
    return table, len(rows) - len(records), [*problems, *table_problems]


def _endless_cell(file: str, lines: Sequence[tuple[int, str]]) -> Problem | None:
    """The Problem of a quote that nothing closes, which would take all rows below it into one cell; and of a
    cell longer than the reader of CSV takes.
    """
    for row, line in _joined(lines):
        if line.count('"') % 2:
            remedy = "close the quote, or delete it; a quote inside a quoted cell is written twice"
            return Problem("a quote opens a cell and nothing closes it", remedy, file=file, row=row)
        if len(line) > csv.field_size_limit():
            what = f"a row of {len(line)} characters"
            return Problem(what, "is the file a table? shorten its cells", file=file, row=row)
    return None


def header_place(rows: Sequence[Sequence[str]]) -> int | None:
    """The place of the row that names the columns: the first of `rows` that has ID or USUBJID and two more
    known columns; None where none has.
    """
    for place, cells in enumerate(rows):
        names = {plain_name(cell) for cell in cells}
        known = [name for name in names if known_column(name) is not None]
        if names & {"ID", "USUBJID"} and len(known) > 2:
            return place
    return None


def title_problem(file: str, row: int) -> Problem:
    """The Problem of rows above the one that names the columns."""
    return Problem(f"row {row} looks like the header", "delete the rows above it", file=file, row=1)


def _is_header(line: str) -> bool:
    """Whether a line is neither empty nor a comment; `#ID ...` is a header too."""
    line = line.strip()
    if line.startswith("#"):
        return re.match(r"#\s*ID\b", line, re.IGNORECASE) is not None
    return bool(line) and not line.startswith("@") and not line.upper().startswith("TABLE NO")


def _separator(header: str) -> str:
    """The mark that separates the names of a header; "" for spaces."""
    return next((mark for mark in (",", ";", "\t") if mark in header), "")


def _joined(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Numbered lines, those of one quoted cell joined under the number of the first."""
    first = 0
    parts: list[str] = []  # of the lines since a quote opened
    quotes = 0
    for row, line in lines:
        if not parts:
            first = row
        parts.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            yield first, " ".join(parts)
            parts = []
    if parts:
        yield first, " ".join(parts)


def _split(line: str, separator: str) -> list[str]:
    """The cells of a line without the spaces around them; by spaces where there is no separator."""
    if not separator:
        return line.split()
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]


_DECIMAL_COMMA = re.compile(r"^[+-]?\d*,\d+(?:[eE][+-]?\d+)?$")
_THOUSANDS = re.compile(r"^[+-]?[1-9]\d{0,2},\d{3}$")
_DECIMAL_POINT = re.compile(r"^[+-]?\d*\.\d+(?:[eE][+-]?\d+)?$")


def _with_points(
    file: str, header: Sequence[str], records: list[tuple[int, list[str]]]
) -> tuple[list[tuple[int, list[str]]], list[Problem]]:
    """The records of a file with semicolons, with points in place of decimal commas, and the Problem of
    commas that may be marks of thousands.
    """
    cells = {cell for _, row in records for cell in row}
    commas = {cell for cell in cells if _DECIMAL_COMMA.match(cell)}
    if not commas:
        return records, []
    if any(_DECIMAL_POINT.match(cell) for cell in cells) or all(_THOUSANDS.match(cell) for cell in commas):
        row, place = next((r, line.index(c)) for r, line in records for c in line if c in commas)
        what = "a comma that may be a decimal comma or a mark of thousands"
        remedy = "export with a point in decimals and no mark of thousands"
        cell = next(line[place] for r, line in records if r == row)
        name = header[place] if place < len(header) else ""
        return records, [Problem(what, remedy, file=file, row=row, column=name, value=cell)]
    pointed = {cell: cell.replace(",", ".") for cell in commas}
    return [(row, [pointed.get(cell, cell) for cell in line]) for row, line in records], []


def _is_comment(cells: list[str]) -> bool:
    """Whether a row is a comment: `#...`, `@...`, or C alone in its first cell."""
    first = cells[0].strip() if cells else ""
    return first.startswith(("#", "@")) or first in ("C", "c")


def rows_of(table: RawTable, *, comments: int = 0, without_doses: bool = False) -> EventRows | None:
    """The rows of a table with its standard columns under NONMEM's names.

    None where one of ID, TIME, DV and AMT is missing or a standard column occurs twice; `table` keeps these
    Problems. One column of dates stands for a TIME that is missing. `comments` is the number of comment rows
    left out of the table. AMT may be missing where the study is `without_doses`.
    """
    renamed = {name: _CANONICAL.get(plain_name(name), name) for name in table.columns}
    dates = with_role(table.columns, "date")
    file_columns = set(renamed.values())
    if "TIME" not in renamed.values() and len(dates) == 1:  # the date has the time of the day, or nothing has
        table.frame["TIME"] = "00:00"
        renamed["TIME"] = "TIME"
    if without_doses and "AMT" not in renamed.values():
        table.frame["AMT"] = ""
        renamed["AMT"] = "AMT"
    problems = [*_doubled_columns(table, renamed), *_missing_columns(table, renamed)]
    if problems:
        table.problems.extend(problems)
        return None
    shown = {standard: source for source, standard in renamed.items()}
    if "TIME" not in file_columns:
        shown["TIME"] = dates[0]
    return EventRows(replace(table, frame=table.frame.rename(columns=renamed), names=shown), comments)


def _doubled_columns(table: RawTable, renamed: Mapping[str, str]) -> Iterator[Problem]:
    """Problems of standard columns that occur under two of their names."""
    for name, count in Counter(renamed.values()).items():
        if count > 1:
            both = " and ".join(source for source, standard in renamed.items() if standard == name)
            what = f"{both} are one column, {name}"
            yield Problem(what, "delete one of them", file=table.file, row=1, column=name)


_OF_AN_EVENT_TABLE = ("ID", "DV", "AMT")  # a table without any of them is of another kind


def _missing_columns(table: RawTable, renamed: Mapping[str, str]) -> Iterator[Problem]:
    """Problems of required columns that are not there; one for a table that is no event table at all."""
    present = set(renamed.values())
    if present.isdisjoint(_OF_AN_EVENT_TABLE):
        what = f"no event table: none of its columns is {' or '.join(_OF_AN_EVENT_TABLE)}"
        remedy = f"read a lab's own sheet with `kinetics import {table.file}`; or name the columns so"
        yield Problem(what, remedy, file=table.file, row=1)
        return
    for name in _REQUIRED:
        if name not in present:
            remedy = f"add the column {name!r}; {nearest(name, table.columns)}"
            if name == "AMT":
                remedy += f"; if nobody was dosed, write `without_doses = true` in {table.dictionary}"
            yield Problem("a required column is missing", remedy, file=table.file, row=1, column=name)
