"""One compiled solve of a model that is called again and again: lanes, times and doses keep their shapes.

A move of a slider therefore costs a solve and never a compilation. The prediction is every output of the
model, for `LANES` sets of parameters, at `TIMES` days, under at most `slots` doses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock, Thread
from time import monotonic
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.regimen import Doses
from kinetics.solve import Solver, solve

__all__ = ["LANES", "TIMES", "Program", "padded"]

LANES = 200  # sets of parameters in one solve
TIMES = 72  # days in one solve
SLOTS = 14  # two products, two cycles, three days of each; two days of lymphodepletion
_CLOSE = np.array([0.02, 0.3])  # the grid has these times after every dose [day]
_RTOL = 1e-3  # below the width of a line; tests hold it against 1e-6

Lanes = Mapping[str, Float[np.ndarray, " lane"]]


def padded(doses: Doses, slots: int) -> Doses:
    """One patient's doses in `slots` slots; the additional slots repeat the last day and give nothing."""
    additional = slots - np.asarray(doses.time).shape[-1]
    fields = {}
    for name, field in doses._asdict().items():
        mode = "edge" if name == "time" else "constant"
        fields[name] = np.pad(np.asarray(field), ((0, 0), (0, additional)), mode=mode)
    return Doses(**fields)


class Program:
    """The compiled solve of one model. `traces` counts its compilations: one, whatever is solved."""

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
        self._begun: float | None = None
        self._ready = False
        self._run: Callable[..., dict[str, Any]] = jax.jit(self._solve)

    def _solve(self, times: Any, theta: Lanes, doses: Doses) -> dict[str, Any]:
        self.traces += 1  # runs while jax traces, and never again
        return solve(self.model, times, theta, doses, self.outputs, solver=self.solver)

    @property
    def ready(self) -> bool:
        """Whether the solve is compiled, so that an answer takes no compilation."""
        return self._ready

    @property
    def failed(self) -> str:
        """Why the solve could not be compiled; "" if it was compiled or not tried yet."""
        return self._failed

    @property
    def compiling_for(self) -> float:
        """The seconds since the compilation began; 0 before."""
        return 0.0 if self._begun is None else monotonic() - self._begun

    def warm(self, theta: Lanes) -> Thread:
        """Start a thread that compiles, by a solve with `theta` and no dose, and return it."""

        self._begun = monotonic()

        def compile_solve() -> None:
            try:
                self(np.linspace(0.0, 1.0, TIMES), theta, _no_doses())
            except Exception as error:  # a thread has no caller to raise to: the page shows the error
                self._failed = str(error)

        thread = Thread(target=compile_solve, daemon=True, name="compile")
        thread.start()
        return thread

    def times(self, doses: Doses, until: float, also: Sequence[float] = ()) -> Float[np.ndarray, " time"]:
        """`TIMES` days from 0 (or an earlier first dose) to `until`, denser after doses, `also` included."""
        dose_days = np.unique(np.asarray(doses.time)[np.asarray(doses.amount) > 0])
        start = min(0.0, float(dose_days.min(initial=0.0)))
        after_doses = (dose_days[:, None] + _CLOSE).ravel()
        fixed = np.unique(np.concatenate([dose_days, np.asarray(also, float), after_doses]))
        fixed = fixed[(fixed >= start) & (fixed <= until)][: TIMES - 24]
        return np.sort(np.concatenate([fixed, np.linspace(start, until, TIMES - len(fixed))]))

    def __call__(
        self, times: Float[np.ndarray, " time"], theta: Lanes, doses: Doses
    ) -> dict[str, Float[np.ndarray, "lane time"]]:
        """Output -> curves of `LANES` sets of parameters at `TIMES` times, all under one row of doses."""
        row = padded(doses, self.slots)
        lane_doses = Doses(*(np.repeat(np.asarray(field), LANES, axis=0) for field in row))
        grid = np.broadcast_to(np.asarray(times, float), (LANES, TIMES))
        if self._ready:
            curves = jax.device_get(self._run(grid, dict(theta), lane_doses))
        else:
            with self._lock:  # two sessions must not compile it twice
                curves = jax.device_get(self._run(grid, dict(theta), lane_doses))
            self._ready = True
        return {name: np.asarray(curves[name]) for name in self.outputs}  # in this order: jax sorts the names


def _no_doses() -> Doses:
    """One dose slot with nothing in it."""
    zero = np.zeros((1, 1))
    first = zero.astype(int)
    return Doses(time=zero, amount=zero, duration=zero, share=zero, course=first, entry=first)
