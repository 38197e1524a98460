"""The loop that takes all subjects through their stops, each with its own time and step, and its exact
reverse.

Every lane (a subject) has its own time, step length and next stop, so that no subject influences the error
control of another or fails with it. The forward loop keeps a tape of states and steps. The reverse loop takes
the vector-Jacobian product of every step, which is the derivative of the computed numbers for the given step
lengths. A batch (`vmap` over chains or draws) becomes more lanes: with a batched predicate `guard` would turn
into a select and lose its purpose.
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

__all__ = ["InitialValueProblem", "Steps", "Visited", "visit"]


@dataclass(frozen=True)
class Steps:
    """The method and its tolerances: `step` and `reverse` as in explicit.py, `atol` for each state.

    `most` is the largest number of iterations of the loop.
    """

    step: Callable[..., tuple[State, State]]
    reverse: Callable[..., tuple[State, Any, Array, Array]]
    order: float
    rtol: float
    atol: tuple[float, ...]
    most: int


class InitialValueProblem(NamedTuple):
    """An initial value problem, lanes last: stop times, start states, parameters, jumps and infusion rates.

    A stop time of infinity fills up the row of a lane that has fewer stops than others, and costs nothing.
    `jump` and `rate` have one entry for each state, (stop, lane), or None where nothing enters that state.
    """

    time: Float[Array, "stop lane"]
    start: State
    p: dict[str, Float[Array, " lane"]]
    jump: tuple[Float[Array, "stop lane"] | None, ...]
    rate: tuple[Float[Array, "stop lane"] | None, ...]


class Visited(NamedTuple):
    """The states at every stop, before its jump: a tuple over states of (stop, lane), 0 at stops not reached.

    `reached` is the number of stops that a lane reached, `steps` the number of steps it tried, and
    `failed_at` the time [day] at which it gave up (inf where it did not).
    """

    states: tuple[Float[Array, "stop lane"], ...]
    reached: Int[Array, " lane"]
    steps: Int[Array, " lane"]
    failed_at: Float[Array, " lane"]


class _Tape(NamedTuple):
    """One row per iteration: state and time before the step, its length (0 if rejected), the next stop, and
    whether the step reached it.
    """

    y: tuple[Float[Array, "iteration lane"], ...]
    t: Float[Array, "iteration lane"]
    h: Float[Array, "iteration lane"]
    stop: Int[Array, "iteration lane"]
    reached: Bool[Array, "iteration lane"]


class _Carry(NamedTuple):
    """The state of the forward loop; `h` is the length of the next step, `stop` the number of the next
    stop.
    """

    i: Int[Array, ""]
    t: Float[Array, " lane"]
    h: Float[Array, " lane"]
    stop: Int[Array, " lane"]
    y: State
    failed: Float[Array, " lane"]
    steps: Int[Array, " lane"]
    states: tuple[Float[Array, "stop lane"], ...]
    tape: _Tape | None


def visit(field: Field, problem: InitialValueProblem, steps: Steps) -> Visited:
    """Integrate from day 0 to the last stop of each lane. Differentiable in reverse mode only.

    A lane that cannot go on reports the time. The gradient reaches start states, parameters, jumps, rates
    and, where they depend on parameters (a lag), stop times.
    """

    @jax.custom_vjp
    def run(problem: InitialValueProblem) -> Visited:
        return _lanes_last(lambda q: _forward(field, q, steps, taped=False)[0])(problem)

    def forward(traced: InitialValueProblem) -> tuple[Visited, Any]:
        problem = jax.tree.map(lambda x: x.value, traced, is_leaf=_is_traced)
        flags = jax.tree.map(lambda x: _ONE if x.perturbed else None, traced, is_leaf=_is_traced)
        visited, tape = _lanes_last(lambda q: _forward(field, q, steps, taped=True))(problem)
        return visited, (problem, tape, visited.steps, flags)

    def backward(residuals: Any, cotangent: Visited) -> tuple[InitialValueProblem]:
        problem, tape, rows, flags = residuals
        wanted = jax.tree.map(lambda f: f is not None, flags, is_leaf=lambda f: f is None)
        bars = tuple(jnp.zeros_like(problem.time) if _is_zero(b) else b for b in cotangent.states)
        pull = _lanes_last(lambda *args: _backward(field, *args, steps=steps, wanted=wanted))
        return (pull(problem, tape, rows, bars),)

    run.defvjp(forward, backward, symbolic_zeros=True)
    return run(problem)


_ONE = np.zeros(())  # marks a wanted gradient in a tree that may hold nothing but arrays


def _is_traced(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.CustomVJPPrimal)


def _is_zero(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.SymbolicZero)


def _lanes_last(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` of trees whose last axis is the lane; under `vmap` the batch becomes more lanes of one call."""
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
    """The row of each lane's own stop."""
    return jnp.take_along_axis(rows, stop[None], axis=0)[0]


