"""The states and parameters that the requested outputs can depend on.

They are read from the traces of the model's functions. A state that no requested output depends on is left
out of the integration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from kinetics.model import Model
from kinetics.solve.sparse import dependencies

__all__ = ["Reach", "reach"]


@dataclass(frozen=True)
class Reach:
    """The states to integrate and the parameters that matter, in the model's order.

    `field` are the parameters that the right-hand side of these states reads. `all` are the parameters that
    the outputs depend on in any way: through equations, initial values, doses, lags or the outputs
    themselves.
    """

    states: tuple[str, ...]
    field: tuple[str, ...]
    all: tuple[str, ...]


def reach(model: Model, outputs: Sequence[str]) -> Reach:
    """The states and parameters that `outputs` of a model with a vector_field depend on."""
    names = list(model.states)
    p = _ones(model.parameters)
    y = _ones(model.states)
    vector_field = model.vector_field
    assert vector_field is not None

    def slope(p: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
        slopes = vector_field(jnp.ones(()), y, p)
        return {k: jnp.asarray(slopes[k], float) for k in names}

    def output(p: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
        return {k: jnp.asarray(model.outputs[k].value(y, p), float) for k in outputs}

    of_slope = _reads(slope, p, y)
    of_output = _reads(output, p, y)
    # The states that outputs read, then the states that those states' slopes read, until there are no more.
    states = {k for reads in of_output.values() for k in reads if k in y}
    while True:
        more = states | {k for s in states for k in of_slope[s] if k in y}
        if more == states:
            break
        states = more
    # Parameters: of the equations, of the outputs, of initial values, doses and lags.
    field = {k for s in states for k in of_slope[s] if k in p}
    every = field | {k for reads in of_output.values() for k in reads if k in p}
    if model.initial:
        every |= _entry_reads(model.initial, states, p)
    for enter in model.dosing.values():
        every |= _entry_reads(enter, states, p)
    for lag in model.lag.values():
        every |= _reads(lambda p, f=lag: {"lag": jnp.asarray(f(p), float)}, p)["lag"]
    return Reach(
        states=tuple(k for k in names if k in states),
        field=tuple(k for k in model.parameters if k in field),
        all=tuple(k for k in model.parameters if k in every),
    )


def _entry_reads(enter: Callable[..., Mapping[str, Any]], states: set[str], p: dict[str, Any]) -> set[str]:
    """The parameters by which doses, or initial values, enter these states."""
    reads = _reads(lambda p: {k: jnp.asarray(v, float) for k, v in enter(p).items() if k in states}, p)
    return {k for names in reads.values() for k in names}


def _ones(names: Mapping[str, Any]) -> dict[str, Any]:
    return {k: jnp.ones(()) for k in names}


def _reads(f: Callable[..., dict[str, Any]], *args: dict[str, Any]) -> dict[str, set[str]]:
    """Name of each output of `f` -> the names of the inputs that it may depend on."""
    inputs = [k for arg in args for k in sorted(arg)]
    outputs: list[str] = []

    def flat(*args: Any) -> list[Any]:
        results = f(*args)
        outputs[:] = sorted(results)
        return [results[k] for k in outputs]

    flows = dependencies(flat, *args)
    return {name: {inputs[i] for i in flow} for name, flow in zip(outputs, flows, strict=True)}
