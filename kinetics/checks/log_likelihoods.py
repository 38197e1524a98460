"""The log-likelihood of every record, and of every subject, in every posterior draw.

A subject's own likelihood is either conditional on its random effects, or marginal: integrated over those of
a patient like it who was not in the study. The integral is by importance sampling: points around the
subject's posterior and, so that no weight is unbounded, points of the population; the same points serve
every draw (Vehtari, Mononen, Tolvanen, Sivula & Winther 2016; Merkle, Furr & Rabe-Hesketh 2019).
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
from kinetics.inference import Fit
from kinetics.model import link
from kinetics.population import Hierarchy, centres, correlate, effects_log_prob, shift_of
from kinetics.streams import stream

__all__ = ["Pointwise", "record_log_likelihoods", "subject_log_likelihoods"]

_MOST = 4_000_000  # log-likelihoods of records at once
# the points: variance over the posterior's, and least SD on the link scale
_WIDER = 1.3
_LEAST = 0.02
_PRIOR_SHARE = 0.15  # of the points, drawn from the population


@dataclass(frozen=True)
class Pointwise:
    """Log-likelihoods: `values` by unit, `units` what each is (subject; time [study day] and analyte).

    `error`: Monte Carlo standard error of each unit's log-likelihood, the median over draws; 0 where it is
    not an integral.
    """

    units: DataFrame
    values: Float[np.ndarray, "chain draw unit"]
    error: Float[np.ndarray, " unit"]


def record_log_likelihoods(
    fit: Fit, *, draws: int | None = None, together: Collection[str] = ()
) -> Pointwise:
    """Every record that enters the likelihood, given its subject's own random effects.

    units: subject, analyte, time [study day], censored. A BLQ record that the plan leaves out (M1) is not
    among them. `draws`: at most so many a chain, evenly thinned. Records of one subject at one time are one
    unit if their analytes are those of a correlated pair, or all in `together`: `analyte` and `censored` then
    name each.
    """
    sites = _sites(fit, draws)
    data = fit.bound.data
    assays = fit.bound.assays

    def one(s: Mapping[str, Array]) -> Array:
        return jnp.stack(list(fit.bound.record_log_likelihood(s, data).values()), axis=-1)

    width = data.observations.time.size * len(assays)
    values = _in_blocks(jax.vmap(one), sites, max(1, _MOST // width))
    joined = {*together, *(fit.bound.pair.analytes if fit.bound.pair else ())}
    analytes, kinds = _joined(fit, values, joined)
    units = []
    columns = []
    for a in range(len(assays)):
        i, j = np.nonzero(kinds[a] != "")
        names = np.asarray(fit.bound.subjects, object)[i]
        time = np.asarray(data.observations.time)[i, j]
        units.append(
            {"subject": names, "analyte": analytes[a][i, j], "time": time, "censored": kinds[a][i, j]}
        )
        columns.append(values[:, i, j, a])
    table = DataFrame({k: np.concatenate([np.asarray(u[k], object) for u in units]) for k in units[0]})
    table["time"] = table["time"].astype(float)
    by_unit = _by_chain(fit, np.concatenate(columns, axis=1))
    return Pointwise(table, by_unit, np.zeros(len(table)))


def _joined(
    fit: Fit, values: Float[np.ndarray, "draw subject record assay"], together: Collection[str]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Names and kinds of the units of every assay, (subject, record), "" where there is none; in `values` a
    unit of several records has their sum, at the first of its assays.
    """
    analytes = []
    kinds = []
    for assay in fit.bound.assays:
        records = fit.bound.data.observations.assays[assay.analyte]
        masks = {"none": records.measured, "left": records.left, "right": records.right}
        masks |= {"interval": records.interval}
        found = np.select([np.asarray(m) for m in masks.values()], list(masks), default="")
        kinds.append(found.astype(object))
        analytes.append(np.full(found.shape, assay.analyte, object))
    one_draw = [k for k, assay in enumerate(fit.bound.assays) if assay.analyte in together]
    for a, b in combinations(one_draw, 2):
        both = (kinds[a] != "") & (kinds[b] != "")
        values[:, both, a] += values[:, both, b]
        analytes[a][both] += " and " + analytes[b][both]
        kinds[a][both] += " and " + kinds[b][both]
        kinds[b][both] = ""
    return analytes, kinds


