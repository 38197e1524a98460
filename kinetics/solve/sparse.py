"""Which inputs each output of a function depends on, and linear solves that use it.

A model's right-hand side is a scalar program, so the pattern of its Jacobian can be read off its trace; a
factorisation that touches only the non-zero entries is then a few dozen multiplications on whole lanes: for
organs that exchange with blood (a star) it costs O(states), not O(states^3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array

__all__ = [
    "Factors",
    "Pattern",
    "dependencies",
    "factorise",
    "jacobian",
    "plan_elimination",
    "solve_factored",
]

Pattern = frozenset[tuple[int, int]]  # (row, column) of the entries that may be non-zero
Entries = dict[tuple[int, int], Array]
State = tuple[Array, ...]
Slopes = dict[int, Array]  # of one value, by the number of a state


def dependencies(f: Callable[..., Any], *args: Any) -> list[set[int]]:
    """For each output leaf of `f(*args)`, the numbers of the input leaves that it may depend on."""
    jaxpr = jax.make_jaxpr(f)(*args).jaxpr
    return _flow(jaxpr, [{i} for i in range(len(jaxpr.invars))])


def _flow(jaxpr: Any, inputs: Sequence[set[int]]) -> list[set[int]]:
    known: dict[Any, set[int]] = dict(zip(jaxpr.invars, inputs, strict=True))

    def of(atom: Any) -> set[int]:
        return set() if isinstance(atom, core.Literal) else known.get(atom, set())

    for eqn in jaxpr.eqns:
        given = [of(v) for v in eqn.invars]
        inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and len(inner.invars) == len(given) and eqn.primitive.name not in _LOOPS:
            results = _flow(inner, given)
        else:
            results = [set().union(*given)] * len(eqn.outvars)
        known.update(zip(eqn.outvars, results, strict=True))
    return [of(v) for v in jaxpr.outvars]


_LOOPS = {"while", "scan", "cond"}  # an iteration carries dependence round: every output on every input


@dataclass(frozen=True)
class Factors:
    """How to eliminate: the order of pivots, and the pattern with what elimination fills in."""

    order: tuple[int, ...]
    filled: Pattern


def plan_elimination(size: int, pattern: Pattern) -> Factors:
    """Pivots on the diagonal, least fill first (Markowitz 1957, Management Science 3:255)."""
    filled = set(pattern) | {(i, i) for i in range(size)}
    left = set(range(size))
    order = []

    def cost(k: int) -> tuple[int, int]:
        rows = sum((i, k) in filled for i in left if i != k)
        columns = sum((k, j) in filled for j in left if j != k)
        return rows * columns, k

    while left:
        k = min(left, key=cost)
        left.remove(k)
        order.append(k)
        rows = [i for i in left if (i, k) in filled]
        columns = [j for j in left if (k, j) in filled]
        filled |= {(i, j) for i in rows for j in columns}
    return Factors(tuple(order), frozenset(filled))


def factorise(matrix: Mapping[tuple[int, int], Array], factors: Factors) -> Entries:
    """L and U in place (unit lower): multipliers below each pivot, and the inverse of each pivot on the
    diagonal.
    """
    a = dict(matrix)
    done: set[int] = set()
    for k in factors.order:
        done.add(k)
        a[k, k] = 1.0 / a[k, k]
        columns = [j for j in factors.order if j not in done and (k, j) in factors.filled]
        for i in (i for i in factors.order if i not in done and (i, k) in factors.filled):
            m = a[i, k] * a[k, k]
            a[i, k] = m
            for j in columns:
                a[i, j] = a[i, j] - m * a[k, j] if (i, j) in a else -m * a[k, j]
    return a


def solve_factored(
    a: Entries, factors: Factors, b: Sequence[Array], *, transposed: bool = False
) -> list[Array]:
    """x with A x = b, or A^T x = b."""
    x = list(b)
    order = factors.order
    rank = {k: r for r, k in enumerate(order)}
    below = {k: [i for i in order if rank[i] > rank[k] and (i, k) in a] for k in order}
    right = {k: [j for j in order if rank[j] > rank[k] and (k, j) in a] for k in order}
    if transposed:
        for k in order:
            x[k] = x[k] * a[k, k]
            for j in right[k]:
                x[j] = x[j] - a[k, j] * x[k]
        for k in reversed(order):
            for i in below[k]:
                x[k] = x[k] - a[i, k] * x[i]
        return x
    for k in order:
        for i in below[k]:
            x[i] = x[i] - a[i, k] * x[k]
    for k in reversed(order):
        for j in right[k]:
            x[k] = x[k] - a[k, j] * x[j]
        x[k] = x[k] * a[k, k]
    return x


def jacobian(f: Callable[[State], State], y: State, pattern: Pattern) -> Entries:
    """The entries of df/dy in `pattern`: one pass over the trace of `f`, each value with its slopes by the
    states that it depends on, so a state costs only the terms it is in.
    """
    traced = jax.make_jaxpr(f)(y)
    by_state = [{j: jnp.ones_like(y_j)} for j, y_j in enumerate(y)]
    _, slopes = _slopes(traced.jaxpr, traced.consts, y, by_state)
    zero = jnp.zeros_like(y[0])
    return {(i, j): slopes[i].get(j, zero) for i, j in pattern}


def _slopes(jaxpr: Any, consts: Sequence[Any], values: Sequence[Array], slopes: Sequence[Slopes]) -> Any:
    """The values and slopes of a trace's results, from those of its arguments."""
    value: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *values), strict=True))
    slope: dict[Any, Slopes] = dict(zip(jaxpr.invars, slopes, strict=True))

    def known(atoms: Sequence[Any]) -> tuple[list[Any], list[Slopes]]:
        fixed = [isinstance(v, core.Literal) for v in atoms]
        return (
            [v.val if literal else value[v] for v, literal in zip(atoms, fixed, strict=True)],
            [{} if literal else slope.get(v, {}) for v, literal in zip(atoms, fixed, strict=True)],
        )

    for eqn in jaxpr.eqns:
        inner = eqn.params.get("jaxpr") if eqn.primitive.name in _CALLS else None
        if inner is not None:
            out, moved = _slopes(inner.jaxpr, inner.consts, *known(eqn.invars))
        else:
            arguments = list(dict.fromkeys(v for v in eqn.invars if not isinstance(v, core.Literal)))
            out, moved = _chained(_of_one(jaxpr, eqn, arguments), *known(arguments))
        value.update(zip(eqn.outvars, out, strict=True))
        slope.update(zip(eqn.outvars, moved, strict=True))
    return known(jaxpr.outvars)


