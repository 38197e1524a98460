"""Exposure per subject, cycle and posterior draw: the NCA columns, from the fitted curve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.errors import FitError
from kinetics.exposures.area import segment_areas
from kinetics.inference import Fit
from kinetics.plan import BoundAssay
from kinetics.regimen import Doses
from kinetics.solve import solve

__all__ = ["CurveExposure", "curve_exposure", "exposure", "exposure_summary"]

# day: the grid's steps, and how long the fine one lasts
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
    draws: int | None = 1000,
    by: str = "both",
) -> DataFrame:
    """Cmax, Tmax, AUC, Tlast, half-life ... of every subject, cycle, analyte and posterior draw.

    One row each; times in days after the first infusion of the cycle (of all, for `course`), concentrations
    in the analyte's unit as its assay reads it (its scale factor included), areas in that unit x day.
    `window` must start at 0; a cycle ends where the next begins, and `partial` says that the window reaches
    beyond. `draws` thins the posterior evenly (None: all). Tlast is the last time the curve is at or above
    the LLOQ: the persistence. `by`: rows of each "cycle", of the "course", or "both". FitError for another,
    or a window that starts later.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> table = kn.exposure(fit, draws=5, by="course")
    >>> len(table) == 12 * 2 * 5, list(table)[:8]
    (True, ['analyte', 'unit', 'cycle', 'subject', 'draw', 'cmax', 'tmax', 'auc_0_28d'])
    """
    if window[0] != 0.0:
        raise FitError(f"exposure windows start at the infusion: window {window} must start at 0")
    if by not in ("both", "cycle", "course"):
        raise FitError(f"by = {by!r}: choose 'cycle', 'course' or 'both'")
    sites = fit.sites(at_most=draws)
    frames = [
        frame
        for span in _spans(fit, window[1])
        if by == "both" or (span.label == "course") == (by == "course")
        for frame in _frames(fit, span, sites, window[1])
    ]
    table = pd.concat(frames, ignore_index=True).sort_values("analyte", kind="stable", ignore_index=True)
    return table.rename(columns={"auc_window": f"auc_0_{window[1]:g}d"})


def exposure_summary(table: DataFrame, *, level: float = 0.9) -> DataFrame:
    """Median and credible interval over draws, one row a subject, analyte, cycle and quantity.

    `table` is that of `exposure`; `level` the probability of the interval, 0.9 for 90 %.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> summary = kn.exposure_summary(kn.exposure(fit, draws=5, by="course"))
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
    """Whole course, then each cycle; a subject without that cycle has length 0."""
    subjects = fit.bound.subjects
    doses = fit.study.doses
    if fit.bound.plan.products is not None:
        doses = doses[doses["product"].isin(fit.bound.plan.products)]
    last = fit.study.observations.groupby("subject")["time"].max().reindex(subjects).to_numpy(float)
    starts = doses.groupby(["subject", "cycle"])["time"].min().unstack().reindex(subjects)
    first = starts.min(axis=1).to_numpy(float)
    yield _Span("course", first, np.where(np.isnan(first), 0.0, np.maximum(last - first, window)))
    cycles = list(starts.columns)
    for i, cycle in enumerate(cycles):
        start = starts[cycle].to_numpy(float)
        later = starts[cycles[i + 1 :]].min(axis=1).to_numpy(float) if i + 1 < len(cycles) else np.nan * start
        end = np.where(np.isnan(later), np.maximum(last, start + window), later)
        yield _Span(str(cycle), start, np.where(np.isnan(start), 0.0, end - start))


def _frames(fit: Fit, span: _Span, sites: dict[str, np.ndarray], window: float) -> Iterator[DataFrame]:
    numbers = _numbers(fit, span, sites, window)
    draws = len(next(iter(sites.values())))
    given = np.nonzero(span.length > 0)[0]
    subjects = np.array(fit.bound.subjects)[given]
    for assay in fit.bound.assays:
        columns = {name: getattr(numbers[assay.analyte], name)[:, given].ravel() for name in NUMBERS}
        yield DataFrame(
            {
                "analyte": assay.analyte,
                "unit": assay.unit,
                "cycle": span.label,
                "subject": np.tile(subjects, draws),
                "draw": np.repeat(np.arange(draws), len(given)),
                **columns,
                "partial": np.tile(span.length[given] < window - 1e-9, draws),
            }
        )


