"""The log-likelihood of every record, and of every subject, in every posterior draw.

A subject's own likelihood is either conditional on its random effects, or marginal: integrated over those of
a patient like it who was not in the study. The integral is by importance sampling: points around the
subject's posterior and, so that no weight is unbounded, points of the population; the same points serve
every draw (Vehtari, Mononen, Tolvanen, Sivula & Winther 2016; Merkle, Furr & Rabe-Hesketh 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float
from pandas import DataFrame
from scipy.special import ndtri
from scipy.stats import qmc

from kinetics.distributions import link
from kinetics.fit import Fit
from kinetics.hierarchy import centre_of

__all__ = ["Pointwise", "record_log_likelihoods", "subject_log_likelihoods"]

_MOST = 4_000_000  # log-likelihoods of records at once
_WIDER, _LEAST, _PRIOR_SHARE = (
    1.3,
    0.02,
    0.15,
)  # the points: variance over the posterior's, least SD on the link
# scale, and the share drawn from the population


@dataclass(frozen=True)
class Pointwise:
    """Log-likelihoods: `values` by unit, `units` what each is (subject; time [study day] and analyte).

    `error`: Monte Carlo standard error of each unit's log-likelihood, the median over draws; 0 where it is
    not an integral.
    """

    units: DataFrame
    values: Float[np.ndarray, "chain draw unit"]
    error: Float[np.ndarray, " unit"]


def record_log_likelihoods(fit: Fit, *, draws: int | None = None) -> Pointwise:
    """Every record that enters the likelihood, given its subject's own random effects.

    units: subject, analyte, time [study day], censored. A BLQ record that the plan leaves out (M1) is not among
    them. `draws`: at most so many a chain, evenly thinned.
    """
    sites, data = _sites(fit, draws), fit.bound.data

    def one(s: Mapping[str, Array]) -> Array:
        return jnp.stack(list(fit.bound.record_log_likelihood(s, data).values()), axis=-1)

    width = data.observations.time.size * len(fit.bound.assays)
    values = _in_blocks(jax.vmap(one), sites, max(1, _MOST // width))
    units, columns = [], []
    for a, assay in enumerate(fit.bound.assays):
        records = data.observations.assays[assay.analyte]
        masks = {"none": records.measured, "left": records.left, "right": records.right}
        masks |= {"interval": records.interval}
        kind = np.select([np.asarray(m) for m in masks.values()], list(masks), default="")
        i, j = np.nonzero(kind != "")
        names = np.asarray(fit.bound.subjects, object)[i]
        time = np.asarray(data.observations.time)[i, j]
        units.append(
            {"subject": names, "analyte": [assay.analyte] * len(i), "time": time, "censored": kind[i, j]}
        )
        columns.append(values[:, i, j, a])
    table = DataFrame({k: np.concatenate([np.asarray(u[k], object) for u in units]) for k in units[0]})
    table["time"] = table["time"].astype(float)
    by_unit = _by_chain(fit, np.concatenate(columns, axis=1))
    return Pointwise(table, by_unit, np.zeros(len(table)))


def subject_log_likelihoods(
    fit: Fit, *, marginal: bool = True, points: int = 256, draws: int | None = 500, seed: int = 0
) -> Pointwise:
    """Every subject's records together; subjects without a record are left out.

    `marginal`: integrated over the random effects at `points` points, else given the subject's own.
    `draws`: at most so many a chain, evenly thinned. units: subject, records.
    """
    records = record_log_likelihoods(fit, draws=draws if not marginal else 1)
    counts = records.units["subject"].value_counts()
    rows = [i for i, s in enumerate(fit.bound.subjects) if s in counts.index]
    names = [fit.bound.subjects[i] for i in rows]
    units = DataFrame({"subject": names, "records": [int(counts[s]) for s in names]})
    if not marginal or not fit.bound.hierarchy.vary:
        if marginal:
            records = record_log_likelihoods(fit, draws=draws)
        own = [(records.units["subject"] == s).to_numpy() for s in names]
        sums = np.stack([records.values[:, :, mask].sum(axis=-1) for mask in own], axis=-1)
        return Pointwise(units, sums, np.zeros(len(names)))
    values, error = _integrated(fit, _sites(fit, draws), points, seed)
    return Pointwise(units, _by_chain(fit, values[:, rows]), error[rows])


def _integrated(
    fit: Fit, sites: Mapping[str, np.ndarray], points: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """log p(records of a subject | population values), (draw, subject), and its Monte Carlo error (subject,)."""
    bound, data, h = fit.bound, fit.bound.data, fit.bound.hierarchy
    proposal, subjects = _proposal(fit, points, seed), len(fit.bound.subjects)

    def one(s: Mapping[str, Array], value: Array) -> Array:
        """Log-likelihood of each subject whose varying parameters are `value` on the link scale."""
        own = dict(s)
        for k, name in enumerate(h.vary):
            eta = (value[:, k] - centre_of(h, name, own, data.design)) / s[f"omega_{name}"]
            own |= {f"link_{name}": value[:, k], f"eta_{name}": eta}
        terms = bound.record_log_likelihood(own, data)
        return jnp.sum(jnp.stack(list(terms.values())), axis=(0, 2))

    def reduced(s: Mapping[str, Array]) -> Array:
        ones = jnp.ones(subjects)
        centre = jnp.stack([ones * centre_of(h, name, dict(s), data.design) for name in h.vary], axis=-1)
        omega = jnp.stack([s[f"omega_{name}"] for name in h.vary])
        value, log_weight = proposal.at(centre, omega)
        terms = jax.vmap(one, in_axes=(None, 0))(s, value) + log_weight
        top = jnp.max(terms, axis=0)
        w = jnp.exp(terms - jnp.where(jnp.isfinite(top), top, 0.0))
        total = jnp.sum(w, axis=0)
        relative = jnp.sqrt(jnp.maximum(jnp.sum(w**2, axis=0) / total**2 - 1 / points, 0.0))
        return jnp.stack([jnp.log(total) + top - jnp.log(points), relative])

    width = points * data.observations.time.size * len(bound.assays)
    population = {name: sites[name] for name in bound.priors()}
    found = _in_blocks(jax.vmap(reduced), population, max(1, _MOST // width))
    return found[:, 0], np.median(found[:, 1], axis=0)


@dataclass(frozen=True)
class _Proposal:
    """Points to integrate over, on the link scale of the varying parameters, where a subject's records hold
    them in place whatever the population values are: most around the subject's own posterior, the others
    from the population of the draw.
    """

    near: Float[np.ndarray, "point subject effect"]
    standard: Float[np.ndarray, "point effect"]  # of the population
    mean: Float[np.ndarray, "subject effect"]
    root: Float[np.ndarray, "subject effect effect"]  # lower Cholesky factor of the covariance

    def at(self, centre: Array, omega: Array) -> tuple[Array, Array]:
        """Points (point, subject, effect) for one draw, and their log importance weights (point, subject)."""
        there = centre + omega * self.standard[:, None, :]
        value = jnp.concatenate([jnp.asarray(self.near), there])
        prior = jnp.sum(norm.logpdf(value, centre, omega), axis=-1)
        z = jnp.einsum("sij,psj->psi", np.linalg.inv(self.root), value - self.mean)
        scale = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        own = jnp.sum(norm.logpdf(z), axis=-1) - scale
        share = len(self.standard) / len(value)
        return value, prior - jnp.logaddexp(np.log(share) + prior, np.log(1 - share) + own)


def _proposal(fit: Fit, points: int, seed: int) -> _Proposal:
    h, theta = fit.bound.hierarchy, fit.theta()
    posterior = np.stack(
        [np.asarray(link(h.priors[name].link, jnp.asarray(theta[name]))) for name in h.vary], axis=-1
    )
    size, few = len(h.vary), max(1, round(_PRIOR_SHARE * points))
    rng = np.random.default_rng([seed, 3])
    own, population = (
        ndtri(np.clip(qmc.Halton(size, rng=rng).random(n), 1e-12, 1 - 1e-12)) for n in (points - few, few)
    )
    mean = posterior.mean(axis=0)
    spread = np.einsum("dsi,dsj->sij", posterior - mean, posterior - mean) / len(posterior)
    root = np.linalg.cholesky(_WIDER * spread + _LEAST**2 * np.eye(size))
    return _Proposal(mean + np.einsum("sij,pj->psi", root, own), population, mean, root)


def _sites(fit: Fit, draws: int | None) -> dict[str, np.ndarray]:
    """The sampled sites (draw, ...), chains one after the other, at most `draws` of each."""
    bound, group = fit.bound, fit.posterior["posterior"].dataset
    n = int(group.sizes["draw"])
    keep = np.linspace(0, n - 1, min(draws or n, n)).round().astype(int)
    wanted = [*bound.priors(), *(f"eta_{k}" for k in bound.hierarchy.vary)]
    wanted += [f"link_{k}" for k in bound.hierarchy.centred]
    found = {name: group[name].to_numpy()[:, keep] for name in wanted}
    return {name: v.reshape(-1, *v.shape[2:]) for name, v in found.items()}


def _by_chain(fit: Fit, values: np.ndarray) -> np.ndarray:
    chains = int(fit.posterior["posterior"].sizes["chain"])
    return values.reshape(chains, -1, values.shape[-1])


def _in_blocks(run: Any, sites: Mapping[str, np.ndarray], most: int) -> np.ndarray:
    """`run` over blocks of draws of one compiled shape; the last block repeats its last draw."""
    n = len(next(iter(sites.values())))
    size = -(-n // -(-n // most))
    compiled, parts = jax.jit(run), []
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        part = compiled({k: jnp.asarray(v[rows]) for k, v in sites.items()})
        parts.append(np.asarray(part)[: n - start])
    return np.concatenate(parts)
