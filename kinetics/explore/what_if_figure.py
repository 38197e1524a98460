"""The figures and the table of an answer: new patients in liver, tumour and blood, by one or two routes.

`plot_sites` draws the places in the body, `plot_outputs` what assays would see, `exposure_table` has the
numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from kinetics.explore.target import Target
from kinetics.explore.what_if import OTHER_ROUTE, Answer, Choice
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
ARMS = {
    "chosen": (PALETTE[0], "solid"),
    "other": (PALETTE[1], "dash"),
}  # colour and dash of each route's lines
_DECADES = 7  # most decades of a log axis
_REGIMEN = 84  # most characters in a line of the regimen: a window of 1,000 px has room for them
_WIDE = 36  # most characters in a line of a panel's title
_COLUMNS = ("q5", "q50", "q95")


def plot_sites(
    answer: Answer, target: Target, choice: Choice, *, log: bool = True, notes: Sequence[str] = ()
) -> Figure:
    """The curves in each site, for a model that has sites: a row for each product, a column for each site.

    A panel has both routes if the answer has them.
    """
    model = _model(target)
    products = [product for product in model.sites if product in choice.starts]
    sites = [site for site in SITES if any(site in model.sites[product] for product in products)]
    shared: Any = {"shared_xaxes": True, "shared_yaxes": "rows"}
    figure = make_subplots(
        len(products),
        len(sites),
        **shared,
        horizontal_spacing=0.03,
        vertical_spacing=0.14 / max(len(products), 1),
        subplot_titles=[SITES[site] for site in sites],
    )
    for row, product in enumerate(products, start=1):
        output_of_site = model.sites[product]
        outputs = [output_of_site[site] for site in sites if site in output_of_site]
        span = _span(_rows(answer.bands, outputs), log)
        for col, site in enumerate(sites, start=1):
            if site in output_of_site:
                first = row == 1 and col == 1
                bands = _rows(answer.bands, [output_of_site[site]])
                _add_arms(figure, bands, choice, span=span, log=log, show=first, row=row, col=col)
        figure.update_yaxes(title_text=f"{product_name(product)} (cells)", row=row, col=1)
    title = "Where the cells would be"
    _dress(figure, target, choice, title=title, plot_height=250 * len(products), notes=notes)
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
    """A panel for each of the outputs: what assays would see, cytokines, lesions."""
    model = _model(target)
    columns = min(3, len(outputs))
    rows = ceil(len(outputs) / columns)
    shared: Any = {"shared_xaxes": "all"}
    figure = make_subplots(
        rows,
        columns,
        **shared,
        horizontal_spacing=0.09,
        vertical_spacing=0.24 / rows,
        subplot_titles=[_title(model, name) for name in outputs],
    )
    for k, name in enumerate(outputs):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        bands = _rows(answer.bands, [name])
        panel_log = log and _suits_log_axis(bands)
        span = _span(bands, panel_log)
        _add_arms(figure, bands, choice, span=span, log=panel_log, show=k == 0, **where)
    figure.update_xaxes(showticklabels=True)
    _dress(figure, target, choice, title="What assays would see", plot_height=240 * rows, notes=notes)
    return figure


def exposure_table(answer: Answer, model: Model, choice: Choice, outputs: Sequence[str] = ()) -> DataFrame:
    """Median and 90 % interval over new patients of peak and AUC 0-28 d.

    One row for each site of a product that is given, and for each of `outputs`. "other / chosen" is the ratio
    of the areas by both routes in the same patient; the columns of the other route are there only if it is.
    """
    outputs_by_label = [
        (f"{product_name(product)}, {site}", output)
        for product, sites in model.sites.items()
        if product in choice.starts
        for site, output in sites.items()
        if site in SITES
    ]
    outputs_by_label += [(short_label(model, name), name) for name in outputs]
    rows = []
    for label, output in outputs_by_label:
        numbers = answer.numbers[answer.numbers["output"] == output].set_index("patient")
        chosen = numbers[numbers["route"] == "chosen"]
        other = numbers[numbers["route"] == "other"]
        unit = unit_text(model.outputs[output].unit)
        row = {
            "what": f"{label} ({unit})" if unit else label,
            "peak": _interval(chosen["peak"]),
            "peak day": _interval(chosen["peak_day"]),
            "AUC 0–28 d": _interval(chosen["auc_28d"]),
        }
        if (answer.numbers["route"] == "other").any():
            row["other route, AUC"] = _interval(other["auc_28d"])
            row["other / chosen"] = _interval(other["auc_28d"] / chosen["auc_28d"])
        rows.append(row)
    return DataFrame(rows)


def _interval(values: Any) -> str:
    """The median and 90 % interval of the finite values as text, "—" if there are none."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return "—"
    low, middle, high = np.quantile(finite, [0.05, 0.5, 0.95])
    return f"{_unbroken(middle)} ({_unbroken(low)} to {_unbroken(high)})"


def _unbroken(value: float) -> str:
    """A number as text that a table breaks in no line."""
    return number_text(value, 2).replace(" ", "\u00a0")


def _model(target: Target) -> Model:
    assert target.model is not None
    return target.model


def _rows(bands: DataFrame, outputs: Sequence[str]) -> DataFrame:
    """The rows of these outputs."""
    return DataFrame(bands[bands["output"].isin(list(outputs))])


def _suits_log_axis(bands: DataFrame) -> bool:
    """Whether no value is negative and the largest is more than 10 times the smallest positive one."""
    values = bands[list(_COLUMNS)].to_numpy(float)
    return bool((values >= 0).all() and values.max() > 10 * values[values > 0].min(initial=np.inf))


