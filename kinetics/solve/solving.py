"""All subjects at once: a model's states and outputs at every record, and the exact gradient.

Closed-form models are evaluated directly. Equations are integrated from day 0, all subjects in one loop with
a step length each. Arrays are dense (subject x record), padded by the caller: a repeated time costs nearly
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kinetics.arrays import AnyArray
from kinetics.model import Model
from kinetics.regimen import Doses
from kinetics.solve import explicit, rosenbrock
from kinetics.solve.courses import AtCourses, by_course, courses_of
from kinetics.solve.lanes import Problem, Steps, Visited, visit
from kinetics.solve.reachable import Reach, reach
from kinetics.solve.timeline import Timeline, as_arrays, timeline
from kinetics.solve.traced import traced_once

__all__ = ["Solver", "Trouble", "derived", "solve", "trouble"]


@dataclass(frozen=True)
class Solver:
    """How equations are integrated; closed forms ignore it.

    The error of each step is held below `rtol` of a state plus `atol` times the state's `scale`. `most`
    bounds the steps of one subject, besides one for each record and dose; the memory of a gradient is in
    proportion. `method`: "explicit" (Tsit5), "stiff" (Rodas4), or "auto": what the model says.
    `precision="float32"` halves memory and is for simulation. `infusions=False` promises boluses only.
    """

    rtol: float = 1e-6
    atol: float = 1e-6
    most: int = 2000
    method: Literal["auto", "explicit", "stiff"] = "auto"
    precision: Literal["float64", "float32"] = "float64"
    infusions: bool = True


_OWN = "parameter "  # before the name of a parameter that is integrated as a state, since courses change it


class Trouble(NamedTuple):
    """Where the solver gave up: the day for each subject (inf where it did not), and the steps each took."""

    at: Float[Array, " subject"]
    steps: Int[Array, " subject"]


def solve(
    model: Model,
    times: Float[AnyArray, "subject record"],
    theta: Mapping[str, Float[AnyArray, " subject"]],
    doses: Doses,
    outputs: Sequence[str] | None = None,
    *,
    solver: Solver | None = None,
) -> dict[str, Float[Array, "subject record"]]:
    """The model's outputs, in their units, at `times` [day] for every subject. Pure and differentiable.

    `theta` holds every parameter of the model, one value a subject, and X_cycle1, X_cycle2 ... where
    parameter X has another value in each of `doses.course` (`kinetics.solve.courses`); `doses` as
    `regimen.Doses`. A record at the very time of a dose is taken before it. Where the solver gives up on a
    subject, its later records are NaN and its gradient zero; the other subjects do not notice. Equations have
    reverse-mode gradients only.
    """
    wanted = model.outputs if outputs is None else {k: model.outputs[k] for k in outputs}

    def value(y: Mapping[str, AnyArray], p: Mapping[str, AnyArray]) -> dict[str, Array]:
        return {name: jnp.asarray(output.value(y, p)) for name, output in wanted.items()}

    if model.solution is not None:
        return _closed(model.solution, value, jnp.asarray(times), by_course(model, theta), doses)
    line, visited, names, p = _visit(model, times, theta, doses, list(wanted), solver or Solver())
    found = line.record_stop < visited.reached
    blank = jnp.ones_like(found, line.time.dtype)
    states = dict.fromkeys(model.states, blank) | {
        name: jnp.where(found, jnp.take_along_axis(y, line.record_stop, axis=0), 1.0)
        for name, y in zip(names, visited.states, strict=True)
    }
    at_record = {k: states.pop(_OWN + k) for k in model.parameters if _OWN + k in states}
    result = jax.vmap(value, in_axes=-1, out_axes=0)(states, p | at_record)
    return {k: jnp.where(found.T, v, jnp.nan).astype(float) for k, v in result.items()}


def _closed(
    closed: Callable[..., Mapping[str, Any]],
    value: Callable[..., dict[str, Array]],
    times: Float[Array, "subject record"],
    theta: tuple[dict[str, Array], dict[str, Array]],
    doses: Doses,
) -> dict[str, Float[Array, "subject record"]]:
    plain, own = theta

    def one(t: Array, p: dict[str, Array], own: dict[str, Array], d: Doses) -> dict[str, Array]:
        return value(*courses_of(closed, t, p, own, d)) if own else value(closed(t, p, d), p)

    return jax.vmap(one, (0, 0, -1, 0))(times, plain, own, doses)


def trouble(
    model: Model,
    times: Float[AnyArray, "subject record"],
    theta: Mapping[str, Float[AnyArray, " subject"]],
    doses: Doses,
    outputs: Sequence[str] | None = None,
    *,
    solver: Solver | None = None,
) -> Trouble:
    """Where and after how many steps the solver of `solve` gives up on a subject; never, for a closed
    form.
    """
    if model.solution is not None:
        n = jnp.shape(times)[0]
        return Trouble(jnp.full(n, jnp.inf), jnp.zeros(n, int))
    _, visited, _, _ = _visit(model, times, theta, doses, list(outputs or model.outputs), solver or Solver())
    return Trouble(visited.failed_at, visited.steps)


def _visit(
    model: Model,
    times: AnyArray,
    theta: Mapping[str, AnyArray],
    doses: Doses,
    outputs: Sequence[str],
    solver: Solver,
) -> tuple[Timeline, Visited, tuple[str, ...], dict[str, Array]]:
    """The stops, the states at them, the names of the states integrated, and the parameters as arrays."""
    dtype = jnp.dtype(solver.precision)
    cast = Doses(
        *(x if jnp.issubdtype(jnp.asarray(x).dtype, jnp.integer) else jnp.asarray(x, dtype) for x in doses)
    )
    needs = reach(model, outputs)
    p, own = jax.tree.map(lambda x: jnp.asarray(x, dtype), by_course(model, theta))
    own = {k: v for k, v in own.items() if k in needs.all}
    courses = AtCourses.of(own, cast)
    line = timeline(
        model,
        jnp.asarray(times, dtype),
        p,
        cast,
        infusions=solver.infusions,
        own=courses.at_dose,
        sets={_OWN + k: v for k, v in courses.jump.items()},
    )
    first = p | courses.first
    rest = jax.vmap(lambda p: as_arrays((model.initial or (lambda p: {}))(p), dtype))(first)
    rest |= {_OWN + k: v for k, v in courses.first.items()}
    zero = jnp.zeros(line.time.shape[1], dtype)
    names = (*needs.states, *(_OWN + k for k in own))
    problem = Problem(
        line.time,
        tuple(rest.get(k, zero) for k in names),
        {k: p[k] for k in needs.field},
        tuple(line.jump.get(k) for k in names),
        tuple((line.rate or {}).get(k) for k in names),
    )
    field = _field(model, needs, tuple(own))
    return line, visit(field, problem, _steps(model, field, names, needs, solver, len(line.time))), names, p


def _field(model: Model, needs: Reach, own: tuple[str, ...]) -> explicit.Field:
    """The right-hand side of the states needed, on tuples of lanes; whatever else it may read is 1.

    Parameters in `own` are the last states, and do not move.
    """
    vector_field = model.vector_field
    assert vector_field is not None

    def one(t: Any, y: tuple[Any, ...], p: Mapping[str, Any]) -> tuple[Any, ...]:
        blank = jnp.ones_like(t)
        of_course = dict(zip(own, y[len(needs.states) :], strict=True))
        states = dict.fromkeys(model.states, blank) | dict(zip(needs.states, y, strict=False))
        slope = vector_field(t, states, dict.fromkeys(model.parameters, blank) | dict(p) | of_course)
        moved = tuple(jnp.asarray(slope[k], jnp.result_type(t)) for k in needs.states)
        return (*moved, *(jnp.zeros_like(t) for _ in own))

    return traced_once(jax.vmap(one))


def _steps(
    model: Model, field: explicit.Field, names: tuple[str, ...], needs: Reach, solver: Solver, stops: int
) -> Steps:
    stiff = model.stiff if solver.method == "auto" else solver.method == "stiff"
    limits = (
        solver.rtol,
        tuple(solver.atol * (model.states[k].scale if k in model.states else 1.0) for k in names),
        solver.most + stops,
    )
    if not stiff:
        return Steps(explicit.step, explicit.reverse_step, explicit.ORDER, *limits)
    method = rosenbrock.Rodas4.of(field, len(names), {k: jnp.ones(1) for k in needs.field})
    return Steps(method.step, method.reverse_step, rosenbrock.ORDER, *limits)


def derived(model: Model, theta: Mapping[str, Float[AnyArray, "..."]]) -> dict[str, Float[Array, "..."]]:
    """The model's derived quantities (doubling time, half-lives ...), elementwise over `theta`."""
    return {name: d.value(theta) for name, d in model.derived.items()}
