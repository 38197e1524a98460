"""A band and a curve on any axis; on a log axis a value at or below the floor ends at the floor."""

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
    """The region between two columns of a table with `time`; `floor` is the axis's."""
    low, high = (np.maximum(curve[c].to_numpy(float), floor) for c in (lower, upper))
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
    show: bool = True,
    **where: Any,
) -> None:
    """One column over `time`; a gap where it lies below the axis."""
    y = curve[column].to_numpy(float)
    figure.add_trace(
        Scatter(
            x=curve["time"].to_numpy(float),
            y=np.where(y < floor, np.nan, y),
            mode="lines",
            name=name,
            line={"color": colour, "width": 1.8, "dash": dash},
            legendgroup=name,
            showlegend=show,
            hovertemplate="day %{x:.3g}: %{y:.3g}<extra>" + name + "</extra>",
            meta={"role": f"curve {column}"},
        ),
        **where,
    )
