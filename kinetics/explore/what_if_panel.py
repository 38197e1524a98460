"""The panel of regimens that nobody was given: sliders, and the curves and numbers of new patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from plotly.graph_objects import Figure
from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError
from kinetics.explore.figure_output import figure_output, render_figure, save_buttons, words
from kinetics.explore.target import Target
from kinetics.explore.what_if import (
    LYMPHODEPLETION,
    Answer,
    Choice,
    Course,
    WhatIf,
    products_of,
    regimen_of,
    routes_of,
)
from kinetics.explore.what_if_figure import exposure_table, plot_outputs, plot_sites, short_label
from kinetics.model import Model
from kinetics.plot import number_text, product_name
from kinetics.spreadsheets import shown_csv_text

__all__ = ["serve_what_if", "what_if_panel"]

_SHOWN = ("copies", "transgenes", "cells", "il6", "lesions")  # outputs drawn at first, if the model has them
_START = {"car_t": 11}  # study day on which this product begins at first, if another one is given before
_BOTH_ROUTES = {"iv", "hepatic_artery"}  # the routes that can be compared


def what_if_panel(target: Target) -> Any:
    """The panel: sliders at the left; sites in the body, then assays, then numbers at the right."""
    model = target.model
    if model is None:
        reason = "Name a run (runs/NAME) or a model (--model NAME): then regimens can be tried here."
        return ui.nav_panel("What if", ui.p(reason, class_="kinetics-caution m-3"), value="what_if")
    if model.dose_unit != "cells":
        reason = f"{model.name} is dosed in {model.dose_unit}: regimens of cells cannot be tried on it."
        return ui.nav_panel("What if", ui.p(reason, class_="kinetics-caution m-3"), value="what_if")
    name = target.study.name
    outputs = [ui.output_ui("what_if_status")]
    if model.sites:
        outputs += [
            ui.div(*save_buttons("sites", f"{name}-sites"), class_="kinetics-tools"),
            figure_output("sites"),
        ]
    outputs += [
        ui.div(
            *save_buttons("assays", f"{name}-assays"),
            ui.download_button("what_if_data", "Bands, CSV", class_="btn-outline-secondary"),
            ui.download_button("what_if_numbers", "Numbers, CSV", class_="btn-outline-secondary"),
            ui.download_button("what_if_regimen", "Regimen, TOML", class_="btn-outline-secondary"),
            class_="kinetics-tools",
        ),
        figure_output("assays"),
        ui.output_ui("what_if_table"),
    ]
    layout = ui.layout_sidebar(ui.sidebar(*_sliders(target, model), width=310), *outputs)
    return ui.nav_panel("What if", layout, value="what_if")


def _sliders(target: Target, model: Model) -> Iterator[Any]:
    """The inputs of every product, of the course, and of the figures."""
    products = products_of(model, target.products)
    for product in products:
        is_second = len(products) > 1 and product in _START
        yield from _product_sliders(model, product, is_second)

    yield ui.tags.h6("Course", class_="mt-2 mb-1")
    yield ui.input_switch("again", "Second cycle", False)
    yield ui.input_slider("again_after", "Days from cycle to cycle", 14, 56, 28, step=1)
    if LYMPHODEPLETION in model.dosing:
        labels = {"none": "none", "first": "before the first cycle", "every": "before every cycle"}
        yield ui.input_select("lymphodepletion", "Lymphodepletion", labels, selected="first")
    yield ui.input_numeric("weight", "Body weight (kg)", _weight(target), min=30, max=200)

    yield ui.input_slider("until", "Days shown", 60, 180, 90, step=10)
    if _can_compare(target, model):
        yield ui.input_switch("compare", "The other route beside it", True)
    yield ui.input_radio_buttons(
        "what_if_scale", "Axis", {"log": "logarithmic", "linear": "linear"}, inline=True
    )
    labels = {name: short_label(model, name) for name in model.outputs}
    shown = [name for name in _SHOWN if name in labels]
    if "copies" in shown and "transgenes" in shown:
        shown.remove("transgenes")  # copies show the same
    if not shown:
        shown = list(labels)[:1]
    yield ui.input_selectize("outputs", "Assays and lesions", labels, selected=shown, multiple=True)


def _product_sliders(model: Model, product: str, is_second: bool) -> Iterator[Any]:
    """The inputs of one product: whether it is given, how much, by which route, how split, and when."""
    name = product_name(product)
    routes = routes_of(model, product)
    yield ui.tags.h6(name, class_="mt-2 mb-1")
    yield ui.input_switch(f"given_{product}", f"{name} given", True)
    yield ui.input_slider(
        f"amount_{product}", "Cells/kg in a cycle, power of ten", 5, 9, value=7.5, step=0.05, pre="10^"
    )
    if routes:
        route = "hepatic_artery" if "hepatic_artery" in routes and not is_second else "iv"
        labels = {option: option.replace("_", " ") for option in routes}
        yield ui.input_radio_buttons(f"route_{product}", None, labels, selected=route, inline=True)
    yield ui.input_slider(f"split_{product}", "Split over days", 1, 3, 2, step=1)
    start = _START[product] if is_second else 0
    yield ui.input_slider(f"start_{product}", "First day", 0, 28, start, step=1)


def _can_compare(target: Target, model: Model) -> bool:
    """Whether the model takes some product by both routes that can be compared."""
    products = products_of(model, target.products)
    return any(set(routes_of(model, product)) >= _BOTH_ROUTES for product in products)


def _weight(target: Target) -> float:
    """The median body weight [kg] of the study, 70 if it has none."""
    weights = target.study.subjects["weight_kg"].to_numpy(float)
    if np.isnan(weights).all():
        return 70.0
    return round(float(np.nanmedian(weights)), 1)


def _choice_of(input: Inputs, target: Target, model: Model) -> Choice:
    """The values of the sliders as a choice."""
    courses = []
    for product in products_of(model, target.products):
        is_given = input[f"given_{product}"]()
        course = Course(
            product=product,
            cells_per_kg=10 ** float(input[f"amount_{product}"]()) if is_given else 0.0,
            route=input[f"route_{product}"]() if routes_of(model, product) else "iv",
            split=int(input[f"split_{product}"]()),
            start=float(input[f"start_{product}"]()),
        )
        courses.append(course)
    return Choice(
        courses=tuple(courses),
        weight_kg=float(input.weight() or 70.0),
        second_cycle=float(input.again_after()) if input.again() else None,
        lymphodepletion=input.lymphodepletion() if LYMPHODEPLETION in model.dosing else "none",
        until=float(input.until()),
    )


def serve_what_if(input: Inputs, target: Target, what_if: WhatIf) -> None:
    """Serve the figures, the table and the files of the answers, once the equations are compiled."""
    model = what_if.model
    program = what_if.program
    can_compare = _can_compare(target, model)

    @reactive.calc
    def choice() -> Choice:
        return _choice_of(input, target, model)

    @reactive.calc
    def answer() -> Answer:
        if program.failed:
            raise KineticsError(f"The equations could not be compiled: {program.failed}")
        if not program.ready:
            reactive.invalidate_later(0.5)
            raise KineticsError("The equations are being compiled: once, for ten seconds or so.")
        return what_if.answer(choice(), compare=can_compare and input.compare())

    @render_figure
    def sites() -> Figure:
        log = input.what_if_scale() == "log"
        try:
            return plot_sites(answer(), target, choice(), log=log, notes=what_if.notes)
        except KineticsError as error:
            return words(str(error))

    @render_figure
    def assays() -> Figure:
        log = input.what_if_scale() == "log"
        outputs = list(input.outputs())
        if not outputs:
            return words("Choose an output under “Assays and lesions”.")
        try:
            return plot_outputs(answer(), target, choice(), outputs, log=log, notes=what_if.notes)
        except KineticsError as error:
            return words(str(error))

    _serve_text(input, what_if, answer, choice)
    _serve_files(target, answer, choice)


def _serve_text(input: Inputs, what_if: WhatIf, answer: Any, choice: Any) -> None:
    """Serve the line above the figures and the table of numbers."""

    @render.ui
    def what_if_status() -> Any:
        try:
            result = answer()
        except KineticsError as error:
            return ui.div(str(error), class_="kinetics-status")
        doses = []
        for course in choice().given:
            cells = number_text(course.cells_per_kg / course.split * choice().weight_kg, 2)
            doses.append(f"{product_name(course.product)} {cells} cells × {course.split}")
        status = f"{'; '.join(doses)} a cycle. 200 new patients, answered in {result.seconds:.2f} s."
        if result.gave_up:
            status += f" The solver gave up on {result.gave_up}: left out."
        return ui.div(status, class_="kinetics-status", id="answered")

    @render.ui
    def what_if_table() -> Any:
        try:
            table = exposure_table(answer(), what_if.model, choice(), list(input.outputs()))
        except KineticsError:
            return None
        head = ui.tags.tr(*(ui.tags.th(name) for name in table.columns))
        rows = [
            ui.tags.tr(*(ui.tags.td(str(value)) for value in row)) for row in table.itertuples(index=False)
        ]
        legend = (
            "Median (90 % of new patients), from the product's first infusion; areas of 28 days, unit × day."
        )
        return ui.div(
            ui.tags.table(ui.tags.thead(head), ui.tags.tbody(*rows), class_="kinetics-table"),
            ui.p(legend),
            class_="kinetics-wide",
        )


def _serve_files(target: Target, answer: Any, choice: Any) -> None:
    """Serve the bands and numbers as CSV, and the regimen as TOML."""
    name = target.study.name
    labels = " | ".join(target.labels)

    @render.download_button(filename=f"{name}-what-if-bands.csv")
    def what_if_data() -> Iterator[str]:
        yield shown_csv_text(answer().bands.assign(source=target.source, labels=labels))

    @render.download_button(filename=f"{name}-what-if-numbers.csv")
    def what_if_numbers() -> Iterator[str]:
        yield shown_csv_text(answer().numbers.assign(source=target.source, labels=labels))

    @render.download_button(filename=f"{name}-regimen.toml")
    def what_if_regimen() -> Iterator[str]:
        yield regimen_of(choice()).to_toml()
