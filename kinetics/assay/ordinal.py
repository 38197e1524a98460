"""The likelihood of grades (CRS, ICANS) that follow an output of the model: proportional odds.

    logit P(grade >= k) = slope x - cut_k + covariates,   cut_1 < cut_2 < ...

x is the link (`kinetics.assay.output_links`) at the time of the grade, or `delay` days before it. One slope
serves all grades (McCullagh, J R Stat Soc B 1980;42:109). Grades of one patient on successive days depend on
each other through the patient's own curve only. Where they are stickier than that, intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from kinetics.arrays import AnyArray
from kinetics.assay.output_links import interval_edges

__all__ = [
    "GradeRecords",
    "grade_information",
    "grade_log_likelihood",
    "grade_records",
    "probability_of_at_least",
]


class GradeRecords(NamedTuple):
    """The grades of all subjects as categories 0, 1 ... and the days on which their link is computed.

    `time` begins with day 0; `slot` is the place in it of each grade.
    """

    time: Float[AnyArray, "subject node"]
    slot: Int[AnyArray, "subject record"]
    category: Int[AnyArray, "subject record"]
    recorded: Bool[AnyArray, "subject record"]


def grade_records(
    days: Sequence[Float[np.ndarray, " record"]],
    categories: Sequence[Int[np.ndarray, " record"]],
    *,
    delay: float,
) -> GradeRecords:
    """Dense arrays of each subject's grades on its `days`, with the days at which the curve is looked at."""
    width = max(1, *(len(row) for row in days))
    looked_up = [np.maximum(row - delay, 0.0) for row in days]
    nodes = [
        np.unique(np.concatenate([interval_edges(float(np.max(row, initial=0.0))), row])) for row in looked_up
    ]
    most = max(len(row) for row in nodes)
    shape = (len(days), width)
    slot = np.zeros(shape, int)
    category = np.zeros(shape, int)
    recorded = np.zeros(shape, bool)
    for i, row in enumerate(looked_up):
        slot[i, : len(row)] = np.searchsorted(nodes[i], row)
        category[i, : len(row)] = categories[i]
        recorded[i, : len(row)] = True
    time = np.stack([np.pad(row, (0, most - len(row)), mode="edge") for row in nodes])
    return GradeRecords(time, slot, category, recorded)


def probability_of_at_least(
    x: Float[Array, "*record"],
    slope: Float[AnyArray, ""],
    cuts: Float[AnyArray, " cut"],
    covariates: Float[AnyArray, "*record"],
) -> Float[Array, "*record category"]:
    """P(grade >= k) of every category k = 0, 1 ..., which is 1 for the first."""
    odds = jnp.asarray(slope * x + covariates)[..., None] - jnp.asarray(cuts)
    return jnp.concatenate([jnp.ones_like(odds[..., :1]), jax.nn.sigmoid(odds)], axis=-1)


def grade_log_likelihood(
    x: Float[Array, "subject node"],
    records: GradeRecords,
    slope: Float[AnyArray, ""],
    cuts: Float[AnyArray, " cut"],
    covariates: Float[AnyArray, " subject"],
) -> Float[Array, " subject"]:
    """Log probability of each subject's grades; -inf where a link is not finite."""
    linked = jnp.take_along_axis(x, jnp.asarray(records.slot), axis=1)
    there = jnp.isfinite(linked)
    odds = (slope * jnp.where(there, linked, 0.0) + jnp.asarray(covariates)[:, None])[..., None] - cuts
    # log of sigmoid(above) - sigmoid(below), where `above` is infinite for the first and `below` for the last
    padded = jnp.pad(odds, ((0, 0), (0, 0), (1, 1)))
    category = jnp.asarray(records.category)[..., None]
    above = jnp.take_along_axis(padded, category, axis=-1)[..., 0]
    below = jnp.take_along_axis(padded, category + 1, axis=-1)[..., 0]
    first = records.category == 0
    last = records.category == len(cuts)
    gap = jnp.where(first | last, 1.0, above - below)
    between = jax.nn.log_sigmoid(above) + jax.nn.log_sigmoid(-below) + jnp.log(-jnp.expm1(-gap))
    log_p = jnp.where(first, jax.nn.log_sigmoid(-below), jnp.where(last, jax.nn.log_sigmoid(above), between))
    log_p = jnp.where(records.recorded, jnp.where(there, log_p, -jnp.inf), 0.0)
    return jnp.sum(log_p, axis=1)


def grade_information(
    x: Float[Array, "subject node"],
    records: GradeRecords,
    slope: Float[AnyArray, ""],
    cuts: Float[AnyArray, " cut"],
    covariates: Float[AnyArray, " subject"],
) -> Float[Array, "subject node"]:
    """Expected information about the link at every node, summed over the grades there."""
    linked = jnp.take_along_axis(x, jnp.asarray(records.slot), axis=1)
    finite = jnp.isfinite(linked) & jnp.asarray(records.recorded)
    at_least = probability_of_at_least(
        jnp.where(finite, linked, 0.0), slope, cuts, jnp.asarray(covariates)[:, None]
    )
    after = jnp.pad(at_least[..., 1:], ((0, 0), (0, 0), (0, 1)))
    p = jnp.maximum(at_least - after, 1e-12)
    change = at_least * (1 - at_least) - after * (1 - after)  # of p, by the linear predictor
    each = jnp.where(finite, slope**2 * jnp.sum(change**2 / p, axis=-1), 0.0)
    rows = jnp.arange(x.shape[0])[:, None]
    return jnp.zeros_like(x).at[rows, records.slot].add(each)