def _first_length(field: Field, problem: InitialValueProblem, steps: Steps) -> Float[Array, " lane"]:
    """The length of the first step: a hundredth of the time in which the states change by their own size.

    Hairer, Norsett & Wanner 1993, II.4.
    """
    slope = field(jnp.zeros_like(problem.time[0]), problem.start, problem.p)
    size = speed = jnp.zeros_like(problem.time[0])
    for y, k, atol in zip(problem.start, slope, steps.atol, strict=True):
        weight = atol + steps.rtol * jnp.abs(y)
        size = size + (y / weight) ** 2
        speed = speed + (k / weight) ** 2
    guess = 0.01 * jnp.sqrt(size / jnp.maximum(speed, 1e-30))
    return jax.lax.stop_gradient(jnp.clip(jnp.nan_to_num(guess, nan=1e-6), 1e-6, 0.1))


def _forward(
    field: Field, problem: InitialValueProblem, steps: Steps, *, taped: bool
) -> tuple[Visited, _Tape | None]:
    """The forward loop, with its tape if `taped`."""
    lanes = problem.time.shape[1]
    stops = jnp.sum(problem.time < jnp.inf, axis=0)
    dtype = problem.time.dtype
    zero = jnp.zeros(lanes, dtype)
    zero_count = jnp.zeros(lanes, int)
    tape = None
    if taped:
        rows = jnp.zeros((steps.most, lanes), dtype)
        stop_rows = jnp.zeros((steps.most, lanes), int)
        tape = _Tape(
            y=tuple(rows for _ in problem.start), t=rows, h=rows, stop=stop_rows, reached=stop_rows > 0
        )
    begin = _Carry(
        i=jnp.zeros((), int),
        t=zero,
        h=_first_length(field, problem, steps),
        stop=zero_count,
        y=problem.start,
        failed=zero + jnp.inf,
        steps=zero_count,
        states=tuple(jnp.zeros_like(problem.time) for _ in problem.start),
        tape=tape,
    )

    def unfinished(c: _Carry) -> Array:
        return (c.i < steps.most) & jnp.any((c.stop < stops) & jnp.isinf(c.failed))

    end = jax.lax.while_loop(unfinished, partial(_advance, field, problem, steps, stops), begin)
    failed = jnp.where((end.stop < stops) & jnp.isinf(end.failed), end.t, end.failed)
    return Visited(states=end.states, reached=end.stop, steps=end.steps, failed_at=failed), end.tape


def _advance(
    field: Field, problem: InitialValueProblem, steps: Steps, stops_of_lane: Int[Array, " lane"], c: _Carry
) -> _Carry:
    """One iteration: every lane that is not done with its own stops tries a step."""
    stops, lanes = problem.time.shape
    there = c.i >= 0  # always true, but the compiler cannot know

    # The step ends at the next stop if it would reach it.
    active = (c.stop < stops_of_lane) & jnp.isinf(c.failed)
    stop = jnp.minimum(c.stop, stops - 1)
    remaining = _at(problem.time, stop) - c.t
    last = c.h * (1 + 1e-9) >= remaining
    h = jnp.where(active, jnp.where(last, remaining, c.h), 0.0)

    # Try it and compare its error with the tolerance.
    fed = _fed(problem)
    p = (problem.p, tuple(_at(r, stop) for r in problem.rate if r is not None))
    new, error = explicit.guard(there, partial(steps.step, Driven(field, fed), there), c.t, h, c.y, p)
    norm = _norm(c.y, new, error, steps)
    accepted = active & (norm <= 1.0)  # false for a NaN
    reached = accepted & last

    # The length of the next step; a lane whose step has become too small gives up.
    factor = _factor(norm, steps.order)
    proposed = h * jnp.where(accepted, factor, jnp.minimum(factor, 0.5))
    next_h = jnp.where(active, jnp.where(reached, jnp.maximum(proposed, c.h), proposed), c.h)
    smallest = 1e-10 if c.t.dtype == jnp.float64 else 1e-6
    gave_up = active & ~accepted & (next_h < smallest * jnp.maximum(1.0, c.t))

    # At a stop the state is written down, and then the doses of that stop are added.
    y = tuple(jnp.where(accepted, y1, y0) for y0, y1 in zip(c.y, new, strict=True))
    slot = (jnp.where(reached, stop, stops), jnp.arange(lanes))  # stop `stops` is out of bounds: dropped
    after_jump = tuple(
        y_s if jump is None else y_s + jnp.where(reached, _at(jump, stop), 0.0)
        for y_s, jump in zip(y, problem.jump, strict=True)
    )
    tape = c.tape
    if tape is not None:
        row = _Tape(y=c.y, t=c.t, h=jnp.where(accepted, h, 0.0), stop=stop, reached=reached)
        tape = jax.tree.map(lambda rows, r: rows.at[c.i].set(r), tape, row)
    return _Carry(
        i=c.i + 1,
        t=jnp.where(accepted, c.t + h, c.t),
        h=next_h,
        stop=c.stop + reached,
        y=after_jump,
        failed=jnp.where(gave_up, c.t, c.failed),
        steps=c.steps + active,
        states=tuple(s.at[slot].set(y_s, mode="drop") for s, y_s in zip(c.states, y, strict=True)),
        tape=tape,
    )


