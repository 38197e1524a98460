"""Which of very many points are drawn: a page of 60,000 points in each panel is too large for a browser."""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

__all__ = ["MOST_POINTS", "evenly", "some_rows", "thinning_note"]

MOST_POINTS = 5_000  # of a panel; five panels of 60,000 make a page of 43 MB


def evenly(count: int) -> np.ndarray:
    """The places of at most `MOST_POINTS` of `count` sorted points, evenly apart, both ends among them."""
    if not count:
        return np.arange(0)
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))


def some_rows(table: DataFrame) -> DataFrame:
    """At most `MOST_POINTS` rows of a table, drawn at random and always the same, in their order."""
    if len(table) <= MOST_POINTS:
        return table
    chosen = np.random.default_rng(0).choice(len(table), MOST_POINTS, replace=False)
    return table.iloc[np.sort(chosen)]


def thinning_note(count: int, what: str) -> list[str]:
    """A footnote where not all of `count` points are drawn."""
    if count <= MOST_POINTS:
        return []
    return [f"{MOST_POINTS:,} of {count:,} {what}, taken at random, are drawn; lines and tests are of all."]
