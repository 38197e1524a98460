"""What a dose decision weighs at every level: P(response), P(DLT), P(over the limit) and P(best)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pandas import DataFrame
from plotly.graph_objects import Bar, Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.plot.frame import GREY, PALETTE, dress

if TYPE_CHECKING:
    from kinetics.decision import Recommendation

__all__ = ["plot_dose_decision"]

_CHANCES = {  # column -> (name, colour, symbol)
    "p_response": ("Response", PALETTE[2], "circle"),
    "p_dlt": ("DLT", PALETTE[1], "square"),
}
_BARS = {  # column -> (name, colour)
    "p_over": ("P(DLT rate above the limit)", PALETTE[1]),
    "p_best": ("P(best of the levels that may be recommended)", PALETTE[0]),
    "p_near_best": ("P(utility within two points of the best)", PALETTE[5]),
}


def plot_dose_decision(recommendation: Recommendation, names: list[str], bound: float = 0.4) -> Figure:
    """A new patient's chances at each level on the left, whether it is over the limit or best on the right.

    `recommendation` is what `kinetics.recommend` returns. The chances of response and DLT have whiskers that
    hold 90 % of the draws. `names` are the names of the levels, lowest first. `bound` is the P(DLT rate above
    the limit) from which no level is recommended, drawn as a line.

    >>> from kinetics.plot import plot_dose_decision
    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> names = [protocol.level_name(level) for level in (1, 2, 3, 4)]
    >>> figure = plot_dose_decision(kn.recommend(study, protocol), names)
    >>> figure.layout.yaxis.title.text
    'Probability'
    """
    table = recommendation.levels
    titles = ["A new patient's chance of …", "Is the level too toxic, is it the best?"]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    _add_chances(figure, table)
    _add_bars(figure, table)
    last = float(table["level"].max())
    figure.add_scatter(
        x=[0.5, last + 0.5],
        y=[bound, bound],
        mode="lines",
        hoverinfo="skip",
        row=1,
        col=2,
        line={"color": GREY, "dash": "dot", "width": 1.2},
        name=f"too toxic to be recommended, from {100 * bound:.0f} %",
        legend="legend2",
    )
    level_text = [f"{n}<br>{e} evaluable" for n, e in zip(names, table["evaluable"], strict=True)]
    figure.update_xaxes(tickvals=table["level"].tolist(), ticktext=level_text, title_text="Dose level")
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    percents = [f"{100 * tick:.0f} %" for tick in ticks]
    figure.update_yaxes(title_text="Probability", range=[0, 1.14], tickvals=ticks, ticktext=percents)
    _mark_levels(figure, recommendation)
    notes = ["Whiskers: 90 % of the draws.", f"Study {recommendation.study}"]
    labels = ["SYNTHETIC DATA"] if recommendation.synthetic else []
    dress(
        figure,
        "The dose decision",
        f"study {recommendation.study}",
        notes,
        labels,
        height=580,
        top=120,
        bottom=190,
    )
    side = {"orientation": "v", "y": -0.3, "yanchor": "top", "font": {"size": 12}}
    figure.update_layout(legend=side | {"x": 0.0}, legend2=side | {"x": 0.55}, bargap=0.3)
    return figure


def _mark_levels(figure: Figure, recommendation: Recommendation) -> None:
    """Shade and name the levels of the MTD and the RP2D in both panels."""
    rp2d_name = "RP2D"
    if recommendation.rp2d == recommendation.mtd:
        rp2d_name = "RP2D and MTD"
    for level, name in {recommendation.mtd: "MTD", recommendation.rp2d: rp2d_name}.items():
        if not level:
            continue
        for col in (1, 2):
            figure.add_shape(
                type="rect",
                x0=level - 0.45,
                x1=level + 0.45,
                y0=0,
                y1=1.14,
                opacity=0.12,
                layer="below",
                fillcolor=PALETTE[5] if "RP2D" in name else GREY,
                line={"width": 0},
                row=1,
                col=col,
            )
            figure.add_annotation(
                x=level, y=1.12, text=name, showarrow=False, font={"size": 11}, yanchor="top", row=1, col=col
            )


def _add_chances(figure: Figure, table: DataFrame) -> None:
    """Draw a new patient's chance of each outcome, side by side at each level."""
    for place, (key, (name, colour, symbol)) in enumerate(_CHANCES.items()):
        middle = table[key]
        figure.add_trace(
            Scatter(
                x=table["level"] + 0.12 * (place - 0.5),
                y=middle,
                name=name,
                mode="markers+lines",
                marker={"color": colour, "symbol": symbol, "size": 9},
                line={"color": colour, "width": 1},
                error_y={
                    "array": table[f"{key}_upper"] - middle,
                    "arrayminus": middle - table[f"{key}_lower"],
                    "color": colour,
                    "thickness": 1.4,
                    "width": 3,
                },
                hovertemplate=f"{name}: %{{y:.0%}}<extra></extra>",
                legend="legend",
            ),
            1,
            1,
        )


def _add_bars(figure: Figure, table: DataFrame) -> None:
    """Draw P(over the limit) and P(best) of each level."""
    for key, (name, colour) in _BARS.items():
        bar = Bar(
            x=table["level"],
            y=table[key],
            name=name,
            marker={"color": colour},
            legend="legend2",
            hovertemplate=f"{name}: %{{y:.0%}}<extra></extra>",
        )
        figure.add_trace(bar, 1, 2)
