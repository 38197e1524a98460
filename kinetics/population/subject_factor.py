"""Each subject's random effects out of standard normals, through the factor of its own precision.

    b = A^-1 pull + C^-T u,   A = C C'

All subjects at once, the subject last. The loop over columns is one of the program, not unrolled: XLA:CPU
copies what is unrolled into each of its readers, at a cost that doubles with every column.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["conditional", "inverse_factor", "solved"]

Rows = Float[Array, "vary subject"]
Square = Float[Array, "vary vary subject"]


@jax.custom_vjp
def conditional(a: Square, pull: Rows, u: Rows) -> tuple[Rows, Float[Array, " subject"]]:
    """b and log |db/du| of each subject; `a` is symmetric and positive definite, else NaN. Reverse mode
    only.
    """
    return _forward(a, pull, u)[0]


def _forward(a: Square, pull: Rows, u: Rows) -> tuple[tuple[Rows, Array], tuple[Square, Rows, Rows]]:
    root = inverse_factor(a)
    raised = _times(root, pull)
    b = _transposed(root, raised + u)
    return (b, jnp.sum(jnp.log(jnp.einsum("iis->is", root)), axis=0)), (root, raised, u)


def _backward(kept: tuple[Square, Rows, Rows], bars: tuple[Rows, Array]) -> tuple[Square, Rows, Rows]:
    """With x = C^-1 b_bar: A_bar = C^-T K C^-1, K from the solve, the volume and the factor (Murray 2016)."""
    root, raised, u = kept
    b_bar, volume_bar = bars
    x = _times(root, b_bar)
    solve = -0.5 * (x[:, None] * raised[None] + raised[:, None] * x[None])
    through = -u[:, None] * x[None]  # C' C_bar; its lower triangle, with half the diagonal, made symmetric
    d = len(u)
    lower = jnp.tril(jnp.ones((d, d)), -1)[..., None] + 0.5 * jnp.eye(d)[..., None]
    half = lower * through
    k = solve + 0.5 * (half + jnp.swapaxes(half, 0, 1)) - 0.5 * jnp.eye(d)[..., None] * volume_bar
    inner = jnp.sum(k[:, :, None] * root[None], axis=1)
    return jnp.sum(root[:, :, None] * inner[:, None], axis=0), _transposed(root, x), x


conditional.defvjp(_forward, _backward)


def solved(a: Square, x: Rows) -> Rows:
    """A^-1 x of each subject; NaN where A is not positive definite."""
    root = inverse_factor(a)
    return _transposed(root, _times(root, x))


def inverse_factor(a: Square) -> Square:
    """C^-1, lower triangular, by elimination column by column; NaN where A = C C' is not positive definite.

    Not by LAPACK: a program of XLA:CPU (jaxlib 0.10.2) that factors a batch beside its other work stops for
    ever now and then on a machine of two cores, its threads all idle.
    """
    d = len(a)
    below = jnp.arange(d)[:, None]

    def eliminate(k: Array, c: tuple[Square, Square]) -> tuple[Square, Square]:
        left, root = c
        row = partial(jax.lax.dynamic_index_in_dim, index=k, axis=0, keepdims=False)
        scale = jax.lax.rsqrt(row(row(left)))
        column = row(left) * scale  # symmetric: the row is the column
        mine = row(root) * scale
        root = jnp.where(below[..., None] > k, root - column[:, None] * mine[None], root)
        root = jnp.where(below[..., None] == k, mine[None], root)
        return left - column[:, None] * column[None], root

    identity = jnp.broadcast_to(jnp.eye(d)[..., None], a.shape).astype(a.dtype)
    return jax.lax.fori_loop(0, d, eliminate, (a, identity))[1]


def _times(root: Square, x: Rows) -> Rows:
    return jnp.sum(root * x[None], axis=1)


def _transposed(root: Square, x: Rows) -> Rows:
    return jnp.sum(root * x[:, None], axis=0)
