"""Subjects one by one by diffrax, slowly and with tight tolerances: what every model's fast solution is tested against.

Interval by interval between stops, Kvaerno5 with dense Newton steps (diffrax, doi 10.48550/arXiv.2202.02435). It shares
the model file with `solve` and nothing else: no lanes, no sparse pattern, no jump table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kinetics.model import Model
from kinetics.regimen import Doses

__all__ = ["reference_solve"]


def reference_solve(
    model: Model,
    times: Float[np.ndarray, " record"],
    p: Mapping[str, float],
    doses: Doses,
    *,
    rtol: float = 1e-9,
) -> dict[str, Float[np.ndarray, "subject record"]]:
    """Every output at `times` [day] for subjects that differ in their doses only. A record precedes a dose."""
    run = _interval(model, rtol)
    every = [_one(model, run, times, p, Doses(*(x[i] for x in doses))) for i in range(len(doses.time))]
    return {name: np.stack([one[name] for one in every]) for name in model.outputs}


def _one(
    model: Model, run: Any, times: Float[np.ndarray, " record"], p: Mapping[str, float], doses: Doses
) -> dict[str, Float[np.ndarray, " record"]]:
    routes, q = list(model.dosing.items()), {k: jnp.asarray(v, float) for k, v in p.items()}
    y = {k: 0.0 for k in model.states} | dict((model.initial or (lambda p: {}))(q))
    y = {k: jnp.asarray(v, float) for k, v in y.items()}
    given = []
    for time, amount, duration, entry in zip(
        doses.time, doses.amount, doses.duration, doses.entry, strict=True
    ):
        route, fraction = routes[int(entry)]
        start = float(time) + float(model.lag[route](q) if route in model.lag else 0.0)
        parts = {k: float(amount) * jnp.asarray(v, float) for k, v in fraction(q).items()}
        given.append((start, float(duration), parts))
    starts = [s for s, _, _ in given]
    stops = sorted({0.0, *starts, *(s + d for s, d, _ in given), *np.maximum(times, 0.0).tolist()})
    seen: dict[float, dict[str, Any]] = {}
    for begin, end in zip([0.0, *stops], stops, strict=False):
        if end > begin:
            rate = {k: jnp.zeros(()) for k in y}
            for start, duration, parts in given:
                if duration > 0 and start <= begin and end <= start + duration + 1e-12:
                    rate |= {k: rate[k] + v / duration for k, v in parts.items()}
            y = run(begin, end, y, q, rate)
        seen[end] = y
        for start, duration, parts in given:
            if start == end and duration <= 0:
                y = y | {k: y[k] + v for k, v in parts.items()}
    at = [seen[max(float(t), 0.0)] for t in times]
    stacked = {k: jnp.stack([row[k] for row in at]) for k in model.states}
    return {k: np.asarray(o.value(stacked, q)) for k, o in model.outputs.items()}


def _interval(model: Model, rtol: float) -> Any:
    scale = {
        k: state.scale for k, state in model.states.items()
    }  # one absolute tolerance serves scaled states
    field = model.vector_field
    assert field is not None

    def slope(t: Any, z: Any, args: Any) -> dict[str, Any]:
        p, rate = args
        found = field(t, {k: z[k] * size for k, size in scale.items()}, p)
        return {k: (jnp.asarray(found[k], float) + rate[k]) / size for k, size in scale.items()}

    @jax.jit
    def run(begin: float, end: float, y: Any, p: Any, rate: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Kvaerno5(), begin, end, None,
            {k: y[k] / size for k, size in scale.items()}, (p, rate),
            stepsize_controller=diffrax.PIDController(rtol, rtol), max_steps=100_000,
        )  # fmt: skip
        assert solution.ys is not None
        return {k: solution.ys[k][-1] * size for k, size in scale.items()}

    return run
