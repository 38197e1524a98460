"""All subjects through their stops in one loop, each at its own time and step; and the exact gradient.

Every lane (subject) has its own time, step length and next stop, so no subject sets another's error control
and none fails with another. The forward loop keeps a tape of (state, step); the reverse loop takes the
vector-Jacobian product of every step: the derivative of the numbers computed, with step lengths held.
Batching (`vmap`: chains, draws) folds into more lanes; a batched predicate would turn `guard` into a select
and lose its worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Float, Int

from kinetics.solve import explicit
from kinetics.solve.explicit import Driven, Field, State

__all__ = ["Problem", "Steps", "Visited", "visit"]


@dataclass(frozen=True)
class Steps:
    """How a problem is stepped. `atol` per state; `reverse` and `step` are a method's (see explicit.py)."""

    step: Callable[..., tuple[State, State]]
    reverse: Callable[..., tuple[State, Any, Array, Array]]
    order: float
    rtol: float
    atol: tuple[float, ...]
    most: int


class Problem(NamedTuple):
    """What is integrated, lanes last: stops (stop, lane), start states, p, jumps and rates by state.

    `jump` and `rate` hold, for each state, (stop, lane), or None where nothing enters that state.
    """

    time: Float[Array, "stop lane"]
    start: State
    p: dict[str, Float[Array, " lane"]]
    jump: tuple[Float[Array, "stop lane"] | None, ...]
    rate: tuple[Float[Array, "stop lane"] | None, ...]


class Visited(NamedTuple):
    """`states` at every stop, before its jump: a tuple over states of (stop, lane); 0 at stops not reached.

    `reached` counts the stops that a lane came to, `steps` the steps it tried, and `failed_at` is the time
    [day] where it gave up: inf where it did not.
    """

    states: tuple[Float[Array, "stop lane"], ...]
    reached: Int[Array, " lane"]
    steps: Int[Array, " lane"]
    failed_at: Float[Array, " lane"]


class _Tape(NamedTuple):
    """One row per iteration: the step's start and length (0 if rejected), the next stop, whether it got
    there.
    """

    y: tuple[Float[Array, "iteration lane"], ...]
    t: Float[Array, "iteration lane"]
    h: Float[Array, "iteration lane"]
    stop: Int[Array, "iteration lane"]
    reached: Bool[Array, "iteration lane"]


class _Carry(NamedTuple):
    i: Int[Array, ""]
    t: Float[Array, " lane"]
    h: Float[Array, " lane"]
    stop: Int[Array, " lane"]
    y: State
    failed: Float[Array, " lane"]
    steps: Int[Array, " lane"]
    states: tuple[Float[Array, "stop lane"], ...]
    tape: _Tape | None


def visit(field: Field, problem: Problem, steps: Steps) -> Visited:
    """Integrate from day 0 to each lane's last stop; a lane that cannot go on says when. Reverse mode only.

    The gradient reaches start states, p, jumps, rates and, where they depend on parameters (a lag), stop
    times.
    """

    @jax.custom_vjp
    def run(problem: Problem) -> Visited:
        return _lanes_last(lambda q: _forward(field, q, steps, taped=False)[0])(problem)

    def forward(traced: Problem) -> tuple[Visited, Any]:
        problem = jax.tree.map(lambda x: x.value, traced, is_leaf=_is_traced)
        flags = jax.tree.map(lambda x: _ONE if x.perturbed else None, traced, is_leaf=_is_traced)
        visited, tape = _lanes_last(lambda q: _forward(field, q, steps, taped=True))(problem)
        return visited, (problem, tape, visited.steps, flags)

    def backward(kept: Any, cotangent: Visited) -> tuple[Problem]:
        problem, tape, rows, flags = kept
        wanted = jax.tree.map(lambda f: f is not None, flags, is_leaf=lambda f: f is None)
        bars = tuple(jnp.zeros_like(problem.time) if _is_zero(b) else b for b in cotangent.states)
        pull = _lanes_last(lambda *args: _backward(field, *args, steps=steps, wanted=wanted))
        return (pull(problem, tape, rows, bars),)

    run.defvjp(forward, backward, symbolic_zeros=True)
    return run(problem)


_ONE = np.zeros(())  # says "wanted" in a tree that may hold arrays only


def _is_traced(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.CustomVJPPrimal)


def _is_zero(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.SymbolicZero)


