"""The panel of regimens that nobody was given: sliders, and what new patients would look like."""

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

__all__ = ["serve_what_if", "what_if_panel"]

_SHOWN = (
    "copies",
    "transgenes",
    "cells",
    "il6",
    "lesions",
)  # outputs drawn from the start, where they are there
_START = {"car_t": 11}  # study day on which a second product begins


def what_if_panel(target: Target) -> Any:
    """Sliders at the left; liver, tumour and blood, then assays, then numbers at the right."""
    model = target.model
    if model is None or model.dose_unit != "cells":
        why = "Name a run (runs/NAME) or a model (--model NAME): then regimens can be tried here."
        if model is not None:
            why = f"{model.name} is dosed in {model.dose_unit}: regimens of cells cannot be tried on it."
        return ui.nav_panel("What if", ui.p(why, class_="kinetics-caution m-3"), value="what_if")
    name = target.study.name
    shown = [
        ui.output_ui("what_if_status"),
        *(
            [ui.div(*save_buttons("sites", f"{name}-sites"), class_="kinetics-tools"), figure_output("sites")]
            * bool(model.sites)
        ),
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
    return ui.nav_panel(
        "What if", ui.layout_sidebar(ui.sidebar(*_sliders(target, model), width=310), *shown), value="what_if"
    )


def _sliders(target: Target, model: Model) -> Iterator[Any]:
    products = products_of(model, target.products)
    for product in products:
        key = product
        routes = routes_of(model, product)
        named = product_name(product)
        second = len(products) > 1 and product in _START
        yield ui.tags.h6(named, class_="mt-2 mb-1")
        yield ui.input_switch(f"given_{key}", f"{named} given", True)
        yield ui.input_slider(
            f"amount_{key}", "Cells/kg in a cycle, power of ten", 5, 9, 7.5, step=0.05, pre="10^"
        )
        if routes:
            usual = "hepatic_artery" if "hepatic_artery" in routes and not second else "iv"
            choices = {route: route.replace("_", " ") for route in routes}
            yield ui.input_radio_buttons(f"route_{key}", None, choices, selected=usual, inline=True)
        yield ui.input_slider(f"split_{key}", "Split over days", 1, 3, 2, step=1)
        yield ui.input_slider(
            f"start_{key}", "First day", 0, 28, _START.get(product, 0) if second else 0, step=1
        )
    yield ui.tags.h6("Course", class_="mt-2 mb-1")
    yield ui.input_switch("again", "Second cycle", False)
    yield ui.input_slider("again_after", "Days from cycle to cycle", 14, 56, 28, step=1)
    if LYMPHODEPLETION in model.dosing:
        known = {"none": "none", "first": "before the first cycle", "every": "before every cycle"}
        yield ui.input_select("lymphodepletion", "Lymphodepletion", known, selected="first")
    yield ui.input_numeric("weight", "Body weight (kg)", _weight(target), min=30, max=200)
    yield ui.input_slider("until", "Days shown", 60, 180, 90, step=10)
    if any({"iv", "hepatic_artery"} <= set(routes_of(model, p)) for p in products):
        yield ui.input_switch("compare", "The other route beside it", True)
    yield ui.input_radio_buttons(
        "what_if_scale", "Axis", {"log": "logarithmic", "linear": "linear"}, inline=True
    )
    labels = {k: short_label(model, k) for k in model.outputs}
    first = [k for k in _SHOWN if k in labels and not (k == "transgenes" and "copies" in labels)] or list(
        labels
    )[:1]
    yield ui.input_selectize("outputs", "Assays and lesions", labels, selected=first, multiple=True)


def _weight(target: Target) -> float:
    weights = target.study.subjects["weight_kg"].to_numpy(float)
    return 70.0 if np.isnan(weights).all() else round(float(np.nanmedian(weights)), 1)


def _choice_of(input: Inputs, target: Target, model: Model) -> Choice:
    """What the sliders say."""
    courses = []
    for key in products_of(model, target.products):
        routes = routes_of(model, key)
        amount = 10 ** float(input[f"amount_{key}"]()) if input[f"given_{key}"]() else 0.0
        route = input[f"route_{key}"]() if routes else "iv"
        course = Course(key, amount, route, int(input[f"split_{key}"]()), float(input[f"start_{key}"]()))
        courses.append(course)
    return Choice(
        tuple(courses),
        float(input.weight() or 70.0),
        float(input.again_after()) if input.again() else None,
        input.lymphodepletion() if LYMPHODEPLETION in model.dosing else "none",
        float(input.until()),
    )


def serve_what_if(input: Inputs, target: Target, what_if: WhatIf) -> None:
    """Answers, drawn when the equations are compiled."""
    model = what_if.model
    program = what_if.program
    can_compare = any(
        {"iv", "hepatic_artery"} <= set(routes_of(model, p)) for p in products_of(model, target.products)
    )

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

    def drawn(draw: Any) -> Figure:
        try:
            return draw(answer())
        except KineticsError as error:
            return words(str(error))

    @render_figure
    def sites() -> Figure:
        log = input.what_if_scale() == "log"
        return drawn(lambda found: plot_sites(found, target, choice(), log=log, notes=what_if.notes))

    @render_figure
    def assays() -> Figure:
        log = input.what_if_scale() == "log"
        outputs = list(input.outputs())
        if not outputs:
            return words("Choose an output under “Assays and lesions”.")
        return drawn(
            lambda found: plot_outputs(found, target, choice(), outputs, log=log, notes=what_if.notes)
        )

    _serve_words(input, what_if, answer, choice)
    _serve_files(target, answer, choice)


def _serve_words(input: Inputs, what_if: WhatIf, answer: Any, choice: Any) -> None:
    @render.ui
    def what_if_status() -> Any:
        try:
            found = answer()
        except KineticsError as error:
            return ui.div(str(error), class_="kinetics-status")
        each = []
        for course in choice().given:
            cells = number_text(course.cells_per_kg / course.split * choice().weight_kg, 2)
            each.append(f"{product_name(course.product)} {cells} cells × {course.split}")
        lost = f" The solver gave up on {found.gave_up}: left out." if found.gave_up else ""
        said = f"{'; '.join(each)} a cycle. 200 new patients, answered in {found.seconds:.2f} s.{lost}"
        return ui.div(said, class_="kinetics-status", id="answered")

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
        words = (
            "Median (90 % of new patients), from the product's first infusion; areas of 28 days, unit × day."
        )
        return ui.div(
            ui.tags.table(ui.tags.thead(head), ui.tags.tbody(*rows), class_="kinetics-table"),
            ui.p(words),
            class_="kinetics-wide",
        )


def _serve_files(target: Target, answer: Any, choice: Any) -> None:
    name = target.study.name
    said = " | ".join(target.labels)

    @render.download_button(filename=f"{name}-what-if-bands.csv")
    def what_if_data() -> Iterator[str]:
        yield answer().bands.assign(source=target.source, labels=said).to_csv(index=False)

    @render.download_button(filename=f"{name}-what-if-numbers.csv")
    def what_if_numbers() -> Iterator[str]:
        yield answer().numbers.assign(source=target.source, labels=said).to_csv(index=False)

    @render.download_button(filename=f"{name}-regimen.toml")
    def what_if_regimen() -> Iterator[str]:
        yield regimen_of(choice()).to_toml()
