"""Cells of a raw table to values: numbers, times, codes and labels.

Every function takes the table and reports what is wrong with its cells to that table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from pandas import Series

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.files import not_readable
from kinetics.study.dictionary import Column
from kinetics.study.raw_table import RawTable, is_missing, is_number, read_table
from kinetics.units import UnitError, convert

__all__ = [
    "check_columns",
    "declared",
    "factor",
    "integers",
    "labels",
    "lenient_numbers",
    "names",
    "nearest",
    "numbers",
    "read_columns",
    "report_codes",
    "subjects_of",
    "times",
]

EXCEL_DATES = (36526.0, 54789.0)  # 2000-01-01 to 2049-12-31 as Excel counts days
LARGEST_COUNT = 2**31 - 1  # a larger whole number is a slip or no count
LONGEST_DAYS = 20 * 365.25  # no follow-up is longer: 15 years is the longest asked of a CAR-T product
_MOST_GUESSES = 50  # different codes of a column for which the nearest known one is sought
TIME_UNITS = ("day", "h", "min", "week")

_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?$|^\d{1,2}[- ][A-Za-z]{3}[- ]\d{2,4}$")
_CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2})?$")
_COMMA = re.compile(r"^[+-]?\d+(,\d+)+(\.\d+)?([eE][+-]?\d+)?$")
_BELOW = re.compile(r"^[<≤]\s*(\S+)$")
_ABOVE = re.compile(r"^[>≥]\s*(\S+)$")
_WORDS = {"blq", "bql", "bloq", "lloq", "<lloq", "nd", "not detected", "negative", "undetectable"}


def numbers(table: RawTable, column: str, *, required: bool = True) -> Series:
    """A column as floats.

    A cell that is not a finite number is reported and becomes NaN. So does an empty cell, which is reported
    where the column is `required`.
    """
    values = []
    for row, cell in table.cells(column).items():
        values.append(_number(table, int(str(row)), column, cell, required=required))
    return Series(values, index=table.frame.index, dtype=float)


def _number(table: RawTable, row: int, column: str, cell: str, *, required: bool) -> float:
    """One cell as a float; NaN, and a report, where it is not one."""
    if is_missing(cell):
        if required:
            table.report("the cell is empty", "write a number", row=row, column=column)
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and "_" not in cell:  # Python reads 1_0 as 10
        return value
    what, remedy = _diagnose(cell)
    table.report(what, remedy, row=row, column=column)
    return math.nan


def lenient_numbers(table: RawTable, column: str) -> Series:
    """A column as floats, NaN where a cell is empty or is not a number. Nothing is reported."""
    return numbers(replace(table, problems=[]), column, required=False)


def _diagnose(cell: str) -> tuple[str, str]:
    """Why a cell is not a number, and what to write instead."""
    if _DATE.match(cell):
        return "a date, not a number", "write the time since the first dose, in the column's declared unit"
    if _CLOCK.match(cell):
        return "a clock time, not a number", "write the time since the first dose, as a decimal number"
    if _COMMA.match(cell):
        return "a comma inside a number", f"{_without_comma(cell)} (decimals take a point, thousands no mark)"
    for bound, word, limit in ((_BELOW, "left", "LLOQ"), (_ABOVE, "right", "ULOQ")):
        if match := bound.match(cell):
            value = match[1] if is_number(match[1]) else f"the {limit}"
            code = "1" if word == "left" else "-1"
            return "a limit, not a number", f"write value {value} and censored = {word} (CENS {code})"
    if cell.lower() in _WORDS:
        return "a word, not a number", "write the LLOQ as the value and censored = left"
    return "not a finite number", "write a plain number such as 3.5 or 1.5e7"


def _without_comma(cell: str) -> str:
    """How to write a number without its commas; `1,000` may be a thousand or one, and the reader decides."""
    if cell.count(",") > 1:
        return "remove the commas"
    if re.match(r"^[+-]?[1-9]\d{0,2},\d{3}$", cell):
        return "write the number without the comma"
    return f"write {cell.replace(',', '.')}"


def integers(table: RawTable, column: str, *, default: int, minimum: int = 0) -> Series:
    """A column as whole numbers from `minimum` to `LARGEST_COUNT`; `default` where the cell is empty."""
    values = numbers(table, column, required=False)
    bad = values.notna() & ((values % 1 != 0) | (values < minimum))
    table.flag(bad, column, f"not a whole number from {minimum} up", "write 1, 2, 3, ...")
    large = values > LARGEST_COUNT
    table.flag(large & ~bad, column, "too large a whole number", "write 1, 2, 3, ...")
    return values.mask(bad | large).fillna(default).astype(int)


def factor(table: RawTable, column: str, unit: str | None, to: str, remedy: str) -> float:
    """The factor from a column's declared unit to the unit `to`; NaN, and a report, where there is none."""
    if unit is None:
        table.report("the unit is missing", remedy, column=column)
        return math.nan
    try:
        return convert(unit, to)
    except UnitError as error:
        shown = table.names.get(column, column)
        table.problems.append(Problem(str(error), remedy, file=table.file, column=shown, value=unit))
        return math.nan


