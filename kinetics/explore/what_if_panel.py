"""The panel of regimens that nobody was given: sliders, and the curves and numbers of new patients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from pandas import DataFrame
from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError
from kinetics.explore.dose_choices import dose_choices, dose_text, study_levels
from kinetics.explore.drawings import Drawing, Drawings
from kinetics.explore.figure_output import (
    download_or_refusal,
    figure_output,
    render_figure,
    save_buttons,
    words,
)
from kinetics.explore.input_values import Range, option_of, options_of, switch_of
from kinetics.explore.outcome_chances import OutcomeChances, chance_table
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

# what the sliders and selections offer, and what the server takes from a browser
_AMOUNT = "Cells/kg in each infusion"
_FIRST_AMOUNT = 1.5e7  # cells/kg, at first: the offered dose nearest to it
_SPLIT = Range("Infusions, a day apart", 1, 3, whole=True)
_START_DAY = Range("First day", 0, 28, whole=True)
_AGAIN_AFTER = Range("Days from cycle to cycle", 14, 56, whole=True)
_WEIGHT = Range("Body weight (kg)", 3, 300)  # infants too
_UNTIL = Range("Days shown", 60, 180, whole=True)
_LYMPHODEPLETION = {"none": "none", "first": "before the first cycle", "every": "before every cycle"}
_SCALES = {"log": "logarithmic", "linear": "linear"}
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
        ui.output_ui("what_if_chances"),
    ]
    layout = ui.layout_sidebar(ui.sidebar(*_sliders(target, model), width=310), *outputs)
    return ui.nav_panel("What if", layout, value="what_if")


def _sliders(target: Target, model: Model) -> Iterator[Any]:
    """The inputs of every product, of the course, and of the figures."""
    products = products_of(model, target.products)
    for product in products:
        is_second = len(products) > 1 and product in _START
        yield from _product_sliders(target, model, product, is_second)

    yield ui.tags.h6("Course", class_="mt-2 mb-1")
    yield ui.input_switch("again", "Second cycle", False)
    yield ui.input_slider("again_after", _AGAIN_AFTER.label, _AGAIN_AFTER.low, _AGAIN_AFTER.high, 28, step=1)
    if LYMPHODEPLETION in model.dosing:
        yield ui.input_select("lymphodepletion", "Lymphodepletion", _LYMPHODEPLETION, selected="first")
    yield ui.input_numeric("weight", _WEIGHT.label, _weight(target), min=_WEIGHT.low, max=_WEIGHT.high)

    yield ui.input_slider("until", _UNTIL.label, _UNTIL.low, _UNTIL.high, 90, step=10)
    if _can_compare(target, model):
        yield ui.input_switch("compare", "The other route beside it", True)
    yield ui.input_radio_buttons("what_if_scale", "Axis", _SCALES, inline=True)
    labels = {name: short_label(model, name) for name in model.outputs}
    shown = [name for name in _SHOWN if name in labels]
    if "copies" in shown and "transgenes" in shown:
        shown.remove("transgenes")  # copies show the same
    if not shown:
        shown = list(labels)[:1]
    yield ui.input_selectize("outputs", "Assays and lesions", labels, selected=shown, multiple=True)


def _product_sliders(target: Target, model: Model, product: str, is_second: bool) -> Iterator[Any]:
    """The inputs of one product: whether it is given, how much, by which route, how often, and when."""
    name = product_name(product)
    routes = routes_of(model, product)
    yield ui.tags.h6(name, class_="mt-2 mb-1")
    yield ui.input_switch(f"given_{product}", f"{name} given", True)
    yield _dose_slider(target, product)
    if routes:
        route = "hepatic_artery" if "hepatic_artery" in routes and not is_second else "iv"
        labels = {option: option.replace("_", " ") for option in routes}
        yield ui.input_radio_buttons(f"route_{product}", None, labels, selected=route, inline=True)
    yield ui.input_slider(f"split_{product}", _SPLIT.label, _SPLIT.low, _SPLIT.high, 2, step=1)
    start = _START[product] if is_second else 0
    yield ui.input_slider(
        f"start_{product}", _START_DAY.label, _START_DAY.low, _START_DAY.high, start, step=1
    )


def _dose_slider(target: Target, product: str) -> Any:
    """The slider of a dose. Its value is the dose's place among those offered; page.js shows the dose."""
    levels = study_levels(target.study, product)
    doses = dose_choices(levels)
    nearest = min(levels or doses, key=lambda dose: abs(np.log(dose / _FIRST_AMOUNT)))
    first = doses.index(nearest)
    slider = ui.input_slider(f"amount_{product}", _AMOUNT, 0, len(doses) - 1, first, step=1, ticks=False)
    texts = json.dumps([dose_text(dose, levels) for dose in doses])
    return ui.div(slider, class_="kinetics-doses", data_doses=texts)


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
    """The values of the sliders as a choice. PlanError for a value that the page does not offer."""
    courses = tuple(
        _course_of(input, target, model, product) for product in products_of(model, target.products)
    )
    second_cycle = None
    if switch_of("Second cycle", input.again()):
        second_cycle = _AGAIN_AFTER.value(input.again_after())
    lymphodepletion = "none"
    if LYMPHODEPLETION in model.dosing:
        lymphodepletion = option_of("Lymphodepletion", input.lymphodepletion(), _LYMPHODEPLETION)
    return Choice(
        courses=courses,
        weight_kg=_WEIGHT.value(input.weight()),
        second_cycle=second_cycle,
        lymphodepletion=lymphodepletion,
        until=_UNTIL.value(input.until()),
    )


