"""Area under a curve, by the linear-up log-down rule: for measured samples and for curves on a grid of times.

A segment that falls between positive values is taken for exponential, and any other for a straight line. The
functions are numpy's. `segment_areas` also runs inside a jax function: give it jax's arrays and
`xp=jax.numpy`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["AucMethod", "auc", "segment_areas"]

AucMethod = Literal["linear_up_log_down", "linear"]
AnyArray = TypeVar("AnyArray", bound=Any)  # of numpy, or of jax, which is not imported here

# A fall to less than this part of the first value is taken for a fall to 0: the ratio of the two values may
# overflow.
_LEAST = 1e-300


def segment_areas(
    time: Float[AnyArray, "*#batch time"],
    values: Float[AnyArray, "*#batch time"],
    *,
    method: AucMethod = "linear_up_log_down",
    xp: ModuleType = np,
) -> Float[AnyArray, "*batch segment"]:
    """The area of each segment between two neighbouring times, in the unit of `values` x that of `time`.

    `time` does not decrease along its last axis, and may be one vector for all `values`. A segment with a NaN
    at either end is NaN. `xp` is the array library, numpy or `jax.numpy`; within `jax.jit` it is `jax.numpy`.
    """
    first = values[..., :-1]
    second = values[..., 1:]
    logarithmic = _logarithmic(first, second, method)
    return _means(first, second, logarithmic, xp) * xp.diff(time)


def auc(
    time: Float[np.ndarray, "*#batch time"],
    values: Float[np.ndarray, "*#batch time"],
    start: float | np.ndarray,
    end: float | np.ndarray,
    *,
    method: AucMethod = "linear_up_log_down",
) -> Float[np.ndarray, "*batch"]:
    """The area from `start` to `end`, both interpolated on their segment by its own rule.

    NaN where the times do not span `start` to `end`, and where a value is NaN. `time` does not decrease along
    its last axis; `start` and `end`, in its unit, are one number or one each batch. The area is in the unit
    of `values` x that of `time`.
    """
    left = time[..., :-1]
    right = time[..., 1:]
    first = values[..., :-1]
    second = values[..., 1:]
    logarithmic = _logarithmic(first, second, method)

    # Each segment is cut to its part within the window; one outside keeps no width.
    start = np.asarray(start, float)
    end = np.asarray(end, float)
    lower = np.clip(start[..., None], left, right)
    upper = np.clip(end[..., None], left, right)
    width = np.where(right > left, right - left, 1.0)
    value_at_lower = _values_within(first, second, (lower - left) / width, logarithmic)
    value_at_upper = _values_within(first, second, (upper - left) / width, logarithmic)

    areas = _means(value_at_lower, value_at_upper, logarithmic, np) * (upper - lower)
    spanned = (time[..., 0] <= start) & (start <= end) & (end <= time[..., -1])
    return np.where(spanned, areas.sum(axis=-1), np.nan)


def _logarithmic(
    first: Float[AnyArray, "*segments"], second: Float[AnyArray, "*segments"], method: AucMethod
) -> Bool[AnyArray, "*segments"]:
    """Which segments are exponential: those that fall between positive values."""
    falling = (second < first) & (second > 0) & (second > _LEAST * first)
    return falling & (method == "linear_up_log_down")


def _means(
    first: Float[AnyArray, "*segments"],
    second: Float[AnyArray, "*segments"],
    logarithmic: Bool[AnyArray, "*segments"],
    xp: ModuleType,
) -> Float[AnyArray, "*segments"]:
    """The mean of each segment: (first - second) / ln(first / second) of an exponential one.

    Written with log1p, the logarithmic mean keeps its digits where the two values are nearly equal.
    """
    logarithmic = logarithmic & (second < first)  # a segment cut to no width has two equal values
    drop = xp.where(logarithmic, first - second, 1.0)
    logarithmic_mean = drop / xp.log1p(drop / xp.where(logarithmic, second, 1.0))
    return xp.where(logarithmic, logarithmic_mean, 0.5 * (first + second))


def _values_within(
    first: Float[np.ndarray, "*#segments"],
    second: Float[np.ndarray, "*#segments"],
    weight: Float[np.ndarray, "*#segments"],
    logarithmic: Bool[np.ndarray, "*#segments"],
) -> Float[np.ndarray, "*segments"]:
    """The value of each segment at `weight` of the way from its first value, at 0, to its second, at 1."""
    geometric = np.where(logarithmic, first, 1.0) ** (1.0 - weight)
    geometric = geometric * np.where(logarithmic, second, 1.0) ** weight
    return np.where(logarithmic, geometric, (1.0 - weight) * first + weight * second)
