"""The marginal likelihood with the random effects integrated out by Laplace's method, and its maximum.

For population values g, each subject's random effects are at their mode b(g), with curvature A = P + J' W J:
the prior precision and the Gauss-Newton information of its records. That is FOCE-I (Lindstrom & Bates 1990;
Wang 2007):

    log p(y | g) ~ sum_i [log p(y_i, b_i | g) + d/2 log 2 pi - 1/2 log det A_i]

Its maximum, with the priors, is where chains begin and lays out their coordinates
(`kinetics.inference.coordinates`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize

from kinetics.errors import FitError
from kinetics.inference.compile_ahead import Ahead, Compiler
from kinetics.inference.information import record_information
from kinetics.inference.laplace.newton import STEPS, Ascent, ascend
from kinetics.inference.posterior import Posterior
from kinetics.plan import FitData, Predictions

__all__ = ["ENOUGH", "Effects", "Laplace", "Marginal", "Matrices", "Modes", "Seen"]

ENOUGH = 0.1  # log-likelihood that a Newton step may still bring at a maximum
_LOOK = 12  # of Newton's steps towards another mode: one that is higher by then is gone on to
_CORNER = 4  # steps along a corner of a subject's density, at most
_ACROSS = 0.02  # SDs from it to either side
_BARRED = 1e10  # what a minimiser is told where the density is zero


class _Expected(NamedTuple):
    """What EM maximises, its slope by g, and the curvature A."""

    value: float
    slope: Float[np.ndarray, " population"]
    curvature: Matrices


@dataclass(frozen=True)
class Laplace:
    """The maximum: population values `g` (unconstrained), their covariance, and the modes of the subjects.

    `information` about g is in units of the prior SDs, its eigenvalues as they are; in `covariance` they are
    kept above 0. `gain` is what a Newton step would still bring.
    """

    g: Float[np.ndarray, " population"]
    information: Float[np.ndarray, "population population"]
    covariance: Float[np.ndarray, "population population"]
    modes: Modes
    log_likelihood: float
    log_prior: float
    gain: float
    evaluations: int

    @property
    def converged(self) -> bool:
        return self.gain < ENOUGH


class Marginal:
    """The Laplace marginal of a posterior: compiled once, used on any data of the same shapes.

    Two programs solve the model, since each takes long to compile where it is differential equations: the
    ascent to the modes, which looks at one place where it may take no step, and the slope of what EM
    maximises.
    """

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self.by_difference = posterior.bound.model.vector_field is not None

        def expected(g: Array, b: Array, weight: Array, data: FitData) -> tuple[Array, tuple[Array, Array]]:
            here, information = self._informed(g, b, data)
            each = posterior.log_joint(posterior.sites(g)[0], b, data, here)
            return jnp.sum(each) - 0.5 * jnp.sum(information * weight), (each, information)

        def population(g: Array, data: FitData) -> tuple[Array, Array]:
            s, _ = posterior.sites(g)
            return posterior.centres(s, data), posterior.precision(s)

        def slope(g: Array, b: Array, data: FitData) -> Array:
            return jax.grad(lambda g: jnp.sum(posterior.log_joint(posterior.sites(g)[0], b, data)))(g)

        def ascended(g: Array, b: Array, short: Array, steps: Array | int, data: FitData) -> Ascent:
            s, _ = posterior.sites(g)
            precision = posterior.precision(s)

            def density(b: Array) -> tuple[Array, Array]:
                each, back = jax.vjp(lambda b: posterior.log_joint(s, b, data), b)
                return each, back(jnp.ones_like(each))[0]

            return ascend(density, lambda b: self._informed(g, b, data)[1] + precision, b, short, steps)

        self._ascend = jax.jit(ascended)
        self._answer = jax.jit(lambda g, b, w, data: jax.jvp(lambda b: slope(g, b, data), (b,), (w,))[1])

        def effects(b: Array, g: Array) -> Array:
            s = posterior.with_effects(posterior.sites(g)[0], b)
            return jnp.sum(posterior.bound.effects_log_prob(s))

        self._effects_slope = jax.jit(lambda g, b: jax.grad(effects)(b, g))
        self._sloped = Ahead(jax.jit(jax.grad(expected, (0, 1), has_aux=True)))
        self._population = jax.jit(population)
        self._turned = jax.jit(lambda g, data, bars: jax.vjp(lambda g: population(g, data), g)[1](bars)[0])
        self._prior = jax.jit(jax.value_and_grad(lambda g: posterior.sites(g)[1]))

    def compile(self, compiler: Compiler, data: FitData) -> None:
        """Let `compiler` begin with the slope of what EM maximises."""
        p = self.posterior
        d = len(self.posterior.vary)
        of = [
            jax.ShapeDtypeStruct(s, np.dtype(float))
            for s in ((p.population,), (d, p.subjects), (p.subjects, d, d))
        ]
        self._sloped.compile(compiler, lambda: (*of, data))

    def look(self, g: np.ndarray, b: Effects, data: FitData) -> Seen:
        """The density at one place, and all that the ascent knows of it there."""
        at = self._ascend(g, b, np.zeros(b.shape[1], bool), 0, data)
        return Seen(
            np.asarray(at.value), np.asarray(at.slope), np.asarray(at.curvature) - self.precision(g, data)
        )

    def prior_slope(self, g: np.ndarray, b: Effects) -> Effects:
        """Gradient of the log density of the random effects."""
        return np.asarray(self._effects_slope(g, b))

    def likelihood_slope(self, g: np.ndarray, b: Effects, data: FitData) -> Effects:
        """Gradient of each subject's log-likelihood with respect to its random effects."""
        return self.look(g, b, data).by_b - self.prior_slope(g, b)

    def precision(self, g: np.ndarray, data: FitData) -> Float[np.ndarray, "vary vary"]:
        """Prior precision of the random effects on the link scale."""
        return np.asarray(self._population(g, data)[1])

    def centres(self, g: np.ndarray, data: FitData) -> Effects:
        """Every subject's varying parameters on the link scale, before its random effects."""
        return np.asarray(self._population(g, data)[0])

    def _informed(
        self, g: Array, b: Array, data: FitData
    ) -> tuple[Predictions, Float[Array, "subject vary vary"]]:
        """What is predicted, and its information: exact slopes for closed forms, central differences for
        equations, all in one solve.
        """
        s, _ = self.posterior.sites(g)
        bound = self.posterior.bound
        d = len(b)

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
                assay.likelihood,
                here[assay.analyte],
                data.observations.assays[assay.analyte],
                assay.residual(s),
                nu=assay.nu,
                dna_ug=assay.dna_ug,
                present=assay.present,
            )
            j = jnp.where(weight > 0, jnp.nan_to_num(slopes[assay.analyte]), 0.0)
            total += jnp.einsum("isr,jsr,sr->sij", j, j, weight)
        return here, total

    def modes(
        self, g: np.ndarray, b: Effects, data: FitData, cornered: np.ndarray | None = None, *,
        corners: bool = True, steps: int = STEPS,
    ) -> Modes:  # fmt: skip
        """Newton's method, each subject by itself, from `b`; then along the corner of its density it may lie
        in.

        Subjects said to be `cornered` there begin with short steps: they save the long ones' failing. Without
        `corners` a subject in one stays where Newton's method left it, a little below its mode, as one does
        that needs more than `steps`.
        """
        precision = self.precision(g, data)
        d = len(b)
        short = np.zeros(b.shape[1], bool) if cornered is None else cornered
        end = tuple(np.asarray(x) for x in self._ascend(g, b, short, steps, data))
        b, value, slope, a, gain = end
        lies = gain > 1e-3
        if corners and lies.any():
            b, value, a = self._along_corners(g, end, lies, data)
        value = value + 0.5 * d * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(a)[1]
        return Modes(b, a - precision, a, value, slope, lies)

    def _along_corners(
        self, g: np.ndarray, end: tuple[np.ndarray, ...], cornered: np.ndarray, data: FitData
    ) -> tuple[Effects, Float[np.ndarray, " subject"], Matrices]:
        """The mode of subjects that lie in a corner of their density, where slope and curvature are one
        side's.

        Across a corner the slope jumps along its normal, so Newton's step goes along the corner with the mean
        of both sides' slopes; the curvature is the mean of both sides', whichever of them `b` came from.
        `end` holds the parts of an `Ascent`.
        """
        precision = self.precision(g, data)
        b, value, slope, a, gain = end
        step = np.linalg.solve(a, slope.T[..., None])[..., 0].T
        length = np.sqrt(np.maximum(gain, 1e-300))
        across = np.where(cornered, _ACROSS * step / length, 0.0)
        both = [self.look(g, b + k * across, data).information for k in (1.0, -1.0)]
        a = np.where(cornered[:, None, None], 0.5 * (both[0] + both[1]) + precision, a)
        for _ in range(_CORNER):
            sides = [self.look(g, b + k * across, data).by_b for k in (1.0, -1.0)]
            normal = sides[0] - sides[1]
            slope = 0.5 * (sides[0] + sides[1])
            solved = np.linalg.solve(a, np.stack([slope.T, normal.T], axis=-1))
            share = np.einsum("is,si->s", normal, solved[..., 0])
            share = share / np.maximum(np.einsum("is,si->s", normal, solved[..., 1]), 1e-300)
            move = np.where(cornered, (solved[..., 0] - share[:, None] * solved[..., 1]).T, 0.0)
            tried = self.look(g, b + move, data).value
            better = cornered & (tried > value)
            if not better.any():
                break
            b = np.where(better, b + move, b)
            value = np.where(better, tried, value)
        return b, value, a

    def _answered(self, g: np.ndarray, b: Effects, w: Effects, data: FitData) -> np.ndarray:
        if not self.by_difference:
            return np.asarray(self._answer(g, b, w, data))
        h = 1e-3 / max(1.0, float(np.max(np.abs(w), initial=0.0)))
        nothing = np.zeros((b.shape[1], len(b), len(b)))
        up, down = (np.asarray(self._sloped(g, b + k * w, nothing, data)[0][0]) for k in (h, -h))
        return (up - down) / (2 * h)

    def value_and_gradient(
        self, g: np.ndarray, b: Effects, data: FitData, *, with_prior: bool, cornered: np.ndarray | None = None
    ) -> tuple[float, Float[np.ndarray, " population"], Modes]:  # fmt: skip
        """The log marginal (and prior), its gradient, and the modes, which move with g as well."""
        modes = self.modes(g, b, data, cornered)
        inverse = np.linalg.inv(modes.curvature)
        of_g, of_b = (np.asarray(x) for x in self._sloped(g, modes.b, inverse, data)[0])
        # a mode answers g through d^2 joint / db dg; in a corner the subject's parameters stay where they are
        of_curvature = 2.0 * (modes.slope - of_b)
        w = np.where(modes.cornered, 0.0, np.einsum("sij,js->is", inverse, of_curvature))
        pull = np.where(modes.cornered, -of_b, 0.0)
        turned = np.asarray(self._turned(g, data, (pull, -0.5 * inverse.sum(axis=0))))
        gradient = of_g + turned - 0.5 * self._answered(g, modes.b, w, data)
        prior, slope = self._prior(g) if with_prior else (0.0, 0.0)
        return float(np.sum(modes.value)) + float(prior), gradient + np.asarray(slope), modes

    def climb(
        self, data: FitData, g: np.ndarray, *, with_prior: bool, rounds: int = 15
    ) -> tuple[Float[np.ndarray, " population"], Effects]:
        """EM from `g`: slow at the end, not to be led astray at the beginning. Returns g and random effects.

        Each round maximises the expected log density of records (to second order) and of the subjects'
        parameters theta, given where those are and their covariance.
        """
        unit = self.posterior.units()
        b = np.zeros((len(self.posterior.vary), self.posterior.subjects))
        for _ in range(rounds):
            modes = self.modes(g, b, data)
            theta = self.centres(g, data) + modes.b
            covariance = np.linalg.inv(modes.curvature)

            def fall(x: np.ndarray, theta=theta, covariance=covariance, g=g) -> tuple[float, np.ndarray]:
                at = self._expected(g + unit * x, theta, covariance, data, with_prior=with_prior)
                if not (np.isfinite(at.value) and np.isfinite(at.slope).all()):
                    return _BARRED, np.zeros_like(x)
                return -at.value, -unit * at.slope

            found = minimize(fall, np.zeros_like(g), jac=True, method="L-BFGS-B", options={"maxiter": 8})
            g = g + unit * found.x
            b = theta - self.centres(g, data)
            if np.max(np.abs(found.x), initial=0.0) < 0.02:
                break
        return g, b

    def _expected(
        self, g: np.ndarray, theta: Effects, covariance: Matrices, data: FitData, *, with_prior: bool
    ) -> _Expected:
        centres, precision = (np.asarray(x) for x in self._population(g, data))
        (of_g, of_b), (each, information) = self._sloped(g, theta - centres, covariance, data)
        curvature = np.asarray(information) + precision
        through = self._turned(g, data, (-np.asarray(of_b), -0.5 * covariance.sum(axis=0)))
        value = float(np.sum(each) - 0.5 * np.sum(curvature * covariance))
        prior, slope = self._prior(g) if with_prior else (0.0, 0.0)
        return _Expected(
            value + float(prior), np.asarray(of_g) + np.asarray(through) + np.asarray(slope), curvature
        )

    def maximise(
        self, data: FitData, g: np.ndarray, *, with_prior: bool, most: int = 200, rounds: int = 8
    ) -> Laplace:
        """The maximum from `g` by EM and then BFGS, in units of the prior SDs, and the covariance there.

        Before each of the rounds every subject looks for a higher mode (`highest`); BFGS goes on in units of
        the covariance where it is, until a round, a higher mode or a Newton step would bring less than
        `ENOUGH`.
        """
        data = jax.device_put(data)  # once, not at every call
        middle, b = self.climb(data, np.asarray(g, float), with_prior=with_prior)
        found = self._ascended(data, middle, b, np.diag(self.posterior.units()), 1e-2, with_prior, 0)
        gained = np.inf
        counted = 0
        for _ in range(rounds):
            modes = self.highest(found.g, found.modes, data)
            gained = min(gained, float(np.sum(modes.value)) - found.log_likelihood)
            if (found.converged and gained < ENOUGH) or not np.isfinite(found.covariance).all():
                break
            before = found
            counted = counted + found.evaluations
            scale = np.linalg.cholesky(found.covariance)
            found = self._ascended(data, found.g, modes.b, scale, 0.05, with_prior, most)
            gained = found.log_likelihood - before.log_likelihood
        return replace(found, evaluations=found.evaluations + counted)

    def highest(self, g: np.ndarray, modes: Modes, data: FitData) -> Modes:
        """Each subject's best mode: the one it has, or one found from 0, from two SDs around it, or from
        draws of the population: a peak between two records may lie far from where the curve of the middle
        subject leads.
        """
        rng = np.random.default_rng(1)
        best = modes
        near = 2.0 * np.linalg.cholesky(np.linalg.inv(modes.curvature))
        spread = np.linalg.cholesky(np.linalg.inv(self.precision(g, data)))
        for k in range(3 if self.by_difference else 9):  # equations cost more than a closed form
            z = rng.standard_normal(modes.b.shape)
            around = modes.b + np.einsum("sij,js->is", near, z)
            begin = np.zeros_like(modes.b) if k == 0 else around if k % 3 == 1 else spread @ z
            other = self.modes(g, begin, data, corners=False, steps=_LOOK)
            better = other.value > best.value + 1e-3
            if better.any():
                best = Modes(*(_chosen(better, x, y) for x, y in zip(other, best, strict=True)))
        return modes if best is modes else self.modes(g, best.b, data, best.cornered)

    def _ascended(
        self, data: FitData, g: np.ndarray, b: Effects, scale: np.ndarray, enough: float, with_prior: bool,
        most: int,
    ) -> Laplace:  # fmt: skip
        """BFGS from `g` in the coordinates x of g + scale x, to a slope of `enough`."""
        best: dict[str, Any] = {"b": b}

        def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope, modes = self.value_and_gradient(
                g + scale @ x, best["b"], data, with_prior=with_prior
            )
            if not (np.isfinite(value) and np.isfinite(slope).all()):
                return _BARRED, np.zeros_like(x)
            best.update(b=modes.b, cornered=modes.cornered)
            return -value, -scale.T @ slope

        stop = {"maxiter": most, "gtol": enough}
        found = minimize(objective, np.zeros_like(g), jac=True, method="BFGS", options=stop)
        if not np.isfinite(found.fun) or found.fun >= _BARRED:
            raise FitError("the marginal likelihood is zero there; look at the doses and records")
        g, slope = g + scale @ found.x, np.linalg.solve(scale.T, found.jac)
        modes = self.modes(g, **best, data=data)
        unit = self.posterior.units()
        information = self.observed_information(data, g, modes, with_prior=with_prior)
        values, vectors = np.linalg.eigh(information)
        inverse = vectors / np.maximum(values, 0.5 if with_prior else 0.01) @ vectors.T
        covariance = unit[:, None] * inverse * unit
        return Laplace(
            g,
            information,
            covariance,
            modes,
            float(np.sum(modes.value)),
            float(self._prior(g)[0]),
            0.5 * float(slope @ covariance @ slope),
            found.nfev,
        )

    def observed_information(
        self, data: FitData, g: np.ndarray, modes: Modes, *, with_prior: bool
    ) -> Float[np.ndarray, "population population"]:
        """Information about g, in units of the prior SDs: of records and effects, less what is missing of the
        latter.

        Louis (1982) with normal random effects: -E[d^2 q] - sum_i (S' V S + 1/2 tr D V D V), where q is the
        density that EM maximises, S the slopes in g of the score of a subject's parameters and D those of its
        curvature. The subjects' parameters are held, so a curve with a corner does no harm.
        """
        unit = self.posterior.units()
        h = 0.02
        size = len(g)
        v = np.linalg.inv(modes.curvature)
        theta = self.centres(g, data) + modes.b

        def at(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            there = self._expected(x, theta, v, data, with_prior=with_prior)
            score = self.look(x, theta - self.centres(x, data), data).by_b
            return unit * there.slope, score, there.curvature

        ends = [(at(g + h * step), at(g - h * step)) for step in unit * np.eye(size)]
        slopes = [tuple((x - y) / (2 * h) for x, y in zip(*both, strict=True)) for both in ends]
        complete, score, bend = (np.array(x) for x in zip(*slopes, strict=True))
        spread = np.einsum("jsab,sbc->jsac", bend, v)
        missing = np.einsum("jas,sab,lbs->jl", score, v, score) + 0.5 * np.einsum(
            "jsab,lsba->jl", spread, spread
        )
        return -0.5 * (complete + complete.T) - missing


def _chosen(first: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Each subject's from `one` or from `other`; subjects come first in matrices, last in the rest."""
    return np.where(first[:, None, None] if one.ndim == 3 else first, one, other)


Effects = Float[np.ndarray, "vary subject"]
Matrices = Float[np.ndarray, "subject vary vary"]


class Seen(NamedTuple):
    """Each subject's log joint density (-inf: none there), its slope by the random effects, and the
    information.
    """

    value: Float[np.ndarray, " subject"]
    by_b: Effects
    information: Matrices


class Modes(NamedTuple):
    """The subjects' random effects at their mode (link scale), the information and the curvature A there."""

    b: Effects
    information: Matrices
    curvature: Matrices
    value: Float[np.ndarray, " subject"]  # log marginal likelihood of each subject
    slope: Effects  # of the log joint density
    cornered: np.ndarray  # subject: whether its mode lies in a corner of its density


# # MERGED modes: """Each subject's random effects where its density is highest, and what is known of the
# density there."""
