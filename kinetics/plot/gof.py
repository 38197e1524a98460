"""Goodness of fit in six panels: predictions against records, residuals against time and prediction, and
their quantiles against the normal ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots
from scipy.special import ndtri

from kinetics.checks import GoodnessOfFit
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, INK, PALETTE, finish, log_range, number_text, unit_text, value_axis
from kinetics.plot.records import SYMBOLS

__all__ = ["plot_gof"]

_LEVELS = (-1.96, 0.0, 1.96)


def plot_gof(fit: Fit, checked: GoodnessOfFit, analyte: str, *, log: bool = True) -> Figure:
    """DV against PRED and IPRED, IWRES against time, npde against time and PRED, and a QQ plot of npde.

    A censored record is an open symbol: at its limit in the first two panels, at a residual drawn inside its
    limits in the others. A heavy line is the median of the residuals along the axis.

    >>> from kinetics.plot import plot_gof
    >>> fit = kn.load_fit("runs/theophylline")
    >>> figure = plot_gof(fit, kn.checks.gof(fit, replicates=100, draws=20), "theophylline", log=False)
    >>> figure.layout.title.text
    'Theophylline: goodness of fit'
    """
    study = fit.study
    own = checked.table[checked.table["analyte"] == analyte]
    table = DataFrame(own).reset_index(drop=True)
    unit = unit_text(study.analytes[analyte].unit)
    figure = make_subplots(2, 3, horizontal_spacing=0.085, vertical_spacing=0.17)
    values = np.concatenate([table[c].to_numpy(float) for c in ("dv", "pred", "ipred")])
    span = _span(table, values, log=log)
    for col, column in ((1, "pred"), (2, "ipred")):
        shown = table[(table[["dv", column]] > 0).all(axis=1)] if log else table
        _add_points(figure, DataFrame(shown), column, "dv", row=1, col=col)
        _add_line(figure, [*span], [*span], row=1, col=col)
        title = "Typical prediction, PRED" if column == "pred" else "Individual prediction, IPRED"
        figure.update_xaxes(title_text=f"{title} ({unit})", **value_axis(span, log=log), row=1, col=col)
        figure.update_yaxes(title_text=f"Record ({unit})", **value_axis(span, log=log), row=1, col=col)
    panels = ((1, 3, "time", "iwres"), (2, 1, "time", "npde"), (2, 2, "pred", "npde"))
    for row, col, x, y in panels:
        _add_residuals(figure, table, x, y, log=log and x == "pred", row=row, col=col)
        title = "Study day" if x == "time" else f"Typical prediction, PRED ({unit})"
        axis = value_axis(span, log=log) if x == "pred" else {}
        figure.update_xaxes(title_text=title, **axis, row=row, col=col)
        name = "Individual residual, IWRES" if y == "iwres" else "Prediction error, npde"
        figure.update_yaxes(title_text=name, row=row, col=col)
    _add_quantiles(figure, table["npde"].to_numpy(float), row=2, col=3)
    figure.update_layout(showlegend=False)
    tests = checked.tests[checked.tests["analyte"] == analyte].set_index("residual")
    title = f"{study.analytes[analyte].label}: goodness of fit"
    return finish(
        figure,
        study,
        title=title,
        subtitle=_said(tests.loc["npde"]),
        notes=_notes(checked, table, log),
        fit=fit,
        height=720,
    )


def _said(npde: Any) -> str:
    p = f"p {number_text(npde['p_global'], 2)}" if np.isfinite(npde["p_global"]) else "no test"
    return (
        f"npde: mean {number_text(npde['mean'], 2)}, SD {number_text(npde['sd'], 2)} ({p}): {npde['verdict']}"
    )


def _notes(checked: GoodnessOfFit, table: DataFrame, log: bool) -> list[str]:
    censored = int((table["censored"] != "none").sum())
    notes = [f"npde from {checked.replicates} replicated studies. Dashed: 0 and ±1.96. Line: running median."]
    if censored:
        notes.append(
            f"Open symbols: {censored} censored records, at their limit or at a residual drawn inside it."
        )
    zero = int((table[["dv", "pred", "ipred"]] <= 0).any(axis=1).sum())
    if log and zero:
        notes.append(
            f"A log axis has no 0: {zero} records are 0, or predicted as 0, and are not drawn on it."
        )
    return notes


def _span(table: DataFrame, values: np.ndarray, *, log: bool) -> tuple[float, float]:
    if not log:
        low = float(np.nanmin(values))
        high = float(np.nanmax(values))
        return low - 0.04 * (high - low), high + 0.04 * (high - low)
    dv = table["dv"].to_numpy(float)
    least = float(dv[dv > 0].min()) if (dv > 0).any() else 1.0
    return log_range(values[values > 0.05 * least])


def _add_points(figure: Figure, table: DataFrame, x: str, y: str, **where: Any) -> None:
    kinds = {"none": "measured", "left": "below", "right": "above", "interval": "interval"}
    symbols = [SYMBOLS[kinds[c]][0] for c in table["censored"]]
    pairs = zip(table["subject"], table["time"], strict=True)
    text = [f"{subject}, day {number_text(float(day), trim=True)}" for subject, day in pairs]
    figure.add_trace(
        Scatter(
            x=table[x],
            y=table[y],
            mode="markers",
            text=text,
            hoverinfo="text",
            marker={
                "color": PALETTE[0],
                "symbol": symbols,
                "size": 6,
                "opacity": 0.65,
                "line": {"width": 1.2, "color": PALETTE[0]},
            },
            meta={"role": f"{y} {x}"},
        ),
        **where,
    )


def _add_line(figure: Figure, x: list[float], y: list[float], *, dash: str = "dash", **where: Any) -> None:
    line = {"color": GREY if dash == "dash" else INK, "dash": dash, "width": 1.2 if dash == "dash" else 2.2}
    role = {"role": "guide" if dash == "dash" else "median"}
    figure.add_trace(Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", meta=role), **where)


def _add_residuals(figure: Figure, table: DataFrame, x: str, y: str, *, log: bool, **where: Any) -> None:
    own = DataFrame(table[table[y].notna() & ((table[x] > 0) | (not log))])
    _add_points(figure, own, x, y, **where)
    ends = [float(own[x].min()), float(own[x].max())] if len(own) else [0.0, 1.0]
    for level in _LEVELS:
        _add_line(figure, ends, [level, level], **where)
    middle = _running_median(own[x].to_numpy(float), own[y].to_numpy(float))
    _add_line(figure, list(middle[0]), list(middle[1]), dash="solid", **where)


def _running_median(x: np.ndarray, y: np.ndarray, *, parts: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Medians of as many equally filled parts along x as hold five points or more."""
    parts = max(1, min(parts, len(x) // 5))
    order = np.array_split(np.argsort(x, kind="stable"), parts)
    order = [own for own in order if len(own)]
    return (
        np.array([np.median(x[own]) for own in order]),
        np.array([np.median(y[own]) for own in order]),
    )


def _add_quantiles(figure: Figure, scores: np.ndarray, **where: Any) -> None:
    z = np.sort(scores[np.isfinite(scores)])
    expected = ndtri((np.arange(len(z)) + 0.5) / max(len(z), 1))
    figure.add_trace(
        Scatter(
            x=expected,
            y=z,
            mode="markers",
            hoverinfo="skip",
            marker={"color": PALETTE[0], "size": 5, "opacity": 0.7},
            meta={"role": "quantiles"},
        ),
        **where,
    )
    ends = [float(expected.min()), float(expected.max())] if len(z) else [-1.0, 1.0]
    _add_line(figure, ends, ends, **where)
    figure.update_xaxes(title_text="Normal quantile", **where)
    figure.update_yaxes(title_text="npde, sorted", **where)
