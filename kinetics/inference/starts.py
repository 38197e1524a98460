"""Where chains begin, and in which coordinates they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.errors import FitError
from kinetics.inference.coordinates import coordinates_of
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.laplace.search import End, search
from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.inference.variational import draws_of, fitted_guide
from kinetics.plan import FitData, Sampler

__all__ = ["Begun", "begin"]


class Begun(NamedTuple):
    """The coordinates in which chains run, a start (v, u) for each, and how every search for a maximum ended.

    No search is in `ends` where none was asked for, and where none found a maximum.
    """

    coordinates: Coordinates
    start: Float[Array, "chain size"]
    ends: tuple[End, ...] = ()


def begin(
    posterior: Posterior,
    data: FitData,
    settings: Sampler,
    key: Array,
    *,
    announce: Callable[[str], None] = lambda line: None,
    marginal: Marginal | None = None,
    centre: Float[np.ndarray, " population"] | None = None,
) -> Begun:
    """Return the coordinates, a start (v, u) for each chain, and how the searches ended.

    The coordinates are those of Laplace's method, and the starts are standard normal in them. If the settings
    say "prior", or if the method finds no maximum (which `announce` is told), the coordinates are the plain
    ones, and the starts lie near the prior medians. If the settings say "vi", the population values of the
    coordinates are those of the variational approximation, and the starts are draws of that. The search
    begins at `centre`, by default the prior medians.
    """
    shape = (settings.chains, posterior.size)
    plain = posterior.plain()
    if centre is not None:
        plain = plain._replace(centre=centre)
    if settings.start == "prior":
        return Begun(plain, 0.1 * jax.random.normal(key, shape))
    try:
        marginal = marginal or Marginal(posterior)
        maximum, ends = search(
            marginal,
            data,
            np.asarray(plain.centre),
            key,
            with_prior=True,
            starts=settings.starts,
            announce=announce,
        )
        coordinates = coordinates_of(marginal, maximum, data)
    except (FitError, np.linalg.LinAlgError) as error:
        announce(f"Laplace's method failed ({error}); chains begin at the prior medians")
        return Begun(plain, 0.1 * jax.random.normal(key, shape))
    if settings.start == "vi":
        around = _around_guide(posterior, data, coordinates, key, chains=settings.chains, announce=announce)
        return Begun(*around, ends)
    announce(
        f"Laplace's method: log marginal likelihood {maximum.log_likelihood:.2f}; chains begin around its "
        "maximum"
    )
    start = _possible(posterior, data, coordinates, jax.random.normal(key, shape))
    return Begun(coordinates, start, ends)


def _around_guide(
    posterior: Posterior,
    data: FitData,
    coordinates: Coordinates,
    key: Array,
    *,
    chains: int,
    announce: Callable[[str], None],
) -> tuple[Coordinates, Float[Array, "chain size"]]:
    """Return draws of the variational approximation, and the coordinates in which its v is standard normal.

    The coordinates come first.
    """
    guide = fitted_guide(posterior, data, coordinates)
    z, _ = draws_of(posterior, guide, key, chains)
    n = posterior.population
    scale = np.asarray(coordinates.scale)
    mean = guide.mean[:n]
    factor = guide.population
    z[:, :n] = np.linalg.solve(factor, (z[:, :n] - mean).T).T
    moved = coordinates._replace(centre=np.asarray(coordinates.centre) + scale @ mean, scale=scale @ factor)
    announce(
        f"variational: evidence lower bound {guide.bound:.2f}; chains begin at draws of the approximation"
    )
    return moved, _possible(posterior, data, moved, jnp.asarray(z))


def _possible(
    posterior: Posterior, data: FitData, coordinates: Coordinates, z: Float[Array, "chain size"]
) -> Float[Array, "chain size"]:
    """Return the starts, those of density 0 halved until they have a density (20 times at most)."""
    for _ in range(20):
        impossible = ~np.isfinite(np.asarray(posterior.log_densities(z, data, coordinates)))
        if not impossible.any():
            break
        z = jnp.where(impossible[:, None], 0.5 * z, z)
    return z