def _span(bands: DataFrame, log: bool) -> tuple[float, float]:
    """The range of an axis that holds the bands: at most 7 decades if logarithmic, else with 0."""
    values = bands[list(_COLUMNS)].to_numpy(float).ravel()
    values = values[np.isfinite(values)]
    if log:
        low, high = log_range(values)
        return max(low, high / 10**_DECADES), high
    if not values.size:
        return 0.0, 1.05
    low = float(values.min())
    high = float(values.max())
    return min(low, 0.0), (1.05 * high if high > 0 else 1.0)


def _add_arms(
    figure: Figure,
    bands: DataFrame,
    choice: Choice,
    *,
    span: tuple[float, float],
    log: bool,
    show: bool,
    **where: Any,
) -> None:
    """Draw the median and the 90 % band of one output by each route.

    Only the first route's band is filled: two that lie upon each other would be one colour. The ends of both
    are lines in the colour and dash of the route.
    """
    floor = span[0] if log else -np.inf
    for route, table in bands.groupby("route", sort=False):
        colour, dash = ARMS[str(route)]
        name = arm_name(choice, str(route))
        shared: dict[str, Any] = {"floor": floor, "colour": colour, **where}
        add_band(
            figure,
            table,
            lower="q5",
            upper="q95",
            opacity=0.18 if route == "chosen" else 0.0,
            name=f"{name}: 90 %",
            show=False,
            **shared,
        )
        for end in ("q5", "q95"):
            add_curve(
                figure, table, column=end, name=f"{name}: 90 %", dash=dash, width=0.8, show=False, **shared
            )
        add_curve(figure, table, column="q50", name=name, dash=dash, show=show, **shared)
    figure.update_yaxes(**value_axis(span, log=log), **where)


def arm_name(choice: Choice, route: str) -> str:
    """The routes of one arm: `hepatic artery`, or `CAR-NK hepatic artery, CAR-T iv` where products differ."""
    names = {}
    for course in choice.given:
        course_route = course.route if route == "chosen" else OTHER_ROUTE[course.route]
        names[course.product] = course_route.replace("_", " ")
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return ", ".join(f"{product_name(product)} {name}" for product, name in names.items())


def short_label(model: Model, name: str) -> str:
    """An output's label up to its first comma or bracket."""
    return re.split(r"[,(]", model.outputs[name].label)[0].strip()


def _title(model: Model, name: str) -> str:
    """The title of an output's panel: its label and unit."""
    title = short_label(model, name)
    unit = unit_text(model.outputs[name].unit)
    if unit:
        title += f", {unit}"
    return "<br>".join(wrap(title, _WIDE))


def _dress(
    figure: Figure,
    target: Target,
    choice: Choice,
    *,
    title: str,
    plot_height: int,
    notes: Sequence[str],
) -> None:
    """Give the figure its marks, title, regimen, notes, labels, legend and axis of days."""
    model = _model(target)
    _mark(figure, _infusion_days(choice))

    # notes: how to read the figure, design guesses, and where the numbers come from
    footer = [
        *notes,
        "Line: median. Band: 90 % of new patients, each of a draw of its own. Dotted: infusions of cells.",
    ]
    guesses = len(target.guesses)
    if guesses:
        footer.append(f"{guesses} of {len(model.parameters)} parameters of the model are design guesses.")
    origin = f"Model {model.name} {model.sha256[:8]}"
    if target.fit:
        origin += f" · study {target.study.name}, data {target.study.sha256[:8]}"
    footer += [target.source, origin]

    # the frame, with as many lines for the regimen as it needs
    regimen = "<br>".join(wrap(describe(choice), _REGIMEN))
    top = 146 + 16 * regimen.count("<br>")
    bottom = 96
    height = plot_height + top + bottom + 15 * (len(footer) - 1)
    figure.update_annotations(font_size=13)
    dress(figure, title, regimen, footer, target.labels, height=height, top=top, bottom=bottom)
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1 + 38 / plot_height, "yanchor": "bottom"})
    figure.update_xaxes(range=[0, choice.until])
    figure.update_xaxes(
        title_text="Time (study days)", selector=lambda axis: axis.showticklabels is not False
    )


def _mark(figure: Figure, days: Sequence[float]) -> None:
    """Draw a dotted line per day in every panel, all at once: `add_vline` takes a third of a second each."""
    line = {"color": GREY, "dash": "dot", "width": 1}
    axes: Any = figure.select_yaxes()
    numbers = [str(axis.plotly_name).removeprefix("yaxis") for axis in axes]
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
        for k in numbers
        for day in days
    ]
    figure.update_layout(shapes=shapes)


def _infusion_days(choice: Choice) -> list[float]:
    """The days of all infusions of cells that are on the axis."""
    days = {course.start + day for course in choice.given for day in range(course.split)}
    if choice.second_cycle is not None:
        days |= {day + choice.second_cycle for day in days}
    return sorted(day for day in days if day <= choice.until)


def describe(choice: Choice) -> str:
    """The regimen in a line: `CAR-NK 2 × 3 × 10⁷ cells/kg hepatic artery, day 0, 1; ...; 70 kg`."""
    parts = []
    for course in choice.given:
        days = ", ".join(f"{course.start + day:g}" for day in range(course.split))
        times = f"{course.split} × " if course.split > 1 else ""
        amount = number_text(course.cells_per_kg / course.split, 2, trim=True)
        name = product_name(course.product)
        route = course.route.replace("_", " ")
        parts.append(f"{name} {times}{amount} cells/kg {route}, day {days}")
    if choice.second_cycle is not None:
        parts.append(f"again after {choice.second_cycle:g} days")
    if choice.lymphodepletion != "none":
        parts.append(f"lymphodepletion before {choice.lymphodepletion} cycle")
    return "; ".join([*parts, f"{choice.weight_kg:g} kg"])
