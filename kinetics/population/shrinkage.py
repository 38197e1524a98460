"""A prior that covariate effects share: most are close to 0, a few may be large.

The effect of a covariate on parameter X, per SD of the covariate or against the reference level, on the link
scale, is

    beta_j ~ Normal(0, s_j)
    horseshoe: s_j = c t_j / sqrt(c^2 + t_j^2),  t_j = sigma_X tau lambda_j,  lambda_j ~ HalfCauchy(1),
               tau ~ HalfCauchy(p0 / ((D - p0) sqrt(n)))
    normal:    s_j = tau,  tau ~ HalfNormal(c)

This is the regularised horseshoe of Piironen & Vehtari 2017 (Electron J Stat 11:5018, doi
10.1214/17-EJS1337SI) with a slab of known SD c, D effects of which p0 are expected to matter, and n subjects.
sigma_X is the prior median of the between-subject SD of X: a known number, so that the prior of the effects
does not depend on what the data say about the SD.

The sites are tau (`shrink_global`) and z_j of each effect (`shrink_z_X_COV`), all z_j standard normal and
independent. The horseshoe's lambda_j is summed out: beta_j is the value whose rank given tau is the rank of
z_j. A sampler given both z_j and lambda_j has two coordinates for one effect and seldom crosses between an
effect close to 0 and a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jax.scipy.stats import norm
from jaxtyping import Array, Float
from scipy.optimize import brentq
from scipy.special import ndtr as rank_of, ndtri

from kinetics.arrays import AnyArray
from kinetics.model import HalfCauchy, HalfNormal, Normal, Prior

__all__ = ["GLOBAL", "ScaleMixture", "Shrinkage"]

GLOBAL = "shrink_global"
# Points of the sum over a scale, equally spaced where the scale is standard normal.
_NORMAL = np.arange(-7.0, 7.01, 0.2)
_WEIGHTS = np.exp(-0.5 * _NORMAL**2) / np.sum(np.exp(-0.5 * _NORMAL**2))
_LOWER = np.tan(0.5 * np.pi * rank_of(-np.abs(_NORMAL)))
_CAUCHY = np.where(_NORMAL < 0, _LOWER, 1.0 / _LOWER)  # the points of the same ranks under a half-Cauchy
# The table of log |beta / c| over log |z| and log(sigma tau / c) from which Newton's method starts.
_LOG_Z = np.linspace(-8.0, 2.2, 61)
_LOG_RATIO = np.linspace(-14.0, 6.0, 41)
_HALVINGS = 20  # bisection steps of the table
_NEWTON = 5  # Newton steps from the table
_LEAST = 1e-9  # smallest |z| whose logarithm is taken


@dataclass(frozen=True)
class ScaleMixture:
    """The belief about one effect: Normal(0, s) whose SD s is one of `sds`, with probabilities `weights`."""

    sds: Float[np.ndarray, " sd"]
    weights: Float[np.ndarray, " sd"]

    @property
    def variance(self) -> float:
        """Variance of the effect."""
        return float(np.sum(self.weights * self.sds**2))

    def quantile(self, p: float) -> float:
        """The value below which the effect lies with probability `p`."""
        reach = 40.0 * float(self.sds.max())
        return _root(lambda x: np.sum(self.weights * rank_of(x / self.sds)) - p, -reach, reach)

    def below_zero(self, estimate: float, se: float) -> float:
        """Probability that the effect is below 0, given an `estimate` of it with standard error `se`."""
        variance = self.sds**2 + se**2
        log_weight = -0.5 * np.log(variance) - 0.5 * estimate**2 / variance
        weight = self.weights * np.exp(log_weight - log_weight.max())
        wrong = rank_of(-estimate * self.sds / (se * np.sqrt(variance)))
        return float(np.sum(weight * wrong) / np.sum(weight))

    def least(self, se: float, level: float = 0.05) -> float:
        """The smallest estimate, of standard error `se`, after which P(effect below 0) is at most `level`."""
        high = -float(ndtri(level)) * se
        while self.below_zero(high, se) > level:
            high *= 2.0
        return _root(lambda x: self.below_zero(x, se) - level, 0.0, high)


@dataclass(frozen=True)
class Shrinkage:
    """The shared prior of `count` effects, of which `expected` are expected to matter, in `subjects`
    subjects.

    `slab_sd` is c. `sigma` maps every parameter with shrunk effects to its prior between-subject SD.
    """

    kind: Literal["horseshoe", "normal"]
    slab_sd: float
    count: int
    subjects: int
    expected: float = 1.0
    sigma: Mapping[str, float] = field(default_factory=dict)

    @property
    def global_scale(self) -> float:
        """tau0 / sigma: the global scale at which on average `expected` effects are visible."""
        return float(self.expected / (self.count - self.expected) / np.sqrt(self.subjects))

    def priors(self, effects: Iterable[str]) -> dict[str, Prior]:
        """Site name -> prior, for effects named `X_COV`; empty without effects."""
        z: dict[str, Prior] = {f"shrink_z_{name}": Normal(0.0, 1.0) for name in effects}
        if not z:
            return {}
        tau: Prior = HalfNormal(self.slab_sd)
        if self.kind == "horseshoe":
            tau = HalfCauchy(self.global_scale)
        return {GLOBAL: tau, **z}

    def coefficients(
        self, effects: Mapping[str, str], s: Mapping[str, AnyArray]
    ) -> dict[str, Float[Array, "*draw"]]:
        """The beta of every effect, by name; `effects` maps the names `X_COV` to their parameters."""
        if not effects:
            return {}
        tau = jnp.asarray(s[GLOBAL])
        z = jnp.stack([jnp.asarray(s[f"shrink_z_{k}"]) for k in effects])
        if self.kind == "normal":
            return dict(zip(effects, tau * z, strict=True))
        ratio = jnp.stack([jnp.log(self.sigma[p] * tau / self.slab_sd) for p in effects.values()])
        return dict(zip(effects, self.slab_sd * _in_slabs(z, ratio), strict=True))

    def given(self, parameter: str, tau: float) -> ScaleMixture:
        """The prior of an effect on `parameter` for a global scale of `tau`."""
        if self.kind == "normal":
            return ScaleMixture(np.array([tau], float), np.ones(1))
        free = self.sigma[parameter] * tau * _CAUCHY
        return ScaleMixture(self.slab_sd * free / np.hypot(self.slab_sd, free), _WEIGHTS)

    def marginal(self, parameter: str) -> ScaleMixture:
        """The prior of an effect on `parameter`, averaged over the global scale."""
        if self.kind == "normal":
            scale = self.slab_sd * ndtri(0.5 + 0.5 * rank_of(_NORMAL))
            return ScaleMixture(scale, _WEIGHTS)
        each = [self.given(parameter, self.global_scale * x) for x in _CAUCHY]
        sds = np.concatenate([m.sds for m in each])
        weights = np.outer(_WEIGHTS, _WEIGHTS).ravel()
        return ScaleMixture(sds, weights)

    def kept(
        self, parameter: str, sds: Float[np.ndarray, "*sd"], variance: float
    ) -> Float[np.ndarray, "*sd"]:
        """1 - kappa: the share of its least-squares estimate that an effect of prior SD `sds` keeps.

        It assumes that sigma is the only error. `variance` is the variance of the design column. Summed over
        the effects it is m_eff, the effective number of effects.
        """
        signal = self.subjects * variance * (sds / self.sigma[parameter]) ** 2
        return signal / (1.0 + signal)


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """The root of `f` between `low` and `high`."""
    return float(brentq(f, low, high, xtol=1e-12))  # pyright: ignore[reportArgumentType]


@jax.custom_jvp
def _in_slabs(z: Float[Array, "*effect"], log_ratio: Float[Array, "*effect"]) -> Float[Array, "*effect"]:
    """Effects, in units of the slab's SD, that have the rank of `z`; `log_ratio` is log(sigma tau / c).

    This is the quantile function of the sum over lambda, computed by Newton's method on the logarithm of its
    upper tail, starting from a table.
    """
    s, _ = _scales(log_ratio)
    size = jnp.maximum(jnp.abs(z), _LEAST)
    log_tail = norm.logcdf(-size)

    def newton(_: Any, log_b: Array) -> Array:
        standardised = jnp.exp(log_b)[..., None] / s
        tail = jnp.sum(_WEIGHTS * ndtr(-standardised), -1)
        slope = jnp.sum(_WEIGHTS * norm.pdf(standardised) * standardised, -1)
        return log_b + jnp.clip(tail * (jnp.log(tail) - log_tail) / slope, -1.0, 1.0)

    start = _interpolated(jnp.log(size), log_ratio)
    return jnp.exp(jax.lax.fori_loop(0, _NEWTON, newton, start)) * z / size


def _interpolated(log_z: Array, log_ratio: Array) -> Array:
    """log |b|, bilinear between the table's points; below the table b is proportional to z and to tau."""
    low_z = _LOG_Z[0]
    low_ratio = _LOG_RATIO[0]
    below = jnp.minimum(log_z - low_z, 0.0) + jnp.minimum(log_ratio - low_ratio, 0.0)
    row = (log_z - low_z) / (_LOG_Z[1] - low_z)
    column = (log_ratio - low_ratio) / (_LOG_RATIO[1] - low_ratio)
    inside = jax.scipy.ndimage.map_coordinates(jnp.asarray(_table()), [row, column], order=1, mode="nearest")
    return inside + below


