"""Parameters that differ between the courses of a subject: X_cycle1, X_cycle2 ... of `Doses.course` 0, 1 ...

A closed form gives every course a curve of its own, and they add up. In equations the parameter is a state
that nothing moves and that each course's first dose sets to its own value, so a course's parameters hold from
its start to the start of the next, for all cells alike.
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

Own = Mapping[str, Float[AnyArray, "course subject"]]
Closed = Callable[..., Mapping[str, Any]]


def by_course(
    model: Model, theta: Mapping[str, Float[AnyArray, " subject"]]
) -> tuple[dict[str, Array], dict[str, Float[Array, "course subject"]]]:
    """The parameters of the model, and those of them that have a value for each course."""
    plain = {k: jnp.asarray(theta[k]) for k in model.parameters}
    own: dict[str, Array] = {}
    for name in plain if len(theta) > len(plain) else ():
        values = []
        while (key := f"{name}_cycle{len(values) + 1}") in theta and key not in plain:
            values.append(jnp.asarray(theta[key]))
        if values:
            own[name] = jnp.stack(values)
    return plain, own


def courses_of(
    closed: Closed, t: Float[Array, " record"], p: Mapping[str, Array], own: Mapping[str, Array], doses: Doses
) -> tuple[dict[str, Array], dict[str, Array]]:
    """One subject's states summed over its courses, and its parameters at each record; `own` is (course,)."""
    number = len(next(iter(own.values())))
    parts = []
    for c in range(number):
        here = doses.course == c
        only = doses._replace(
            amount=jnp.where(here, doses.amount, 0.0), share=jnp.where(here, doses.share, 0.0)
        )
        parts.append(closed(t, {**p, **{k: v[c] for k, v in own.items()}}, only))
    y = jax.tree.map(lambda *each: sum(each[1:], start=each[0]), *map(dict, parts))
    at = _course_of_record(t, _starts(doses, number))
    return y, {**p, **{k: v[at] for k, v in own.items()}}


def _starts(doses: Doses, number: int) -> Float[Array, " course"]:
    """The first dose of each course of one subject; inf for one that it does not have."""
    time = jnp.asarray(doses.time)
    given = jnp.asarray(doses.amount) > 0
    return jnp.stack(
        [
            jnp.min(jnp.where(given & (doses.course == c), time, jnp.inf), initial=jnp.inf)
            for c in range(number)
        ]
    )


def _course_of_record(t: Float[Array, " record"], starts: Float[Array, " course"]) -> Int[Array, " record"]:
    """The course that began last before each record; the first to begin for records before all."""
    begun = jnp.where(starts[:, None] < t, starts[:, None], -jnp.inf)
    return jnp.where(jnp.any(begun > -jnp.inf, axis=0), jnp.argmax(begun, axis=0), jnp.argmin(starts))


class AtCourses(NamedTuple):
    """Parameters that courses change: their value at the start, at every dose, and what each dose adds to
    them.
    """

    first: dict[str, Float[Array, " subject"]]
    at_dose: dict[str, Float[Array, "dose subject"]]
    jump: dict[str, Float[Array, "dose subject"]]

    @classmethod
    def of(cls, own: Own, doses: Doses) -> AtCourses:
        """From each parameter's value in each course; a course's first dose changes it from the one
        before.
        """
        if not own:
            return cls({}, {}, {})
        found = jax.vmap(_of_subject, (0, -1), -1)(
            jax.tree.map(jnp.asarray, doses), {k: jnp.asarray(v) for k, v in own.items()}
        )
        return cls(*found)


def _of_subject(
    d: Doses, own: dict[str, Array]
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    starts = _starts(d, len(next(iter(own.values()))))
    order = jnp.argsort(starts, stable=True)
    rank = jnp.argsort(order)[d.course]  # of each dose's course, in time
    slots = jnp.arange(len(d.course))
    opens = (d.amount > 0) & (d.time == starts[d.course])
    earlier = (d.course[:, None] == d.course) & opens & (slots < slots[:, None])
    changes = opens & ~jnp.any(earlier, axis=1) & (rank > 0)
    before = order[jnp.maximum(rank - 1, 0)]
    return (
        {k: v[order[0]] for k, v in own.items()},
        {k: v[d.course] for k, v in own.items()},
        {k: jnp.where(changes, v[d.course] - v[before], 0.0) for k, v in own.items()},
    )


def superposes(model: Model, doses: Doses) -> bool:
    """Whether the curves of a subject's courses add up to the closed form of all its doses; always, for
    equations.
    """
    if model.solution is None:
        return True
    closed = model.solution
    many = np.argmax(np.max(np.asarray(doses.course), axis=1))
    d = Doses(*(jnp.asarray(x)[many] for x in doses))
    p = {k: jnp.asarray(v, float) for k, v in model.typical().items()}
    t = jnp.linspace(0.0, float(jnp.max(d.time)) + 30.0, 40)
    own = {next(iter(p)): jnp.full(int(jnp.max(d.course)) + 1, next(iter(p.values())))}
    together = closed(t, p, d)
    apart = courses_of(closed, t, p, own, d)[0]
    return all(bool(jnp.allclose(together[k], apart[k], rtol=1e-9, equal_nan=True)) for k in together)
