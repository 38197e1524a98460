"""Names with a number that is no time: visits (`C1D8`, `Week 1 Day 3`) and infusions (`Dose 2`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["cycle_and_day", "infusion_ranks", "is_week_and_day"]

_SPACE = r"[ ._,/-]*"
_DAY = rf"d(?:ay)?{_SPACE}(?P<day>\d{{1,3}})(?![A-Za-z0-9])"
_CYCLE = re.compile(
    rf"(?<![A-Za-z0-9])c(?:ycle|yc)?{_SPACE}(?P<cycle>\d{{1,2}}){_SPACE}{_DAY}", re.IGNORECASE
)
_WEEK = re.compile(rf"(?<![A-Za-z0-9])w(?:eek|k)?{_SPACE}\d{{1,3}}{_SPACE}{_DAY}", re.IGNORECASE)


def cycle_and_day(text: str) -> tuple[int, int] | None:
    """The cycle and the day that a text names, as `C2D8` does; None where it names none."""
    match = _CYCLE.search(text)
    return None if match is None else (int(match["cycle"]), int(match["day"]))


def is_week_and_day(text: str) -> bool:
    """Whether a text names a week and a day, which may be day 3 or day 10: `Week 1 Day 3`."""
    return _WEEK.search(text) is not None


def infusion_ranks(keys: Sequence[str]) -> list[int] | None:
    """The infusion, counted from 1, of each of several columns with a number in its name (`Dose 2 (cells)`).

    None where two have the same number, or one has none. A column alone is that of the first infusion.
    """
    if len(keys) < 2:
        return [1 for _ in keys]
    numbers = [re.findall(r"\d+", re.sub(r"\(.*?\)|\[.*?\]", "", key)) for key in keys]
    if any(len(found) != 1 for found in numbers):
        return None
    order = sorted({int(found[0]) for found in numbers})
    return [order.index(int(found[0])) + 1 for found in numbers] if len(order) == len(keys) else None
