"""The log-likelihood of every record, and of every subject, in every posterior draw.

The likelihood of a subject is either conditional on its own random effects, or marginal: integrated over the
random effects of a patient like it who was not in the study. The integral is by importance sampling. Most
points lie around the subject's posterior; some come from the population, so that no weight is unbounded. The
same points serve every draw (Vehtari, Mononen, Tolvanen, Sivula & Winther 2016; Merkle, Furr & Rabe-Hesketh
2019).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float
from pandas import DataFrame
from scipy.special import ndtri
from scipy.stats import qmc, t as student_t

from kinetics.assay import recorded
from kinetics.inference import Fit, over_devices
from kinetics.model import link
from kinetics.population import Hierarchy, centres, correlate, effects_log_prob, shift_of
from kinetics.prediction import predicted_blocks
from kinetics.streams import stream

__all__ = ["Pointwise", "predicted_log_likelihoods", "record_log_likelihoods", "subject_log_likelihoods"]

_MOST = 4_000_000  # the most log-likelihoods of records that are computed at once
_WIDER = 1.3  # variance of the points around a subject's posterior, over the variance of that posterior
_LEAST = 0.02  # the least SD of these points, on the link scale
_PRIOR_SHARE = 0.15  # share of the points that are drawn from the population


@dataclass(frozen=True)
class Pointwise:
    """Log-likelihoods of units, which are records or subjects.

    `values` are the log-likelihoods. `units` has one row for each unit: subject, and for a record also its
    time [study day] and analyte. `error` is the Monte Carlo standard error of each unit's log-likelihood, the
    median over draws; it is 0 where the log-likelihood is not an integral.
    """

    units: DataFrame
    values: Float[np.ndarray, "chain draw unit"]
    error: Float[np.ndarray, " unit"]


def record_log_likelihoods(
    fit: Fit, *, draws: int | None = None, together: Collection[str] = ()
) -> Pointwise:
    """Log-likelihoods of the records that enter the likelihood, given their subjects' own random effects.

    The columns of `units` are subject, analyte, time [study day] and censored. A BLQ record that the plan
    leaves out (M1) is not among them. At most `draws` draws of each chain are used, evenly thinned. Records
    of one subject at one time are one unit if their analytes are those of a correlated pair, or are all in
    `together`; `analyte` and `censored` then name each of them.
    """
    data = fit.bound.data
    assays = fit.bound.assays
    values = predicted_log_likelihoods(fit, _sites(fit, draws))

    # the kind and the analyte of every unit, (subject, record) for each assay; "" where there is none
    kinds = []
    analytes = []
    for assay in assays:
        records = data.observations.assays[assay.analyte]
        masks = {
            "none": records.measured,
            "left": records.left,
            "right": records.right,
            "interval": records.interval,
        }
        kind = np.select([np.asarray(m) for m in masks.values()], list(masks), default="")
        kinds.append(kind.astype(object))
        analytes.append(np.full(kind.shape, assay.analyte, object))

    # a unit of several records has their sum, at the first of its assays
    joint = {*together, *(fit.bound.pair.analytes if fit.bound.pair else ())}
    joint_assays = [k for k, assay in enumerate(assays) if assay.analyte in joint]
    for a, b in combinations(joint_assays, 2):
        both = (kinds[a] != "") & (kinds[b] != "")
        values[:, both, a] += values[:, both, b]
        analytes[a][both] += " and " + analytes[b][both]
        kinds[a][both] += " and " + kinds[b][both]
        kinds[b][both] = ""

    # one row, and one column of values, for each unit
    tables = []
    columns = []
    for a in range(len(assays)):
        i, j = np.nonzero(kinds[a] != "")
        tables.append(
            {
                "subject": np.asarray(fit.bound.subjects, object)[i],
                "analyte": analytes[a][i, j],
                "time": np.asarray(data.observations.time)[i, j],
                "censored": kinds[a][i, j],
            }
        )
        columns.append(values[:, i, j, a])
    units = DataFrame({k: np.concatenate([np.asarray(t[k], object) for t in tables]) for k in tables[0]})
    units["time"] = units["time"].astype(float)
    by_unit = _by_chain(fit, np.concatenate(columns, axis=1))
    return Pointwise(units, by_unit, np.zeros(len(units)))


def predicted_log_likelihoods(
    fit: Fit, sites: Mapping[str, np.ndarray]
) -> Float[np.ndarray, "draw subject record assay"]:
    """The log-likelihood of each record in every draw of `sites`; 0 in padded slots.

    The equations are solved by the program that serves all predictions of the fit.
    """
    bound = fit.bound
    data = bound.data
    times = np.asarray(data.observations.time, float)
    outputs = tuple(dict.fromkeys(assay.output for assay in bound.assays))

    def log_likelihoods(s: Mapping[str, Array], predicted: Mapping[str, Array]) -> Array:
        read = {a.analyte: jnp.asarray(a.reading(s, predicted[a.output], times)) for a in bound.assays}
        return jnp.stack(list(bound.record_log_likelihood(s, data, read).values()), axis=-1)

    run = jax.vmap(log_likelihoods)
    theta_of = jax.jit(jax.vmap(lambda s: bound.theta(s, data)))
    rows = max(1, _MOST // (times.size * len(bound.assays)))
    draws = len(next(iter(sites.values())))
    compiled = jax.jit(run)
    parts = []
    for start in range(0, draws, rows):
        part = {k: jnp.asarray(v[start : start + rows]) for k, v in sites.items()}
        theta = {k: np.asarray(v) for k, v in theta_of(part).items()}
        blocks = [curves for _, curves in predicted_blocks(fit, outputs, times, theta, data.doses)]
        predicted = {k: np.concatenate([block[k] for block in blocks], axis=1) for k in outputs}
        parts.append(np.asarray(compiled(part, predicted)))
    return np.concatenate(parts)


def subject_log_likelihoods(
    fit: Fit, *, marginal: bool = True, points: int = 256, draws: int | None = 500, seed: int = 0
) -> Pointwise:
    """The log-likelihood of all records of each subject, with its times to events and its grades.

    Subjects without any of them are left out.

    If `marginal`, the likelihood is integrated over the random effects at `points` points, which `seed`
    places. Otherwise it is conditional on the subject's own random effects. At most `draws` draws of each
    chain are used, evenly thinned. The columns of `units` are subject and records, the number of its records.
    """
    bound = fit.bound
    data = fit.bound.data
    sites = _sites(fit, draws)
    counts = sum(np.asarray(recorded(r)).sum(axis=1) for r in data.observations.assays.values())
    outcomes = sum(np.asarray(times.counted).astype(int) for times in data.event_times.values())
    outcomes = outcomes + sum(np.asarray(grades.recorded).sum(axis=1) for grades in data.grades.values())
    rows = np.flatnonzero(counts + outcomes)
    names = [bound.subjects[i] for i in rows]
    units = DataFrame({"subject": names, "records": np.asarray(counts)[rows]})
    if marginal and bound.hierarchy.vary:
        values, error = _integrated(fit, sites, points, seed)
    else:
        size_of_draw = data.observations.time.size * len(bound.assays)
        run = jax.vmap(lambda s: bound.subject_log_likelihood(s, data))
        values = _in_blocks(run, sites, max(1, _MOST // size_of_draw))
        error = np.zeros(len(bound.subjects))
    return Pointwise(units, _by_chain(fit, values[:, rows]), error[rows])


def _integrated(
    fit: Fit, sites: Mapping[str, np.ndarray], points: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """log p(records of a subject | population values), (draw, subject), and its Monte Carlo error."""
    bound = fit.bound
    data = fit.bound.data
    h = fit.bound.hierarchy
    proposal = _proposal(fit, points, seed)
    subjects = len(fit.bound.subjects)

    def conditional(s: Mapping[str, Array], eta: Array) -> Array:
        """Log-likelihood of each subject with the random effects `eta` (effect, subject)."""
        effects = {f"eta_{name}": eta[k] for k, name in enumerate(h.vary)}
        return bound.subject_log_likelihood(dict(s) | effects, data)

    def integral(s: Mapping[str, Array]) -> Array:
        """The log of the integral and its relative error, (2, subject), for the population values `s`."""
        centre = centres(h, h.vary, s, data.design, subjects)
        eta, log_weight = proposal.weighted(h, s, centre)
        terms = jax.vmap(conditional, in_axes=(None, 1))(s, eta) + log_weight
        top = jnp.max(terms, axis=0)
        w = jnp.exp(terms - jnp.where(jnp.isfinite(top), top, 0.0))
        total = jnp.sum(w, axis=0)
        error = jnp.sqrt(jnp.maximum(jnp.sum(w**2, axis=0) / total**2 - 1 / points, 0.0))
        return jnp.stack([jnp.log(total) + top - jnp.log(points), error])

    size_of_draw = points * data.observations.time.size * len(bound.assays)
    population = {name: sites[name] for name in bound.priors()}
    integrals = _in_blocks(jax.vmap(integral), population, max(1, _MOST // size_of_draw))
    return integrals[:, 0], np.median(integrals[:, 1], axis=0)


@dataclass(frozen=True)
class _Proposal:
    """Points to integrate over: most around each subject's own posterior, the others from the population.

    The points around the posterior are values of the varying parameters on their link scale, not random
    effects, because a subject's records determine these values whatever the population values are.
    """

    near: Float[np.ndarray, "effect point subject"]
    independent: Float[np.ndarray, "effect point"]  # from the population, before effects are correlated
    chance: Float[np.ndarray, " point"]  # uniform: below P(second class), the point is of that class
    mean: Float[np.ndarray, "effect subject"]
    root: Float[np.ndarray, "subject effect effect"]  # lower Cholesky factor of the covariance

    def weighted(self, h: Hierarchy, s: Mapping[str, Array], centre: Array) -> tuple[Array, Array]:
        """Random effects (effect, point, subject) of one draw, and log weights (point, subject)."""
        # the points as random effects of this draw's population
        omega = jnp.stack([s[h.sd_site(name)] for name in h.vary])[:, None, None]
        shape = (*self.independent.shape, centre.shape[-1])
        from_population = correlate(h, s, jnp.asarray(self.independent))
        if h.probability is not None:
            second_class = self.chance < s["prob_class"]
            from_population = from_population + shift_of(h, s)[:, None] * second_class
        from_population = jnp.broadcast_to(from_population[..., None], shape)
        eta = jnp.concatenate([(self.near - centre[:, None]) / omega, from_population], axis=1)

        # log densities of the value (not of eta) in the population, and around the subject's posterior
        population = effects_log_prob(h, s, eta) - jnp.sum(jnp.log(omega))
        deviation = centre[:, None] + omega * eta - self.mean[:, None]
        z = jnp.einsum("sij,jps->ips", np.linalg.inv(self.root), deviation)
        log_determinant = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        near = jnp.sum(norm.logpdf(z), axis=0) - log_determinant

        share = from_population.shape[1] / eta.shape[1]
        mixture = jnp.logaddexp(np.log(share) + population, np.log(1 - share) + near)
        return eta, population - mixture


def _proposal(fit: Fit, points: int, seed: int) -> _Proposal:
    """The points for one fit; both kinds are low-discrepancy (Halton) points."""
    h = fit.bound.hierarchy
    posterior = _positions(fit)
    size = len(h.vary)
    few = max(1, round(_PRIOR_SHARE * points))
    rng = stream(seed, "integration points")
    uniform_near = np.clip(qmc.Halton(size, rng=rng).random(points - few), 1e-12, 1 - 1e-12).T
    uniform_population = np.clip(qmc.Halton(size, rng=rng).random(few), 1e-12, 1 - 1e-12).T
    independent = []
    for name, u in zip(h.vary, uniform_population, strict=True):
        independent.append(student_t.ppf(u, h.tails[name]) if name in h.tails else ndtri(u))
    mean = posterior.mean(axis=1)
    deviation = posterior - mean[:, None]
    covariance = np.einsum("ids,jds->sij", deviation, deviation) / posterior.shape[1]
    root = np.linalg.cholesky(_WIDER * covariance + _LEAST**2 * np.eye(size))
    return _Proposal(
        near=mean[:, None] + np.einsum("sij,jp->ips", root, ndtri(uniform_near)),
        independent=np.stack(independent),
        chance=rng.uniform(size=few) if h.probability is not None else np.ones(few),
        mean=mean,
        root=root,
    )


def _positions(fit: Fit) -> Float[np.ndarray, "effect draw subject"]:
    """The subjects' varying parameters on the link scale, and the effects of their cycles."""
    h = fit.bound.hierarchy
    theta = fit.theta()
    sites = fit.sites()
    values = {name: np.asarray(link(h.priors[name].link, jnp.asarray(theta[name]))) for name in h.omega}
    values |= {k: sites[h.sd_site(k)][:, None] * sites[f"eta_{k}"] for k in h.by_cycle}
    return np.stack([values[k] for k in h.vary])


