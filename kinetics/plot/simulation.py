"""Curves of virtual patients, one panel per output: the median and bands of many, or the curve of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.model import Model
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import (
    GREY,
    PALETTE,
    are_powers,
    dress,
    log_range,
    number_text,
    unit_text,
    value_axis,
)
from kinetics.prediction import curve_bands

__all__ = ["plot_simulation"]

DECADES = 5  # of a log axis below the peak of the median, where no LLOQ says what an assay would see
_ROUGH = 200  # bands of fewer patients are jagged
_NOTHING = 1e-9  # a share of the peak so small that below zero it is an error of the solver
_NAMED = 12  # so many design guesses are named in the footer


def plot_simulation(
    curves: DataFrame,
    model: Model,
    *,
    guesses: Sequence[str] | None = None,
    source: str = "",
    notes: Sequence[str] = (),
    doses: Sequence[float] = (),
    synthetic: bool = False,
    log: bool = True,
    lloq: Mapping[str, float] | None = None,
) -> Figure:
    """One panel for each output of `curves`, on a log axis where the output is never negative.

    `curves` is the table of `kinetics.simulate` for the `model`. `guesses` are the parameters that are design
    guesses (default: those of the model file); the figure names them. `source` says where the parameters come
    from. `doses` are days to mark. `synthetic` says that the figure rests on simulated data. `notes` are
    further lines of the footer. `lloq` has the lower limit of quantification of outputs, in their units:
    bands and curves end at it. A log axis of an output without one ends five powers of ten below the median.

    >>> from kinetics.plot import plot_simulation
    >>> model = kn.load_model("stein_2019")
    >>> figure = plot_simulation(kn.simulate(model, times=range(29)), model, doses=[0])
    >>> figure.layout.title.text
    'stein_2019: simulated'
    """
    require(model=(model, Model))
    bands = curve_bands(curves)
    patients = int(curves["patient"].nunique())
    failed = int(curves.loc[curves["value"].isna(), "patient"].nunique())
    if guesses is None:
        guesses = [name for name, parameter in model.parameters.items() if parameter.guess]
    outputs = list(dict.fromkeys(curves["output"]))
    columns = 1 if len(outputs) == 1 else 2
    rows = -(-len(outputs) // columns)
    shared_axes: dict[str, Any] = {"shared_xaxes": "all"}  # plotly annotates this argument as bool
    figure = make_subplots(
        rows,
        columns,
        **shared_axes,
        horizontal_spacing=0.11,
        vertical_spacing=0.2 / rows,
        x_title="Time (days)",
        subplot_titles=[_panel_title(model, name) for name in outputs],
    )
    limits = dict(lloq or {})
    spans = {
        name: _panel_span(bands[bands["output"] == name], patients, limits.get(name), log=log)
        for name in outputs
    }
    powers = any(are_powers(span) for span, is_log in spans.values() if is_log)  # one style in all panels
    for k, name in enumerate(outputs):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        panel_bands = bands[bands["output"] == name]
        span, is_log = spans[name]
        limit = limits.get(name)
        _add_panel(
            figure, panel_bands, span, patients=patients, log=is_log, lloq=limit, first=k == 0, **where
        )
        figure.update_yaxes(**value_axis(span, log=is_log, powers=powers), **where)  # pyright: ignore
    for day in doses:
        figure.add_vline(day, line={"color": GREY, "dash": "dot", "width": 1}, layer="below")
    figure.update_annotations(font_size=13)
    figure.update_xaxes(showticklabels=True)
    footer = ["Curves of the model, without residual error.", *notes]
    if limits:
        footer.append("Bands and curves end at the LLOQ (dashed).")
    cut = [
        _short(model, name)
        for name in outputs
        if name not in limits and _is_cut(bands[bands["output"] == name], spans[name], patients)
    ]
    if cut:
        footer.append(f"No LLOQ of {', '.join(cut)}: the axis ends {DECADES} powers of ten below the median.")
    if 1 < patients < _ROUGH:
        footer.append(f"Bands of {patients} patients are rough: --patients 1000 smooths them.")
    if len(doses):
        footer.append("Dotted lines: doses.")
    if failed:
        footer.append(f"{failed} of {patients} patients are left out: the solver gave up on them.")
    labels = []
    if synthetic:
        labels.append("SYNTHETIC DATA")
    if guesses:
        labels.append("DESIGN GUESSES")
        footer.append(_guess_note(model, guesses))
    name = f"Model {model.name} {model.sha256[:8]}".rstrip()
    footer.append(f"{name} · {source}" if source else name)
    plot_height = 270 * rows
    top = 128
    bottom = 103
    dress(
        figure,
        f"{model.name}: simulated",
        _subtitle(patients, failed),
        footer,
        labels,
        height=plot_height + top + bottom + 15 * (len(footer) - 1),
        top=top,
        bottom=bottom,
    )
    legend = {"orientation": "h", "x": 0, "y": 1 + 24 / plot_height, "yanchor": "bottom"}
    return figure.update_layout(legend=legend)


def _panel_title(model: Model, name: str) -> str:
    """The label of an output with its unit."""
    output = model.outputs[name]
    unit = unit_text(output.unit)
    return f"{output.label}, {unit}" if unit else output.label


def _subtitle(patients: int, failed: int) -> str:
    if patients == 1:
        return "One patient"
    count = f"{patients:,}"
    if failed:
        count = f"{patients - failed:,} of {patients:,}"
    return f"{count} virtual patients: median, 50 % and 90 % of them"


def _guess_note(model: Model, guesses: Sequence[str]) -> str:
    """How many parameters are design guesses, and the names of the first of them."""
    names = ", ".join(guesses[:_NAMED])
    if len(guesses) > _NAMED:
        names += f" and {len(guesses) - _NAMED} more"
    return f"{len(guesses)} of {len(model.parameters)} parameters are design guesses: {names}."


def _panel_span(
    bands: DataFrame, patients: int, lloq: float | None, *, log: bool
) -> tuple[tuple[float, float], bool]:
    """The ends of the value axis of an output, and whether it is logarithmic."""
    columns = ["q50"] if patients == 1 else ["q5", "q50", "q95"]
    values = bands[columns].to_numpy(float)
    middle = bands["q50"].to_numpy(float)
    log = log and bool((values > 0).any()) and not (values < -_NOTHING * np.nanmax(values)).any()
    span = _span(values, middle, log=log)
    if lloq is None:
        return span, log
    if not log:
        return (min(span[0], 0.0), max(span[1], 1.2 * lloq)), log
    return (lloq / 1.6, max(span[1], 30 * lloq)), log


def _is_cut(bands: DataFrame, span: tuple[tuple[float, float], bool], patients: int) -> bool:
    """Whether a curve or a band falls below its logarithmic axis; `span` is what `_panel_span` returns."""
    ends, is_log = span
    low = bands["q50" if patients == 1 else "q5"].to_numpy(float)
    return is_log and bool(((low > 0) & (low < ends[0])).any())


def _short(model: Model, name: str) -> str:
    """The label of an output without its brackets."""
    return model.outputs[name].label.partition(" (")[0]


def _add_panel(
    figure: Figure,
    bands: DataFrame,
    span: tuple[float, float],
    *,
    patients: int,
    log: bool,
    lloq: float | None,
    first: bool,
    **where: Any,
) -> None:
    """Draw the bands of one output and their median, down to its LLOQ; for one patient the curve alone."""
    floor = span[0] if log else -np.inf
    if lloq is not None:
        floor = lloq
    blue = PALETTE[0]
    if patients > 1:
        style: dict[str, Any] = {"floor": floor, "colour": blue, "show": first, **where}
        add_band(figure, bands, "q5", "q95", opacity=0.16, name="90 % of patients", **style)
        add_band(figure, bands, "q25", "q75", opacity=0.3, name="50 % of patients", **style)
    in_legend = first and patients > 1
    add_curve(figure, bands, "q50", floor=floor, colour=blue, name="median", show=in_legend, **where)
    if lloq is None:
        return
    ends = bands["time"].to_numpy(float)
    text = f"LLOQ {number_text(lloq, trim=True)}"
    figure.add_trace(
        Scatter(
            x=[ends.min(), ends.max()],
            y=[lloq, lloq],
            mode="lines+text",
            text=["", text],
            textposition="top left",
            textfont={"size": 11, "color": GREY},
            line={"color": GREY, "dash": "dash", "width": 1},
            showlegend=False,
            hoverinfo="skip",
            meta={"role": "lloq"},
        ),
        **where,
    )


def _span(values: np.ndarray, middle: np.ndarray, *, log: bool) -> tuple[float, float]:
    """The ends of a value axis that holds all values; a log axis ends some decades below the peak of the
    `middle` curve.
    """
    if log:
        low, high = log_range(values.ravel())
        peak = float(np.nanmax(middle)) if np.isfinite(middle).any() else 0.0
        return max(low, (peak if peak > 0 else high) / 10**DECADES), high
    low = 0.0
    high = 1.0
    if values.size:
        low = float(values.min())
        high = float(values.max())
    margin = 0.05 * (high - low) or 0.5
    bottom = 0.0 if low == 0 else low - margin
    return bottom, high + margin
