"""Waterfall: each subject's best change of the sum of diameters, largest growth first, coloured by best
response.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Bar, Figure

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
    """One bar a subject, with its best response above or below it; who has no size after baseline is in the
    footer.

    `size` and `baseline` are the columns of responses.csv and subjects.csv with the sum of diameters [mm];
    `by` colours.

    >>> from kinetics.plot import plot_waterfall
    >>> figure = plot_waterfall(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.yaxis.title.text
    'Best change from baseline, sum of diameters (%)'
    """
    table = best_changes(study, size, baseline, by=by, confirmed=confirmed)
    drawn = table[table["percent"].notna()].sort_values("percent", ascending=False, kind="stable")
    figure = Figure()
    for response, colour in RESPONSE_COLOURS.items():
        own = drawn[drawn["response"] == response]
        if len(own):
            _add_bars(figure, own, response, colour, by)
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
    """Lines at 0 and where RECIST's PR (named at the left) and PD begin."""
    rules = RECIST_1_1
    for y, name, side in (
        (-100 * rules.pr_decrease, "PR", "bottom left"),
        (100 * rules.pd_increase, "PD", f"top {pd_side}"),
    ):
        figure.add_hline(
            y=y,
            line={"color": GREY, "dash": "dot", "width": 1.2},
            name=f"{name} threshold",
            annotation={"text": f"{y:+.0f} %: {name}".replace("-", "−"), "font": {"size": 11, "color": GREY}},
            annotation_position=side,
        )
    figure.add_hline(y=0, line={"color": INK, "width": 1})


def _add_bars(figure: Figure, own: DataFrame, response: str, colour: str, by: str) -> None:
    rows: list[dict[Any, Any]] = own.to_dict("records")
    said = [
        f"{r['subject']} ({by.replace('_', ' ')} {_short(r[by])}): {r['percent']:+.1f} % on day {r['day']:.0f}"
        f"<br>{r['why']}"
        for r in rows
    ]
    figure.add_trace(
        Bar(
            x=own["subject"],
            y=own["percent"],
            name=f"{response} (n = {len(own)})",
            marker={"color": colour},
            text=[response] * len(own),
            textposition="outside",
            textfont={"size": 11, "color": INK},
            hovertext=said,
            hoverinfo="text",
            cliponaxis=False,
            meta={"role": response},
        )
    )


def _short(value: Any) -> str:
    return f"{value:.3g}".replace("e+0", "e") if isinstance(value, float | np.floating) else str(value)


def _finish(figure: Figure, study: Study, table: DataFrame, confirmed: bool) -> None:
    without = table[table["percent"].isna()]["subject"].tolist()
    notes = [
        "The smallest sum up to progression; a PD below +20 %: new or non-target lesions, or later growth."
    ]
    notes += [f"No size after baseline, not drawn: {', '.join(without)}."] if without else []
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
