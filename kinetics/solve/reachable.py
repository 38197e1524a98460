"""What the outputs asked for can depend on: the states to integrate, and the parameters that matter.

Read off the trace of the model's functions; a state that no wanted output feels is left out of the
integration.
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
    """`states` to integrate, in the model's order; `field`: parameters their right-hand side reads; `all`:
    every parameter that the outputs can feel, by way of equations, start values, doses, lags or the outputs
    themselves.
    """

    states: tuple[str, ...]
    field: tuple[str, ...]
    all: tuple[str, ...]


def reach(model: Model, outputs: Sequence[str]) -> Reach:
    """What `outputs` of a model with a vector_field depend on."""
    names = list(model.states)
    p = _ones(model.parameters)
    y = _ones(model.states)
    vector_field = model.vector_field
    assert vector_field is not None

    def slope(p: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
        given = vector_field(jnp.ones(()), y, p)
        return {k: jnp.asarray(given[k], float) for k in names}

    def seen(p: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
        return {k: jnp.asarray(model.outputs[k].value(y, p), float) for k in outputs}

    of_slope = _reads(slope, p, y)
    of_output = _reads(seen, p, y)
    wanted = {k for reads in of_output.values() for k in reads if k in y}
    while True:
        more = wanted | {k for s in wanted for k in of_slope[s] if k in y}
        if more == wanted:
            break
        wanted = more
    field = {k for s in wanted for k in of_slope[s] if k in p}
    entering = [_entry_reads(model.initial, wanted, p)] if model.initial else []
    entering += [_entry_reads(enter, wanted, p) for enter in model.dosing.values()]
    entering += [
        _reads(lambda p, f=lag: {"lag": jnp.asarray(f(p), float)}, p)["lag"] for lag in model.lag.values()
    ]
    felt = field | {k for reads in of_output.values() for k in reads if k in p}
    felt |= {k for reads in entering for k in reads}
    ordered = tuple(model.parameters)
    return Reach(
        tuple(k for k in names if k in wanted),
        tuple(k for k in ordered if k in field),
        tuple(k for k in ordered if k in felt),
    )


def _entry_reads(enter: Callable[..., Mapping[str, Any]], wanted: set[str], p: dict[str, Any]) -> set[str]:
    found = _reads(lambda p: {k: jnp.asarray(v, float) for k, v in enter(p).items() if k in wanted}, p)
    return {k for reads in found.values() for k in reads}


def _ones(names: Mapping[str, Any]) -> dict[str, Any]:
    return {k: jnp.ones(()) for k in names}


def _reads(f: Callable[..., dict[str, Any]], *args: dict[str, Any]) -> dict[str, set[str]]:
    """For each named output of `f`, the names of the inputs that it may depend on."""
    inputs = [k for arg in args for k in sorted(arg)]
    shape: list[str] = []

    def flat(*args: Any) -> list[Any]:
        out = f(*args)
        shape[:] = sorted(out)
        return [out[k] for k in shape]

    flows = dependencies(flat, *args)
    return {name: {inputs[i] for i in flow} for name, flow in zip(shape, flows, strict=True)}
