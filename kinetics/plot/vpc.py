"""Visual predictive check: observed quantiles over simulated intervals, and the share BLQ below."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.checks import Vpc
from kinetics.inference import Fit
from kinetics.plot.frame import (
    GREY,
    INK,
    PALETTE,
    analyte_label,
    analyte_title,
    faint,
    finish,
    log_range,
    number_text,
    time_title,
    value_axis,
)
from kinetics.plot.records import SYMBOLS, add_limits, add_records, add_symbol_key, limit_lines

__all__ = ["plot_vpc"]

# quantile -> colour of its interval, colour and dash of its observed line, name
_STYLE = {
    95: (PALETTE[1], PALETTE[1], "dash", "95 %"),
    50: (PALETTE[0], INK, "solid", "median"),
    5: (PALETTE[3], PALETTE[3], "dot", "5 %"),
}


def plot_vpc(fit: Fit, checked: Vpc, *, log: bool = True) -> Figure:
    """The quantiles over time, and below them the share of records under the LLOQ where there is one.

    `checked` is what `kinetics.vpc` returns for the `fit`. A quantile that falls below the LLOQ (or above the
    ULOQ) is not drawn, and an interval that reaches there is cut at the limit. A prediction-corrected check
    has no line at the LLOQ, because each record has an LLOQ of its own, at which a BLQ record is drawn.

    >>> from kinetics.plot import plot_vpc
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> figure = plot_vpc(fit, kn.vpc(fit, "car_copies", n=20))
    >>> figure.layout.title.text
    'CAR transgene: visual predictive check'
    """
    require(fit=(fit, Fit))
    study = fit.study
    bins = checked.bins
    limits = limit_lines(study, checked.analyte)
    if checked.corrected:
        limits = [("LLOQ", float(v)) for v in checked.points["lloq"].dropna()]
    lloq = [value for name, value in limits if name == "LLOQ"]
    span = _span(checked, [v for _, v in limits], log=log)
    heights = [0.72, 0.28] if lloq else [1.0]
    rows = len(heights)
    figure = make_subplots(rows, 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.05)
    # The simulated intervals, the records and the observed quantiles.
    cut = (max(min(lloq, default=span[0]), span[0]), span[1])
    top_panel: dict[str, Any] = {"row": 1, "col": 1}
    for q, name in ((95, "95 %, simulated"), (5, "5 %, simulated"), (50, "median, simulated")):
        _add_interval(figure, bins, f"_{q}", cut, colour=_STYLE[q][0], name=name, **top_panel)
    drawn = _drawn(checked, span[0] if log else None)
    add_records(figure, drawn, GREY, size=5, opacity=0.75, **top_panel)
    for q, (_, colour, dash, name) in _STYLE.items():
        name = f"{name}, observed"
        _add_observed(figure, bins, f"observed_{q}", colour=colour, dash=dash, name=name, **top_panel)
    ends = [float(np.min(bins["start"])), float(np.max(bins["end"]))]
    if not checked.corrected:  # a corrected record has a limit of its own
        add_limits(figure, study, checked.analyte, ends, **top_panel)
    corrected = "Prediction-corrected<br>" if checked.corrected else ""
    axis_title = corrected + analyte_title(study, checked.analyte)
    figure.update_yaxes(title_text=axis_title, **value_axis(span, log=log), **top_panel)
    # The share of records below the LLOQ.
    if lloq:
        share = bins.rename(columns=lambda c: c.replace("blq_", ""))
        low_panel: dict[str, Any] = {"row": 2, "col": 1}
        name = "% below LLOQ, simulated"
        _add_interval(figure, share, "", (0.0, 100.0), colour=PALETTE[2], name=name, **low_panel)
        name = "% below LLOQ, observed"
        _add_observed(figure, share, "observed", colour=INK, dash="solid", name=name, **low_panel)
        figure.update_yaxes(title_text="Below LLOQ (%)", range=[-4, 104], dtick=25, **low_panel)
    figure.update_xaxes(title_text=time_title(study, checked.since), row=rows, col=1)
    add_symbol_key(figure, list(drawn["kind"]))
    figure.update_layout(legend={"font": {"size": 12}, "tracegroupgap": 2, "y": 1, "yanchor": "top"})
    subtitle = f"Inside their 90 % interval: {100 * checked.covered:.0f} % of quantiles"
    if lloq:
        subtitle += f", {100 * checked.covered_blq:.0f} % of shares below LLOQ"
    title = _title(analyte_label(study.analytes[checked.analyte]), checked)
    height = 620 if lloq else 520
    return finish(
        figure, study, title=title, subtitle=subtitle, notes=_notes(checked), fit=fit, height=height
    )


def _title(label: str, checked: Vpc) -> str:
    """The analyte, the kind of check and the stratum."""
    kind = "visual predictive check"
    if checked.corrected:
        kind = "prediction-corrected visual predictive check"
    title = f"{label}: {kind}"
    if checked.stratum:
        title += f", {checked.stratum.replace('_', ' ').replace('<=', '≤')}"
    return title


def _notes(checked: Vpc) -> list[str]:
    """What the ribbons hold, how values were corrected, and how many records were left out."""
    notes = [
        f"Ribbons: 90 % of {checked.replicates} replicated studies with new patients and the same doses, "
        f"times and limits, in {len(checked.bins)} time bins."
    ]
    if checked.corrected:
        notes.append(
            "Values, and the LLOQ at which a BLQ record is drawn, times median PRED of the bin / PRED."
        )
    if checked.left_out:
        reason = ", or with PRED 0" if checked.corrected else ", all below the LLOQ"
        notes.append(f"Left out: {checked.left_out} records before the first dose{reason}.")
    return notes


def _span(checked: Vpc, limits: list[float], *, log: bool) -> tuple[float, float]:
    """The ends of the value axis: all records, limits and intervals.

    A log axis reaches to 100 times the records at most.
    """
    quantiles = checked.bins.filter(regex=r"^(observed|lower|upper)_\d").to_numpy(float).ravel()
    quantiles = quantiles[np.isfinite(quantiles)]
    records = [*checked.points["value"], *limits]
    if log:
        return log_range([*records, *quantiles[quantiles < 100 * max(records)]])
    return 1.05 * min(0.0, *records, *quantiles), 1.05 * max(*records, *quantiles)


def _drawn(checked: Vpc, floor: float | None) -> DataFrame:
    """The records of the check as a table that `add_records` draws; `floor` is the bottom of a log axis."""
    points = checked.points
    kind = np.where(points["below"], "below", np.where(points["above"], "above", "measured"))
    zero = (points["value"] <= 0).to_numpy() & (floor is not None)
    kind = np.where(zero, "zero", kind)
    y = np.where(zero, floor or 0.0, points["value"])
    days = [number_text(t, trim=True) for t in points["time"]]
    text = [f"{subject}, day {day}" for subject, day in zip(points["subject"], days, strict=True)]
    symbol = [SYMBOLS[k][0] for k in kind]
    return DataFrame({"time": points["time"], "y": y, "kind": kind, "symbol": symbol, "text": text})


def _add_interval(
    figure: Figure,
    bins: DataFrame,
    suffix: str,
    cut: tuple[float, float],
    *,
    colour: str,
    name: str,
    **where: Any,
) -> None:
    """Draw a ribbon through the middles of the bins, from the columns `lower` to `upper` with a suffix.

    An infinite end is cut at `cut`. The ribbon is broken at a bin whose interval lies wholly outside the
    limits.
    """
    low = bins[f"lower{suffix}"].to_numpy(float)
    high = bins[f"upper{suffix}"].to_numpy(float)
    inside = (high > -np.inf) & (low < np.inf)
    low = np.where(np.isinf(low), cut[0], low)
    high = np.where(np.isinf(high), cut[1], high)
    middle = bins["middle"].to_numpy(float)
    x: list[float | None] = []
    y: list[float | None] = []
    for run in np.split(np.arange(len(bins)), np.flatnonzero(~inside)):
        run = run[inside[run]]
        x += [*middle[run], *middle[run[::-1]], *middle[run[:1]], None]
        y += [*high[run], *low[run[::-1]], *high[run[:1]], None]
    figure.add_trace(
        Scatter(
            x=x,
            y=y,
            mode="lines",
            fill="toself",
            fillcolor=faint(colour, 0.25),
            line={"width": 0.8, "color": faint(colour, 0.6)},
            name=name,
            legendgroup=name,
            hoverinfo="skip",
            meta={"role": f"interval{suffix}"},
        ),
        **where,
    )


def _add_observed(
    figure: Figure, bins: DataFrame, column: str, *, colour: str, dash: str, name: str, **where: Any
) -> None:
    """Draw an observed quantile through the middles of the bins, with a gap where it is infinite."""
    y = bins[column].to_numpy(float)
    figure.add_trace(
        Scatter(
            x=bins["middle"],
            y=np.where(np.isfinite(y), y, np.nan),
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": "square", "size": 6},
            hovertemplate="day %{x:.3g}: %{y:.3g}<extra>" + name + "</extra>",
            meta={"role": column},
        ),
        **where,
    )