def subject_log_likelihoods(
    fit: Fit, *, marginal: bool = True, points: int = 256, draws: int | None = 500, seed: int = 0
) -> Pointwise:
    """Every subject's records together; subjects without a record are left out.

    `marginal`: integrated over the random effects at `points` points, else given the subject's own.
    `draws`: at most so many a chain, evenly thinned. units: subject, records.
    """
    bound = fit.bound
    data = fit.bound.data
    sites = _sites(fit, draws)
    counts = sum(np.asarray(recorded(r)).sum(axis=1) for r in data.observations.assays.values())
    rows = np.flatnonzero(counts)
    names = [bound.subjects[i] for i in rows]
    units = DataFrame({"subject": names, "records": np.asarray(counts)[rows]})
    if marginal and bound.hierarchy.vary:
        values, error = _integrated(fit, sites, points, seed)
    else:
        width = data.observations.time.size * len(bound.assays)
        run = jax.vmap(lambda s: bound.subject_log_likelihood(s, data))
        values = _in_blocks(run, sites, max(1, _MOST // width))
        error = np.zeros(len(bound.subjects))
    return Pointwise(units, _by_chain(fit, values[:, rows]), error[rows])


def _integrated(
    fit: Fit, sites: Mapping[str, np.ndarray], points: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """log p(records of a subject | population values), (draw, subject), and its Monte Carlo error
    (subject,).
    """
    bound = fit.bound
    data = fit.bound.data
    h = fit.bound.hierarchy
    proposal = _proposal(fit, points, seed)
    subjects = len(fit.bound.subjects)

    def one(s: Mapping[str, Array], eta: Array) -> Array:
        """Log-likelihood of each subject with the random effects `eta` (effect, subject)."""
        own = dict(s) | {f"eta_{name}": eta[k] for k, name in enumerate(h.vary)}
        return bound.subject_log_likelihood(own, data)

    def reduced(s: Mapping[str, Array]) -> Array:
        centre = centres(h, h.vary, s, data.design, subjects)
        eta, log_weight = proposal.at(h, s, centre)
        terms = jax.vmap(one, in_axes=(None, 1))(s, eta) + log_weight
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

    near: Float[np.ndarray, "effect point subject"]
    independent: Float[np.ndarray, "effect point"]  # of the population, before effects are correlated
    chance: Float[np.ndarray, " point"]  # uniform: which of these are of the second class of a mixture
    mean: Float[np.ndarray, "effect subject"]
    root: Float[np.ndarray, "subject effect effect"]  # lower Cholesky factor of the covariance

    def at(self, h: Hierarchy, s: Mapping[str, Array], centre: Array) -> tuple[Array, Array]:
        """Random effects (effect, point, subject) for one draw, and log importance weights (point,
        subject).
        """
        omega = jnp.stack([s[h.sd_site(name)] for name in h.vary])[:, None, None]
        shape = (*self.independent.shape, centre.shape[-1])
        drawn = correlate(h, s, jnp.asarray(self.independent))
        if h.probability is not None:
            drawn = drawn + shift_of(h, s)[:, None] * (self.chance < s["prob_class"])
        drawn = jnp.broadcast_to(drawn[..., None], shape)
        eta = jnp.concatenate([(self.near - centre[:, None]) / omega, drawn], axis=1)
        prior = effects_log_prob(h, s, eta) - jnp.sum(jnp.log(omega))  # of the value, not of eta
        away = centre[:, None] + omega * eta - self.mean[:, None]
        z = jnp.einsum("sij,jps->ips", np.linalg.inv(self.root), away)
        scale = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        own = jnp.sum(norm.logpdf(z), axis=0) - scale
        share = drawn.shape[1] / eta.shape[1]
        return eta, prior - jnp.logaddexp(np.log(share) + prior, np.log(1 - share) + own)


def _proposal(fit: Fit, points: int, seed: int) -> _Proposal:
    h = fit.bound.hierarchy
    posterior = _positions(fit)
    size = len(h.vary)
    few = max(1, round(_PRIOR_SHARE * points))
    rng = stream(seed, "integration points")
    own, others = (
        np.clip(qmc.Halton(size, rng=rng).random(n), 1e-12, 1 - 1e-12).T for n in (points - few, few)
    )
    independent = np.stack(
        [
            student_t.ppf(u, h.tails[name]) if name in h.tails else ndtri(u)
            for name, u in zip(h.vary, others, strict=True)
        ]
    )
    mean = posterior.mean(axis=1)
    away = posterior - mean[:, None]
    spread = np.einsum("ids,jds->sij", away, away) / posterior.shape[1]
    root = np.linalg.cholesky(_WIDER * spread + _LEAST**2 * np.eye(size))
    near = mean[:, None] + np.einsum("sij,jp->ips", root, ndtri(own))
    chance = rng.uniform(size=few) if h.probability is not None else np.ones(few)
    return _Proposal(near, independent, chance, mean, root)


def _positions(fit: Fit) -> Float[np.ndarray, "effect draw subject"]:
    """The subjects' parameters on the link scale, and their cycles' effects."""
    h = fit.bound.hierarchy
    theta = fit.theta()
    sites = fit.sites()
    values = {name: np.asarray(link(h.priors[name].link, jnp.asarray(theta[name]))) for name in h.omega}
    values |= {k: sites[h.sd_site(k)][:, None] * sites[f"eta_{k}"] for k in h.by_cycle}
    return np.stack([values[k] for k in h.vary])


def _sites(fit: Fit, draws: int | None) -> dict[str, np.ndarray]:
    """The sampled sites (draw, ...), chains one after the other, at most `draws` of each."""
    bound = fit.bound
    group = fit.posterior["posterior"].dataset
    n = int(group.sizes["draw"])
    keep = np.linspace(0, n - 1, min(draws or n, n)).round().astype(int)
    found = {name: group[name].to_numpy()[:, keep] for name in bound.site_names()}
    return {name: v.reshape(-1, *v.shape[2:]) for name, v in found.items()}


def _by_chain(fit: Fit, values: np.ndarray) -> np.ndarray:
    chains = int(fit.posterior["posterior"].sizes["chain"])
    return values.reshape(chains, -1, values.shape[-1])


def _in_blocks(run: Any, sites: Mapping[str, np.ndarray], most: int) -> np.ndarray:
    """`run` over blocks of draws of one compiled shape; the last block repeats its last draw."""
    n = len(next(iter(sites.values())))
    size = -(-n // -(-n // most))
    compiled = jax.jit(run)
    parts = []
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        part = compiled({k: jnp.asarray(v[rows]) for k, v in sites.items()})
        parts.append(np.asarray(part)[: n - start])
    return np.concatenate(parts)
