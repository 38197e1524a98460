"""The methods that are not NUTS, each giving draws of an approximation and what is known of its quality.

laplace: the maximum of the marginal likelihood, random effects integrated by Laplace's method (FOCE with interaction,
    as NONMEM), no prior. Its draws are of the asymptotic normal of the estimates, in unconstrained coordinates, and of
    the conditional normal of the random effects: not of a posterior.
map: the same with the priors: the maximum of the posterior density of the population values, random effects
    integrated, in unconstrained coordinates (logs, logits, normal scores of HalfNormals). The joint density of effects
    and their SDs has no maximum of use: it grows without bound as an SD and its effects go to 0.
vi: the normal approximation of greatest evidence lower bound (`kinetics.inference.variational`), its draws resampled by their
    importance where their Pareto k is below 0.7.
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

from kinetics.inference.coordinates import chart_at_mode, chart_of
from kinetics.inference.laplace.identifiability import Identified, identified
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.laplace.search import Search, search
from kinetics.inference.laplace.standard_errors import estimated
from kinetics.inference.nuts import Draws, sites_of
from kinetics.inference.posterior import Chart, Posterior
from kinetics.inference.variational import TAILS, draws_of, fitted_guide, importance, resampled, standard

__all__ = ["K_HAT", "Approximate", "approximate"]

K_HAT = 0.7  # Pareto k up to which importance weights may be used (Vehtari et al. 2024, arXiv 1507.02646)
_BLOCK = 500  # draws whose density is evaluated at once


class Approximate(NamedTuple):
    """Independent draws in one chain, the estimates at the maximum (None for vi), and facts for the
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
    """Run the plan's method, its search for a maximum beginning at `centre`.

    FitError where no start leads to a maximum.
    """
    bound = posterior.bound
    plan = bound.plan
    data = bound.data
    marginal = Marginal(posterior)
    key_search, key_draws = jax.random.split(key)
    found = search(
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
        return _variational(posterior, chart_of(marginal, found.best, data), key_draws, announce)
    return _at_maximum(marginal, found, key_draws, announce)


def _at_maximum(
    marginal: Marginal, found: Search, key: Array, announce: Callable[[str], None]
) -> Approximate:
    posterior = marginal.posterior
    best = found.best
    bound = posterior.bound
    prior = bound.plan.method == "map"
    seen = (
        Identified(best.covariance, {}, _condition(best.covariance))
        if prior
        else identified(marginal, best, bound.data)
    )
    for name, why in seen.held.items():
        announce(f"{name}: {why}")
    chart = chart_at_mode(marginal, best, bound.data, seen.covariance)
    z, log_q = draws_of(posterior, standard(posterior), key, _many(posterior))
    stats = {"log_q": log_q}
    facts: dict[str, Any] = {"searches": [e._asdict() for e in found.ends], "gain": best.gain}
    facts |= {"evaluations": best.evaluations, "cornered": int(best.modes.cornered.sum())}
    if prior:
        stats["lp"] = _log_density(posterior, z, chart)
        weights = importance(stats["lp"], log_q)
        facts |= {"pareto_k": weights.k, "effective": weights.effective}
    estimates = estimated(posterior, best, seen)
    announce(
        f"{bound.plan.method}: objective (OFV) {estimates.attrs['ofv']:.3f}, log-likelihood "
        f"{best.log_likelihood:.3f}, {best.evaluations} evaluations"
    )
    return Approximate(_draws(posterior, z, chart, key, stats), estimates, facts)


def _variational(
    posterior: Posterior, chart: Chart, key: Array, announce: Callable[[str], None]
) -> Approximate:
    guide = fitted_guide(posterior, posterior.bound.data, chart)
    z, log_q = draws_of(posterior, guide, key, _many(posterior), tails=TAILS)
    log_p = _log_density(posterior, z, chart)
    weights = importance(log_p, log_q)
    use = bool(weights.k < K_HAT)
    announce(
        f"vi: evidence lower bound {guide.bound:.2f} after {guide.steps} steps, Pareto k {weights.k:.2f}: "
        + ("draws resampled by their importance" if use else "draws as the approximation has them")
    )
    chosen = resampled(weights, np.random.default_rng(posterior.bound.plan.seed)) if use else slice(None)
    facts = {
        "bound": guide.bound,
        "slope": guide.slope,
        "steps": guide.steps,
        "pareto_k": weights.k,
        "resampled": use,
        "effective": weights.effective if use else float(len(z)),
    }
    stats = {"lp": log_p[chosen], "log_q": log_q[chosen]}
    return Approximate(_draws(posterior, z[chosen], chart, key, stats), None, facts)


def _many(posterior: Posterior) -> int:
    return posterior.bound.plan.sampler.chains * posterior.bound.plan.sampler.draws


def _log_density(posterior: Posterior, z: np.ndarray, chart: Chart) -> Float[np.ndarray, " draw"]:
    """The log posterior density of each z, in blocks of one compiled shape."""
    rows = np.minimum(np.arange(-(-len(z) // _BLOCK) * _BLOCK), len(z) - 1).reshape(-1, _BLOCK)
    parts = [posterior.log_densities(jnp.asarray(z[r]), posterior.bound.data, chart) for r in rows]
    return np.concatenate([np.asarray(p) for p in parts])[: len(z)]


def _draws(
    posterior: Posterior, z: np.ndarray, chart: Chart, key: Array, stats: dict[str, np.ndarray]
) -> Draws:
    """The sites of flat points, as one chain."""
    sites = jax.jit(jax.vmap(partial(sites_of, posterior), (0, 0, None, None)))
    found = sites(jnp.asarray(z), jax.random.split(key, len(z)), posterior.bound.data, chart)
    return Draws(
        {k: np.asarray(v)[None] for k, v in found.items()}, {k: v[None] for k, v in stats.items()}, []
    )


def _condition(covariance: np.ndarray) -> float:
    sd = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(covariance / np.outer(sd, sd))
    return float(values[-1] / values[0])
