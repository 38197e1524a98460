"""One step of an explicit Runge-Kutta method for all subjects at once, and its exact reverse.

Tsitouras 2011, Comput Math Appl 62:770, order 5(4), with the coefficients of diffrax. The states are a tuple
of lanes (subject,) rather than one array, because XLA then fuses a whole stage into one pass.

The right-hand side is called only through `guard`, a conditional whose predicate is true at run time. Without
it XLA:CPU copies every stage into each expression that reads it, and a reverse step costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kinetics.solve.traced import replayed

__all__ = ["ORDER", "Driven", "Field", "State", "guard", "reverse_step", "step"]

State = tuple[Float[Array, " subject"], ...]
Field = Callable[[Array, State, Any], State]  # (t, y, p) -> dy/dt, p any pytree of lanes

_TABLEAU = diffrax.Tsit5().tableau
_A = [[float(a) for a in row] for row in _TABLEAU.a_lower]
_B = [float(b) for b in _TABLEAU.b_sol]
_C = [0.0, *(float(c) for c in _TABLEAU.c)]
_ERROR = [float(e) for e in _TABLEAU.b_error]
_STAGES = 6  # the seventh, the slope at the end of the step, serves the error estimate only
ORDER = 5.0


class Driven:
    """The right-hand side with infusion rates added to the slopes of the states `fed`.

    Its parameters p are a pair: the parameters to differentiate by, and the rates. `held` are the other
    parameters.
    """

    def __init__(self, field: Field, fed: tuple[int, ...], held: Mapping[str, Array] | None = None) -> None:
        self.field = field
        self.fed = fed
        self.held = held or {}

    def parameters(self, p: Any) -> dict[str, Array]:
        """Every parameter of the field, held or not."""
        return {**self.held, **p[0]}

    def __call__(self, t: Array, y: State, p: Any) -> State:
        slope = list(self.field(t, y, self.parameters(p)))
        for s, r in zip(self.fed, p[1], strict=True):
            slope[s] = slope[s] + r
        return tuple(slope)


def guard(there: Bool[Array, ""], f: Callable[..., Any], *args: Any) -> Any:
    """`f(*args)`, compiled apart from the code that reads it.

    `there` must be true at run time without the compiler being able to know it.
    """
    replay, shapes = replayed(f, *args)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.cond(there, replay, lambda *_: zeros, *args)


def _combined(y: State, h: Array, slopes: list[State], weights: list[float]) -> State:
    """y + h times the weighted sum of the slopes."""
    used = [(w, k) for w, k in zip(weights, slopes, strict=False) if w != 0.0]
    return tuple(y_s + h * sum(w * k[s] for w, k in used) for s, y_s in enumerate(y))


def _stages(
    field: Driven, there: Array, t: Array, h: Array, y: State, p: Any
) -> tuple[list[State], list[State]]:
    """The points and the slopes of the six stages of a step."""
    points = []
    slopes = []
    for i in range(_STAGES):
        point = y
        if i > 0:
            point = guard(there, lambda y, h, k, i=i: _combined(y, h, k, _A[i - 1]), y, h, slopes)
        points.append(point)
        slopes.append(guard(there, field, t + _C[i] * h, point, p))
    return points, slopes


def step(field: Driven, there: Array, t: Array, h: Array, y: State, p: Any) -> tuple[State, State]:
    """The state after a step of length `h` (0: no step), and the estimated error of each state."""
    slopes: list[State] = []
    for i in range(_STAGES):

        def slope(t: Array, h: Array, y: State, p: Any, slopes: list[State], i: int = i) -> State:
            point = y if i == 0 else _combined(y, h, slopes, _A[i - 1])
            return field(t + _C[i] * h, point, p)

        slopes.append(guard(there, slope, t, h, y, p, slopes))
    new = _combined(y, h, slopes, _B)
    slopes.append(guard(there, field, t + h, new, p))
    zero = tuple(jnp.zeros_like(y_s) for y_s in y)
    return new, _combined(zero, h, slopes, _ERROR)


def reverse_step(
    field: Driven, there: Array, t: Array, h: Array, y: State, p: Any, cotangent: State, *, moving: bool
) -> tuple[State, Any, Array, Array]:
    """The cotangents of y, p, t and h, given the cotangent of the state after the step.

    Those of t and h are zero unless `moving`, which says that stop times depend on parameters.
    """
    points, slopes = _stages(field, there, t=t, h=h, y=y, p=p)
    of_y = cotangent
    of_p = jax.tree.map(jnp.zeros_like, p)
    of_t = of_h = jnp.zeros_like(h)
    of_points: list[State] = [cotangent] * _STAGES

    def pull(t: Array, point: State, p: Any, k_bar: State) -> tuple[Array, State, Any]:
        """The cotangents of one call of the field, given that of its slope."""
        if not moving:
            _, vjp = jax.vjp(lambda point, p: field(t, point, p), point, p)
            return (jnp.zeros_like(t), *vjp(k_bar))
        _, vjp = jax.vjp(field, t, point, p)
        return vjp(k_bar)

    # The stages from last to first: a slope is read by the result and by the points of later stages.
    for i in reversed(range(_STAGES)):
        readers = [
            (row[i], of_points[j]) for j, row in enumerate(_A[: _STAGES - 1], start=1) if j > i and row[i]
        ]

        def slope_bar(h: Array, cotangent: State, readers: list[tuple[float, State]], i: int = i) -> State:
            return tuple(
                h * (_B[i] * c + sum(a * bar[s] for a, bar in readers)) for s, c in enumerate(cotangent)
            )

        weights = [a for a, _ in readers]
        bars = [bar for _, bar in readers]
        t_bar, point_bar, p_bar = guard(
            there,
            lambda t, point, p, h, c, bars, w=weights, f=slope_bar: pull(
                t, point, p, f(h, c, list(zip(w, bars, strict=True)))
            ),
            t + _C[i] * h,
            points[i],
            p,
            h,
            cotangent,
            bars,
        )
        of_points[i] = point_bar
        of_y = tuple(a + b for a, b in zip(of_y, point_bar, strict=True))
        of_p = jax.tree.map(jnp.add, of_p, p_bar)
        if moving:
            of_t = of_t + t_bar
            of_h = of_h + _C[i] * t_bar + _through_length(i, slopes, point_bar)
    if moving:
        of_h = of_h + sum(
            c * sum(b * k[s] for b, k in zip(_B, slopes, strict=False)) for s, c in enumerate(cotangent)
        )
    return of_y, of_p, of_t, of_h


def _through_length(i: int, slopes: list[State], point_bar: State) -> Array:
    """The cotangent of the step length through the point of stage i: its cotangent times the sum of a_ij
    k_j.
    """
    if i == 0:
        return jnp.zeros_like(point_bar[0])
    return sum(
        (
            bar * sum(a * k[s] for a, k in zip(_A[i - 1], slopes, strict=False))
            for s, bar in enumerate(point_bar)
        ),
        start=jnp.zeros_like(point_bar[0]),
    )