def _lanes_last(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` on lanes-last trees; under `vmap` the batch becomes more lanes of one call."""
    batched = custom_vmap(f)

    @batched.def_vmap
    def _(size: int, in_batched: Any, *args: Any) -> Any:
        def fold(x: Array, has: bool) -> Array:
            many = x if has else jnp.broadcast_to(x, (size, *x.shape))
            return jnp.moveaxis(many, 0, -2).reshape(*many.shape[1:-1], -1)

        def unfold(x: Array) -> Array:
            return jnp.moveaxis(x.reshape(*x.shape[:-1], size, -1), -2, 0)

        out = jax.tree.map(unfold, _lanes_last(f)(*jax.tree.map(fold, args, tuple(in_batched))))
        return out, jax.tree.map(lambda _: True, out)

    return batched


def _at(rows: Float[Array, "stop lane"], stop: Int[Array, " lane"]) -> Float[Array, " lane"]:
    return jnp.take_along_axis(rows, stop[None], axis=0)[0]


def _first_length(field: Field, problem: Problem, steps: Steps) -> Float[Array, " lane"]:
    """A hundredth of the time in which the states would change by themselves (Hairer, Norsett & Wanner
    1993, II.4).
    """
    slope = field(jnp.zeros_like(problem.time[0]), problem.start, problem.p)
    size = speed = jnp.zeros_like(problem.time[0])
    for y, k, atol in zip(problem.start, slope, steps.atol, strict=True):
        weight = atol + steps.rtol * jnp.abs(y)
        size = size + (y / weight) ** 2
        speed = speed + (k / weight) ** 2
    guess = 0.01 * jnp.sqrt(size / jnp.maximum(speed, 1e-30))
    return jax.lax.stop_gradient(jnp.clip(jnp.nan_to_num(guess, nan=1e-6), 1e-6, 0.1))


def _forward(field: Field, problem: Problem, steps: Steps, *, taped: bool) -> tuple[Visited, _Tape | None]:
    stops, lanes = problem.time.shape
    dtype = problem.time.dtype
    zero = jnp.zeros(lanes, dtype)
    none = jnp.zeros(lanes, int)
    tape = None
    if taped:
        row = jnp.zeros((steps.most, lanes), dtype)
        number = jnp.zeros((steps.most, lanes), int)
        tape = _Tape(tuple(row for _ in problem.start), row, row, number, number > 0)
    states = tuple(jnp.zeros_like(problem.time) for _ in problem.start)
    begin = _Carry(
        jnp.zeros((), int),
        zero,
        _first_length(field, problem, steps),
        none,
        problem.start,
        zero + jnp.inf,
        none,
        states,
        tape,
    )

    def unfinished(c: _Carry) -> Array:
        return (c.i < steps.most) & jnp.any((c.stop < stops) & jnp.isinf(c.failed))

    end = jax.lax.while_loop(unfinished, partial(_advance, field, problem, steps), begin)
    failed = jnp.where((end.stop < stops) & jnp.isinf(end.failed), end.t, end.failed)
    return Visited(end.states, end.stop, end.steps, failed), end.tape


def _advance(field: Field, problem: Problem, steps: Steps, c: _Carry) -> _Carry:
    """One step tried in every lane that is not done."""
    stops, lanes = problem.time.shape
    there = c.i >= 0  # always, which the compiler cannot know
    active = (c.stop < stops) & jnp.isinf(c.failed)
    stop = jnp.minimum(c.stop, stops - 1)
    remaining = _at(problem.time, stop) - c.t
    last = c.h * (1 + 1e-9) >= remaining
    h = jnp.where(active, jnp.where(last, remaining, c.h), 0.0)
    fed = _fed(problem)
    p = (problem.p, tuple(_at(r, stop) for r in problem.rate if r is not None))
    new, error = explicit.guard(there, partial(steps.step, Driven(field, fed), there), c.t, h, c.y, p)
    norm = _norm(c.y, new, error, steps)
    accepted = active & (norm <= 1.0)  # a NaN is not
    reached = accepted & last
    factor = _factor(norm, steps.order)
    proposed = h * jnp.where(accepted, factor, jnp.minimum(factor, 0.5))
    next_h = jnp.where(active, jnp.where(reached, jnp.maximum(proposed, c.h), proposed), c.h)
    smallest = 1e-10 if c.t.dtype == jnp.float64 else 1e-6
    gave_up = active & ~accepted & (next_h < smallest * jnp.maximum(1.0, c.t))
    kept = tuple(jnp.where(accepted, y1, y0) for y0, y1 in zip(c.y, new, strict=True))
    place = (jnp.where(reached, stop, stops), jnp.arange(lanes))  # stop `stops` is out of bounds: dropped
    jumped = tuple(
        y if j is None else y + jnp.where(reached, _at(j, stop), 0.0)
        for y, j in zip(kept, problem.jump, strict=True)
    )
    tape = c.tape
    if tape is not None:
        rows = _Tape(c.y, c.t, jnp.where(accepted, h, 0.0), stop, reached)
        tape = jax.tree.map(lambda all_rows, r: all_rows.at[c.i].set(r), tape, rows)
    return _Carry(
        c.i + 1,
        jnp.where(accepted, c.t + h, c.t),
        next_h,
        c.stop + reached,
        jumped,
        jnp.where(gave_up, c.t, c.failed),
        c.steps + active,
        tuple(s.at[place].set(y, mode="drop") for s, y in zip(c.states, kept, strict=True)),
        tape,
    )


def _factor(norm: Float[Array, " lane"], order: float) -> Float[Array, " lane"]:
    """What a step's length should be multiplied by; in single precision, which suffices and is vectorised."""
    single = jnp.maximum(jnp.nan_to_num(norm, nan=1e8), 1e-8).astype(jnp.float32)
    return jnp.clip(0.9 * jnp.exp(jnp.log(single) * (-1.0 / order)), 0.2, 8.0).astype(norm.dtype)


def _norm(y0: State, y1: State, error: State, steps: Steps) -> Float[Array, " lane"]:
    """Root mean square of the error in units of what is tolerated; NaN where a new state is not finite."""
    square = jnp.zeros_like(y0[0])
    for a, b, e, atol in zip(y0, y1, error, steps.atol, strict=True):
        square = square + (e / (atol + steps.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b)))) ** 2 + 0.0 * b
    return jnp.sqrt(square / len(y1))


def _backward(
    field: Field,
    problem: Problem,
    tape: _Tape,
    rows: Int[Array, " lane"],
    bars: tuple[Float[Array, "stop lane"], ...],
    *,
    steps: Steps,
    wanted: Problem,
) -> Problem:
    """Cotangents of what is wanted in `problem`, from those of the states at its stops; zeros elsewhere."""
    fed = _fed(problem)
    moving = bool(wanted.time)
    varied = {k: v for k, v in problem.p.items() if wanted.p[k]}

    narrow = Driven(field, fed, problem.p)

    def back(c: _Reverse) -> _Reverse:
        y, t, h, stop, reached = jax.tree.map(lambda all_rows: all_rows[c.i], tape)
        jump = _scatter(c.jump, jnp.where(reached, stop, len(problem.time)), c.y)
        y_bar = tuple(b + jnp.where(reached, _at(g, stop), 0.0) for b, g in zip(c.y, bars, strict=True))
        p = (varied, tuple(_at(r, stop) for r in problem.rate if r is not None))
        y_bar, (of_p, of_rate), of_t, of_h = explicit.guard(
            c.i >= 0, partial(steps.reverse, narrow, c.i >= 0, moving=moving), t, h, y, p, y_bar
        )
        time = c.time
        if time is not None:  # a step that ends at a stop is as long as what the steps before left of it
            of_length = jnp.where(reached, of_h, 0.0)
            lane = jnp.arange(len(stop))
            before = jnp.where(stop > 0, stop - 1, len(problem.time))
            time = time.at[stop, lane].add(of_length).at[before, lane].add(of_t - of_length, mode="drop")
        rate = tuple(r.at[stop, jnp.arange(len(stop))].add(b) for r, b in zip(c.rate, of_rate, strict=True))
        return _Reverse(c.i - 1, y_bar, jax.tree.map(jnp.add, c.p, of_p), jump, rate, time)

    begin = _nothing(problem, varied, wanted, jnp.max(rows) - 1)
    end = jax.lax.while_loop(lambda c: c.i >= 0, back, begin)
    zero = jnp.zeros_like(problem.time)
    rates = dict(zip(fed, end.rate, strict=True))
    return Problem(
        zero if end.time is None else end.time,
        end.y,
        {k: end.p.get(k, jnp.zeros_like(v)) for k, v in problem.p.items()},
        tuple(
            None if j is None else zero if b is None else b
            for j, b in zip(problem.jump, end.jump, strict=True)
        ),
        tuple(rates.get(s) for s in range(len(problem.rate))),
    )


class _Reverse(NamedTuple):
    """Cotangents on the way back; None where they are not wanted."""

    i: Int[Array, ""]
    y: State
    p: dict[str, Array]
    jump: tuple[Array | None, ...]
    rate: tuple[Array, ...]
    time: Array | None


def _nothing(problem: Problem, varied: dict[str, Array], wanted: Problem, last: Array) -> _Reverse:
    """No cotangent yet, at the last row of the tape."""
    zero = jnp.zeros_like(problem.time)
    return _Reverse(
        last,
        jax.tree.map(jnp.zeros_like, problem.start),
        jax.tree.map(jnp.zeros_like, varied),
        tuple(zero if w else None for w in wanted.jump),
        tuple(zero for _ in _fed(problem)),
        zero if wanted.time else None,
    )


def _fed(problem: Problem) -> tuple[int, ...]:
    """The states that something is infused into."""
    return tuple(s for s, r in enumerate(problem.rate) if r is not None)


def _scatter(
    into: tuple[Array | None, ...], stop: Int[Array, " lane"], values: State
) -> tuple[Array | None, ...]:
    lane = jnp.arange(len(stop))
    return tuple(
        None if rows is None else rows.at[stop, lane].set(v, mode="drop")
        for rows, v in zip(into, values, strict=True)
    )
