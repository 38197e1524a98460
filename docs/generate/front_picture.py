"""The picture of the README: persistence, a visual predictive check and a dose decision, side by side.

Three small SVGs, each readable at a third of the width of a page. The fit is the quick one of `kinetics new`,
by Laplace's method; all three show synthetic data and say so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure

import kinetics as kn
from kinetics.cli.new_study import new_study
from kinetics.plot.frame import FONT, GREY, GRID, INK, PALETTE, faint

__all__ = ["front_figures"]

TRIAL = "nkg2d_plateau_synthetic"
PROTOCOL = "nkg2d_phase1_synthetic"
WIDTH = 460  # px; the README shows a figure at a third of some 850 px, so its text is large
DECADES = [1, 10, 100, 1000, 10_000, 100_000]


def front_figures() -> Mapping[str, Figure]:
    """The three figures by name: persistence, vpc and decision."""
    with tempfile.TemporaryDirectory() as folder:
        plan = kn.read_plan(new_study(Path(folder) / "example") / "fits" / "example.toml")
        fit = kn.fit(kn.plan.plan_of(plan.resolved() | {"method": "laplace"}, file="example"))
    protocol = kn.read_protocol(PROTOCOL)
    levels = [f"{protocol.level_name(i).removesuffix(' cells/kg')}" for i in range(1, 5)]
    return {
        "persistence": _persistence(fit.study),
        "vpc": _predictive_check(kn.vpc(fit, "car_copies")),
        "decision": _decision(kn.recommend(kn.read_study(TRIAL), protocol), levels),
    }


def _persistence(study: kn.Study) -> Figure:
    """The transgene of every patient, coloured by dose."""
    points = kn.plot.persistence_points(study, "car_copies", by="dose_level")
    figure = Figure()
    for colour, (level, group) in zip(PALETTE, points.groupby("dose_level", sort=False), strict=False):
        for i, (_, course) in enumerate(group.groupby("subject")):
            symbols = np.where(course["kind"] == "below", "circle-open", "circle")
            name = str(level).replace(" cells/kg", "")
            figure.add_scatter(
                x=course["time"],
                y=course["drawn_at"],
                mode="lines+markers",
                line={"color": colour, "width": 1.2},
                marker={"symbol": symbols, "size": 5},
                name=name,
                legendgroup=name,
                showlegend=i == 0,
            )
    _limit(figure, study)
    return _dressed(
        figure, "Every patient's transgene, by dose", "Days since the first dose", "Copies/µg DNA"
    )


def _predictive_check(checked: kn.Vpc) -> Figure:
    """Quantiles of the records and their simulated 90 % intervals."""
    figure = Figure()
    bins = checked.bins.replace([np.inf, -np.inf], np.nan)
    lloq = float(checked.points["lloq"].dropna().min())
    for quantile, colour in (("95", PALETTE[5]), ("50", PALETTE[0])):
        _ribbon(figure, bins, quantile, colour, lloq)
    for quantile, colour, dash in (("95", PALETTE[1], "dash"), ("50", PALETTE[1], "solid")):
        name = f"{'median' if quantile == '50' else '95 %'} of the records"
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_scatter(
            x=bins["middle"], y=bins[f"observed_{quantile}"], mode="lines", line=line, name=name
        )
    points = checked.points
    symbols = np.where(points["below"], "circle-open", "circle")
    marker = {"color": GREY, "size": 4, "symbol": symbols, "opacity": 0.7}
    figure.add_scatter(x=points["time"], y=points["value"], mode="markers", marker=marker, showlegend=False)
    figure.add_hline(y=lloq, line={"color": GREY, "dash": "dot", "width": 1})
    return _dressed(figure, "Does the model predict them?", "Days since the first dose", "Copies/µg DNA")


def _ribbon(figure: Figure, bins: DataFrame, quantile: str, colour: str, lloq: float) -> None:
    """The simulated 90 % interval of a quantile, cut at the LLOQ."""
    upper = bins[f"upper_{quantile}"].fillna(lloq)
    lower = bins[f"lower_{quantile}"].fillna(lloq)
    name = f"{'median' if quantile == '50' else '95 %'}, simulated"
    line = {"width": 0}
    figure.add_scatter(x=bins["middle"], y=upper, mode="lines", line=line, showlegend=False)
    shade = {"fill": "tonexty", "fillcolor": faint(colour, 0.35)}
    figure.add_scatter(x=bins["middle"], y=lower, mode="lines", line=line, name=name, **shade)


def _decision(recommendation: kn.Recommendation, names: list[str]) -> Figure:
    """A new patient's chance of a response and of a DLT at each level, the recommended one shaded."""
    table = recommendation.levels
    figure = Figure()
    for key, name, colour, shift in (
        ("p_response", "response", PALETTE[2], -0.06),
        ("p_dlt", "DLT", PALETTE[1], 0.06),
    ):
        whiskers = {
            "array": table[f"{key}_upper"] - table[key],
            "arrayminus": table[key] - table[f"{key}_lower"],
        }
        figure.add_scatter(
            x=table["level"] + shift,
            y=table[key],
            mode="markers",
            marker={"color": colour, "size": 11},
            error_y=whiskers | {"color": colour, "thickness": 1.6, "width": 4},
            name=f"P({name})",
        )
    level = recommendation.rp2d
    if level:
        figure.add_vrect(x0=level - 0.4, x1=level + 0.4, fillcolor=PALETTE[5], opacity=0.22, line_width=0)
        words = {"text": "recommended", "showarrow": False, "font": {"size": 14}, "yanchor": "bottom"}
        figure.add_annotation(x=level, y=1.0, **words)
    _dressed(figure, "Which dose follows, and how sure?", "Dose level (cells/kg)", "A new patient's chance")
    figure.update_xaxes(tickvals=table["level"], ticktext=names, range=[0.5, len(table) + 0.5])
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    percents = [f"{100 * tick:.0f} %" for tick in ticks]
    figure.update_yaxes(type="linear", range=[0, 1.12], tickvals=ticks, ticktext=percents)
    return figure


def _limit(figure: Figure, study: kn.Study) -> None:
    """A dotted line at the LLOQ, with its name."""
    lloq = study.analytes["car_copies"].lloq
    figure.add_hline(y=lloq, line={"color": GREY, "dash": "dot", "width": 1})


def _dressed(figure: Figure, title: str, x_title: str, y_title: str) -> Figure:
    """The figure with its titles, its axes and the words "synthetic data"."""
    text = f"<b>{title}</b><br><span style='font-size:13px;color:{GREY}'>synthetic data</span>"
    figure.update_layout(
        title={"text": text, "x": 0.02, "xanchor": "left", "y": 0.92, "yanchor": "top", "font": {"size": 18}},
        font={"family": FONT, "size": 15, "color": INK},
        width=WIDTH,
        height=410,
        margin={"l": 74, "r": 12, "t": 66, "b": 110},
        paper_bgcolor="white",
        plot_bgcolor="white",
        legend={"orientation": "h", "y": -0.24, "yanchor": "top", "x": 0.0, "font": {"size": 13}},
    )
    figure.update_xaxes(title_text=x_title, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(
        type="log",
        title={"text": y_title, "standoff": 6},
        gridcolor=GRID,
        tickvals=DECADES,
        ticktext=[f"{value:,}" for value in DECADES],
    )
    return figure
