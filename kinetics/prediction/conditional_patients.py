"""Parameters of patients who were not in a fit: drawn from its population, and updated by their own samples.

A particle of a patient is one posterior draw of the population values and one set of random effects, written
as independent standard normal numbers z (a Student-t effect and the class of a mixture are functions of one
such number). Particles drawn from the population follow the prior of a new patient. Samples of the patient
enter little by little, by powers 0 < phi_1 < ... < 1 of their likelihood (sequential Monte Carlo by
tempering; Del Moral, Doucet & Jasra 2006, doi 10.1111/j.1467-9868.2006.00553.x). At each power the particles
are weighted, resampled and moved by Metropolis steps that keep the tempered density. Each patient has its own
powers, so that one with no samples stays at the population.

The moves propose z' = m + sqrt(1 - b^2) (z - m) + b L x with x standard normal, where m and L L' are mean and
covariance of the patient's particles, or another draw of the population values. No gradient is needed, and
nothing is assumed of the shape of the density: the result is exact as the number of particles grows. The
population values are thereby updated as well, as the new patient's samples demand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import logsumexp, ndtr
from scipy.stats import t as student_t

from kinetics.assay import AssayRecords, Observations
from kinetics.errors import Problem, StudyError
from kinetics.inference import Fit
from kinetics.plan import BoundFit, FitData
from kinetics.population import drawn_effects, individual
from kinetics.solve import solve

__all__ = ["PatientDraws", "conditional_draws", "readings", "records_until"]

_KEPT_SHARE = 0.5  # effective share of the particles that one power of the likelihood may leave
_MOVES = 6  # Metropolis steps after each power
_LAST_MOVES = 12  # after the last
_OTHER_DRAW = 0.25  # share of proposals that change the population values and not the effects
_ACCEPTED = 0.3  # rate of acceptance to which a patient's step b is steered
_POWERS = 200  # powers, at most
_MOST = 1_000_000  # the most values of one output that are solved at once

Particles = Float[np.ndarray, "draw patient"]
Normals = Float[np.ndarray, "number draw patient"]


@dataclass(frozen=True)
class PatientDraws:
    """Draws of new patients' parameters.

    `row` is the posterior draw of the fit that each particle has its population values from. `sites` are
    these values, and `z` the numbers of its random effects. `powers` counts, for each patient, the powers by
    which its samples entered; 0 where it had none.
    """

    bound: BoundFit
    row: Int[np.ndarray, "draw patient"]
    sites: dict[str, Particles]
    z: Normals
    powers: Int[np.ndarray, " patient"]


def conditional_draws(
    fit: Fit, bound: BoundFit, *, until: float | None, draws: int, rng: np.random.Generator
) -> PatientDraws:
    """Return `draws` particles of every patient of `bound`, given their own records up to day `until`.

    `bound` is that of `bind_new_subjects`. Without `until` the patients are of the population, and no record
    of theirs is used. StudyError where the model can predict a patient's samples by no particle at all.
    """
    sites = {name: np.asarray(values) for name, values in fit.sites().items() if name in fit.bound.priors()}
    patients = len(bound.subjects)
    row = np.linspace(0, fit.draws - 1, draws).round().astype(int)
    row = np.stack([rng.permutation(row) for _ in range(patients)], axis=1)
    numbers = len(bound.hierarchy.vary) + (bound.hierarchy.probability is not None)
    z = rng.standard_normal((numbers, draws, patients))
    powers = np.zeros(patients, int)
    if until is not None:
        used = records_until(bound, until)
        log_likelihood = _log_likelihood(bound, sites, used)
        row, z, powers = _tempered(bound, log_likelihood, row, z, posterior_draws=fit.draws, rng=rng)
    chosen = {name: values[row] for name, values in sites.items()}
    return PatientDraws(bound, row, chosen, z, powers)


def records_until(bound: BoundFit, until: float) -> Observations:
    """The records up to day `until`, that day included, as the likelihood takes them.

    Records below the LLOQ that the plan drops are left out.
    """
    observations = bound.data.observations
    early = np.asarray(observations.time) <= until
    assays = {}
    for analyte, records in observations.assays.items():
        dropped = bound.plan.observe[analyte].below_lloq == "drop"
        assays[analyte] = records._replace(
            measured=records.measured & early,
            left=np.zeros_like(records.left) if dropped else records.left & early,
            right=records.right & early,
            interval=records.interval & early,
        )
    return Observations(_until_the_last(bound, assays), assays)


def _until_the_last(bound: BoundFit, assays: dict[str, AssayRecords]) -> np.ndarray:
    """The times of the records, those after a patient's last used record set to that of the last."""
    time = np.array(bound.data.observations.time, float)
    used = np.any([r.measured | r.left | r.right | r.interval for r in assays.values()], axis=0)
    for patient in range(len(time)):
        last = np.flatnonzero(used[patient])
        if len(last):
            time[patient, last[-1] :] = time[patient, last[-1]]
    return time


