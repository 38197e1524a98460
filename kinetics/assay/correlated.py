"""Two analytes of one blood draw whose log residuals are correlated: qPCR and flow from the same tube.

Two records belong to one draw when they have exactly the same time. Their standardised residuals are then
bivariate normal with correlation `rho`. This module computes the likelihood of the second analyte given the
first; added to the first analyte's own likelihood it gives the joint one. A pair contributes two densities, a
density and a probability, or, where both records are censored, the probability of a rectangle. Arrays are
dense (subject x record); a padded slot contributes zero.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.assay.likelihood import AssayRecords, Standard, record_terms, recorded
from kinetics.assay.residual import log_between, normal_logcdf, normal_logpdf

__all__ = ["StandardisedRecords", "both_censored", "given_first", "log_rectangle"]

FAR = 1e8  # standard deviations: stands for the end of a half-line
_DROP = 45.0  # the quadrature covers the range in which the integrand falls by a factor of e^45
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)


class StandardisedRecords(NamedTuple):
    """The records of one analyte, their standardised residuals, and the kinds of censoring that occur."""

    records: AssayRecords
    standard: Standard
    present: tuple[str, ...] = ("left", "right", "interval")


def both_censored(first: AssayRecords, second: AssayRecords) -> int:
    """The number of slots in which both analytes have a censored record."""
    censored = [
        np.asarray(records.left) | np.asarray(records.right) | np.asarray(records.interval)
        for records in (first, second)
    ]
    return int(np.sum(censored[0] & censored[1]))


def given_first(
    first: StandardisedRecords, second: StandardisedRecords, rho: Float[Array, ""], *, most: int
) -> Float[Array, "subject record"]:
    """Log-likelihood of the second analyte's records given the first's at the same time; 0 in padded slots.

    A record without a partner contributes its own likelihood. `most` is an upper limit of the number of slots
    in which both records are censored (`both_censored`): that many rectangles are computed. With more such
    slots than `most` the result is NaN. It is -inf where either prediction is not finite.
    """
    one = first.records
    two = second.records
    rho, sd_given = _correlation(rho)
    paired = recorded(one) & recorded(two)

    # The first is measured: the second, measured or censored, has a conditional mean and SD.
    conditioned = paired & one.measured
    mean = jnp.where(conditioned, rho * first.standard.z, 0.0)
    sd = jnp.where(conditioned, sd_given, 1.0)
    total = record_terms(two, _rescaled(second.standard, mean, sd), present=second.present)

    # The first is censored and the second measured: the first given the second, in place of the first alone.
    alone = record_terms(one, first.standard, present=first.present)
    swapped = _rescaled(first.standard, rho * second.standard.z, sd_given)
    given_second = record_terms(one, swapped, present=first.present)
    total += jnp.where(_censored(one) & two.measured, given_second - alone, 0.0)

    # Both are censored: a rectangle, less what the first contributes by itself.
    if most:
        both = _censored(one) & _censored(two)
        total = jnp.where(both, 0.0, total) + _rectangles(first, second, rho, both, most)
        total -= jnp.where(both, alone, 0.0)

    finite = jnp.where(paired, first.standard.there & second.standard.there, second.standard.there)
    return jnp.where(recorded(two) & ~finite, -jnp.inf, total)


def _censored(records: AssayRecords) -> Array:
    """The slots whose record is censored, in whichever way."""
    return jnp.asarray(records.left | records.right | records.interval)


def _correlation(rho: Array) -> tuple[Array, Array]:
    """The correlation, kept away from +-1, and the SD of one residual given the other."""
    limit = 1 - float(np.sqrt(jnp.finfo(jnp.asarray(rho).dtype).eps))
    rho = jnp.clip(rho, -limit, limit)
    return rho, jnp.sqrt((1 - rho) * (1 + rho))


def _rescaled(standard: Standard, mean: Array, sd: Array) -> Standard:
    """The same records, standardised by another mean and SD."""
    return Standard(
        z=(standard.z - mean) / sd,
        lower=(standard.lower - mean) / sd,
        unit=standard.unit - jnp.log(sd),
        there=standard.there,
    )


def _rectangles(
    first: StandardisedRecords, second: StandardisedRecords, rho: Array, both: Array, most: int
) -> Array:
    """Log probability of the rectangle in every slot of `both`, and 0 elsewhere; NaN with more than
    `most`.
    """
    slots = jnp.nonzero(both.ravel(), size=most, fill_value=both.size)[0]
    ends = [end.ravel().at[slots].get(mode="clip") for analyte in (first, second) for end in _ends(analyte)]
    probabilities = log_rectangle(*ends, rho * jnp.ones(most))
    elsewhere = jnp.where(jnp.sum(both) > most, jnp.nan, 0.0)
    return jnp.full(both.size, elsewhere).at[slots].set(probabilities, mode="drop").reshape(both.shape)


def _ends(side: StandardisedRecords) -> tuple[Array, Array]:
    """Lower and upper limit of the standardised residual of every censored record."""
    records = side.records
    z = jnp.clip(side.standard.z, -0.1 * FAR, 0.1 * FAR)
    interval_start = jnp.clip(side.standard.lower, -0.2 * FAR, 0.1 * FAR)
    lower = jnp.where(records.interval, interval_start, jnp.where(records.right, z, -FAR))
    upper = jnp.where(records.right, FAR, z)
    return lower, upper


@jax.custom_jvp
def log_rectangle(
    a: Float[Array, " slot"],
    b: Float[Array, " slot"],
    c: Float[Array, " slot"],
    d: Float[Array, " slot"],
    rho: Float[Array, " slot"],
) -> Float[Array, " slot"]:
    """log P(a < X < b, c < Y < d) of standard normals with correlation `rho`; an end at +-`FAR` is open.

    It integrates the density of X times the probability of Y given X by Gauss-Legendre quadrature in log
    space. The panels end at the steps of that probability (c/rho and d/rho) and beside its peak, so that the
    result keeps its relative accuracy in every tail. The gradient is exact: with respect to an edge it is the
    density along that edge, and with respect to `rho` the bivariate density at the corners
    (Plackett 1954, doi 10.1093/biomet/41.3-4.351).
    """
    rho, wide = _correlation(rho)
    low, high, edges = _panels(a, b, c, d, rho=rho, wide=wide)
    cuts = jnp.sort(jnp.clip(jnp.stack([low, high, *edges]), low, high), axis=0)
    middle = 0.5 * (cuts[1:] + cuts[:-1])
    half = 0.5 * (cuts[1:] - cuts[:-1])
    x = middle[:, None] + half[:, None] * _NODES[:, None]
    log_integrand = normal_logpdf(x) + _log_share(x, c, d, rho, wide)
    top = jnp.max(log_integrand, axis=(0, 1))
    weights = half[:, None] * _WEIGHTS[:, None]
    return top + jnp.log(jnp.sum(weights * jnp.exp(log_integrand - top), axis=(0, 1)))


@log_rectangle.defjvp
def _(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    a, b, c, d, rho = primals
    value = log_rectangle(*primals)
    rho, wide = _correlation(rho)

    def edge(x: Array, low: Array, high: Array) -> Array:
        return jnp.exp(normal_logpdf(x) + _log_share(x, low, high, rho, wide) - value)

    def corner(x: Array, y: Array) -> Array:
        density = normal_logpdf(x) + normal_logpdf((y - rho * x) / wide) - jnp.log(wide)
        return jnp.exp(density - value)

    edge_slopes = (-edge(a, c, d), edge(b, c, d), -edge(c, a, b), edge(d, a, b))
    rho_slope = corner(b, d) - corner(a, d) - corner(b, c) + corner(a, c)
    slopes = (*edge_slopes, rho_slope)
    changes = (slope * tangent for slope, tangent in zip(slopes, tangents, strict=True))
    return value, sum(changes, jnp.zeros_like(value))


def _log_share(x: Array, low: Array, high: Array, rho: Array, wide: Array) -> Array:
    """log P(low < Y < high) given X = x."""
    return log_between(normal_logcdf, (low - rho * x) / wide, (high - rho * x) / wide)


def _panels(
    a: Array, b: Array, c: Array, d: Array, rho: Array, wide: Array
) -> tuple[Array, Array, list[Array]]:
    """The range of X that holds the probability of the rectangle, and the points at which the integrand may
    bend.

    Minus the log density is convex, with a curvature of at least 1 along X. From the most likely point of the
    rectangle it rises by at least `slope t + t^2/2`, where the slope is nonzero only on an edge.
    """
    px, py = _likeliest(a, b, c, d, rho)
    slope = (px - rho * py) / wide**2

    def reach(rate: Array) -> Array:
        rate = jnp.maximum(rate, 0.0)
        return 2 * _DROP / (rate + jnp.sqrt(rate**2 + 2 * _DROP))

    low = jnp.maximum(a, px - reach(-slope))
    high = jnp.minimum(b, px + reach(slope))
    divisor = jnp.where(jnp.abs(rho) < 1e-8, 1e-8, rho)
    width = 6 * wide / jnp.abs(divisor)
    beside_peak = [px - 6 * wide, px + 6 * wide]
    beside_steps = [k / divisor + sign * width for k in (c, d) for sign in (-1, 1)]
    return low, high, [*beside_peak, *beside_steps]


def _likeliest(a: Array, b: Array, c: Array, d: Array, rho: Array) -> tuple[Array, Array]:
    """The point of the rectangle with the highest density: the origin, or the best point of an edge."""
    inside = (a < 0) & (b > 0) & (c < 0) & (d > 0)
    x = jnp.stack([a, b, jnp.clip(rho * c, a, b), jnp.clip(rho * d, a, b)])
    y = jnp.stack([jnp.clip(rho * a, c, d), jnp.clip(rho * b, c, d), c, d])
    best = jnp.argmin((x - rho * y) ** 2 / ((1 - rho) * (1 + rho)) + y**2, axis=0)[None]
    px = jnp.take_along_axis(x, best, axis=0)[0]
    py = jnp.take_along_axis(y, best, axis=0)[0]
    return jnp.where(inside, 0.0, px), jnp.where(inside, 0.0, py)
