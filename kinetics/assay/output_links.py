"""What an event or a grade follows of an output's curve: its value now, its highest, its area, its change.

A link at t is computed from the curve up to t and never from what comes later.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray

__all__ = ["LINKS", "OutputLink", "interval_edges", "link_values"]

OutputLink = Literal["log_current", "log_peak", "log_auc", "log_growth", "current"]

LINKS: dict[OutputLink, str] = {  # link -> what it is
    "log_current": "log10 of the output now over `reference`",
    "log_peak": "log10 of the highest value of the output up to now over `reference`",
    "log_auc": "log10 of the area under the output from day 0 up to now over `reference` [unit x day]",
    "log_growth": "log10 of the output now over what it was `window` days before, or on day 0",
    "current": "the output now minus `reference`",
}
_SHORTEST = 1.0  # days: the length of the first intervals
_GROWTH = 0.1  # of a later interval: its length over the day on which it begins


def interval_edges(last: float) -> Float[np.ndarray, " edge"]:
    """Days from 0 to `last` at which a curve is looked at: a day apart at first, then a tenth of the day."""
    edges = [0.0]
    while edges[-1] < last:
        edges.append(edges[-1] + max(_SHORTEST, _GROWTH * edges[-1]))
    return np.minimum(edges, last)


def link_values(
    link: OutputLink,
    f: Float[Array, "subject node"],
    time: Float[AnyArray, "subject node"],
    *,
    reference: float,
    floor: float,
    window: float,
) -> Float[Array, "subject node"]:
    """The link at every node, from the output `f` there; `time` [day] begins with day 0 and is in order.

    Values below `floor` count as `floor`. `reference` and `floor` are in the output's unit, for `log_auc` in
    that unit times days; `window` is in days. Between two nodes the area is that of a trapezium.
    """
    time = jnp.asarray(time)
    if link == "current":
        return f - reference
    if link == "log_auc":
        steps = 0.5 * (f[:, 1:] + f[:, :-1]) * jnp.diff(time, axis=1)
        f = jnp.pad(jnp.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    log_f = jnp.log10(jnp.maximum(f, floor))
    if link == "log_growth":
        return log_f - jax.vmap(jnp.interp)(jnp.maximum(time - window, 0.0), time, log_f)
    if link == "log_peak":
        log_f = _running_peak(time, log_f)
    return log_f - np.log10(reference)


def _running_peak(
    time: Float[Array, "subject node"], y: Float[Array, "subject node"]
) -> Float[Array, "subject node"]:
    """The highest value of the curve `y` up to every node.

    Between two nodes where the curve rises before and falls after, the peak is where the lines through the
    two nodes before and through the two nodes after meet. That is exact for exponential rise and fall, and it
    does not jump where the day of the peak passes a node, as the highest node would.
    """
    width = jnp.diff(time, axis=1)
    rise = jnp.diff(y, axis=1)
    slope = jnp.where(width > 0, rise, 0.0) / jnp.where(width > 0, width, 1.0)
    # interval j has a neighbour on both sides: slope[j - 1] before it, slope[j + 1] after it
    before = slope[:, :-2]
    after = slope[:, 2:]
    peaked = (before > 0) & (after < 0)
    until_peak = (rise[:, 1:-1] - after * width[:, 1:-1]) / jnp.where(peaked, before - after, 1.0)
    peak = y[:, 1:-2] + before * jnp.clip(until_peak, 0.0, width[:, 1:-1])
    inner = jnp.where(peaked, jnp.maximum(peak, y[:, 2:-1]), y[:, 2:-1])
    return jax.lax.cummax(jnp.concatenate([y[:, :2], inner, y[:, -1:]], axis=1), axis=1)
