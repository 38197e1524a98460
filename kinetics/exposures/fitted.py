"""Exposures of a fit: for each subject, cycle and posterior draw the numbers of NCA, from the fitted curve.

`curve_exposure` has the numbers of one finely gridded curve, in jax: what NCA computes from samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from pandas import DataFrame
from scipy.interpolate import PchipInterpolator

from kinetics.arguments import require
from kinetics.errors import FitError
from kinetics.exposures.area import segment_areas
from kinetics.inference import Fit
from kinetics.prediction import DRAWS, common_days, own_blocks

__all__ = ["CurveExposure", "curve_exposure", "exposure", "exposure_summary"]

# In days: the steps of the grid, and how long the fine steps last.
FINE = 0.1
COARSE = 0.5
FINE_DAYS = 35.0
NUMBERS = ("cmax", "tmax", "auc_window", "auc_last", "clast", "tlast", "half_life", "fold_expansion")


@dataclass(frozen=True)
class _Span:
    """One cycle, or the whole course, of every subject: its start and length in days."""

    label: str
    start: np.ndarray
    length: np.ndarray


def exposure(
    fit: Fit,
    *,
    window: tuple[float, float] = (0.0, 28.0),
    draws: int | None = DRAWS,
    by: str = "both",
) -> DataFrame:
    """Cmax, Tmax, AUC, Tlast, half-life ...: one row for each subject, cycle, analyte and posterior draw.

    Times are in days after the first infusion of the cycle (of the course: after the first of all),
    concentrations in the unit of the analyte as its assay reads it (its scale factor included), areas in that
    unit x day. `window` must start at 0. A cycle ends where the next one begins, and `partial` says that the
    window reaches beyond that. `draws` thins the posterior evenly (None: all draws). Equations are solved on
    `kinetics.prediction.common_days`, and between these the logarithm of a curve is interpolated. Tlast, the
    persistence, is the last time at which the curve is at or above the LLOQ. `by` asks for rows of each
    "cycle", of the "course", or "both". FitError for another `by`, for a window that starts later than 0, and
    where nobody was dosed.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> table = kn.exposure(fit, draws=5, by="course")
    >>> len(table) == 12 * 2 * 5, list(table)[:8]
    (True, ['analyte', 'unit', 'cycle', 'subject', 'draw', 'cmax', 'tmax', 'auc_0_28d'])
    """
    require(fit=(fit, Fit))
    if window[0] != 0.0:
        raise FitError(f"exposure windows start at the infusion: window {window} must start at 0")
    if by not in ("both", "cycle", "course"):
        raise FitError(f"by = {by!r}: choose 'cycle', 'course' or 'both'")
    if fit.study.doses.empty:
        what = f"{fit.study.name} has no doses, from which exposures count time"
        raise FitError(f"{what}; look at its curves (`kinetics predict`) and at its parameters")
    spans = []
    for span in _spans(fit, window[1]):
        kind = "course" if span.label == "course" else "cycle"
        if by in ("both", kind):
            spans.append(span)
    exposures = _curve_exposures(fit, spans, draws, window[1])
    frames = [frame for span in spans for frame in _frames(fit, span, exposures[span.label], window[1])]
    table = pd.concat(frames, ignore_index=True).sort_values("analyte", kind="stable", ignore_index=True)
    return table.rename(columns={"auc_window": f"auc_0_{window[1]:g}d"})


def exposure_summary(table: DataFrame, *, level: float = 0.9) -> DataFrame:
    """The median and credible interval over draws: one row for each subject, analyte, cycle and quantity.

    `table` is what `exposure` returns; `level` is the probability of the interval, 0.9 for 90 %.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> summary = kn.exposures.exposure_summary(kn.exposure(fit, draws=5, by="course"))
    >>> list(summary)
    ['analyte', 'unit', 'cycle', 'subject', 'quantity', 'lower', 'median', 'upper']
    """
    keys = ["analyte", "unit", "cycle", "subject"]
    numbers = [c for c in table.columns if c not in (*keys, "draw", "partial")]
    tail = (1 - level) / 2
    groups = table.groupby(keys, sort=False)[numbers]
    parts = {"lower": tail, "median": 0.5, "upper": 1 - tail}
    stacked = {name: groups.quantile(q).stack() for name, q in parts.items()}
    return DataFrame(stacked).rename_axis([*keys, "quantity"]).reset_index()


def _spans(fit: Fit, window: float) -> Iterator[_Span]:
    """The whole course, then each cycle; a subject without a cycle has length 0 in it.

    A subject without a record, as one who died before the first sample, is followed for the window.
    """
    subjects = fit.bound.subjects
    doses = fit.study.doses
    if fit.bound.plan.products is not None:
        doses = doses[doses["product"].isin(fit.bound.plan.products)]
    last = fit.study.observations.groupby("subject")["time"].max().reindex(subjects).to_numpy(float)
    starts = doses.groupby(["subject", "cycle"])["time"].min().unstack().reindex(subjects)
    first = starts.min(axis=1).to_numpy(float)
    yield _Span("course", first, np.where(np.isnan(first), 0.0, np.fmax(last - first, window)))
    cycles = list(starts.columns)
    for i, cycle in enumerate(cycles):
        start = starts[cycle].to_numpy(float)
        next_start = np.full_like(start, np.nan)
        if i + 1 < len(cycles):
            next_start = starts[cycles[i + 1 :]].min(axis=1).to_numpy(float)
        end = np.where(np.isnan(next_start), np.fmax(last, start + window), next_start)
        yield _Span(str(cycle), start, np.where(np.isnan(start), 0.0, end - start))


def _frames(
    fit: Fit, span: _Span, exposures: Mapping[str, CurveExposure], window: float
) -> Iterator[DataFrame]:
    """One table for each analyte, of the subjects who have the cycle."""
    dosed = np.nonzero(span.length > 0)[0]
    subjects = np.array(fit.bound.subjects)[dosed]
    for assay in fit.bound.assays:
        columns = {name: getattr(exposures[assay.analyte], name)[:, dosed].ravel() for name in NUMBERS}
        draws = len(exposures[assay.analyte].cmax)
        yield DataFrame(
            {
                "analyte": assay.analyte,
                "unit": assay.unit,
                "cycle": span.label,
                "subject": np.tile(subjects, draws),
                "draw": np.repeat(np.arange(draws), len(dosed)),
                **columns,
                "partial": np.tile(span.length[dosed] < window - 1e-9, draws),
            }
        )


def _curve_exposures(
    fit: Fit, spans: Sequence[_Span], draws: int | None, window: float
) -> dict[str, dict[str, CurveExposure]]:
    """Label of a span -> analyte -> the exposures as arrays (draw, subject).

    The curves are solved once for all spans.
    """
    equations = fit.model.vector_field is not None
    grids = _grids(spans, window, equations=equations)
    sites = fit.sites(at_most=draws)
    days = {label: _starts(span) + grids[label] for label, span in zip(grids, spans, strict=True)}
    solved_days = np.sort(np.concatenate(list(days.values()), axis=1), axis=1)
    if equations:
        last = solved_days[:, -1]
        solved_days = common_days(fit)
        if (last > solved_days[:, -1]).any():
            solved_days = common_days(fit, until=float(last.max()))
    outputs = tuple(dict.fromkeys(assay.output for assay in fit.bound.assays))
    parts: dict[str, dict[str, list[CurveExposure]]] = {
        label: {assay.analyte: [] for assay in fit.bound.assays} for label in grids
    }
    for block, curves in own_blocks(fit, outputs, solved_days, draws=draws):
        rows = np.arange(len(solved_days))[block]
        for assay in fit.bound.assays:
            read = np.asarray(assay.reading(sites, curves[assay.output], solved_days[block], rows))
            lloq = fit.study.analytes[assay.analyte].lloq or 0.0
            for label, grid in grids.items():
                on_grid = _interpolated(solved_days[block], read, days[label][block])
                numbers = jax.device_get(_exposures_of_curves(grid[block], on_grid, window, lloq))
                parts[label][assay.analyte].append(numbers)
    return {
        label: {analyte: _joined(blocks) for analyte, blocks in by_analyte.items()}
        for label, by_analyte in parts.items()
    }


def _starts(span: _Span) -> Float[np.ndarray, "subject 1"]:
    """The day on which the span of each subject starts; 0 for a subject without it."""
    return np.nan_to_num(span.start)[:, None]


def _grids(
    spans: Sequence[_Span], window: float, *, equations: bool
) -> dict[str, Float[np.ndarray, "subject time"]]:
    """Label -> days of each subject from the start of the span to just before the next one.

    All spans have equally many days, the last of which may be repeated, so that one program serves all.
    """
    grids = {}
    for span in spans:
        horizon = float(span.length.max())
        grid = _grid(horizon, window, equations=equations)
        inside = span.length - np.where(span.length < horizon, 1e-6, 0.0)
        grids[span.label] = np.minimum(grid, np.maximum(inside, FINE)[:, None])
    width = max(grid.shape[1] for grid in grids.values())
    return {k: np.pad(grid, ((0, 0), (0, width - grid.shape[1])), mode="edge") for k, grid in grids.items()}


def _interpolated(
    times: Float[np.ndarray, "subject time"],
    curves: Float[np.ndarray, "draw subject time"],
    days: Float[np.ndarray, "subject day"],
) -> Float[np.ndarray, "draw subject day"]:
    """The curves of every draw on `days`, by a monotone cubic through their logarithms.

    A curve that is 0 or less somewhere is interpolated on its own scale.
    """
    result = np.empty((*curves.shape[:2], days.shape[1]))
    for i, (solved, wanted) in enumerate(zip(times, days, strict=True)):
        solved, kept = np.unique(solved, return_index=True)
        values = curves[:, i][:, kept]
        inside = np.clip(wanted, solved[0], solved[-1])
        places = np.minimum(np.searchsorted(solved, inside), len(solved) - 1)
        if np.array_equal(solved[places], inside):
            result[:, i] = values[:, places]
            continue
        positive = (values > 0).all(axis=1)
        finite = np.isfinite(values).all(axis=1)
        result[:, i] = np.nan
        for rows, forward, back in ((positive & finite, np.log, np.exp), (~positive & finite, _same, _same)):
            if rows.any():
                curve = PchipInterpolator(solved, forward(values[rows]), axis=1)
                result[rows, i] = back(curve(inside))
    return result


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _joined(blocks: Sequence[CurveExposure]) -> CurveExposure:
    """The exposures of all subjects from those of blocks of subjects."""
    columns: Any = [np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True)]
    return CurveExposure(*columns)


@jax.jit
def _exposures_of_curves(relative: Any, curves: Any, window: Any, lloq: Any) -> CurveExposure:
    """The exposures of curves (draw, subject, time) on days (subject, time) after the start."""
    of_curve = partial(curve_exposure, window=window, lloq=lloq)
    return jax.vmap(jax.vmap(of_curve), (None, 0))(relative, curves)


def _grid(horizon: float, window: float, *, equations: bool) -> np.ndarray:
    """The times from 0 to `horizon` [day]: fine steps, then coarse ones, and a point at `window`.

    The curves of `equations` are interpolated, and need fine steps in the first days only.
    """
    parts = [np.arange(0.0, min(FINE_DAYS, horizon), FINE), np.arange(FINE_DAYS, horizon, COARSE)]
    if equations:
        parts = [
            np.arange(0.0, min(3.0, horizon), FINE),
            np.arange(3.0, min(FINE_DAYS, horizon), 2 * FINE),
            np.arange(FINE_DAYS, horizon, 2 * COARSE),
        ]
    return np.unique(np.concatenate([*parts, [min(window, horizon), horizon]]))


class CurveExposure(NamedTuple):
    """The exposure of a curve; times in days from the start of the grid, areas in unit x day."""

    cmax: Float[Array, "..."]
    tmax: Float[Array, "..."]
    auc_window: Float[Array, "..."]
    auc_last: Float[Array, "..."]
    clast: Float[Array, "..."]
    tlast: Float[Array, "..."]
    half_life: Float[Array, "..."]
    fold_expansion: Float[Array, "..."]


def curve_exposure(
    time: Float[Array, " grid"], y: Float[Array, " grid"], *, window: float, lloq: float
) -> CurveExposure:
    """The exposure of a curve `y` (grid,) at `time` [day] (grid,), which is 0 at the first infusion.

    `auc_window` is the area from 0 to `window` by the linear-up log-down rule. `tlast` is the last time at or
    above `lloq` (0 if there is none, the end of the grid if the curve is still above); `clast` and `auc_last`
    belong to it. `half_life` is that of the log-linear line through the second half of the curve between Tmax
    and Tlast, NaN where the curve does not fall there. `fold_expansion` is Cmax over the value of the curve
    at 0.
    """
    areas = segment_areas(time, y, xp=jnp)
    peak = jnp.argmax(y)
    above = y >= lloq
    last = jnp.where(above.any(), y.shape[0] - 1 - jnp.argmax(above[::-1]), 0)
    tmax = time[peak]
    tlast = time[last]
    inside = time[1:] <= window + 1e-9
    half_life = _half_life(time, y, 0.5 * (tmax + tlast), tlast)
    return CurveExposure(
        cmax=y[peak],
        tmax=tmax,
        auc_window=jnp.sum(jnp.where(inside, areas, 0.0)),
        auc_last=jnp.sum(jnp.where(time[1:] <= tlast, areas, 0.0)),
        clast=jnp.where(above.any(), y[last], jnp.nan),
        tlast=jnp.where(above.any(), tlast, 0.0),
        half_life=half_life,
        fold_expansion=y[peak] / y[0],
    )


def _half_life(time: Array, y: Array, start: Array, end: Array) -> Array:
    """The half-life of the line through log `y` from `start` to `end`; NaN where that does not fall.

    Points are weighted by the length of their step, so that the line fits the curve and not the grid.
    """
    inside = (time >= start) & (time <= end) & (y > 0)
    weight = jnp.where(inside, jnp.asarray(jnp.gradient(time)), 0.0)
    n = jnp.sum(inside)
    x = time - jnp.sum(weight * time) / jnp.sum(weight)
    logy = jnp.log(jnp.where(y > 0, y, 1.0))
    slope = jnp.sum(weight * x * logy) / jnp.sum(weight * x**2)
    return jnp.where((n >= 3) & (slope < 0), jnp.log(2.0) / -slope, jnp.nan)
