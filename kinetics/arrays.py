"""Arrays: the type that jax and numpy both give, and the rows of a matrix one by one."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Shaped

__all__ = ["AnyArray", "unstacked"]

AnyArray = jax.Array | np.ndarray


def unstacked(x: Shaped[Array, "row *each"]) -> list[Shaped[Array, "*each"]]:
    """The rows of an array. Reverse mode joins their slopes in one step, where it would add up those of
    slices.
    """
    return [row.reshape(x.shape[1:]) for row in jax.lax.split(x, [1] * len(x))] if len(x) else []
