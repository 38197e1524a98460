"""The panel of measurements: curves with filters, and cytokines and graded events on the same time axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from plotly.graph_objects import Figure
from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError
from kinetics.explore.course import Bands, View, plot_course, shown_records
from kinetics.explore.drawings import Drawing, Drawings
from kinetics.explore.figure_output import (
    download_or_refusal,
    figure_output,
    render_figure,
    save_buttons,
    words,
)
from kinetics.explore.input_values import option_of, options_of, switch_of
from kinetics.explore.selection import Choices, Selection, choices_of, selected
from kinetics.explore.subject_bands import SubjectBands
from kinetics.explore.target import Target
from kinetics.plot import groupings, product_name
from kinetics.spreadsheets import shown_csv_text
from kinetics.study import Study

__all__ = ["data_panel", "serve_data", "serve_selection"]

EVERYONE = "every subject"
_SCALES = {"log": "logarithmic", "linear": "linear"}
_FILTERS = {"levels": "", "routes": "Route", "products": "Product"}  # "": the name of the levels
_BELOW = ("il6", "ifn_gamma")  # analytes drawn below at first, if the study has them


def data_panel(target: Target) -> Any:
    """The panel: filters at the left, the figure and its files at the right."""
    study = target.study
    choices = choices_of(target.study)
    events = [str(e) for e in study.events["event"].unique()]
    below = [name for name in _BELOW if name in study.analytes]
    filters = [
        ui.input_select("assay", "Assay", ["all", *choices.assays]),
        ui.input_select("analyte", "Analyte", _labels(study, "all")),
        ui.input_radio_buttons("scale", "Axis", _SCALES, inline=True),
        ui.input_switch("per_kg", "Per 10⁶ cells/kg infused"),
        *_group_filters(choices),
        ui.input_select("by", "Colour by", groupings(study)),
        ui.input_selectize("subject", "One subject", [EVERYONE, *study.subject_ids]),
        ui.input_selectize(
            "below", "Below, on the same days", _labels(study, "all"), selected=below, multiple=True
        ),
        ui.input_selectize(
            "events", "Graded events", events, selected=[e for e in events if e == "crs"], multiple=True
        ),
    ]
    tools = [
        *save_buttons("course", f"{study.name}-course"),
        ui.download_button("course_page", "Figure, HTML", class_="btn-outline-secondary"),
        ui.download_button("course_data", "Data, CSV", class_="btn-outline-secondary"),
    ]
    outputs = [
        ui.div(*tools, class_="kinetics-tools"),
        ui.output_text("course_status"),
        figure_output("course"),
    ]
    layout = ui.layout_sidebar(ui.sidebar(*filters, width=290), *outputs)
    return ui.nav_panel("Kinetics", layout, value="kinetics")


def _group_filters(choices: Choices) -> Iterator[Any]:
    """A filter each for levels, routes and products, where there is more than one to choose from."""
    for name, label in _FILTERS.items():
        options = getattr(choices, name)
        if len(options) > 1:
            labels = {option: _option_name(name, option) for option in options}
            label = label or choices.level_label
            yield ui.input_checkbox_group(name, label, labels, selected=list(options))


def _option_name(name: str, option: str) -> str:
    """An option of a filter as the page shows it."""
    return product_name(option) if name == "products" else option.replace("_", " ")


def _labels(study: Study, assay: str) -> dict[str, str]:
    """Analyte -> label, for the analytes of an assay or of "all"."""
    return {name: a.label for name, a in study.analytes.items() if assay in ("all", a.assay)}


def serve_selection(input: Inputs, target: Target) -> Any:
    """A reactive function that returns the study of the subjects selected, and the selection.

    It raises KineticsError where no subject is left, or for a value that the page does not offer.
    """
    choices = choices_of(target.study)

    @reactive.calc
    def selected_study() -> tuple[Study, Selection]:
        ticked: dict[str, tuple[str, ...]] = {}
        for name, label in _FILTERS.items():
            options = getattr(choices, name)
            values = options
            if len(options) > 1:
                values = options_of(label or choices.level_label, input[name](), options)
            if not values:
                raise KineticsError(f"No {name.removesuffix('s')} is ticked: tick one to see its subjects.")
            ticked[name] = () if set(values) == set(options) else tuple(v for v in options if v in values)
        selection = Selection(**ticked)
        study = selected(target.study, selection)
        if not len(study.subjects):
            raise KineticsError(f"No subject is left: {selection}. Tick more.")
        return study, selection

    return selected_study


def serve_data(
    input: Inputs, target: Target, drawings: Drawings, selected_study: Any, bands: SubjectBands | None
) -> None:
    """Serve the figure, its files, and the analytes that the chosen assay leaves to choose from."""
    assays = ["all", *choices_of(target.study).assays]

    @reactive.effect
    @reactive.event(input.assay, ignore_init=True)
    def _() -> None:
        with suppress(KineticsError):  # an assay that the page does not offer changes nothing
            assay = option_of("Assay", input.assay(), assays)
            ui.update_select("analyte", choices=_labels(target.study, assay))

    @reactive.calc
    def view() -> View:
        _, selection = selected_study()
        return _view_of(input, target.study, selection)

    @reactive.calc
    def predictions() -> Mapping[str, Bands]:
        if bands is None or not view().subject:
            return {}
        if not bands.program.ready:
            reactive.invalidate_later(0.5)
            return {}
        return bands.of(view().subject)

    def figure() -> Figure:
        study, _ = selected_study()
        if view().subject and view().subject not in study.subject_ids:
            raise KineticsError(f"{view().subject} is not among the subjects that the filters leave.")
        source = f"{target.source}, without residual error ({', '.join(target.labels).lower()})"
        return plot_course(study, view(), predictions(), source=source)

    def drawing() -> Drawing:
        _, selection = selected_study()
        content = ("course", selection, view(), tuple(predictions()), tuple(target.labels))
        return drawings.of(content, figure)

    @render_figure
    def course() -> Drawing:
        try:
            return drawing()
        except KineticsError as error:
            return words(str(error))

    @render.text
    def course_status() -> str:
        try:
            return _status(target, bands, view().subject)
        except KineticsError:
            return ""  # the figure's place has the error

    _serve_files(target, selected_study, view, figure)


def _view_of(input: Inputs, study: Study, selection: Selection) -> View:
    """What the inputs ask for. PlanError for a value that the page does not offer."""
    subject = option_of("One subject", input.subject(), [EVERYONE, *study.subject_ids])
    events = [str(event) for event in study.events["event"].unique()]
    return View(
        analyte=option_of("Analyte", input.analyte(), study.analytes),
        below=options_of("Below, on the same days", input.below(), study.analytes),
        events=options_of("Graded events", input.events(), events),
        by=option_of("Colour by", input.by(), groupings(study)),
        subject="" if subject == EVERYONE else subject,
        log=option_of("Axis", input.scale(), _SCALES) == "log",
        per_kg=switch_of("Per 10⁶ cells/kg infused", input.per_kg()),
        filtered=str(selection),
    )


def _status(target: Target, bands: SubjectBands | None, subject: str) -> str:
    """A sentence on the predictions in the figure, or on why there are none."""
    if bands is None and not subject:
        return ""
    if bands is None:
        return "No run: only its records are drawn, no prediction."
    if not subject:
        return "Choose one subject to see its fitted curve over that of new patients."
    if bands.program.failed:
        return f"The equations could not be compiled: {bands.program.failed}"
    if not bands.program.ready:
        reactive.invalidate_later(0.5)
        return "The equations are being compiled, once; the fitted curve comes then."
    return f"{target.source}; curves without residual error."


def _serve_files(target: Target, selected_study: Any, view: Any, figure: Any) -> None:
    """Serve the figure as HTML and its records as CSV."""
    name = target.study.name

    @render.download_button(filename=f"{name}-course.html")
    @download_or_refusal
    def course_page() -> Iterator[str]:
        yield figure().to_html(include_plotlyjs=True)

    @render.download_button(filename=f"{name}-records.csv")
    @download_or_refusal
    def course_data() -> Iterator[str]:
        study, _ = selected_study()
        yield shown_csv_text(shown_records(study, view()))
