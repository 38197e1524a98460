"""Dates and clock times of a single table, as days.

A year that stands first, a month in letters and an ISO date are read in any column. Else the order of day and
month is that of the column's name (DAT1: day first, DAT3: year, day, month), or what a day above 12 proves;
an order that nothing shows is reported.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from math import isfinite, nan

from pandas import Series

from kinetics.study.raw_table import RawTable, is_missing, is_number

__all__ = ["are_dates", "check_clocks", "clock_days", "date_days"]

_PARTS = re.compile(r"^(\d{1,4})[-/. ](\d{1,2})[-/. ](\d{1,4})(?:[T ]+(.*))?$")
_NAMED = re.compile(r"^(\d{1,2})[-/ ]?([A-Za-z]{3})[-/ ]?(\d{2,4})(?:[T: ]+(.*))?$")
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d*)?)?(?:Z|[+-]\d{2}:?\d{2})?\s*$")
_ZONE = r":.*(?:Z|[+-]\d{2}:?\d{2})$"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ORDERS = {"DAT1": "dmy", "DAT2": "ymd", "DAT3": "ydm"}
_EPOCH = datetime(1960, 1, 1)
_SECONDS = 1e8  # a larger number counts seconds (SAS, POSIX), not days


def are_dates(table: RawTable, column: str) -> bool:
    """Whether every filled cell of a column looks like a date, with or without a time."""
    cells = table.words(column)
    filled = cells[cells != ""]
    return len(filled) > 0 and all(_PARTS.match(cell) or _NAMED.match(cell) for cell in filled)


def date_days(table: RawTable, column: str) -> Series:
    """Days since 1960 of a column of dates or dates with times; NaN where a cell is empty.

    A cell that is no date, and an order of day and month that nothing shows, are reported.
    """
    cells = table.words(column)
    order = _ORDERS.get(column.upper()) or _shown_order(cells)
    if order is None:
        what = "day and month cannot be told apart"
        remedy = (
            "write the dates as 2024-03-31, or name the column DAT1 (day first) or DAT3 (year, day, month)"
        )
        remedy += "; where TIME counts from the first dose, the column can be left out (--drop)"
        table.report(what, remedy, row=int(str((cells != "").idxmax())), column=column)
        return Series(nan, index=cells.index)
    days = cells.map({cell: _days(cell, order) for cell in dict.fromkeys(cells)}).astype(float)
    table.flag(
        days.isna() & (cells != ""), column, "not a date", "write it as 2024-03-31 or 2024-03-31T08:30"
    )
    return days


def check_clocks(table: RawTable, column: str) -> None:
    """Report dates without a time of the day, and times without a zone, among others that have one."""
    cells = table.words(column)
    with_clock = cells.str.contains(":")
    if with_clock.any():
        bare = ~with_clock & (cells != "") & ~cells.map(is_number)
        remedy = "write it as 2024-03-31T08:30"
        table.flag(bare, column, "the time of the day is missing, and other rows have one", remedy)
        zoned = cells.str.contains(_ZONE)
        if zoned.any():
            what = "no time zone, and other rows have one"
            table.flag(
                with_clock & ~zoned, column, what, "write the zone in every row, as +02:00, or in none"
            )


def clock_days(cells: Series) -> Series:
    """Clock times (`8:30`) as a part of the day; NaN for anything else."""
    return cells.map({cell: _clock(cell) for cell in dict.fromkeys(cells)}).astype(float)


def _shown_order(cells: Series) -> str | None:
    """The order of day, month and year that the cells show; None where they leave it open."""
    firsts = []
    seconds = []
    for cell in dict.fromkeys(cells):
        match = _PARTS.match(cell)
        if match and len(match[1]) < 4:
            firsts.append(int(match[1]))
            seconds.append(int(match[2]))
    if not firsts:
        return "ymd"
    if max(firsts) > 12 >= max(seconds):
        return "dmy"
    if max(seconds) > 12 >= max(firsts):
        return "mdy"
    return None


def _days(cell: str, order: str) -> float:
    """One cell as days since 1960; NaN where it is no date."""
    if is_missing(cell):
        return nan
    if is_number(cell) and isfinite(float(cell)):
        return float(cell) / 86400 if abs(float(cell)) > _SECONDS else float(cell)
    if named := _NAMED.match(cell):
        month = named[2].lower()
        if month not in _MONTHS:
            return nan
        parts = {"d": int(named[1]), "m": _MONTHS.index(month) + 1, "y": int(named[3])}
        clock = named[4]
    elif match := _PARTS.match(cell):
        places = order if len(match[1]) < 4 or order.startswith("y") else "ymd"
        parts = {key: int(part) for key, part in zip(places, match.groups()[:3], strict=True)}
        clock = match[4]
    else:
        return nan
    year = parts["y"] + 2000 if parts["y"] < 100 else parts["y"]
    try:
        date = datetime(year, parts["m"], parts["d"])
    except ValueError:
        return nan
    part = _clock(clock) - _zone(clock) if clock else 0.0
    return (date - _EPOCH) / timedelta(days=1) + part


def _zone(cell: str) -> float:
    """How far the zone of a clock time (`08:00+02:00`) lies ahead of UTC, in days; 0 where none is said."""
    match = re.search(r"([+-])(\d{2}):?(\d{2})$", cell.strip())
    if match is None:
        return 0.0
    minutes = int(match[2]) * 60 + int(match[3])
    return (minutes if match[1] == "+" else -minutes) / 1440


def _clock(cell: str) -> float:
    """A clock time as a part of the day; NaN where it is none."""
    match = _CLOCK.match(cell.strip())
    if match is None:
        return nan
    return (int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)) / 86400
