"""The marginal likelihood with the random effects integrated out by Laplace's method, and its maximum.

For population values g, each subject's random effects are at their mode b(g), with curvature A = P + J' W J: the
prior precision and the Gauss-Newton information of its records. That is FOCE with interaction (Lindstrom & Bates
1990; Wang 2007 compares it with the exact value):

    log p(y | g) ~ sum_i [log p(y_i, b_i | g) + d/2 log 2 pi - 1/2 log det A_i]

Its maximum, with the priors, is where chains begin and lays out their coordinates (`kinetics.chart`). Three programs
are compiled, whatever the method does with them: the joint density with its gradient, the information, and the
information's product with a matrix, differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize

from kinetics.bind import FitData
from kinetics.errors import FitError
from kinetics.information import record_information
from kinetics.posterior import Posterior

__all__ = ["Joint", "Laplace", "Marginal", "Modes"]

_INNER = 30  # Newton steps of the random effects, at most
_BARRED = 1e10  # what a minimiser is told where the density is zero
Effects = Float[np.ndarray, "vary subject"]
Matrices = Float[np.ndarray, "subject vary vary"]


class Joint(NamedTuple):
    """Each subject's log joint density, and the gradient of their sum by g and by the random effects."""

    value: Float[np.ndarray, " subject"]
    by_g: Float[np.ndarray, " population"]
    by_b: Effects


class Modes(NamedTuple):
    """The subjects' random effects at their mode (link scale), the information and the curvature A there."""

    b: Effects
    information: Matrices
    curvature: Matrices
    value: Float[np.ndarray, " subject"]  # log marginal likelihood of each subject


@dataclass(frozen=True)
class Laplace:
    """The maximum: population values `g` (unconstrained), their covariance, and the modes of the subjects."""

    g: Float[np.ndarray, " population"]
    covariance: Float[np.ndarray, "population population"]
    modes: Modes
    log_likelihood: float
    log_prior: float
    converged: bool
    evaluations: int