def times(table: RawTable, column: str, spec: Column | None, name: str) -> Series:
    """A time column in days; `name` is the table's name in the dictionary.

    Reported are a unit that is not declared, dates, Excel's day counts, and times beyond `LONGEST_DAYS`.
    """
    remedy = f'declare `{column} = {{ unit = "h" }}` under [columns.{name}] (one of {", ".join(TIME_UNITS)})'
    scale = factor(table, column, spec.unit if spec else None, "day", remedy)
    written = numbers(table, column)
    days = written * scale
    early, late = EXCEL_DATES
    dates = written.between(early, late) & ((days > LONGEST_DAYS) | (written.min() >= early))
    remedy = "write the time since the first dose instead of the calendar date"
    table.flag(dates, column, "looks like an Excel serial date", remedy)
    long = (days.abs() > LONGEST_DAYS) & ~dates
    remedy = "check the declared unit and the value"
    table.flag(long, column, "more than 20 years from the first dose", remedy)
    return days


def labels(table: RawTable, column: str, spec: Column, *, required: bool) -> Series:
    """A column of codes as labels, None where the cell is empty.

    A code that the dictionary does not list is reported, and so is an empty cell of a `required` column.
    """
    label_of = spec.labels
    cells = table.cells(column)
    missing = table.missing(column)
    if required:
        table.flag(missing, column, "the cell is empty", "write a value")
    if label_of is not None:
        known = list(label_of)
        what = f"the code is not in {table.dictionary}"
        bad = ~missing & ~cells.isin(known)
        report_codes(
            table, column, bad, what, lambda code: f"add it to the column's codes ({nearest(code, known)})"
        )
    values = [
        None if empty else (label_of or {}).get(cell, cell)
        for cell, empty in zip(cells, missing, strict=True)
    ]
    return Series(values, index=table.frame.index, dtype=object)


def declared(table: RawTable, column: str, spec: Column) -> Series:
    """A column of the user's own: floats where the dictionary says that it holds numbers, else labels."""
    if spec.numeric:
        return numbers(table, column, required=False)
    return labels(table, column, spec, required=False)


def names(table: RawTable, column: str, *, example: str, near: Iterable[str] = ()) -> Series:
    """A required column of snake_case names; a misspelling of a standard name in `near` is reported too."""
    cells = table.cells(column)
    for cell in dict.fromkeys(cells):
        what = ""
        remedy = f"write a snake_case name such as {example}"
        if is_missing(cell):
            what = "the cell is empty"
        elif not re.fullmatch(r"[a-z][a-z0-9_]*", cell):
            what = "not a snake_case name"
            guess = re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_")
            if guess in near:
                remedy = did_you_mean(guess, near)
        elif cell not in near and _slip(cell, near):
            what = "looks misspelt"
            remedy = did_you_mean(cell, near)
        if what:
            table.flag(cells == cell, column, what, remedy)
    return cells


def nearest(word: str, words: Iterable[str]) -> str:
    """A remedy for a misspelt word: `did you mean 'PR'?`, for `Pr` too.

    Where nothing is near, it is a list of what is known, at most the first dozen.
    """
    return _nearest(word, tuple(words))


