"""The coordinates in which chains run: each subject's log-likelihood as a quadratic, averaged over where it
matters.

At the mode of a curve with a corner (the end of an expansion at a sampling time) slope and curvature are
those of one side. A chart takes both over a normal approximation of each subject's random effects instead,
and moves that approximation to where its own averages put it: Gaussian variational inference by natural
gradients with Gauss-Newton curvature (Khan & Rue 2023), at the population values of Laplace's method.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kinetics.inference.laplace.marginal import Effects, Laplace, Marginal, Matrices
from kinetics.inference.posterior import Chart, Posterior
from kinetics.plan import FitData
from kinetics.population import class_log_joint

__all__ = ["chart_at_mode", "chart_of", "chart_shape"]

# of averaging, antithetic pairs in each: choices, not critical
_ROUNDS = 8
_PAIRS = 4


def chart_of(marginal: Marginal, found: Laplace, data: FitData) -> Chart:
    """The coordinates in which the posterior, were it what the approximation takes it for, is standard
    normal.
    """
    g = found.g
    mode = found.modes.b
    at_mode = found.modes.information
    b, slope, information = _averaged(marginal, found, data)
    ok = np.isfinite(information).all((1, 2)) & np.isfinite(b).all(0) & np.isfinite(slope).all(0)
    b = np.where(ok, b, mode)
    slope = np.where(ok, slope, marginal.likelihood_slope(g, mode, data))
    information = np.where(np.asarray(ok)[:, None, None], information, at_mode)
    root = np.linalg.cholesky(found.covariance)
    chart = _chart(marginal, found, data, root, b, slope, information)
    if len(b):
        cross = _crossed(marginal, g, b, data, np.sqrt(np.diag(found.covariance)))
        chart = chart._replace(cross=np.where(np.isfinite(cross), cross, 0.0), origin=g)
    return _as_asked(marginal, data, chart)


def chart_shape(p: Posterior) -> Chart:
    """The shapes of what `chart_of` will give, for programs to be compiled with before it is known."""

    def of(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, np.dtype(float))

    n = p.subjects
    d = len(p.vary)
    g = p.population
    chart = Chart(of(g), of(g, g), of(d, n), of(d, n), of(d, d, n))
    if p.h.probability is not None:
        chart = chart._replace(share=of(n))
    if len(p.centred):
        chart = chart._replace(spread=of(d, n))
    return chart._replace(cross=of(d, n, g), origin=of(g)) if d else chart


def _as_asked(marginal: Marginal, data: FitData, chart: Chart) -> Chart:
    """The chart with the rows that the plan wants centred, or not, whatever the data say."""
    p = marginal.posterior
    h = chart.information
    q = chart.slope
    assert h is not None
    assert q is not None
    alone = [i for i, k in enumerate(p.vary) if k in p.bound.plan.effects.non_centred]
    keep = 1.0 - np.isin(np.arange(len(p.vary)), alone)
    cross = None if chart.cross is None else chart.cross * keep[:, None, None]
    told = chart._replace(
        information=h * (keep[:, None] * keep)[..., None], slope=q * keep[:, None], cross=cross
    )
    if not len(p.centred):
        return told if alone else chart
    spread = np.linalg.inv(
        np.moveaxis(np.asarray(h), -1, 0) + marginal.precision(np.asarray(chart.centre), data)
    )
    return told._replace(spread=np.sqrt(np.diagonal(spread, axis1=1, axis2=2)).T)


def chart_at_mode(
    marginal: Marginal, found: Laplace, data: FitData, covariance: Float[np.ndarray, "population population"]
) -> Chart:
    """The coordinates in which what Laplace's method approximates by is standard normal: population values
    normal about the maximum with this covariance, the effects of each subject normal about their mode, given
    these.

    Rows of 0 in the covariance hold their value.
    """
    g = found.g
    modes = found.modes
    scale = np.zeros_like(covariance)
    free = np.nonzero(np.diag(covariance) > 0)[0]
    scale[np.ix_(free, free)] = np.linalg.cholesky(covariance[np.ix_(free, free)])
    slope = marginal.precision(g, data) @ modes.b  # with which the mode of the effects at g is that found
    return _chart(marginal, found, data, scale, modes.b, slope, modes.information)


def _chart(
    marginal: Marginal, found: Laplace, data: FitData, scale: np.ndarray, b: Effects, slope: Effects,
    information: Matrices,
) -> Chart:  # fmt: skip
    g = found.g
    p = marginal.posterior
    chart = Chart(g, scale, marginal.centres(g, data) + b, slope, np.moveaxis(information, 0, -1).copy())
    if p.h.probability is None:
        return chart
    s, _ = p.sites(jnp.asarray(g))
    likely = class_log_joint(p.h, s, jnp.asarray(b) / p.omega(s)[:, None])
    return chart._replace(share=np.asarray(jax.nn.softmax(likely, axis=0)[1]))


def _crossed(
    marginal: Marginal, g: np.ndarray, b: Effects, data: FitData, sd: np.ndarray
) -> Float[np.ndarray, "vary subject population"]:
    """How each subject's slope, its parameters held where they are, changes with every coordinate of g.

    Central differences over half a posterior SD: wide enough not to see a corner of a curve.
    """
    held = marginal.centres(g, data) + b

    def slope(at: np.ndarray) -> Effects:
        return marginal.likelihood_slope(at, held - marginal.centres(at, data), data)

    columns = []
    for j, h in enumerate(0.5 * sd):
        step = np.zeros_like(g)
        step[j] = h
        columns.append((slope(g + step) - slope(g - step)) / (2 * h))
    return np.stack(columns, axis=-1)


def _averaged(marginal: Marginal, found: Laplace, data: FitData) -> tuple[Effects, Effects, Matrices]:
    """Mean of each subject's random effects, mean slope of its log-likelihood there, and mean information."""
    g = found.g
    b = found.modes.b
    information = found.modes.information
    precision = marginal.precision(g, data)
    rng = np.random.default_rng(0)
    d, n = b.shape
    slope = marginal.likelihood_slope(g, b, data)
    for i in range(_ROUNDS):
        root = np.linalg.cholesky(np.linalg.inv(information + precision))
        half = np.einsum("sij,ksj->kis", root, rng.standard_normal((_PAIRS, n, d)))
        seen = np.zeros_like(information)
        pulled = np.zeros_like(b)
        for away in (*half, *-half):
            there = marginal.look(g, b + away, data)
            seen += there.information / (2 * _PAIRS)
            pulled += (there.by_b - marginal.prior_slope(g, b + away)) / (2 * _PAIRS)
        keep = 2.0 / (3.0 + i)  # the draws are new each round: later rounds move less
        information = (1 - keep) * information + keep * seen
        slope = (1 - keep) * slope + keep * pulled
        away_from_rest = (pulled + marginal.prior_slope(g, b)).T[..., None]
        b = b + keep * np.linalg.solve(information + precision, away_from_rest)[..., 0].T
    return b, slope, information
