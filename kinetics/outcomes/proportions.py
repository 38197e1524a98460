"""Proportions with exact intervals: Clopper CJ and Pearson ES, Biometrika 1934;26:404."""

from __future__ import annotations

from math import nan

from scipy.stats import binomtest

from kinetics.errors import InputError, Problem

__all__ = ["clopper_pearson", "proportion_columns"]


def clopper_pearson(events: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The ends of the exact interval of `events` of `n`, with probability `level`; NaN where n is 0.

    InputError for a level that is not between 0 and 1, or more events than n.
    """
    if not 0 < level < 1:
        raise InputError(Problem(f"an interval of level {level:g}", "write a number between 0 and 1"))
    if not 0 <= events <= n:
        raise InputError(Problem(f"{events} events of {n}", "events lie between 0 and n"))
    if n == 0:
        return nan, nan
    interval = binomtest(events, n).proportion_ci(confidence_level=level, method="exact")
    return float(interval.low), float(interval.high)


def proportion_columns(events: int, n: int, level: float, missing: str) -> dict[str, float | str]:
    """The columns estimate, lower, upper and reason of a table row; `missing` is the reason where n is 0."""
    lower, upper = clopper_pearson(events, n, level)
    estimate = events / n if n else nan
    return {"estimate": estimate, "lower": lower, "upper": upper, "reason": "" if n else missing}
