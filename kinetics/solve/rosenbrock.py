"""One step of a linearly implicit method for stiff models, all subjects at once, and its exact reverse.

Rodas4 (Hairer & Wanner 1996, Solving Ordinary Differential Equations II, IV.7; coefficients of their code
RODAS) has six stages, order 4(3), and is L-stable. A stage is one sparse linear solve without iteration, so
that lanes stay together:

    (I/gamma - h J) u_i = h f(t + alpha_i h, y + sum_j a_ij u_j) + sum_j c_ij u_j + h^2 gamma_i df/dt

The reverse is the exact derivative of this step, including the dependence of J on states and parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kinetics.arrays import unstacked
from kinetics.solve.explicit import Driven, Field, State, guard
from kinetics.solve.sparse import (
    Factors,
    Pattern,
    dependencies,
    factorise,
    jacobian,
    plan_elimination,
    solve_factored,
)
from kinetics.solve.traced import traced_once

__all__ = ["ORDER", "Rodas4"]

_GAMMA = 0.25
_ALPHA = (0.0, 0.386, 0.21, 0.63, 1.0, 1.0)
_D = (0.25, -0.1043, 0.1035, -0.0362, 0.0, 0.0)
_A5 = (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950)
_A = (
    (),
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    _A5,
    (*_A5, 1.0),
)
_M = (*_A5, 1.0, 1.0)
_C = (
    (),
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
_STAGES = 6
_LOWER_A = np.array([(*row, *(0.0,) * (_STAGES - len(row))) for row in _A])  # (stage, stage)
_LOWER_C = np.array([(*row, *(0.0,) * (_STAGES - len(row))) for row in _C])
ORDER = 4.0

Stages = Float[Array, "stage state lane"]


class Rodas4:
    """The method for one right-hand side, with the pattern of its Jacobian and the order of elimination."""

    def __init__(self, field: Field, size: int, pattern: Pattern, *, timed: bool) -> None:
        self.size = size
        self.pattern = pattern
        self.timed = timed
        self.slopes = traced_once(partial(self._slopes_of, field))
        self.factors: Factors = plan_elimination(size, pattern)
        self.cells = sorted(self.pattern)

    @classmethod
    def of(cls, field: Field, size: int, p: Any) -> Rodas4:
        """Read the pattern from the trace of `field` (t, y, p) with lanes of length 1."""
        flows = dependencies(field, jnp.zeros(1), tuple(jnp.ones(1) for _ in range(size)), p)
        # Input 0 is the time, inputs 1 to `size` are the states.
        pattern = frozenset((i, j - 1) for i, inputs in enumerate(flows) for j in inputs if 1 <= j <= size)
        return cls(field, size, pattern, timed=any(0 in inputs for inputs in flows))

    def _slopes_of(self, field: Field, t: Array, y: State, p: Any) -> tuple[list[Array], State | None]:
        """The entries of the Jacobian, and df/dt where the equations depend on time."""
        entries = jacobian(lambda y: field(t, y, p), y, self.pattern)
        by_time = None
        if self.timed:
            _, by_time = jax.jvp(lambda t: field(t, y, p), (t,), (jnp.ones_like(t),))
        return [entries[c] for c in self.cells], by_time

    def _factored(self, h: Array, entries: Sequence[Array]) -> dict[tuple[int, int], Array]:
        """I/gamma - h J, factorised."""
        w = {c: -h * e for c, e in zip(self.cells, entries, strict=True)}
        for k in range(self.size):
            w[k, k] = w.get((k, k), jnp.zeros_like(h)) + 1.0 / _GAMMA
        return factorise(w, self.factors)

    def _stages(
        self, field: Driven, there: Bool[Array, ""], t: Array, h: Array, y: State, p: Any
    ) -> tuple[Stages, Stages, Any]:
        """The points and increments u of the six stages, and the factorised matrix.

        The stages are a loop, so that a program holds the field and the linear solve once, not six times.
        """
        entries, by_time = guard(there, lambda t, y, p: self.slopes(t, y, field.parameters(p)), t, y, p)
        lu = guard(there, self._factored, h, entries)
        start = jnp.stack(y)
        of_time = None if by_time is None else jnp.stack(by_time)

        def system(h: Array, slope: State, us: Stages, of_time: Array | None, c: Array, d: Array) -> Array:
            b = h * jnp.stack(slope) + _weighted(c, us)
            return b if of_time is None else b + d * h**2 * of_time

        def stage(us: Stages, row: _Row) -> tuple[Stages, Array]:
            point = guard(there, lambda y, us, a: y + _weighted(a, us), start, us, row.a)
            slope = guard(there, field, t + row.alpha * h, tuple(unstacked(point)), p)
            b = guard(there, system, h, slope, us, of_time, row.c, row.d)
            u = guard(there, lambda lu, b: solve_factored(lu, self.factors, b), lu, tuple(unstacked(b)))
            return us.at[row.i].set(jnp.stack(u)), point

        rows = _rows(_LOWER_A, _LOWER_C, h)
        us, points = jax.lax.scan(stage, jnp.zeros((_STAGES, *start.shape), start.dtype), rows)
        return points, us, lu

    def step(
        self, field: Driven, there: Bool[Array, ""], t: Array, h: Array, y: State, p: Any
    ) -> tuple[State, State]:
        """The state after a step of length `h` (0: no step), and the estimated error of each state."""
        _, us, _ = self._stages(field, there, t=t, h=h, y=y, p=p)
        new = guard(there, lambda y, us: jnp.stack(y) + _weighted(jnp.array(_M, h.dtype), us), y, us)
        return tuple(unstacked(new)), tuple(unstacked(us[-1]))

    def reverse_step(
        self,
        field: Driven,
        there: Array,
        t: Array,
        h: Array,
        y: State,
        p: Any,
        cotangent: State,
        *,
        moving: bool,
    ) -> tuple[State, Any, Array, Array]:
        """The cotangents of y, p, t and h, given the cotangent of the state after the step.

        Those of t and h are zero unless `moving`, which says that stop times depend on parameters.
        """
        if moving:
            _, vjp = jax.vjp(lambda t, h, y, p: self.step(field, there, t=t, h=h, y=y, p=p)[0], t, h, y, p)
            of_t, of_h, of_y, of_p = vjp(cotangent)
            return of_y, of_p, of_t, of_h
        points, us, lu = self._stages(field, there, t=t, h=h, y=y, p=p)

        def pull(t: Array, point: State, p: Any, v: State, h: Array) -> tuple[State, Any]:
            """The cotangents of one call of the field."""
            return jax.vjp(lambda point, p: field(t, point, p), point, p)[1](tuple(h * x for x in v))

        def bar(cotangent: Array, point_bars: Stages, vs: Stages, row: _Row) -> Array:
            return row.m * cotangent + _weighted(row.a, point_bars) + _weighted(row.c, vs)

        # The stages from last to first: u_i is read by the result, by later points and by later systems.
        # `vs` are the cotangents of the right-hand sides of the linear systems.
        def back(carry: _Bars, stage: tuple[_Row, Array]) -> tuple[_Bars, None]:
            row, point = stage
            b = guard(there, bar, result, carry.points, carry.vs, row)
            v = guard(
                there,
                lambda lu, b: solve_factored(lu, self.factors, b, transposed=True),
                lu,
                tuple(unstacked(b)),
            )
            y_bar, p_bar = guard(there, pull, t + row.alpha * h, tuple(unstacked(point)), p, tuple(v), h)
            point_bar = jnp.stack(y_bar)
            return _Bars(
                y=carry.y + point_bar,
                p=jax.tree.map(jnp.add, carry.p, p_bar),
                points=carry.points.at[row.i].set(point_bar),
                vs=carry.vs.at[row.i].set(jnp.stack(v)),
            ), None

        result = jnp.stack(cotangent)
        nothing = jnp.zeros_like(us)
        begin = _Bars(y=result, p=jax.tree.map(jnp.zeros_like, p), points=nothing, vs=nothing)
        rows = _rows(np.transpose(_LOWER_A), np.transpose(_LOWER_C), h)
        end, _ = jax.lax.scan(back, begin, (rows, points), reverse=True)
        # J and df/dt depend on the state and the parameters too.
        of_jacobian = guard(there, lambda h, us, vs: h * _outer(vs, us), h, us, end.vs)
        of_time = guard(there, lambda h, vs: h**2 * _weighted(jnp.array(_D, h.dtype), vs), h, end.vs)
        y_bar, p_bar = guard(
            there, lambda *args: self._through_slopes(field, *args), t, y, p, of_jacobian, of_time
        )
        return (
            tuple(a + b for a, b in zip(tuple(unstacked(end.y)), y_bar, strict=True)),
            jax.tree.map(jnp.add, end.p, p_bar),
            jnp.zeros_like(t),
            jnp.zeros_like(h),
        )

    def _through_slopes(
        self, field: Driven, t: Array, y: State, p: Any, of_jacobian: Array, of_time: Array
    ) -> tuple[State, Any]:
        """The cotangents of states and parameters, from those of the Jacobian and of df/dt."""
        of_entries = [of_jacobian[i, j] for i, j in self.cells]
        _, vjp = jax.vjp(lambda y, p: self.slopes(t, y, field.parameters(p)), y, p)
        return vjp((of_entries, tuple(unstacked(of_time)) if self.timed else None))


class _Row(NamedTuple):
    """The coefficients of stage i: its row (in reverse, its column) of a and c, and its alpha, d and m."""

    i: Array
    a: Float[Array, " stage"]
    c: Float[Array, " stage"]
    alpha: Array
    d: Array
    m: Array


class _Bars(NamedTuple):
    """The state of the reverse loop over stages: cotangents of y and p, and those of the stages done."""

    y: Float[Array, "state lane"]
    p: Any
    points: Stages
    vs: Stages


def _rows(a: np.ndarray, c: np.ndarray, like: Array) -> _Row:
    """The coefficients of all stages, in the precision of `like`."""
    i = np.arange(_STAGES)
    return _Row(i, *(np.asarray(x, like.dtype) for x in (a, c, _ALPHA, _D, _M)))  # pyright: ignore


def _weighted(weights: Float[Array, " stage"], us: Stages) -> Float[Array, "state lane"]:
    """The weighted sum over stages."""
    return sum((weights[i] * us[i] for i in range(1, _STAGES)), start=weights[0] * us[0])


def _outer(vs: Stages, us: Stages) -> Float[Array, "state state lane"]:
    """The products of every state of v and every state of u, summed over stages."""
    products = (vs[i, :, None] * us[i, None, :] for i in range(_STAGES))
    return sum(products, start=jnp.zeros((), us.dtype))
