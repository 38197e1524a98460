"""One core, medians, milliseconds."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import jax
import numpy as np

__all__ = ["first_s", "median_ms"]


def median_ms(call: Callable[[], Any], repeats: int = 50) -> float:
    times = []
    for _ in range(repeats):
        start = perf_counter()
        jax.block_until_ready(call())
        times.append(perf_counter() - start)
    return float(np.median(times) * 1e3)


def first_s(call: Callable[[], Any]) -> float:
    """Seconds of the first call: tracing and compiling."""
    start = perf_counter()
    jax.block_until_ready(call())
    return perf_counter() - start