def _sites(fit: Fit, draws: int | None) -> dict[str, np.ndarray]:
    """The sampled sites (draw, ...), one chain after the other, at most `draws` of each chain."""
    group = fit.posterior["posterior"].dataset
    n = int(group.sizes["draw"])
    keep = np.linspace(0, n - 1, min(draws or n, n)).round().astype(int)
    sites = {}
    for name in fit.bound.site_names():
        values = group[name].to_numpy()[:, keep]
        sites[name] = values.reshape(-1, *values.shape[2:])
    return sites


def _by_chain(fit: Fit, values: np.ndarray) -> np.ndarray:
    """Values (chain x draw, unit) as (chain, draw, unit)."""
    chains = int(fit.posterior["posterior"].sizes["chain"])
    return values.reshape(chains, -1, values.shape[-1])


def _in_blocks(run: Any, sites: Mapping[str, np.ndarray], most: int) -> np.ndarray:
    """The results of `run` on all draws, computed in blocks of at most `most` draws.

    All blocks have one shape, so `run` is compiled once; the last block is filled up with its last draw. The
    draws of a block are shared out over the devices.
    """
    n = len(next(iter(sites.values())))
    blocks = -(-n // most)
    size = -(-n // blocks)
    size = -(-size // len(jax.devices())) * len(jax.devices())
    compiled = jax.jit(over_devices(run, size))
    parts = []
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        part = compiled({k: jnp.asarray(v[rows]) for k, v in sites.items()})
        parts.append(np.asarray(part)[: n - start])
    return np.concatenate(parts)
