"""Dates as a sheet writes them, and the order of their day and month."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from kinetics.lab_sheet.grid import Cell

__all__ = ["DateOrder", "date_of", "date_order", "is_date"]

DateOrder = Literal["day first", "month first"]
_EXCEL = (36526.0, 54789.0)  # 2000-01-01 to 2049-12-31 as Excel counts days
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T](\d{1,2}):(\d{2}).*)?")
_DOTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{2}|\d{4})(?: (\d{1,2}):(\d{2}).*)?")
_SLASHES = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{2}|\d{4})(?: (\d{1,2}):(\d{2}).*)?")
_WORDS = re.compile(r"(\d{1,2})[-. ]+([A-Za-z]{3,9})[-., ]+(\d{2}|\d{4})")
_WORD_FIRST = re.compile(r"([A-Za-z]{3,9})[. ]+(\d{1,2}),? (\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OTHER_MONTHS = {"mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12}


def is_date(cell: Cell) -> bool:
    """Whether a cell is a date, or a text that looks like one."""
    if isinstance(cell, datetime):
        return True
    patterns = (_ISO, _DOTS, _SLASHES, _WORDS, _WORD_FIRST)
    return isinstance(cell, str) and any(pattern.fullmatch(cell) for pattern in patterns)


def date_order(cells: Iterable[Cell]) -> DateOrder | Literal["either", "both"] | None:
    """How a column's dates with slashes put day and month: `either` where no cell tells, `both` where they
    contradict each other, None where there is no such date.
    """
    matches = [match for cell in cells if isinstance(cell, str) and (match := _SLASHES.fullmatch(cell))]
    if not matches:
        return None
    day_first = any(int(match[1]) > 12 for match in matches)
    month_first = any(int(match[2]) > 12 for match in matches)
    if day_first and month_first:
        return "both"
    if day_first or month_first:
        return "day first" if day_first else "month first"
    return "either"


def date_of(cell: Cell, order: DateOrder = "day first") -> datetime | None:
    """The date in a cell, None where it is none. `order` holds for dates with slashes only."""
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, float):
        return datetime(1899, 12, 30) + timedelta(days=cell) if _EXCEL[0] <= cell <= _EXCEL[1] else None
    if not isinstance(cell, str):
        return None
    try:
        if match := _ISO.fullmatch(cell):
            return _made(match[1], match[2], match[3], match[4], match[5])
        if match := _DOTS.fullmatch(cell):
            return _made(match[3], match[2], match[1], match[4], match[5])
        if match := _SLASHES.fullmatch(cell):
            day = match[1] if order == "day first" else match[2]
            month = match[2] if order == "day first" else match[1]
            return _made(match[3], month, day, match[4], match[5])
        if match := _WORDS.fullmatch(cell):
            return _made(match[3], _month(match[2]), match[1])
        if match := _WORD_FIRST.fullmatch(cell):
            return _made(match[3], _month(match[1]), match[2])
    except ValueError:
        return None
    return None


def _month(word: str) -> str:
    """The number of a month; ValueError where the word names none."""
    start = word[:3].lower()
    return str(_OTHER_MONTHS.get(start) or _MONTHS.index(start) + 1)


def _made(year: str, month: str, day: str, hour: str | None = None, minute: str | None = None) -> datetime:
    """The date of its parts; a year of two digits is of this century."""
    number = int(year) + (2000 if len(year) == 2 else 0)
    return datetime(number, int(month), int(day), int(hour or 0), int(minute or 0))