@cache
def _table() -> Float[np.ndarray, "z ratio"]:
    """log |b| at every pair of `_LOG_Z` and `_LOG_RATIO`, by bisection."""
    free = np.exp(_LOG_RATIO)[None, :, None] * _CAUCHY
    s = free / np.hypot(1.0, free)
    tail = rank_of(-np.exp(_LOG_Z))[:, None]
    low = np.full((len(_LOG_Z), len(_LOG_RATIO)), -45.0)
    high = np.full((len(_LOG_Z), len(_LOG_RATIO)), 3.0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = rank_of(-np.exp(middle)[..., None] / s) @ _WEIGHTS > tail
        low = np.where(above, middle, low)
        high = np.where(above, high, middle)
    return 0.5 * (low + high)


def _scales(log_ratio: Array) -> tuple[Float[Array, "*effect lambda"], Float[Array, "*effect lambda"]]:
    """s / c for every lambda, and d log s / d log_ratio."""
    free = jnp.exp(log_ratio)[..., None] * _CAUCHY
    return free / jnp.sqrt(1.0 + free**2), 1.0 / (1.0 + free**2)


@_in_slabs.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The rank stays the same: density x d beta = phi(z) dz + the change of rank by the scales."""
    z, log_ratio = primals
    dz, d_ratio = tangents
    b = _in_slabs(z, log_ratio)
    s, s_slope = _scales(log_ratio)
    standardised = b[..., None] / s
    pdf = _WEIGHTS * norm.pdf(standardised)
    density = jnp.sum(pdf / s, -1)
    rank_slope = jnp.sum(pdf * standardised * s_slope, -1)
    return b, (norm.pdf(z) * dz + rank_slope * d_ratio) / density
