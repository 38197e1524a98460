"""Each subject's random effects from standard normals, through the factor of its own precision matrix.

    b = A^-1 pull + C^-T u,   A = C C'

All subjects are computed at once; the subject is the last axis. The loop over columns stays a loop in the
compiled program. Unrolled, XLA:CPU copies each column into every expression that reads it, at a cost that
doubles with every column.
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
    """b and log |db/du| of each subject, differentiable in reverse mode only.

    `a` is symmetric; where it is not positive definite the result is NaN.
    """
    return _forward(a, pull, u)[0]


def _forward(a: Square, pull: Rows, u: Rows) -> tuple[tuple[Rows, Array], tuple[Square, Rows, Rows]]:
    """The result of `conditional`, and what its reverse needs."""
    root = inverse_factor(a)
    raised = _times(root, pull)
    b = _transposed(root, raised + u)
    return (b, jnp.sum(jnp.log(jnp.einsum("iis->is", root)), axis=0)), (root, raised, u)


def _backward(kept: tuple[Square, Rows, Rows], bars: tuple[Rows, Array]) -> tuple[Square, Rows, Rows]:
    """The cotangents of `a`, `pull` and `u`.

    With x = C^-1 b_bar, A_bar = C^-T K C^-1, where K adds up the contributions of the solve, of the volume
    and of the factor (Murray 2016).
    """
    root, raised, u = kept
    b_bar, volume_bar = bars
    x = _times(root, b_bar)
    solve = -0.5 * (x[:, None] * raised[None] + raised[:, None] * x[None])
    # The factor: the lower triangle of C' C_bar with half its diagonal, made symmetric.
    factor = -u[:, None] * x[None]
    d = len(u)
    lower = jnp.tril(jnp.ones((d, d)), -1)[..., None] + 0.5 * jnp.eye(d)[..., None]
    half = lower * factor
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

    LAPACK is not used: on a machine of two cores a program of XLA:CPU (jaxlib 0.10.2) that factors a batch
    beside other work occasionally deadlocks, with all its threads idle.
    """
    d = len(a)
    below = jnp.arange(d)[:, None]

    def eliminate(k: Array, c: tuple[Square, Square]) -> tuple[Square, Square]:
        left, root = c
        row = partial(jax.lax.dynamic_index_in_dim, index=k, axis=0, keepdims=False)
        scale = jax.lax.rsqrt(row(row(left)))
        column = row(left) * scale  # `left` is symmetric, so its row is its column
        pivot_row = row(root) * scale
        root = jnp.where(below[..., None] > k, root - column[:, None] * pivot_row[None], root)
        root = jnp.where(below[..., None] == k, pivot_row[None], root)
        return left - column[:, None] * column[None], root

    identity = jnp.broadcast_to(jnp.eye(d)[..., None], a.shape).astype(a.dtype)
    return jax.lax.fori_loop(0, d, eliminate, (a, identity))[1]


def _times(root: Square, x: Rows) -> Rows:
    """Matrix times vector, for each subject."""
    return jnp.sum(root * x[None], axis=1)


def _transposed(root: Square, x: Rows) -> Rows:
    """Transposed matrix times vector, for each subject."""
    return jnp.sum(root * x[:, None], axis=0)
