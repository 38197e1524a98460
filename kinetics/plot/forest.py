"""Covariate effects as a forest: ratios with 90 % intervals, of the posterior and behind it of the prior."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.arguments import require
from kinetics.checks import RELEVANT, Subgroups
from kinetics.errors import Problem, StudyError
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, INK, PALETTE, faint, finish, number_text

__all__ = ["plot_forest"]

_MOST = 40.0  # the largest ratio that the axis can hold; its least is the inverse
# Ticks of a narrow axis, and of a wide one.
_NARROW_TICKS = (0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3)
_WIDE_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def plot_forest(fit: Fit, subgroups: Subgroups) -> Figure:
    """One row for each effect, grouped by parameter; the point is filled where the interval excludes 1.

    `subgroups` is what `kinetics.checks.subgroups` returns for the `fit`. Effects on parameters with a linear
    scale are differences, not ratios: they are counted in a note and not drawn. StudyError where no effect is
    a ratio.

    >>> from kinetics.plot import plot_forest
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> figure = plot_forest(fit, kn.checks.subgroups(fit))
    >>> figure.layout.title.text
    'Covariate effects'
    """
    require(fit=(fit, Fit))
    ratios = _ratios(subgroups)
    rows = ratios.to_dict("records")
    parameters = list(dict.fromkeys(ratios["parameter"]))
    # The height of each row, with a gap above each parameter.
    heights = -np.arange(len(rows), dtype=float)
    heights -= [0.9 * parameters.index(row["parameter"]) for row in rows]
    ends = [float(heights.min()) - 0.6, float(heights.max()) + 1.0]
    figure = Figure()
    _add_band(figure, ends)
    _add_intervals(figure, ratios, heights, "prior")
    _add_intervals(figure, ratios, heights, "interval")
    _add_points(figure, ratios, heights)
    _label(figure, rows, heights)
    for name in parameters:
        first = float(heights[[row["parameter"] == name for row in rows]].max())
        _text(figure, f"<b>{name.replace('_', ' ')}</b>", x=0, y=first + 0.65, anchor="left", shift=6)
    low, high = _range(ratios)
    ticks = _NARROW_TICKS if high < 4 else _WIDE_TICKS
    names = [_name(fit, row) for row in rows]
    log_range = [np.log10(low), np.log10(high)]
    figure.update_xaxes(type="log", range=log_range, tickvals=ticks, title_text=_axis_title(ratios))
    figure.update_yaxes(range=ends, tickvals=heights, ticktext=names, showgrid=False)
    differences = len(subgroups.table) - len(rows)
    chance = number_text(subgroups.expected_false, 2)
    notes = [
        "Line: 90 % interval; filled where it excludes 1. Grey behind it: the 90 % interval of the prior.",
        f"Shaded: {RELEVANT[0]:g} to {RELEVANT[1]:g}, no relevant change. Associations, not causes.",
        f"Were no effect real, {chance} intervals would be expected to exclude 1 by chance.",
    ]
    if differences:
        notes.append(f"Not drawn: {differences} effects on parameters with a linear scale.")
    subtitle = f"{len(subgroups.table)} effects in {subgroups.subjects} subjects"
    height = int(31 * np.ptp(ends)) + 250
    finish(
        figure, fit.study, title="Covariate effects", subtitle=subtitle, notes=notes, fit=fit, height=height
    )
    figure.update_yaxes(ticks="", showline=False, tickfont_size=12)
    left = 30 + 6.1 * max(map(len, names))
    figure.update_layout(showlegend=False, margin={"l": left, "r": 150})
    figure.update_layout(title={"xref": "container", "pad": {"t": 12, "l": 14}})
    figure.update_annotations(selector={"name": "footer"}, xshift=14 - left)
    return figure


def _ratios(subgroups: Subgroups) -> DataFrame:
    """The effects that are ratios; StudyError where none is."""
    ratios = subgroups.table[subgroups.table["scale"] != "difference"].reset_index(drop=True)
    if not len(ratios):
        raise StudyError(
            Problem("no covariate effect of this fit is a ratio", "read the table of `subgroups` instead")
        )
    return ratios


def _range(table: DataFrame) -> tuple[float, float]:
    """The ends of an axis, symmetric about 1, that holds every posterior interval and the relevant band."""
    farthest = float(np.abs(np.log(table[["lower", "upper"]].to_numpy(float))).max())
    high = float(np.exp(np.clip(1.15 * farthest, np.log(2.2), np.log(_MOST))))
    return 1 / high, high


def _add_band(figure: Figure, ends: list[float]) -> None:
    """Shade the ratios that are no relevant change, and draw the line at 1."""
    low, high = RELEVANT
    box = {"x": [low, high, high, low], "y": [ends[0], ends[0], ends[1], ends[1]]}
    figure.add_trace(
        Scatter(
            **box,
            fill="toself",
            fillcolor=faint(PALETTE[4], 0.14),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            meta={"role": "band"},
        )
    )
    line = {"color": INK, "width": 1.2}
    figure.add_trace(
        Scatter(x=[1, 1], y=ends, mode="lines", line=line, hoverinfo="skip", meta={"role": "none"})
    )


def _add_intervals(
    figure: Figure, table: DataFrame, heights: np.ndarray, role: Literal["prior", "interval"]
) -> None:
    """Draw the interval of each effect, of the prior or of the posterior."""
    if role == "prior":
        lower = table["prior_lower"]
        upper = table["prior_upper"]
        line = {"color": faint(GREY, 0.22), "width": 13}
    else:
        lower = table["lower"]
        upper = table["upper"]
        line = {"color": PALETTE[0], "width": 2.6}
    x = []
    y = []
    for low, high, height in zip(lower, upper, heights, strict=True):
        x += [low, high, None]
        y += [height, height, None]
    figure.add_trace(Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", meta={"role": role}))


def _add_points(figure: Figure, table: DataFrame, heights: np.ndarray) -> None:
    """Draw the estimate of each effect, filled where its interval excludes 1."""
    signal = table["verdict"].isin(["shown", "signal"])
    figure.add_trace(
        Scatter(
            x=table["estimate"],
            y=heights,
            mode="markers",
            hovertext=table["says"],
            hoverinfo="text",
            marker={
                "size": 10,
                "color": [PALETTE[0] if s else "white" for s in signal],
                "line": {"color": PALETTE[0], "width": 2},
            },
            meta={"role": "estimate"},
        )
    )


def _label(figure: Figure, rows: list[dict[Any, Any]], heights: np.ndarray) -> None:
    """Write the estimate and its interval beside each row."""
    for row, height in zip(rows, heights, strict=True):
        low, middle, high = (number_text(row[k]) for k in ("lower", "estimate", "upper"))
        _text(figure, f"{middle} ({low} to {high})", x=1, y=float(height), anchor="left", shift=8)


def _text(figure: Figure, text: str, *, x: float, y: float, anchor: str, shift: float) -> None:
    font = {"size": 12, "color": INK}
    figure.add_annotation(
        text=text,
        x=x,
        xref="paper",
        y=y,
        yref="y",
        xanchor=anchor,
        yanchor="middle",
        xshift=shift,
        showarrow=False,
        font=font,
        name="row",
    )


def _name(fit: Fit, row: dict[Any, Any]) -> str:
    """The name of a row: the covariate with its step, or its level against the reference, with subjects."""
    column = fit.study.dictionary.columns.subjects.get(row["covariate"])
    label = (column and column.label) or row["covariate"].replace("_", " ")
    if not row["level"]:
        return f"{label}, per {row['per'].replace('x', '×').replace(', ', ' ')}"
    level, reference = (row[k].replace("_", " ") for k in ("level", "reference"))
    return f"{label}: {level} ({row['n']}) against {reference} ({row['n_reference']})"


def _axis_title(table: DataFrame) -> str:
    scales = list(dict.fromkeys(table["scale"]))
    return f"{' or '.join(scales).capitalize()}: per SD, or against the reference level"
