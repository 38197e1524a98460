"""The best normal approximation of the posterior in given coordinates, and how good it is.

The coordinates are z = (v, u) of `kinetics.inference.posterior`. v is normal with any covariance, and so is
the u of each subject. Subjects are independent given v (their dependence on v is in the coordinates). The
evidence lower bound is maximised over one fixed set of draws, with exact first and second moments. So the
bound is deterministic, and L-BFGS finds its maximum and can tell that it has (Giordano, Ingram & Broderick
2024, arXiv 2304.05527). The Pareto k of the importance weights says whether the approximation may stand for
the posterior (Yao, Vehtari, Simpson & Gelman 2018, arXiv 1802.02538).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base.array import array_stats
from jaxtyping import Array, Float
from scipy import stats
from scipy.optimize import minimize

from kinetics.arrays import AnyArray
from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.plan import FitData

__all__ = ["TAILS", "Guide", "Weights", "draws_of", "fitted_guide", "importance", "resampled", "standard"]

# degrees of freedom of the population values' draws: tails heavier than the normal's keep weights bounded
TAILS = 8.0
_DRAWS = 64  # draws over which the bound is averaged, at least
_STEPS = 300  # steps of L-BFGS, at most
_IMPOSSIBLE = -1e5  # log density that a draw of density 0 has in the bound
Flat = Float[np.ndarray, "draw size"]


class Guide(NamedTuple):
    """A normal distribution of z.

    `population` is the Cholesky factor of the covariance of v, `subjects` are those of each subject's u.
    `bound` is the evidence lower bound, `slope` its largest absolute slope, after `steps` steps of L-BFGS.
    """

    mean: Float[np.ndarray, " size"]
    population: Float[np.ndarray, "population population"]
    subjects: Float[np.ndarray, "subject vary vary"]
    bound: float
    slope: float
    steps: int


class Weights(NamedTuple):
    """Importance weights of draws of an approximation, smoothed and summing to 1, and their Pareto k."""

    weights: Float[np.ndarray, " draw"]
    k: float

    @property
    def effective(self) -> float:
        """The effective number of draws."""
        return float(1.0 / np.sum(self.weights**2))


def standard(posterior: Posterior) -> Guide:
    """Return the standard normal, which the posterior would be in its coordinates if they were exact."""
    return Guide(
        mean=np.zeros(posterior.size),
        population=np.eye(posterior.population),
        subjects=np.tile(np.eye(len(posterior.vary)), (posterior.subjects, 1, 1)),
        bound=np.nan,
        slope=np.nan,
        steps=0,
    )


def fitted_guide(posterior: Posterior, data: FitData, coordinates: Coordinates, *, seed: int = 0) -> Guide:
    """Return the normal distribution that maximises the bound, searched for from the coordinates' standard
    normal.
    """
    v, u = _moments(posterior, np.random.default_rng(seed))
    n = posterior.subjects
    p = posterior.population
    d = len(posterior.vary)
    v_entries = np.tril_indices(p)
    u_entries = np.tril_indices(d)
    sizes = [posterior.size, len(v_entries[0]), n * len(u_entries[0])]
    cuts = np.cumsum(sizes)[:-1]

    # a vector x holds the mean, then the lower triangles of the factors, with logs on their diagonals
    def parts(x: Array) -> tuple[Array, Array, Array]:
        mean, of_v, of_u = jnp.split(x, cuts)
        population = jnp.zeros((p, p)).at[v_entries].set(of_v)
        subjects = jnp.zeros((n, d, d))
        subjects = subjects.at[(slice(None), *u_entries)].set(of_u.reshape(n, -1))
        return mean, _positive(population), _positive(subjects)

    def negative_bound(x: Array, data: FitData, coordinates: Coordinates) -> Array:
        mean, population, subjects = parts(x)

        def point(v: AnyArray, u: AnyArray) -> Array:
            of_v = population @ v
            of_u = jnp.einsum("sij,js->is", subjects, u).ravel()
            return mean + jnp.concatenate([of_v, of_u])

        z = jax.vmap(point)(v, u)
        density = jax.vmap(lambda z: posterior.log_density(z, data, coordinates))(z)
        factors = (population, subjects)
        volume = sum(jnp.sum(jnp.log(jnp.diagonal(m, axis1=-2, axis2=-1))) for m in factors)
        return -jnp.mean(jnp.where(jnp.isfinite(density), density, _IMPOSSIBLE)) - volume

    evaluate = jax.jit(jax.value_and_grad(negative_bound))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = evaluate(jnp.asarray(x), data, coordinates)
        return float(value), np.nan_to_num(np.asarray(slope, float))

    x = np.zeros(sum(sizes))  # the standard normal
    options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS, "ftol": 1e-9, "gtol": 1e-3}
    optimum = minimize(objective, x, jac=True, method="L-BFGS-B", options=options)
    mean, population, subjects = (np.asarray(part) for part in parts(jnp.asarray(optimum.x)))
    constant = 0.5 * posterior.size * (1 + np.log(2 * np.pi))
    return Guide(
        mean=mean,
        population=population,
        subjects=subjects,
        bound=constant - float(optimum.fun),
        slope=float(np.abs(optimum.jac).max()),
        steps=int(optimum.nit),
    )


def draws_of(
    posterior: Posterior, guide: Guide, key: Array, n: int, *, tails: float | None = None
) -> tuple[Flat, Float[np.ndarray, " draw"]]:
    """Return `n` draws of z and their log density under the guide.

    With `tails`, v is Student-t with that many degrees of freedom instead of normal.
    """
    p = posterior.population
    key_normal, key_scale = jax.random.split(key)
    # standard draws e and their density
    e = np.array(jax.random.normal(key_normal, (n, posterior.size)))
    log_q = -0.5 * np.sum(e[:, p:] ** 2, axis=1) - 0.5 * (posterior.size - p) * np.log(2 * np.pi)
    if tails is None:
        log_q += -0.5 * np.sum(e[:, :p] ** 2, axis=1) - 0.5 * p * np.log(2 * np.pi)
    else:
        e[:, :p] *= np.sqrt(tails / np.asarray(jax.random.chisquare(key_scale, tails, (n, 1))))
        log_q += stats.multivariate_t.logpdf(e[:, :p], np.zeros(p), np.eye(p), tails)  # pyright: ignore
    # moved and scaled as the guide says
    v = e[:, :p]
    u = e[:, p:].reshape(n, len(posterior.vary), posterior.subjects)
    moved = np.einsum("sij,kjs->kis", guide.subjects, u).reshape(n, -1)
    z = guide.mean + np.concatenate([v @ guide.population.T, moved], axis=1)
    volume = sum(
        np.sum(np.log(np.diagonal(m, axis1=-2, axis2=-1))) for m in (guide.population, guide.subjects)
    )
    return z, log_q - volume


def importance(log_p: np.ndarray, log_q: np.ndarray) -> Weights:
    """Return the Pareto-smoothed weights with which draws of density q stand for density p.

    Both log densities are up to a constant.
    """
    ratio = np.where(np.isfinite(log_p), log_p - log_q, -np.inf)
    ratio = np.maximum(ratio - ratio.max(), -700.0)
    log_weights, k = array_stats.psislw(-ratio)
    weights = np.exp(np.asarray(log_weights) - np.max(log_weights))
    return Weights(weights / weights.sum(), float(k))


def resampled(weights: Weights, rng: np.random.Generator) -> np.ndarray:
    """Return indices of draws, as many as there are weights, each as often as its weight says.

    Resampling is systematic.
    """
    n = len(weights.weights)
    quantiles = (np.arange(n) + rng.uniform()) / n
    rows = np.searchsorted(np.cumsum(weights.weights), quantiles).clip(max=n - 1)
    return rng.permutation(rows)


def _positive(lower: Array) -> Array:
    """Return a lower triangular factor with the exponentials of its diagonal entries on the diagonal."""
    diagonal = jnp.diagonal(lower, axis1=-2, axis2=-1)
    return jnp.tril(lower, -1) + jnp.exp(diagonal)[..., None] * jnp.eye(lower.shape[-1])


def _moments(posterior: Posterior, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return antithetic draws of v and u whose second moments are exact, for v and for each subject's u."""
    p = posterior.population
    d = len(posterior.vary)
    n = posterior.subjects
    half = max(_DRAWS // 2, 2 * p, 2 * d)
    v = _whitened(rng.standard_normal((1, half, p)))[0]
    u = _whitened(rng.standard_normal((n, half, d))).transpose(1, 2, 0)
    return np.concatenate([v, -v]), np.concatenate([u, -u])


def _whitened(x: Float[np.ndarray, "many draw size"]) -> Float[np.ndarray, "many draw size"]:
    """Return the draws scaled so that their second moments are the identity matrix."""
    if x.shape[-1] == 0:
        return x
    second = np.einsum("mki,mkj->mij", x, x) / x.shape[1]
    root = np.linalg.inv(np.linalg.cholesky(second))
    return np.einsum("mij,mkj->mki", root, x)
