"""Exposure numbers of a finely gridded curve, in jax: what NCA computes from samples, from a fitted curve."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from kinetics.area import segment_areas

__all__ = ["CurveExposure", "curve_exposure"]


class CurveExposure(NamedTuple):
    """One curve's exposure; times in days from the start of the grid, areas in unit x day."""

    cmax: Float[Array, "..."]
    tmax: Float[Array, "..."]
    auc_window: Float[Array, "..."]
    auc_last: Float[Array, "..."]
    clast: Float[Array, "..."]
    tlast: Float[Array, "..."]
    half_life: Float[Array, "..."]
    fold_expansion: Float[Array, "..."]


def curve_exposure(
    time: Float[Array, " grid"], y: Float[Array, " grid"], *, window: float, lloq: float
) -> CurveExposure:
    """Exposure of a curve `y` at `time` [day], 0 at the first infusion.

    `auc_window` runs from 0 to `window` by linear-up log-down; `tlast` is the last time at or above `lloq`
    (0 if never; the end of the grid if still above), `clast` and `auc_last` belong to it. `half_life` is
    that of the log-linear line through the curve's second half between Tmax and Tlast; NaN where the curve
    does not fall there. `fold_expansion` is Cmax over the curve's value at 0.
    """
    areas = segment_areas(time, y, xp=jnp)
    peak = jnp.argmax(y)
    above = y >= lloq
    last = jnp.where(above.any(), y.shape[0] - 1 - jnp.argmax(above[::-1]), 0)
    tmax, tlast = time[peak], time[last]
    inside = time[1:] <= window + 1e-9
    half = _half_life(time, y, 0.5 * (tmax + tlast), tlast)
    return CurveExposure(
        cmax=y[peak],
        tmax=tmax,
        auc_window=jnp.sum(jnp.where(inside, areas, 0.0)),
        auc_last=jnp.sum(jnp.where(time[1:] <= tlast, areas, 0.0)),
        clast=jnp.where(above.any(), y[last], jnp.nan),
        tlast=jnp.where(above.any(), tlast, 0.0),
        half_life=half,
        fold_expansion=y[peak] / y[0],
    )


def _half_life(time: Array, y: Array, start: Array, end: Array) -> Array:
    inside = (time >= start) & (time <= end) & (y > 0)
    weight = jnp.where(
        inside, jnp.asarray(jnp.gradient(time)), 0.0
    )  # a line through the curve, not through the grid
    n = jnp.sum(inside)
    x = time - jnp.sum(weight * time) / jnp.sum(weight)
    logy = jnp.log(jnp.where(y > 0, y, 1.0))
    slope = jnp.sum(weight * x * logy) / jnp.sum(weight * x**2)
    return jnp.where((n >= 3) & (slope < 0), jnp.log(2.0) / -slope, jnp.nan)
