"""What a sampling design can teach of each parameter, before a patient is enrolled: expected Fisher
information.

Every parameter that an output feels is free here, those that the model holds too: the question is what could
be learnt. The mixed model is linearised at the prior medians (or at a fit's posterior medians) with no random
effect (first-order population information: Mentre F et al., Biometrika 1997;84:429; Retout S et al., Stat Med
2002;21:2623):

    V_i = J_i Omega J_i' + R_i,    I = sum_i J_i' V_i^-1 J_i + (prior precision)

J_i are the slopes of the records' locations by the parameters on their link scale, R_i the assay variances. A
record below its LLOQ at the medians teaches nothing here. The SD of a parameter after the study is that of
I^-1; `learnt` is 1 - (SD after / SD before)^2: 0 where the prior speaks alone, near 1 where the data do.
Variability between cycles is left out.
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

from kinetics.assay import TINY, location_scale, recorded
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.model import HalfNormal, Prior, inverse_link, link
from kinetics.plan import BoundAssay, BoundFit
from kinetics.population import individual
from kinetics.solve import solve

__all__ = ["Added", "design_information", "most_informative"]

_STEP = 0.02  # of the link scale, either way


@dataclass(frozen=True)
class Added:
    """Samples that a study does not have: an output of the model on these days of every subject, log-normal
    error.

    `lloq`, in the output's unit: what is below it at the medians teaches nothing. `sigma` is the SD of the
    log of a sample, 0.3 for about 30 %.

    >>> kn.prediction.Added("liver_scan", output="nk_liver", days=(0.1, 1.0), sigma=0.2, lloq=0.0).days
    (0.1, 1.0)
    """

    name: str
    output: str
    days: tuple[float, ...]
    sigma: float
    lloq: float = 0.0


class _Slopes(NamedTuple):
    """Of one block of records: location's slope and scale; 0 and 1 where there is nothing to learn."""

    slope: Float[np.ndarray, "parameter subject record"]
    scale: Float[np.ndarray, "subject record"]


def design_information(
    source: BoundFit | Fit, *, add: Sequence[Added] = (), scenarios: Mapping[str, Sequence[str]] | None = None
) -> DataFrame:
    """What each scenario teaches: scenario, parameter, held, prior_sd, sd (link scale), learnt.

    `scenarios` maps a name to the analytes (of the plan, or of `add`) that are sampled; by default "as
    planned", and, where something is added, "with NAME" of each. PlanError for a name that is neither.

    >>> bound = kn.plan.bind(kn.read_plan("ogasawara_2021__synthetic_cart_12"))
    >>> late = kn.prediction.Added("late", output="copies", days=(60.0, 90.0), sigma=0.3)
    >>> table = kn.prediction.design_information(bound, add=[late])
    >>> list(table), list(table["scenario"].unique())
    (['scenario', 'parameter', 'held', 'prior_sd', 'sd', 'learnt'], ['as planned', 'with late'])
    """
    bound, values, sites = _at(source)
    blocks = _slopes(bound, values, sites, add)
    planned = [a.analyte for a in bound.assays]
    default = {"as planned": planned} | {f"with {a.name}": [*planned, a.name] for a in add}
    chosen = default if scenarios is None else scenarios
    unknown = [k for names in chosen.values() for k in names if k not in blocks]
    if unknown:
        raise PlanError(
            [Problem(f"no analyte {k!r} to sample", did_you_mean(k, blocks)) for k in dict.fromkeys(unknown)]
        )
    names = list(values)
    prior = np.array([_spread(bound.hierarchy.priors[k]) for k in names])
    frames = []
    for scenario, analytes in chosen.items():
        sd = _after(bound, [blocks[k] for k in analytes], names, prior, sites)
        held = [k in bound.hierarchy.fixed for k in names]
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
    """Which samples buy most: for each analyte and day of the plan, and each of `add`, the SD of the targets
    with all samples over that without this one, less 1: analyte, day, records, one column a target, `loss`
    (their mean).

    Days are rounded to whole days after day 2. PlanError for a target that no output feels.

    >>> bound = kn.plan.bind(kn.read_plan("ogasawara_2021__synthetic_cart_12"))
    >>> list(kn.prediction.most_informative(bound, ["half_life_persistence"]))
    ['analyte', 'day', 'records', 'half_life_persistence', 'loss']
    """
    bound, values, sites = _at(source)
    names = list(values)
    if unknown := [k for k in targets if k not in values]:
        raise PlanError([Problem(f"no output feels {k!r}", did_you_mean(k, names)) for k in unknown])
    blocks = _slopes(bound, values, sites, add)
    at = [names.index(k) for k in targets]
    prior = np.array([_spread(bound.hierarchy.priors[k]) for k in names])
    whole = _after(bound, list(blocks.values()), names, prior, sites)[at]
    rows = []
    for analyte, block in blocks.items():
        days = _days(bound, add, analyte)
        day_of = np.where(days > 2, np.round(days), np.round(days, 2))
        there = np.isfinite(days) & (np.abs(block.slope).max(0) > 0)
        for day in np.unique(day_of[there]):
            gone = there & (day_of == day)
            rest = block._replace(slope=np.where(gone, 0.0, block.slope))
            others = [rest if k == analyte else b for k, b in blocks.items()]
            loss = _after(bound, others, names, prior, sites)[at] / whole - 1
            row = {"analyte": analyte, "day": day, "records": int(gone.sum())}
            rows.append(row | dict(zip(targets, loss, strict=True)) | {"loss": float(loss.mean())})
    return DataFrame(rows).sort_values("loss", ascending=False, ignore_index=True)


