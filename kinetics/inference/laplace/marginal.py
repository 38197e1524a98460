"""The marginal likelihood with the random effects integrated out by Laplace's method, and its maximum.

For population values g, each subject's random effects are at their mode b(g), with curvature A = P + J' W J:
the prior precision plus the Gauss-Newton information of its records. That is FOCE-I (Lindstrom & Bates 1990;
Wang 2007):

    log p(y | g) ~ sum_i [log p(y_i, b_i | g) + d/2 log 2 pi - 1/2 log det A_i]

Chains begin at its maximum with the priors, which also determines their coordinates
(`kinetics.inference.coordinates`).

`Modes` holds each subject's random effects where its density is highest, `JointDensity` a density at a point.
`Marginal` computes them (`modes`, `highest`, `look`), the marginal and its gradient, and searches for the
maximum (`maximise`, by `climb` and then BFGS). `Laplace` is the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
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
from kinetics.inference.program_store import ProgramStore
from kinetics.plan import FitData, Predictions

__all__ = ["ENOUGH", "Effects", "JointDensity", "Laplace", "Marginal", "Matrices", "Modes"]

ENOUGH = 0.1  # increase of the log-likelihood that a Newton step may still bring at a maximum
_LOOK = 12  # Newton steps towards another mode; it is followed further only if it is higher by then
_CORNER = 4  # steps along a corner of a subject's density, at most
_ACROSS = 0.02  # distance to either side of a corner, in SDs
_BARRED = 1e10  # value that a minimiser gets where the density is zero

Effects = Float[np.ndarray, "vary subject"]
Matrices = Float[np.ndarray, "subject vary vary"]


class JointDensity(NamedTuple):
    """Each subject's log joint density (-inf where it is 0), its slope by the random effects, the
    information.
    """

    value: Float[np.ndarray, " subject"]
    by_b: Effects
    information: Matrices


class Modes(NamedTuple):
    """The subjects' random effects at their mode (link scale), with the information and the curvature A
    there.
    """

    b: Effects
    information: Matrices
    curvature: Matrices
    value: Float[np.ndarray, " subject"]  # log marginal likelihood of each subject
    slope: Effects  # of the log joint density
    cornered: np.ndarray  # subject: whether its mode lies in a corner of its density


class _Expected(NamedTuple):
    """The function that EM maximises, its slope by g, and the curvature A."""

    value: float
    slope: Float[np.ndarray, " population"]
    curvature: Matrices


@dataclass(frozen=True)
class Laplace:
    """The maximum: population values `g` (unconstrained), their covariance, and the modes of the subjects.

    `information` about g is in units of the prior SDs, and its eigenvalues are as computed; in `covariance`
    they are kept above 0. `gain` is the increase of the log-likelihood that a Newton step would still bring.
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
        """Whether a Newton step would bring less than `ENOUGH`."""
        return self.gain < ENOUGH


