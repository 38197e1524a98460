"""The shared array type: what jax and numpy both give, before it is known which."""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["AnyArray"]

AnyArray = jax.Array | np.ndarray
