"""What new patients' curves would be: liver and tumour beside blood, by the chosen route and by the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from kinetics.explore.target import Target
from kinetics.explore.what_if import Answer, Choice
from kinetics.model import Model
from kinetics.plot import (
    GREY,
    PALETTE,
    add_band,
    add_curve,
    dress,
    log_range,
    number_text,
    product_name,
    unit_text,
    value_axis,
)

__all__ = [
    "ARMS",
    "arm_name",
    "describe",
    "exposure_table",
    "plot_outputs",
    "plot_sites",
    "short_label",
]

SITES = {"liver": "Liver (hepatic)", "tumour": "Liver tumour (hepatic)", "blood": "Blood (systemic)"}
ARMS = {"chosen": (PALETTE[0], "solid"), "other": (PALETTE[1], "dash")}
_DECADES = 7  # of a log axis at most
_WIDE = 36  # characters of a panel's title in a line
_COLUMNS = ("q5", "q50", "q95")


def plot_sites(
    answer: Answer, target: Target, choice: Choice, *, log: bool = True, notes: Sequence[str] = ()
) -> Figure:
    """A row a product, a column a site; both routes in one panel where the answer has both. The model has
    sites.
    """
    model = _model(target)
    products = [p for p in model.sites if any(c.product == p for c in choice.given)]
    sites = [site for site in SITES if any(site in model.sites[p] for p in products)]
    shared: Any = {"shared_xaxes": True, "shared_yaxes": "rows"}
    figure = make_subplots(
        len(products),
        len(sites),
        **shared,
        horizontal_spacing=0.03,
        vertical_spacing=0.14 / max(len(products), 1),
        subplot_titles=[SITES[site] for site in sites],
    )
    for r, product in enumerate(products):
        outputs = [model.sites[product][site] for site in sites if site in model.sites[product]]
        span = _span(_rows(answer.bands, outputs), log)
        for c, site in enumerate(sites):
            if output := model.sites[product].get(site):
                _add_arms(figure, answer, output, choice, span, log, show=r == c == 0, row=r + 1, col=c + 1)
        figure.update_yaxes(title_text=f"{product_name(product)} (cells)", row=r + 1, col=1)
    _dress(figure, target, choice, "Where the cells would be", 250 * len(products), notes)
    return figure


def plot_outputs(
    answer: Answer,
    target: Target,
    choice: Choice,
    outputs: Sequence[str],
    *,
    log: bool = True,
    notes: Sequence[str] = (),
) -> Figure:
    """A panel an output: what assays would see, cytokines, lesions."""
    model = _model(target)
    columns = min(3, len(outputs))
    rows = -(-len(outputs) // columns)
    every: Any = {"shared_xaxes": "all"}
    figure = make_subplots(
        rows,
        columns,
        **every,
        horizontal_spacing=0.09,
        vertical_spacing=0.24 / rows,
        subplot_titles=[_title(model, name) for name in outputs],
    )
    for k, name in enumerate(outputs):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        own = _rows(answer.bands, [name])
        shown = own[list(_COLUMNS)].to_numpy(float)
        as_log = log and bool((shown >= 0).all() and shown.max() > 10 * shown[shown > 0].min(initial=np.inf))
        _add_arms(figure, answer, name, choice, _span(own, as_log), as_log, show=k == 0, **where)
    figure.update_xaxes(showticklabels=True)
    _dress(figure, target, choice, "What assays would see", 240 * rows, notes)
    return figure


def exposure_table(answer: Answer, model: Model, choice: Choice, outputs: Sequence[str] = ()) -> DataFrame:
    """Median and 90 % of new patients of peak and AUC 0-28 d: a row a site of a product given, or an output.

    `ratio`: the other route's area over the chosen one's, patient by patient; "" where there is one route
    only.
    """
    named = [
        (f"{product_name(product)}, {site}", output)
        for product, sites in model.sites.items()
        if any(c.product == product for c in choice.given)
        for site, output in sites.items()
        if site in SITES
    ]
    named += [(short_label(model, name), name) for name in outputs]
    rows = []
    for label, output in named:
        own = answer.numbers[answer.numbers["output"] == output]
        arms = {str(route): table.set_index("patient") for route, table in own.groupby("route", sort=False)}
        chosen = arms["chosen"]
        other = arms.get("other")
        unit = unit_text(model.outputs[output].unit)
        ratio = "" if other is None else _interval(other["auc_28d"] / chosen["auc_28d"])
        rows.append(
            {
                "what": label,
                "unit": unit,
                "peak": _interval(chosen["peak"]),
                "peak day": _interval(chosen["peak_day"]),
                "AUC 0–28 d": _interval(chosen["auc_28d"]),
                "other route, AUC": "" if other is None else _interval(other["auc_28d"]),
                "other / chosen": ratio,
            }
        )
    return DataFrame(rows)


def _interval(values: Any) -> str:
    kept = np.asarray(values, float)
    kept = kept[np.isfinite(kept)]
    if not kept.size:
        return "—"
    low, middle, high = np.quantile(kept, [0.05, 0.5, 0.95])
    return f"{number_text(middle, 2)} ({number_text(low, 2)} to {number_text(high, 2)})"


def _model(target: Target) -> Model:
    assert target.model is not None
    return target.model


def _rows(bands: DataFrame, outputs: Sequence[str]) -> DataFrame:
    return DataFrame(bands[bands["output"].isin(list(outputs))])


def _span(bands: DataFrame, log: bool) -> tuple[float, float]:
    shown = bands[list(_COLUMNS)].to_numpy(float).ravel()
    shown = shown[np.isfinite(shown)]
    if log:
        low, high = log_range(shown)
        return max(low, high / 10**_DECADES), high
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
    return min(low, 0.0), (1.05 * high if high > 0 else 1.0)


def _add_arms(
    figure: Figure,
    answer: Answer,
    output: str,
    choice: Choice,
    span: tuple[float, float],
    log: bool,
    *,
    show: bool,
    **where: Any,
) -> None:
    own = _rows(answer.bands, [output])
    floor = span[0] if log else -np.inf
    for route, table in own.groupby("route", sort=False):
        colour, dash = ARMS[str(route)]
        name = arm_name(choice, str(route))
        add_band(figure, table, "q5", "q95", floor, colour, 0.18, f"{name}: 90 %", show=False, **where)
        add_curve(figure, table, "q50", floor, colour, name, dash=dash, show=show, **where)
    figure.update_yaxes(**value_axis(span, log=log), **where)


def arm_name(choice: Choice, route: str) -> str:
    """`hepatic artery`, or `CAR-NK hepatic artery, CAR-T iv`: the routes of one arm."""
    swap = {"iv": "hepatic_artery", "hepatic_artery": "iv", "portal_vein": "iv"}
    routes = {c.product: c.route if route == "chosen" else swap[c.route] for c in choice.given}
    said = {product: name.replace("_", " ") for product, name in routes.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{product_name(product)} {name}" for product, name in said.items())


def short_label(model: Model, name: str) -> str:
    """An output's label up to its first comma or bracket."""
    return re.split(r"[,(]", model.outputs[name].label)[0].strip()


