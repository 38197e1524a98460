"""Each subject's random effects where its density is highest, and what is known of the density there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Effects", "Matrices", "Modes", "Seen"]

Effects = Float[np.ndarray, "vary subject"]
Matrices = Float[np.ndarray, "subject vary vary"]


class Seen(NamedTuple):
    """Each subject's log joint density (-inf: none there), its slope by the random effects, and the information."""

    value: Float[np.ndarray, " subject"]
    by_b: Effects
    information: Matrices


class Modes(NamedTuple):
    """The subjects' random effects at their mode (link scale), the information and the curvature A there."""

    b: Effects
    information: Matrices
    curvature: Matrices
    value: Float[np.ndarray, " subject"]  # log marginal likelihood of each subject
    slope: Effects  # of the log joint density
    cornered: np.ndarray  # subject: whether its mode lies in a corner of its density
