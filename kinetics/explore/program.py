"""One compiled solve of a model, asked again and again: lanes, times and doses keep their shapes.

A slider then costs a solve and never a compilation. What is predicted is every output of the model, of
`LANES` draws of one patient's parameters, at `TIMES` days, under at most `slots` doses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock, Thread
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.regimen import Doses
from kinetics.solve import Solver, solve

__all__ = ["LANES", "TIMES", "Program", "padded"]

LANES = 200
TIMES = 72
SLOTS = 14  # two products, two cycles, three days of each; two days of lymphodepletion
_CLOSE = np.array([0.02, 0.3])  # days after a dose that the grid has
_RTOL = 1e-3  # below the width of a line; tests hold it against 1e-6

Lanes = Mapping[str, Float[np.ndarray, " lane"]]


def padded(doses: Doses, slots: int) -> Doses:
    """One patient's doses in `slots` slots: the further ones repeat the last day and give nothing."""
    more = slots - np.asarray(doses.time).shape[-1]
    fields = {name: np.asarray(field) for name, field in doses._asdict().items()}
    wide = {
        k: np.pad(v, ((0, 0), (0, more)), mode="edge" if k == "time" else "constant")
        for k, v in fields.items()
    }
    return Doses(**wide)


class Program:
    """The solve of one model. `traces` counts compilations: one, whatever is asked."""

    def __init__(self, model: Model, fit: Fit | None = None) -> None:
        self.model = model
        self.traces = 0
        width = 0 if fit is None else np.asarray(fit.bound.data.doses.time).shape[1]
        self.slots = max(SLOTS, width)
        self.outputs = tuple(model.outputs)
        base = Solver(infusions=False) if fit is None else fit.bound.solver
        self.solver = replace(base, rtol=max(base.rtol, _RTOL), atol=max(base.atol, _RTOL))
        self._lock = Lock()
        self._failed = ""
        self._ready = False
        self._run: Callable[..., dict[str, Any]] = jax.jit(self._solved)

    def _solved(self, times: Any, theta: Lanes, doses: Doses) -> dict[str, Any]:
        self.traces += 1  # runs while jax traces, and never again
        return solve(self.model, times, theta, doses, self.outputs, solver=self.solver)

    @property
    def ready(self) -> bool:
        """Whether it is compiled, and an answer a matter of a solve."""
        return self._ready

    @property
    def failed(self) -> str:
        """Why it could not be compiled, or "" while nothing is known against it."""
        return self._failed

    def warm(self, theta: Lanes) -> Thread:
        """Compile in a thread of its own, by solving typical doses of `theta`."""

        def compiled() -> None:
            try:
                self(np.linspace(0.0, 1.0, TIMES), theta, _no_doses())
            except Exception as error:  # the page says it; a thread has nobody to raise to
                self._failed = str(error)

        thread = Thread(target=compiled, daemon=True, name="compile")
        thread.start()
        return thread

    def times(self, doses: Doses, until: float, also: Sequence[float] = ()) -> Float[np.ndarray, " time"]:
        """`TIMES` days from 0 (or the first dose) to `until`, closer after each dose, `also` among them."""
        given = np.unique(np.asarray(doses.time)[np.asarray(doses.amount) > 0])
        start = min(0.0, float(given.min(initial=0.0)))
        near = (given[:, None] + _CLOSE).ravel()
        own = np.unique(np.concatenate([given, np.asarray(also, float), near]))
        own = own[(own >= start) & (own <= until)][: TIMES - 24]
        return np.sort(np.concatenate([own, np.linspace(start, until, TIMES - len(own))]))

    def __call__(
        self, times: Float[np.ndarray, " time"], theta: Lanes, doses: Doses
    ) -> dict[str, Float[np.ndarray, "lane time"]]:
        """Every output at `times` (`TIMES` of them) of `LANES` sets of parameters, all of one row of
        `doses`.
        """
        wide = padded(doses, self.slots)
        given = Doses(*(np.repeat(np.asarray(field), LANES, axis=0) for field in wide))
        grid = np.broadcast_to(np.asarray(times, float), (LANES, TIMES))
        if self._ready:
            found = jax.device_get(self._run(grid, dict(theta), given))
        else:
            with self._lock:  # two sessions must not compile it twice
                found = jax.device_get(self._run(grid, dict(theta), given))
            self._ready = True
        return {name: np.asarray(found[name]) for name in self.outputs}  # jax sorts names


def _no_doses() -> Doses:
    """One dose slot with nothing in it."""
    zero = np.zeros((1, 1))
    return Doses(zero, zero, zero, zero, zero.astype(int), zero.astype(int))