def _title(model: Model, name: str) -> str:
    words = short_label(model, name)
    unit = unit_text(model.outputs[name].unit)
    return "<br>".join(wrap(f"{words}, {unit}" if unit else words, _WIDE))


def _dress(
    figure: Figure, target: Target, choice: Choice, title: str, plot: int, notes: Sequence[str]
) -> None:
    model = _model(target)
    guesses = target.guesses
    _mark(figure, _infusion_days(choice))
    said = [
        *notes,
        "Line: median. Band: 90 % of new patients, each of a draw of its own. Dotted: infusions of cells.",
    ]
    if guesses:
        said.append(f"{len(guesses)} of {len(model.parameters)} parameters of the model are design guesses.")
    data = f"study {target.study.name}, data {target.study.sha256[:8]}" if target.fit else ""
    said += [target.source, " · ".join(filter(None, [f"Model {model.name} {model.sha256[:8]}", data]))]
    told = "<br>".join(wrap(describe(choice), 105))
    top = 146 + 16 * told.count("<br>")
    bottom = 96
    height = plot + top + bottom + 15 * (len(said) - 1)
    figure.update_annotations(font_size=13)
    dress(figure, title, told, said, target.labels, height=height, top=top, bottom=bottom)
    figure.update_annotations(selector={"name": "labels"}, yshift=top - 12)  # the regimen has the line below
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1 + 38 / plot, "yanchor": "bottom"})
    figure.update_xaxes(range=[0, choice.until])
    figure.update_xaxes(
        title_text="Time (study days)", selector=lambda axis: axis.showticklabels is not False
    )


def _mark(figure: Figure, days: Sequence[float]) -> None:
    """A dotted line a day in every panel, all set at once: `add_vline` takes a third of a second for each."""
    line = {"color": GREY, "dash": "dot", "width": 1}
    every: Any = figure.select_yaxes()
    axes = [str(axis.plotly_name).removeprefix("yaxis") for axis in every]
    shapes = [
        {
            "type": "line",
            "x0": day,
            "x1": day,
            "y0": 0,
            "y1": 1,
            "xref": f"x{k}",
            "yref": f"y{k} domain",
            "line": line,
            "layer": "below",
        }
        for k in axes
        for day in days
    ]
    figure.update_layout(shapes=shapes)


def _infusion_days(choice: Choice) -> list[float]:
    first = {course.start + day for course in choice.given for day in range(course.split)}
    again = {day + choice.second_cycle for day in first} if choice.second_cycle is not None else set()
    return sorted(day for day in first | again if day <= choice.until)


def describe(choice: Choice) -> str:
    """The regimen in a line: `CAR-NK 3 × 10⁷ cells/kg by hepatic artery on days 0, 1; ...`."""
    parts = []
    for course in choice.given:
        days = ", ".join(f"{course.start + day:g}" for day in range(course.split))
        each = f"{course.split} × " if course.split > 1 else ""
        amount = number_text(course.cells_per_kg / course.split, 2, trim=True)
        name = product_name(course.product)
        parts.append(f"{name} {each}{amount} cells/kg {course.route.replace('_', ' ')}, day {days}")
    if choice.second_cycle is not None:
        parts.append(f"again after {choice.second_cycle:g} days")
    if choice.lymphodepletion != "none":
        parts.append(f"lymphodepletion before {choice.lymphodepletion} cycle")
    return "; ".join([*parts, f"{choice.weight_kg:g} kg"])