class Marginal:
    """The Laplace marginal of a posterior, compiled once and used on any data of the same shapes.

    Only two programs solve the model, because each takes long to compile where the model is differential
    equations. They are the ascent to the modes, which with 0 steps evaluates the density at one place, and
    the slope of the function that EM maximises. A `store` keeps them; `announce` is told what is compiled.
    """

    def __init__(
        self,
        posterior: Posterior,
        store: ProgramStore | None = None,
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.posterior = posterior
        self.by_difference = posterior.bound.model.vector_field is not None

        def expected(g: Array, b: Array, weight: Array, data: FitData) -> tuple[Array, tuple[Array, Array]]:
            predictions, information = self._informed(g, b, data)
            each = posterior.log_joint(posterior.sites(g)[0], b, data, predictions)
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

        first = jax.devices()[:1]
        self._ascend = Ahead(jax.jit(ascended), "the ascent to the modes", store, first, announce)
        self._answer = jax.jit(lambda g, b, w, data: jax.jvp(lambda b: slope(g, b, data), (b,), (w,))[1])

        def effects(b: Array, g: Array) -> Array:
            s = posterior.with_effects(posterior.sites(g)[0], b)
            return jnp.sum(posterior.bound.effects_log_prob(s))

        self._effects_slope = jax.jit(lambda g, b: jax.grad(effects)(b, g))
        sloped = jax.jit(jax.grad(expected, (0, 1), has_aux=True))
        self._sloped = Ahead(sloped, "the gradient of EM", store, first, announce)
        self._population = jax.jit(population)
        self._turned = jax.jit(lambda g, data, bars: jax.vjp(lambda g: population(g, data), g)[1](bars)[0])
        self._prior = jax.jit(jax.value_and_grad(lambda g: posterior.sites(g)[1]))

    def compile(self, compiler: Compiler, data: FitData) -> None:
        """Let `compiler` begin with the slope of the function that EM maximises."""
        p = self.posterior
        d = len(self.posterior.vary)
        shapes = ((p.population,), (d, p.subjects), (p.subjects, d, d))
        arguments = [jax.ShapeDtypeStruct(shape, np.dtype(float)) for shape in shapes]
        self._sloped.compile(compiler, lambda: (*arguments, data))

    def look(self, g: np.ndarray, b: Effects, data: FitData) -> JointDensity:
        """Return each subject's log joint density at b, its slope and its information."""
        ascent = self._ascend(g, b, np.zeros(b.shape[1], bool), 0, data)
        return JointDensity(
            value=np.asarray(ascent.value),
            by_b=np.asarray(ascent.slope),
            information=np.asarray(ascent.curvature) - self.precision(g, data),
        )

    def prior_slope(self, g: np.ndarray, b: Effects) -> Effects:
        """Return the gradient of the log density of the random effects."""
        return np.asarray(self._effects_slope(g, b))

    def likelihood_slope(self, g: np.ndarray, b: Effects, data: FitData) -> Effects:
        """Return the gradient of each subject's log-likelihood with respect to its random effects."""
        return self.look(g, b, data).by_b - self.prior_slope(g, b)

    def precision(self, g: np.ndarray, data: FitData) -> Float[np.ndarray, "vary vary"]:
        """Return the prior precision of the random effects on the link scale."""
        return np.asarray(self._population(g, data)[1])

    def centres(self, g: np.ndarray, data: FitData) -> Effects:
        """Return every subject's varying parameters on the link scale, before its random effects."""
        return np.asarray(self._population(g, data)[0])

    def _informed(
        self, g: Array, b: Array, data: FitData
    ) -> tuple[Predictions, Float[Array, "subject vary vary"]]:
        """Return the predictions, and each subject's information of them about its random effects.

        The slopes of the predictions are exact for closed forms. For equations they are central differences,
        all from one solve.
        """
        s, _ = self.posterior.sites(g)
        bound = self.posterior.bound
        d = len(b)

        def predicted(b: Array) -> dict[str, Array]:
            return bound.predicted(self.posterior.with_effects(s, b), data)

        # predictions at b, and their slope by every random effect
        directions = jnp.eye(d)[:, :, None] * jnp.ones_like(b)
        if self.by_difference:
            h = 5e-3
            many = jax.vmap(predicted)(jnp.concatenate([b[None], b + h * directions, b - h * directions]))
            predictions = {k: f[0] for k, f in many.items()}
            slopes = {k: (f[1 : d + 1] - f[d + 1 :]) / (2 * h) for k, f in many.items()}
        else:
            predictions = predicted(b)
            slopes = jax.vmap(lambda e: jax.jvp(predicted, (b,), (e,))[1])(directions)
        # J' W J, summed over the records of all assays
        total = jnp.zeros((b.shape[1], d, d))
        for assay in bound.assays:
            weight = record_information(
                assay.likelihood,
                predictions[assay.analyte],
                data.observations.assays[assay.analyte],
                assay.residual(s),
                nu=assay.nu,
                dna_ug=assay.dna_ug,
                present=assay.present,
            )
            j = jnp.where(weight > 0, jnp.nan_to_num(slopes[assay.analyte]), 0.0)
            total += jnp.einsum("isr,jsr,sr->sij", j, j, weight)
        # and over events and grades, which tell about what they follow
        for outcome, of_outcome in bound.outcomes(data):
            weight = outcome.information(s, predictions[outcome.name], of_outcome, data.design)
            j = jnp.where(weight > 0, jnp.nan_to_num(slopes[outcome.name]), 0.0)
            total += jnp.einsum("isr,jsr,sr->sij", j, j, weight)
        return predictions, total

    def modes(
        self,
        g: np.ndarray,
        b: Effects,
        data: FitData,
        cornered: np.ndarray | None = None,
        *,
        corners: bool = True,
        steps: int = STEPS,
    ) -> Modes:
        """Return each subject's mode, by Newton's method from `b` and then along a corner of its density.

        Subjects that are `cornered` at b begin with short steps, which saves long ones that would fail.
        Without `corners` a subject in a corner stays where Newton's method left it, a little below its mode.
        So does a subject that needs more than `steps` steps.
        """
        precision = self.precision(g, data)
        d = len(b)
        short = np.zeros(b.shape[1], bool) if cornered is None else cornered
        end = tuple(np.asarray(x) for x in self._ascend(g, b, short, steps, data))
        b, value, slope, a, gain = end
        in_corner = gain > 1e-3
        if corners and in_corner.any():
            b, value, a = self._along_corners(g, end, in_corner, data)
        value = value + 0.5 * d * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(a)[1]
        return Modes(
            b=b, information=a - precision, curvature=a, value=value, slope=slope, cornered=in_corner
        )

    def _along_corners(
        self, g: np.ndarray, end: tuple[np.ndarray, ...], cornered: np.ndarray, data: FitData
    ) -> tuple[Effects, Float[np.ndarray, " subject"], Matrices]:
        """Return effects, density and curvature at the mode of subjects in a corner of their density.

        Slope and curvature at one place there are those of one side. Across a corner the slope jumps along
        the corner's normal. So Newton's step goes along the corner, with the mean of the slopes of both
        sides. The curvature is the mean of both sides too, whichever of them `b` came from. `end` holds the
        parts of an `Ascent`.
        """
        precision = self.precision(g, data)
        b, value, slope, a, gain = end
        # the curvature, from places on both sides
        step = np.linalg.solve(a, slope.T[..., None])[..., 0].T
        length = np.sqrt(np.maximum(gain, 1e-300))
        across = np.where(cornered, _ACROSS * step / length, 0.0)
        both = [self.look(g, b + k * across, data).information for k in (1.0, -1.0)]
        a = np.where(cornered[:, None, None], 0.5 * (both[0] + both[1]) + precision, a)
        # Newton's steps along the corner, as long as they go up
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
        """Return the derivative along w, in b, of the slope of the log joint density by g."""
        if not self.by_difference:
            return np.asarray(self._answer(g, b, w, data))
        h = 1e-3 / max(1.0, float(np.max(np.abs(w), initial=0.0)))
        no_weight = np.zeros((b.shape[1], len(b), len(b)))
        up, down = (np.asarray(self._sloped(g, b + k * w, no_weight, data)[0][0]) for k in (h, -h))
        return (up - down) / (2 * h)

    def value_and_gradient(
        self,
        g: np.ndarray,
        b: Effects,
        data: FitData,
        *,
        with_prior: bool,
        cornered: np.ndarray | None = None,
    ) -> tuple[float, Float[np.ndarray, " population"], Modes]:
        """Return the log marginal (plus log prior), its gradient by g, and the modes.

        The gradient allows for the modes, which move with g. They are searched for from b; `cornered` is as
        in `modes`.
        """
        modes = self.modes(g, b, data, cornered)
        inverse = np.linalg.inv(modes.curvature)
        # slopes at fixed random effects
        by_g, by_b = (np.asarray(x) for x in self._sloped(g, modes.b, inverse, data)[0])
        # a mode moves with g through d^2 joint / db dg; in a corner the subject's parameters do not move
        curvature_by_b = 2.0 * (modes.slope - by_b)
        w = np.where(modes.cornered, 0.0, np.einsum("sij,js->is", inverse, curvature_by_b))
        pull = np.where(modes.cornered, -by_b, 0.0)
        # the centres and the prior precision move with g as well
        through_prior = np.asarray(self._turned(g, data, (pull, -0.5 * inverse.sum(axis=0))))
        gradient = by_g + through_prior - 0.5 * self._answered(g, modes.b, w, data)
        prior, prior_slope = self._prior(g) if with_prior else (0.0, 0.0)
        return float(np.sum(modes.value)) + float(prior), gradient + np.asarray(prior_slope), modes

    def climb(
        self, data: FitData, g: np.ndarray, *, with_prior: bool, rounds: int = 15
    ) -> tuple[Float[np.ndarray, " population"], Effects]:
        """Return g and random effects after some rounds of EM from `g`.

        EM is slow at the end, but at the beginning it is not led astray. Each round maximises the expected
        log density of the records (to second order) and of the subjects' parameters theta, given the modes of
        theta and their covariance.
        """
        unit = self.posterior.units()
        b = np.zeros((len(self.posterior.vary), self.posterior.subjects))
        for _ in range(rounds):
            modes = self.modes(g, b, data)
            theta = self.centres(g, data) + modes.b
            covariance = np.linalg.inv(modes.curvature)

            def objective(x: np.ndarray, theta=theta, covariance=covariance, g=g) -> tuple[float, np.ndarray]:
                expected = self._expected(g + unit * x, theta, covariance, data, with_prior=with_prior)
                if not (np.isfinite(expected.value) and np.isfinite(expected.slope).all()):
                    return _BARRED, np.zeros_like(x)
                return -expected.value, -unit * expected.slope

            optimum = minimize(
                objective, np.zeros_like(g), jac=True, method="L-BFGS-B", options={"maxiter": 8}
            )
            g = g + unit * optimum.x
            b = theta - self.centres(g, data)
            if np.max(np.abs(optimum.x), initial=0.0) < 0.02:
                break
        return g, b

    def _expected(
        self, g: np.ndarray, theta: Effects, covariance: Matrices, data: FitData, *, with_prior: bool
    ) -> _Expected:
        """Return the expected log density at g, of subjects' parameters with mean theta and this
        covariance.
        """
        centres, precision = (np.asarray(x) for x in self._population(g, data))
        (by_g, by_b), (each, information) = self._sloped(g, theta - centres, covariance, data)
        curvature = np.asarray(information) + precision
        through_prior = self._turned(g, data, (-np.asarray(by_b), -0.5 * covariance.sum(axis=0)))
        value = float(np.sum(each) - 0.5 * np.sum(curvature * covariance))
        prior, prior_slope = self._prior(g) if with_prior else (0.0, 0.0)
        slope = np.asarray(by_g) + np.asarray(through_prior) + np.asarray(prior_slope)
        return _Expected(value + float(prior), slope, curvature)

    def maximise(
        self, data: FitData, g: np.ndarray, *, with_prior: bool, most: int = 200, rounds: int = 8
    ) -> Laplace:
        """Return the maximum that EM and then BFGS reach from `g`, and the covariance there.

        Before each of the `rounds` of BFGS every subject looks for a higher mode (`highest`). A round works
        in units of the covariance where it begins and takes `most` steps at most. The search ends when a
        round, a higher mode or a Newton step would bring less than `ENOUGH`. FitError where the density is
        zero.
        """
        data = jax.device_put(data)  # once, not at every call
        start, b = self.climb(data, np.asarray(g, float), with_prior=with_prior)
        prior_sds = np.diag(self.posterior.units())
        maximum = self._ascended(data, start, b, scale=prior_sds, enough=1e-2, with_prior=with_prior, most=0)
        gained = np.inf
        earlier_evaluations = 0
        for _ in range(rounds):
            modes = self.highest(maximum.g, maximum.modes, data)
            gained = min(gained, float(np.sum(modes.value)) - maximum.log_likelihood)
            if (maximum.converged and gained < ENOUGH) or not np.isfinite(maximum.covariance).all():
                break
            before = maximum
            earlier_evaluations += maximum.evaluations
            scale = np.linalg.cholesky(maximum.covariance)
            maximum = self._ascended(
                data, maximum.g, modes.b, scale=scale, enough=0.05, with_prior=with_prior, most=most
            )
            gained = maximum.log_likelihood - before.log_likelihood
        return replace(maximum, evaluations=maximum.evaluations + earlier_evaluations)

    def highest(self, g: np.ndarray, modes: Modes, data: FitData) -> Modes:
        """Return each subject's best mode: the one it has, or a higher one reached from elsewhere.

        The places are 0, places two SDs around its mode, and draws of the population. A peak between two
        records may lie far from where the curve of the typical subject leads.
        """
        rng = np.random.default_rng(1)
        best = modes
        near = 2.0 * np.linalg.cholesky(np.linalg.inv(modes.curvature))
        spread = np.linalg.cholesky(np.linalg.inv(self.precision(g, data)))
        for k in range(3 if self.by_difference else 9):  # equations cost more than a closed form
            z = rng.standard_normal(modes.b.shape)
            around = modes.b + np.einsum("sij,js->is", near, z)
            if k == 0:
                begin = np.zeros_like(modes.b)
            elif k % 3 == 1:
                begin = around
            else:
                begin = spread @ z
            other = self.modes(g, begin, data, corners=False, steps=_LOOK)
            better = other.value > best.value + 1e-3
            if better.any():
                best = Modes(*(_chosen(better, x, y) for x, y in zip(other, best, strict=True)))
        if best is modes:
            return modes
        return self.modes(g, best.b, data, best.cornered)

    def _ascended(
        self,
        data: FitData,
        g: np.ndarray,
        b: Effects,
        *,
        scale: np.ndarray,
        enough: float,
        with_prior: bool,
        most: int,
    ) -> Laplace:
        """Return where BFGS ends from `g` in the coordinates x of g + scale x, at a slope of `enough`.

        It takes `most` steps at most. FitError where the density is zero.
        """
        best: dict[str, Any] = {"b": b}  # the newest modes, from which the next are searched for

        def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope, modes = self.value_and_gradient(
                g + scale @ x, best["b"], data, with_prior=with_prior
            )
            if not (np.isfinite(value) and np.isfinite(slope).all()):
                return _BARRED, np.zeros_like(x)
            best.update(b=modes.b, cornered=modes.cornered)
            return -value, -scale.T @ slope

        stop = {"maxiter": most, "gtol": enough}
        optimum = minimize(objective, np.zeros_like(g), jac=True, method="BFGS", options=stop)
        if not np.isfinite(optimum.fun) or optimum.fun >= _BARRED:
            raise FitError("the marginal likelihood is zero there; look at the doses and records")
        g = g + scale @ optimum.x
        slope = np.linalg.solve(scale.T, optimum.jac)
        modes = self.modes(g, **best, data=data)
        # the covariance, from the information with its eigenvalues kept above 0
        unit = self.posterior.units()
        information = self.observed_information(data, g, modes, with_prior=with_prior)
        values, vectors = np.linalg.eigh(information)
        inverse = vectors / np.maximum(values, 0.5 if with_prior else 0.01) @ vectors.T
        covariance = unit[:, None] * inverse * unit
        return Laplace(
            g=g,
            information=information,
            covariance=covariance,
            modes=modes,
            log_likelihood=float(np.sum(modes.value)),
            log_prior=float(self._prior(g)[0]),
            gain=0.5 * float(slope @ covariance @ slope),
            evaluations=optimum.nfev,
        )

    def observed_information(
        self, data: FitData, g: np.ndarray, modes: Modes, *, with_prior: bool
    ) -> Float[np.ndarray, "population population"]:
        """Return the information about g, in units of the prior SDs.

        It is that of records and effects, less the part missing because effects are not observed: Louis
        (1982) with normal random effects, -E[d^2 q] - sum_i (S' V S + 1/2 tr D V D V). q is the density that
        EM maximises, S are the slopes in g of the score of a subject's parameters, and D those of its
        curvature. The subjects' parameters are held, so a curve with a corner does no harm.
        """
        unit = self.posterior.units()
        h = 0.02
        size = len(g)
        v = np.linalg.inv(modes.curvature)
        theta = self.centres(g, data) + modes.b

        def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            expected = self._expected(x, theta, v, data, with_prior=with_prior)
            score = self.look(x, theta - self.centres(x, data), data).by_b
            return unit * expected.slope, score, expected.curvature

        # central differences of the slope of q, the score and the curvature, one row per coordinate of g
        ends = [(parts(g + h * step), parts(g - h * step)) for step in unit * np.eye(size)]
        slopes = [tuple((x - y) / (2 * h) for x, y in zip(*both, strict=True)) for both in ends]
        complete, by_score, by_curvature = (np.array(x) for x in zip(*slopes, strict=True))
        # the missing information, of the scores and of the curvatures
        spread = np.einsum("jsab,sbc->jsac", by_curvature, v)
        missing = np.einsum("jas,sab,lbs->jl", by_score, v, by_score) + 0.5 * np.einsum(
            "jsab,lsba->jl", spread, spread
        )
        return -0.5 * (complete + complete.T) - missing


def _chosen(first: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return `one` for the subjects in `first` and `other` for the rest.

    Subjects are the first axis of matrices and the last axis of everything else.
    """
    subjects = first[:, None, None] if one.ndim == 3 else first
    return np.where(subjects, one, other)
