"""Kaplan-Meier curves with their intervals, a tick at each censored time, and the numbers at risk below."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.outcomes import ENDPOINTS, PLATEAUS, KaplanMeier, SurvivalEndpoint
from kinetics.plot.frame import DASHES, INK, PALETTE, faint, finish, number_text, unit_text
from kinetics.study import Study

__all__ = ["plot_kaplan_meier"]

_FEWEST = 2  # subjects of a curve
_TICK = 15  # length of the tick of a censored time, in pixels
ROW = 22  # height of a group in the table below the curves, in pixels
STARTS = {"dor": "first response", "pfs": "first infusion of cells", "os": "first infusion of cells"}


def plot_kaplan_meier(study: Study, survival: KaplanMeier, endpoint: SurvivalEndpoint) -> Figure:
    """The survival curves of one endpoint, a curve for each group, with the numbers at risk below.

    `survival` is what `kinetics.outcomes.kaplan_meier` returns for the `endpoint`, whose name is on the axis.
    A group in which nobody is counted has no curve and a row of zeros. One subject is no curve either: its
    time stands in the footer.

    >>> from kinetics.plot import plot_kaplan_meier
    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> estimate = kn.outcomes.kaplan_meier(kn.outcomes.survival_times(study, protocol, "os"))
    >>> figure = plot_kaplan_meier(study, estimate, "os")
    >>> figure.layout.xaxis.title.text
    'Time since first infusion of cells (days)'
    """
    require(study=(study, Study))
    groups = survival.groups
    below = ROW * (len(groups) + 2)
    height = 440 + below
    share = below / (height - 160)
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[1 - share, share], vertical_spacing=0.12
    )
    sizes = dict(zip(survival.medians[survival.by], survival.medians["n"], strict=True))
    for k, group in enumerate(groups):
        if sizes[group] < _FEWEST:
            continue
        _add_curve(figure, survival, group, PALETTE[k % len(PALETTE)], DASHES[k % len(DASHES)])
    longest = float(survival.curve["time"].max()) if len(survival.curve) else 1.0
    days = _ticks(longest)
    _add_table(figure, survival, days)
    axis: dict[str, Any] = {"range": [-0.02 * days[-1], 1.02 * max(days[-1], longest)], "tickvals": days}
    figure.update_xaxes(**axis)
    title = ENDPOINTS[endpoint]
    figure.update_yaxes(
        title_text=f"{title.capitalize()} (%)", range=[-3, 103], tickvals=[0, 25, 50, 75, 100], row=1, col=1
    )
    medians = survival.medians
    notes = [
        f"Bands: {100 * survival.level:g} % log-log intervals; none before the first event. Tick: censored.",
        f"Medians: {PLATEAUS[survival.plateau]}.",
    ]
    notes += [_median_note(row, survival) for row in medians.to_dict("records")]
    _add_censored_key(figure)
    finish(
        figure,
        study,
        title=title.capitalize(),
        notes=notes,
        height=height,
        subtitle=f"{medians['n'].sum()} subjects, {_events_text(int(medians['events'].sum()))}",
        bottom=44,
    )
    figure.update_xaxes(showticklabels=True, title_text=f"Time since {STARTS[endpoint]} (days)", row=1, col=1)
    _dress_table(figure, study, survival)
    return figure


def _add_curve(figure: Figure, estimate: KaplanMeier, group: Any, colour: str, dash: str) -> None:
    """Draw one group: the band of its interval, its curve, and a tick at each censored time."""
    curve = estimate.of(group)
    name = _group_text(group)
    if not len(curve):
        return
    with_interval = curve[curve["lower"].notna()]
    if len(with_interval):
        band = _stepped(with_interval, float(curve["time"].max()))
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
    figure.add_trace(
        Scatter(
            x=curve["time"],
            y=100 * curve["survival"],
            mode="lines",
            name=name,
            legendgroup=name,
            line={"shape": "hv", "color": colour, "dash": dash, "width": 2.2},
            hovertext=[_hover_text(name, row) for row in curve.to_dict("records")],
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
            marker={"symbol": "line-ns", "size": _TICK, "line": {"color": INK, "width": 1.8}},
            hoverinfo="skip",
            cliponaxis=False,
            meta={"role": "censored"},
        ),
        row=1,
        col=1,
    )


def _add_censored_key(figure: Figure) -> None:
    """Add a legend entry for the ticks of censored times, where there are any."""
    if not any(len(t.x) for t in figure.data if t.meta["role"] == "censored"):
        return
    figure.add_trace(
        Scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="censored",
            marker={"symbol": "line-ns", "size": _TICK, "line": {"color": INK, "width": 1.8}},
            hoverinfo="skip",
            meta={"role": "key"},
        ),
        row=1,
        col=1,
    )


def _stepped(curve: DataFrame, last: float) -> dict[str, list[float]]:
    """The corners of an interval [%] that is held from each time to the next, and from the last to `last`."""
    time = np.asarray(curve["time"], float)
    until = np.append(time[1:], last)
    return {
        "time": np.column_stack([time, until]).ravel().tolist(),
        "lower": np.repeat(100 * np.asarray(curve["lower"], float), 2).tolist(),
        "upper": np.repeat(100 * np.asarray(curve["upper"], float), 2).tolist(),
    }


def _hover_text(name: str, row: dict[Any, Any]) -> str:
    """One time of a curve in words: survival, its interval, and the counts."""
    interval = ""
    if not np.isnan(row["lower"]):
        interval = f" ({100 * row['lower']:.0f} to {100 * row['upper']:.0f} %)"
    counts = f"{_events_text(row['events'])}, {row['censored']} censored, {row['at_risk']} at risk"
    return f"{name}, day {row['time']:.0f}: {100 * row['survival']:.0f} %{interval}<br>{counts}"


def _add_table(figure: Figure, estimate: KaplanMeier, days: list[float]) -> None:
    """Write the numbers at risk at each tick, one row per group, in the colour of the group."""
    table = estimate.at(days)
    for k, group in enumerate(estimate.groups):
        rows = table[table[estimate.by] == group]
        figure.add_trace(
            Scatter(
                x=days,
                y=[-k] * len(days),
                mode="text",
                text=[str(n) for n in rows["at_risk"]],
                textfont={"size": 12, "color": PALETTE[k % len(PALETTE)]},
                hoverinfo="skip",
                showlegend=False,
                cliponaxis=False,
                meta={"role": "at_risk"},
            ),
            row=2,
            col=1,
        )


def _dress_table(figure: Figure, study: Study, estimate: KaplanMeier) -> None:
    """Give the table below the curves the groups' names, a heading and no lines; title the legend."""
    names = [_group_text(group) for group in estimate.groups]
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
    grouped = estimate.by != "all"
    title = None
    if grouped:
        column = study.dictionary.columns.subjects.get(estimate.by)
        unit = unit_text(column.unit) if column and column.unit else ""
        label = estimate.by.replace("_", " ").capitalize()
        title = {"text": f"{label} ({unit})" if unit else label}
    censored = any((t.meta or {}).get("role") == "key" for t in figure.data)
    figure.update_layout(
        showlegend=grouped or censored, legend={"title": title, "x": 1.01, "xanchor": "left", "y": 1}
    )
    figure.update_layout(margin={"l": 96})


