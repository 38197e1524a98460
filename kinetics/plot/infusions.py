"""Where infusions are marked in a figure over time: a row of symbols for each product, above the records."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.outcomes import cell_products
from kinetics.plot.frame import INK, number_text, product_name
from kinetics.plot.records import first_dose, rows_where
from kinetics.study import Study

__all__ = ["add_infusions", "infusion_symbols", "infusions_of", "room_for_infusions"]

_SYMBOLS = {"car_nk": "triangle-up-open", "car_t": "triangle-down"}
_OTHER_SYMBOLS = ("circle-open", "square", "diamond-open", "star")  # of products that are neither
_ROW = 0.07  # height of the row of a product, as a share of the axis


def infusion_symbols(study: Study) -> dict[str, str]:
    """The symbol of each product whose infusions are marked: those of cells, or of all where none is cells.

    >>> from kinetics.plot.infusions import infusion_symbols
    >>> infusion_symbols(kn.read_study("nkg2d_phase1_synthetic"))
    {'car_nk': 'triangle-up-open', 'car_t': 'triangle-down'}
    """
    products = cell_products(study) or list(dict.fromkeys(study.doses["product"]))
    others = [product for product in products if product not in _SYMBOLS]
    symbols = dict(zip(others, cycle(_OTHER_SYMBOLS), strict=False))
    return {product: _SYMBOLS.get(product) or symbols[product] for product in products}


def infusions_of(study: Study) -> DataFrame:
    """Every infusion that is marked: subject, product, time [day since the subject's first dose], text.

    >>> from kinetics.plot.infusions import infusions_of
    >>> infusions_of(kn.read_study("nkg2d_phase1_synthetic"))["text"].iloc[0]
    'S01, day 0: CAR-NK infusion'
    """
    doses = rows_where(study.doses, "product", *infusion_symbols(study))
    zero = first_dose(study)
    time = [float(t) - zero[str(s)] for t, s in zip(doses["time"], doses["subject"], strict=True)]
    names = [
        _name(str(product), str(route))
        for product, route in zip(doses["product"], doses["route"], strict=True)
    ]
    rows = zip(doses["subject"], time, names, strict=True)
    text = [f"{subject}, day {number_text(day, trim=True)}: {name}" for subject, day, name in rows]
    columns = {"subject": doses["subject"].astype(str), "product": doses["product"], "time": time}
    return DataFrame(columns | {"name": names, "text": text}).reset_index(drop=True)


def room_for_infusions(span: tuple[float, float], rows: int, *, log: bool) -> tuple[float, float]:
    """The ends of a value axis, with room at the top for so many rows of infusions.

    >>> from kinetics.plot.infusions import room_for_infusions
    >>> room_for_infusions((0.0, 93.0), 1, log=False)
    (0.0, 100.0)
    """
    share = 1 / (1 - _ROW * rows)
    low, high = span
    if log:
        return low, low * (high / low) ** share
    return low, low + (high - low) * share


def add_infusions(
    figure: Figure,
    study: Study,
    infusions: DataFrame,
    span: tuple[float, float],
    *,
    log: bool,
    show: bool = True,
    **where: Any,
) -> None:
    """Mark infusions (rows of `infusions_of`) at the top of an axis over `span`, a row for each product.

    `show` puts the products in the legend; `row` and `col` name a panel of a grid, `legend` the legend.
    """
    place = {key: where.pop(key) for key in ("row", "col") if key in where}
    for k, (product, symbol) in enumerate(infusion_symbols(study).items()):
        of_product = rows_where(infusions, "product", product)
        share = 1 - _ROW * (k + 0.5)
        low, high = span
        height = low * (high / low) ** share if log else low + share * (high - low)
        figure.add_trace(
            Scatter(
                x=of_product["time"] if len(of_product) else [None],
                y=np.full(max(1, len(of_product)), height),
                mode="markers",
                name=_legend_name(study, product),
                legendgroup=f"infusion {product}",
                showlegend=show,
                marker={"symbol": symbol, "size": 7, "color": INK, "line": {"width": 1, "color": INK}},
                text=of_product["text"],
                hoverinfo="text",
                cliponaxis=False,
                meta={"role": "infusions", "product": product},
                **where,
            ),
            **place,
        )


def _legend_name(study: Study, product: str) -> str:
    """`CAR-NK infusion`, or of an oral drug `drug dose`."""
    routes = study.doses["route"][study.doses["product"] == product]
    return _name(product, str(routes.iloc[0]))


def _name(product: str, route: str) -> str:
    """One dose of a product in words."""
    return f"{product_name(product)} {'dose' if route == 'oral' else 'infusion'}"