class Marginal:
    """The Laplace marginal of a posterior: compiled once, used on any data of the same shapes."""

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self.by_difference = posterior.bound.model.vector_field is not None

        def joint(g: Array, b: Array, data: FitData) -> tuple[Array, Array]:
            each = posterior.log_joint(posterior.sites(g)[0], b, data)
            return jnp.sum(each), each

        def contracted(g: Array, b: Array, weight: Array, data: FitData) -> Array:
            return jnp.sum(self._information(g, b, data) * weight)

        def population(g: Array, data: FitData) -> tuple[Array, Array]:
            s, _ = posterior.sites(g)
            return posterior.centres(s, data), posterior.precision(s)

        self._joint = jax.jit(jax.value_and_grad(joint, (0, 1), has_aux=True))

        def effects(b: Array, g: Array) -> Array:
            s = posterior.with_effects(posterior.sites(g)[0], b)
            return jnp.sum(posterior.bound.effects_log_prob(s))

        self._effects_slope = jax.jit(lambda g, b: jax.grad(effects)(b, g))
        self._inform = jax.jit(self._information)
        self._contract = jax.jit(jax.grad(contracted, (0, 1)))
        self._population = jax.jit(population)
        self._turned = jax.jit(lambda g, data, bars: jax.vjp(lambda g: population(g, data), g)[1](bars)[0])
        self._prior = jax.jit(jax.value_and_grad(lambda g: posterior.sites(g)[1]))

    def joint(self, g: np.ndarray, b: Effects, data: FitData) -> Joint:
        (_, value), (by_g, by_b) = self._joint(g, b, data)
        return Joint(np.asarray(value), np.asarray(by_g), np.asarray(by_b))

    def prior_slope(self, g: np.ndarray, b: Effects) -> Effects:
        """Gradient of the log density of the random effects."""
        return np.asarray(self._effects_slope(g, b))

    def likelihood_slope(self, g: np.ndarray, b: Effects, data: FitData) -> Effects:
        """Gradient of each subject's log-likelihood with respect to its random effects."""
        return self.joint(g, b, data).by_b - self.prior_slope(g, b)

    def information(self, g: np.ndarray, b: Effects, data: FitData) -> Matrices:
        """J' W J of every subject's records."""
        return np.asarray(self._inform(g, b, data))

    def precision(self, g: np.ndarray, data: FitData) -> Float[np.ndarray, "vary vary"]:
        """Prior precision of the random effects on the link scale."""
        return np.asarray(self._population(g, data)[1])

    def centres(self, g: np.ndarray, data: FitData) -> Effects:
        """Every subject's varying parameters on the link scale, before its random effects."""
        return np.asarray(self._population(g, data)[0])

    def _information(self, g: Array, b: Array, data: FitData) -> Float[Array, "subject vary vary"]:
        """Exact slopes for closed forms, central differences for equations, all in one solve."""
        s, _ = self.posterior.sites(g)
        bound, d = self.posterior.bound, len(b)

        def predicted(b: Array) -> dict[str, Array]:
            return bound.predicted(self.posterior.with_effects(s, b), data)

        each = jnp.eye(d)[:, :, None] * jnp.ones_like(b)
        if self.by_difference:
            h = 5e-3
            many = jax.vmap(predicted)(jnp.concatenate([b[None], b + h * each, b - h * each]))
            here = {k: f[0] for k, f in many.items()}
            slopes = {k: (f[1 : d + 1] - f[d + 1 :]) / (2 * h) for k, f in many.items()}
        else:
            here = predicted(b)
            slopes = jax.vmap(lambda e: jax.jvp(predicted, (b,), (e,))[1])(each)
        total = jnp.zeros((b.shape[1], d, d))
        for assay in bound.assays:
            weight = record_information(
                assay.likelihood, here[assay.analyte], data.observations.assays[assay.analyte],
                assay.residual(s), nu=assay.nu, dna_ug=assay.dna_ug,
                present=assay.present,
            )  # fmt: skip
            j = jnp.where(weight > 0, jnp.nan_to_num(slopes[assay.analyte]), 0.0)
            total += jnp.einsum("isr,jsr,sr->sij", j, j, weight)
        return total

    def modes(self, g: np.ndarray, b: Effects, data: FitData) -> Modes:
        """Newton's method with Levenberg's damping, each subject by itself, from `b`."""
        precision, d = self.precision(g, data), len(b)
        at = self.joint(g, b, data)
        if not np.isfinite(at.value).all():
            b = np.where(np.isfinite(at.value), b, 0.0)
            at = self.joint(g, b, data)
        damping, done = np.zeros(b.shape[1]), np.zeros(b.shape[1], bool)
        a = self.information(g, b, data) + precision
        for _ in range(_INNER):
            diagonal = np.eye(d) * np.diagonal(a, axis1=1, axis2=2)[:, None]
            step = np.linalg.solve(a + damping[:, None, None] * diagonal, at.by_b.T[..., None])[..., 0].T
            done = (np.sum(step * at.by_b, axis=0) < 1e-6) | (damping > 1e5)
            if done.all():
                break
            tried = self.joint(g, b + np.where(done, 0.0, step), data)
            better = ~done & (tried.value > at.value - 1e-10 * np.abs(at.value))
            damping = np.where(better, damping / 8, np.where(done, damping, np.maximum(8 * damping, 1e-3)))
            b = np.where(better, b + step, b)
            at = Joint(
                np.where(better, tried.value, at.value), tried.by_g, np.where(better, tried.by_b, at.by_b)
            )
            a = self.information(g, b, data) + precision
        information = a - precision
        value = at.value + 0.5 * d * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(a)[1]
        return Modes(b, information, a, value)

    def value_and_gradient(
        self, g: np.ndarray, b: Effects, data: FitData, *, with_prior: bool
    ) -> tuple[float, Float[np.ndarray, " population"], Modes]:
        """The log marginal (and prior), its gradient, and the modes, which move with g as well."""
        modes = self.modes(g, b, data)
        at = self.joint(g, modes.b, data)
        inverse = np.linalg.inv(modes.curvature)
        of_g, of_b = (np.asarray(x) for x in self._contract(g, modes.b, inverse, data))
        of_g = of_g + np.asarray(self._turned(g, data, (np.zeros_like(modes.b), inverse.sum(axis=0))))
        w = np.einsum("sij,js->is", inverse, of_b)  # the modes answer g through d^2 joint / db dg
        h = 1e-3 / max(1.0, float(np.max(np.abs(w), initial=0.0)))
        up, down = (self.joint(g, modes.b + k * w, data).by_g for k in (h, -h))
        gradient = at.by_g - 0.5 * (of_g + (up - down) / (2 * h))
        value = float(np.sum(modes.value))
        if with_prior:
            prior, slope = self._prior(g)
            value, gradient = value + float(prior), gradient + np.asarray(slope)
        return value, gradient, modes

    def climb(
        self, data: FitData, g: np.ndarray, *, with_prior: bool, rounds: int = 15
    ) -> tuple[Float[np.ndarray, " population"], Effects]:
        """EM from `g`: slow at the end, not to be led astray at the beginning. Returns g and random effects.

        Each round maximises the expected log density of records (to second order) and of the subjects' parameters
        theta, given where those are and their covariance.
        """
        unit, b = self.posterior.units(), np.zeros((len(self.posterior.vary), self.posterior.subjects))
        for _ in range(rounds):
            modes = self.modes(g, b, data)
            theta, covariance = self.centres(g, data) + modes.b, np.linalg.inv(modes.curvature)

            def fall(x: np.ndarray, theta=theta, covariance=covariance, g=g) -> tuple[float, np.ndarray]:
                value, slope = self._expected(g + unit * x, theta, covariance, data, with_prior=with_prior)
                if not (np.isfinite(value) and np.isfinite(slope).all()):
                    return _BARRED, np.zeros_like(x)
                return -value, -unit * slope

            found = minimize(fall, np.zeros_like(g), jac=True, method="L-BFGS-B", options={"maxiter": 8})
            g = g + unit * found.x
            b = theta - self.centres(g, data)
            if np.max(np.abs(found.x), initial=0.0) < 0.02:
                break
        return g, b

    def _expected(
        self, g: np.ndarray, theta: Effects, covariance: Matrices, data: FitData, *, with_prior: bool
    ) -> tuple[float, Float[np.ndarray, " population"]]:
        b, precision = theta - self.centres(g, data), self.precision(g, data)
        at = self.joint(g, b, data)
        information = self.information(g, b, data)
        of_g, of_b = (np.asarray(x) for x in self._contract(g, b, covariance, data))
        by_b = at.by_b - 0.5 * of_b
        through = np.asarray(self._turned(g, data, (-by_b, -0.5 * covariance.sum(axis=0))))
        value = float(np.sum(at.value) - 0.5 * np.sum((information + precision) * covariance))
        gradient = at.by_g - 0.5 * of_g + through
        if with_prior:
            prior, slope = self._prior(g)
            value, gradient = value + float(prior), gradient + np.asarray(slope)
        return value, gradient

    def maximise(self, data: FitData, g: np.ndarray, *, with_prior: bool, most: int = 200) -> Laplace:
        """The maximum from `g` by EM and then BFGS, in units of the prior SDs, and the covariance there."""
        unit = self.posterior.units()
        middle, b = self.climb(data, np.asarray(g, float), with_prior=with_prior)
        best: dict[str, Any] = {"b": b}

        def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope, modes = self.value_and_gradient(
                middle + unit * x, best["b"], data, with_prior=with_prior
            )
            if not (np.isfinite(value) and np.isfinite(slope).all()):
                return _BARRED, np.zeros_like(x)
            best["b"] = modes.b
            return -value, -unit * slope

        found = minimize(
            objective, np.zeros_like(middle), jac=True, method="BFGS", options={"maxiter": most, "gtol": 1e-2}
        )
        if not np.isfinite(found.fun) or found.fun >= _BARRED:
            raise FitError(
                "the marginal likelihood is zero at the prior medians; look at the doses and records"
            )
        return self._at(data, middle + unit * found.x, best["b"], found, with_prior)

    def covariance(
        self, data: FitData, g: np.ndarray, modes: Modes, *, with_prior: bool
    ) -> Float[np.ndarray, "population population"]:
        """Inverse information about g: of records and random effects, less what is missing of the latter.

        Louis (1982) with normal random effects: -E[d^2 q] - sum_i (S' V S + 1/2 tr D V D V), where q is the density
        that EM maximises, S the slopes in g of the score of a subject's parameters and D those of its curvature.
        The subjects' parameters are held, so a curve with a corner does no harm.
        """
        unit, h, size = self.posterior.units(), 0.02, len(g)
        v = np.linalg.inv(modes.curvature)
        theta = self.centres(g, data) + modes.b

        def at(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            b = theta - self.centres(x, data)
            curvature = self.information(x, b, data) + self.precision(x, data)
            expected = self._expected(x, theta, v, data, with_prior=with_prior)[1]
            return unit * expected, self.joint(x, b, data).by_b, curvature

        slopes = [
            tuple((up - down) / (2 * h) for up, down in zip(at(g + h * step), at(g - h * step), strict=True))
            for step in unit * np.eye(size)
        ]
        complete, score, bend = (np.array(x) for x in zip(*slopes, strict=True))
        spread = np.einsum("jsab,sbc->jsac", bend, v)
        missing = np.einsum("jas,sab,lbs->jl", score, v, score) + 0.5 * np.einsum(
            "jsab,lsba->jl", spread, spread
        )
        values, vectors = np.linalg.eigh(-0.5 * (complete + complete.T) - missing)
        inverse = vectors / np.maximum(values, 0.5 if with_prior else 1e-8) @ vectors.T
        return unit[:, None] * inverse * unit

    def _at(self, data: FitData, g: np.ndarray, b: Effects, found: Any, with_prior: bool) -> Laplace:
        modes, unit = self.modes(g, b, data), self.posterior.units()
        covariance = self.covariance(data, g, modes, with_prior=with_prior)
        slope = found.jac / unit
        gain = 0.5 * float(slope @ covariance @ slope)  # what a Newton step would still bring
        return Laplace(
            g, covariance, modes, float(np.sum(modes.value)), float(self._prior(g)[0]), gain < 0.1, found.nfev
        )
