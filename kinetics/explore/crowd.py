"""Many subjects in one panel: their lines faint, and the median of each group over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter

from kinetics.plot import PALETTE, rows_where

__all__ = ["CROWD", "add_medians", "fade"]

CROWD = 120  # number of subjects above which the lines of a panel run into one another
_BINS = 24  # spans of days, each with as many records as the others


def fade(figure: Figure) -> None:
    """Make lines and records so faint that they show where most of them are."""
    figure.update_traces(selector=_is("lines"), opacity=0.12, line={"width": 0.8, "dash": "solid"})
    figure.update_traces(selector=_is("records"), opacity=0.3, marker={"size": 3})


def add_medians(figure: Figure, drawn: DataFrame, groups: Series, *, show: bool, **where: Any) -> None:
    """Draw the median of each group's records in spans of days that hold as many records each.

    A record below its LLOQ counts as that LLOQ, so a median at the LLOQ means at or below it.
    """
    for k, label in enumerate(groups.cat.categories):
        subjects = [str(subject) for subject, group in groups.items() if group == label]
        records = rows_where(drawn, "subject", *subjects)
        if len(records) < _BINS:
            continue
        time = records["time"].to_numpy(float)
        y = records["y"].to_numpy(float)
        edges = np.unique(np.quantile(time, np.linspace(0, 1, _BINS + 1)[1:-1]))
        span_of_record = np.searchsorted(edges, time)
        spans = [span_of_record == span for span in np.unique(span_of_record)]
        name = f"{label}: median"
        figure.add_trace(
            Scatter(
                x=[float(np.median(time[span])) for span in spans],
                y=[float(np.median(y[span])) for span in spans],
                mode="lines",
                name=name,
                line={"color": PALETTE[k % len(PALETTE)], "width": 3.5},
                legendgroup=str(label),
                showlegend=show,
                meta={"role": "median"},
                hovertemplate="day %{x:.3g}: %{y:.3g}<extra>" + name + "</extra>",
            ),
            **where,
        )


def _is(role: str) -> Any:
    """A selector of traces with this role."""
    return lambda trace: (trace.meta or {}).get("role") == role
