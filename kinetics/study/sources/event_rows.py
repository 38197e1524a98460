"""The rows of a NONMEM or Monolix table: separator, comments and column names, before any meaning."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kinetics.errors import Problem, did_you_mean
from kinetics.study.dictionary import EventTable
from kinetics.study.raw_table import RawTable, decode, make_table

__all__ = ["STANDARD", "EventRows", "read_rows", "rows_of"]

STANDARD = {  # NONMEM's name -> the other names it goes by, in capitals and without spaces
    "ID": ("IDENTIFIER",),
    "TIME": (),
    "DV": ("OBSERVATION", "Y"),
    "AMT": ("AMOUNT",),
    "RATE": (),
    "DUR": ("TINF", "INFUSIONDURATION"),
    "EVID": ("EVENTIDENTIFIER", "EVENTID"),
    "CMT": ("COMPARTMENT",),
    "ADM": ("ADMINISTRATION", "ADMINISTRATIONID"),
    "DVID": ("YTYPE", "OBSERVATIONTYPE", "OBSERVATIONID", "OBSID"),
    "MDV": (),
    "ADDL": ("ADDITIONALDOSES",),
    "II": ("INTERDOSEINTERVAL",),
    "SS": ("STEADYSTATE", "NBDOSES"),
    "CENS": ("CENSORED", "CENSORING"),
    "LIMIT": (),
    "LLOQ": (),
    "ULOQ": (),
    "TIMING": ("ATPT", "PCTPT", "TPT"),
}
_CANONICAL = {name: name for name in STANDARD} | {
    other: name for name, others in STANDARD.items() for other in others
}
_REQUIRED = ("ID", "TIME", "DV", "AMT")


@dataclass(frozen=True)
class EventRows:
    """The rows, with the standard columns under NONMEM's names, and the number of comment rows left out."""

    table: RawTable
    comments: int

    def own_columns(self, spec: EventTable) -> list[str]:
        """The columns of the user's own that are kept: the weight and the covariates."""
        apart = {*STANDARD, *spec.drop, spec.cycle_column}
        return [column for column in self.table.columns if column not in apart]


def read_rows(path: Path) -> tuple[RawTable | None, int, list[Problem]]:
    """Read a text file of events. Return its table (None where none can be made), the number of comment rows
    left out, and its Problems.
    """
    text = decode(path.read_bytes(), path.name)
    if isinstance(text, Problem):
        return None, 0, [text]
    lines = list(enumerate(text.splitlines(), start=1))
    start = next((place for place, (_, line) in enumerate(lines) if _is_header(line)), None)
    if start is None:
        what = "the file has no header" if text.strip() else "the file is empty"
        remedy = "begin it with a row that names the columns (ID, TIME, ...)"
        return None, 0, [Problem(what, remedy, file=path.name)]
    header_line = lines[start][1].lstrip().lstrip("#")
    if ";" in header_line and "," not in header_line:
        what = "columns are separated by semicolons"
        remedy = "export with a comma between columns and a point in decimals"
        return None, 0, [Problem(what, remedy, file=path.name, row=start + 1)]
    header = _split(header_line, header_line)
    rows = [(row, _split(line, header_line)) for row, line in lines[start + 1 :] if line.strip()]
    records = [(row, cells) for row, cells in rows if not _is_comment(cells)]
    table, problems = make_table(path.name, header, records)
    return table, len(rows) - len(records), problems


def _is_header(line: str) -> bool:
    """Whether a line is neither empty nor a comment; `#ID ...` is a header too."""
    line = line.strip()
    if line.startswith("#"):
        return re.match(r"#\s*ID\b", line, re.IGNORECASE) is not None
    return bool(line) and not line.startswith("@") and not line.upper().startswith("TABLE NO")


def _split(line: str, header: str) -> list[str]:
    """The cells of a line, separated as the header is: by commas, tabs or spaces."""
    for separator in (",", "\t"):
        if separator in header:
            return next(csv.reader([line], delimiter=separator))
    return line.split()


def _is_comment(cells: list[str]) -> bool:
    """Whether a row is a comment: `#...`, `@...`, or C alone in its first cell."""
    first = cells[0].strip()
    return first.startswith(("#", "@")) or first in ("C", "c")


def rows_of(table: RawTable, *, comments: int = 0) -> EventRows | None:
    """The rows of a table with its standard columns under NONMEM's names.

    None where one of ID, TIME, DV and AMT is missing or a standard column occurs twice; `table` keeps these
    Problems. `comments` is the number of comment rows left out of the table.
    """
    renamed = {name: _CANONICAL.get(re.sub(r"[\s_]", "", name).upper(), name) for name in table.columns}
    problems = [*_doubled_columns(table, renamed), *_missing_columns(table, renamed)]
    if problems:
        table.problems.extend(problems)
        return None
    shown = {standard: source for source, standard in renamed.items()}
    return EventRows(replace(table, frame=table.frame.rename(columns=renamed), names=shown), comments)


def _doubled_columns(table: RawTable, renamed: Mapping[str, str]) -> Iterator[Problem]:
    """Problems of standard columns that occur under two of their names."""
    for name, count in Counter(renamed.values()).items():
        if count > 1:
            both = " and ".join(source for source, standard in renamed.items() if standard == name)
            what = f"{both} are one column, {name}"
            yield Problem(what, "delete one of them", file=table.file, row=1, column=name)


def _missing_columns(table: RawTable, renamed: Mapping[str, str]) -> Iterator[Problem]:
    """Problems of required columns that are not there."""
    for name in _REQUIRED:
        if name not in renamed.values():
            remedy = f"add the column {name!r}; {did_you_mean(name, table.columns)}"
            yield Problem("a required column is missing", remedy, file=table.file, row=1, column=name)