def _of_one(jaxpr: Any, eqn: Any, arguments: Sequence[Any]) -> Callable[..., Sequence[Array]]:
    """One equation of a trace as a function of its arguments."""
    names = jaxpr.debug_info._replace(arg_names=("",) * len(arguments), result_paths=("",) * len(eqn.outvars))
    return core.jaxpr_as_fun(
        core.ClosedJaxpr(core.Jaxpr([], arguments, eqn.outvars, [eqn], debug_info=names), [])
    )


_CALLS = {"jit", "pjit", "closed_call"}


def _chained(
    f: Callable[..., Sequence[Array]], xs: Sequence[Array], given: Sequence[Slopes]
) -> tuple[Sequence[Array], list[Slopes]]:
    """The results of one operation, and each one's slopes by every state that an argument moves with."""
    out = f(*xs)
    moved: list[Slopes] = [{} for _ in out]
    for j in sorted({j for slopes in given for j in slopes}):
        moving = [k for k, slopes in enumerate(given) if j in slopes]

        def along(*some: Array, moving: Sequence[int] = moving) -> Sequence[Array]:
            return f(*(some[moving.index(k)] if k in moving else x for k, x in enumerate(xs)))

        _, by_j = jax.jvp(along, tuple(xs[k] for k in moving), tuple(given[k][j] for k in moving))
        for slopes, s in zip(moved, by_j, strict=True):
            if s.dtype != jax.dtypes.float0:
                slopes[j] = s
    return out, moved
