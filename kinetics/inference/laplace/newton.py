"""Newton's method with Levenberg's damping for many subjects at once, each by itself, in one compiled
loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kinetics.population import solved

__all__ = ["STEPS", "Ascent", "ascend"]

STEPS = 30  # of a subject, at most
_SHORT = 30.0  # damping at first of those told to begin with short steps

Rows = Float[Array, "vary subject"]
Each = Float[Array, " subject"]
Curvature = Float[Array, "subject vary vary"]


class Ascent(NamedTuple):
    """Where each subject ended: its point, the log density there, slope and curvature, and what a step
    would bring.
    """

    b: Rows
    value: Each
    slope: Rows
    curvature: Curvature
    gain: Each


class _State(NamedTuple):
    at: Ascent
    tried: Rows
    damping: Each
    fresh: Bool[Array, " subject"]  # nothing to compare with yet
    stuck: Bool[Array, " subject"]
    done: Bool[Array, " subject"]
    steps: Array


def ascend(
    density: Callable[[Rows], tuple[Each, Rows]],
    curvature: Callable[[Rows], Curvature],
    b: Rows,
    short: Bool[Array, " subject"],
    steps: Array | int = STEPS,
) -> Ascent:
    """The maximum of each subject's `density` (value and slope) from `b`, or from 0 where it has none there.

    `curvature` is positive definite: that of a Gauss-Newton step. A subject ends where a step would bring
    less than 1e-6, or nothing, and after `steps` of them. `short` says whose first steps are to be short.
    """

    def step(s: _State) -> _State:
        value, slope = density(s.tried)
        again = s.fresh & ~jnp.isfinite(value) & (s.steps == 0)  # from 0, then
        rises = ~s.done & (value > s.at.value - 1e-10 * jnp.abs(s.at.value))
        better = ~again & (s.fresh | rises)
        stuck = s.stuck | (~s.fresh & better & (s.damping > 1.0) & (value - s.at.value < 1e-5))
        raised = jnp.where(s.done, s.damping, jnp.maximum(16 * s.damping, 1e-2))
        damping = jnp.where(s.fresh, s.damping, jnp.where(better, s.damping / 8, raised))
        b = jnp.where(better, s.tried, s.at.b)
        slope = jnp.where(better, slope, s.at.slope)
        value = jnp.where(better, value, s.at.value)
        a = curvature(b)
        d = len(b)
        damped = jnp.moveaxis(a, 0, -1) * (1.0 + damping * jnp.eye(d)[..., None])
        move = solved(damped, slope)
        gain = jnp.sum(move * slope, axis=0)
        done = ~again & (stuck | (gain < 1e-6) | (damping > 1e4))
        tried = jnp.where(again, 0.0, b + jnp.where(done, 0.0, move))
        return _State(Ascent(b, value, slope, a, gain), tried, damping, again, stuck, done, s.steps + 1)

    n = b.shape[1]
    d = len(b)
    if not d:
        return Ascent(b, *density(b), curvature(b), jnp.zeros(n))
    nobody = jnp.zeros(n, bool)
    nowhere = Ascent(b, jnp.full(n, -jnp.inf), jnp.zeros_like(b), jnp.zeros((n, d, d)), jnp.zeros(n))
    start = _State(nowhere, b, jnp.where(short, _SHORT, 0.0), ~nobody, nobody, nobody, jnp.zeros((), int))
    end = jax.lax.while_loop(lambda s: (s.steps <= steps) & ~jnp.all(s.done), step, start).at
    move = solved(jnp.moveaxis(end.curvature, 0, -1), end.slope)
    return end._replace(gain=jnp.sum(move * end.slope, axis=0))
