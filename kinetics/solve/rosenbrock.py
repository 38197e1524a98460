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
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

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
ORDER = 4.0


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
    ) -> tuple[list[State], list[State], Any, Any]:
        """The points and increments u of the six stages, the factorised matrix, and df/dt."""
        entries, by_time = guard(there, lambda t, y, p: self.slopes(t, y, field.parameters(p)), t, y, p)
        lu = guard(there, self._factored, h, entries)
        points = []
        us = []
        for i in range(_STAGES):
            point = y if i == 0 else guard(there, lambda y, us, i=i: _shifted(y, us, _A[i]), y, us)
            slope = guard(there, field, t + _ALPHA[i] * h, point, p)

            def stage(h: Array, slope: State, us: Any, by_time: Any, i: int = i) -> State:
                b = [
                    h * k + sum(c * u[s] for c, u in zip(_C[i], us, strict=True)) for s, k in enumerate(slope)
                ]
                if by_time is not None and _D[i]:
                    b = [x + _D[i] * h**2 * d for x, d in zip(b, by_time, strict=True)]
                return tuple(b)

            b = guard(there, stage, h, slope, us, by_time)
            us.append(tuple(guard(there, lambda lu, b: solve_factored(lu, self.factors, b), lu, list(b))))
            points.append(point)
        return points, us, lu, by_time

    def step(
        self, field: Driven, there: Bool[Array, ""], t: Array, h: Array, y: State, p: Any
    ) -> tuple[State, State]:
        """The state after a step of length `h` (0: no step), and the estimated error of each state."""
        _, us, _, _ = self._stages(field, there, t=t, h=h, y=y, p=p)
        return _shifted(y, us, _M), us[-1]

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
        points, us, lu, _ = self._stages(field, there, t=t, h=h, y=y, p=p)
        of_y = cotangent
        of_p = jax.tree.map(jnp.zeros_like, p)
        point_bars: list[State] = [()] * _STAGES
        vs: list[State] = [()] * _STAGES  # the cotangents of the right-hand sides of the linear systems

        def pull(t: Array, point: State, p: Any, v: State, h: Array) -> tuple[State, Any]:
            """The cotangents of one call of the field."""
            return jax.vjp(lambda point, p: field(t, point, p), point, p)[1](tuple(h * x for x in v))

        # The stages from last to first: u_i is read by the result, by later points and by later systems.
        for i in reversed(range(_STAGES)):

            def bar(cotangent: State, point_bars: list[State], vs: list[State], i: int = i) -> State:
                return tuple(
                    _M[i] * c
                    + sum(_A[j][i] * point_bars[j][s] + _C[j][i] * vs[j][s] for j in range(i + 1, _STAGES))
                    for s, c in enumerate(cotangent)
                )

            b = guard(there, bar, cotangent, point_bars, vs)
            vs[i] = tuple(
                guard(there, lambda lu, b: solve_factored(lu, self.factors, b, transposed=True), lu, list(b))
            )
            point_bars[i], p_bar = guard(there, pull, t + _ALPHA[i] * h, points[i], p, vs[i], h)
            of_y = tuple(a + b for a, b in zip(of_y, point_bars[i], strict=True))
            of_p = jax.tree.map(jnp.add, of_p, p_bar)
        # J and df/dt depend on the state and the parameters too.
        y_bar, p_bar = guard(there, lambda *args: self._through_slopes(field, *args), t, h, y, p, us, vs)
        return (
            tuple(a + b for a, b in zip(of_y, y_bar, strict=True)),
            jax.tree.map(jnp.add, of_p, p_bar),
            jnp.zeros_like(t),
            jnp.zeros_like(h),
        )

    def _through_slopes(
        self, field: Driven, t: Array, h: Array, y: State, p: Any, us: list[State], vs: list[State]
    ) -> tuple[State, Any]:
        """The cotangents of states and parameters through J and df/dt."""
        of_entries = [h * sum(v[i] * u[j] for u, v in zip(us, vs, strict=True)) for i, j in self.cells]
        of_time = None
        if self.timed:
            of_time = tuple(
                h**2 * sum(d * v[s] for d, v in zip(_D, vs, strict=True)) for s in range(self.size)
            )
        _, vjp = jax.vjp(lambda y, p: self.slopes(t, y, field.parameters(p)), y, p)
        return vjp((of_entries, of_time))


def _shifted(y: State, us: Sequence[State], weights: Sequence[float]) -> State:
    """y plus the weighted sum of the increments."""
    return tuple(y_s + sum(w * u[s] for w, u in zip(weights, us, strict=True)) for s, y_s in enumerate(y))
