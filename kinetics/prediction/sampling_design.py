"""What a sampling design can teach before a patient is enrolled: the expected Fisher information.

Every parameter that affects an output is free here, also those that the model holds, because the question is
what could be learnt. The mixed model is linearised at the prior medians (or at a fit's posterior medians)
with the random effects at zero (first-order population information: Mentre F et al., Biometrika 1997;84:429;
Retout S et al., Stat Med 2002;21:2623):

    V_i = J_i Omega J_i' + R_i,    I = sum_i J_i' V_i^-1 J_i + (prior precision)

J_i are the slopes of the locations of subject i's records with respect to the parameters on their link scale,
R_i the assay variances. A record below its LLOQ at the medians teaches nothing here. The SD of a parameter
after the study is that of I^-1. `learnt` is 1 - (SD after / SD before)^2: 0 where all that is known comes
from the prior, near 1 where it comes from the data. Variability between cycles is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.assay import TINY, location_scale, recorded
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.model import HalfNormal, Prior, inverse_link, link
from kinetics.plan import BoundAssay, BoundFit
from kinetics.population import individual
from kinetics.solve import solve

__all__ = ["Added", "design_information", "most_informative"]

_STEP = 0.02  # on the link scale, up and down, of the slopes by finite differences


@dataclass(frozen=True)
class Added:
    """Samples that a study does not have: a model's output on these days of every subject.

    Their error is log-normal. `days` are study days. A sample below `lloq` [the output's unit] at the medians
    teaches nothing. `sigma` is the SD of the log of a sample, 0.3 for about 30 %.

    >>> kn.prediction.Added("liver_scan", output="nk_liver", days=(0.1, 1.0), sigma=0.2, lloq=0.0).days
    (0.1, 1.0)
    """

    name: str
    output: str
    days: tuple[float, ...]
    sigma: float
    lloq: float = 0.0


class _Slopes(NamedTuple):
    """Slopes and scales of the locations of one block of records; 0 and 1 where there is nothing to learn."""

    slope: Float[np.ndarray, "parameter subject record"]
    scale: Float[np.ndarray, "subject record"]


def design_information(
    source: BoundFit | Fit, *, add: Sequence[Added] = (), scenarios: Mapping[str, Sequence[str]] | None = None
) -> DataFrame:
    """What each scenario teaches about each parameter: scenario, parameter, held, prior_sd, sd, learnt.

    `held` says whether the model holds the parameter. `prior_sd` and `sd` are the SDs before and after the
    study, on the link scale. `scenarios` maps a name to the analytes (of the plan, or of `add`) that are
    sampled; by default "as planned", and "with NAME" for each of `add`. PlanError for an analyte that is in
    neither.

    >>> bound = kn.plan.bind(kn.read_plan("ogasawara_2021__synthetic_cart_12"))
    >>> late = kn.prediction.Added("late", output="copies", days=(60.0, 90.0), sigma=0.3)
    >>> table = kn.prediction.design_information(bound, add=[late])
    >>> list(table), list(table["scenario"].unique())
    (['scenario', 'parameter', 'held', 'prior_sd', 'sd', 'learnt'], ['as planned', 'with late'])
    """
    require(source=(source, BoundFit | Fit))
    bound, values, sites = _medians(source)
    blocks = _slopes(bound, values, sites, add)
    if scenarios is None:
        planned = [a.analyte for a in bound.assays]
        scenarios = {"as planned": planned} | {f"with {a.name}": [*planned, a.name] for a in add}
    sampled = dict.fromkeys(k for analytes in scenarios.values() for k in analytes)
    unknown = [k for k in sampled if k not in blocks]
    if unknown:
        raise PlanError([Problem(f"no analyte {k!r} to sample", did_you_mean(k, blocks)) for k in unknown])
    names = list(values)
    held = [k in bound.hierarchy.fixed for k in names]
    prior = np.array([_prior_sd(bound.hierarchy.priors[k]) for k in names])
    frames = []
    for scenario, analytes in scenarios.items():
        sd = _sd_after(bound, [blocks[k] for k in analytes], names, prior, sites)
        frames.append(
            DataFrame(
                {
                    "scenario": scenario,
                    "parameter": names,
                    "held": held,
                    "prior_sd": prior,
                    "sd": sd,
                    "learnt": 1 - (sd / prior) ** 2,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def most_informative(
    source: BoundFit | Fit, targets: Sequence[str], *, add: Sequence[Added] = ()
) -> DataFrame:
    """Rank samples by the information on the target parameters that is lost without them.

    Columns: analyte, day, records, one column for each target, `loss`; the most costly day first. The column
    of a target is its SD without these samples over its SD with all samples, less 1; `loss` is the mean over
    the targets. Samples are those of the plan and of `add`; days are rounded to whole days after day 2.
    PlanError for a target that affects no output.

    >>> bound = kn.plan.bind(kn.read_plan("ogasawara_2021__synthetic_cart_12"))
    >>> list(kn.prediction.most_informative(bound, ["half_life_persistence"]))
    ['analyte', 'day', 'records', 'half_life_persistence', 'loss']
    """
    require(source=(source, BoundFit | Fit))
    bound, values, sites = _medians(source)
    names = list(values)
    unknown = [k for k in targets if k not in values]
    if unknown:
        raise PlanError([Problem(f"no output feels {k!r}", did_you_mean(k, names)) for k in unknown])
    blocks = _slopes(bound, values, sites, add)
    target_rows = [names.index(k) for k in targets]
    prior = np.array([_prior_sd(bound.hierarchy.priors[k]) for k in names])
    sd_with_all = _sd_after(bound, list(blocks.values()), names, prior, sites)[target_rows]
    rows = []
    for analyte, block in blocks.items():
        days = _days(bound, add, analyte)
        rounded = np.where(days > 2, np.round(days), np.round(days, 2))
        informative = np.isfinite(days) & (np.abs(block.slope).max(0) > 0)
        for day in np.unique(rounded[informative]):
            left_out = informative & (rounded == day)
            reduced = block._replace(slope=np.where(left_out, 0.0, block.slope))
            remaining = [reduced if k == analyte else b for k, b in blocks.items()]
            loss = _sd_after(bound, remaining, names, prior, sites)[target_rows] / sd_with_all - 1
            row = {"analyte": analyte, "day": day, "records": int(left_out.sum())}
            rows.append(row | dict(zip(targets, loss, strict=True)) | {"loss": float(loss.mean())})
    return DataFrame(rows).sort_values("loss", ascending=False, ignore_index=True)


def _medians(source: BoundFit | Fit) -> tuple[BoundFit, dict[str, float], dict[str, float]]:
    """The bound fit, the value of every free parameter, and the value of every site.

    The values are medians of the posterior of a fit, else of the priors.
    """
    medians = {}
    if isinstance(source, Fit):
        bound = source.bound
        for name, draws in source.sites(at_most=400).items():
            if draws.ndim == 1:
                medians[name] = float(np.median(draws))
    else:
        bound = source
    sites = {k: medians.get(k, float(p.median)) for k, p in bound.priors().items()}
    values = {}
    for name, parameter in bound.model.parameters.items():
        if name not in bound.unused and name not in bound.plan.fixed:
            held = bound.hierarchy.fixed.get(name, parameter.value)
            values[name] = sites.get(f"{name}_pop", held)
    return bound, values, sites


def _slopes(
    bound: BoundFit, values: Mapping[str, float], sites: Mapping[str, float], add: Sequence[Added]
) -> dict[str, _Slopes]:
    """Analyte of the plan, or name of an addition -> the slopes of its records.

    All parameters are moved up and down in one solve.
    """
    h = replace(bound.hierarchy, fixed={})
    n = len(bound.subjects)

    # the subjects' parameters, with no random effect
    population: dict[str, Any] = {f"{k}_pop": p.value for k, p in bound.model.parameters.items()}
    population |= {f"{k}_pop": v for k, v in (bound.plan.fixed | dict(values)).items()}
    population |= dict(sites)
    population |= {f"eta_{k}": jnp.zeros(n) for k in h.vary}
    theta = individual(h, bound.model, population, bound.data.design, n)

    # one time grid: the study's records, then the days of each addition
    times = [np.asarray(bound.data.observations.time)]
    times += [np.tile(np.array(a.days, float), (n, 1)) for a in add]
    grid = np.concatenate(times, axis=1)
    edges = np.cumsum([0, *(t.shape[1] for t in times)])
    outputs = list(dict.fromkeys([*(a.output for a in bound.assays), *(a.output for a in add)]))

    # predictions with each parameter in place, moved up and moved down: (1 + 2 x parameters, subject, time)
    position = {k: i for i, k in enumerate(values)}

    def predicted(shift: Array) -> dict[str, Array]:
        moved = {}
        for k, name in bound.parameters.items():  # a parameter's values of each cycle move with it
            if name in position:
                kind = bound.model.parameters[name].prior.link
                moved[k] = inverse_link(kind, link(kind, theta[k]) + shift[position[name]])
        return solve(
            bound.model, jnp.asarray(grid), theta | moved, bound.data.doses, outputs, solver=bound.solver
        )

    steps = _STEP * jnp.eye(len(values))
    shifts = jnp.concatenate([jnp.zeros((1, len(values))), steps, -steps])
    curves = {k: np.asarray(v) for k, v in jax.jit(jax.vmap(predicted))(shifts).items()}

    # what the assays make of them
    blocks = {}
    for a in bound.assays:
        blocks[a.analyte] = _slopes_of_assay(bound, a, curves[a.output][..., : edges[1]], sites)
    for i, extra in enumerate(add):
        output = curves[extra.output][..., edges[i + 1] : edges[i + 2]]
        blocks[extra.name] = _slopes_of_added(extra, output)
    return blocks


def _prior_sd(prior: Prior) -> float:
    """The prior's SD on its link scale; pi/sqrt(8) is the SD of the log of a half-normal."""
    return float(np.pi / np.sqrt(8)) if isinstance(prior, HalfNormal) else prior.sd


def _slopes_of_assay(
    bound: BoundFit,
    a: BoundAssay,
    curves: Float[np.ndarray, "shift subject record"],
    sites: Mapping[str, float],
) -> _Slopes:
    """The slopes of an assay's records above its LLOQ."""
    times = np.asarray(bound.data.observations.time)
    jax_sites = {k: jnp.asarray(v) for k, v in sites.items()}
    read = np.stack([np.asarray(a.reading(jax_sites, f, times)) for f in curves])
    location, scale = location_scale(a.likelihood, read, a.residual(sites), a.dna_ug)
    scale = np.broadcast_to(np.asarray(scale), read.shape)[0]
    lloq = bound.study.analytes[a.analyte].lloq or 0.0
    measured = np.asarray(recorded(bound.data.observations.assays[a.analyte])) & (read[0] > lloq)
    return _central_slopes(np.asarray(location), scale, measured)


def _slopes_of_added(extra: Added, curves: Float[np.ndarray, "shift subject day"]) -> _Slopes:
    """The slopes of added samples above their LLOQ."""
    location = np.log(np.maximum(curves, TINY))
    scale = np.full(curves.shape[1:], extra.sigma)
    return _central_slopes(location, scale, measured=curves[0] > max(extra.lloq, 0.0))


def _central_slopes(location: np.ndarray, scale: np.ndarray, measured: np.ndarray) -> _Slopes:
    """Central differences of locations that were computed in place, moved up and moved down."""
    count = (len(location) - 1) // 2
    slope = (location[1 : count + 1] - location[count + 1 :]) / (2 * _STEP)
    return _Slopes(np.where(measured & np.isfinite(slope), slope, 0.0), np.where(measured, scale, 1.0))


def _sd_after(
    bound: BoundFit,
    blocks: Sequence[_Slopes],
    names: Sequence[str],
    prior: np.ndarray,
    sites: Mapping[str, float],
) -> Float[np.ndarray, " parameter"]:
    """The SD of every parameter, on its link scale, after a study with these `blocks` of records."""
    omega = np.array([sites.get(f"omega_{k}", 0.0) for k in names])
    information = np.diag(prior**-2.0)
    for i in range(len(bound.subjects)):
        j = np.concatenate([b.slope[:, i] for b in blocks], axis=1).T
        r = np.concatenate([b.scale[i] for b in blocks])
        informative = np.abs(j).max(1) > 0
        if informative.any():
            j = j[informative]
            r = r[informative]
            v = (j * omega**2) @ j.T + np.diag(r**2)
            information += j.T @ np.linalg.solve(v, j)
    return np.sqrt(np.diag(np.linalg.inv(information)))


def _days(bound: BoundFit, add: Sequence[Added], analyte: str) -> Float[np.ndarray, "subject record"]:
    """The days of the records of an analyte or addition; NaN where a subject has no record."""
    if analyte in bound.data.observations.assays:
        present = np.asarray(recorded(bound.data.observations.assays[analyte]))
        return np.where(present, np.asarray(bound.data.observations.time), np.nan)
    extra = next(a for a in add if a.name == analyte)
    return np.tile(np.array(extra.days, float), (len(bound.subjects), 1))
