"""Is a fit calibrated? The ECDF of every quantity's ranks less what uniformity expects, with the band it
allows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.checks import Calibration, counts_below
from kinetics.plot.frame import GREY, PALETTE, SHARED, dress, faint, number_text

__all__ = ["plot_sbc"]


def plot_sbc(calibration: Calibration, *, columns: int = 4) -> Figure:
    """One panel a quantity, in the order of the fit; one that leaves the band is drawn in the colour of
    alarm.

    Above zero there are too many low ranks: the truth tends to lie below the draws. A rise and a fall, or a
    fall and a rise, are a posterior too narrow or too wide. `calibration` is what `kinetics.checks.sbc`
    gives.

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
    """Draw the band; returns how far it reaches from zero."""
    allowed = calibration.band()
    x = np.concatenate([[0.0], allowed.expected, [1.0]])
    lower, upper = (
        np.concatenate([[0.0], ends - allowed.expected, [0.0]]) for ends in (allowed.lower, allowed.upper)
    )
    figure.add_trace(
        Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([upper, lower[::-1]]),
            fill="toself",
            fillcolor=faint(GREY, 0.18),
            line={"width": 0},
            name=f"uniform ranks stay within, in all panels at once, with {100 * (1 - calibration.alpha):g} %",
            showlegend=first,
            hoverinfo="skip",
            meta={"role": "band"},
        ),
        **where,
    )
    return float(max(upper.max(), -lower.min()))


def _add_ranks(figure: Figure, calibration: Calibration, name: str, *, rejected: bool, **where: Any) -> float:
    """Draw the ECDF less its expectation; returns how far it strays from zero."""
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
    facts = calibration.facts
    wrong = calibration.wrong
    out = int(calibration.table["rejected"].sum())
    said = f"{out} of {len(calibration.table)} quantities leave the band" if out else "none leaves the band"
    settings = facts["settings"]
    notes = [
        f"{calibration.replicates} studies drawn from the priors at the design of {facts['data']['name']} "
        f"({facts['data']['subjects']} subjects), each fitted anew; rank among {calibration.most} draws",
        f"Fit {facts['fit']} · model {facts['model']['name']} {facts['model']['sha256'][:8]} · "
        f"design {facts['data']['sha256'][:8]} · seed {settings['seed']}",
    ]
    labels = ["SIMULATED STUDIES", *([f"WRONG ON PURPOSE: {wrong}"] if wrong else [])]
    height = 128 * rows + 230
    dress(figure, "Simulation-based calibration", said, notes, labels, height=height, top=124, bottom=84)
    key = {
        "orientation": "h",
        "x": 0,
        "y": 1 + 24 / (height - 223),
        "yanchor": "bottom",
        "font": {"size": 12},
    }
    figure.update_layout(legend=key)
