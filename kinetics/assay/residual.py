"""Residual error: the families of distributions by which measurements scatter about a prediction.

A family has a location and a scale, in the assay's unit or its logarithm, and a standard distribution: the
normal or Student's t. `kinetics.assay.likelihood` builds the likelihood of records on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from kinetics.arrays import AnyArray
from kinetics.model import HalfNormal, Prior

__all__ = [
    "DNA_UG",
    "FAMILIES",
    "LOG_FAMILIES",
    "NORMAL_ON_LOG",
    "TINY",
    "location_scale",
    "log_between",
    "normal_logcdf",
    "normal_logpdf",
    "residual_priors",
    "simulate_residual",
    "student",
]

TINY = 1e-30  # a prediction at or below this means "no cells"; its logarithm is never taken
DNA_UG = 0.2  # ug of DNA in one reaction, a guess: 50 copies/ug DNA are then 10 molecules
FAMILIES: dict[str, tuple[str, ...]] = {  # likelihood -> its residual parameters
    "lognormal": ("sigma",),
    "additive_on_log": ("sigma",),
    "lognormal_poisson": ("sigma",),
    "student_t": ("sigma",),
    "additive": ("sigma_add",),
    "proportional": ("sigma",),
    "combined": ("sigma_add", "sigma"),
}
LOG_FAMILIES = {"lognormal", "additive_on_log", "lognormal_poisson", "student_t"}
NORMAL_ON_LOG = ("lognormal", "additive_on_log")  # normal residuals of one SD, which can be correlated


def residual_priors(
    family: str,
    analyte: str,
    scale: float = 1.0,
    *,
    sigma: Prior | None = None,
    sigma_add: Prior | None = None,
) -> dict[str, Prior]:
    """Site name -> prior of each residual parameter of an assay.

    The prior is HalfNormal(`scale`). `sigma`, if given, replaces the prior of the SD on the log or relative
    scale, and `sigma_add` that of the additive SD, in the unit of the assay.
    """
    replaced = {"sigma": sigma, "sigma_add": sigma_add}
    priors: dict[str, Prior] = {}
    for name in FAMILIES[family]:
        priors[f"{name}_{analyte}"] = replaced.get(name) or HalfNormal(scale)
    return priors


def location_scale(
    family: str, prediction: AnyArray, residual: Mapping[str, AnyArray], dna_ug: float = DNA_UG
) -> tuple[Array, Array]:
    """Location and scale of a family at a prediction; on the log scale for `LOG_FAMILIES`.

    `combined` has variance sigma_add^2 + (sigma f)^2. `lognormal_poisson` multiplies log-normal error by the
    counting error of n = f [copies/ug DNA] x `dna_ug` [ug] molecules. The count is Poisson(n), and
    Poisson(n)/n is approximated by the log-normal of the same mean, 1, and variance, 1/n. The log-variance is
    therefore sigma^2 + log(1 + 1/n), which is sigma^2 + 1/n (the delta method) for large n, and the location
    is log f - log(1 + 1/n)/2. A prediction of no cells then lies below every limit; a variance of 1/n about
    log f would put it there with probability one half.
    """
    f = jnp.asarray(prediction)
    r = {name: jnp.asarray(value) for name, value in residual.items()}
    if family == "lognormal_poisson":
        f = jnp.maximum(f, TINY)
        counting = jnp.log1p(1.0 / (f * dna_ug))
        return jnp.log(f) - 0.5 * counting, jnp.sqrt(r["sigma"] ** 2 + counting)
    if family in LOG_FAMILIES:
        return jnp.log(jnp.maximum(f, TINY)), r["sigma"]
    if family == "additive":
        return f, r["sigma_add"]
    if family == "proportional":
        return f, r["sigma"] * jnp.maximum(f, TINY)
    return f, jnp.sqrt(r["sigma_add"] ** 2 + (r["sigma"] * f) ** 2)


def simulate_residual(
    family: str,
    f: np.ndarray,
    residual: Mapping[str, AnyArray],
    rng: np.random.Generator,
    *,
    nu: float = 4.0,
    dna_ug: float = DNA_UG,
) -> np.ndarray:
    """One measurement with residual error per prediction (numpy, any shape that broadcasts with the
    parameters).
    """
    location, scale = location_scale(family, jnp.asarray(f), residual, dna_ug)
    if family == "student_t":
        noise = rng.standard_t(nu, f.shape)
    else:
        noise = rng.standard_normal(f.shape)
    y = np.asarray(location) + np.asarray(scale) * noise
    if family in LOG_FAMILIES:
        return np.where(f > TINY, np.exp(y), 0.0)
    return y


def normal_logpdf(z: Array) -> Array:
    """log phi(z), elementwise."""
    return -0.5 * z**2 - jnp.asarray(0.5 * jnp.log(2 * jnp.pi))


_STRETCH = 0.25  # t = 1/(1 + |z|/4) maps the half line to (0, 1]


def _tail() -> np.ndarray:
    """Coefficients in x = 2t - 1, highest power first, of log Phi(-a) + a^2/2 - log t.

    That function is smooth and bounded on all of (0, 1].
    """
    x = chebyshev.chebpts1(21)
    t = (x + 1) / 2
    rest = np.log(erfcx((1 / t - 1) / _STRETCH * np.sqrt(0.5)) / (2 * t))
    return chebyshev.cheb2poly(chebyshev.chebfit(x, rest, 20))[::-1]


_TAIL = _tail()


@jax.custom_jvp
def normal_logcdf(z: Array) -> Array:
    """log Phi(z), within a relative 2e-14 of scipy.

    Every z takes the branch below 0: a polynomial of degree 20, a logarithm and a square. An erfc alone would
    cost as much, because XLA:CPU makes four kernels of it.
    """
    a = jnp.abs(z)
    t = 1.0 / (1.0 + _STRETCH * a)
    rest = jnp.polyval(jnp.asarray(_TAIL, t.dtype), 2.0 * t - 1.0, unroll=len(_TAIL))
    below = rest + jnp.log(t) - 0.5 * jnp.square(a)
    return jnp.where(z < 0, below, jnp.log1p(-jnp.exp(below)))


@normal_logcdf.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = normal_logcdf(primals[0])
    return value, jnp.exp(normal_logpdf(primals[0]) - value) * tangents[0]


def log_between(logcdf: Callable[[Array], Array], a: Array, b: Array) -> Array:
    """log(F(b) - F(a)) for a symmetric distribution function F, without cancellation in either tail."""
    flip = a > 0
    low = jnp.where(flip, -b, a)
    high = jnp.where(flip, -a, b)
    top = logcdf(high)
    bottom = logcdf(low)
    gap = jnp.minimum(bottom - top, -1e-300)
    return top + jnp.log(-jnp.expm1(gap))


def student(nu: float) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Log density and log CDF of Student's t with `nu` degrees of freedom; in elementary functions for
    `nu` 4.
    """
    constant = (
        jax.scipy.special.gammaln((nu + 1) / 2)
        - jax.scipy.special.gammaln(nu / 2)
        - 0.5 * jnp.log(nu * jnp.pi)
    )

    def logpdf(z: Array) -> Array:
        return constant - (nu + 1) / 2 * jnp.log1p(z**2 / nu)

    def lower(z: Array) -> Array:
        """F(-|z|); for 4 degrees of freedom it is (1-u)^2 (2+u)/4 with u = |z|/sqrt(4+z^2)."""
        if nu != 4:
            return 0.5 * jax.scipy.special.betainc(nu / 2, 0.5, nu / (nu + z**2))
        u = jnp.abs(z) / jnp.sqrt(4 + z**2)
        return jnp.square(4 / ((4 + z**2) * (1 + u))) * (2 + u) / 4

    @jax.custom_jvp
    def logcdf(z: Array) -> Array:
        tail = lower(z)
        return jnp.where(z < 0, jnp.log(tail), jnp.log1p(-tail))

    @logcdf.defjvp
    def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        value = logcdf(primals[0])
        return value, jnp.exp(logpdf(primals[0]) - value) * tangents[0]

    return logpdf, logcdf
