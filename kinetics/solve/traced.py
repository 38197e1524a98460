"""A function traced once for each shape of its arguments, and then replayed.

A step calls the right-hand side up to six times and its Jacobian once, forward, taped and in reverse. Running
the model's Python each time, under `vmap` and `jvp`, was half of the time to a first gradient, and no cache
of compiled code saves it: 28 s for 20 states, 6 s when a trace is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

__all__ = ["replayed", "traced_once"]


def traced_once(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, its Python run once for each structure, shape and dtype of its arguments (pytrees of arrays).

    `f` may close over nothing that is itself being traced: what it found the first time is kept.
    """
    known: dict[Any, Callable[..., Any]] = {}

    def run(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        seen = (tree, tuple((x.shape, x.dtype) for x in leaves))
        if seen not in known:
            shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
            known[seen] = replayed(f, *jax.tree.unflatten(tree, shapes))[0]
        return known[seen](*args)

    return run


def replayed(f: Callable[..., Any], *args: Any) -> tuple[Callable[..., Any], Any]:
    """`f` as traced on arguments of these shapes, and the shapes of what it returns."""
    traced, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
    replay = core.jaxpr_as_fun(traced)
    tree = jax.tree.structure(shapes)
    return lambda *args: jax.tree.unflatten(tree, replay(*jax.tree.leaves(args))), shapes
