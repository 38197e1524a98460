"""The likelihood of the time to an event whose hazard follows an output of the model.

    h(t) = h0(t) exp(slope x(t) + covariates)
    log L = event log h(T) - sum over intervals k of [H0(b_k) - H0(a_k)] exp(slope x(m_k) + covariates)

x is the link: what the hazard follows. It is computed from the output's curve up to t and never from what
comes later, so that nobody has to survive in order to be exposed (immortal-time bias; Suissa, Am J Epidemiol
2008;167:492). The link is taken to be constant within each of many short intervals, and the baseline hazard
h0 is integrated exactly over them. A hazard that follows nothing is therefore exact.

The median m of the baseline is the time at which half of the subjects with x = 0 have had the event:

    weibull       H0 = log 2 (t/m)^k       exponential    the same with k = 1
    log_logistic  H0 = log(1 + (t/m)^k)

The forms are those of joint models of tumour size and survival (Kerioui et al., Stat Med 2020;39:4853).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kinetics.arrays import AnyArray
from kinetics.assay.output_links import interval_edges

__all__ = [
    "BASELINES",
    "Baseline",
    "EventTimes",
    "event_information",
    "event_log_likelihood",
    "event_times",
    "expected_events",
]

Baseline = Literal["weibull", "exponential", "log_logistic"]

BASELINES: dict[Baseline, tuple[str, ...]] = {  # baseline -> its parameters
    "weibull": ("median", "shape"),
    "exponential": ("median",),
    "log_logistic": ("median", "shape"),
}


class EventTimes(NamedTuple):
    """One event of all subjects, with the days on which its link is computed.

    `time` holds day 0, the middle of every interval and at last the end of the curve: the day of the event or
    of censoring, or the landmark. `lower` and `upper` are the days at risk within each interval. A subject
    that is not `counted` contributes nothing.
    """

    time: Float[AnyArray, "subject node"]
    lower: Float[AnyArray, "subject interval"]
    upper: Float[AnyArray, "subject interval"]
    end: Float[AnyArray, " subject"]
    happened: Bool[AnyArray, " subject"]
    counted: Bool[AnyArray, " subject"]


def event_times(
    end: Float[np.ndarray, " subject"],
    happened: Bool[np.ndarray, " subject"],
    entry: Float[np.ndarray, " subject"],
    *,
    landmark: float | None = None,
) -> EventTimes:
    """Intervals of the times `end` [day from day 0]; NaN for a subject without one.

    A subject is at risk from `entry` [day] on. With a `landmark` [day] only those who reach it without the
    event are counted, they are at risk from it on, and the curve ends there.
    """
    begin = entry if landmark is None else np.maximum(entry, landmark)
    counted = np.isfinite(end) & (end > begin)
    end = np.where(counted, end, 1.0)
    begin = np.where(counted, begin, 0.0)
    last = end if landmark is None else np.full_like(end, landmark)
    edges = interval_edges(max(float(np.max(end, initial=1.0)), float(np.max(last, initial=1.0))))
    lower = np.minimum(np.maximum(edges[:-1], begin[:, None]), end[:, None])
    upper = np.maximum(np.minimum(edges[1:], end[:, None]), lower)
    until_last = np.minimum(edges, last[:, None])
    middles = 0.5 * (until_last[:, :-1] + until_last[:, 1:])
    return EventTimes(
        time=np.concatenate([np.zeros_like(last)[:, None], middles, last[:, None]], axis=1),
        lower=lower,
        upper=upper,
        end=end,
        happened=happened & counted,
        counted=counted,
    )


def _cumulative(
    baseline: Baseline, days: Float[AnyArray, "subject *interval"], p: Mapping[str, AnyArray]
) -> Float[Array, "subject *interval"]:
    """H0 at `days`; 0 at day 0."""
    later = jnp.asarray(days) > 0
    ratio = jnp.where(later, days, 1.0) / p["median"]
    power = ratio if baseline == "exponential" else ratio ** p["shape"]
    hazard = jnp.log1p(power) if baseline == "log_logistic" else np.log(2.0) * power
    return jnp.where(later, hazard, 0.0)


def _log_hazard(
    baseline: Baseline, days: Float[AnyArray, " subject"], p: Mapping[str, AnyArray]
) -> Float[Array, " subject"]:
    """log h0 at `days` above 0 [per day]."""
    shape = 1.0 if baseline == "exponential" else p["shape"]
    ratio = days / p["median"]
    log_slope = jnp.log(shape / p["median"]) + (shape - 1.0) * jnp.log(ratio)
    if baseline == "log_logistic":
        return log_slope - jnp.log1p(ratio**shape)
    return log_slope + np.log(np.log(2.0))


def expected_events(
    baseline: Baseline,
    x: Float[Array, "subject node"],
    events: EventTimes,
    p: Mapping[str, AnyArray],
    covariates: Float[AnyArray, " subject"],
) -> Float[Array, "subject interval"]:
    """The cumulative hazard of every interval: the number of events expected of a subject at risk in it.

    The arguments are those of `event_log_likelihood`.
    """
    at_risk = _cumulative(baseline, events.upper, p) - _cumulative(baseline, events.lower, p)
    return at_risk * jnp.exp(p["slope"] * x[:, 1:-1] + jnp.asarray(covariates)[:, None])


def event_log_likelihood(
    baseline: Baseline,
    x: Float[Array, "subject node"],
    events: EventTimes,
    p: Mapping[str, AnyArray],
    covariates: Float[AnyArray, " subject"],
) -> Float[Array, " subject"]:
    """Log-likelihood of each subject's time [per day], given that it entered; 0 where it is not counted.

    `p` holds `slope` (log hazard ratio per unit of x), `median` [day] and, where the baseline has one,
    `shape`. `covariates` is the log hazard ratio of each subject's covariates. Where x is not finite, the
    log-likelihood is -inf and has no gradient.
    """
    there = jnp.all(jnp.isfinite(x), axis=1)
    x = jnp.where(there[:, None], x, 0.0)
    hazard = jnp.sum(expected_events(baseline, x, events, p, covariates), axis=1)
    at_event = _log_hazard(baseline, events.end, p) + p["slope"] * x[:, -1] + covariates
    total = jnp.where(events.happened, at_event, 0.0) - hazard
    return jnp.where(events.counted, jnp.where(there, total, -jnp.inf), 0.0)


def event_information(
    baseline: Baseline,
    x: Float[Array, "subject node"],
    events: EventTimes,
    p: Mapping[str, AnyArray],
    covariates: Float[AnyArray, " subject"],
) -> Float[Array, "subject node"]:
    """Information about x at every node: slope^2 times the expected number of events there."""
    finite = jnp.where(jnp.isfinite(x), x, 0.0)
    weight = p["slope"] ** 2 * expected_events(baseline, finite, events, p, covariates)
    weight = jnp.pad(weight, ((0, 0), (1, 1)))
    return jnp.where(events.counted[:, None] & jnp.isfinite(x), weight, 0.0)
