"""Where a product's cells are over time: the number of all cells, and below it a stack of the organs' shares.

`finish_sites` and `site_name` serve every figure of organs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import INK, PALETTE, dress, faint, finish, log_range, product_name, value_axis

__all__ = ["SITE_COLOURS", "finish_sites", "plot_organ_stack", "site_name"]

# From the bottom of the stack to its top. Blood, liver and tumour have the colours of `plot_biodistribution`.
SITE_COLOURS = {
    "tumour": PALETTE[2],
    "liver": PALETTE[1],
    "spleen": PALETTE[3],
    "blood": PALETTE[0],
    "lung": PALETTE[5],
    "rest": "#c3cad1",
}
_DECADES = 6.0  # shown below the peak of all cells


def plot_organ_stack(
    of: Fit | Model,
    shares: DataFrame,
    *,
    synthetic: bool = False,
    source: str = "",
    notes: Sequence[str] = (),
) -> Figure:
    """A column for each product: all its cells above, and below them a stack of each site's share [%].

    `shares` is the table of `kinetics.exposures.site_shares` and `of` the fit or model that it comes from.
    Shares are means over patients and draws and add up to 100 %. The line above is the median, its band holds
    90 %. `synthetic`, `source` (of the parameters) and `notes` describe a simulation on the figure; a fit
    carries its own.

    >>> model, times = kn.load_model("nkg2d_blood"), [0.5, 1.0, 7.0, 28.0]
    >>> regimen = kn.Regimen.dose(product="car_nk", route="hepatic_artery", on=0, cells=1e9)
    >>> curves = kn.simulate(model, regimen, times=times, outputs=[*model.sites["car_nk"].values()])
    >>> shares = kn.exposures.site_shares(model, curves)
    >>> len(kn.plot.plot_organ_stack(model, shares).data) > 4
    True
    """
    require(of=(of, Fit | Model))
    products = list(dict.fromkeys(shares["product"]))
    shared_axes: dict[str, Any] = {"shared_xaxes": "columns", "shared_yaxes": "rows"}
    figure = make_subplots(
        2,
        len(products),
        row_heights=[0.38, 0.62],
        horizontal_spacing=0.05,
        vertical_spacing=0.06,
        column_titles=[product_name(p) for p in products],
        **shared_axes,
    )
    figure.update_annotations(font_size=14)
    total = shares[shares["site"] == "all"]
    high = float(total["upper"].max())
    least = float(total["lower"].clip(lower=0).min())
    limits = log_range([high, max(high * 10**-_DECADES, least)])
    in_legend: set[str] = set()
    for column, product in enumerate(products, start=1):
        cells = DataFrame(total[total["product"] == product])
        style: dict[str, Any] = {
            "floor": limits[0],
            "colour": INK,
            "show": column == 1,
            "row": 1,
            "col": column,
        }
        add_band(figure, cells, "lower", "upper", opacity=0.14, name="90 %", **style)
        add_curve(figure, cells, "median", name="all cells, median", **style)
        of_product = DataFrame(shares[shares["product"] == product])
        _add_stack(figure, of_product, column, in_legend)
        in_legend |= set(of_product["site"])
    _stack_axes(figure, products, limits, of_fit=isinstance(of, Fit))
    key = ["Stack: mean share of each site, over patients and draws. Line, band: all cells, median and 90 %."]
    if shares["share"].isna().any():
        key.append(
            "A stack ends where more than half have less than a millionth of the most cells that they had."
        )
    finish_sites(
        figure,
        of,
        "Organ upon organ: where the cells are",
        [*key, *notes],
        synthetic=synthetic,
        source=source,
        height=640,
        top=138,
        bottom=96,
    )
    legend = {"orientation": "h", "x": 0, "y": 1 + 28 / 400, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(legend=legend)


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


def _add_stack(figure: Figure, shares: DataFrame, column: int, in_legend: set[str]) -> None:
    """Stack the sites of one product; a site that is `in_legend` already is not entered again."""
    shares = shares.dropna(subset=["share"])
    present = set(shares["site"]) - {"all"}
    sites = dict.fromkeys([*SITE_COLOURS, *shares["site"]])  # those with a colour first, each once
    for site in [s for s in sites if s in present]:
        rows = shares[shares["site"] == site]
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
                showlegend=site not in in_legend,
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
    """Give a figure of organs its title, labels and footer.

    The footer has `notes`, the number of parameters that are design guesses, and the study and hashes of a
    fit or the hash of a model. `height`, `top` and `bottom` (margins) are in pixels.
    """
    model = of.model if isinstance(of, Fit) else of
    notes = list(notes)
    if isinstance(of, Fit):
        guesses = [name for name in of.bound.held if model.parameters[name].guess]
        verb = "are held at"
    else:
        guesses = [name for name in model.parameters if model.parameters[name].guess]
        verb = "are"
    if guesses:
        notes.append(f"{len(guesses)} of {len(model.parameters)} parameters {verb} design guesses.")
    subtitle = "Cells in the whole of each site, not per volume"
    if isinstance(of, Fit):
        return finish(
            figure,
            of.study,
            title=title,
            subtitle=subtitle,
            notes=notes,
            fit=of,
            height=height,
            top=top,
            bottom=bottom,
        )
    name = f"Model {model.name} {model.sha256[:8]}".rstrip()
    notes.append(f"{name} · {source}" if source else name)
    labels = []
    if synthetic:
        labels.append("SYNTHETIC DATA")
    if guesses:
        labels.append("DESIGN GUESSES")
    return dress(figure, title, subtitle, notes, labels, height=height, top=top, bottom=bottom)


def site_name(site: str) -> str:
    """The name of a site as it is printed: `Lung`, `Rest of the body`."""
    if site == "rest":
        return "Rest of the body"
    return site.replace("_", " ").capitalize()
