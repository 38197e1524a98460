"""What a dose decision weighs at every level: P(response), P(CRS), P(DLT), P(overdose) and P(most useful)."""

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
    "response": ("Response", PALETTE[2], "circle"),
    "crs_3": ("CRS of grade 3 or more", PALETTE[4], "diamond"),
    "dlt": ("DLT, by exposure", PALETTE[1], "square"),
}
_BARS = {  # column -> (name, colour)
    "p_over": ("P(overdose), by the BLRM", PALETTE[1]),
    "p_best": ("P(most useful), of the levels allowed", PALETTE[0]),
    "p_best_of_all": ("P(most useful), of all levels", PALETTE[5]),
}


def plot_dose_decision(recommendation: Recommendation, names: list[str], feasible: float) -> Figure:
    """A new patient's chances at each level on the left, P(overdose) and P(most useful) on the right.

    `recommendation` is what `kinetics.recommend` returns. The chances of response, CRS and DLT have whiskers
    that hold 90 % of the draws. `names` are the names of the levels, lowest first. `feasible` is the greatest
    P(overdose) allowed, drawn as a line.

    >>> from kinetics.plot import plot_dose_decision
    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> names = [protocol.level_name(level) for level in (1, 2, 3, 4)]
    >>> figure = plot_dose_decision(kn.recommend(study, protocol), names, feasible=0.25)
    >>> figure.layout.yaxis.title.text
    'Probability'
    """
    table = recommendation.levels
    titles = ["A new patient's chance of …", "Is the level an overdose, is it the most useful?"]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.1)
    _add_chances(figure, table)
    _add_bars(figure, table)
    last = float(table["level"].max())
    figure.add_scatter(
        x=[0.5, last + 0.5],
        y=[feasible, feasible],
        mode="lines",
        hoverinfo="skip",
        row=1,
        col=2,
        line={"color": GREY, "dash": "dot", "width": 1.2},
        name=f"overdose: at most {feasible:g}",
        legend="legend2",
    )
    level_text = [f"{n}<br>{e} evaluable" for n, e in zip(names, table["evaluable"], strict=True)]
    figure.update_xaxes(tickvals=table["level"].tolist(), ticktext=level_text, title_text="Dose level")
    figure.update_yaxes(title_text="Probability", range=[0, 1.14], tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1])
    _mark_levels(figure, recommendation)
    notes = []
    if "response_median" in table or "dlt_median" in table:
        new_patients = "have the covariates of those enrolled"
        if len(recommendation.proportionality):
            new_patients = "come of a power model of dose"
        notes.append(f"Whiskers: 90 % of the draws. New patients {new_patients}.")
    notes.append(f"Study {recommendation.study}")
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
        if f"{key}_median" not in table:
            continue
        middle = table[f"{key}_median"]
        figure.add_trace(
            Scatter(
                x=table["level"] + 0.12 * (place - 1),
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
                hovertemplate=f"{name}: %{{y:.2f}}<extra></extra>",
                legend="legend",
            ),
            1,
            1,
        )


def _add_bars(figure: Figure, table: DataFrame) -> None:
    """Draw P(overdose) and P(most useful) of each level."""
    for key, (name, colour) in _BARS.items():
        if key in table:
            figure.add_trace(
                Bar(
                    x=table["level"],
                    y=table[key],
                    name=name,
                    marker={"color": colour},
                    legend="legend2",
                    hovertemplate=f"{name}: %{{y:.2f}}<extra></extra>",
                ),
                1,
                2,
            )