@lru_cache(maxsize=1024)
def _nearest(word: str, names: tuple[str, ...]) -> str:
    for name in names:
        if name.lower() == word.lower():
            return f"did you mean {name!r}?"
    hint = did_you_mean(word, names)
    if hint.startswith("known") and len(names) > 12:
        return f"known: {', '.join(names[:12])}, ... ({len(names)} in all)"
    return hint


def report_codes(table: RawTable, column: str, bad: Series, what: str, remedy: Callable[[str], str]) -> None:
    """Report the `bad` cells of a column, each code with its own remedy.

    Beyond the first codes the remedy is that of an empty word, so that many mistakes cost no more than few.
    """
    cells = table.cells(column)[bad]
    for place, (code, rows) in enumerate(cells.groupby(cells, sort=False).groups.items()):
        said = remedy(str(code) if place < _MOST_GUESSES else "")
        for row in rows:
            table.report(what, said, row=int(row), column=column)


def _slip(word: str, near: Iterable[str]) -> bool:
    """Whether `word` differs from one of `near` by only a letter or two."""
    return bool(get_close_matches(word, list(near), n=1, cutoff=0.85))


def subjects_of(table: RawTable) -> Series:
    """The subject column; padded and empty ids are reported."""
    if "subject" not in table:
        return table.cells("subject")
    written = table.frame["subject"]
    cells = table.cells("subject")
    empty = table.missing("subject")
    table.flag(empty, "subject", "the subject is missing", "write the subject's id")
    padded = (written != cells) & ~empty
    table.flag(padded, "subject", "the id has spaces around it", "remove the spaces around the id")
    return cells


def check_columns(
    table: RawTable,
    name: str,
    required: Iterable[str],
    optional: Iterable[str],
    specs: Mapping[str, Column],
) -> list[str]:
    """Return the columns of the user's own that are declared, in file order; report the wrong ones.

    Reported are required columns that are missing, columns that are neither standard nor declared in `specs`,
    and declared columns that are absent. `name` is the table's name in the dictionary.
    """
    required = list(required)
    standard = {*required, *optional}
    for column in required:
        if column not in table:
            what = "a required column is missing"
            remedy = f"add the column {column!r}"
            table.problems.append(Problem(what, remedy, file=table.file, row=1, column=column))
    for column in table.columns:
        if column and column not in standard and column not in specs:
            near = nearest(column, standard | set(specs))
            remedy = f"rename it, or declare it under [columns.{name}] ({near})"
            table.problems.append(Problem("unknown column", remedy, file=table.file, row=1, column=column))
    for column in specs:
        if column not in table and column not in standard:
            what = f"declared under [columns.{name}], absent from {table.file}"
            remedy = f"delete or correct the declaration ({nearest(column, table.columns)})"
            table.problems.append(Problem(what, remedy, file=table.dictionary, column=column))
    return [column for column in table.columns if column in specs and column not in standard]


def read_columns(
    path: str | Path, required: Sequence[str], optional: Sequence[str] | None, wanted: str
) -> tuple[RawTable, bool]:
    """Read a CSV that stands by itself, outside of a study. Return its table, which has its problems so far,
    and whether every required column is there.

    StudyError where no table can be made of the file. A column that is neither required nor optional is a
    problem, unless `optional` is None. `wanted` says what to name instead of a file that does not exist.
    """
    file = Path(path)
    fault = not_readable(file)
    if fault:
        raise StudyError(Problem(fault, f"name {wanted}", file=str(path)))
    raw, problems = read_table(file)
    if raw is None:
        raise StudyError(problems)
    raw.problems.extend(problems)
    for column in required:
        if column not in raw:
            remedy = f"add it: {', '.join(required)}"
            raw.problems.append(Problem(f"no column {column!r}", remedy, file=raw.file))
    standard = (*required, *(optional or ()))
    for column in raw.columns:
        if column not in standard and optional is not None:
            what = f"unknown column {column!r}"
            raw.problems.append(Problem(what, did_you_mean(column, standard), file=raw.file))
    return raw, all(column in raw for column in required)
