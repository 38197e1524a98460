"""The days of a text, as `kinetics simulate --times` and a batch write them."""

from __future__ import annotations

import numpy as np

from kinetics.errors import PlanError, Problem

__all__ = ["MOST_TIMES", "days_of_text"]

MOST_TIMES = 1_000_000  # days of one curve: a minute's distance over two years


def days_of_text(text: str) -> np.ndarray:
    """The days of `0:90:1` (start:stop:step, the stop included) or of `0,1,7,28`.

    PlanError where the text is neither, or is more than MOST_TIMES days.

    >>> from kinetics.prediction import days_of_text
    >>> days_of_text("0:3:1.5")
    array([0. , 1.5, 3. ])
    """
    is_range = ":" in text
    what = f"{text!r} is neither start:stop:step with a step above 0, as 0:90:1, nor days, as 0,1,7,28"
    try:
        numbers = [float(part) for part in text.split(":" if is_range else ",")]
    except ValueError:
        raise PlanError(Problem(what, "write the days")) from None
    if not np.isfinite(numbers).all():
        raise PlanError(Problem(what, "write finite days"))
    if not is_range:
        return np.array(numbers)
    if len(numbers) != 3 or numbers[2] <= 0 or numbers[1] < numbers[0]:
        raise PlanError(Problem(what, "write the days"))
    start = numbers[0]
    step = numbers[2]
    steps = np.floor((numbers[1] - start) / step + 1e-9)
    if not steps < MOST_TIMES:
        raise PlanError(Problem(f"{text!r} is more than {MOST_TIMES} days", "write a larger step"))
    return np.round(start + step * np.arange(steps + 1), 12)
