"""Which level is best: P(DLT) and P(response) of new patients joined by declared weights, draw by draw.

A patient's outcome is one of four, response or none with a DLT or none. Given the exposures, the two are taken as
independent; what they share comes of the exposures. The utility of a level is the mean weight over patients, and the
best level of a draw is the one with most of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from kinetics.errors import InputError, Problem

__all__ = ["OUTCOMES", "p_best", "utilities", "weight_variants"]

OUTCOMES = ("response_without_dlt", "response_with_dlt", "neither", "dlt_without_response")
LevelChances = Float[np.ndarray, "draw patient"]


def utilities(
    p_dlt: Sequence[LevelChances], p_response: Sequence[LevelChances], weights: Mapping[str, float]
) -> Float[np.ndarray, "level draw"]:
    """The mean weight of every level in every draw. InputError for a weight that is missing or not of `OUTCOMES`."""
    if set(weights) != set(OUTCOMES):
        raise InputError(
            Problem(f"weights of {', '.join(sorted(weights)) or 'nothing'}", f"give {', '.join(OUTCOMES)}")
        )
    w = [weights[k] for k in OUTCOMES]
    return np.stack([
        np.mean(r * (1 - t) * w[0] + r * t * w[1] + (1 - r) * (1 - t) * w[2] + (1 - r) * t * w[3], axis=1)
        for t, r in zip(p_dlt, p_response, strict=True)
    ])  # fmt: skip


def p_best(
    utility: Float[np.ndarray, "level draw"], allowed: Sequence[bool] | np.ndarray
) -> Float[np.ndarray, " level"]:
    """The share of draws in which each level, of those `allowed`, has the highest utility; zeros where none is."""
    among = np.asarray(allowed, bool)
    if not among.any():
        return np.zeros(len(utility))
    best = np.argmax(np.where(among[:, None], utility, -np.inf), axis=0)
    return np.bincount(best, minlength=len(utility)) / utility.shape[1]


def weight_variants(weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The declared weights, and others that a reader may hold: what a decision owes to the choice of them."""
    declared = dict(weights)
    return {
        "declared": declared,
        "response alone": dict(zip(OUTCOMES, (100.0, 100.0, 0.0, 0.0), strict=True)),
        "safety alone": dict(zip(OUTCOMES, (100.0, 0.0, 100.0, 0.0), strict=True)),
        "a DLT forfeits a response": declared | {"response_with_dlt": declared["dlt_without_response"]},
        "a DLT costs a response little": declared
        | {"response_with_dlt": (declared["response_with_dlt"] + declared["response_without_dlt"]) / 2},
    }
