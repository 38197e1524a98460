"""The panel of scenarios: regimens that a reader kept, a dose sweep, the chance of passing a threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError
from kinetics.explore.dose_choices import dose_choices, study_levels
from kinetics.explore.drawings import Drawing, Drawings
from kinetics.explore.figure_output import (
    download_or_refusal,
    figure_output,
    render_figure,
    save_buttons,
    words,
)
from kinetics.explore.input_values import Range, option_of
from kinetics.explore.scenarios import (
    QUANTITIES,
    Question,
    Scenario,
    dose_sweep,
    kept,
    plot_scenarios,
    scenario_table,
)
from kinetics.explore.target import Target
from kinetics.explore.what_if import WhatIf, products_of
from kinetics.explore.what_if_figure import short_label
from kinetics.model import Model
from kinetics.plot import number_text, product_name
from kinetics.spreadsheets import shown_csv_text

__all__ = ["scenarios_panel", "serve_scenarios"]

_FIRST_OUTPUTS = ("il6", "copies", "transgenes", "cells")  # compared at first, if the model has one
_THRESHOLD = Range("Threshold", 0.0, 1e15)
_EMPTY = "No scenario yet: name one and keep the regimen of What if, or take one for each dose."


def scenarios_panel(target: Target) -> list[Any]:
    """The panel, where there is a model that takes cells; else nothing."""
    model = target.model
    if model is None or model.dose_unit != "cells":
        return []
    outputs = {name: short_label(model, name) for name in model.outputs}
    first = next((name for name in _FIRST_OUTPUTS if name in outputs), next(iter(outputs)))
    products = {product: product_name(product) for product in products_of(model, target.products)}
    inputs = [
        ui.input_text("scenario_name", "Name", "A"),
        ui.input_action_button("scenario_keep", "Keep the regimen of What if", class_="btn-sm mb-3"),
        ui.input_select("sweep_product", "One scenario for each dose of", products),
        ui.input_action_button("scenario_sweep", "Sweep the doses", class_="btn-sm mb-3"),
        ui.input_action_button("scenario_clear", "Remove all", class_="btn-sm mb-3"),
        ui.input_select("scenario_output", "What is compared", outputs, selected=first),
        ui.input_select("scenario_quantity", None, QUANTITIES),
        ui.input_numeric(
            "scenario_threshold",
            "Threshold, in its unit; empty for none",
            None,  # pyright: ignore
            min=0,
        ),
    ]
    name = target.study.name
    content = [
        ui.div(
            *save_buttons("scenario_figure", f"{name}-scenarios"),
            ui.download_button("scenario_data", "Scenarios, CSV", class_="btn-outline-secondary"),
            class_="kinetics-tools",
        ),
        ui.output_text("scenario_status"),
        figure_output("scenario_figure"),
        ui.output_ui("scenario_rows"),
    ]
    layout = ui.layout_sidebar(ui.sidebar(*inputs, width=290), *content)
    return [ui.nav_panel("Scenarios", layout, value="scenarios")]


def serve_scenarios(input: Inputs, target: Target, drawings: Drawings, what_if: WhatIf, choice: Any) -> None:
    """Serve the scenarios of one reader; `choice` is the reactive choice of the panel What if."""
    model = what_if.model
    scenarios: reactive.Value[tuple[Scenario, ...]] = reactive.Value(())
    refusal: reactive.Value[str] = reactive.Value("")

    def change(made: Any) -> None:
        """Have the scenarios that `made` returns, or the sentence of why not."""
        try:
            scenarios.set(made())
            refusal.set("")
        except KineticsError as error:
            refusal.set(str(error))

    @reactive.effect
    @reactive.event(input.scenario_keep)
    def _() -> None:
        change(lambda: kept(scenarios(), input.scenario_name(), choice()))

    @reactive.effect
    @reactive.event(input.scenario_sweep)
    def _() -> None:
        change(lambda: _swept(input, target, model, choice()))

    @reactive.effect
    @reactive.event(input.scenario_clear)
    def _() -> None:
        change(tuple)

    @reactive.calc
    def question() -> Question:
        return _question_of(input, model)

    @reactive.calc
    def table() -> Any:
        if what_if.program.failed:
            raise KineticsError(f"The equations could not be compiled: {what_if.program.failed}")
        if not scenarios():
            raise KineticsError(_EMPTY)
        if not what_if.program.ready:
            reactive.invalidate_later(0.5)
            raise KineticsError("The equations are being compiled, once.")
        answers = {one.choice: what_if.answer(one.choice, compare=False) for one in scenarios()}
        return scenario_table(scenarios(), answers, model, question())

    @render.text
    def scenario_status() -> str:
        return refusal()

    @render_figure
    def scenario_figure() -> Drawing:
        try:
            content = ("scenarios", scenarios(), question(), tuple(target.labels))
            rows = table()
            return drawings.of(content, lambda: plot_scenarios(rows, target, question()))  # pyright: ignore
        except KineticsError as error:
            return words(str(error))

    @render.ui
    def scenario_rows() -> Any:
        try:
            return _table_of(table(), question(), model)
        except KineticsError:
            return None  # the figure's place has the error

    @render.download_button(filename=f"{target.study.name}-scenarios.csv")
    @download_or_refusal
    def scenario_data() -> Iterator[str]:
        rows: Any = table()
        yield shown_csv_text(rows.assign(source=target.source, labels=" | ".join(target.labels)))


def _swept(input: Inputs, target: Target, model: Model, choice: Any) -> tuple[Scenario, ...]:
    """One scenario for each level of the study, or for each power of ten where it has none."""
    product = option_of(
        "One scenario for each dose of", input.sweep_product(), products_of(model, target.products)
    )
    levels = study_levels(target.study, product)
    doses = levels if len(levels) > 1 else dose_choices(())[::4]
    return dose_sweep(choice, product, doses)


def _question_of(input: Inputs, model: Model) -> Question:
    """What the inputs ask. PlanError for a value that the page does not offer."""
    threshold = input.scenario_threshold()
    return Question(
        output=option_of("What is compared", input.scenario_output(), model.outputs),
        quantity=option_of("The quantity", input.scenario_quantity(), QUANTITIES),
        threshold=None if threshold is None else _THRESHOLD.value(threshold),
    )


def _table_of(table: Any, question: Question, model: Model) -> Any:
    """The scenarios as a table of the page."""
    heads = ["Scenario", "Regimen", f"Median (90 %) {question.title(model)}"]
    if question.threshold is not None:
        heads.append(f"Above {number_text(question.threshold, trim=True)} {question.unit(model)}")
    rows = []
    for row in table.to_dict("records"):
        middle, low, high = (number_text(row[name], 2) for name in ("median", "lower", "upper"))
        cells = [row["name"], row["regimen"], f"{middle} ({low} to {high})"]
        if question.threshold is not None:
            cells.append(f"{100 * row['above']:.0f} % of {row['patients']}")
        rows.append(ui.tags.tr(*map(ui.tags.td, cells)))
    legend = (
        "New patients of the model, each of a draw of its own: a prediction, and no observed rate. "
        "Quantities from the product's first infusion."
    )
    head = ui.tags.thead(ui.tags.tr(*map(ui.tags.th, heads)))
    return ui.div(
        ui.tags.table(head, ui.tags.tbody(*rows), class_="kinetics-table"),
        ui.p(legend),
        class_="kinetics-wide",
    )
