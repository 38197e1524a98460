"""The methods that are not NUTS. Each returns draws of an approximation and measures of its quality.

laplace: the maximum of the marginal likelihood, with random effects integrated out by Laplace's method (FOCE
    with interaction, as in NONMEM) and without priors. Its draws are of the asymptotic normal distribution of
    the estimates, in unconstrained coordinates, and of the conditional normal distribution of the random
    effects. They are not draws of a posterior.
map: the same with the priors, that is the maximum of the posterior density of the population values with
    random effects integrated out, in unconstrained coordinates (logs, logits, normal scores of HalfNormals).
    The joint density of effects and their SDs has no useful maximum: it grows without bound as an SD and its
    effects go to 0.
vi: the normal approximation with the greatest evidence lower bound (`kinetics.inference.variational`). Its
    draws are resampled by their importance where their Pareto k is below 0.7.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from xarray import Dataset

from kinetics.inference.coordinates import coordinates_at_mode, coordinates_of
from kinetics.inference.laplace.identifiability import Identified, identified, unfinished_search
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.laplace.search import Search, search
from kinetics.inference.laplace.standard_errors import estimated
from kinetics.inference.nuts import Draws, sites_of
from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.inference.program_store import program_store
from kinetics.inference.variational import TAILS, draws_of, fitted_guide, importance, resampled, standard

__all__ = ["K_HAT", "Approximate", "approximate"]

K_HAT = 0.7  # Pareto k up to which importance weights may be used (Vehtari et al. 2024, arXiv 1507.02646)
_BLOCK = 500  # draws whose density is evaluated at once


class Approximate(NamedTuple):
    """Independent draws in one chain, the estimates at the maximum (None for vi), and facts for
    provenance.
    """

    draws: Draws
    estimates: Dataset | None
    facts: dict[str, Any]


def approximate(
    posterior: Posterior,
    centre: Float[np.ndarray, " population"],
    key: Array,
    *,
    announce: Callable[[str], None] = lambda line: None,
) -> Approximate:
    """Run the plan's method; its search for a maximum begins at `centre`.

    FitError is raised where no start leads to a maximum.
    """
    bound = posterior.bound
    plan = bound.plan
    data = bound.data
    marginal = Marginal(posterior, program_store(posterior.bound, ""), announce)
    key_search, key_draws = jax.random.split(key)
    maxima = search(
        marginal,
        data,
        centre,
        key_search,
        with_prior=plan.method != "laplace",
        starts=plan.sampler.starts,
        exact=plan.method != "vi",
        announce=announce,
    )
    if plan.method == "vi":
        coordinates = coordinates_of(marginal, maxima.best, data)
        fit = _variational(posterior, coordinates, key_draws, announce)
        return fit._replace(facts=fit.facts | {"searches": _noted(maxima)})
    return _at_maximum(marginal, maxima, key_draws, announce)


def _noted(maxima: Search) -> list[dict[str, Any]]:
    """Return the ends of the searches as plain values."""
    return [end._asdict() for end in maxima.ends]


def _at_maximum(
    marginal: Marginal, maxima: Search, key: Array, announce: Callable[[str], None]
) -> Approximate:
    """Return draws of the normal approximation at the best maximum (map and laplace), and the estimates."""
    posterior = marginal.posterior
    best = maxima.best
    bound = posterior.bound
    with_prior = bound.plan.method == "map"
    # the covariance; without priors some values may not be determined, and are held
    if not best.converged:
        identification = unfinished_search(posterior, best)
        announce(next(iter(identification.held.values())))
    elif with_prior:
        identification = Identified(best.covariance, {}, _condition(best.covariance))
    else:
        identification = identified(marginal, best, bound.data)
        for name, reason in identification.held.items():
            announce(f"{name}: {reason}")
    # draws, and with priors their importance
    coordinates = coordinates_at_mode(marginal, best, bound.data, identification.covariance)
    z, log_q = draws_of(posterior, standard(posterior), key, _number_of_draws(posterior))
    stats = {"log_q": log_q}
    facts: dict[str, Any] = {
        "searches": _noted(maxima),
        "gain": best.gain,
        "evaluations": best.evaluations,
        "cornered": int(best.modes.cornered.sum()),
    }
    if with_prior and best.converged:
        stats["lp"] = _log_density(posterior, z, coordinates)
        weights = importance(stats["lp"], log_q)
        facts |= {"pareto_k": weights.k, "effective": weights.effective}
    estimates = estimated(posterior, best, identification)
    announce(
        f"{bound.plan.method}: objective (OFV) {estimates.attrs['ofv']:.3f}, log-likelihood "
        f"{best.log_likelihood:.3f}, {best.evaluations} evaluations"
    )
    return Approximate(_draws(posterior, z, coordinates, key, stats), estimates, facts)


def _variational(
    posterior: Posterior, coordinates: Coordinates, key: Array, announce: Callable[[str], None]
) -> Approximate:
    """Return draws of the variational approximation, resampled by their importance where that is reliable."""
    guide = fitted_guide(posterior, posterior.bound.data, coordinates)
    z, log_q = draws_of(posterior, guide, key, _number_of_draws(posterior), tails=TAILS)
    log_p = _log_density(posterior, z, coordinates)
    weights = importance(log_p, log_q)
    reliable = bool(weights.k < K_HAT)
    if reliable:
        rows = resampled(weights, np.random.default_rng(posterior.bound.plan.seed))
        effective = weights.effective
        treatment = "draws resampled by their importance"
    else:
        rows = slice(None)
        effective = float(len(z))
        treatment = "draws as the approximation has them"
    announce(
        f"vi: evidence lower bound {guide.bound:.2f} after {guide.steps} steps, Pareto k {weights.k:.2f}: "
        f"{treatment}"
    )
    facts = {
        "bound": guide.bound,
        "slope": guide.slope,
        "steps": guide.steps,
        "pareto_k": weights.k,
        "resampled": reliable,
        "effective": effective,
    }
    stats = {"lp": log_p[rows], "log_q": log_q[rows]}
    return Approximate(_draws(posterior, z[rows], coordinates, key, stats), None, facts)


def _number_of_draws(posterior: Posterior) -> int:
    sampler = posterior.bound.plan.sampler
    return sampler.chains * sampler.draws


def _log_density(posterior: Posterior, z: np.ndarray, coordinates: Coordinates) -> Float[np.ndarray, " draw"]:
    """Return the log posterior density of each z, computed in blocks of one compiled shape."""
    blocks = -(-len(z) // _BLOCK)
    rows = np.minimum(np.arange(blocks * _BLOCK), len(z) - 1).reshape(-1, _BLOCK)  # the last draw fills up
    parts = [posterior.log_densities(jnp.asarray(z[r]), posterior.bound.data, coordinates) for r in rows]
    return np.concatenate([np.asarray(p) for p in parts])[: len(z)]


def _draws(
    posterior: Posterior, z: np.ndarray, coordinates: Coordinates, key: Array, stats: dict[str, np.ndarray]
) -> Draws:
    """Return the sites of flat points, as one chain."""
    sites_of_draws = jax.jit(jax.vmap(partial(sites_of, posterior), (0, 0, None, None)))
    sites = sites_of_draws(jnp.asarray(z), jax.random.split(key, len(z)), posterior.bound.data, coordinates)
    return Draws(
        {k: np.asarray(v)[None] for k, v in sites.items()}, {k: v[None] for k, v in stats.items()}, []
    )


def _condition(covariance: np.ndarray) -> float:
    """Return the condition number of the correlation matrix."""
    sd = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(covariance / np.outer(sd, sd))
    return float(values[-1] / values[0])