def _at(source: BoundFit | Fit) -> tuple[BoundFit, dict[str, float], dict[str, float]]:
    """The fit, the value of every free parameter, and the SDs and residuals: at the posterior's or prior's
    medians.
    """
    bound = source.bound if isinstance(source, Fit) else source
    drawn = source.sites(at_most=400) if isinstance(source, Fit) else {}
    seen = {k: float(np.median(v)) for k, v in drawn.items() if v.ndim == 1}
    sites = {k: seen.get(k, float(p.median)) for k, p in bound.priors().items()}
    free = [k for k in bound.model.parameters if k not in bound.unused and k not in bound.plan.fixed]
    values = {
        k: sites.get(f"{k}_pop", bound.hierarchy.fixed.get(k, bound.model.parameters[k].value)) for k in free
    }
    return bound, values, sites


def _slopes(
    bound: BoundFit, values: Mapping[str, float], sites: Mapping[str, float], add: Sequence[Added]
) -> dict[str, _Slopes]:
    """Analyte, or name of an addition -> the slopes of its records; all parameters' in one solve."""
    h = replace(bound.hierarchy, fixed={})
    n = len(bound.subjects)
    population: dict[str, Any] = {f"{k}_pop": bound.model.parameters[k].value for k in bound.model.parameters}
    population |= {f"{k}_pop": v for k, v in (bound.plan.fixed | dict(values)).items()} | dict(sites)
    population |= {f"eta_{k}": jnp.zeros(n) for k in h.vary}
    theta = individual(h, bound.model, population, bound.data.design, n)
    times = [
        np.asarray(bound.data.observations.time),
        *(np.tile(np.array(a.days, float), (n, 1)) for a in add),
    ]
    grid = np.concatenate(times, axis=1)
    order = np.cumsum([0, *(t.shape[1] for t in times)])
    outputs = list(dict.fromkeys([*(a.output for a in bound.assays), *(a.output for a in add)]))

    place = {k: i for i, k in enumerate(values)}

    def predicted(shift: Array) -> dict[str, Array]:
        # a parameter's values of each cycle move with it
        own = {k: name for k, name in bound.parameters.items() if name in place}
        moved = {k: _moved(bound, name, theta[k], shift[place[name]]) for k, name in own.items()}
        return solve(
            bound.model, jnp.asarray(grid), theta | moved, bound.data.doses, outputs, solver=bound.solver
        )

    each = _STEP * jnp.eye(len(values))
    found = jax.jit(jax.vmap(predicted))(jnp.concatenate([jnp.zeros((1, len(values))), each, -each]))
    seen = {k: np.asarray(v) for k, v in found.items()}
    blocks = {
        a.analyte: _of_assay(bound, a, seen[a.output][..., : order[1]], sites, len(values))
        for a in bound.assays
    }
    for i, extra in enumerate(add):
        blocks[extra.name] = _of_added(
            extra, seen[extra.output][..., order[i + 1] : order[i + 2]], len(values)
        )
    return blocks


