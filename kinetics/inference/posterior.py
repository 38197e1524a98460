"""The posterior as one function of one flat real vector, as samplers and optimisers take it.

A point is z = (v, u). v stands for the population sites (unconstrained: logs of positive ones, logits of
fractions). u stands for the random effects, with one row for each varying parameter and one column for each
subject. `Coordinates` hold the arrays of this map:

    g = centre + scale v                                      population sites, unconstrained
    A_i = H_i + P(g),  A_i b_i = q_i + X_i (g - g0) + H_i (p_i - c_i(g)) + C_i u_i,  C_i C_i' = A_i

where c_i(g) is the subject's centre, b_i its random effects, P(g) their prior precision, and q_i and H_i are
the slope and the curvature of its log-likelihood at the point p_i, all on the link scale. X_i is how that
slope changes with population sites that move the likelihood itself (a parameter that does not vary, a
residual SD), so that the effects follow them. If the likelihood were quadratic, u would be standard normal
and independent of g, however much or little a subject's data say.

H = 0 is the usual non-centred parametrisation, a large H the centred one. A plan may ask for either. H is 0
in the rows of `non_centred`. The rows of `centred` are b = p - c(g) + spread u, each independent of the
others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, erfinv, ndtr, ndtri
from jaxtyping import Array, Float
from numpyro.distributions import LKJCholesky
from numpyro.distributions.transforms import CorrCholeskyTransform

from kinetics.arrays import AnyArray, unstacked
from kinetics.model import Correlation, HalfCauchy, HalfNormal, Link, Prior, inverse_link, link
from kinetics.plan import BoundFit, FitData, Predictions
from kinetics.population import centres, conditional, shift_of

__all__ = ["Coordinates", "Posterior"]

Sites = dict[str, Array]


class Coordinates(NamedTuple):
    """The coordinates v and u of a flat point, by the arrays of the module's equations.

    `point`, `slope` and `information` are p, q and H; `information` is None for the plain parametrisation.
    """

    centre: Float[AnyArray, " population"]
    scale: Float[AnyArray, "population population"]
    point: Float[AnyArray, "vary subject"] | None = None
    slope: Float[AnyArray, "vary subject"] | None = None
    information: Float[AnyArray, "vary vary subject"] | None = None
    share: Float[AnyArray, " subject"] | None = None  # probability of a mixture's second class
    spread: Float[AnyArray, "vary subject"] | None = None  # of the centred rows
    cross: Float[AnyArray, "vary subject population"] | None = None  # X
    origin: Float[AnyArray, " population"] | None = None  # g0


class Posterior:
    """The log density of a bound fit, its population sites and its coordinates, as pure functions of arrays.

    `names` are the population sites of the first coordinates of g, but for correlation matrices; `blocks` are
    the correlated blocks, whose coordinates come after them. `population` is the size of g, `size` that of z.
    """

    def __init__(self, bound: BoundFit) -> None:
        self.bound = bound
        self.h = bound.hierarchy
        self.vary = self.h.vary
        self.subjects = len(bound.subjects)
        centred = np.array([k in bound.plan.effects.centred for k in self.vary], bool)
        self.centred = np.flatnonzero(centred)
        self.free = np.flatnonzero(~centred)
        self.priors = bound.priors()
        self.names = tuple(k for k in self.priors if not k.startswith("corr_"))
        self.blocks = self.h.correlated
        pairs = [len(b) * (len(b) - 1) // 2 for b in self.blocks]
        self.population = len(self.names) + sum(pairs)
        self.size = self.population + len(self.vary) * self.subjects
        site_priors = [self.priors[k] for k in self.names]
        # a correlation of residuals, whose coordinate has no normal prior
        self._correlation = np.array([isinstance(p, Correlation) for p in site_priors], bool)
        self._unit = np.array([_normal(p)[1] for p in site_priors])
        self._middle = np.array([_normal(p)[0] for p in site_priors])
        self._kinds = np.array([_kind(p) for p in site_priors])
        self._scale = np.array([_scale(p) for p in site_priors])
        # the densities of several z, compiled once
        self.log_densities = jax.jit(jax.vmap(self.log_density, (0, None, None)))

    def plain(self) -> Coordinates:
        """Return the coordinates at the prior medians, non-centred except for what the plan centres."""
        medians = {k: jnp.asarray(p.median, float) for k, p in self.priors.items()}
        coordinates = Coordinates(self.unconstrained(medians), np.eye(self.population))
        if not len(self.centred):
            return coordinates
        spread = np.asarray(self.omega(medians))[:, None] * np.ones(self.subjects)
        return coordinates._replace(point=np.asarray(self.centres(medians, self.bound.data)), spread=spread)

    def units(self) -> Float[np.ndarray, " population"]:
        """Return roughly the prior's SD of every coordinate of g, which is the natural size of a step."""
        return np.concatenate([self._unit, np.ones(self.population - len(self.names))])

    def unconstrained(self, sites: Mapping[str, Any]) -> Float[np.ndarray, " population"]:
        """Return the vector g of population sites given on their own scale."""
        values = [self.unconstrained_site(k, sites[k]) for k in self.names]
        corr = self.h.correlation(sites)
        row_of = {name: i for i, name in enumerate(self.vary)}
        for block in self.blocks:
            rows = np.array([row_of[k] for k in block])
            factor = jnp.linalg.cholesky(corr[rows][:, rows])
            values += list(np.asarray(CorrCholeskyTransform().inv(factor)))
        return np.array(values, float)

    def unconstrained_site(self, site: str, value: float) -> float:
        """Return the coordinate of one population site at a value on its own scale."""
        return float(self._unconstrained(self.priors[site], jnp.asarray(value, float)))

    def constrained_site(self, site: str, x: Any) -> Array:
        """Return the value of one population site at its coordinate."""
        return _constrained(_kind(self.priors[site]), jnp.asarray(x)) * _scale(self.priors[site])

    def _constrained(self, x: Float[Array, " site"]) -> Float[Array, " site"]:
        """Return the values of all of `names` at their coordinates, each kind of site in one step.

        The matrix product that restores their order keeps XLA:CPU from computing them again wherever they are
        read.
        """
        order = np.argsort(self._kinds, kind="stable")
        by_kind = np.eye(len(order))[order]
        x = jnp.dot(by_kind, x, precision="highest")
        first = 0
        values = []
        for kind, n in zip(*np.unique(self._kinds, return_counts=True), strict=True):
            values.append(_constrained(str(kind), x[first : first + n]))
            first += n
        finite = jnp.minimum(jnp.concatenate(values) * self._scale[order], jnp.finfo(x.dtype).max)
        return jnp.dot(by_kind.T, finite, precision="highest")

    @staticmethod
    def _unconstrained(prior: Prior, value: Array) -> Array:
        if isinstance(prior, HalfCauchy):
            return prior.to_normal(value)
        if isinstance(prior, HalfNormal):
            return ndtri(erf(value / (prior.scale * np.sqrt(2.0))))
        if isinstance(prior, Correlation):
            return jnp.arctanh(value)
        return link(prior.link, value)

    def sites(self, g: Float[Array, " population"]) -> tuple[Sites, Float[Array, ""]]:
        """Return the population sites of a vector g, and its log prior density (Jacobian included).

        The effects that share a prior are among the sites, computed from the sites of that prior.
        """
        n = len(self.names)
        x = g[:n]
        # the sites that have a normal prior in their coordinate
        standard = (x - self._middle) / self._unit
        normal = -0.5 * standard**2 - np.log(self._unit) - 0.5 * np.log(2 * np.pi)
        log_prior = jnp.sum(jnp.where(self._correlation, 0.0, normal))
        s = dict(zip(self.names, unstacked(self._constrained(x)), strict=True))
        # the correlations of residuals
        for k in np.array(self.names)[self._correlation]:
            log_prior += self.priors[k].to_numpyro().log_prob(s[k]) + jnp.log1p(-(s[k] ** 2))
        # the correlation matrices of random effects, as Cholesky factors
        for block in self.blocks:
            size = len(block) * (len(block) - 1) // 2
            to_factor = CorrCholeskyTransform()
            factor = to_factor(g[n : n + size])
            log_prior += LKJCholesky(len(block), self.h.concentration).log_prob(factor)
            log_prior += to_factor.log_abs_det_jacobian(g[n : n + size], factor)
            matrix = factor @ factor.T
            pairs = [(i, j) for i in range(len(block)) for j in range(i + 1, len(block))]
            s |= {f"corr_{block[i]}_{block[j]}": matrix[i, j] for i, j in pairs}
            n += size
        return s | {k: jnp.asarray(v) for k, v in self.h.coefficients(s).items()}, log_prior

    def split(
        self, z: Float[Array, " size"]
    ) -> tuple[Float[Array, " population"], Float[Array, "vary subject"]]:
        """Return v and u."""
        return z[: self.population], z[self.population :].reshape(len(self.vary), self.subjects)

    @staticmethod
    def placed(
        v: Float[Array, " population"], coordinates: Coordinates
    ) -> tuple[Float[Array, " population"], Coordinates]:
        """Return g, and the coordinates with every subject's slope as it is at g."""
        g = jnp.asarray(coordinates.centre + coordinates.scale @ v)
        if coordinates.cross is None or coordinates.origin is None or coordinates.slope is None:
            return g, coordinates
        return g, coordinates._replace(
            slope=coordinates.slope + jnp.asarray(coordinates.cross) @ (g - coordinates.origin)
        )

    def log_density(
        self, z: Float[Array, " size"], data: FitData, coordinates: Coordinates
    ) -> Float[Array, ""]:
        """Log posterior density of z, up to a constant; -inf with zero gradient where a prediction fails."""
        v, u = self.split(z)
        g, coordinates = self.placed(v, coordinates)
        s, log_prior = self.sites(g)
        b, log_volume = self.effects(s, u, data, coordinates)
        return log_prior + jnp.sum(self.log_joint(s, b, data) + log_volume)

    def log_joint(
        self, s: Sites, b: Float[Array, "vary subject"], data: FitData, read: Predictions | None = None
    ) -> Float[Array, " subject"]:
        """Sum of each subject's log-likelihood and the log density of its random effects b (link scale).

        `read` is the model's predictions there, where they have been computed already.
        """
        s = self.with_effects(s, b)
        omega = self.omega(s)
        prior = self.bound.effects_log_prob(s) - jnp.sum(jnp.log(omega))
        return prior + self.bound.subject_log_likelihood(s, data, read)

    def with_effects(self, s: Sites, b: Float[Array, "vary subject"]) -> Sites:
        """Return the population sites, and with them the standardised random effects eta_X."""
        if not self.vary:
            return s
        eta = unstacked(b / self.omega(s)[:, None])
        return s | {f"eta_{k}": row for k, row in zip(self.vary, eta, strict=True)}

    def omega(self, s: Mapping[str, AnyArray]) -> Float[Array, " vary"]:
        """Return the standard deviations of the random effects."""
        sds = [jnp.asarray(s[self.h.sd_site(k)]) for k in self.vary]
        return jnp.stack(sds) if sds else jnp.ones(0)

    def centres(self, s: Mapping[str, AnyArray], data: FitData) -> Float[Array, "vary subject"]:
        """Return c_i, every subject's varying parameters on the link scale before its random effects."""
        return centres(self.h, self.vary, s, data.design, self.subjects)

    def precision(self, s: Mapping[str, AnyArray]) -> Float[Array, "vary vary"]:
        """Prior precision of the random effects on the link scale."""
        omega = self.omega(s)
        if not self.h.correlated:
            return jnp.diag(omega**-2)
        return jnp.linalg.inv(self.h.correlation(s)) / jnp.outer(omega, omega)

    def effects(
        self, s: Sites, u: Float[Array, "vary subject"], data: FitData, coordinates: Coordinates
    ) -> tuple[Float[Array, "vary subject"], Float[Array, " subject"]]:
        """Return b, and the log of the volume change |db/du|, of each subject."""
        if not self.vary:
            return u, jnp.zeros(self.subjects)
        if not len(self.centred):
            return self._conditional(s, u, data, coordinates, slice(None))
        assert coordinates.point is not None
        assert coordinates.spread is not None
        # the rows that the plan centres
        rows = self.centred
        spread = coordinates.spread[rows]
        centred = jnp.asarray(coordinates.point)[rows] - self.centres(s, data)[rows] + spread * u[rows]
        log_volume = jnp.sum(jnp.log(spread), axis=0)
        # the others
        free = self.free
        if not len(free):
            return centred, log_volume
        others, others_log_volume = self._conditional(s, u[free], data, coordinates, free)
        b = jnp.zeros_like(u).at[rows].set(centred).at[free].set(others)
        return b, log_volume + others_log_volume

    def _conditional(
        self, s: Sites, u: Float[Array, "row subject"], data: FitData, coordinates: Coordinates, rows: Any
    ) -> tuple[Float[Array, "row subject"], Float[Array, " subject"]]:
        """Return b and log |db/du| of the rows that the plan does not centre.

        None of them is correlated with a row that it does.
        """
        omega = self.omega(s)
        # the plain parametrisation
        if coordinates.information is None or coordinates.point is None or coordinates.slope is None:
            log_volume = jnp.sum(jnp.log(omega[rows]))
            if not self.h.correlated:
                return omega[rows, None] * u, log_volume * jnp.ones(self.subjects)
            factor = jnp.linalg.cholesky(self.h.correlation(s)[rows][:, rows])
            log_volume += jnp.sum(jnp.log(jnp.diagonal(factor)))
            return omega[rows, None] * (factor @ u), log_volume * jnp.ones(self.subjects)
        # the equation of A_i b_i
        precision = self.precision(s)[rows][:, rows]
        away = (coordinates.point - self.centres(s, data))[rows]
        mixture_shift = jnp.zeros(())
        if coordinates.share is not None:
            mixture_shift = ((shift_of(self.h, s) * omega)[:, None] * coordinates.share)[rows]
            away = away - mixture_shift
        information = jnp.asarray(coordinates.information)[rows][:, rows]
        pull = coordinates.slope[rows] + jnp.sum(information * away, axis=1)
        b, log_volume = conditional(information + precision[..., None], pull, u)
        return b + mixture_shift, log_volume