# --- the particles ----------------------------------------------------------------------------------------

LogLikelihood = Callable[[Int[np.ndarray, "draw patient"], Normals], Particles]


def _tempered(
    bound: BoundFit,
    log_likelihood: LogLikelihood,
    row: Int[np.ndarray, "draw patient"],
    z: Normals,
    *,
    posterior_draws: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "draw patient"], Normals, Int[np.ndarray, " patient"]]:
    """Particles of the prior moved to those of the posterior, and the number of powers of each patient."""
    patients = row.shape[1]
    value = log_likelihood(row, z)
    impossible = ~np.isfinite(value).any(axis=0)
    if impossible.any():
        what = "the model predicts its first samples by no draw of the population"
        remedy = "check its doses and times, and the units of its samples"
        names = np.array(bound.subjects)[impossible]
        raise StudyError([Problem(what, remedy, subject=str(name)) for name in names])
    phi = np.zeros(patients)
    phi[np.ptp(value, axis=0) == 0.0] = 1.0  # no sample, or none that says anything
    powers = np.zeros(patients, int)
    step = np.full(patients, 0.6)
    for _ in range(_POWERS):
        if (phi == 1.0).all():
            break
        # the next power of each patient, the weights that it gives, and particles drawn by them
        target = _next_powers(value, phi)
        powers += target > phi
        weight = (target - phi) * np.where(np.isfinite(value), value, -np.inf)
        weight = np.where(target > phi, weight, 0.0)
        ancestors = _resampled(weight, rng)
        row = np.take_along_axis(row, ancestors, axis=0)
        z = np.take_along_axis(z, ancestors[None], axis=1)
        value = np.take_along_axis(value, ancestors, axis=0)
        phi = target
        # moves that keep the tempered density
        for _ in range(_LAST_MOVES if (phi == 1.0).all() else _MOVES):
            row, z, value, accepted = _moved(
                log_likelihood, row, z, value, phi=phi, step=step, posterior_draws=posterior_draws, rng=rng
            )
            step = np.clip(step * np.exp(accepted - _ACCEPTED), 0.02, 0.98)
    return row, z, powers


def _next_powers(value: Particles, phi: Float[np.ndarray, " patient"]) -> Float[np.ndarray, " patient"]:
    """The powers, at most 1, that leave `_KEPT_SHARE` of each patient's particles effective."""
    low = phi.copy()
    high = np.ones_like(phi)
    enough = _effective_share(value, high - phi) >= _KEPT_SHARE
    for _ in range(40):
        middle = 0.5 * (low + high)
        fine = _effective_share(value, middle - phi) >= _KEPT_SHARE
        low = np.where(fine, middle, low)
        high = np.where(fine, high, middle)
    return np.where(enough, 1.0, np.maximum(low, np.minimum(phi + 1e-6, 1.0)))


def _effective_share(value: Particles, power: Float[np.ndarray, " patient"]) -> Float[np.ndarray, " patient"]:
    """The effective share of the particles whose weights are their likelihood to this power."""
    weight = np.where(np.isfinite(value), power * np.where(np.isfinite(value), value, 0.0), -np.inf)
    log_share = 2 * logsumexp(weight, axis=0) - logsumexp(2 * weight, axis=0)  # pyright: ignore
    possible = np.isfinite(value).mean(axis=0)  # impossible particles do not count against a power
    return np.exp(log_share) / (len(value) * possible)


