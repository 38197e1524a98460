"""The coordinates in which chains run, from an averaged quadratic of each subject's log-likelihood.

A curve may have a corner (the end of an expansion at a sampling time). At a mode there, slope and curvature
are those of one side only. The coordinates instead average both over a normal approximation of each subject's
random effects, and move that approximation to where its own averages put it. That is Gaussian variational
inference by natural gradients with Gauss-Newton curvature (Khan & Rue 2023), at the population values of
Laplace's method.

`coordinates_of` gives the coordinates at a maximum. `coordinates_at_mode` does not average: in its
coordinates Laplace's own approximation is standard normal.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kinetics.inference.laplace.marginal import Effects, Laplace, Marginal, Matrices
from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.plan import FitData
from kinetics.population import class_log_joint

__all__ = ["coordinates_at_mode", "coordinates_of", "coordinates_shape"]

# choices, not critical
_ROUNDS = 8  # rounds of averaging
_PAIRS = 4  # antithetic pairs of draws in each round


def coordinates_of(marginal: Marginal, laplace: Laplace, data: FitData) -> Coordinates:
    """Return the coordinates in which the posterior would be standard normal if the approximation were exact.

    `laplace` is the maximum of Laplace's method. A subject whose averages are not finite keeps its mode, with
    the slope and the information there.
    """
    g = laplace.g
    mode = laplace.modes.b
    b, slope, information = _averaged(marginal, laplace, data)
    finite = np.isfinite(information).all((1, 2)) & np.isfinite(b).all(0) & np.isfinite(slope).all(0)
    b = np.where(finite, b, mode)
    slope = np.where(finite, slope, marginal.likelihood_slope(g, mode, data))
    information = np.where(np.asarray(finite)[:, None, None], information, laplace.modes.information)
    root = np.linalg.cholesky(laplace.covariance)
    coordinates = _coordinates(marginal, laplace, data, scale=root, b=b, slope=slope, information=information)
    if len(b):
        cross = _slope_changes(marginal, g, b, data, np.sqrt(np.diag(laplace.covariance)))
        coordinates = coordinates._replace(cross=np.where(np.isfinite(cross), cross, 0.0), origin=g)
    return _with_centring(marginal, data, coordinates)


def coordinates_shape(p: Posterior) -> Coordinates:
    """Return the shapes of what `coordinates_of` will return, so that programs can be compiled before it is
    computed.
    """

    def array(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, np.dtype(float))

    n = p.subjects
    d = len(p.vary)
    g = p.population
    coordinates = Coordinates(
        centre=array(g),
        scale=array(g, g),
        point=array(d, n),
        slope=array(d, n),
        information=array(d, d, n),
    )
    if p.h.probability is not None:
        coordinates = coordinates._replace(share=array(n))
    if len(p.centred):
        coordinates = coordinates._replace(spread=array(d, n))
    if d:
        coordinates = coordinates._replace(cross=array(d, n, g), origin=array(g))
    return coordinates


def _with_centring(marginal: Marginal, data: FitData, coordinates: Coordinates) -> Coordinates:
    """Return the coordinates with the rows centred, or non-centred, for which the plan asks that."""
    p = marginal.posterior
    h = coordinates.information
    q = coordinates.slope
    assert h is not None
    assert q is not None
    non_centred = [i for i, k in enumerate(p.vary) if k in p.bound.plan.effects.non_centred]
    keep = 1.0 - np.isin(np.arange(len(p.vary)), non_centred)
    cross = None if coordinates.cross is None else coordinates.cross * keep[:, None, None]
    zeroed = coordinates._replace(
        information=h * (keep[:, None] * keep)[..., None], slope=q * keep[:, None], cross=cross
    )
    if not len(p.centred):
        return zeroed if non_centred else coordinates
    precision = marginal.precision(np.asarray(coordinates.centre), data)
    covariance = np.linalg.inv(np.moveaxis(np.asarray(h), -1, 0) + precision)
    return zeroed._replace(spread=np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T)


def coordinates_at_mode(
    marginal: Marginal,
    laplace: Laplace,
    data: FitData,
    covariance: Float[np.ndarray, "population population"],
) -> Coordinates:
    """Return the coordinates in which the approximation of Laplace's method is standard normal.

    In it the population values are normal about the maximum with this covariance. Given them, the effects of
    each subject are normal about their mode. A coordinate whose row of the covariance is 0 is held at its
    value.
    """
    g = laplace.g
    modes = laplace.modes
    scale = np.zeros_like(covariance)
    free = np.nonzero(np.diag(covariance) > 0)[0]
    scale[np.ix_(free, free)] = np.linalg.cholesky(covariance[np.ix_(free, free)])
    slope = marginal.precision(g, data) @ modes.b  # the one with which the effects have their mode there
    return _coordinates(
        marginal, laplace, data, scale=scale, b=modes.b, slope=slope, information=modes.information
    )


def _coordinates(
    marginal: Marginal,
    laplace: Laplace,
    data: FitData,
    *,
    scale: np.ndarray,
    b: Effects,
    slope: Effects,
    information: Matrices,
) -> Coordinates:
    """Return the coordinates at the maximum's population values; in a mixture with each subject's share."""
    g = laplace.g
    p = marginal.posterior
    coordinates = Coordinates(
        centre=g,
        scale=scale,
        point=marginal.centres(g, data) + b,
        slope=slope,
        information=np.moveaxis(information, 0, -1).copy(),
    )
    if p.h.probability is None:
        return coordinates
    s, _ = p.sites(jnp.asarray(g))
    log_classes = class_log_joint(p.h, s, jnp.asarray(b) / p.omega(s)[:, None])
    return coordinates._replace(share=np.asarray(jax.nn.softmax(log_classes, axis=0)[1]))


def _slope_changes(
    marginal: Marginal, g: np.ndarray, b: Effects, data: FitData, sd: np.ndarray
) -> Float[np.ndarray, "vary subject population"]:
    """Return the change of each subject's slope with every coordinate of g, its parameters held.

    They are central differences over half a posterior SD, which is wide enough not to notice a corner of a
    curve. `sd` are the posterior SDs.
    """
    theta = marginal.centres(g, data) + b

    def slope(x: np.ndarray) -> Effects:
        return marginal.likelihood_slope(x, theta - marginal.centres(x, data), data)

    columns = []
    for j, h in enumerate(0.5 * sd):
        step = np.zeros_like(g)
        step[j] = h
        columns.append((slope(g + step) - slope(g - step)) / (2 * h))
    return np.stack(columns, axis=-1)


def _averaged(marginal: Marginal, laplace: Laplace, data: FitData) -> tuple[Effects, Effects, Matrices]:
    """Return means over each subject's normal approximation: of effects, of slope and of information."""
    g = laplace.g
    b = laplace.modes.b
    information = laplace.modes.information
    precision = marginal.precision(g, data)
    rng = np.random.default_rng(0)
    d, n = b.shape
    slope = marginal.likelihood_slope(g, b, data)
    for i in range(_ROUNDS):
        root = np.linalg.cholesky(np.linalg.inv(information + precision))
        half = np.einsum("sij,ksj->kis", root, rng.standard_normal((_PAIRS, n, d)))
        # means over antithetic draws
        mean_information = np.zeros_like(information)
        mean_slope = np.zeros_like(b)
        for away in (*half, *-half):
            density = marginal.look(g, b + away, data)
            mean_information += density.information / (2 * _PAIRS)
            mean_slope += (density.by_b - marginal.prior_slope(g, b + away)) / (2 * _PAIRS)
        # a natural gradient step towards them
        weight = 2.0 / (3.0 + i)  # the draws are new each round: later rounds move less
        information = (1 - weight) * information + weight * mean_information
        slope = (1 - weight) * slope + weight * mean_slope
        total_slope = (mean_slope + marginal.prior_slope(g, b)).T[..., None]
        b = b + weight * np.linalg.solve(information + precision, total_slope)[..., 0].T
    return b, slope, information
