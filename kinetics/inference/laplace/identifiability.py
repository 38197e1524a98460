"""Which population values the records determine when no prior helps, and the covariance of those.

A between-subject SD that may as well be 0, a correlation at 1, and a value that the likelihood hardly feels
are named and held where the maximum has them; the covariance is that of the others, given these.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kinetics.inference.laplace.marginal import Laplace, Marginal
from kinetics.inference.posterior import Posterior
from kinetics.model import Correlation, HalfNormal
from kinetics.plan import FitData

__all__ = ["Identified", "coordinates", "identified"]

_SMALL = 0.05  # an SD on the link scale
_LOSS = 0.1  # the log-likelihood that 0 in its place may cost
_WIDE = 3.0  # standard errors: on a log or logit scale
_WIDER = 10.0  # on others, in prior SDs or values
_SINGULAR = 1e-8  # least eigenvalue of the information, its diagonal scaled to 1
_REMEDY = 'fix it, simplify the model, or let a prior speak: method = "map" or "nuts"'


class Identified(NamedTuple):
    """Covariance of g (0 for what is held), why and what to do for each coordinate held, and the condition
    number of the correlation matrix of the others' estimates.
    """

    covariance: Float[np.ndarray, "population population"]
    held: dict[str, str]
    condition: float


def coordinates(posterior: Posterior) -> list[str]:
    """A name for every coordinate of g: the site's, or the block's of a correlation matrix."""
    names = list(posterior.names)
    for block in posterior.blocks:
        size = len(block) * (len(block) - 1) // 2
        pair = f"corr_{block[0]}_{block[1]}"
        names += [pair] if size == 1 else [f"corr {'-'.join(block)} ({i + 1})" for i in range(size)]
    return names


def identified(marginal: Marginal, found: Laplace, data: FitData) -> Identified:
    """Hold, one after the other, what the information at the maximum cannot tell; see the module."""
    p = marginal.posterior
    names = coordinates(marginal.posterior)
    held = {**_zeros(marginal, found, data), **_bounds(p, found)}
    limit = _limits(p, found)
    unit = p.units()
    keep = [i for i, name in enumerate(names) if name not in held]
    while keep:
        worst = _worst(found.information[np.ix_(keep, keep)], unit[keep], limit[keep])
        if worst is None:
            break
        at, others, error = worst
        also = [names[keep[j]] for j in others]
        held[names[keep[at]]] = _unseen(error, also)
        del keep[at]
    covariance = np.zeros((len(names), len(names)))
    condition = float("nan")
    if keep:
        own = np.linalg.inv(found.information[np.ix_(keep, keep)])
        covariance[np.ix_(keep, keep)] = own * np.outer(unit[keep], unit[keep])
        sd = np.sqrt(np.diag(own))
        values = np.linalg.eigvalsh(own / np.outer(sd, sd))
        condition = float(values[-1] / values[0])
    return Identified(covariance, held, condition)


def _worst(
    information: np.ndarray, unit: np.ndarray, limit: np.ndarray
) -> tuple[int, list[int], float] | None:
    """The coordinate least seen, those that go with it, and its standard error; None if all are seen."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    along = np.abs(vectors[:, 0] / scale) * unit / limit  # the flattest direction, in standard errors allowed
    others = [int(j) for j in np.argsort(-along) if along[j] > 0.3 * along.max()]
    if values[0] < _SINGULAR:
        return others[0], others[1:], float("inf")
    error = unit * np.sqrt(np.diag(np.linalg.inv(information)))
    at = int(np.argmax(error / limit))
    if error[at] <= limit[at]:
        return None
    return at, [j for j in others if j != at], float(error[at])


def _unseen(error: float, also: list[str]) -> str:
    size = f"its standard error is {error:.2g} on the link scale" if np.isfinite(error) else "no curvature"
    together = f", only a combination with {', '.join(also)} is" if also else ""
    return f"not determined by these records ({size}){together}: {_REMEDY}"


def _limits(p: Posterior, found: Laplace) -> Float[np.ndarray, " population"]:
    """The largest standard error of each coordinate with which it is called determined."""
    limits = np.full(len(found.g), _WIDE)
    for i, name in enumerate(p.names):
        prior = p.priors[name]
        if isinstance(prior, HalfNormal):  # in terms of the log of the SD
            value, slope = _site_and_slope(p, name, found.g[i])
            limits[i] = _WIDE * value / max(slope, 1e-300)
        elif prior.link == "identity" and not isinstance(prior, Correlation):
            limits[i] = _WIDER * max(prior.sd, abs(float(found.g[i])))
    return limits


def _site_and_slope(p: Posterior, name: str, x: float) -> tuple[float, float]:
    h = 1e-5
    low, here, high = (float(p.constrained_site(name, x + k)) for k in (-h, 0.0, h))
    return here, (high - low) / (2 * h)


def _zeros(marginal: Marginal, found: Laplace, data: FitData) -> dict[str, str]:
    """Between-subject SDs that may as well be 0."""
    p = marginal.posterior
    reasons = {}
    for site in dict.fromkeys(map(p.h.sd_site, p.vary)):
        kind, _, name = site.partition("_")
        who, key = ("subjects", "vary") if kind == "omega" else ("cycles", "gamma")
        i = p.names.index(site)
        value, slope = _site_and_slope(p, site, float(found.g[i]))
        error = slope * np.sqrt(max(found.covariance[i, i], 0.0)) / value
        if value > _SMALL and error < 1.0:
            continue
        g = found.g.copy()
        g[i] = p.unconstrained_site(site, value / 20)
        modes = marginal.modes(g, found.modes.b, data)
        if float(np.sum(modes.value)) > found.log_likelihood - _LOSS:
            reasons[site] = (
                f"not told from 0: no variability of {name} between {who} is seen in these records; leave {name} "
                f'out of `{key}`, or let a prior speak: method = "map" or "nuts"'
            )
    return reasons


def _bounds(p: Posterior, found: Laplace) -> dict[str, str]:
    """Correlations of two effects that ended at -1 or 1."""
    sites, _ = p.sites(jnp.asarray(found.g))
    reasons = {}
    for name in coordinates(p):
        if name.startswith(("corr_", "rho_")) and abs(float(sites[name])) > 0.999:
            reasons[name] = (
                f"at {float(sites[name]):.3f}, its bound: leave the block out of `correlated`, or `map`/`nuts`"
            )
    return reasons
