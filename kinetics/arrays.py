"""Arrays of jax or numpy: a type for both, and the split of a matrix into its rows."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Shaped

__all__ = ["AnyArray", "unstacked"]

AnyArray = jax.Array | np.ndarray


def unstacked(x: Shaped[Array, "row *each"]) -> list[Shaped[Array, "*each"]]:
    """The rows of an array, as a list.

    Reverse-mode differentiation joins the gradients of these rows in one step, where for slices `x[i]` it
    would add up one array of the full size for each row.
    """
    if len(x) == 0:
        return []
    return [row.reshape(x.shape[1:]) for row in jax.lax.split(x, [1] * len(x))]
