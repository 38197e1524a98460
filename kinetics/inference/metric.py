"""The metric of NUTS, corrected during warm-up where the draws say that the coordinates are wrong.

Chains run in coordinates in which Laplace's approximation is standard normal, with the identity as metric.
That serves where the approximation is good. Where it is not, a direction that is too narrow shortens every
step, and one that is too wide is crossed slowly. So at the end of a chunk of warm-up the covariance of the
population coordinates is estimated from the draws of all chains together. It is shrunk towards the identity
as far as so few draws ask for it (after Ledoit & Wolf, J Multivar Anal 2004;88:365), and becomes the metric
where its condition number is large. The coordinates of the random effects keep theirs: each subject's are
scaled by its own information.

The metric is a part of the sampler's state, so a checkpoint has it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.infer.hmc_util import HMCAdaptState

__all__ = ["LARGEST", "SETTLING", "corrected", "shrunk_covariance"]

LARGEST = 200  # coordinates: with more the metric stays the identity (its arrays would swell checkpoints)
SETTLING = 50  # iterations of warm-up that the step size needs after a change (Stan's last window)
# guesses
_CONDITION = 2.0  # condition number up to which the identity stays
_INDEPENDENT = 0.5  # effective draws in a draw of warm-up
_SETTLED = 0.25  # share of a chunk that is left out, while its chains settle


def shrunk_covariance(
    draws: Float[np.ndarray, "draw coordinate"],
) -> Float[np.ndarray, "coordinate coordinate"]:
    """Return the covariance of coordinates, shrunk towards the identity.

    The logs of the variances are shrunk towards 0, and the correlation matrix towards the identity, each as
    far as its sampling error is a part of what was seen.
    """
    away = draws - draws.mean(axis=0)
    effective = _INDEPENDENT * len(away)
    log_variance = np.log(np.mean(away**2, axis=0))
    kept = max(0.0, 1.0 - (2.0 / effective) / max(float(np.mean(log_variance**2)), 1e-300))
    sd = np.exp(0.5 * kept * log_variance)
    standard = away / np.exp(0.5 * log_variance)
    correlation = standard.T @ standard / len(away)
    identity = np.eye(len(sd))
    # the mean squared error of the matrix: of x x' about it, over the number of effective draws
    error = (np.mean(np.sum(standard**2, axis=1) ** 2) - np.sum(correlation**2)) / effective
    weight = min(1.0, error / max(float(np.sum((correlation - identity) ** 2)), 1e-300))
    return np.outer(sd, sd) * (weight * identity + (1 - weight) * correlation)


def corrected(
    adaptation: HMCAdaptState, z: Float[Array, "chain draw size"], population: int
) -> HMCAdaptState:
    """Return a warm-up's state with the metric of these draws, and its step size to be found again.

    It is returned as it is where the metric is not dense, and where the coordinates are good enough.
    """
    size = z.shape[-1]
    metric = adaptation.inverse_mass_matrix
    if metric.ndim < 3 or not population:
        return adaptation
    settled = np.asarray(z)[:, int(_SETTLED * z.shape[1]) :, :population].reshape(-1, population)
    covariance = shrunk_covariance(settled)
    if not np.isfinite(covariance).all() or np.linalg.cond(covariance) < _CONDITION:
        return adaptation
    # NumPyro keeps the inverse of the mass matrix, a root of the mass matrix, and the inverse of that root
    inverse = np.eye(size)
    inverse[:population, :population] = covariance
    root_inverse = np.linalg.cholesky(inverse[::-1, ::-1])[::-1, ::-1].T
    root = np.linalg.inv(root_inverse)

    def of_chains(matrix: np.ndarray) -> Array:
        return jax.device_put(np.broadcast_to(matrix, metric.shape), metric.sharding)

    x, average, slope, count, _ = adaptation.ss_state
    centre = jnp.log(10.0 * adaptation.step_size)  # as at the end of NumPyro's own windows
    return adaptation._replace(
        inverse_mass_matrix=of_chains(inverse),
        mass_matrix_sqrt=of_chains(root),
        mass_matrix_sqrt_inv=of_chains(root_inverse),
        ss_state=(0.0 * x, 0.0 * average, 0.0 * slope, 0 * count, centre),
    )
