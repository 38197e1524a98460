"""Waterfall plot: each subject's best change of the sum of diameters, the largest growth first."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Bar, Figure

from kinetics.arguments import require
from kinetics.outcomes import BASELINE, RECIST_1_1, SIZE, best_changes
from kinetics.plot.frame import GREY, INK, RESPONSE_COLOURS, finish
from kinetics.study import Study

__all__ = ["add_thresholds", "plot_waterfall"]


def plot_waterfall(
    study: Study,
    *,
    size: str = SIZE,
    baseline: str = BASELINE,
    by: str = "dose_level",
    confirmed: bool = False,
) -> Figure:
    """One bar for each subject, coloured by its best response, which is written at the end of the bar.

    `size` and `baseline` are the columns of responses.csv and subjects.csv with the sum of diameters [mm].
    `by` is the grouping shown when the pointer is on a bar. `confirmed` asks for a best response that was
    confirmed. Subjects without a size after baseline are listed in the footer.

    >>> from kinetics.plot import plot_waterfall
    >>> figure = plot_waterfall(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.yaxis.title.text
    'Best change from baseline, sum of diameters (%)'
    """
    require(study=(study, Study))
    table = best_changes(study, size, baseline, by=by, confirmed=confirmed)
    drawn = table[table["percent"].notna()].sort_values("percent", ascending=False, kind="stable")
    figure = Figure()
    for response, colour in RESPONSE_COLOURS.items():
        rows = drawn[drawn["response"] == response]
        if len(rows):
            _add_bars(figure, rows, response, colour, by)
    low = float(drawn["percent"].min())
    high = float(drawn["percent"].max())
    add_thresholds(figure, pd_side="right")
    figure.update_yaxes(
        title_text="Best change from baseline, sum of diameters (%)",
        range=[min(-40.0, low - 12), max(30.0, high + 12)],
        ticksuffix=" %",
    )
    order = drawn["subject"].tolist()
    figure.update_xaxes(title_text="Subject", categoryorder="array", categoryarray=order, type="category")
    _finish(figure, study, table, confirmed)
    return figure


def add_thresholds(figure: Figure, *, pd_side: str) -> None:
    """Draw lines at 0 and at the changes [%] at which PR and PD begin by RECIST 1.1.

    PR is named at the left, PD at the side `pd_side`: "left" or "right".
    """
    thresholds = (
        (-100 * RECIST_1_1.pr_decrease, "PR", "bottom left"),
        (100 * RECIST_1_1.pd_increase, "PD", f"top {pd_side}"),
    )
    for y, name, side in thresholds:
        figure.add_hline(
            y=y,
            line={"color": GREY, "dash": "dot", "width": 1.2},
            name=f"{name} threshold",
            annotation={"text": f"{y:+.0f} %: {name}".replace("-", "−"), "font": {"size": 11, "color": GREY}},
            annotation_position=side,
        )
    figure.add_hline(y=0, line={"color": INK, "width": 1})


def _add_bars(figure: Figure, rows: DataFrame, response: str, colour: str, by: str) -> None:
    """Draw the bars of the subjects with one best response."""
    hover_text = []
    for row in rows.to_dict("records"):
        group = f"{by.replace('_', ' ')} {_short(row[by])}"
        change = f"{row['percent']:+.1f} % on day {row['day']:.0f}"
        hover_text.append(f"{row['subject']} ({group}): {change}<br>{row['why']}")
    figure.add_trace(
        Bar(
            x=rows["subject"],
            y=rows["percent"],
            name=f"{response} (n = {len(rows)})",
            marker={"color": colour},
            text=[response] * len(rows),
            textposition="outside",
            textfont={"size": 11, "color": INK},
            hovertext=hover_text,
            hoverinfo="text",
            cliponaxis=False,
            meta={"role": response},
        )
    )


def _short(value: Any) -> str:
    """A value as short text: a number with three significant digits."""
    if isinstance(value, float | np.floating):
        return f"{value:.3g}".replace("e+0", "e")
    return str(value)


def _finish(figure: Figure, study: Study, table: DataFrame, confirmed: bool) -> None:
    """Give the figure its title, legend and footer; `table` has every subject, drawn or not."""
    without = table[table["percent"].isna()]["subject"].tolist()
    notes = [
        "The smallest sum up to progression; a PD below +20 %: new or non-target lesions, or later growth."
    ]
    if without:
        notes.append(f"No size after baseline, not drawn: {', '.join(without)}.")
    kind = "confirmed" if confirmed else "not asked to be confirmed"
    subtitle = f"{len(table) - len(without)} of {len(table)} subjects; best response by RECIST 1.1, {kind}"
    finish(
        figure,
        study,
        title="Best change of the sum of target lesions",
        subtitle=subtitle,
        notes=notes,
        height=520,
    )
    figure.update_layout(
        bargap=0.25,
        showlegend=True,
        legend={"title": {"text": "Best response"}, "x": 1.01, "xanchor": "left"},
    )
    figure.update_xaxes(showgrid=False)