def _ticks(longest: float) -> list[float]:
    """The days with a tick: at most eight steps, each of whole weeks."""
    step = next(s for s in (7, 14, 28, 56, 84, 168, 364, 728, 10**6) if longest / s <= 8)
    return [float(step * i) for i in range(int(longest // step) + 1)]


def _group_text(group: Any) -> str:
    """A group as it is printed: a number without trailing zeros, or words."""
    if isinstance(group, float):
        return number_text(group, trim=True)
    return str(group).replace("_", " ")


def _events_text(events: int) -> str:
    """`1 event`; `2 events`."""
    return f"{events} event{'' if events == 1 else 's'}"


def _median_note(row: dict[Any, Any], survival: KaplanMeier) -> str:
    """The median of a group with its interval in words, or why there is none."""
    name = _group_text(row[survival.by])
    if row["n"] == 1:
        curve = survival.of(row[survival.by])
        day = number_text(float(curve["time"].max()))
        ended = "an event" if row["events"] else "censored"
        return f"{name}: n = 1, {ended} on day {day}; one subject is no curve."
    median = row["reason"]
    if not np.isnan(row["median"]):
        median = f"{number_text(row['median'])} days{_interval_words(row, survival.level)}"
    return f"{name}: n = {row['n']}, {_events_text(row['events'])}, median {median}."


def _interval_words(row: dict[Any, Any], level: float) -> str:
    """The interval of a median in words, with the ends that the curve does not reach."""
    low = None if np.isnan(row["lower"]) else number_text(row["lower"])
    high = None if np.isnan(row["upper"]) else number_text(row["upper"])
    percent = f"{100 * level:g} %"
    if low and high:
        return f" ({percent}: {low} to {high})"
    if low:
        return f" ({percent}: from {low}, upper end not reached)"
    if high:
        return f" ({percent}: up to {high}, lower end not estimable)"
    return f" (no {percent} interval: too few events)"
