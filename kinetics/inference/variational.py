"""The best normal approximation of the posterior in the coordinates of a chart, and how good it is.

z = (v, u) of `kinetics.inference.posterior`: v normal with any covariance, the u of each subject normal with
any covariance, subjects independent given v (their dependence on v is in the chart). The evidence lower bound
is maximised over one set of draws, fixed and with exact first and second moments: deterministic, so that
L-BFGS finds its maximum and can tell that it has (Giordano, Ingram & Broderick 2024, arXiv 2304.05527). The
Pareto k of the importance weights says whether the approximation may stand for the posterior (Yao, Vehtari,
Simpson & Gelman 2018, arXiv 1802.02538).
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

from kinetics.inference.posterior import Chart, Posterior
from kinetics.plan import FitData

__all__ = ["TAILS", "Guide", "Weights", "draws_of", "fitted_guide", "importance", "resampled", "standard"]

TAILS = (
    8.0  # degrees of freedom of the population values' draws: tails above the normal's keep weights bounded
)
_DRAWS = 64  # of the bound
_STEPS = 300  # of L-BFGS, at most
_IMPOSSIBLE = -1e5  # what a draw of no density counts in the bound
Flat = Float[np.ndarray, "draw size"]


class Guide(NamedTuple):
    """Normal in z: mean, factor of the covariance of v, factors of those of each subject's u; the bound,
    its slope.
    """

    mean: Float[np.ndarray, " size"]
    population: Float[np.ndarray, "population population"]
    subjects: Float[np.ndarray, "subject vary vary"]
    bound: float
    slope: float
    steps: int


class Weights(NamedTuple):
    """Importance of draws of an approximation: smoothed, summing to 1, and the Pareto k."""

    weights: Float[np.ndarray, " draw"]
    k: float

    @property
    def effective(self) -> float:
        return float(1.0 / np.sum(self.weights**2))


def standard(posterior: Posterior) -> Guide:
    """The standard normal: what a chart takes the posterior for."""
    p = posterior.population
    n = posterior.subjects
    d = len(posterior.vary)
    return Guide(np.zeros(posterior.size), np.eye(p), np.tile(np.eye(d), (n, 1, 1)), np.nan, np.nan, 0)


def fitted_guide(posterior: Posterior, data: FitData, chart: Chart, *, seed: int = 0) -> Guide:
    """Maximise the bound from the standard normal of the chart."""
    begin = standard(posterior)
    v, u = _moments(posterior, np.random.default_rng(seed))
    p = posterior.population
    d = len(posterior.vary)
    low = np.tril_indices(p)
    own = np.tril_indices(d)
    shapes = [posterior.size, len(low[0]), posterior.subjects * len(own[0])]
    cuts = np.cumsum(shapes)[:-1]

    def factors(x: Array) -> tuple[Array, Array, Array]:
        mean, a, b = jnp.split(x, cuts)
        big = jnp.zeros((p, p)).at[low].set(a)
        small = jnp.zeros((posterior.subjects, d, d))
        small = small.at[(slice(None), *own)].set(b.reshape(posterior.subjects, -1))
        return mean, _positive(big), _positive(small)

    def bound(x: Array, data: FitData, chart: Chart) -> Array:
        mean, big, small = factors(x)
        z = jax.vmap(lambda e, f: _moved(posterior, mean, big, small, e, f))(v, u)
        density = jax.vmap(lambda z: posterior.log_density(z, data, chart))(z)
        volume = sum(jnp.sum(jnp.log(jnp.diagonal(m, axis1=-2, axis2=-1))) for m in (big, small))
        return -jnp.mean(jnp.where(jnp.isfinite(density), density, _IMPOSSIBLE)) - volume

    evaluate = jax.jit(jax.value_and_grad(bound))

    def fall(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = evaluate(jnp.asarray(x), data, chart)
        return float(value), np.nan_to_num(np.asarray(slope, float))

    x = np.concatenate([begin.mean, np.zeros(shapes[1] + shapes[2])])  # logs of the diagonals, 0 beside them
    options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS, "ftol": 1e-9, "gtol": 1e-3}
    found = minimize(fall, x, jac=True, method="L-BFGS-B", options=options)
    mean, big, small = (np.asarray(part) for part in factors(jnp.asarray(found.x)))
    constant = 0.5 * posterior.size * (1 + np.log(2 * np.pi))
    slope = float(np.abs(found.jac).max())
    return Guide(mean, big, small, constant - float(found.fun), slope, int(found.nit))


def draws_of(
    posterior: Posterior, guide: Guide, key: Array, n: int, *, tails: float | None = None
) -> tuple[Flat, Float[np.ndarray, " draw"]]:
    """`n` draws of z and their log density under the guide, v Student-t with `tails` degrees of freedom if
    given.
    """
    p = posterior.population
    key_normal, key_scale = jax.random.split(key)
    e = np.array(jax.random.normal(key_normal, (n, posterior.size)))
    log_q = -0.5 * np.sum(e[:, p:] ** 2, axis=1) - 0.5 * (posterior.size - p) * np.log(2 * np.pi)
    if tails is None:
        log_q += -0.5 * np.sum(e[:, :p] ** 2, axis=1) - 0.5 * p * np.log(2 * np.pi)
    else:
        e[:, :p] *= np.sqrt(tails / np.asarray(jax.random.chisquare(key_scale, tails, (n, 1))))
        log_q += stats.multivariate_t.logpdf(e[:, :p], np.zeros(p), np.eye(p), tails)  # pyright: ignore
    v = e[:, :p]
    u = e[:, p:].reshape(n, len(posterior.vary), posterior.subjects)
    moved = np.einsum("sij,kjs->kis", guide.subjects, u).reshape(n, -1)
    z = guide.mean + np.concatenate([v @ guide.population.T, moved], axis=1)
    volume = sum(
        np.sum(np.log(np.diagonal(m, axis1=-2, axis2=-1))) for m in (guide.population, guide.subjects)
    )
    return z, log_q - volume


def importance(log_p: np.ndarray, log_q: np.ndarray) -> Weights:
    """Pareto-smoothed weights of draws of density q for what has density p, both up to a constant."""
    ratio = np.where(np.isfinite(log_p), log_p - log_q, -np.inf)
    ratio = np.maximum(ratio - ratio.max(), -700.0)
    log_weights, k = array_stats.psislw(-ratio)
    weights = np.exp(np.asarray(log_weights) - np.max(log_weights))
    return Weights(weights / weights.sum(), float(k))


def resampled(weights: Weights, rng: np.random.Generator) -> np.ndarray:
    """Numbers of draws, as many as there are weights, each as often as its weight says (systematic)."""
    n = len(weights.weights)
    places = (np.arange(n) + rng.uniform()) / n
    chosen = np.searchsorted(np.cumsum(weights.weights), places).clip(max=n - 1)
    return rng.permutation(chosen)


def _positive(lower: Array) -> Array:
    """A factor with the exponentials of what is on the diagonal."""
    diagonal = jnp.diagonal(lower, axis1=-2, axis2=-1)
    return jnp.tril(lower, -1) + jnp.exp(diagonal)[..., None] * jnp.eye(lower.shape[-1])


def _moved(
    posterior: Posterior, mean: Array, big: Array, small: Array, v: Array, u: Float[Array, "vary subject"]
) -> Float[Array, " size"]:
    return mean + jnp.concatenate([big @ v, jnp.einsum("sij,js->is", small, u).ravel()])


def _moments(posterior: Posterior, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Antithetic draws of v and u whose second moments are exact, for v and for each subject's u."""
    p = posterior.population
    d = len(posterior.vary)
    n = posterior.subjects
    half = max(_DRAWS // 2, 2 * p, 2 * d)
    v = _whitened(rng.standard_normal((1, half, p)))[0]
    u = _whitened(rng.standard_normal((n, half, d))).transpose(1, 2, 0)
    return np.concatenate([v, -v]), np.concatenate([u, -u])


def _whitened(x: Float[np.ndarray, "many draw size"]) -> Float[np.ndarray, "many draw size"]:
    if x.shape[-1] == 0:
        return x
    second = np.einsum("mki,mkj->mij", x, x) / x.shape[1]
    root = np.linalg.inv(np.linalg.cholesky(second))
    return np.einsum("mij,mkj->mki", root, x)
