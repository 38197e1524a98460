"""Cells of each product in blood, liver and tumour over time, a line per patient: systemic beside hepatic."""

from __future__ import annotations

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.arrays import AnyArray
from kinetics.inference import Fit
from kinetics.plot.frame import (
    INK,
    PALETTE,
    SHARED,
    faint,
    finish,
    log_range,
    product_name,
    time_title,
    value_axis,
)

__all__ = ["plot_biodistribution"]

_SITES = ("blood", "liver", "tumour")
_DECADES = 7.0  # shown below the highest curve; no assay of an organ sees fewer cells


def plot_biodistribution(fit: Fit, curves: DataFrame) -> Figure:
    """A row of panels for each product: its cells in blood, liver and tumour, on one axis.

    `curves` is the table of `kinetics.exposures.site_curves`. Thin lines are the posterior medians of the
    patients, the bold line is the median over patients. The band is the 90 % interval of the patient with the
    middle peak.

    >>> from kinetics.plot import plot_biodistribution
    >>> fit = kn.load_fit("runs/nkg2d_blood__nkg2d_phase1_synthetic")
    >>> figure = plot_biodistribution(fit, kn.exposures.site_curves(fit, draws=2))
    >>> figure.layout.xaxis.title.text
    """
    require(fit=(fit, Fit))
    products = list(dict.fromkeys(curves["product"]))
    sites = [s for s in _SITES if (curves["site"] == s).any()]
    titles = [f"{product_name(product)}: {site.replace('_', ' ')}" for product in products for site in sites]
    figure = make_subplots(
        len(products),
        len(sites),
        **SHARED,
        subplot_titles=titles,
        horizontal_spacing=0.03,
        vertical_spacing=0.12,
    )
    top = float(curves["median"].max())
    limits = log_range([top, top * 10**-_DECADES])
    for row, product in enumerate(products, start=1):
        for column, site in enumerate(sites, start=1):
            panel_curves = curves[(curves["product"] == product) & (curves["site"] == site)]
            _add_panel(figure, panel_curves, row, column, limits[0])
    figure.update_yaxes(**value_axis(limits, log=True))
    for row in range(1, len(products) + 1):
        figure.update_yaxes(title_text="Cells", row=row, col=1)
    figure.update_xaxes(title_text=time_title(fit.study), row=len(products))
    notes = [
        "Thin: posterior median of each patient; bold: the median over patients; "
        "band: 90 % interval of one patient.",
        f"Where cells are follows from the model {fit.model.name}; "
        "what blood cannot tell is held at its values.",
    ]
    subtitle = "Systemic (blood) beside hepatic (liver, tumour): cells in all of each site"
    return finish(
        figure,
        fit.study,
        title="Where the cells are",
        subtitle=subtitle,
        notes=notes,
        fit=fit,
        height=250 * len(products) + 200,
        top=110,
    )


def _add_panel(figure: Figure, curves: DataFrame, row: int, column: int, floor: float) -> None:
    """Draw one product in one site: a band, the patients' lines and the line of the median."""
    colour = PALETTE[column - 1]
    # The 90 % interval of the patient with the middle peak.
    peaks = curves.groupby("subject")["median"].max().sort_values()
    middle_patient = curves[curves["subject"] == peaks.index[len(peaks) // 2]]
    lower = np.maximum(middle_patient["lower"].to_numpy(float), floor)
    upper = np.maximum(middle_patient["upper"].to_numpy(float), floor)
    time = middle_patient["time"].to_numpy(float)
    figure.add_trace(
        Scatter(
            x=np.concatenate([time, time[::-1]]),
            y=np.concatenate([upper, lower[::-1]]),
            fill="toself",
            fillcolor=faint(colour, 0.18),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=row,
        col=column,
    )
    # A line for each patient.
    for subject, curve in curves.groupby("subject", sort=False):
        figure.add_trace(
            Scatter(
                x=curve["time"],
                y=_above(curve["median"], floor),
                mode="lines",
                name=str(subject),
                line={"color": faint(colour, 0.45), "width": 1},
                showlegend=False,
                hovertemplate=f"{subject}<br>day %{{x:.1f}}: %{{y:.3s}} cells<extra></extra>",
            ),
            row=row,
            col=column,
        )
    # The median over patients, on days common to all.
    days = np.arange(0.0, curves["time"].max(), 0.25)
    by_patient = [np.interp(days, c["time"], c["median"]) for _, c in curves.groupby("subject", sort=False)]
    middle = _above(np.median(by_patient, axis=0), floor)
    figure.add_trace(
        Scatter(
            x=days,
            y=middle,
            mode="lines",
            line={"color": INK, "width": 2.2},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=row,
        col=column,
    )


def _above(cells: AnyArray | Series, floor: float) -> np.ndarray:
    """The values, NaN below `floor`, so that a line that leaves the axis is not drawn along its bottom."""
    values = np.asarray(cells, float)
    return np.where(values < floor, np.nan, values)
