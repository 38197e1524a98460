"""The unit of time of a model file: equations per hour, or per another unit, as equations per day.

The package counts time in days. A pharmacokinetic model is often published per hour, and dividing every rate
by hand is where a factor of 24 is lost. A model says `time_unit="h"` instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kinetics.units import UnitError, convert, dimension

__all__ = ["TIME_UNITS", "DayEquations", "day_equations", "other_time_unit"]

TIME_UNITS = ("day", "h", "min", "week")  # in which the equations of a model may be written

Equations = Callable[..., Mapping[str, Any]] | None


class DayEquations(NamedTuple):
    """A model's solution or vector field, and its lags, with time in days."""

    solution: Equations
    vector_field: Equations
    lag: Mapping[str, Callable[[Mapping[str, Any]], Any]]


def day_equations(
    unit: str,
    solution: Equations,
    vector_field: Equations,
    lag: Mapping[str, Callable[[Mapping[str, Any]], Any]],
) -> DayEquations:
    """The equations and lags of a model written in a time `unit`, with time in days.

    Parameters keep their unit: the equations are given the time in `unit`, and a rate of change per `unit`
    becomes one per day.
    """
    per_day = convert("day", unit)  # units of time in a day: 24 for "h"
    return DayEquations(
        solution and _solution(solution, per_day),
        vector_field and _vector_field(vector_field, per_day),
        {route: _lag(rule, per_day) for route, rule in lag.items()},
    )


def _solution(solution: Callable[..., Mapping[str, Any]], per_day: float) -> Callable[..., Mapping[str, Any]]:
    """A closed form that takes days."""

    def in_days(t: Any, p: Mapping[str, Any], doses: Any) -> Mapping[str, Any]:
        scaled = doses._replace(time=per_day * doses.time, duration=per_day * doses.duration)
        return solution(per_day * t, p, scaled)

    return in_days


def _vector_field(
    vector_field: Callable[..., Mapping[str, Any]], per_day: float
) -> Callable[..., Mapping[str, Any]]:
    """A vector field that takes days and returns changes per day."""

    def in_days(t: Any, y: Mapping[str, Any], p: Mapping[str, Any]) -> dict[str, Any]:
        slopes = vector_field(per_day * t, y, p)
        return {state: per_day * slope for state, slope in slopes.items()}

    return in_days


def _lag(rule: Callable[[Mapping[str, Any]], Any], per_day: float) -> Callable[[Mapping[str, Any]], Any]:
    """A lag in days."""
    return lambda p: rule(p) / per_day


def other_time_unit(unit: str, expected: str) -> str:
    """The unit of time in a compound `unit` ("L/h") that is of another size than `expected`; "" if none is.

    >>> from kinetics.model.time_unit import other_time_unit
    >>> other_time_unit("L/h", "day"), other_time_unit("L/d", "day"), other_time_unit("mg/L", "day")
    ('h', '', '')
    """
    for part in re.split(r"[/*]", unit):
        word = part.strip()
        if _is_time(word) and convert(word, expected) != 1.0:
            return word
    return ""


def _is_time(word: str) -> bool:
    """Whether a word is a unit of time."""
    try:
        return dimension(word) == "time"
    except UnitError:
        return False
