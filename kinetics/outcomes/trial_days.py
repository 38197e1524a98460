"""One definition of a day for everything that a protocol counts in days: windows, follow-up, infusions.

Day n of a window is the time from n - 1/2 to n + 1/2 after its clock. Tables write whole days, and times that
are jittered around them; both fall on the same day. A window of 28 days is over once day 28 has begun, and an
event of day 28 lies in it, on 28.4 too.
"""

from __future__ import annotations

__all__ = ["ends_by", "from_day", "in_window"]

HALF_DAY = 0.5


def from_day(time: float, first: float) -> bool:
    """Whether a time is on the day of `first` or later."""
    return time >= first - HALF_DAY


def in_window(time: float, last: float) -> bool:
    """Whether a time is on the day of `last` or earlier."""
    return time < last + HALF_DAY


def ends_by(window_end: float, followed_to: float) -> bool:
    """Whether a window that ends on the day of `window_end` is over for who was followed to `followed_to`."""
    return followed_to >= window_end - HALF_DAY