def _factor(norm: Float[Array, " lane"], order: float) -> Float[Array, " lane"]:
    """The factor by which to change the step length; in single precision, which suffices and is
    vectorised.
    """
    single = jnp.maximum(jnp.nan_to_num(norm, nan=1e8), 1e-8).astype(jnp.float32)
    return jnp.clip(0.9 * jnp.exp(jnp.log(single) * (-1.0 / order)), 0.2, 8.0).astype(norm.dtype)


def _norm(y0: State, y1: State, error: State, steps: Steps) -> Float[Array, " lane"]:
    """Root mean square of the error in units of the tolerance; NaN where a new state is not finite."""
    square = jnp.zeros_like(y0[0])
    for a, b, e, atol in zip(y0, y1, error, steps.atol, strict=True):
        square = square + (e / (atol + steps.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b)))) ** 2 + 0.0 * b
    return jnp.sqrt(square / len(y1))


def _backward(
    field: Field,
    problem: InitialValueProblem,
    tape: _Tape,
    rows: Int[Array, " lane"],
    bars: tuple[Float[Array, "stop lane"], ...],
    *,
    steps: Steps,
    wanted: InitialValueProblem,
) -> InitialValueProblem:
    """Cotangents of the wanted parts of `problem`, from those of the states at its stops; zeros elsewhere.

    `rows` is the number of tape rows that each lane used.
    """
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
        if time is not None:  # a step that ends at a stop has the length that the steps before it left
            of_length = jnp.where(reached, of_h, 0.0)
            lane = jnp.arange(len(stop))
            before = jnp.where(stop > 0, stop - 1, len(problem.time))
            time = time.at[stop, lane].add(of_length).at[before, lane].add(of_t - of_length, mode="drop")
        rate = tuple(r.at[stop, jnp.arange(len(stop))].add(b) for r, b in zip(c.rate, of_rate, strict=True))
        return _Reverse(
            i=c.i - 1, y=y_bar, p=jax.tree.map(jnp.add, c.p, of_p), jump=jump, rate=rate, time=time
        )

    begin = _zero_cotangents(problem, varied, wanted, jnp.max(rows) - 1)
    end = jax.lax.while_loop(lambda c: c.i >= 0, back, begin)
    zero = jnp.zeros_like(problem.time)
    rates = dict(zip(fed, end.rate, strict=True))
    jumps: list[Array | None] = []
    for jump, bar in zip(problem.jump, end.jump, strict=True):
        if jump is None:
            jumps.append(None)
        else:
            jumps.append(zero if bar is None else bar)
    return InitialValueProblem(
        time=zero if end.time is None else end.time,
        start=end.y,
        p={k: end.p.get(k, jnp.zeros_like(v)) for k, v in problem.p.items()},
        jump=tuple(jumps),
        rate=tuple(rates.get(s) for s in range(len(problem.rate))),
    )


class _Reverse(NamedTuple):
    """The state of the reverse loop: cotangents, None where they are not wanted."""

    i: Int[Array, ""]
    y: State
    p: dict[str, Array]
    jump: tuple[Array | None, ...]
    rate: tuple[Array, ...]
    time: Array | None


def _zero_cotangents(
    problem: InitialValueProblem, varied: dict[str, Array], wanted: InitialValueProblem, last: Array
) -> _Reverse:
    """Zero cotangents, before the last row of the tape."""
    zero = jnp.zeros_like(problem.time)
    return _Reverse(
        i=last,
        y=jax.tree.map(jnp.zeros_like, problem.start),
        p=jax.tree.map(jnp.zeros_like, varied),
        jump=tuple(zero if is_wanted else None for is_wanted in wanted.jump),
        rate=tuple(zero for _ in _fed(problem)),
        time=zero if wanted.time else None,
    )


def _fed(problem: InitialValueProblem) -> tuple[int, ...]:
    """The states into which something is infused."""
    return tuple(s for s, r in enumerate(problem.rate) if r is not None)


def _scatter(
    into: tuple[Array | None, ...], stop: Int[Array, " lane"], values: State
) -> tuple[Array | None, ...]:
    """Values written into the row of each lane's stop; a stop out of bounds is dropped."""
    lane = jnp.arange(len(stop))
    return tuple(
        None if rows is None else rows.at[stop, lane].set(v, mode="drop")
        for rows, v in zip(into, values, strict=True)
    )
