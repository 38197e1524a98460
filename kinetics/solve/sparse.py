"""The inputs that each output of a function depends on, and linear solves that use this pattern.

The right-hand side of a model is a scalar program, so that the pattern of its Jacobian can be read from its
trace. A factorisation that touches only the non-zero entries then takes a few dozen multiplications on whole
lanes: for organs that exchange with blood (a star) it costs O(states) rather than O(states^3).
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
Slopes = dict[int, Array]  # the derivatives of one value, by the number of the state


def dependencies(f: Callable[..., Any], *args: Any) -> list[set[int]]:
    """The numbers of the input leaves that each output leaf of `f(*args)` may depend on."""
    jaxpr = jax.make_jaxpr(f)(*args).jaxpr
    return _flow(jaxpr, [{i} for i in range(len(jaxpr.invars))])


_LOOPS = {"while", "scan", "cond"}  # iterations mix their values: every output depends on every input


def _flow(jaxpr: Any, inputs: Sequence[set[int]]) -> list[set[int]]:
    """The inputs that each result of a trace may depend on, given those that its arguments depend on."""
    sources: dict[Any, set[int]] = dict(zip(jaxpr.invars, inputs, strict=True))

    def of(atom: Any) -> set[int]:
        return set() if isinstance(atom, core.Literal) else sources.get(atom, set())

    for eqn in jaxpr.eqns:
        arguments = [of(v) for v in eqn.invars]
        inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and len(inner.invars) == len(arguments) and eqn.primitive.name not in _LOOPS:
            results = _flow(inner, arguments)
        else:
            results = [set().union(*arguments)] * len(eqn.outvars)
        sources.update(zip(eqn.outvars, results, strict=True))
    return [of(v) for v in jaxpr.outvars]


@dataclass(frozen=True)
class Factors:
    """The order of the pivots, and the pattern of the matrix after elimination has filled entries in."""

    order: tuple[int, ...]
    filled: Pattern


def plan_elimination(size: int, pattern: Pattern) -> Factors:
    """Pivots on the diagonal, those with the least fill first (Markowitz 1957, Management Science 3:255)."""
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
    """L (unit lower triangular) and U in one matrix, with the inverse of each pivot on the diagonal."""
    a = dict(matrix)
    done: set[int] = set()
    for k in factors.order:
        done.add(k)
        a[k, k] = 1.0 / a[k, k]
        columns = [j for j in factors.order if j not in done and (k, j) in factors.filled]
        rows = [i for i in factors.order if i not in done and (i, k) in factors.filled]
        for i in rows:
            m = a[i, k] * a[k, k]
            a[i, k] = m
            for j in columns:
                a[i, j] = a[i, j] - m * a[k, j] if (i, j) in a else -m * a[k, j]
    return a


def solve_factored(
    a: Entries, factors: Factors, b: Sequence[Array], *, transposed: bool = False
) -> list[Array]:
    """The solution x of A x = b, or of A^T x = b if `transposed`."""
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
    """The entries of df/dy in `pattern`.

    One pass over the trace of `f` carries, with every value, its derivatives by the states that it depends
    on. A state thus costs only the terms in which it occurs.
    """
    traced = jax.make_jaxpr(f)(y)
    by_state = [{j: jnp.ones_like(y_j)} for j, y_j in enumerate(y)]
    _, slopes = _slopes(traced.jaxpr, traced.consts, y, by_state)
    zero = jnp.zeros_like(y[0])
    return {(i, j): slopes[i].get(j, zero) for i, j in pattern}


def _slopes(jaxpr: Any, consts: Sequence[Any], values: Sequence[Array], slopes: Sequence[Slopes]) -> Any:
    """The values and derivatives of the results of a trace, from those of its arguments."""
    value: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *values), strict=True))
    slope: dict[Any, Slopes] = dict(zip(jaxpr.invars, slopes, strict=True))

    def read(atoms: Sequence[Any]) -> tuple[list[Any], list[Slopes]]:
        values = [atom.val if isinstance(atom, core.Literal) else value[atom] for atom in atoms]
        return values, [{} if isinstance(atom, core.Literal) else slope.get(atom, {}) for atom in atoms]

    for eqn in jaxpr.eqns:
        inner = eqn.params.get("jaxpr") if eqn.primitive.name in _CALLS else None
        if inner is not None:
            results, result_slopes = _slopes(inner.jaxpr, inner.consts, *read(eqn.invars))
        else:
            arguments = list(dict.fromkeys(v for v in eqn.invars if not isinstance(v, core.Literal)))
            results, result_slopes = _chained(_function_of(jaxpr, eqn, arguments), *read(arguments))
        value.update(zip(eqn.outvars, results, strict=True))
        slope.update(zip(eqn.outvars, result_slopes, strict=True))
    return read(jaxpr.outvars)


def _function_of(jaxpr: Any, eqn: Any, arguments: Sequence[Any]) -> Callable[..., Sequence[Array]]:
    """One equation of a trace as a function of its arguments."""
    names = jaxpr.debug_info._replace(arg_names=("",) * len(arguments), result_paths=("",) * len(eqn.outvars))
    return core.jaxpr_as_fun(
        core.ClosedJaxpr(core.Jaxpr([], arguments, eqn.outvars, [eqn], debug_info=names), [])
    )


_CALLS = {"jit", "pjit", "closed_call"}


def _chained(
    f: Callable[..., Sequence[Array]], xs: Sequence[Array], x_slopes: Sequence[Slopes]
) -> tuple[Sequence[Array], list[Slopes]]:
    """The results of one operation, and their derivatives by every state that an argument depends on."""
    results = f(*xs)
    result_slopes: list[Slopes] = [{} for _ in results]
    for j in sorted({j for slopes in x_slopes for j in slopes}):
        moving = [k for k, slopes in enumerate(x_slopes) if j in slopes]

        def along(*some: Array, moving: Sequence[int] = moving) -> Sequence[Array]:
            return f(*(some[moving.index(k)] if k in moving else x for k, x in enumerate(xs)))

        _, by_j = jax.jvp(along, tuple(xs[k] for k in moving), tuple(x_slopes[k][j] for k in moving))
        for slopes, s in zip(result_slopes, by_j, strict=True):
            if s.dtype != jax.dtypes.float0:
                slopes[j] = s
    return results, result_slopes
