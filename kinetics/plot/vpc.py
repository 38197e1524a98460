"""Visual predictive check: observed quantiles over their simulated 90 % intervals, and the % BLQ below."""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.checks import Vpc
from kinetics.inference import Fit
from kinetics.plot.frame import (
    GREY,
    INK,
    PALETTE,
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
    5: (PALETTE[1], PALETTE[1], "dot", "5 %"),
}


def plot_vpc(fit: Fit, checked: Vpc, *, log: bool = True) -> Figure:
    """The quantile panel, and below it the share of records under the LLOQ where the study has one.

    A prediction-corrected check has no line at the LLOQ: each record has its own, where a BLQ record is
    drawn. A quantile that falls below the LLOQ (or above the ULOQ) is not drawn; an interval that reaches
    there is cut at the limit.

    >>> from kinetics.plot import plot_vpc
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> figure = plot_vpc(fit, kn.vpc(fit, "car_copies", n=20))
    >>> figure.layout.title.text
    'CAR transgene: visual predictive check'
    """
    study = fit.study
    bins = checked.bins
    limits = limit_lines(study, checked.analyte)
    if checked.corrected:
        limits = [("LLOQ", float(v)) for v in checked.points["lloq"].dropna()]
    lloq = [value for name, value in limits if name == "LLOQ"]
    span = _span(checked, [v for _, v in limits], log=log)
    rows, heights = (2, [0.72, 0.28]) if lloq else (1, [1.0])
    figure = make_subplots(rows, 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.05)
    cut = (max(min(lloq, default=span[0]), span[0]), span[1])
    for q, name in ((95, "5 and 95 %, simulated"), (5, "5 and 95 %, simulated"), (50, "median, simulated")):
        _add_interval(figure, bins, f"_{q}", cut, _STYLE[q][0], name, show=q != 5, row=1, col=1)
    drawn = _drawn(checked, span[0] if log else None)
    add_records(figure, drawn, GREY, size=5, opacity=0.75, row=1, col=1)
    for q, (_, colour, dash, name) in _STYLE.items():
        _add_observed(figure, bins, f"observed_{q}", colour, dash, f"{name}, observed", row=1, col=1)
    ends = [float(np.min(bins["start"])), float(np.max(bins["end"]))]
    if not checked.corrected:  # a corrected record has a limit of its own
        add_limits(figure, study, checked.analyte, ends, row=1, col=1)
    axis = value_axis(span, log=log)
    corrected = "Prediction-corrected<br>" if checked.corrected else ""
    figure.update_yaxes(title_text=corrected + analyte_title(study, checked.analyte), **axis, row=1, col=1)
    if lloq:
        share = bins.rename(columns=lambda c: c.replace("blq_", ""))
        colour = PALETTE[2]
        name = "% below LLOQ, simulated"
        _add_interval(figure, share, "", (0.0, 100.0), colour, name, row=2, col=1)
        _add_observed(figure, share, "observed", INK, "solid", "% below LLOQ, observed", row=2, col=1)
        figure.update_yaxes(title_text="Below LLOQ (%)", range=[-4, 104], dtick=25, row=2, col=1)
    figure.update_xaxes(title_text=time_title(study, checked.since), row=rows, col=1)
    add_symbol_key(figure, list(drawn["kind"]))
    figure.update_layout(legend={"font": {"size": 12}, "tracegroupgap": 2, "y": 1, "yanchor": "top"})
    subtitle = f"Inside their 90 % interval: {100 * checked.covered:.0f} % of quantiles"
    subtitle += f", {100 * checked.covered_blq:.0f} % of shares below LLOQ" if lloq else ""
    title = _title(study.analytes[checked.analyte].label, checked)
    height = 620 if lloq else 520
    return finish(
        figure, study, title=title, subtitle=subtitle, notes=_notes(checked), fit=fit, height=height
    )


def _title(label: str, checked: Vpc) -> str:
    kind = "prediction-corrected visual predictive check" if checked.corrected else "visual predictive check"
    stratum = f", {checked.stratum.replace('_', ' ').replace('<=', '≤')}" if checked.stratum else ""
    return f"{label}: {kind}{stratum}"


def _notes(checked: Vpc) -> list[str]:
    said = f"Ribbons: 90 % of {checked.replicates} replicated studies with new patients and the same doses, "
    notes = [said + f"times and limits, in {len(checked.bins)} time bins."]
    if checked.corrected:
        notes.append(
            "Values, and the LLOQ at which a BLQ record is drawn, times median PRED of the bin / PRED."
        )
    if checked.left_out:
        why = ", or with PRED 0" if checked.corrected else ", all below the LLOQ"
        notes.append(f"Left out: {checked.left_out} records before the first dose{why}.")
    return notes


def _span(checked: Vpc, limits: list[float], *, log: bool) -> tuple[float, float]:
    """The value axis: every record, limit and interval; on a log axis, up to 100 times the records."""
    numbers = checked.bins.filter(regex=r"^(observed|lower|upper)_\d").to_numpy(float).ravel()
    numbers = numbers[np.isfinite(numbers)]
    seen = [*checked.points["value"], *limits]
    if log:
        return log_range([*seen, *numbers[numbers < 100 * max(seen)]])
    return 1.05 * min(0.0, *seen, *numbers), 1.05 * max(*seen, *numbers)


def _drawn(checked: Vpc, floor: float | None) -> DataFrame:
    """The records as `plot.records` draws them."""
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
    colour: str,
    name: str,
    *,
    show: bool = True,
    **where: Any,
) -> None:
    """A ribbon through the bins' middles from `lower` to `upper`, broken where a bin has none to draw.

    An infinite end is cut; a bin whose interval lies wholly outside the limits has none.
    """
    low, high = (bins[f"{end}{suffix}"].to_numpy(float) for end in ("lower", "upper"))
    there = (high > -np.inf) & (low < np.inf)
    low = np.where(np.isinf(low), cut[0], low)
    high = np.where(np.isinf(high), cut[1], high)
    middle = bins["middle"].to_numpy(float)
    x: list[float | None] = []
    y: list[float | None] = []
    for run in np.split(np.arange(len(bins)), np.flatnonzero(~there)):
        run = run[there[run]]
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
            showlegend=show,
            hoverinfo="skip",
            meta={"role": f"interval{suffix}"},
        ),
        **where,
    )


def _add_observed(
    figure: Figure, bins: DataFrame, column: str, colour: str, dash: str, name: str, **where: Any
) -> None:
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
