"""The panel of what was measured: curves with filters, cytokines and graded events on the same axis of
time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plotly.graph_objects import Figure
from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError
from kinetics.explore.course import Bands, View, plot_course, shown_records
from kinetics.explore.figure_output import figure_output, render_figure, save_buttons, words
from kinetics.explore.selection import Choices, Selection, choices_of, selected
from kinetics.explore.subject_bands import SubjectBands
from kinetics.explore.target import Target
from kinetics.plot import groupings
from kinetics.study import Study

__all__ = ["data_panel", "serve_data", "serve_selection"]

EVERYONE = "every subject"
_BELOW = ("il6", "ifn_gamma")  # drawn below from the start, where they are there


def data_panel(target: Target) -> Any:
    """Filters at the left, the figure and its files at the right."""
    study = target.study
    choices = choices_of(target.study)
    events = [str(e) for e in study.events["event"].unique()]
    below = [name for name in _BELOW if name in study.analytes]
    filters = [
        ui.input_select("assay", "Assay", ["all", *choices.assays]),
        ui.input_select("analyte", "Analyte", _labels(study, "all")),
        ui.input_radio_buttons("scale", "Axis", {"log": "logarithmic", "linear": "linear"}, inline=True),
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
    shown = [
        ui.div(*tools, class_="kinetics-tools"),
        ui.output_text("course_status"),
        figure_output("course"),
    ]
    return ui.nav_panel(
        "Kinetics", ui.layout_sidebar(ui.sidebar(*filters, width=290), *shown), value="kinetics"
    )


def _group_filters(choices: Choices) -> Iterator[Any]:
    """A filter where there is more than one thing to choose from."""
    for name, label, known in (
        ("levels", choices.level_label, choices.levels),
        ("routes", "Route", choices.routes),
        ("products", "Product", choices.products),
    ):
        if len(known) > 1:
            yield ui.input_checkbox_group(
                name, label, {k: k.replace("_", " ") for k in known}, selected=list(known)
            )


def _labels(study: Study, assay: str) -> dict[str, str]:
    return {name: a.label for name, a in study.analytes.items() if assay in ("all", a.assay)}


def serve_selection(input: Inputs, target: Target) -> Any:
    """What the filters leave: a function (study, what was left out in words); KineticsError where nobody
    is left.
    """
    choices = choices_of(target.study)

    @reactive.calc
    def chosen() -> tuple[Study, str]:
        picked: dict[str, tuple[str, ...]] = {}
        for name in ("levels", "routes", "products"):
            known = getattr(choices, name)
            own = tuple(input[name]()) if len(known) > 1 else known
            if not own:
                raise KineticsError(f"No {name.removesuffix('s')} is ticked: tick one to see its subjects.")
            picked[name] = () if set(own) == set(known) else own
        selection = Selection(**picked)
        study = selected(target.study, selection)
        if not len(study.subjects):
            raise KineticsError(f"No subject is left: {selection}. Tick more.")
        return study, str(selection)

    return chosen


def serve_data(input: Inputs, target: Target, chosen: Any, bands: SubjectBands | None) -> None:
    """The figure, its files, and the analytes that an assay leaves to choose from."""

    @reactive.effect
    @reactive.event(input.assay, ignore_init=True)
    def _() -> None:
        ui.update_select("analyte", choices=_labels(target.study, input.assay()))

    @reactive.calc
    def view() -> View:
        _, filtered = chosen()
        subject = "" if input.subject() in ("", EVERYONE) else input.subject()
        return View(
            input.analyte(),
            tuple(input.below()),
            tuple(input.events()),
            input.by(),
            subject,
            input.scale() == "log",
            input.per_kg(),
            filtered,
        )

    @reactive.calc
    def predicted() -> Mapping[str, Bands]:
        if bands is None or not view().subject:
            return {}
        if not bands.program.ready:
            reactive.invalidate_later(0.5)
            return {}
        return bands.of(view().subject)

    def drawn() -> Figure:
        study, _ = chosen()
        if view().subject and view().subject not in study.subject_ids:
            raise KineticsError(f"{view().subject} is not among the subjects that the filters leave.")
        source = f"{target.source}, without residual error ({', '.join(target.labels).lower()})"
        return plot_course(study, view(), predicted(), source=source)

    @render_figure
    def course() -> Figure:
        try:
            return drawn()
        except KineticsError as error:
            return words(str(error))

    @render.text
    def course_status() -> str:
        return _status(target, bands, view().subject)

    _serve_files(target, chosen, view, drawn)


def _status(target: Target, bands: SubjectBands | None, subject: str) -> str:
    if bands is None:
        return "" if not subject else "No run: only its records are drawn, no prediction."
    if not subject:
        return "Choose one subject to see its fitted curve over that of new patients."
    if bands.program.failed:
        return f"The equations could not be compiled: {bands.program.failed}"
    if not bands.program.ready:
        reactive.invalidate_later(0.5)
        return "The equations are being compiled, once; the fitted curve comes then."
    return f"{target.source}; curves without residual error."


def _serve_files(target: Target, chosen: Any, view: Any, drawn: Any) -> None:
    name = target.study.name

    @render.download_button(filename=f"{name}-course.html")
    def course_page() -> Iterator[str]:
        yield drawn().to_html(include_plotlyjs=True)

    @render.download_button(filename=f"{name}-records.csv")
    def course_data() -> Iterator[str]:
        yield shown_records(chosen()[0], view()).to_csv(index=False)
