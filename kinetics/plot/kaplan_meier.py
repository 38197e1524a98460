"""Kaplan-Meier curves with their intervals, a tick at each censored time, and the numbers at risk beneath."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.outcomes import ENDPOINTS, Endpoint, KaplanMeier
from kinetics.plot.frame import DASHES, INK, PALETTE, faint, finish, number_text, unit_text
from kinetics.study import Study

__all__ = ["plot_kaplan_meier"]

ROW = 22  # pixels a group in the table beneath
STARTS = {"dor": "first response", "pfs": "first infusion of cells", "os": "first infusion of cells"}


def plot_kaplan_meier(study: Study, found: KaplanMeier, endpoint: Endpoint) -> Figure:
    """The curves of one endpoint. A group of whom nobody is counted has a row of zeros and no curve.

    >>> from kinetics.plot import plot_kaplan_meier
    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> figure = plot_kaplan_meier(study, kn.outcomes.kaplan_meier(kn.outcomes.survival_times(study, protocol, "os")), "os")
    >>> figure.layout.xaxis.title.text
    'Time since first infusion of cells (days)'
    """
    groups = found.groups
    below = ROW * (len(found.groups) + 2)
    height = 440 + below
    share = below / (height - 160)
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[1 - share, share], vertical_spacing=0.12
    )
    for k, group in enumerate(groups):
        _add_curve(figure, found, group, PALETTE[k % len(PALETTE)], DASHES[k % len(DASHES)])
    longest = float(found.curve["time"].max()) if len(found.curve) else 1.0
    days = _ticks(longest)
    _add_table(figure, found, days)
    axis: dict[str, Any] = {"range": [-0.02 * days[-1], 1.02 * max(days[-1], longest)], "tickvals": days}
    figure.update_xaxes(**axis)
    title = ENDPOINTS[endpoint]
    figure.update_yaxes(
        title_text=f"{title.capitalize()} (%)", range=[-3, 103], tickvals=[0, 25, 50, 75, 100], row=1, col=1
    )
    counts = found.medians
    notes = [
        f"Bands: {100 * found.level:g} % log-log intervals; none before the first event. Tick: censored."
    ]
    notes += [_sentence(row, found.by) for row in counts.to_dict("records")]
    finish(
        figure,
        study,
        title=title.capitalize(),
        notes=notes,
        height=height,
        subtitle=f"{counts['n'].sum()} subjects, {_counted(int(counts['events'].sum()))}",
        bottom=44,
    )
    figure.update_xaxes(showticklabels=True, title_text=f"Time since {STARTS[endpoint]} (days)", row=1, col=1)
    _dress_table(figure, study, found)
    return figure


def _add_curve(figure: Figure, found: KaplanMeier, group: Any, colour: str, dash: str) -> None:
    curve = found.of(group)
    name = _name(group)
    if not len(curve):
        return
    shown = curve[curve["lower"].notna()]
    if len(shown):
        band = _stepped(shown, float(curve["time"].max()))
        figure.add_trace(
            Scatter(
                x=[*band["time"], *band["time"][::-1]],
                y=[*band["upper"], *band["lower"][::-1]],
                fill="toself",
                fillcolor=faint(colour, 0.13),
                mode="lines",
                line={"width": 0},
                hoverinfo="skip",
                legendgroup=name,
                showlegend=False,
                meta={"role": "band"},
            ),
            row=1,
            col=1,
        )
    said = [_said(name, row) for row in curve.to_dict("records")]
    figure.add_trace(
        Scatter(
            x=curve["time"],
            y=100 * curve["survival"],
            mode="lines",
            name=name,
            legendgroup=name,
            line={"shape": "hv", "color": colour, "dash": dash, "width": 2.2},
            hovertext=said,
            hoverinfo="text",
            meta={"role": "curve"},
        ),
        row=1,
        col=1,
    )
    censored = curve[curve["censored"] > 0]
    figure.add_trace(
        Scatter(
            x=censored["time"],
            y=100 * censored["survival"],
            mode="markers",
            legendgroup=name,
            showlegend=False,
            marker={"symbol": "line-ns", "size": 11, "line": {"color": colour, "width": 2}},
            hoverinfo="skip",
            cliponaxis=False,
            meta={"role": "censored"},
        ),
        row=1,
        col=1,
    )


def _stepped(curve: DataFrame, last: float) -> dict[str, list[float]]:
    """The corners of the two ends of an interval, each held until the next time; where S is 0 it ends."""
    time = np.asarray(curve["time"], float)
    until = np.append(time[1:], last)
    corners = {"time": np.column_stack([time, until]).ravel().tolist()}
    return corners | {k: np.repeat(100 * np.asarray(curve[k], float), 2).tolist() for k in ("lower", "upper")}


def _said(name: str, row: dict[Any, Any]) -> str:
    interval = "" if np.isnan(row["lower"]) else f" ({100 * row['lower']:.0f} to {100 * row['upper']:.0f} %)"
    happened = f"{_counted(row['events'])}, {row['censored']} censored, {row['at_risk']} at risk"
    return f"{name}, day {row['time']:.0f}: {100 * row['survival']:.0f} %{interval}<br>{happened}"


def _add_table(figure: Figure, found: KaplanMeier, days: list[float]) -> None:
    """The numbers at risk at each tick, one row a group, in its colour."""
    table = found.at(days)
    for k, group in enumerate(found.groups):
        own = table[table[found.by] == group]
        figure.add_trace(
            Scatter(
                x=days,
                y=[-k] * len(days),
                mode="text",
                text=[str(n) for n in own["at_risk"]],
                textfont={"size": 12, "color": PALETTE[k % len(PALETTE)]},
                hoverinfo="skip",
                showlegend=False,
                cliponaxis=False,
                meta={"role": "at_risk"},
            ),
            row=2,
            col=1,
        )


def _dress_table(figure: Figure, study: Study, found: KaplanMeier) -> None:
    """The table beneath has names for ticks, a heading, and no lines."""
    names = [_name(g) for g in found.groups]
    figure.update_yaxes(
        tickvals=[-k for k in range(len(names))],
        ticktext=names,
        range=[0.4 - len(names), 1.6],
        showgrid=False,
        showline=False,
        ticks="",
        row=2,
        col=1,
    )
    figure.update_xaxes(showgrid=False, showline=False, showticklabels=False, ticks="", row=2, col=1)
    figure.add_annotation(
        text="<b>At risk</b>",
        x=0,
        xref="paper",
        y=1,
        yref="y2",
        xanchor="right",
        yanchor="middle",
        xshift=-5,
        showarrow=False,
        font={"size": 12, "color": INK},
    )
    grouped = found.by != "all"
    column = study.dictionary.columns.subjects.get(found.by)
    unit = f" ({unit_text(column.unit)})" if column and column.unit and unit_text(column.unit) else ""
    title = {"text": found.by.replace("_", " ").capitalize() + unit} if grouped else None
    figure.update_layout(showlegend=grouped, legend={"title": title, "x": 1.01, "xanchor": "left", "y": 1})
    figure.update_layout(margin={"l": 96})


def _ticks(longest: float) -> list[float]:
    """Days of the axis, at most eight, in weeks of seven."""
    step = next(s for s in (7, 14, 28, 56, 84, 168, 364, 728, 10**6) if longest / s <= 8)
    return [float(step * i) for i in range(int(longest // step) + 1)]


def _name(group: Any) -> str:
    return number_text(group, trim=True) if isinstance(group, float) else str(group).replace("_", " ")


def _counted(events: int) -> str:
    return f"{events} event{'' if events == 1 else 's'}"


def _sentence(row: dict[Any, Any], by: str) -> str:
    """What a group's median is, or why there is none."""
    low, middle, high = (number_text(row[k]) for k in ("lower", "median", "upper"))
    said = (
        f"median {middle} days ({low} to {high})"
        if not np.isnan(row["median"])
        else f"median {row['reason']}"
    )
    return f"{_name(row[by])}: n = {row['n']}, {_counted(row['events'])}, {said}."
