"""Two analytes of one blood draw whose log residuals are correlated: qPCR and flow from the same tube.

A draw is what has both records at exactly the same time. There the standardised residuals are bivariate
normal with correlation `rho`. What is put beside the first analyte's own likelihood is that of the second
given the first, so that the sum is the joint one: two densities, a density and a probability, or the
probability of a rectangle. Arrays are dense (subject x record); a padded slot contributes zero.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.assay.likelihood import AssayRecords, Standard, record_terms, recorded
from kinetics.assay.residual import log_between, normal_logcdf, normal_logpdf

__all__ = ["Seen", "both_censored", "given_first", "log_rectangle"]

FAR = 1e8  # standard deviations: the end of a half-line
_DROP = 45.0  # the integrand is followed until it has fallen by e^45
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)


class Seen(NamedTuple):
    """One analyte's records, standardised, and the kinds of censoring among them."""

    records: AssayRecords
    standard: Standard
    present: tuple[str, ...] = ("left", "right", "interval")


def both_censored(first: AssayRecords, second: AssayRecords) -> int:
    """In how many slots both analytes have a censored record."""
    masks = (np.asarray(r.left) | np.asarray(r.right) | np.asarray(r.interval) for r in (first, second))
    return int(np.sum(np.logical_and(*masks)))


def given_first(
    first: Seen, second: Seen, rho: Float[Array, ""], *, most: int
) -> Float[Array, "subject record"]:
    """Log-likelihood of the second analyte's records given the first's at the same time; 0 in padded slots.

    A record without a partner has its own likelihood. `most` is at least the number of slots in which both
    are censored (`both_censored`): only so many rectangles are computed, and were there more the others would
    be NaN. -inf where either prediction is not finite.
    """
    one = first.records
    two = second.records
    rho, wide = _correlation(rho)
    paired = recorded(one) & recorded(two)
    known = paired & one.measured
    mean = jnp.where(known, rho * first.standard.z, 0.0)
    sd = jnp.where(known, wide, 1.0)
    total = record_terms(two, _moved(second.standard, mean, sd), present=second.present)
    alone = record_terms(one, first.standard, present=first.present)
    turned = record_terms(one, _moved(first.standard, rho * second.standard.z, wide), present=first.present)
    total += jnp.where(_censored(one) & two.measured, turned - alone, 0.0)
    if most:
        both = _censored(one) & _censored(two)
        total = jnp.where(both, 0.0, total) + _rectangles(first, second, rho, both, most)
        total -= jnp.where(both, alone, 0.0)
    there = first.standard.there & second.standard.there
    return jnp.where(recorded(two) & ~jnp.where(paired, there, second.standard.there), -jnp.inf, total)


def _censored(records: AssayRecords) -> Array:
    return jnp.asarray(records.left | records.right | records.interval)


def _correlation(rho: Array) -> tuple[Array, Array]:
    """The correlation, kept off +-1, and the SD of one residual given the other."""
    limit = 1 - float(np.sqrt(jnp.finfo(jnp.asarray(rho).dtype).eps))
    rho = jnp.clip(rho, -limit, limit)
    return rho, jnp.sqrt((1 - rho) * (1 + rho))


def _moved(seen: Standard, mean: Array, sd: Array) -> Standard:
    """The same records seen from another mean and SD."""
    return Standard((seen.z - mean) / sd, (seen.lower - mean) / sd, seen.unit - jnp.log(sd), seen.there)


def _rectangles(first: Seen, second: Seen, rho: Array, both: Array, most: int) -> Array:
    """Log probability of the rectangle of every slot where `both`, 0 elsewhere."""
    where = jnp.nonzero(both.ravel(), size=most, fill_value=both.size)[0]
    sides = [x.ravel().at[where].get(mode="clip") for s in (first, second) for x in _ends(s)]
    found = log_rectangle(*sides, rho * jnp.ones(most))
    rest = jnp.where(jnp.sum(both) > most, jnp.nan, 0.0)  # never passed over in silence
    return jnp.full(both.size, rest).at[where].set(found, mode="drop").reshape(both.shape)


def _ends(seen: Seen) -> tuple[Array, Array]:
    """Lower and upper end of what is known of a censored record's standardised residual."""
    r = seen.records
    s = seen.standard
    z = jnp.clip(s.z, -0.1 * FAR, 0.1 * FAR)
    lower = jnp.where(r.interval, jnp.clip(s.lower, -0.2 * FAR, 0.1 * FAR), jnp.where(r.right, z, -FAR))
    return lower, jnp.where(r.right, FAR, z)


