"""Newton's method with Levenberg's damping for many subjects at once, in one compiled loop.

Each subject has its own steps, damping and end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kinetics.population import solved

__all__ = ["STEPS", "Ascent", "ascend"]

STEPS = 30  # steps of a subject, at most
_SHORT = 30.0  # first damping of the subjects that begin with short steps

Rows = Float[Array, "vary subject"]
Each = Float[Array, " subject"]
Curvature = Float[Array, "subject vary vary"]


class Ascent(NamedTuple):
    """Where each subject ended: its point, the log density, slope and curvature there, and a step's gain."""

    b: Rows
    value: Each
    slope: Rows
    curvature: Curvature
    gain: Each


class _State(NamedTuple):
    """The loop's state: the best point of each subject, and the point that it tries next."""

    best: Ascent
    tried: Rows
    damping: Each
    fresh: Bool[Array, " subject"]  # no density to compare with yet
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
    """Return the maximum of each subject's `density` from `b`, or from 0 where the density at b is 0.

    `density` returns values and slopes. `curvature` returns positive definite matrices, as of a Gauss-Newton
    step. A subject ends where a step would bring less than 1e-6, where no step goes up, and after `steps`
    steps. `short` are the subjects whose first steps are to be short.
    """

    def step(s: _State) -> _State:
        # the density where each subject tries next, and whether it is higher
        value, slope = density(s.tried)
        again = s.fresh & ~jnp.isfinite(value) & (s.steps == 0)  # begins again, from 0
        rises = ~s.done & (value > s.best.value - 1e-10 * jnp.abs(s.best.value))
        better = ~again & (s.fresh | rises)
        stuck = s.stuck | (~s.fresh & better & (s.damping > 1.0) & (value - s.best.value < 1e-5))
        # less damping after a success, more after a failure
        raised = jnp.where(s.done, s.damping, jnp.maximum(16 * s.damping, 1e-2))
        damping = jnp.where(s.fresh, s.damping, jnp.where(better, s.damping / 8, raised))
        # the best point
        b = jnp.where(better, s.tried, s.best.b)
        slope = jnp.where(better, slope, s.best.slope)
        value = jnp.where(better, value, s.best.value)
        # the step from there
        a = curvature(b)
        d = len(b)
        damped = jnp.moveaxis(a, 0, -1) * (1.0 + damping * jnp.eye(d)[..., None])
        move = solved(damped, slope)
        gain = jnp.sum(move * slope, axis=0)
        done = ~again & (stuck | (gain < 1e-6) | (damping > 1e4))
        tried = jnp.where(again, 0.0, b + jnp.where(done, 0.0, move))
        return _State(
            best=Ascent(b, value, slope, a, gain),
            tried=tried,
            damping=damping,
            fresh=again,
            stuck=stuck,
            done=done,
            steps=s.steps + 1,
        )

    n = b.shape[1]
    d = len(b)
    if not d:
        return Ascent(b, *density(b), curvature(b), jnp.zeros(n))
    nobody = jnp.zeros(n, bool)
    nowhere = Ascent(b, jnp.full(n, -jnp.inf), jnp.zeros_like(b), jnp.zeros((n, d, d)), jnp.zeros(n))
    start = _State(
        best=nowhere,
        tried=b,
        damping=jnp.where(short, _SHORT, 0.0),
        fresh=~nobody,
        stuck=nobody,
        done=nobody,
        steps=jnp.zeros((), int),
    )
    end = jax.lax.while_loop(lambda s: (s.steps <= steps) & ~jnp.all(s.done), step, start).best
    # the gain of an undamped step
    move = solved(jnp.moveaxis(end.curvature, 0, -1), end.slope)
    return end._replace(gain=jnp.sum(move * end.slope, axis=0))