def _numbers(fit: Fit, span: _Span, sites: dict[str, np.ndarray], window: float) -> dict[str, CurveExposure]:
    """Analyte -> CurveExposure of arrays (draw, subject). A grid stops just before the next cycle."""
    lloq = {a.analyte: fit.study.analytes[a.analyte].lloq or 0.0 for a in fit.bound.assays}
    horizon = float(span.length.max())
    inside = span.length - np.where(span.length < horizon, 1e-6, 0.0)
    relative = np.minimum(_grid(horizon, window), np.maximum(inside, FINE)[:, None])
    times = np.nan_to_num(span.start)[:, None] + relative
    doses = fit.bound.data.doses
    outputs = [a.output for a in fit.bound.assays]

    def one(a: BoundAssay, read: AnyArray) -> CurveExposure:
        return jax.vmap(lambda t, v: curve_exposure(t, v, window=window, lloq=lloq[a.analyte]))(
            jnp.asarray(relative), jnp.asarray(read)
        )

    def all_of(s: dict[str, jax.Array], at: jax.Array, doses: Doses) -> dict[str, CurveExposure]:
        p = {name: s[name] for name in fit.bound.parameters}
        y = solve(fit.model, at, p, doses, outputs, solver=fit.bound.solver)
        return {a.analyte: one(a, a.seen(s, y[a.output], times)) for a in fit.bound.assays}

    factors = {k for k in fit.bound.priors() if k.startswith(("scale_", "vcn_"))}
    draws = {k: jnp.asarray(v) for k, v in sites.items() if k in factors | {*fit.bound.parameters}}

    @jax.jit  # times and doses are arguments: as constants XLA would fold what a solver does with them, for minutes
    def every(d: dict[str, jax.Array], at: jax.Array, doses: Doses) -> dict[str, CurveExposure]:
        return jax.lax.map(lambda s: all_of(s, at, doses), d, batch_size=8)

    return jax.device_get(every(draws, jnp.asarray(times), doses))


def _grid(horizon: float, window: float) -> np.ndarray:
    """Times from 0 to `horizon`: fine first, then coarse, with a point exactly on `window`."""
    fine = np.arange(0.0, min(FINE_DAYS, horizon), FINE)
    coarse = np.arange(FINE_DAYS, horizon, COARSE)
    return np.unique(np.concatenate([fine, coarse, [min(window, horizon), horizon]]))


class CurveExposure(NamedTuple):
    """One curve's exposure; times in days from the start of the grid, areas in unit x day."""

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
    """Exposure of a curve `y` at `time` [day], 0 at the first infusion.

    `auc_window` runs from 0 to `window` by linear-up log-down; `tlast` is the last time at or above `lloq`
    (0 if never; the end of the grid if still above), `clast` and `auc_last` belong to it. `half_life` is
    that of the log-linear line through the curve's second half between Tmax and Tlast; NaN where the curve
    does not fall there. `fold_expansion` is Cmax over the curve's value at 0.
    """
    areas = segment_areas(time, y, xp=jnp)
    peak = jnp.argmax(y)
    above = y >= lloq
    last = jnp.where(above.any(), y.shape[0] - 1 - jnp.argmax(above[::-1]), 0)
    tmax = time[peak]
    tlast = time[last]
    inside = time[1:] <= window + 1e-9
    half = _half_life(time, y, 0.5 * (tmax + tlast), tlast)
    return CurveExposure(
        cmax=y[peak],
        tmax=tmax,
        auc_window=jnp.sum(jnp.where(inside, areas, 0.0)),
        auc_last=jnp.sum(jnp.where(time[1:] <= tlast, areas, 0.0)),
        clast=jnp.where(above.any(), y[last], jnp.nan),
        tlast=jnp.where(above.any(), tlast, 0.0),
        half_life=half,
        fold_expansion=y[peak] / y[0],
    )


def _half_life(time: Array, y: Array, start: Array, end: Array) -> Array:
    inside = (time >= start) & (time <= end) & (y > 0)
    weight = jnp.where(
        inside, jnp.asarray(jnp.gradient(time)), 0.0
    )  # a line through the curve, not through the grid
    n = jnp.sum(inside)
    x = time - jnp.sum(weight * time) / jnp.sum(weight)
    logy = jnp.log(jnp.where(y > 0, y, 1.0))
    slope = jnp.sum(weight * x * logy) / jnp.sum(weight * x**2)
    return jnp.where((n >= 3) & (slope < 0), jnp.log(2.0) / -slope, jnp.nan)


# # MERGED curve: """Exposure numbers of a finely gridded curve, in jax: what NCA computes from samples, from
# a fitted curve."""