def _course_of(input: Inputs, target: Target, model: Model, product: str) -> Course:
    """The values of one product's sliders. PlanError for a value that the page does not offer."""
    name = product_name(product)
    doses = dose_choices(study_levels(target.study, product))
    offered = Range(f"{name}: {_AMOUNT}, its place among the doses", 0, len(doses) - 1, whole=True)
    split = int(_SPLIT.value(input[f"split_{product}"]()))
    cells_per_kg = 0.0
    if switch_of(f"{name} given", input[f"given_{product}"]()):
        cells_per_kg = doses[int(offered.value(input[f"amount_{product}"]()))] * split
    route = "iv"
    routes = routes_of(model, product)
    if routes:
        route = option_of(f"The route of {name}", input[f"route_{product}"](), routes)
    return Course(
        product=product,
        cells_per_kg=cells_per_kg,
        route=route,
        split=split,
        start=_START_DAY.value(input[f"start_{product}"]()),
    )


def serve_what_if(
    input: Inputs, target: Target, drawings: Drawings, what_if: WhatIf, chances: OutcomeChances
) -> Any:
    """Serve the figures, the tables and the files of the answers, once the equations are compiled.

    Returns the reactive function of the sliders' choice.
    """
    model = what_if.model
    program = what_if.program
    can_compare = _can_compare(target, model)

    @reactive.calc
    def choice() -> Choice:
        return _choice_of(input, target, model)

    @reactive.calc
    def is_compared() -> bool:
        return can_compare and switch_of("The other route beside it", input.compare())

    @reactive.calc
    def outputs() -> tuple[str, ...]:
        return options_of("Assays and lesions", input.outputs(), model.outputs)

    @reactive.calc
    def answer() -> Answer:
        if program.failed:
            raise KineticsError(f"The equations could not be compiled: {program.failed}")
        if not program.ready:
            reactive.invalidate_later(0.5)
            seconds = program.compiling_for
            raise KineticsError(
                "The equations are being compiled, once: usually ten seconds to a minute, "
                f"{seconds:.0f} s so far."
            )
        return what_if.answer(choice(), compare=is_compared())

    def content(*more: Any) -> tuple[Any, ...]:
        return (choice(), is_compared(), tuple(target.labels), *more)

    def is_log() -> bool:
        return option_of("Axis", input.what_if_scale(), _SCALES) == "log"

    @render_figure
    def sites() -> Drawing:
        try:
            log = is_log()
            result = answer()
            return drawings.of(
                content("sites", log),
                lambda: plot_sites(result, target, choice(), log=log, notes=what_if.notes),
            )
        except KineticsError as error:
            return words(str(error))

    @render_figure
    def assays() -> Drawing:
        try:
            log = is_log()
            names = outputs()
            if not names:
                return words("Choose an output under “Assays and lesions”.")
            result = answer()
            return drawings.of(
                content("assays", log, names),
                lambda: plot_outputs(result, target, choice(), names, log=log, notes=what_if.notes),
            )
        except KineticsError as error:
            return words(str(error))

    _serve_text(what_if, answer, choice, outputs)
    _serve_chances(chances, answer, choice)
    _serve_files(target, answer, choice)
    return choice


