"""A fit's curves for any number of patients, by one compiled program; those of its own subjects are kept.

A report asks for the same curves many times: to draw them, for exposures, for residuals, for the cells at
each site. Each question needs other days and other draws, and each compiled and solved equations of its own.
Here every question goes to one program of a fixed shape, chunk after chunk. `keep_curves` solves the curves
of the fit's own subjects once, on the days of all questions, and `own_blocks` answers from them.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from kinetics.inference import Fit, over_devices
from kinetics.regimen import Doses
from kinetics.solve import Solver, solve

__all__ = [
    "DRAWS",
    "Curves",
    "Theta",
    "Times",
    "common_days",
    "keep_curves",
    "own_blocks",
    "predicted_blocks",
]

DRAWS = 400  # draws of the posterior behind the numbers and bands of a fit's own subjects
_LANES = 512  # patients that are solved at once
_DAYS = 512  # the days of a program of equations are a multiple of this
_MOST = 4_000_000  # the most values of one output that are held at once, in a block of subjects
_MOST_KEPT = 60_000_000  # the most values of all outputs that are kept: 480 MB
# Days after a dose; then steps of a tenth of the days since the latest dose, between two bounds.
_AFTER = (0.0, 0.002, 0.02, 1 / 24, 0.08, 0.125, 0.17, 0.25, 0.35, 0.5, 0.75, 1.0)
_BOUNDS = ((35.0, 0.25, 0.5), (np.inf, 0.5, 2.0))  # until this day after a dose: least and greatest step
_FOLLOWED = 90.0  # days after the last dose
_PROGRAMS: dict[tuple[str, tuple[str, ...], Solver, int], Callable[..., dict[str, Array]]] = {}

Theta = Mapping[str, Float[np.ndarray, "draw subject"]]
Times = Float[np.ndarray, "subject time"]
Curves = dict[str, Float[np.ndarray, "draw subject time"]]


# --- the curves of a fit's own subjects --------------------------------------------------------------------


@dataclass(frozen=True)
class _Kept:
    """Kept curves: days (subject, time) in order, and output -> (draw, subject, time)."""

    times: Times
    values: Curves

    def at(self, outputs: Sequence[str], times: Times) -> Curves | None:
        """The outputs at `times`; None where an output or a day was not solved."""
        if not set(outputs) <= set(self.values):
            return None
        places = np.array([np.searchsorted(row, days) for row, days in zip(self.times, times, strict=True)])
        places = np.minimum(places, self.times.shape[1] - 1)
        if not np.array_equal(np.take_along_axis(self.times, places, axis=1), times):
            return None
        return {k: np.take_along_axis(self.values[k], places[None], axis=2) for k in outputs}


_KEPT: dict[int, dict[int, _Kept]] = {}  # by the id of a living fit, then by the number of draws


def common_days(fit: Fit, *, until: float = 0.0) -> Times:
    """The days [study day] on which curves of the fit's own subjects are solved, (subject, day) in order.

    They begin at day 0 or at a subject's first record or dose, lie close after every dose and farther apart
    later, and end 90 days after its last dose, at its last record or on the day `until`, whichever is latest.
    A row with fewer days than others repeats its last.
    """
    rows = []
    record_times = np.asarray(fit.bound.data.observations.time)
    doses = fit.bound.data.doses
    for records, times, amounts in zip(
        record_times, np.asarray(doses.time), np.asarray(doses.amount), strict=True
    ):
        given = np.unique(times[amounts > 0])
        first = min(0.0, records.min(), times.min())
        last = max(records.max(), given.max(initial=0.0) + _FOLLOWED, until)
        starts = [first, *given]
        parts = []
        for start, end in pairwise([*starts, last]):
            days = start + _spaced(end - start)
            parts.append(days[days < end])
        rows.append(np.round(np.concatenate([*parts, given, [last]]), 9))
    rows = [np.unique(days) for days in rows]
    width = max(map(len, rows))
    return np.array([np.pad(days, (0, width - len(days)), mode="edge") for days in rows])


def _spaced(length: float) -> Float[np.ndarray, " day"]:
    """Days from 0 to `length` after a dose: close at first, then farther and farther apart."""
    days = list(_AFTER)
    for until, least, greatest in _BOUNDS:
        while days[-1] < min(until, length):
            days.append(days[-1] + float(np.clip(0.1 * days[-1], least, greatest)))
    return np.array(days)


def keep_curves(fit: Fit, times: Iterable[Times], *, draws: int = DRAWS) -> None:
    """Solve the curves of the fit's own subjects on all of `times` [study day], and keep them with the fit.

    `draws` are those of `fit.sites(at_most=draws)`. Nothing is solved where every day is already there, and
    nothing is kept where it would take too much memory: each question is then solved by itself.
    """
    number = min(draws, fit.draws)
    outputs = _program_outputs(fit)
    asked = np.concatenate([np.asarray(t, float) for t in times], axis=1)
    kept = _KEPT.get(id(fit), {}).get(number)
    if kept is not None:
        if kept.at(outputs, asked) is not None:
            return
        asked = np.concatenate([asked, kept.times], axis=1)
    rows = [np.unique(days[np.isfinite(days)]) for days in asked]
    width = max(map(len, rows))
    if number * len(rows) * width * len(outputs) > _MOST_KEPT:
        return
    grid = np.array([np.pad(days, (0, width - len(days)), constant_values=np.inf) for days in rows])
    blocks = predicted_blocks(fit, outputs, grid, fit.theta(at_most=number), fit.bound.data.doses)
    parts = [values for _, values in blocks]
    values = {k: np.concatenate([part[k] for part in parts], axis=1) for k in outputs}
    if id(fit) not in _KEPT:
        _KEPT[id(fit)] = {}
        weakref.finalize(fit, _KEPT.pop, id(fit), None)
    _KEPT[id(fit)][number] = _Kept(grid, values)


def own_blocks(
    fit: Fit, outputs: Sequence[str], times: Times, *, draws: int | None = DRAWS
) -> Iterator[tuple[slice, Curves]]:
    """The outputs of the fit's own subjects on the days `times`, as `predicted_blocks` has them.

    The draws are those of `fit.sites(at_most=draws)`. The curves come from what `keep_curves` has kept of as
    many draws where it has every day, else they are solved.
    """
    times = np.asarray(times, float)
    number = fit.draws if draws is None else min(draws, fit.draws)
    kept = _KEPT.get(id(fit), {}).get(number)
    answer = None if kept is None else kept.at(outputs, times)
    if answer is not None:
        yield slice(0, len(times)), answer
        return
    yield from predicted_blocks(fit, outputs, times, fit.theta(at_most=number), fit.bound.data.doses)


# --- any patients ------------------------------------------------------------------------------------------


def predicted_blocks(
    fit: Fit, outputs: Sequence[str], times: Times, theta: Theta, doses: Doses
) -> Iterator[tuple[slice, Curves]]:
    """The outputs of every draw, one block of subjects after another: (the block's rows, output -> values).

    `theta` holds every parameter of the model, each (draw, subject).
    """
    times = np.asarray(times, float)
    subjects = len(times)
    draws = len(next(iter(theta.values())))
    size = max(1, _MOST // (draws * times.shape[1]))
    for start in range(0, subjects, size):
        rows = np.arange(start, min(start + size, subjects))
        # subject by subject: patients with the same days and doses take steps of like number
        lanes = {name: np.asarray(values)[:, rows].T.reshape(-1) for name, values in theta.items()}
        solved = _solve_lanes(fit, outputs, times, lanes, doses, row=np.repeat(rows, draws))
        shape = (len(rows), draws, times.shape[1])
        values = {k: np.moveaxis(v.reshape(shape), 1, 0) for k, v in solved.items()}
        yield slice(start, start + len(rows)), values


def _solve_lanes(
    fit: Fit,
    outputs: Sequence[str],
    times: Times,
    theta: Mapping[str, Float[np.ndarray, " lane"]],
    doses: Doses,
    row: Int[np.ndarray, " lane"],
) -> dict[str, Float[np.ndarray, "lane time"]]:
    """The outputs of any number of patients, each at the days and with the doses of its `row`.

    They are solved chunk by chunk, so that one program serves every question of its fit.
    """
    patients = len(row)
    days = times.shape[1]
    padded = times
    if fit.model.vector_field is not None:  # a day of infinity is no stop of the solver
        padded = np.pad(times, ((0, 0), (0, -days % _DAYS)), constant_values=np.inf)
    lanes = _LANES
    if patients <= _LANES // 4:
        lanes = 1 << max(3, (patients - 1).bit_length())
    usual = _program_outputs(fit)
    run = _program(fit, usual if set(outputs) <= set(usual) else tuple(dict.fromkeys(outputs)), lanes)
    result = {k: np.empty((patients, days)) for k in outputs}
    under_way: deque[tuple[int, dict[str, Any]]] = deque()

    def write_first() -> None:
        start, solved = under_way.popleft()
        for k in outputs:
            stop = min(start + lanes, patients)
            result[k][start:stop] = np.asarray(solved[k])[: stop - start, :days]

    for start in range(0, patients, lanes):
        chunk = np.minimum(np.arange(start, start + lanes), patients - 1)
        rows = row[chunk]
        chunk_doses = Doses(*(np.asarray(x)[rows] for x in doses))
        under_way.append((start, run(padded[rows], {k: v[chunk] for k, v in theta.items()}, chunk_doses)))
        if len(under_way) > 1:
            write_first()
    while under_way:
        write_first()
    return result


def _program_outputs(fit: Fit) -> tuple[str, ...]:
    """The outputs that a fit's program computes: what its assays read, cells at its sites, and lesions."""
    outputs = [assay.output for assay in fit.bound.assays]
    outputs += [output for sites in fit.model.sites.values() for output in sites.values()]
    if fit.model.sites and "lesions" in fit.model.outputs:
        outputs.append("lesions")
    return tuple(dict.fromkeys(outputs))


def _program(fit: Fit, outputs: tuple[str, ...], lanes: int) -> Callable[..., dict[str, Array]]:
    """`solve` of so many patients, compiled for the model file's hash, the outputs and the solver.

    They are shared out over the devices, as no patient depends on another.
    """
    model = fit.model
    solver = fit.bound.solver
    key = (model.sha256, outputs, solver, lanes)
    if key in _PROGRAMS and model.sha256:
        return _PROGRAMS[key]

    def run(times: Array, theta: Mapping[str, Array], doses: Doses) -> dict[str, Array]:
        return solve(model, times, theta, doses, outputs, solver=solver)

    _PROGRAMS[key] = jax.jit(over_devices(run, lanes))
    return _PROGRAMS[key]
