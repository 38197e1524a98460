"""A model's outputs at every record of all subjects, with the exact gradient.

Closed-form models are evaluated directly. Equations are integrated from day 0 in one loop over all subjects,
each with its own step length. Arrays are dense (subject x record) and padded by the caller; a repeated time
costs almost nothing.
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
from kinetics.solve.lanes import InitialValueProblem, Steps, Visited, visit
from kinetics.solve.reachable import Reach, reach
from kinetics.solve.timeline import Timeline, as_arrays, timeline
from kinetics.solve.traced import traced_once

__all__ = ["Solver", "SolverFailures", "derived", "solve", "solver_failures"]


@dataclass(frozen=True)
class Solver:
    """Settings of the integration of equations; closed forms ignore them.

    The error of each step stays below `rtol` times the state plus `atol` times the `scale` of the state.
    `most` is the largest number of steps of one subject, in addition to one step for each record and dose;
    the memory of a gradient is proportional to it. `method` is "explicit" (Tsit5), "stiff" (Rodas4) or
    "auto", which takes the model's own method. `precision="float32"` halves the memory and is for simulation.
    `infusions=False` promises that all doses are boluses.
    """

    rtol: float = 1e-6
    atol: float = 1e-6
    most: int = 2000
    method: Literal["auto", "explicit", "stiff"] = "auto"
    precision: Literal["float64", "float32"] = "float64"
    infusions: bool = True


_OWN = "parameter "  # prefix of a parameter that is integrated as a state because courses change it


class SolverFailures(NamedTuple):
    """The day on which the solver gave up on each subject (inf if it did not), and the number of steps."""

    day: Float[Array, " subject"]
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
    """The outputs of a model, in their units, at `times` [day] of every subject. A pure, differentiable
    function.

    A time of infinity fills up the row of a subject with fewer records; the outputs there are NaN where
    equations are integrated. `theta` holds every parameter of the model, one value for each subject. For a
    parameter X that differs between courses it also holds X_cycle1, X_cycle2 ... (see
    `kinetics.solve.courses`). A record at exactly the time of a dose is taken before the dose. Where the
    solver gives up on a subject, the later records of that subject are NaN and its gradient is zero; other
    subjects are not affected. Equations have reverse-mode gradients only.
    """
    wanted = model.outputs if outputs is None else {k: model.outputs[k] for k in outputs}

    def value(y: Mapping[str, AnyArray], p: Mapping[str, AnyArray]) -> dict[str, Array]:
        return {name: jnp.asarray(output.value(y, p)) for name, output in wanted.items()}

    if model.solution is not None:
        return _closed(model.solution, value, jnp.asarray(times), by_course(model, theta), doses)
    line, visited, names, p = _visit(
        model, times, theta, doses, outputs=list(wanted), solver=solver or Solver()
    )
    # The states at each record; 1 where the solver did not get there or the state was not needed.
    reached = line.record_stop < visited.reached
    ones = jnp.ones_like(reached, line.time.dtype)
    states = dict.fromkeys(model.states, ones)
    for name, y in zip(names, visited.states, strict=True):
        at_records = jnp.take_along_axis(y, line.record_stop, axis=0)
        states[name] = jnp.where(reached, at_records, 1.0)
    course_parameters = {k: states.pop(_OWN + k) for k in model.parameters if _OWN + k in states}
    result = jax.vmap(value, in_axes=-1, out_axes=0)(states, p | course_parameters)
    return {k: jnp.where(reached.T, v, jnp.nan).astype(float) for k, v in result.items()}


def _closed(
    closed: Callable[..., Mapping[str, Any]],
    value: Callable[..., dict[str, Array]],
    times: Float[Array, "subject record"],
    theta: tuple[dict[str, Array], dict[str, Array]],
    doses: Doses,
) -> dict[str, Float[Array, "subject record"]]:
    """The outputs of a closed form; `theta` is what `by_course` returns."""
    plain, by_courses = theta

    def subject(t: Array, p: dict[str, Array], by_courses: dict[str, Array], d: Doses) -> dict[str, Array]:
        if by_courses:
            return value(*courses_of(closed, t, p, by_courses, d))
        return value(closed(t, p, d), p)

    return jax.vmap(subject, (0, 0, -1, 0))(times, plain, by_courses, doses)


def solver_failures(
    model: Model,
    times: Float[AnyArray, "subject record"],
    theta: Mapping[str, Float[AnyArray, " subject"]],
    doses: Doses,
    outputs: Sequence[str] | None = None,
    *,
    solver: Solver | None = None,
) -> SolverFailures:
    """When, and after how many steps, `solve` gives up on each subject; a closed form never does."""
    if model.solution is not None:
        n = jnp.shape(times)[0]
        return SolverFailures(jnp.full(n, jnp.inf), jnp.zeros(n, int))
    _, visited, _, _ = _visit(
        model, times, theta, doses, outputs=list(outputs or model.outputs), solver=solver or Solver()
    )
    return SolverFailures(visited.failed_at, visited.steps)


def _visit(
    model: Model,
    times: AnyArray,
    theta: Mapping[str, AnyArray],
    doses: Doses,
    outputs: Sequence[str],
    solver: Solver,
) -> tuple[Timeline, Visited, tuple[str, ...], dict[str, Array]]:
    """Return the timeline, the states at its stops, the names of the integrated states and the parameters."""
    # Floating-point input in the solver's precision.
    dtype = jnp.dtype(solver.precision)
    cast = Doses(
        *(x if jnp.issubdtype(jnp.asarray(x).dtype, jnp.integer) else jnp.asarray(x, dtype) for x in doses)
    )
    p, by_courses = jax.tree.map(lambda x: jnp.asarray(x, dtype), by_course(model, theta))
    # Only what the outputs depend on is integrated; parameters that courses change are states as well.
    needs = reach(model, outputs)
    by_courses = {k: v for k, v in by_courses.items() if k in needs.all}
    courses = AtCourses.of(by_courses, cast)
    line = timeline(
        model,
        jnp.asarray(times, dtype),
        p,
        cast,
        infusions=solver.infusions,
        by_dose=courses.at_dose,
        sets={_OWN + k: v for k, v in courses.jump.items()},
    )
    # The states at day 0.
    initial = model.initial or (lambda p: {})
    start = jax.vmap(lambda p: as_arrays(initial(p), dtype))(p | courses.first)
    start |= {_OWN + k: v for k, v in courses.first.items()}
    zero = jnp.zeros(line.time.shape[1], dtype)
    names = (*needs.states, *(_OWN + k for k in by_courses))
    problem = InitialValueProblem(
        time=line.time,
        start=tuple(start.get(k, zero) for k in names),
        p={k: p[k] for k in needs.field},
        jump=tuple(line.jump.get(k) for k in names),
        rate=tuple((line.rate or {}).get(k) for k in names),
    )
    field = _field(model, needs, tuple(by_courses))
    steps = _steps(model, field, names, needs, solver, stops=len(line.time))
    return line, visit(field, problem, steps), names, p


def _field(model: Model, needs: Reach, by_courses: tuple[str, ...]) -> explicit.Field:
    """The right-hand side of the states that are needed, on tuples of lanes.

    States and parameters that are not needed are 1. The parameters `by_courses`, which courses change, are
    the last states, with slopes of 0.
    """
    vector_field = model.vector_field
    assert vector_field is not None

    def subject(t: Any, y: tuple[Any, ...], p: Mapping[str, Any]) -> tuple[Any, ...]:
        one = jnp.ones_like(t)
        states = dict.fromkeys(model.states, one) | dict(zip(needs.states, y, strict=False))
        course_parameters = dict(zip(by_courses, y[len(needs.states) :], strict=True))
        parameters = dict.fromkeys(model.parameters, one) | dict(p) | course_parameters
        slope = vector_field(t, states, parameters)
        slopes = tuple(jnp.asarray(slope[k], jnp.result_type(t)) for k in needs.states)
        return (*slopes, *(jnp.zeros_like(t) for _ in by_courses))

    return traced_once(jax.vmap(subject))


def _steps(
    model: Model, field: explicit.Field, names: tuple[str, ...], needs: Reach, solver: Solver, stops: int
) -> Steps:
    """The method of the solver with its tolerances and the largest number of iterations."""
    stiff = model.stiff if solver.method == "auto" else solver.method == "stiff"
    scales = [model.states[k].scale if k in model.states else 1.0 for k in names]
    limits = {
        "rtol": solver.rtol,
        "atol": tuple(solver.atol * scale for scale in scales),
        "most": solver.most + stops,
    }
    if not stiff:
        return Steps(explicit.step, explicit.reverse_step, explicit.ORDER, **limits)
    method = rosenbrock.Rodas4.of(field, len(names), {k: jnp.ones(1) for k in needs.field})
    return Steps(method.step, method.reverse_step, rosenbrock.ORDER, **limits)


def derived(model: Model, theta: Mapping[str, Float[AnyArray, "..."]]) -> dict[str, Float[Array, "..."]]:
    """The derived quantities of a model (doubling time, half-lives ...), elementwise over `theta`."""
    return {name: d.value(theta) for name, d in model.derived.items()}
