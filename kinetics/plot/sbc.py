"""Whether a fit is calibrated: the ECDF of each quantity's ranks less that of a uniform, with its band."""

from __future__ import annotations

from typing import Any

import numpy as np
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.checks import Calibration, counts_below
from kinetics.plot.frame import GREY, PALETTE, SHARED, dress, faint, number_text

__all__ = ["plot_sbc"]


def plot_sbc(calibration: Calibration, *, columns: int = 4) -> Figure:
    """One panel for each quantity, in the order of the fit; a curve that leaves its band is vermilion.

    `calibration` is what `kinetics.checks.sbc` returns. A curve above zero has too many low ranks: the truth
    tends to lie below the draws. A curve first above and then below zero means a posterior too narrow, first
    below and then above zero one too wide.

    >>> from kinetics.plot import plot_sbc
    >>> found = kn.checks.sbc("ogasawara_2021__synthetic_cart_12", folder="runs/sbc")  # doctest: +SKIP
    >>> plot_sbc(found).write_html("sbc.html")  # doctest: +SKIP
    """
    names = [str(k) for k in calibration.ranks]
    table = calibration.table.set_index("site")
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    titles = [f"{name}, p {number_text(float(table['p'][name]), 2)}" for name in names]
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=titles,
        horizontal_spacing=0.025,
        vertical_spacing=min(0.2, 0.3 / rows),
        **SHARED,
    )
    tops = [0.05]
    for k, name in enumerate(names):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        tops.append(_add_band(figure, calibration, first=k == 0, **where))
        rejected = bool(table["rejected"][name])
        tops.append(_add_ranks(figure, calibration, name, rejected=rejected, **where))
    figure.update_annotations(font_size=12)
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], ticktext=["0", "½", "1"])
    _dress(figure, calibration, rows)
    top = 1.1 * max(tops)
    figure.update_yaxes(range=[-top, top], nticks=5)
    figure.update_yaxes(title_text="ECDF less uniform", col=1, row=(rows + 1) // 2)
    for col in range(1, columns + 1):
        lowest = rows if (rows - 1) * columns + col <= len(names) else rows - 1
        figure.update_xaxes(showticklabels=True, title_text="rank of the truth", row=lowest, col=col)
    return figure


def _add_band(figure: Figure, calibration: Calibration, *, first: bool, **where: Any) -> float:
    """Draw the band of uniform ranks; return how far it reaches from zero."""
    band = calibration.band()
    percent = f"{100 * (1 - calibration.alpha):g} %"
    x = np.concatenate([[0.0], band.expected, [1.0]])
    lower = np.concatenate([[0.0], band.lower - band.expected, [0.0]])
    upper = np.concatenate([[0.0], band.upper - band.expected, [0.0]])
    figure.add_trace(
        Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([upper, lower[::-1]]),
            fill="toself",
            fillcolor=faint(GREY, 0.18),
            line={"width": 0},
            name=f"uniform ranks stay within, in all panels at once, with {percent}",
            showlegend=first,
            hoverinfo="skip",
            meta={"role": "band"},
        ),
        **where,
    )
    return float(max(upper.max(), -lower.min()))


def _add_ranks(figure: Figure, calibration: Calibration, name: str, *, rejected: bool, **where: Any) -> float:
    """Draw the ECDF of the ranks less its expectation; return its greatest distance from zero."""
    ranks = calibration.ranks[name].to_numpy(int)
    most = calibration.most
    x = np.arange(most + 2) / (most + 1)
    share = np.concatenate([[0.0], counts_below(ranks, most) / len(ranks), [1.0]])
    figure.add_trace(
        Scatter(
            x=x,
            y=share - x,
            mode="lines",
            line={"color": PALETTE[1] if rejected else PALETTE[0], "width": 2 if rejected else 1.5},
            name=name,
            showlegend=False,
            hovertemplate="rank %{x:.2f}: %{y:+.3f}<extra>" + name + "</extra>",
            meta={"role": "rejected" if rejected else "ranks"},
        ),
        **where,
    )
    return float(np.abs(share - x).max())


def _dress(figure: Figure, calibration: Calibration, rows: int) -> None:
    """Give the figure its title, labels, legend and a footer that says how the calibration was made."""
    facts = calibration.facts
    rejected = int(calibration.table["rejected"].sum())
    subtitle = "none leaves the band"
    if rejected:
        subtitle = f"{rejected} of {len(calibration.table)} quantities leave the band"
    notes = [
        f"{calibration.replicates} studies drawn from the priors at the design of {facts['data']['name']} "
        f"({facts['data']['subjects']} subjects), each fitted anew; rank among {calibration.most} draws",
        f"Fit {facts['fit']} · model {facts['model']['name']} {facts['model']['sha256'][:8]} · "
        f"design {facts['data']['sha256'][:8]} · seed {facts['settings']['seed']}",
    ]
    labels = ["SIMULATED STUDIES"]
    if calibration.wrong:
        labels.append(f"WRONG ON PURPOSE: {calibration.wrong}")
    height = 128 * rows + 230
    title = "Simulation-based calibration"
    dress(figure, title, subtitle, notes, labels, height=height, top=124, bottom=84)
    legend = {
        "orientation": "h",
        "x": 0,
        "y": 1 + 24 / (height - 223),
        "yanchor": "bottom",
        "font": {"size": 12},
    }
    figure.update_layout(legend=legend)
