"""Covariate effects as a forest: ratios with their 90 % intervals, the prior's behind them, none at 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.checks import RELEVANT, Subgroups
from kinetics.errors import Problem, StudyError
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, INK, PALETTE, faint, finish, number_text

__all__ = ["plot_forest"]

_WIDE = 40.0  # how far from 1 the axis reaches, at most
_NEAR = (0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3)  # ticks of a narrow axis, and of a wide one
_FAR = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def plot_forest(fit: Fit, found: Subgroups) -> Figure:
    """One row an effect, those of one parameter together; a filled point where the interval excludes 1.

    Differences (of parameters on a linear scale) are no ratios: they are left out and counted. StudyError
    where no effect is a ratio.

    >>> from kinetics.plot import plot_forest
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> figure = plot_forest(fit, kn.checks.subgroups(fit))
    >>> figure.layout.title.text
    'Covariate effects'
    """
    ratios = _ratios(found)
    rows = ratios.to_dict("records")
    parameters = list(dict.fromkeys(ratios["parameter"]))
    place = -np.arange(len(rows), dtype=float)
    place -= [0.9 * parameters.index(row["parameter"]) for row in rows]
    figure = Figure()
    low, high = _range(ratios)
    ends = [float(place.min()) - 0.6, float(place.max()) + 1.0]
    _add_band(figure, ends)
    for role, columns in (("prior", ("prior_lower", "prior_upper")), ("interval", ("lower", "upper"))):
        _add_intervals(figure, ratios, place, role, columns)
    _add_points(figure, ratios, place)
    _label(figure, rows, place)
    for name in parameters:
        first = place[[row["parameter"] == name for row in rows]].max()
        _text(figure, f"<b>{name.replace('_', ' ')}</b>", x=0, y=float(first) + 0.65, anchor="left", shift=6)
    ticks = _NEAR if high < 4 else _FAR
    reach = [np.log10(low), np.log10(high)]
    names = [_name(fit, row) for row in rows]
    figure.update_xaxes(type="log", range=reach, tickvals=ticks, title_text=_axis(ratios))
    figure.update_yaxes(range=ends, tickvals=place, ticktext=names, showgrid=False)
    differences = len(found.table) - len(rows)
    chance = number_text(found.expected_false, 2)
    notes = [
        "Line: 90 % interval; filled where it excludes 1. Grey behind it: the 90 % interval of the prior.",
        f"Shaded: {RELEVANT[0]:g} to {RELEVANT[1]:g}, no relevant change. Associations, not causes.",
        f"Were no effect real, {chance} intervals would be expected to exclude 1 by chance.",
        *([f"Not drawn: {differences} effects on parameters with a linear scale."] if differences else []),
    ]
    subtitle = f"{len(found.table)} effects in {found.subjects} subjects"
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


def _ratios(found: Subgroups) -> DataFrame:
    """The effects that are ratios."""
    ratios = found.table[found.table["scale"] != "difference"].reset_index(drop=True)
    if not len(ratios):
        what = "no covariate effect of this fit is a ratio"
        raise StudyError(Problem(what, "read the table of `subgroups` instead"))
    return ratios


def _range(table: DataFrame) -> tuple[float, float]:
    """A symmetric axis that holds every posterior interval and the relevant band."""
    reach = float(np.abs(np.log(table[["lower", "upper"]].to_numpy(float))).max())
    high = float(np.exp(np.clip(1.15 * reach, np.log(2.2), np.log(_WIDE))))
    return 1 / high, high


def _add_band(figure: Figure, ends: list[float]) -> None:
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
    figure: Figure, table: DataFrame, place: np.ndarray, role: str, columns: tuple[str, str]
) -> None:
    x = []
    y = []
    for lower, upper, at in zip(table[columns[0]], table[columns[1]], place, strict=True):
        x += [lower, upper, None]
        y += [at, at, None]
    line = (
        {"color": faint(GREY, 0.22), "width": 13} if role == "prior" else {"color": PALETTE[0], "width": 2.6}
    )
    figure.add_trace(Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", meta={"role": role}))


def _add_points(figure: Figure, table: DataFrame, place: np.ndarray) -> None:
    signal = table["verdict"].isin(["shown", "signal"])
    figure.add_trace(
        Scatter(
            x=table["estimate"],
            y=place,
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


def _label(figure: Figure, rows: list[dict[Any, Any]], place: np.ndarray) -> None:
    """The numbers beside each row."""
    for row, at in zip(rows, place, strict=True):
        low, middle, high = (number_text(row[k]) for k in ("lower", "estimate", "upper"))
        _text(figure, f"{middle} ({low} to {high})", x=1, y=float(at), anchor="left", shift=8)


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
    """The covariate's label with its step, or the level with its subjects."""
    column = fit.study.dictionary.columns.subjects.get(row["covariate"])
    label = (column and column.label) or row["covariate"].replace("_", " ")
    if not row["level"]:
        return f"{label}, per {row['per'].replace('x', '×').replace(', ', ' ')}"
    level, reference = (row[k].replace("_", " ") for k in ("level", "reference"))
    return f"{label}: {level} ({row['n']}) against {reference} ({row['n_reference']})"


def _axis(table: DataFrame) -> str:
    scales = list(dict.fromkeys(table["scale"]))
    return f"{' or '.join(scales).capitalize()}: per SD, or against the reference level"
