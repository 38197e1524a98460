"""The slow reference solution, by SciPy with tight tolerances, against which the fast one is tested.

Subjects are solved one by one, interval by interval between stops, by LSODA (Petzold 1983, SIAM J Sci Stat
Comput 4:136), or by Radau IIA (Hairer & Wanner 1996, section IV.8) where LSODA makes no progress. It has the
model file in common with `solve` and nothing else: no lanes, no sparse pattern, no jump table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from kinetics.model import Model
from kinetics.regimen import Doses

__all__ = ["reference_solve"]

_PATIENCE = (
    3000  # calls of LSODA between two stops: where a tumour vanishes it may never end, while Radau does
)


def reference_solve(
    model: Model,
    times: Float[np.ndarray, " record"],
    p: Mapping[str, float],
    doses: Doses,
    *,
    rtol: float = 1e-10,
) -> dict[str, Float[np.ndarray, "subject record"]]:
    """Every output at `times` [day] of subjects who differ in their doses only.

    A record at the time of a dose is taken before it.
    """
    run = _interval(model, rtol)
    subjects = [_subject(model, run, times, p, Doses(*(x[i] for x in doses))) for i in range(len(doses.time))]
    return {name: np.stack([curves[name] for curves in subjects]) for name in model.outputs}


def _subject(
    model: Model, run: Any, times: Float[np.ndarray, " record"], p: Mapping[str, float], doses: Doses
) -> dict[str, Float[np.ndarray, " record"]]:
    """Every output of one subject."""
    routes = list(model.dosing.items()) or [("", lambda q: {})]  # a model may take no dose
    q = {k: jnp.asarray(v, float) for k, v in p.items()}
    y = {k: 0.0 for k in model.states} | dict((model.initial or (lambda p: {}))(q))
    y = {k: jnp.asarray(v, float) for k, v in y.items()}
    # Every dose as its start, its duration, and what enters each state.
    entries = []
    for time, amount, duration, entry in zip(
        doses.time, doses.amount, doses.duration, doses.entry, strict=True
    ):
        route, fraction = routes[int(entry)]
        start = float(time) + float(model.lag[route](q) if route in model.lag else 0.0)
        parts = {k: float(amount) * jnp.asarray(v, float) for k, v in fraction(q).items()}
        entries.append((start, float(duration), parts))
    starts = [start for start, _, _ in entries]
    ends = [start + duration for start, duration, _ in entries]
    stops = sorted({0.0, *starts, *ends, *np.maximum(times, 0.0).tolist()})
    # From stop to stop; the states of a stop are kept before its boluses are added.
    states: dict[float, dict[str, Any]] = {}
    for begin, end in zip([0.0, *stops], stops, strict=False):
        if end > begin:
            rate = {k: jnp.zeros(()) for k in y}
            for start, duration, parts in entries:
                if duration > 0 and start <= begin and end <= start + duration + 1e-12:
                    rate |= {k: rate[k] + v / duration for k, v in parts.items()}
            y = run(begin, end, y, q, rate)
        states[end] = y
        for start, duration, parts in entries:
            if start == end and duration <= 0:
                y = y | {k: y[k] + v for k, v in parts.items()}
    at_records = [states[max(float(t), 0.0)] for t in times]
    stacked = {k: jnp.stack([row[k] for row in at_records]) for k in model.states}
    return {k: np.asarray(o.value(stacked, q)) for k, o in model.outputs.items()}


def _interval(model: Model, rtol: float) -> Any:
    """A function that integrates from one stop to the next.

    The states are scaled, so that one absolute tolerance serves all.
    """
    names = list(model.states)
    scale = np.array([state.scale for state in model.states.values()])
    field = model.vector_field
    assert field is not None

    def slope(t: Any, z: Any, p: Any, rate: Any) -> Any:
        q = {k: p[i] for i, k in enumerate(model.parameters)}
        slopes = field(t, {k: z[i] * scale[i] for i, k in enumerate(names)}, q)
        return jnp.stack([(jnp.asarray(slopes[k], float) + rate[i]) / scale[i] for i, k in enumerate(names)])

    compiled = jax.jit(slope)
    jacobian = jax.jit(jax.jacfwd(slope, 1))

    def run(begin: float, end: float, y: Any, p: Any, rate: Any) -> Any:
        start = np.array([y[k] for k in names]) / scale
        # As arrays: handing over dictionaries would cost more than the slope itself.
        arguments = (np.array([p[k] for k in model.parameters]), np.array([rate[k] for k in names]))
        for method, most in (("LSODA", _PATIENCE), ("Radau", np.inf)):
            try:
                solution = solve_ivp(
                    _counted(compiled, most),
                    (begin, end),
                    start,
                    method,
                    t_eval=[end],
                    args=arguments,
                    jac=jacobian,
                    rtol=rtol,
                    atol=rtol,
                )
            except _Lost:
                continue
            if solution.success:
                return dict(zip(names, solution.y[:, -1] * scale, strict=True))
        raise ArithmeticError(f"no reference between days {begin:g} and {end:g}")

    return run


class _Lost(Exception):
    """A method makes no progress."""


def _counted(f: Callable[..., Any], most: float) -> Callable[..., Any]:
    """`f`, which raises _Lost when it is called more than `most` times."""
    calls = count(1)

    def counted(*args: Any) -> Any:
        if next(calls) > most:
            raise _Lost
        return f(*args)

    return counted
