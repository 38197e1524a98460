"""Times as a sheet words them: `D7`, `Day 7`, `M2`, `2 weeks`, `copies_14`, `d1-0300`."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MONTH_DAYS", "TIME_WORDS", "TimeLabel", "days_of", "time_label", "time_unit"]

MONTH_DAYS = 30.4375  # 365.25 / 12
TIME_WORDS = re.compile(
    r"^(pre[ _-]?\w*|baseline|screening|leuk?apheresis|apheresis|eot|eos|end of (study|treatment)|relapse|"
    r"progression|(day of )?(car[- ]?\w* )?infusion( day)?)$",
    re.IGNORECASE,
)

_UNITS = {
    "min": r"minutes?|mins?",
    "h": r"hours?|hrs?|h|stunden?|std",
    "day": r"days?|d|tage?|jours?",
    "week": r"weeks?|wks?|wk|w|wochen?",
    "month": r"months?|mths?|mon|mo|m|monate?",
    "year": r"years?|yrs?|y|jahre?",
}
_DAYS = {"min": 1 / 1440, "h": 1 / 24, "day": 1.0, "week": 7.0, "month": MONTH_DAYS, "year": 365.25}
_ANY = "|".join(_UNITS.values())
_NUMBER = r"\d+(?:[.,]\d+)?"
_CLOCK = r"(?:[-_ ]?(?P<clock>[01]\d[0-5]\d|2[0-3][0-5]\d))?"
_FIRST = re.compile(
    rf"(?<![A-Za-z0-9])(?P<unit>{_ANY})[ _.]*(?P<number>[+\-−–]?[ ]?{_NUMBER}){_CLOCK}(?![A-Za-z0-9.,])",
    re.IGNORECASE,
)
_LAST = re.compile(
    rf"(?<![A-Za-z0-9.,])(?P<number>[+\-−–]?{_NUMBER})[ _-]*(?P<unit>{_ANY})(?![A-Za-z0-9])", re.IGNORECASE
)
_AFTER = re.compile(
    r"\b(post|after|p\.?i\.?|following)[ _-]*(car[ -]?(t|nk)?[ -]*)?(infusion|dose|inf)?\b", re.IGNORECASE
)


@dataclass(frozen=True)
class TimeLabel:
    """A time in a label: in days, the unit it was written in, and the label without it."""

    days: float
    unit: str
    rest: str


def time_unit(word: str) -> str | None:
    """min, h, day, week, month or year for a word of a time unit (`Tage`, `hrs`), else None."""
    for unit, pattern in _UNITS.items():
        if re.fullmatch(pattern, word.strip(), re.IGNORECASE):
            return unit
    return None


def time_label(text: str) -> TimeLabel | None:
    """The time in a label such as `CRP_d-7` or `2 weeks`; None where there is none, or more than one."""
    text = re.sub(r"\s+", " ", _AFTER.sub(" ", re.sub(r"[_|]", " ", text))).strip()
    matches = [match for pattern in (_FIRST, _LAST) if (match := pattern.search(text))]
    if not matches:
        return None
    match = matches[0]
    if (
        len(matches) == 2
        and matches[0].span() != matches[1].span()
        and _days(matches[0]) != _days(matches[1])
    ):
        overlap = matches[0].start() < matches[1].end() and matches[1].start() < matches[0].end()
        if not overlap:
            return None
        match = min(matches, key=lambda found: found.start())
    rest = re.sub(r"\s+", " ", f"{text[: match.start()]} {text[match.end() :]}").strip(" -_.:,|")
    rest = re.sub(r"\(\s*\)|\[\s*\]", "", rest).strip()
    if _FIRST.search(rest):  # `Week 1 Day 3` may be day 3, or day 10
        return None
    return TimeLabel(_days(match), time_unit(match["unit"]) or "day", rest)


def days_of(number: float, unit: str) -> float:
    """A number of minutes, hours, days, weeks, months or years in days."""
    return number * _DAYS[unit]


def _days(match: re.Match[str]) -> float:
    """The time of a match in days."""
    number = re.sub("[−–]", "-", match["number"]).replace(" ", "").replace(",", ".")
    days = days_of(float(number), time_unit(match["unit"]) or "day")
    clock = match.groupdict().get("clock")
    if clock:
        days += int(clock[:2]) / 24 + int(clock[2:]) / 1440
    return days