def _normal(prior: Prior) -> tuple[float, float]:
    """Mean and SD of a prior in its coordinate; 0 and 1 where the coordinate is not that of its link."""
    if isinstance(prior, HalfNormal | HalfCauchy | Correlation):
        return 0.0, 1.0
    return float(link(prior.link, jnp.asarray(prior.median, float))), prior.sd


def _kind(prior: Prior) -> str:
    """Name of the map from a coordinate to a site's value: the prior's class if it has its own, else a
    link.
    """
    if isinstance(prior, HalfNormal | HalfCauchy | Correlation):
        return type(prior).__name__
    return prior.link


def _scale(prior: Prior) -> float:
    """Factor on the values of `_constrained`."""
    return prior.scale if isinstance(prior, HalfNormal | HalfCauchy) else 1.0


def _constrained(kind: str, x: Array) -> Array:
    """Return the values, before their scale, at coordinates of one kind.

    The coordinate of a HalfNormal is the one in which it is standard normal. Its log would have a long left
    tail wherever the data do not keep a standard deviation off zero. The coordinate of a HalfCauchy is
    standard normal too. Its log has two long tails, and no step of a sampler suits both them and the middle.
    """
    if kind == "HalfCauchy":
        return HalfCauchy(1.0).of_normal(x)
    if kind == "HalfNormal":
        return _half_normal(x)
    if kind == "Correlation":
        return jnp.tanh(x)
    return inverse_link(cast("Link", kind), x)


@jax.custom_jvp
def _half_normal(x: Array) -> Array:
    """Return the value whose rank under a half-normal of scale 1 is that of x under a standard normal."""
    return np.sqrt(2.0) * erfinv(ndtr(x))


@_half_normal.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = _half_normal(primals[0])
    return value, 0.5 * jnp.exp(0.5 * (jnp.square(value) - jnp.square(primals[0]))) * tangents[0]
