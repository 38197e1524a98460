"""Which population values the records determine without a prior, and the covariance of those.

Three kinds of value are not determined: a between-subject SD that may as well be 0, a correlation at 1, and a
value that the likelihood hardly depends on. They are named, and held at their value at the maximum. The
covariance is that of the other values, given these.
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

__all__ = ["Identified", "coordinate_names", "identified", "unfinished_search"]

_SMALL = 0.05  # a between-subject SD (link scale) up to which it is compared with 0
_LOSS = 0.1  # decrease of the log-likelihood up to which an SD may as well be 0
_WIDE = 3.0  # largest standard error on a log or logit scale
_WIDER = 10.0  # largest standard error on other scales, in prior SDs or in values
_NEAR_BOUND = 0.01  # distance from 0 or 1 within which a value between them ended at the bound
_SINGULAR = 1e-8  # least eigenvalue of the information, with its diagonal scaled to 1
_REMEDY = 'fix it, simplify the model, or let a prior speak: method = "map" or "nuts"'


class Identified(NamedTuple):
    """The covariance of g (0 for held coordinates), and the coordinates held, each with its reason and
    remedy.

    `condition` is the condition number of the correlation matrix of the other estimates; NaN if all are held.
    """

    covariance: Float[np.ndarray, "population population"]
    held: dict[str, str]
    condition: float


def coordinate_names(posterior: Posterior) -> list[str]:
    """Return a name for every coordinate of g: its site's, or one made of its block of a correlation
    matrix.
    """
    names = list(posterior.names)
    for block in posterior.blocks:
        size = len(block) * (len(block) - 1) // 2
        if size == 1:
            names.append(f"corr_{block[0]}_{block[1]}")
        else:
            names += [f"corr {'-'.join(block)} ({i + 1})" for i in range(size)]
    return names


def identified(marginal: Marginal, laplace: Laplace, data: FitData) -> Identified:
    """Return the covariance of the determined values at the maximum `laplace`, and the others as held.

    After SDs of 0 and correlations at a bound, the least determined coordinate is held, one after the other,
    until the information determines all the rest.
    """
    p = marginal.posterior
    names = coordinate_names(marginal.posterior)
    held = {**_zeros(marginal, laplace, data), **_bounds(p, laplace)}
    limit = _limits(p, laplace)
    unit = p.units()
    free = [i for i, name in enumerate(names) if name not in held]
    while free:
        worst = _worst(laplace.information[np.ix_(free, free)], unit[free], limit[free])
        if worst is None:
            break
        row, others, error = worst
        coordinate = free[row]
        alone = unit[coordinate] / np.sqrt(max(laplace.information[coordinate, coordinate], 1e-300))
        if alone > limit[coordinate]:  # flat by itself: no combination with others is determined
            others = []
        bound = _at_bound(p, names[coordinate], laplace.g)
        held[names[coordinate]] = _undetermined(error, [names[free[j]] for j in others], bound)
        del free[row]
    covariance = np.zeros((len(names), len(names)))
    condition = float("nan")
    if free:
        inverse = np.linalg.inv(laplace.information[np.ix_(free, free)])
        covariance[np.ix_(free, free)] = inverse * np.outer(unit[free], unit[free])
        sd = np.sqrt(np.diag(inverse))
        values = np.linalg.eigvalsh(inverse / np.outer(sd, sd))
        condition = float(values[-1] / values[0])
    return Identified(covariance, held, condition)


def unfinished_search(posterior: Posterior, laplace: Laplace) -> Identified:
    """Return every value as held, where the search ended before a maximum.

    The information is about a maximum. Elsewhere its inverse is not the covariance of anything.
    """
    size = len(laplace.g)
    reason = (
        f"no standard error: the search has not reached a maximum (a Newton step would still bring "
        f"{laplace.gain:.2g}); more starts (`[sampler] starts = 20`), or nuts"
    )
    held = dict.fromkeys(coordinate_names(posterior), reason)
    return Identified(np.zeros((size, size)), held, float("nan"))


def _worst(
    information: np.ndarray, unit: np.ndarray, limit: np.ndarray
) -> tuple[int, list[int], float] | None:
    """Return the least determined coordinate, those that go with it, and its standard error.

    None is returned if all are determined. `limit` is the largest standard error of each that
    counts as determined.
    """
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    along = np.abs(vectors[:, 0] / scale) * unit / limit  # the flattest direction, in standard errors allowed
    others = [int(j) for j in np.argsort(-along) if along[j] > 0.3 * along.max()]
    if values[0] < _SINGULAR:
        return others[0], others[1:], float("inf")
    inverse = np.linalg.inv(information)
    error = unit * np.sqrt(np.diag(inverse))
    row = int(np.argmax(error / limit))
    if error[row] <= limit[row]:
        return None
    ridge = np.abs(inverse[:, row]) * unit / limit  # how far the others move where this one moves
    others = [int(j) for j in np.argsort(-ridge) if ridge[j] > 0.3 * ridge.max()]
    return row, [j for j in others if j != row], float(error[row])


def _at_bound(p: Posterior, site: str, g: np.ndarray) -> str:
    """Return where a population value between 0 and 1 ended, if it ended at one of them; else ""."""
    prior = p.priors.get(site)
    if not site.endswith("_pop") or prior is None or prior.link != "logit":
        return ""
    value = float(p.constrained_site(site, float(g[p.names.index(site)])))
    for bound in (0, 1):
        if abs(value - bound) < _NEAR_BOUND:
            return f"at {value:.6g}, its bound of {bound}: these records do not tell it from {bound}"
    return ""


def _undetermined(error: float, others: list[str], bound: str) -> str:
    """Return why a value is held that the likelihood hardly depends on, unless with `others`.

    `bound` says at which bound it ended, if it did.
    """
    size = f"its standard error is {error:.2g} on the link scale" if np.isfinite(error) else "no curvature"
    if bound and not others:
        return f'{bound} ({size}): hold it there by `fixed`, or let a prior speak: method = "map" or "nuts"'
    together = f", only a combination with {', '.join(others)} is" if others else ""
    return f"not determined by these records ({size}){together}: {_REMEDY}"


def _limits(p: Posterior, laplace: Laplace) -> Float[np.ndarray, " population"]:
    """Return the largest standard error with which each coordinate counts as determined."""
    limits = np.full(len(laplace.g), _WIDE)
    for i, name in enumerate(p.names):
        prior = p.priors[name]
        if isinstance(prior, HalfNormal):  # the limit is on the log of the SD
            value, slope = _site_and_slope(p, name, laplace.g[i])
            limits[i] = _WIDE * value / max(slope, 1e-300)
        elif prior.link == "identity" and not isinstance(prior, Correlation):
            limits[i] = _WIDER * max(prior.sd, abs(float(laplace.g[i])))
    return limits


def _site_and_slope(p: Posterior, name: str, x: float) -> tuple[float, float]:
    """Return the value of a site at its coordinate x, and the slope of the value there."""
    h = 1e-5
    low, here, high = (float(p.constrained_site(name, x + k)) for k in (-h, 0.0, h))
    return here, (high - low) / (2 * h)


def _zeros(marginal: Marginal, laplace: Laplace, data: FitData) -> dict[str, str]:
    """Return the between-subject and between-cycle SDs that may as well be 0, each with the reason."""
    p = marginal.posterior
    reasons = {}
    for site in dict.fromkeys(map(p.h.sd_site, p.vary)):
        kind, _, name = site.partition("_")
        if kind == "omega":
            level = "subjects"
            key = "vary"
        else:
            level = "cycles"
            key = "gamma"
        i = p.names.index(site)
        value, slope = _site_and_slope(p, site, float(laplace.g[i]))
        error = slope * np.sqrt(max(laplace.covariance[i, i], 0.0)) / value
        if value > _SMALL and error < 1.0:
            continue
        # the log-likelihood with an SD near 0, at the other values of the maximum
        g = laplace.g.copy()
        g[i] = p.unconstrained_site(site, value / 20)
        modes = marginal.modes(g, laplace.modes.b, data)
        if float(np.sum(modes.value)) > laplace.log_likelihood - _LOSS:
            reasons[site] = (
                f"not told from 0: no variability of {name} between {level} is seen in these records; leave "
                f'{name} out of `{key}`, or let a prior speak: method = "map" or "nuts"'
            )
    return reasons


def _bounds(p: Posterior, laplace: Laplace) -> dict[str, str]:
    """Return the correlations of two effects, or of residuals, that ended at -1 or 1, each with the
    reason.
    """
    sites, _ = p.sites(jnp.asarray(laplace.g))
    reasons = {}
    for name in coordinate_names(p):
        if not name.startswith(("corr_", "rho_")):
            continue
        correlation = float(sites[name])
        if abs(correlation) > 0.999:
            reasons[name] = (
                f"at {correlation:.3f}, its bound: leave the block out of `correlated`, or `map`/`nuts`"
            )
    return reasons
