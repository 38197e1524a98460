"""The stops of every subject in time order: its records, its doses and the ends of its infusions.

The subject is the last axis of every array (lanes last), so that one vector operation serves all subjects.
Between two stops the right-hand side is smooth, and the solver ends a step at each stop. A record at exactly
the time of a dose comes before the dose: it is the pre-dose sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kinetics.arrays import AnyArray
from kinetics.model import Model
from kinetics.regimen import Doses

__all__ = ["Timeline", "as_arrays", "timeline"]

_COUNTED = 400  # with more stops they are sorted, because counting takes the square of their number
Params = Mapping[str, Float[AnyArray, " subject"]]


class Timeline(NamedTuple):
    """Stops (stop, subject) in time order, and what happens at each stop and in the interval before it.

    `time` [day] is never before day 0. `jump` maps a state to what is added to it after the stop. `rate` maps
    a state to the constant infusion rate [per day] in the interval that ends at the stop; it is None without
    infusions. `record_stop` (record, subject) is the number of each record's stop.
    """

    time: Float[Array, "stop subject"]
    jump: dict[str, Float[Array, "stop subject"]]
    rate: dict[str, Float[Array, "stop subject"]] | None
    record_stop: Int[Array, "record subject"]


def timeline(
    model: Model,
    times: Float[AnyArray, "subject record"],
    theta: Params,
    doses: Doses,
    *,
    infusions: bool,
    by_dose: Mapping[str, Float[Array, "dose subject"]] | None = None,
    sets: Mapping[str, Float[Array, "dose subject"]] | None = None,
) -> Timeline:
    """The stops of all subjects, differentiable with respect to doses, entry fractions and lags.

    `infusions=False` promises that every duration is 0, which saves the stops of their ends. `by_dose` are
    parameters with one value for each dose. `sets` maps other states to what is added to them when a dose
    begins.
    """
    duration = jnp.asarray(doses.duration).T
    record_time = jnp.maximum(jnp.asarray(times).T, 0.0)  # before day 0 the states are at rest
    start, entering = _entries(model, theta, doses, by_dose or {})

    # All stops in time order; at one time records come first, then doses.
    parts = [record_time, start]
    if infusions:
        parts.append(start + duration)
    stops = jnp.concatenate(parts)
    position = _positions(jax.lax.stop_gradient(stops))
    lane = jnp.arange(stops.shape[1])
    time = jnp.zeros_like(stops).at[position, lane].set(stops, unique_indices=True)
    records = record_time.shape[0]
    dose_position = position[records : records + start.shape[0]]

    # Boluses jump, infusions have a rate.
    bolus = duration <= 0 if infusions else jnp.ones_like(start, bool)
    jump = {}
    rate = {} if infusions else None
    for state, amount in entering.items():
        jump[state] = jnp.zeros_like(stops).at[dose_position, lane].set(jnp.where(bolus, amount, 0.0))
        if rate is not None:
            rate[state] = _rates(time, start, amount, duration)
    for state, change in (sets or {}).items():
        jump[state] = jnp.zeros_like(stops).at[dose_position, lane].set(change)
    return Timeline(time=time, jump=jump, rate=rate, record_stop=position[:records])


def _positions(stops: Float[Array, "stop subject"]) -> Int[Array, "stop subject"]:
    """The position of each stop in the time order of its subject; ties keep the order of the rows.

    Few stops are counted, which is many times faster than XLA's sort; many are sorted.
    """
    n = stops.shape[0]
    if n > _COUNTED:
        return jnp.argsort(jnp.argsort(stops, axis=0, stable=True), axis=0)
    i = jnp.arange(n)[:, None]

    def count(j: Array, position: Array) -> Array:
        other = stops[j]
        return position + ((other < stops) | ((other == stops) & (j < i)))

    return jax.lax.fori_loop(0, n, count, jnp.zeros(stops.shape, jnp.int32))


def _rates(
    time: Float[Array, "stop subject"],
    start: Float[Array, "dose subject"],
    entering: Float[Array, "dose subject"],
    duration: Float[Array, "dose subject"],
) -> Float[Array, "stop subject"]:
    """Sum of the rates of the infusions that run in the interval before each stop."""
    infused = duration > 0
    per_day = jnp.where(infused, entering / jnp.where(infused, duration, 1.0), 0.0)
    before = jnp.concatenate([jnp.full_like(time[:1], -jnp.inf), time[:-1]])
    middle = jax.lax.stop_gradient(0.5 * (before + time))[:, None]
    running = (middle > start) & (middle < start + duration)
    return jnp.sum(jnp.where(running, per_day, 0.0), axis=1)


def _entries(
    model: Model, theta: Params, doses: Doses, by_dose: Mapping[str, Float[Array, "dose subject"]]
) -> tuple[Float[Array, "dose subject"], dict[str, Float[Array, "dose subject"]]]:
    """The start of every dose, its lag included, and for each state that doses enter the amount of each
    dose.
    """
    start = jnp.maximum(jnp.asarray(doses.time).T, 0.0)
    amount = jnp.asarray(doses.amount).T
    entry = jnp.asarray(doses.entry).T
    dtype = start.dtype
    entering: dict[str, Array] = {}

    def of_each_subject(f: Callable[[Mapping[str, Any]], Any]) -> Any:
        """`f` of the parameters of every subject, and of every dose where parameters differ between doses."""
        if not by_dose:
            return jax.vmap(f)(dict(theta))
        return jax.vmap(lambda o: jax.vmap(lambda p, o: f({**p, **o}))(dict(theta), o))(dict(by_dose))

    for number, (route, fraction) in enumerate(model.dosing.items()):
        by_route = entry == number
        if route in model.lag:
            lag = of_each_subject(lambda p, f=model.lag[route]: jnp.asarray(f(p), dtype))
            start = start + jnp.where(by_route, lag, 0.0)
        for state, share in of_each_subject(lambda p, f=fraction: as_arrays(f(p), dtype)).items():
            part = jnp.where(by_route, amount * share, 0.0)
            entering[state] = entering[state] + part if state in entering else part
    return start, entering


def as_arrays(shares: Mapping[str, AnyArray | float], dtype: Any) -> dict[str, Array]:
    """The numbers and arrays that a model file returns, as arrays of one type."""
    return {state: jnp.asarray(share, dtype) for state, share in shares.items()}
