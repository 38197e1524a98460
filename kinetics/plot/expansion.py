"""Response rates of the expansion cohorts as a forest: the exact interval beside the one with borrowing."""

from __future__ import annotations

from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.decision import CohortRates
from kinetics.plot.frame import GREY, INK, PALETTE, dress

__all__ = ["plot_expansion"]

_APART = 0.17  # distance of each of a cohort's two intervals from the middle of its row
_KINDS = (  # columns of the point and its interval, name, colour, symbol, height above the middle of the row
    (("estimate", "lower", "upper"), "exact (Clopper-Pearson)", GREY, "circle-open", _APART),
    (("mean", "borrowed_lower", "borrowed_upper"), "borrowing (EXNEX)", PALETTE[0], "circle", -_APART),
)
_RATES = (("null", "null rate", PALETTE[1], "dash"), ("target", "target rate", PALETTE[2], "dot"))


def plot_expansion(rates: CohortRates) -> Figure:
    """Two intervals for each cohort with its null and target rates, and in numbers P(p > null) and verdict.

    `rates` is what `kinetics.decision.expansion` returns. A cohort's name carries its responders of treated.
    A cohort in which nobody was treated has its rates and no interval: it would be the prior alone.

    >>> from kinetics.plot import plot_expansion
    >>> study = kn.read_study("nkg2d_plateau_synthetic")
    >>> figure = plot_expansion(kn.decision.expansion(study, kn.read_protocol("nkg2d_phase1_synthetic")))
    >>> figure.layout.title.text
    'Expansion cohorts'
    """
    figure = Figure()
    table = rates.table
    count = len(table)
    for columns, name, colour, symbol, shift in _KINDS:
        name = f"{100 * rates.level:g} % interval, {name}"
        _add_intervals(figure, table, columns, shift, name=name, colour=colour, symbol=symbol)
    for key, name, colour, dash in _RATES:
        x = []
        y = []
        for row, rate in enumerate(getattr(rates.design, key)):
            x += [rate, rate, None]
            y += [-row - 0.42, -row + 0.42, None]
        line = {"color": colour, "width": 1.6, "dash": dash}
        figure.add_trace(
            Scatter(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip", meta={"role": key})
        )
    for row, values in enumerate(table.to_dict("records")):
        _label(figure, values, -row)
    _text(figure, "<b>P(p > null)</b>", 1.012, 0.72)
    _text(figure, "<b>verdict</b>", 1.15, 0.72)
    names = [
        f"{row['cohort']}<br><span style='font-size:11px'>{row['events']} of {row['n']}</span>"
        for row in table.to_dict("records")
    ]
    ends = [-count + 0.4, 0.9]
    figure.update_xaxes(range=[-0.012, 1], tickformat=".0%", title_text="Objective response rate")
    figure.update_yaxes(range=ends, tickvals=[-r for r in range(count)], ticktext=names)
    notes = [
        "Empty circle: responders of treated. Filled: posterior mean, borrowing as far as the data agree.",
        str(rates.design.prior),
        *(note.replace("`", "") for note in rates.notes if not note.startswith("fewer")),
        f"Study {rates.study}, data {rates.sha256[:8]}",
    ]
    labels = ["SYNTHETIC DATA"] if rates.synthetic else []
    title = "Expansion cohorts"
    subtitle = f"{sum(table['events'])} responders of {sum(table['n'])} treated"
    # In pixels: the height of all rows, of the lower margin and of the figure.
    rows = 86 * (ends[1] - ends[0])
    bottom = 165
    height = int(rows) + 84 + bottom + 15 * (len(notes) - 1)
    dress(figure, title, subtitle, notes, labels, height=height, top=84, bottom=bottom)
    figure.update_yaxes(ticks="", showline=False, showgrid=False, ticklabelstandoff=8)
    legend = {"orientation": "h", "x": 0, "y": -58 / rows, "yanchor": "top", "font": {"size": 12}}
    figure.update_layout(legend=legend, margin={"l": 110, "r": 190})
    return figure


def _add_intervals(
    figure: Figure,
    cohorts: DataFrame,
    columns: tuple[str, str, str],
    shift: float,
    *,
    name: str,
    colour: str,
    symbol: str,
) -> None:
    """Draw one kind of interval of every cohort, `shift` above the middle of its row."""
    point, lower, upper = columns
    table = cohorts[cohorts[lower].notna() & (cohorts["n"] > 0)]  # a prior is no result
    heights = [-row + shift for row in table.index]
    figure.add_trace(
        Scatter(
            x=table[point],
            y=heights,
            mode="markers",
            name=name,
            meta={"role": point},
            marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": table[upper] - table[point],
                "arrayminus": table[point] - table[lower],
                "color": colour,
                "thickness": 2.4,
                "width": 5,
            },
            showlegend=False,
            hovertext=table["cohort"],
            hovertemplate="%{hovertext}: %{x:.3f}<extra></extra>",
        )
    )
    figure.add_trace(
        Scatter(
            x=[None],
            y=[None],
            mode="lines+markers",
            name=name,
            meta={"role": f"key {point}"},
            line={"color": colour, "width": 2.4},
            marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
            hoverinfo="skip",
        )
    )


def _label(figure: Figure, row: dict[Any, Any], height: float) -> None:
    """Write P(p > null) and the verdict beside the row of a cohort; without subjects there is neither."""
    if not row["n"]:
        _text(figure, "nobody yet", 1.15, height)
        return
    _text(figure, f"{row['p_above_null']:.3f}", 1.012, height)
    _text(figure, f"<b>{row['verdict']}</b>", 1.15, height)


def _text(figure: Figure, text: str, x: float, y: float) -> None:
    figure.add_annotation(
        text=text,
        x=x,
        xref="paper",
        y=y,
        yref="y",
        xanchor="left",
        yanchor="middle",
        showarrow=False,
        font={"size": 12, "color": INK},
        name="row",
    )