def _spread(prior: Prior) -> float:
    """The prior's SD on its link scale; pi/sqrt(8) is that of the log of a half-normal."""
    return float(np.pi / np.sqrt(8)) if isinstance(prior, HalfNormal) else prior.sd


def _moved(bound: BoundFit, name: str, value: Array, shift: Array) -> Array:
    kind = bound.model.parameters[name].prior.link
    return inverse_link(kind, link(kind, value) + shift)


def _of_assay(
    bound: BoundFit, a: BoundAssay, seen: np.ndarray, sites: Mapping[str, float], count: int
) -> _Slopes:
    times = np.asarray(bound.data.observations.time)
    read = np.stack(
        [np.asarray(a.seen({k: jnp.asarray(v) for k, v in sites.items()}, f, times)) for f in seen]
    )
    location, scale = location_scale(a.likelihood, read, a.residual(sites), a.dna_ug)
    there = np.asarray(recorded(bound.data.observations.assays[a.analyte]))
    lloq = bound.study.analytes[a.analyte].lloq or 0.0
    return _block(
        np.asarray(location),
        np.broadcast_to(np.asarray(scale), read.shape)[0],
        there & (read[0] > lloq),
        count,
    )


def _of_added(extra: Added, seen: np.ndarray, count: int) -> _Slopes:
    there = seen[0] > max(extra.lloq, 0.0)
    return _block(np.log(np.maximum(seen, TINY)), np.full(seen.shape[1:], extra.sigma), there, count)


def _block(location: np.ndarray, scale: np.ndarray, there: np.ndarray, count: int) -> _Slopes:
    slope = (location[1 : count + 1] - location[count + 1 :]) / (2 * _STEP)
    return _Slopes(np.where(there & np.isfinite(slope), slope, 0.0), np.where(there, scale, 1.0))


def _after(
    bound: BoundFit,
    blocks: Sequence[_Slopes],
    names: Sequence[str],
    prior: np.ndarray,
    sites: Mapping[str, float],
) -> Float[np.ndarray, " parameter"]:
    """SD of every parameter, on its link scale, after the study."""
    omega = np.array([sites.get(f"omega_{k}", 0.0) for k in names])
    information = np.diag(prior**-2.0)
    for i in range(len(bound.subjects)):
        j = np.concatenate([b.slope[:, i] for b in blocks], axis=1).T
        r = np.concatenate([b.scale[i] for b in blocks])
        seen = np.abs(j).max(1) > 0
        if seen.any():
            j = j[seen]
            r = r[seen]
            v = (j * omega**2) @ j.T + np.diag(r**2)
            information += j.T @ np.linalg.solve(v, j)
    return np.sqrt(np.diag(np.linalg.inv(information)))


def _days(bound: BoundFit, add: Sequence[Added], analyte: str) -> Float[np.ndarray, "subject record"]:
    """The days of each record of a block; NaN where it has none."""
    if analyte in bound.data.observations.assays:
        there = np.asarray(recorded(bound.data.observations.assays[analyte]))
        return np.where(there, np.asarray(bound.data.observations.time), np.nan)
    extra = next(a for a in add if a.name == analyte)
    return np.tile(np.array(extra.days, float), (len(bound.subjects), 1))