@jax.custom_jvp
def log_rectangle(
    a: Float[Array, " slot"],
    b: Float[Array, " slot"],
    c: Float[Array, " slot"],
    d: Float[Array, " slot"],
    rho: Float[Array, " slot"],
) -> Float[Array, " slot"]:
    """log P(a < X < b, c < Y < d) of standard normals with correlation `rho`; an end at +-`FAR` is open.

    The density of X times the probability of Y given X, by Gauss-Legendre quadrature in log space on panels
    between the steps of that probability (at c/rho and d/rho) and about its peak, so it keeps its relative
    accuracy in every tail. The gradient is exact: along an edge it is that edge's share, and along `rho` the
    bivariate density of the corners (Plackett 1954, doi 10.1093/biomet/41.3-4.351).
    """
    rho, wide = _correlation(rho)
    low, high, edges = _panels(a, b, c, d, rho, wide)
    cuts = jnp.sort(jnp.clip(jnp.stack([low, high, *edges]), low, high), axis=0)
    middle = 0.5 * (cuts[1:] + cuts[:-1])
    half = 0.5 * (cuts[1:] - cuts[:-1])
    x = middle[:, None] + half[:, None] * _NODES[:, None]
    each = normal_logpdf(x) + _log_share(x, c, d, rho, wide)
    top = jnp.max(each, axis=(0, 1))
    return top + jnp.log(jnp.sum(half[:, None] * _WEIGHTS[:, None] * jnp.exp(each - top), axis=(0, 1)))


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

    slopes = (-edge(a, c, d), edge(b, c, d), -edge(c, a, b), edge(d, a, b))
    turning = corner(b, d) - corner(a, d) - corner(b, c) + corner(a, c)
    return value, sum(
        (s * t for s, t in zip((*slopes, turning), tangents, strict=True)), jnp.zeros_like(value)
    )


def _log_share(x: Array, low: Array, high: Array, rho: Array, wide: Array) -> Array:
    """log P(low < Y < high) given X = x."""
    return log_between(normal_logcdf, (low - rho * x) / wide, (high - rho * x) / wide)


def _panels(
    a: Array, b: Array, c: Array, d: Array, rho: Array, wide: Array
) -> tuple[Array, Array, list[Array]]:
    """The range of X that holds the rectangle's probability, and where in it the integrand may turn.

    Minus the log density is convex, with a curvature of at least 1 along X: from the rectangle's likeliest
    point, where it has a slope along X that is not 0 only on an edge, it rises by `slope t + t^2/2`.
    """
    px, py = _likeliest(a, b, c, d, rho)
    slope = (px - rho * py) / wide**2

    def reach(rate: Array) -> Array:
        rate = jnp.maximum(rate, 0.0)
        return 2 * _DROP / (rate + jnp.sqrt(rate**2 + 2 * _DROP))

    low = jnp.maximum(a, px - reach(-slope))
    high = jnp.minimum(b, px + reach(slope))
    steep = jnp.where(jnp.abs(rho) < 1e-8, 1e-8, rho)
    step = 6 * wide / jnp.abs(steep)
    edges = [px - 6 * wide, px + 6 * wide]
    return low, high, [*edges, *(k / steep + sign * step for k in (c, d) for sign in (-1, 1))]


def _likeliest(a: Array, b: Array, c: Array, d: Array, rho: Array) -> tuple[Array, Array]:
    """The point of the rectangle with the highest density: the origin, or the best point of an edge."""
    inside = (a < 0) & (b > 0) & (c < 0) & (d > 0)
    x = jnp.stack([a, b, jnp.clip(rho * c, a, b), jnp.clip(rho * d, a, b)])
    y = jnp.stack([jnp.clip(rho * a, c, d), jnp.clip(rho * b, c, d), c, d])
    best = jnp.argmin((x - rho * y) ** 2 / ((1 - rho) * (1 + rho)) + y**2, axis=0)[None]
    px, py = (jnp.take_along_axis(v, best, axis=0)[0] for v in (x, y))
    return jnp.where(inside, 0.0, px), jnp.where(inside, 0.0, py)
