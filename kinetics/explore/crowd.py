"""Many subjects in one panel: their lines faint, and over them the median of each group."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter

from kinetics.plot import PALETTE, rows_where

__all__ = ["CROWD", "add_medians", "fade"]

CROWD = 120  # subjects of a panel, above which their lines are one blot
_BINS = 24  # spans of days with as many records each


def fade(figure: Figure) -> None:
    """Lines and records so faint that many of them show where most are."""
    figure.update_traces(selector=_is("lines"), opacity=0.12, line={"width": 0.8, "dash": "solid"})
    figure.update_traces(selector=_is("records"), opacity=0.3, marker={"size": 3})


def add_medians(figure: Figure, drawn: DataFrame, groups: Series, *, show: bool, **where: Any) -> None:
    """The median of each group's records in spans of days that hold as many records each.

    A record below its LLOQ counts as that LLOQ: a median at it means at or below.
    """
    for k, label in enumerate(groups.cat.categories):
        own = rows_where(drawn, "subject", *(str(s) for s, group in groups.items() if group == label))
        if len(own) < _BINS:
            continue
        time = own["time"].to_numpy(float)
        y = own["y"].to_numpy(float)
        place = np.searchsorted(np.unique(np.quantile(time, np.linspace(0, 1, _BINS + 1)[1:-1])), time)
        spans = [place == span for span in np.unique(place)]
        name = f"{label}: median"
        figure.add_trace(
            Scatter(
                x=[float(np.median(time[s])) for s in spans],
                y=[float(np.median(y[s])) for s in spans],
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
    return lambda trace: (trace.meta or {}).get("role") == role
