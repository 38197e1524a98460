"""Every subject's stops in time order: its records, its doses, the ends of its infusions.

Arrays are lanes-last: the subject is the last axis, so that one vector operation serves all subjects. A stop
belongs to a record or to a dose; between two stops the right-hand side is smooth, and a solver ends a step at
each. A record at the very time of a dose comes first: it is the sample taken before the dose.
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

_COUNTED = 400  # stops: counting takes the square of them
Params = Mapping[str, Float[AnyArray, " subject"]]


class Timeline(NamedTuple):
    """Stops (stop, subject) in time order, with what happens at and before each.

    `time` [day], never before day 0; `jump` {state: what is added after the stop}; `rate` {state: constant
    infusion rate [per day] in the interval that ends at the stop}, None where nothing is infused;
    `record_stop` (record, subject): the stop of each record.
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
    own: Mapping[str, Float[Array, "dose subject"]] | None = None,
    sets: Mapping[str, Float[Array, "dose subject"]] | None = None,
) -> Timeline:
    """The stops of all subjects; differentiable with respect to doses, entry fractions and lags.

    `infusions=False` promises that every duration is 0, which spares their stops. `own` are parameters with a
    value for each dose, `sets` what else jumps as a dose begins.
    """
    record_time = jnp.maximum(
        jnp.asarray(times).T, 0.0
    )  # before day 0 nothing happens: the states are at rest
    start, enters = _entries(model, theta, doses, own or {})
    order_of = [record_time, start]
    if infusions:
        order_of.append(start + jnp.asarray(doses.duration).T)
    stops = jnp.concatenate(order_of)
    place = _places(jax.lax.stop_gradient(stops))  # records first, then doses, where they coincide
    lane = jnp.arange(stops.shape[1])
    time = jnp.zeros_like(stops).at[place, lane].set(stops, unique_indices=True)
    records = record_time.shape[0]
    slots = start.shape[0]
    bolus = jnp.asarray(doses.duration).T <= 0 if infusions else jnp.ones_like(start, bool)
    jump = {}
    rate = {} if infusions else None
    for state, entering in enters.items():
        at_once = jnp.where(bolus, entering, 0.0)
        jump[state] = jnp.zeros_like(stops).at[place[records : records + slots], lane].set(at_once)
        if rate is not None:
            rate[state] = _rates(time, start, entering, jnp.asarray(doses.duration).T)
    for state, by in (sets or {}).items():
        jump[state] = jnp.zeros_like(stops).at[place[records : records + slots], lane].set(by)
    return Timeline(time, jump, rate, place[:records])


def _places(stops: Float[Array, "stop subject"]) -> Int[Array, "stop subject"]:
    """Where each stop comes in its subject's order, ties in the order given: counted, which for the few stops
    of a study is many times faster than XLA's sort, or sorted where there are many.
    """
    n = stops.shape[0]
    if n > _COUNTED:
        return jnp.argsort(jnp.argsort(stops, axis=0, stable=True), axis=0)
    i = jnp.arange(n)[:, None]

    def count(j: Array, place: Array) -> Array:
        other = stops[j]
        return place + ((other < stops) | ((other == stops) & (j < i)))

    return jax.lax.fori_loop(0, n, count, jnp.zeros(stops.shape, jnp.int32))


def _rates(
    time: Float[Array, "stop subject"],
    start: Float[Array, "dose subject"],
    entering: Float[Array, "dose subject"],
    duration: Float[Array, "dose subject"],
) -> Float[Array, "stop subject"]:
    """Sum of the infusions that run in the interval before each stop."""
    infused = duration > 0
    per_day = jnp.where(infused, entering / jnp.where(infused, duration, 1.0), 0.0)
    before = jnp.concatenate([jnp.full_like(time[:1], -jnp.inf), time[:-1]])
    middle = jax.lax.stop_gradient(0.5 * (before + time))[:, None]
    running = (middle > start) & (middle < start + duration)
    return jnp.sum(jnp.where(running, per_day, 0.0), axis=1)


def _entries(
    model: Model, theta: Params, doses: Doses, own: Mapping[str, Float[Array, "dose subject"]]
) -> tuple[Float[Array, "dose subject"], dict[str, Float[Array, "dose subject"]]]:
    """Start of every dose (its lag added), and for each state that doses reach how much of it each dose
    is.
    """
    start = jnp.maximum(jnp.asarray(doses.time).T, 0.0)
    amount = jnp.asarray(doses.amount).T
    entry = jnp.asarray(doses.entry).T
    dtype = start.dtype
    enters: dict[str, Array] = {}

    def of(part: Callable[[Mapping[str, Any]], Any]) -> Any:
        if not own:
            return jax.vmap(part)(dict(theta))
        return jax.vmap(lambda o: jax.vmap(lambda p, o: part({**p, **o}))(dict(theta), o))(dict(own))

    for number, (route, fraction) in enumerate(model.dosing.items()):
        here = entry == number
        if route in model.lag:
            start = start + jnp.where(here, of(lambda p, f=model.lag[route]: jnp.asarray(f(p), dtype)), 0.0)
        for state, share in of(lambda p, f=fraction: as_arrays(f(p), dtype)).items():
            part = jnp.where(here, amount * share, 0.0)
            enters[state] = enters[state] + part if state in enters else part
    return start, enters


def as_arrays(shares: Mapping[str, AnyArray | float], dtype: Any) -> dict[str, Array]:
    """Plain numbers and arrays of a model file as arrays of one type."""
    return {state: jnp.asarray(share, dtype) for state, share in shares.items()}