def _resampled(weight: Particles, rng: np.random.Generator) -> Int[np.ndarray, "draw patient"]:
    """The rows of each patient's particles drawn by their log weights (systematic resampling)."""
    n, patients = weight.shape
    share = np.exp(weight - logsumexp(weight, axis=0))
    ends = np.cumsum(share, axis=0)
    places = (np.arange(n)[:, None] + rng.uniform(size=patients)) / n
    rows = [np.searchsorted(ends[:, p] / ends[-1, p], places[:, p]) for p in range(patients)]
    return np.minimum(np.stack(rows, axis=1), n - 1)


def _moved(
    log_likelihood: LogLikelihood,
    row: Int[np.ndarray, "draw patient"],
    z: Normals,
    value: Particles,
    *,
    phi: Float[np.ndarray, " patient"],
    step: Float[np.ndarray, " patient"],
    posterior_draws: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "draw patient"], Normals, Particles, Float[np.ndarray, " patient"]]:
    """The particles after one Metropolis step, and the share of the effects' proposals accepted."""
    numbers, n, patients = z.shape
    other_draw = rng.uniform(size=(n, patients)) < (_OTHER_DRAW if numbers else 1.0)
    new_row = np.where(other_draw, rng.integers(posterior_draws, size=(n, patients)), row)
    # effects about the mean of the patient's particles, reversible for their normal distribution
    mean = z.mean(axis=1)
    away = z - mean[:, None]
    covariance = np.einsum("ink,jnk->kij", away, away) / n + 1e-6 * np.eye(numbers)
    factor = np.linalg.cholesky(covariance) if numbers else covariance
    noise = np.einsum("kij,jnk->ink", factor, rng.standard_normal(z.shape))
    new_away = np.sqrt(1 - step**2) * away + step * noise
    new_z = np.where(other_draw, z, mean[:, None] + new_away)
    precision = np.linalg.inv(covariance) if numbers else covariance

    def excess(x: Normals) -> Particles:
        """Log density of the prior less that of the particles' normal distribution."""
        centred = x - mean[:, None]
        return 0.5 * np.einsum("ink,kij,jnk->nk", centred, precision, centred) - 0.5 * np.sum(x**2, axis=0)

    new_value = log_likelihood(new_row, new_z)
    ratio = phi * (new_value - value) + np.where(other_draw, 0.0, excess(new_z) - excess(z))
    accepted = np.log(rng.uniform(size=(n, patients))) < np.where(np.isfinite(new_value), ratio, -np.inf)
    rate = np.sum(accepted & ~other_draw, axis=0) / np.maximum(np.sum(~other_draw, axis=0), 1)
    row = np.where(accepted, new_row, row)
    z = np.where(accepted, new_z, z)
    return row, z, np.where(accepted, new_value, value), rate


# --- the model at the particles ---------------------------------------------------------------------------


def _log_likelihood(
    bound: BoundFit, sites: dict[str, Float[np.ndarray, " row"]], used: Observations
) -> LogLikelihood:
    """The log-likelihood of each patient's used records, as a function of its particles."""
    slots = np.any([r.measured | r.left | r.right | r.interval for r in used.assays.values()], axis=0)
    width = max(1, int(np.max(np.flatnonzero(slots.any(axis=0)), initial=0)) + 1)
    time = used.time[:, :width]
    records = {
        analyte: AssayRecords(*(np.asarray(x)[:, :width] for x in table))
        for analyte, table in used.assays.items()
    }
    read = _reading(bound, time)  # pyright: ignore

    def of_patient(s: Any, values: Any, mine: Any, when: Array) -> Array:
        """Log-likelihood of the records of one patient, whose arrays have no axis of subjects."""
        one = {k: AssayRecords(*(x[None] for x in v)) for k, v in mine.items()}
        data = FitData(Observations(when[None], one), bound.data.doses, {})
        terms = bound.record_log_likelihood(s, data, {k: v[None] for k, v in values.items()})
        return sum((jnp.sum(term) for term in terms.values()), start=jnp.zeros(()))

    def of_draw(s: Any, effects: Array, chance: Array) -> Array:
        values = read(s, effects, chance)
        total = jax.vmap(of_patient)(s, values, records, jnp.asarray(time))
        return jnp.where(jnp.isnan(total), -jnp.inf, total)

    program = jax.jit(jax.vmap(of_draw, in_axes=(0, 1, 0)))

    def log_likelihood(row: Int[np.ndarray, "draw patient"], z: Normals) -> Particles:
        effects, chance = _effects(bound, z)
        parts = []
        for chosen in _chunks(len(row), time.size):
            s = {name: values[row[chosen]] for name, values in sites.items()}
            parts.append(np.asarray(program(s, effects[:, chosen], chance[chosen])))
        return np.concatenate(parts)[: len(row)]

    return log_likelihood


