"""Goodness of fit in six panels: records against predictions, residuals, and a QQ plot."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots
from scipy.special import ndtri

from kinetics.arguments import require
from kinetics.checks import GoodnessOfFit
from kinetics.inference import Fit
from kinetics.plot.frame import (
    GREY,
    INK,
    PALETTE,
    analyte_label,
    finish,
    log_range,
    number_text,
    unit_text,
    value_axis,
)
from kinetics.plot.many_points import evenly, some_rows, thinning_note
from kinetics.plot.records import SYMBOLS

__all__ = ["plot_gof"]

_GUIDES = (-1.96, 0.0, 1.96)  # residuals at which a dashed line is drawn


def plot_gof(fit: Fit, checked: GoodnessOfFit, analyte: str, *, log: bool = True) -> Figure:
    """DV against PRED and IPRED, IWRES against time, npde against time and PRED, and a QQ plot of npde.

    `checked` is what `kinetics.checks.gof` returns for the `fit`; one `analyte` is drawn, on log axes if
    `log`. A censored record is an open symbol: at its limit in the first two panels, at a residual drawn
    inside its limits in the others. The heavy line is the running median of the residuals.

    >>> from kinetics.plot import plot_gof
    >>> fit = kn.load_fit("runs/theophylline")
    >>> figure = plot_gof(fit, kn.checks.gof(fit, replicates=100, draws=20), "theophylline", log=False)
    >>> figure.layout.title.text
    'Theophylline: goodness of fit'
    """
    require(fit=(fit, Fit))
    study = fit.study
    table = DataFrame(checked.table[checked.table["analyte"] == analyte]).reset_index(drop=True)
    unit = unit_text(study.analytes[analyte].unit)
    figure = make_subplots(2, 3, horizontal_spacing=0.085, vertical_spacing=0.17)
    values = np.concatenate([table[c].to_numpy(float) for c in ("dv", "pred", "ipred")])
    span = _span(table, values, log=log)
    # Records against predictions, with the line of identity.
    panels = ((1, "pred", "Typical prediction, PRED"), (2, "ipred", "Individual prediction, IPRED"))
    for col, column, title in panels:
        shown = table
        if log:
            shown = table[(table[["dv", column]] > 0).all(axis=1)]
        _add_points(figure, some_rows(DataFrame(shown)), column, "dv", row=1, col=col)
        _add_guide(figure, [*span], [*span], row=1, col=col)
        figure.update_xaxes(title_text=f"{title} ({unit})", **value_axis(span, log=log), row=1, col=col)
        figure.update_yaxes(title_text=f"Record ({unit})", **value_axis(span, log=log), row=1, col=col)
    # Residuals along time and prediction, and their quantiles.
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
    title = f"{analyte_label(study.analytes[analyte])}: goodness of fit"
    return finish(
        figure,
        study,
        title=title,
        subtitle=_verdict_text(tests.loc["npde"]),
        notes=_notes(checked, table, log),
        fit=fit,
        height=720,
    )


def _verdict_text(npde: Any) -> str:
    """The row of tests of the npde in words: mean, SD, p and verdict."""
    p = "no test"
    if np.isfinite(npde["p_global"]):
        p = f"p {number_text(npde['p_global'], 2)}"
    mean = number_text(npde["mean"], 2)
    sd = number_text(npde["sd"], 2)
    return f"npde: mean {mean}, SD {sd} ({p}): {npde['verdict']}"


def _notes(checked: GoodnessOfFit, table: DataFrame, log: bool) -> list[str]:
    """How the npde were made, and how censored records and zeros are drawn."""
    censored = int((table["censored"] != "none").sum())
    notes = [f"npde from {checked.replicates} replicated studies. Dashed: 0 and ±1.96. Line: running median."]
    if censored:
        notes.append(
            f"Open symbols: {censored} censored records, at their limit or at a residual drawn inside it."
        )
    notes += thinning_note(len(table), "records")
    zeros = int((table[["dv", "pred", "ipred"]] <= 0).any(axis=1).sum())
    if log and zeros:
        notes.append(
            f"A log axis has no 0: {zeros} records are 0, or predicted as 0, and are not drawn on it."
        )
    return notes


def _span(table: DataFrame, values: np.ndarray, *, log: bool) -> tuple[float, float]:
    """The ends of the axes of records and predictions.

    A log axis holds the values above a twentieth of the least record.
    """
    if not log:
        low = float(np.nanmin(values))
        high = float(np.nanmax(values))
        return low - 0.04 * (high - low), high + 0.04 * (high - low)
    dv = table["dv"].to_numpy(float)
    least = float(dv[dv > 0].min()) if (dv > 0).any() else 1.0
    return log_range(values[values > 0.05 * least])


def _add_points(figure: Figure, table: DataFrame, x: str, y: str, **where: Any) -> None:
    """Draw column `y` against column `x`, one symbol a record."""
    kinds = {"none": "measured", "left": "below", "right": "above", "interval": "interval"}
    symbols: list[str] | str = [SYMBOLS[kinds[c]][0] for c in table["censored"]]
    if len(set(symbols)) == 1:
        symbols = symbols[0]
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


def _add_guide(figure: Figure, x: list[float], y: list[float], **where: Any) -> None:
    """Draw a dashed line for the eye."""
    line = {"color": GREY, "dash": "dash", "width": 1.2}
    guide = Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", meta={"role": "guide"})
    figure.add_trace(guide, **where)


def _add_residuals(figure: Figure, table: DataFrame, x: str, y: str, *, log: bool, **where: Any) -> None:
    """Draw residuals `y` along `x` with guides at 0 and ±1.96 and their running median."""
    rows = DataFrame(table[table[y].notna() & ((table[x] > 0) | (not log))])
    _add_points(figure, some_rows(rows), x, y, **where)
    ends = [0.0, 1.0]
    if len(rows):
        ends = [float(rows[x].min()), float(rows[x].max())]
    for level in _GUIDES:
        _add_guide(figure, ends, [level, level], **where)
    median_x, median_y = _running_median(rows[x].to_numpy(float), rows[y].to_numpy(float))
    line = {"color": INK, "dash": "solid", "width": 2.2}
    median = Scatter(
        x=list(median_x), y=list(median_y), mode="lines", line=line, hoverinfo="skip", meta={"role": "median"}
    )
    figure.add_trace(median, **where)


def _running_median(x: np.ndarray, y: np.ndarray, *, parts: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The medians of x and of y in equally filled parts along x.

    There are at most `parts` parts, and so few that each holds five points or more.
    """
    parts = max(1, min(parts, len(x) // 5))
    indices = np.array_split(np.argsort(x, kind="stable"), parts)
    indices = [part for part in indices if len(part)]
    median_x = np.array([np.median(x[part]) for part in indices])
    median_y = np.array([np.median(y[part]) for part in indices])
    return median_x, median_y


def _add_quantiles(figure: Figure, scores: np.ndarray, **where: Any) -> None:
    """Draw the sorted scores against the quantiles of a standard normal, with the line of identity."""
    z = np.sort(scores[np.isfinite(scores)])
    expected = ndtri((np.arange(len(z)) + 0.5) / max(len(z), 1))
    drawn = evenly(len(z))
    figure.add_trace(
        Scatter(
            x=expected[drawn],
            y=z[drawn],
            mode="markers",
            hoverinfo="skip",
            marker={"color": PALETTE[0], "size": 5, "opacity": 0.7},
            meta={"role": "quantiles"},
        ),
        **where,
    )
    ends = [float(expected.min()), float(expected.max())] if len(z) else [-1.0, 1.0]
    _add_guide(figure, ends, ends, **where)
    figure.update_xaxes(title_text="Normal quantile", **where)
    figure.update_yaxes(title_text="npde, sorted", **where)
