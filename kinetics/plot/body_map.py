"""A body on chosen days, its organs shaded by the share of a product's cells that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.colors import sample_colorscale
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.plot.frame import GREY, INK, number_text, product_name
from kinetics.plot.organ_stack import finish_sites, site_name

__all__ = ["plot_body_map"]

DAYS = (1 / 24, 1.0, 7.0, 28.0)
_SCALE = [
    [0.0, "#ffffff"],
    [0.02, "#eaf3fa"],
    [0.5, "#4a9bd0"],
    [1.0, "#003f63"],
]  # light to dark: for every eye
# Seen from the front, in units of which the body is 2.4 high: the patient's right is on the left.
_BODY = (
    "M -0.12 1.92 Q -0.44 1.9 -0.5 1.68 L -0.58 1.04 L -0.47 1.02 L -0.36 1.5 L -0.34 0.95 L -0.34 0.06 L -0.1 0.06 "
    "L -0.03 0.84 L 0.03 0.84 L 0.1 0.06 L 0.34 0.06 L 0.34 0.95 L 0.36 1.5 L 0.47 1.02 L 0.58 1.04 L 0.5 1.68 "
    "Q 0.44 1.9 0.12 1.92 Z"
)
_HEAD = (-0.15, 1.97, 0.15, 2.33)
_ELLIPSES = {  # site -> boxes x0, y0, x1, y1
    "lung": [(-0.3, 1.47, -0.08, 1.82), (0.08, 1.47, 0.3, 1.82)],
    "blood": [(-0.07, 1.5, 0.07, 1.68)],
    "spleen": [(0.16, 1.2, 0.3, 1.38)],
    "tumour": [(-0.14, 1.26, -0.02, 1.38)],
}
_LIVER = (
    "M -0.31 1.2 Q -0.33 1.42 -0.2 1.44 Q -0.02 1.45 0.14 1.4 Q 0.06 1.26 -0.1 1.2 Q -0.24 1.12 -0.31 1.2 Z"
)
_LABELS = {  # site -> where its leader begins, and at which height and on which side its words are
    "lung": ((0.24, 1.68), 1.86, 1), "blood": ((0.03, 1.56), 1.55, 1), "spleen": ((0.25, 1.29), 1.22, 1),
    "liver": ((-0.25, 1.32), 1.55, -1), "tumour": ((-0.08, 1.3), 1.12, -1), "rest": ((0.22, 0.5), 0.5, 1),
}  # fmt: skip
_ORDER = ("rest", "lung", "blood", "liver", "spleen", "tumour")
_ASIDE = 0.66


def plot_body_map(
    of: Fit | Model,
    shares: DataFrame,
    *,
    days: Sequence[float] = DAYS,
    synthetic: bool = False,
    source: str = "",
    notes: Sequence[str] = (),
) -> Figure:
    """`shares` of `kinetics.site_shares`: a row a product, a body a day of `days` (the nearest time that
    there is).

    `synthetic`, `source` (of the parameters) and `notes` are said of a simulation; a fit says its own. Each
    site has its share [%] of the cells, under the body is the median of all cells. A site that the model does
    not have is white and has no words. Flows between organs are not drawn: curves do not determine them.

    >>> model, times = kn.load_model("nkg2d_blood"), [0.5, 1.0, 7.0, 28.0]
    >>> regimen = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=0, cells=1e9)
    >>> curves = kn.simulate(model, regimen, times=times, outputs=[*model.sites["car_nk"].values()])
    >>> shares = kn.exposures.site_shares(model, curves)
    >>> len(kn.plot.plot_body_map(model, shares, days=(1, 7)).layout.annotations) > 2
    True
    """
    shares = shares.dropna(subset=["share"])
    products = list(dict.fromkeys(shares["product"]))
    times = {p: _nearest(shares[shares["product"] == p], days) for p in products}
    columns = max(map(len, times.values()))
    titles = [[f"{product_name(p)}, {_day(t)}" for t in times[p]] for p in products]
    figure = make_subplots(
        len(products),
        columns,
        subplot_titles=[t for row in titles for t in [*row, *[""] * (columns - len(row))]],
        horizontal_spacing=0.012,
        vertical_spacing=0.1 / len(products),
    )
    figure.update_annotations(font_size=13)
    for row, product in enumerate(products, start=1):
        for column, time in enumerate(times[product], start=1):
            own = shares[(shares["product"] == product) & np.isclose(shares["time"], time)]
            _add_body(figure, DataFrame(own).set_index("site"), row=row, col=column)
    _add_scale(figure)
    clock = (
        "Days are from a subject's first infusion of the product."
        if isinstance(of, Fit)
        else "Days of the simulation."
    )
    said = [f"Share: mean over patients and draws; cells in all: the median. {clock} Organs are a scheme."]
    finish_sites(
        figure,
        of,
        "Where the cells are",
        [*said, *notes],
        synthetic=synthetic,
        source=source,
        height=330 * len(products) + 250,
        top=112,
        bottom=138,
    )
    figure.update_xaxes(visible=False, range=[-1.5, 1.5], fixedrange=True)
    return figure.update_yaxes(visible=False, range=[-0.3, 2.42], fixedrange=True)


def _nearest(own: DataFrame, days: Sequence[float]) -> list[float]:
    """The times next to `days`; of a product that a simulation gives later, `days` after its first cells."""
    times = np.unique(own["time"].to_numpy(float))
    start = times[0] if times[0] > 1.0 else 0.0
    return list(dict.fromkeys(float(times[np.abs(times - start - day).argmin()]) for day in days))


def _day(time: float) -> str:
    return f"hour {24 * time:.2g}" if time < 0.99 else f"day {time:g}"


def _add_body(figure: Figure, own: DataFrame, **where: Any) -> None:
    """The outline, its organs from the back to the front, their words and the sum."""
    shape: dict[str, Any] = {"line": {"color": GREY, "width": 1}, "layer": "below", **where}
    here = {site: float(own.loc[site, "share"]) for site in _ORDER if site in own.index}  # pyright: ignore
    shade = {site: sample_colorscale(_SCALE, [share])[0] for site, share in here.items()}
    rest = shade.get("rest", "#ffffff")
    figure.add_shape(type="path", path=_BODY, fillcolor=rest, **shape)
    x0, y0, x1, y1 = _HEAD
    figure.add_shape(type="circle", x0=x0, y0=y0, x1=x1, y1=y1, fillcolor=rest, **shape)
    for site in _ORDER:
        if site in here and site == "liver":
            figure.add_shape(type="path", path=_LIVER, fillcolor=shade[site], **shape)
        for x0, y0, x1, y1 in _ELLIPSES.get(site, ()) if site in here else ():
            figure.add_shape(type="circle", x0=x0, y0=y0, x1=x1, y1=y1, fillcolor=shade[site], **shape)
    for site, share in here.items():
        (x, y), height, side = _LABELS[site]
        figure.add_trace(
            Scatter(
                x=[x, side * _ASIDE],
                y=[y, height],
                mode="lines",
                line={"color": GREY, "width": 0.8},
                hoverinfo="skip",
                showlegend=False,
                meta={"role": "leader"},
            ),
            **where,
        )
        _add_words(figure, site, share, own, side * (_ASIDE + 0.03), height, side, **where)
    cells = float(own.loc["all", "median"])  # pyright: ignore[reportArgumentType]
    figure.add_trace(
        Scatter(
            x=[0],
            y=[-0.12],
            mode="text",
            text=[f"{number_text(cells, 2)} cells in all"],
            showlegend=False,
            textfont={"size": 12, "color": INK},
            hoverinfo="skip",
            customdata=[cells],
            meta={"role": "total"},
        ),
        **where,
    )


def _add_words(
    figure: Figure, site: str, share: float, own: DataFrame, x: float, y: float, side: int, **where: Any
) -> None:
    name = "Rest" if site == "rest" else site_name(site)
    text = f"{name}<br>{_percent(share)}"
    cells = float(own.loc[site, "median"])  # pyright: ignore[reportArgumentType]
    figure.add_trace(
        Scatter(
            x=[x],
            y=[y],
            mode="text",
            text=[text],
            textposition="middle right" if side > 0 else "middle left",
            textfont={"size": 12, "color": INK},
            customdata=[share],
            showlegend=False,
            hovertemplate=f"{name}: {_percent(share)}, {number_text(cells)} cells<extra></extra>",
            meta={"role": site},
        ),
        **where,
    )


def _percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.001 else f"{number_text(100 * share, 2)} %"


def _add_scale(figure: Figure) -> None:
    """The key of the shades, below."""
    bar = {
        "orientation": "h", "len": 0.36, "thickness": 10, "x": 0.5, "y": -0.02, "yanchor": "top",
        "tickvals": [0, 25, 50, 75, 100], "outlinewidth": 0.5,
        "title": {"text": "Share of the product's cells (%)", "side": "bottom", "font": {"size": 12}},
    }  # fmt: skip
    figure.add_trace(
        Scatter(
            x=[None],
            y=[None],
            mode="markers",
            showlegend=False,
            hoverinfo="skip",
            meta={"role": "scale"},
            marker={
                "colorscale": _SCALE,
                "cmin": 0,
                "cmax": 100,
                "color": [0],
                "showscale": True,
                "colorbar": bar,
            },
        ),
        row=1,
        col=1,
    )
