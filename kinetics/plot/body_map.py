"""A drawing of the body on chosen days, each organ shaded by the share of a product's cells that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.colors import sample_colorscale
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
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
]  # from light to dark, so that it works with any kind of colour vision
# The body is seen from the front, so the patient's right is on the left; it is 2.4 units high.
_BODY = (
    "M -0.12 1.92 Q -0.44 1.9 -0.5 1.68 L -0.58 1.04 L -0.47 1.02 L -0.36 1.5 L -0.34 0.95 L -0.34 0.06 "
    "L -0.1 0.06 L -0.03 0.84 L 0.03 0.84 L 0.1 0.06 L 0.34 0.06 L 0.34 0.95 L 0.36 1.5 L 0.47 1.02 "
    "L 0.58 1.04 L 0.5 1.68 Q 0.44 1.9 0.12 1.92 Z"
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
_LABELS = {  # site -> where its leader line begins, the height of its text, and the side (-1 left, 1 right)
    "lung": ((0.24, 1.68), 1.86, 1), "blood": ((0.03, 1.56), 1.55, 1), "spleen": ((0.25, 1.29), 1.22, 1),
    "liver": ((-0.25, 1.32), 1.55, -1), "tumour": ((-0.08, 1.3), 1.12, -1), "rest": ((0.22, 0.5), 0.5, 1),
}  # fmt: skip
_ORDER = ("rest", "lung", "blood", "liver", "spleen", "tumour")  # from the back to the front
_LEADER_END = 0.66  # how far to the side of the middle line a leader line ends


def plot_body_map(
    of: Fit | Model,
    shares: DataFrame,
    *,
    days: Sequence[float] = DAYS,
    synthetic: bool = False,
    source: str = "",
    notes: Sequence[str] = (),
) -> Figure:
    """A row for each product with a body for each of `days` (at the nearest time in `shares`).

    `shares` is the table of `kinetics.exposures.site_shares` and `of` the fit or model that it comes from.
    Each site is labelled with its share [%] of the cells; under the body is the median of all cells. A site
    that the model does not have is white and has no label. Flows between organs are not drawn, because curves
    do not determine them. `synthetic`, `source` (of the parameters) and `notes` describe a simulation on the
    figure; a fit carries its own.

    >>> model, times = kn.load_model("nkg2d_blood"), [0.5, 1.0, 7.0, 28.0]
    >>> regimen = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=0, cells=1e9)
    >>> curves = kn.simulate(model, regimen, times=times, outputs=[*model.sites["car_nk"].values()])
    >>> shares = kn.exposures.site_shares(model, curves)
    >>> len(kn.plot.plot_body_map(model, shares, days=(1, 7)).layout.annotations) > 2
    True
    """
    require(of=(of, Fit | Model))
    shares = shares.dropna(subset=["share"])
    products = list(dict.fromkeys(shares["product"]))
    times = {p: _nearest(shares[shares["product"] == p], days) for p in products}
    columns = max(map(len, times.values()))
    titles = []
    for product in products:
        titles += [f"{product_name(product)}, {_day(time)}" for time in times[product]]
        titles += [""] * (columns - len(times[product]))
    figure = make_subplots(
        len(products),
        columns,
        subplot_titles=titles,
        horizontal_spacing=0.012,
        vertical_spacing=0.1 / len(products),
    )
    figure.update_annotations(font_size=13)
    for row, product in enumerate(products, start=1):
        for column, time in enumerate(times[product], start=1):
            on_day = shares[(shares["product"] == product) & np.isclose(shares["time"], time)]
            _add_body(figure, DataFrame(on_day).set_index("site"), row=row, col=column)
    _add_scale(figure)
    clock = "Days of the simulation."
    if isinstance(of, Fit):
        clock = "Days are from a subject's first infusion of the product."
    key = f"Share: mean over patients and draws; cells in all: the median. {clock} Organs are a scheme."
    finish_sites(
        figure,
        of,
        "Where the cells are",
        [key, *notes],
        synthetic=synthetic,
        source=source,
        height=330 * len(products) + 250,
        top=112,
        bottom=138,
    )
    figure.update_xaxes(visible=False, range=[-1.5, 1.5], fixedrange=True)
    return figure.update_yaxes(visible=False, range=[-0.3, 2.42], fixedrange=True)


def _nearest(shares: DataFrame, days: Sequence[float]) -> list[float]:
    """The times of one product's `shares` that are nearest to `days`, each once.

    Where a simulation gives the product later than day 1, `days` count from its first cells.
    """
    times = np.unique(shares["time"].to_numpy(float))
    start = times[0] if times[0] > 1.0 else 0.0
    nearest = [float(times[np.abs(times - start - day).argmin()]) for day in days]
    return list(dict.fromkeys(nearest))


def _day(time: float) -> str:
    return f"hour {24 * time:.2g}" if time < 0.99 else f"day {time:g}"


def _add_body(figure: Figure, shares: DataFrame, **where: Any) -> None:
    """Draw one body from its `shares`, indexed by site: outline, organs from back to front, labels, total."""
    shape: dict[str, Any] = {"line": {"color": GREY, "width": 1}, "layer": "below", **where}
    share_of = {site: float(shares.loc[site, "share"]) for site in _ORDER if site in shares.index}  # pyright: ignore
    shade = {site: sample_colorscale(_SCALE, [share])[0] for site, share in share_of.items()}
    rest = shade.get("rest", "#ffffff")
    figure.add_shape(type="path", path=_BODY, fillcolor=rest, **shape)
    x0, y0, x1, y1 = _HEAD
    figure.add_shape(type="circle", x0=x0, y0=y0, x1=x1, y1=y1, fillcolor=rest, **shape)
    for site in share_of:
        if site == "liver":
            figure.add_shape(type="path", path=_LIVER, fillcolor=shade[site], **shape)
        for x0, y0, x1, y1 in _ELLIPSES.get(site, ()):
            figure.add_shape(type="circle", x0=x0, y0=y0, x1=x1, y1=y1, fillcolor=shade[site], **shape)
    for site, share in share_of.items():
        (x, y), height, side = _LABELS[site]
        figure.add_trace(
            Scatter(
                x=[x, side * _LEADER_END],
                y=[y, height],
                mode="lines",
                line={"color": GREY, "width": 0.8},
                hoverinfo="skip",
                showlegend=False,
                meta={"role": "leader"},
            ),
            **where,
        )
        cells = float(shares.loc[site, "median"])  # pyright: ignore[reportArgumentType]
        _add_label(figure, site, share, cells, height=height, side=side, **where)
    cells = float(shares.loc["all", "median"])  # pyright: ignore[reportArgumentType]
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


def _add_label(
    figure: Figure, site: str, share: float, cells: float, *, height: float, side: int, **where: Any
) -> None:
    """Write the name of a site and its share at the end of its leader line."""
    name = "Rest" if site == "rest" else site_name(site)
    text = f"{name}<br>{_percent(share)}"
    figure.add_trace(
        Scatter(
            x=[side * (_LEADER_END + 0.03)],
            y=[height],
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
    """Draw the colour bar of the shares, below the bodies."""
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
