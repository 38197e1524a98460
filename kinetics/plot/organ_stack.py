"""Where a product's cells are, organ upon organ over time: each site's share, under how many cells there
are in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import INK, PALETTE, dress, faint, finish, log_range, product_name, value_axis

__all__ = ["SITE_COLOURS", "finish_sites", "plot_organ_stack", "site_name"]

# Blood, liver and tumour as in `plot_biodistribution`; bottom to top.
SITE_COLOURS = {
    "tumour": PALETTE[2],
    "liver": PALETTE[1],
    "spleen": PALETTE[3],
    "blood": PALETTE[0],
    "lung": PALETTE[5],
    "rest": "#c3cad1",
}
_DECADES = 6.0  # of all cells, below their peak


def plot_organ_stack(
    of: Fit | Model,
    shares: DataFrame,
    *,
    synthetic: bool = False,
    source: str = "",
    notes: Sequence[str] = (),
) -> Figure:
    """`shares` of `kinetics.site_shares`: a column a product; above all its cells, below each site's share
    [%].

    Shares are means over patients and draws and add to 100 %; the line above is the median, its band holds 90
    %. `synthetic`, `source` (of the parameters) and `notes` are said of a simulation; a fit says its own.

    >>> model, times = kn.load_model("nkg2d_blood"), [0.5, 1.0, 7.0, 28.0]
    >>> regimen = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=0, cells=1e9)
    >>> curves = kn.simulate(model, regimen, times=times, outputs=[*model.sites["car_nk"].values()])
    >>> shares = kn.exposures.site_shares(model, curves)
    >>> len(kn.plot.plot_organ_stack(model, shares).data) > 4
    True
    """
    products = list(dict.fromkeys(shares["product"]))
    every: dict[str, Any] = {"shared_xaxes": "columns", "shared_yaxes": "rows"}
    figure = make_subplots(
        2,
        len(products),
        row_heights=[0.38, 0.62],
        horizontal_spacing=0.05,
        vertical_spacing=0.06,
        column_titles=[product_name(p) for p in products],
        **every,
    )
    figure.update_annotations(font_size=14)
    total = shares[shares["site"] == "all"]
    high = float(total["upper"].max())
    limits = log_range([high, max(high * 10**-_DECADES, float(total["lower"].clip(lower=0).min()))])
    for column, product in enumerate(products, start=1):
        own = DataFrame(total[total["product"] == product])
        first = column == 1
        add_band(figure, own, "lower", "upper", limits[0], INK, 0.14, "90 %", show=first, row=1, col=column)
        add_curve(figure, own, "median", limits[0], INK, "all cells, median", show=first, row=1, col=column)
        _add_stack(figure, DataFrame(shares[shares["product"] == product]), products[:column], shares, column)
    _stack_axes(figure, products, limits, of_fit=isinstance(of, Fit))
    said = [
        "Stack: mean share of each site, over patients and draws. Line, band: all cells, median and 90 %."
    ]
    if shares["share"].isna().any():
        said.append(
            "A stack ends where more than half have less than a millionth of the most cells that they had."
        )
    finish_sites(
        figure,
        of,
        "Organ upon organ: where the cells are",
        [*said, *notes],
        synthetic=synthetic,
        source=source,
        height=640,
        top=138,
        bottom=96,
    )
    key = {"orientation": "h", "x": 0, "y": 1 + 28 / 400, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(legend=key)


def _stack_axes(
    figure: Figure, products: Sequence[str], limits: tuple[float, float], *, of_fit: bool
) -> None:
    figure.update_yaxes(row=1, **value_axis(limits, log=True))
    figure.update_yaxes(row=2, range=[0, 100])
    figure.update_yaxes(title_text="Cells in all", row=1, col=1)
    figure.update_yaxes(title_text="Share of the cells (%)", row=2, col=1)
    for column, product in enumerate(products, start=1):
        title = f"Time since a subject’s first {product_name(product)} infusion (days)"
        figure.update_xaxes(title_text=title if of_fit else "Time (days)", row=2, col=column)


def _add_stack(figure: Figure, own: DataFrame, so_far: Sequence[str], shares: DataFrame, column: int) -> None:
    """One product's sites; a site enters the key with the first product that has it."""
    own = own.dropna(subset=["share"])
    known = set(shares.loc[shares["product"].isin(list(so_far[:-1])), "site"])
    sites = [s for s in [*SITE_COLOURS, *own["site"]] if s != "all" and (own["site"] == s).any()]
    for site in dict.fromkeys(sites):
        rows = own[own["site"] == site]
        colour = SITE_COLOURS.get(site, PALETTE[4])
        name = site_name(site)
        figure.add_trace(
            Scatter(
                x=rows["time"],
                y=100 * rows["share"],
                stackgroup=f"product {column}",
                mode="lines",
                name=name,
                line={"color": "white", "width": 0.6},
                fillcolor=faint(colour, 0.85),
                legendgroup=name,
                showlegend=site not in known,
                meta={"role": site},
                hovertemplate="day %{x:.3g}: %{y:.3g} %<extra>" + name + "</extra>",
            ),
            row=2,
            col=column,
        )


def finish_sites(
    figure: Figure,
    of: Fit | Model,
    title: str,
    notes: Sequence[str],
    *,
    synthetic: bool,
    source: str,
    height: int,
    top: int,
    bottom: int,
) -> Figure:
    """The frame of a figure of sites: a fit's study and hashes, or a model's, and how much of it is
    guessed.
    """
    model = of.model if isinstance(of, Fit) else of
    held = of.bound.held if isinstance(of, Fit) else model.parameters
    guesses = [name for name in held if model.parameters[name].guess]
    about = "are held at design guesses" if isinstance(of, Fit) else "are design guesses"
    said = [*notes, *([f"{len(guesses)} of {len(model.parameters)} parameters {about}."] if guesses else [])]
    subtitle = "Cells in the whole of each site, not per volume"
    if isinstance(of, Fit):
        finish(
            figure,
            of.study,
            title=title,
            subtitle=subtitle,
            notes=said,
            fit=of,
            height=height,
            top=top,
            bottom=bottom,
        )
        return figure
    said.append(" · ".join(filter(None, [f"Model {model.name} {model.sha256[:8]}".rstrip(), source])))
    labels = [*(["SYNTHETIC DATA"] if synthetic else []), *(["DESIGN GUESSES"] if guesses else [])]
    return dress(figure, title, subtitle, said, labels, height=height, top=top, bottom=bottom)


def site_name(site: str) -> str:
    """`Lung`; "Rest of the body"."""
    return "Rest of the body" if site == "rest" else site.replace("_", " ").capitalize()
