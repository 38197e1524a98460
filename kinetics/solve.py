"""All subjects at once: a model's states and outputs at every record.

Closed-form models are evaluated directly; the arrays are dense (subject x record), padded by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.model import Model
from kinetics.regimen import Doses

__all__ = ["derived", "solve"]


def solve(
    model: Model,
    times: Float[AnyArray, "subject record"],
    theta: Mapping[str, Float[AnyArray, " subject"]],
    doses: Doses,
    outputs: Sequence[str] | None = None,
) -> dict[str, Float[Array, "subject record"]]:
    """The model's outputs, in their units, at `times` [day] for every subject. Pure and differentiable.

    `theta` holds every parameter of the model, one value a subject; `doses` as `regimen.Doses`.
    """
    wanted = model.outputs if outputs is None else {k: model.outputs[k] for k in outputs}

    def one(t: AnyArray, p: Mapping[str, AnyArray], d: Doses) -> dict[str, Array]:
        y = model.solution(t, p, d)
        return {name: output.value(y, p) for name, output in wanted.items()}

    return jax.vmap(one)(times, dict(theta), doses)


def derived(model: Model, theta: Mapping[str, Float[AnyArray, "..."]]) -> dict[str, Float[Array, "..."]]:
    """The model's derived quantities (doubling time, half-lives ...), elementwise over `theta`."""
    return {name: d.value(theta) for name, d in model.derived.items()}
