"""A file as it was written: every cell is a string, every row has its number, and nothing is interpreted.

What can be wrong with a file before its meaning is read (encoding, separator, header, ragged rows) is checked
here. `kinetics.study.cells` reads the meaning.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pandas import NA, DataFrame, Index, NaT, Series

from kinetics.errors import Problem
from kinetics.study.table_size import file_problem

__all__ = [
    "MISSING",
    "RawTable",
    "cell_text",
    "csv_records",
    "decode",
    "is_missing",
    "is_number",
    "make_table",
    "read_table",
]

MISSING = frozenset(  # the ways to write an empty cell
    {"", ".", "NA", "na", "N/A", "n/a", "N.A.", "#N/A", "NaN", "nan", "NAN", "NULL", "null", "<NA>", "NaT"}
)
_OTHER_FORMATS = {
    ".xpt": "a SAS transport file",
    ".sas7bdat": "a SAS data set",
    ".rds": "an R object",
    ".rda": "an R workspace",
    ".rdata": "an R workspace",
    ".sav": "an SPSS file",
}
_SUBJECTS = ("subject", "ID", "USUBJID")  # the names of the column that says whose row it is


@dataclass(frozen=True)
class RawTable:
    """One table of text, and the problems of its cells.

    `frame` has the row number of the file as its index, counted as a spreadsheet does (the header is row 1).
    `names` maps a column to the name that the file gave it, which its Problems show. `dictionary` is the file
    that declares the columns. `problems` are those that the checks of the cells have reported so far, in the
    order of the checks; a copy made by `dataclasses.replace` reports to the same list.
    """

    file: str
    frame: DataFrame
    names: Mapping[str, str] = field(default_factory=dict)
    dictionary: str = "dictionary.toml"
    problems: list[Problem] = field(default_factory=list, compare=False, repr=False)

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    @property
    def columns(self) -> list[str]:
        """The columns, in file order."""
        return list(self.frame.columns)

    def cells(self, column: str) -> Series:
        """The stripped text of a column; a column of empty cells where the table has none of this name."""
        if column not in self.frame.columns or self.frame.empty:  # pandas makes numbers of no cells
            return Series("", index=self.frame.index, dtype=object)
        return self.frame[column].str.strip()

    def missing(self, column: str) -> Series:
        """Whether the cell is empty, for every row."""
        return self.cells(column).isin(list(MISSING))

    def words(self, column: str, default: str = "") -> Series:
        """The stripped text of a column, with `default` in the empty cells."""
        return self.cells(column).mask(self.missing(column), default)

    def problem(self, what: str, remedy: str, *, row: int | None = None, column: str = "") -> Problem:
        """A Problem in this file. Its subject and its value are those of `row` and `column`."""
        subject = ""
        value = ""
        if row is not None:
            subject_column = next((name for name in _SUBJECTS if name in self), None)
            if subject_column is not None:
                subject = str(self.frame.at[row, subject_column]).strip()
            if column in self.frame.columns:
                value = str(self.frame.at[row, column])
        shown = self.names.get(column, column)
        return Problem(what, remedy, file=self.file, row=row, subject=subject, column=shown, value=value)

    def problems_where(self, mask: Iterable[bool], column: str, what: str, remedy: str) -> Iterator[Problem]:
        """One Problem for every row where `mask` holds."""
        for row, bad in zip(self.frame.index, mask, strict=True):
            if bad:
                yield self.problem(what, remedy, row=int(row), column=column)

    def report(self, what: str, remedy: str, *, row: int | None = None, column: str = "") -> None:
        """Add the Problem that `problem` makes of these arguments to `problems`."""
        self.problems.append(self.problem(what, remedy, row=row, column=column))

    def flag(self, mask: Iterable[bool], column: str, what: str, remedy: str) -> None:
        """Add one Problem to `problems` for every row where `mask` holds."""
        self.problems.extend(self.problems_where(mask, column, what, remedy))


def is_missing(cell: str) -> bool:
    """Whether a cell is empty: one of `MISSING`."""
    return cell.strip() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a number as Python reads one."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def cell_text(value: object) -> str:
    """A typed cell of Excel or Parquet as the text that a CSV would have.

    72.0 becomes `72`, and a missing value (pandas' NA and NaT too) becomes "". Numbers keep every digit.
    Dates become ISO 8601, which no number column accepts.
    """
    if value is None or value is NA or value is NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float):
        is_exact_integer = value.is_integer() and abs(value) < 2**53
        return str(int(value)) if is_exact_integer else repr(value)
    return str(value)


def decode(raw: bytes, file: str) -> str | Problem:
    """The text of a file in UTF-8, with or without a byte-order mark; a Problem for anything else."""
    utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    workbook = raw.startswith(b"PK\x03\x04")
    for suffix, kind in _OTHER_FORMATS.items():
        if file.lower().endswith(suffix):
            what = f"{kind} ({suffix}) is not read"
            return Problem(what, "export it as 'CSV UTF-8' there", file=file)
    if utf_16 or b"\x00" in raw[:200]:
        kind = "utf-16 text" if utf_16 else "binary or utf-16 text"
        if workbook:
            kind = "an Excel workbook"
        return Problem(f"the file is {kind}, not UTF-8", "save it as 'CSV UTF-8'", file=file)
    if workbook:
        remedy = "give it the suffix .xlsx, or save it as 'CSV UTF-8'"
        return Problem("the file is an Excel workbook, not text", remedy, file=file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        remedy = f"save it as 'CSV UTF-8', or run `iconv -f latin1 -t utf-8 {file}`"
        return Problem("the file is not UTF-8 (latin-1?)", remedy, file=file, row=row)


def read_table(path: Path, *, may_be_empty: bool = False) -> tuple[RawTable | None, list[Problem]]:
    """Read one comma-separated file. Return its table (None where none can be made) and its Problems.

    A header without records is a Problem unless the table `may_be_empty`.
    """
    too_large = file_problem(path)
    if too_large is not None:
        return None, [too_large]
    text = decode(path.read_bytes(), path.name)
    if isinstance(text, Problem):
        return None, [text]
    if not text.strip():
        return None, [Problem("the file is empty", "write its header row and its records", file=path.name)]
    records = csv_records(text, path.name)
    if isinstance(records, Problem):
        return None, [records]
    header = records[0]
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        mark = "semicolons" if ";" in header[0] else "tabs"
        remedy = "export with a comma between columns and a point in decimals"
        return None, [Problem(f"columns are separated by {mark}", remedy, file=path.name, row=1)]
    numbered = list(enumerate(records[1:], start=2))
    return make_table(path.name, header, numbered, may_be_empty=may_be_empty)


def csv_records(text: str, file: str, delimiter: str = ",") -> list[list[str]] | Problem:
    """The cells of a text by row; a Problem at the row where a quote opens that nothing closes.

    Such a quote would take all rows below it into one cell.
    """
    records: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            records.append(record)
    except csv.Error:
        return _endless_cell(text, file, len(records) + 1)
    if '"' in text:
        *_, last = csv.reader(io.StringIO(f"{text}\n{_END}", newline=""), delimiter=delimiter)
        if last != [_END]:
            return _endless_cell(text, file, len(records))
    return records


_END = "\x1e"  # a row of its own after the last one, unless a quote is open there


def _endless_cell(text: str, file: str, row: int) -> Problem:
    """The Problem of a cell that does not end, or ends too late for the reader of CSV."""
    if '"' in text:
        remedy = "close the quote, or delete it; a quote inside a quoted cell is written twice"
        return Problem("a quote opens a cell and nothing closes it", remedy, file=file, row=row)
    what = f"a cell of more than {csv.field_size_limit()} characters"
    return Problem(what, "is the file a table? shorten the cell", file=file, row=row)


def make_table(
    file: str,
    header: Sequence[str],
    records: Sequence[tuple[int, list[str]]],
    *,
    may_be_empty: bool = False,
) -> tuple[RawTable | None, list[Problem]]:
    """Make a table of a header and numbered records; records of empty cells are left out.

    No record at all is a Problem unless the table `may_be_empty`.

    Return the table, None where a column name is repeated, and the Problems of column names and ragged rows.
    """
    header, records = _without_empty_end(header, records)
    names = [name.strip() for name in header]
    header_problems = list(_header_problems(file, header))
    if any("more than once" in problem.what for problem in header_problems):
        return None, header_problems
    problems = list(header_problems)
    rows: dict[int, list[str]] = {}
    for row, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            problems.append(_ragged(file, row, cells, names))
        rows[row] = cells[: len(names)] + [""] * (len(names) - len(cells))
    if not rows and not header_problems and not may_be_empty:
        problems.append(Problem("the file has a header and no records", "add the records", file=file))
    frame = DataFrame(list(rows.values()), columns=Index(names), index=list(rows), dtype=object)
    return RawTable(file, frame), problems


def _without_empty_end(
    header: Sequence[str], records: Sequence[tuple[int, list[str]]]
) -> tuple[Sequence[str], list[tuple[int, list[str]]]]:
    """A header and its records without the cells that trailing separators make: empty in every row, or empty
    and beyond the header.
    """
    width = len(header)
    while width and not header[width - 1].strip():
        if any(cell.strip() for _, cells in records for cell in cells[width - 1 :]):
            break
        width -= 1
    kept = []
    for row, cells in records:
        is_empty = not any(cell.strip() for cell in cells[width:])
        kept.append((row, cells[:width] if is_empty else cells))
    return header[:width], kept


def _header_problems(file: str, header: Sequence[str]) -> Iterator[Problem]:
    """Problems of empty, padded and repeated column names."""
    for place, name in enumerate(header, start=1):
        if not name.strip():
            remedy = "name the column or delete it (a trailing comma makes an empty column)"
            yield Problem(f"column {place} has no name", remedy, file=file, row=1)
        elif name != name.strip():
            what = "the column name has spaces around it"
            yield Problem(what, f"write {name.strip()!r}", file=file, row=1, column=name)
    for name, count in Counter(name.strip() for name in header).items():
        if count > 1 and name:
            what = "the column name occurs more than once"
            yield Problem(what, "rename or delete one of them", file=file, row=1, column=name)


def _ragged(file: str, row: int, cells: Sequence[str], names: Sequence[str]) -> Problem:
    """The Problem of a row with too many or too few cells."""
    subject = cells[names.index("subject")] if "subject" in names[: len(cells)] else ""
    what = f"the row has {len(cells)} cells, the header {len(names)}"
    remedy = "add the missing cells"
    if len(cells) > len(names):
        remedy = (
            "remove the extra cells, or quote a cell that has the separator in it (a decimal comma splits a "
        )
        remedy += "number in two: write 3.5, not 3,5)"
    return Problem(what, remedy, file=file, row=row, subject=subject)