def _serve_text(what_if: WhatIf, answer: Any, choice: Any, outputs: Any) -> None:
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
            table = exposure_table(answer(), what_if.model, choice(), outputs())
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


def _serve_chances(chances: OutcomeChances, answer: Any, choice: Any) -> None:
    """Serve the table of chances of DLT, CRS and response, or why there is none."""

    @render.ui
    def what_if_chances() -> Any:
        if chances.why_not is None:
            reactive.invalidate_later(1.0)
            return ui.p("The chances of DLT, CRS and response are being computed.", class_="kinetics-status")
        if chances.why_not:
            return ui.p(f"{chances.why_not[0].upper()}{chances.why_not[1:]}.", class_="kinetics-status")
        try:
            table = chance_table(chances, answer(), choice())
        except KineticsError:
            return None
        if table.empty:
            words = "No chances of DLT, CRS and response: the regimen is without the product of the levels."
            return ui.p(words, class_="kinetics-status")
        return ui.div(*_chances(table), class_="kinetics-wide", id="chances")


def _chances(table: DataFrame) -> Iterator[Any]:
    """The table of chances, and what it stands on."""
    head = ui.tags.tr(*map(ui.tags.th, ("Outcome", "Chance (90 % interval)", "Seen", "By")))
    rows = []
    for row in table.to_dict("records"):
        interval = f"{100 * row['median']:.0f} % ({100 * row['lower']:.0f} to {100 * row['upper']:.0f})"
        seen = f"{row['events']} of {row['n']}"
        cells = (row["outcome"], interval, seen, str(row["by"]).replace("_", " "))
        rows.append(ui.tags.tr(*map(ui.tags.td, cells)))
    yield ui.tags.h6("Chance of an outcome under this regimen", class_="mt-3")
    yield ui.tags.table(ui.tags.thead(head), ui.tags.tbody(*rows), class_="kinetics-table")
    yield ui.p(
        "The trial's outcomes regressed on exposure, with priors that are guesses and few patients: a chance "
        "at a dose that nobody had is the prior's as much as theirs. The dose decision is the joint model's: "
        "kinetics recommend."
    )


def _serve_files(target: Target, answer: Any, choice: Any) -> None:
    """Serve the bands and numbers as CSV, and the regimen as TOML."""
    name = target.study.name
    labels = " | ".join(target.labels)

    @render.download_button(filename=f"{name}-what-if-bands.csv")
    @download_or_refusal
    def what_if_data() -> Iterator[str]:
        yield shown_csv_text(answer().bands.assign(source=target.source, labels=labels))

    @render.download_button(filename=f"{name}-what-if-numbers.csv")
    @download_or_refusal
    def what_if_numbers() -> Iterator[str]:
        yield shown_csv_text(answer().numbers.assign(source=target.source, labels=labels))

    @render.download_button(filename=f"{name}-regimen.toml")
    @download_or_refusal
    def what_if_regimen() -> Iterator[str]:
        yield regimen_of(choice()).to_toml()
