"""Parameters that differ between the courses of a subject: X_cycle1, X_cycle2 ... of `Doses.course` 0, 1 ...

In a closed form every course has a curve of its own, and the curves are added. In equations such a parameter
is a state with slope 0 that the first dose of each course sets to the value of that course. The parameters of
a course thus hold from its start to the start of the next course, for all cells alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kinetics.arrays import AnyArray
from kinetics.model import Model
from kinetics.regimen import Doses

__all__ = ["AtCourses", "by_course", "courses_of", "superposes"]

ByCourse = Mapping[str, Float[AnyArray, "course subject"]]
Closed = Callable[..., Mapping[str, Any]]


def by_course(
    model: Model, theta: Mapping[str, Float[AnyArray, " subject"]]
) -> tuple[dict[str, Array], dict[str, Float[Array, "course subject"]]]:
    """The parameters of the model, and the values for each course of those that have them."""
    plain = {k: jnp.asarray(theta[k]) for k in model.parameters}
    by_courses: dict[str, Array] = {}
    if len(theta) == len(plain):
        return plain, by_courses
    for name in plain:
        values = []
        while (key := f"{name}_cycle{len(values) + 1}") in theta and key not in plain:
            values.append(jnp.asarray(theta[key]))
        if values:
            by_courses[name] = jnp.stack(values)
    return plain, by_courses


def courses_of(
    closed: Closed,
    t: Float[Array, " record"],
    p: Mapping[str, Array],
    by_courses: Mapping[str, Array],
    doses: Doses,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The states of one subject, summed over its courses, and its parameters at each record.

    `by_courses` holds the parameters that differ between courses, each (course,).
    """
    number = len(next(iter(by_courses.values())))
    curves = []
    for c in range(number):
        in_course = doses.course == c
        course_doses = doses._replace(
            amount=jnp.where(in_course, doses.amount, 0.0), share=jnp.where(in_course, doses.share, 0.0)
        )
        course_parameters = {**p, **{k: v[c] for k, v in by_courses.items()}}
        curves.append(closed(t, course_parameters, course_doses))
    y = jax.tree.map(lambda *each: sum(each[1:], start=each[0]), *map(dict, curves))
    course = _course_of_record(t, _starts(doses, number))
    return y, {**p, **{k: v[course] for k, v in by_courses.items()}}


def _starts(doses: Doses, number: int) -> Float[Array, " course"]:
    """The time of the first dose of each course of one subject; inf for a course that it does not have."""
    time = jnp.asarray(doses.time)
    real = jnp.asarray(doses.amount) > 0  # padded doses have no amount
    starts = []
    for c in range(number):
        course_times = jnp.where(real & (doses.course == c), time, jnp.inf)
        starts.append(jnp.min(course_times, initial=jnp.inf))
    return jnp.stack(starts)


def _course_of_record(t: Float[Array, " record"], starts: Float[Array, " course"]) -> Int[Array, " record"]:
    """The course that began last before each record; before the first dose, the course that begins first."""
    begun = jnp.where(starts[:, None] < t, starts[:, None], -jnp.inf)
    return jnp.where(jnp.any(begun > -jnp.inf, axis=0), jnp.argmax(begun, axis=0), jnp.argmin(starts))


class AtCourses(NamedTuple):
    """Parameters that courses change: their value at day 0, at every dose, and the change that each dose
    makes.
    """

    first: dict[str, Float[Array, " subject"]]
    at_dose: dict[str, Float[Array, "dose subject"]]
    jump: dict[str, Float[Array, "dose subject"]]

    @classmethod
    def of(cls, by_courses: ByCourse, doses: Doses) -> AtCourses:
        """Made from the value of each parameter in each course.

        The first dose of a course changes the parameters from their values in the course before.
        """
        if not by_courses:
            return cls({}, {}, {})
        values = {k: jnp.asarray(v) for k, v in by_courses.items()}
        return cls(*jax.vmap(_of_subject, (0, -1), -1)(jax.tree.map(jnp.asarray, doses), values))


def _of_subject(
    d: Doses, by_courses: dict[str, Array]
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """The fields of `AtCourses` for one subject."""
    starts = _starts(d, len(next(iter(by_courses.values()))))
    order = jnp.argsort(starts, stable=True)
    rank = jnp.argsort(order)[d.course]  # of the course of each dose, in time
    # The dose that opens each course but the first: of several at one time, the first.
    slots = jnp.arange(len(d.course))
    opens = (d.amount > 0) & (d.time == starts[d.course])
    earlier = (d.course[:, None] == d.course) & opens & (slots < slots[:, None])
    changes = opens & ~jnp.any(earlier, axis=1) & (rank > 0)
    before = order[jnp.maximum(rank - 1, 0)]
    return (
        {k: v[order[0]] for k, v in by_courses.items()},
        {k: v[d.course] for k, v in by_courses.items()},
        {k: jnp.where(changes, v[d.course] - v[before], 0.0) for k, v in by_courses.items()},
    )


def superposes(model: Model, doses: Doses) -> bool:
    """Whether the curves of a subject's courses add up to the closed form of all its doses; always so for
    equations.
    """
    if model.solution is None:
        return True
    closed = model.solution
    subject = np.argmax(np.max(np.asarray(doses.course), axis=1))  # one with the most courses
    d = Doses(*(jnp.asarray(x)[subject] for x in doses))
    p = {k: jnp.asarray(v, float) for k, v in model.typical().items()}
    t = jnp.linspace(0.0, float(jnp.max(d.time)) + 30.0, 40)
    same_in_all = {next(iter(p)): jnp.full(int(jnp.max(d.course)) + 1, next(iter(p.values())))}
    together = closed(t, p, d)
    apart = courses_of(closed, t, p, same_in_all, d)[0]
    return all(bool(jnp.allclose(together[k], apart[k], rtol=1e-9, equal_nan=True)) for k in together)
