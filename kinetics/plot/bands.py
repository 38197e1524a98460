"""Bands and curves over time. Below the floor of a log axis a band is cut and a curve has a gap."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.plot.frame import faint

__all__ = ["add_band", "add_curve"]


def add_band(
    figure: Figure,
    curve: DataFrame,
    lower: str,
    upper: str,
    floor: float,
    colour: str,
    opacity: float,
    name: str,
    *,
    show: bool = True,
    **where: Any,
) -> None:
    """Fill the region between the columns `lower` and `upper` of `curve`, a table with `time`.

    Values below `floor`, the bottom of the axis, are drawn at it. `show` puts the band in the legend.
    """
    low = np.maximum(curve[lower].to_numpy(float), floor)
    high = np.maximum(curve[upper].to_numpy(float), floor)
    time = curve["time"].to_numpy(float)
    figure.add_trace(
        Scatter(
            x=np.concatenate([time, time[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            mode="lines",
            fill="toself",
            fillcolor=faint(colour, opacity),
            line={"width": 0, "color": faint(colour, opacity)},
            name=name,
            legendgroup=name,
            showlegend=show,
            hoverinfo="skip",
            meta={"role": f"band {lower} {upper}"},
        ),
        **where,
    )


def add_curve(
    figure: Figure,
    curve: DataFrame,
    column: str,
    floor: float,
    colour: str,
    name: str,
    *,
    dash: str = "solid",
    width: float = 1.8,
    show: bool = True,
    **where: Any,
) -> None:
    """Draw one column of `curve` over its `time`, `width` px wide, with a gap where it lies below `floor`."""
    y = curve[column].to_numpy(float)
    figure.add_trace(
        Scatter(
            x=curve["time"].to_numpy(float),
            y=np.where(y < floor, np.nan, y),
            mode="lines",
            name=name,
            line={"color": colour, "width": width, "dash": dash},
            legendgroup=name,
            showlegend=show,
            hovertemplate="day %{x:.3g}: %{y:.3g}<extra>" + name + "</extra>",
            meta={"role": f"curve {column}"},
        ),
        **where,
    )
