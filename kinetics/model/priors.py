"""The priors that a model file or a fit TOML may name. Each knows its link to the real line.

A population value has a `LogNormal`, `LogitNormal` or `Normal` prior. The same link carries the
between-subject variability: an individual parameter is `inverse_link(link(population) + omega * eta)`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Real

__all__ = [
    "DISTRIBUTIONS",
    "Correlation",
    "HalfCauchy",
    "HalfNormal",
    "Link",
    "LogNormal",
    "LogitNormal",
    "Normal",
    "Prior",
    "describe",
    "inverse_link",
    "link",
]

Link = Literal["log", "logit", "identity"]


@dataclass(frozen=True)
class LogNormal:
    """`log x ~ Normal(log median, sd)`; x > 0. `sd` is a standard deviation, never a variance.

    >>> prior = kn.LogNormal(median=2.0, sd=0.3)
    >>> prior.median, prior.link
    (2.0, 'log')
    >>> [round(float(q), 2) for q in prior.to_numpyro().icdf(np.array([0.05, 0.95]))]
    [1.22, 3.28]
    """

    median: float
    sd: float
    link: Link = "log"

    def to_numpyro(self) -> dist.Distribution:
        """The distribution, to sample and to score with."""
        return dist.LogNormal(jnp.log(self.median), self.sd)


@dataclass(frozen=True)
class LogitNormal:
    """`logit x ~ Normal(logit median, sd)`; 0 < x < 1.

    >>> prior = kn.LogitNormal(median=0.7, sd=0.5)
    >>> prior.link, bool(0 < prior.to_numpyro().icdf(0.999) < 1)
    ('logit', True)
    """

    median: float
    sd: float
    link: Link = "logit"

    def to_numpyro(self) -> dist.Distribution:
        """The distribution, to sample and to score with."""
        logit_x = dist.Normal(jax.scipy.special.logit(self.median), self.sd)
        return dist.TransformedDistribution(logit_x, dist.transforms.SigmoidTransform())


@dataclass(frozen=True)
class Normal:
    """`x ~ Normal(mean, sd)`.

    >>> prior = kn.Normal(mean=0.0, sd=1.0)
    >>> prior.median, prior.link, round(float(prior.to_numpyro().icdf(0.95)), 2)
    (0.0, 'identity', 1.64)
    """

    mean: float
    sd: float
    link: Link = "identity"

    @property
    def median(self) -> float:
        """The mean: half of the prior lies below it."""
        return self.mean

    def to_numpyro(self) -> dist.Distribution:
        """The distribution, to sample and to score with."""
        return dist.Normal(self.mean, self.sd)


@dataclass(frozen=True)
class HalfNormal:
    """`x ~ |Normal(0, scale)|`, for residual and between-subject standard deviations.

    >>> prior = kn.HalfNormal(0.5)
    >>> round(prior.median, 3), round(float(prior.to_numpyro().mean), 3)
    (0.337, 0.399)
    """

    scale: float
    link: Link = "log"

    @property
    def median(self) -> float:
        """The median, in the unit of x: half of the prior lies below it."""
        return 0.674489750196082 * self.scale  # the upper quartile of a standard normal

    def to_numpyro(self) -> dist.Distribution:
        """The distribution, to sample and to score with."""
        return dist.HalfNormal(self.scale)


@dataclass(frozen=True)
class HalfCauchy:
    """`x ~ |Cauchy(0, scale)|`, for the scales of a horseshoe.

    log x is symmetric about log scale, with SD pi/2.
    """

    scale: float
    link: Link = "log"

    @property
    def median(self) -> float:
        """The scale: half of the prior lies below it."""
        return self.scale

    @property
    def sd(self) -> float:
        """The standard deviation of log x: pi/2."""
        return 1.5707963267948966

    def to_numpyro(self) -> dist.Distribution:
        return dist.HalfCauchy(self.scale)

    def of_normal(self, x: Real[Array, "..."]) -> Real[Array, "..."]:
        """The value with the rank that `x` has under a standard normal.

        Both tails keep their relative precision.
        """
        lower = jnp.tan(0.5 * jnp.pi * jax.scipy.special.ndtr(-jnp.abs(x)))
        return self.scale * jnp.where(x < 0, lower, 1.0 / lower)

    def to_normal(self, value: Real[Array, "..."]) -> Real[Array, "..."]:
        """The inverse of `of_normal`."""
        ratio = value / self.scale
        rank = jnp.arctan(jnp.minimum(ratio, 1.0 / ratio)) * 2.0 / jnp.pi
        return jnp.where(ratio < 1.0, 1.0, -1.0) * jax.scipy.special.ndtri(rank)


@dataclass(frozen=True)
class Correlation:
    """The marginal prior of one correlation of a matrix of `size` under LKJ(concentration).

    It is 2 Beta(a, a) - 1. At size 2, p(x) ~ (1 - x^2)^(concentration - 1), and concentration 1 is uniform.
    Lewandowski, Kurowicka & Joe 2009, doi 10.1016/j.jmva.2009.04.008.
    """

    concentration: float = 1.0
    size: int = 2
    link: Link = "identity"

    @property
    def median(self) -> float:
        """0: half of the prior lies below it."""
        return 0.0

    @property
    def shape(self) -> float:
        """The shape a of Beta(a, a)."""
        return self.concentration - 1.0 + self.size / 2.0

    @property
    def sd(self) -> float:
        """The standard deviation of the correlation."""
        return (2.0 * self.shape + 1.0) ** -0.5

    def to_numpyro(self) -> dist.Distribution:
        to_correlation = dist.transforms.AffineTransform(-1.0, 2.0, domain=dist.constraints.unit_interval)
        return dist.TransformedDistribution(dist.Beta(self.shape, self.shape), to_correlation)


Prior = LogNormal | LogitNormal | Normal | HalfNormal | HalfCauchy | Correlation
DISTRIBUTIONS: dict[str, type[Any]] = {
    "LogNormal": LogNormal,
    "LogitNormal": LogitNormal,
    "Normal": Normal,
    "HalfNormal": HalfNormal,
}


def describe(prior: Prior) -> str:
    """`LogNormal(median 9.3, sd 0.5)`, for cards and tables."""
    fields = asdict(prior)
    del fields["link"]
    numbers = ", ".join(f"{name} {value:g}" for name, value in fields.items())
    return f"{type(prior).__name__}({numbers})"


def link(kind: Link, x: Real[Array, "..."]) -> Real[Array, "..."]:
    """Take the values of a parameter to the real line."""
    if kind == "log":
        return jnp.log(x)
    if kind == "logit":
        return jax.scipy.special.logit(x)
    return x


def inverse_link(kind: Link, x: Real[Array, "..."]) -> Real[Array, "..."]:
    """Bring the values of a parameter back from the real line."""
    if kind == "log":
        return jnp.exp(x)
    if kind == "logit":
        return jax.nn.sigmoid(x)
    return x
