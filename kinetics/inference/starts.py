"""Where chains begin, and in which coordinates they run."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.errors import FitError
from kinetics.inference.coordinates import chart_of
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.laplace.search import search
from kinetics.inference.posterior import Chart, Posterior
from kinetics.inference.variational import draws_of, fitted_guide
from kinetics.plan import FitData, Sampler

__all__ = ["begin"]


def begin(
    posterior: Posterior,
    data: FitData,
    settings: Sampler,
    key: Array,
    *,
    announce: Callable[[str], None] = lambda line: None,
    marginal: Marginal | None = None,
    centre: Float[np.ndarray, " population"] | None = None,
) -> tuple[Chart, Float[Array, "chain size"]]:
    """Return the chart, and a start (v, u) for each chain.

    The chart is that of Laplace's method, and the starts are standard normal in it. If the settings say
    "prior", or if the method finds no maximum (which `announce` is told), the chart is the plain one, and the
    starts lie near the prior medians. If the settings say "vi", the chart's population values are those of
    the variational approximation, and the starts are draws of that. The search begins at `centre`, by default
    the prior medians.
    """
    shape = (settings.chains, posterior.size)
    plain = posterior.plain()
    if centre is not None:
        plain = plain._replace(centre=centre)
    if settings.start == "prior":
        return plain, 0.1 * jax.random.normal(key, shape)
    try:
        marginal = marginal or Marginal(posterior)
        maximum = search(
            marginal,
            data,
            np.asarray(plain.centre),
            key,
            with_prior=True,
            starts=settings.starts,
            announce=announce,
        ).best
        chart = chart_of(marginal, maximum, data)
    except (FitError, np.linalg.LinAlgError) as error:
        announce(f"Laplace's method failed ({error}); chains begin at the prior medians")
        return plain, 0.1 * jax.random.normal(key, shape)
    if settings.start == "vi":
        return _around_guide(posterior, data, chart, key, chains=settings.chains, announce=announce)
    announce(
        f"Laplace's method: log marginal likelihood {maximum.log_likelihood:.2f}; chains begin around its "
        "maximum"
    )
    return chart, _possible(posterior, data, chart, jax.random.normal(key, shape))


def _around_guide(
    posterior: Posterior,
    data: FitData,
    chart: Chart,
    key: Array,
    *,
    chains: int,
    announce: Callable[[str], None],
) -> tuple[Chart, Float[Array, "chain size"]]:
    """Return the chart whose v is standard normal under the variational approximation, and draws of it."""
    guide = fitted_guide(posterior, data, chart)
    z, _ = draws_of(posterior, guide, key, chains)
    n = posterior.population
    scale = np.asarray(chart.scale)
    mean = guide.mean[:n]
    factor = guide.population
    z[:, :n] = np.linalg.solve(factor, (z[:, :n] - mean).T).T
    moved = chart._replace(centre=np.asarray(chart.centre) + scale @ mean, scale=scale @ factor)
    announce(
        f"variational: evidence lower bound {guide.bound:.2f}; chains begin at draws of the approximation"
    )
    return moved, _possible(posterior, data, moved, jnp.asarray(z))


def _possible(
    posterior: Posterior, data: FitData, chart: Chart, z: Float[Array, "chain size"]
) -> Float[Array, "chain size"]:
    """Return the starts, those of density 0 halved until they have a density (20 times at most)."""
    for _ in range(20):
        impossible = ~np.isfinite(np.asarray(posterior.log_densities(z, data, chart)))
        if not impossible.any():
            break
        z = jnp.where(impossible[:, None], 0.5 * z, z)
    return z