def readings(
    patients: PatientDraws, time: Float[np.ndarray, "patient time"]
) -> dict[str, Float[np.ndarray, "draw patient time"]]:
    """Return analyte -> what its assay reads [unit of the analyte] of every draw of each patient.

    A row of `time` [study day] has the times of one patient.
    """
    bound = patients.bound
    sites = patients.sites
    z = patients.z
    program = jax.jit(jax.vmap(_reading(bound, time), in_axes=(0, 1, 0)))
    effects, chance = _effects(bound, z)
    n = z.shape[1]
    parts = []
    for chosen in _chunks(n, time.size):
        s = {name: values[chosen] for name, values in sites.items()}
        parts.append(program(s, effects[:, chosen], chance[chosen]))
    return {a.analyte: np.concatenate([np.asarray(p[a.analyte]) for p in parts])[:n] for a in bound.assays}


def _chunks(draws: int, values: int) -> list[Int[np.ndarray, " draw"]]:
    """The draws in chunks of one size, so that the model is compiled once; the last draw fills up."""
    count = -(-draws // max(1, _MOST // values))
    size = -(-draws // count)
    return list(np.minimum(np.arange(count * size), draws - 1).reshape(count, size))


def _reading(bound: BoundFit, time: Float[np.ndarray, "patient time"]) -> Callable[..., dict[str, Array]]:
    """A function of one particle of every patient: analyte -> what its assay reads at `time`.

    Its arguments are the population sites of each patient, the independent effects and the uniform numbers
    that say the class of a mixture.
    """
    h = bound.hierarchy
    outputs = tuple(dict.fromkeys(a.output for a in bound.assays))
    design = {name: jnp.asarray(column) for name, column in bound.data.design.items()}
    when = jnp.asarray(time)

    def parameters(s: Any, effects: Array, chance: Array, columns: Any) -> dict[str, Array]:
        drawn = drawn_effects(h, s, effects[:, None], None if h.probability is None else chance[None])
        theta = individual(h, bound.model, s | drawn, {k: v[None] for k, v in columns.items()}, 1)
        return {name: values[0] for name, values in theta.items()}

    def of_patient(s: Any, predicted: Any, own_time: Array, patient: Array) -> dict[str, Array]:
        return {
            a.analyte: jnp.asarray(a.reading(s, predicted[a.output][None], own_time[None], patient[None]))[0]
            for a in bound.assays
        }

    def of_draw(s: Any, effects: Array, chance: Array) -> dict[str, Array]:
        theta = jax.vmap(parameters, in_axes=(0, 1, 0, 0))(s, effects, chance, design)
        predicted = solve(bound.model, when, theta, bound.data.doses, outputs, solver=bound.solver)
        return jax.vmap(of_patient)(s, predicted, when, jnp.arange(len(time)))

    return of_draw


def _effects(bound: BoundFit, z: Normals) -> tuple[Float[np.ndarray, "vary draw patient"], Particles]:
    """The independent effects that the numbers stand for, and the uniform numbers of the classes."""
    h = bound.hierarchy
    effects = z[: len(h.vary)].copy()
    for i, name in enumerate(h.vary):
        if name in h.tails:
            tail = student_t.isf(ndtr(-np.abs(z[i])), h.tails[name])
            effects[i] = np.sign(z[i]) * np.minimum(tail, 1e6)
    chance = ndtr(z[-1]) if h.probability is not None else np.full(z.shape[1:], 0.5)
    return effects, chance
