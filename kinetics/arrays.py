"""Arrays: the type that jax and numpy both give, and the rows of a matrix one by one.

This module loads no jax. Layers that only write doses or read tables annotate with `AnyArray` too, and
`import jax` takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax
    from jaxtyping import Array, Shaped

    AnyArray = jax.Array | np.ndarray
else:
    # `Float[Any, "row"]` still checks shape and dtype where a run holds calls to their annotations.
    AnyArray = Any

__all__ = ["AnyArray", "unstacked"]


def unstacked(x: Shaped[Array, "row *each"]) -> list[Shaped[Array, "*each"]]:
    """The rows of an array.

    Reverse mode joins the slopes of these rows in one step, where it would add up those of slices.
    """
    import jax

    if len(x) == 0:
        return []
    rows = jax.lax.split(x, [1] * len(x))
    return [row.reshape(x.shape[1:]) for row in rows]
