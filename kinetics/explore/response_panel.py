"""The panels of time on study and of response; the first shows many subjects page by page."""

from __future__ import annotations

from math import ceil
from typing import Any

from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError, StudyError
from kinetics.explore.drawings import Drawing, Drawings
from kinetics.explore.figure_output import figure_output, render_figure, save_buttons, words
from kinetics.explore.input_values import option_of
from kinetics.explore.selection import Selection, study_of_subjects
from kinetics.explore.target import Target
from kinetics.plot import groupings, plot_swimmer, plot_waterfall
from kinetics.study import Study

__all__ = ["response_panels", "serve_responses"]

PAGE = 40  # number of subjects that a swimmer plot draws legibly


def response_panels(target: Target) -> list[Any]:
    """The panels of time on study (a swimmer plot) and of response (a waterfall plot)."""
    name = target.study.name
    swimmer = [
        ui.div(
            *save_buttons("swimmer", f"{name}-swimmer"),
            ui.output_ui("swimmer_pages"),
            class_="kinetics-tools",
        ),
        ui.output_text("swimmer_status"),
        figure_output("swimmer"),
    ]
    waterfall = [
        ui.div(*save_buttons("waterfall", f"{name}-waterfall"), class_="kinetics-tools"),
        ui.output_text("waterfall_status"),
        figure_output("waterfall"),
    ]
    return [
        ui.nav_panel("Time on study", ui.div(*swimmer, class_="p-3"), value="swimmer"),
        ui.nav_panel("Response", ui.div(*waterfall, class_="p-3"), value="waterfall"),
    ]


def serve_responses(input: Inputs, drawings: Drawings, selected_study: Any) -> None:
    """Serve both figures, for the subjects that the filters leave."""

    def status() -> str:
        try:
            _, selection = selected_study()
        except KineticsError:
            return ""  # the figure's place has the error
        return _status(selection)

    @render.text
    def swimmer_status() -> str:
        return status()

    @render.text
    def waterfall_status() -> str:
        return status()

    @reactive.calc
    def number_of_subjects() -> int:
        study, _ = selected_study()
        return len(study.subjects)

    @reactive.calc
    def pages() -> int:
        return ceil(number_of_subjects() / PAGE)

    @render.ui
    def swimmer_pages() -> Any:
        try:
            if pages() < 2:
                return None
        except KineticsError:
            return None
        labels = {}
        for page in range(pages()):
            last = min((page + 1) * PAGE, number_of_subjects())
            labels[str(page)] = f"subjects {page * PAGE + 1} to {last}"
        return ui.input_select("swimmer_page", None, labels)

    @render_figure
    def swimmer() -> Drawing:
        try:
            study, selection = selected_study()
            page = 0
            if pages() > 1:
                options = [str(page) for page in range(pages())]
                page = int(option_of("The page of subjects", input.swimmer_page(), options))
            by = next(iter(groupings(study)))
            return drawings.of(
                ("swimmer", selection, page), lambda: plot_swimmer(_page_of(study, page), by=by)
            )
        except KineticsError as error:
            return words(str(error))

    @render_figure
    def waterfall() -> Drawing:
        try:
            study, selection = selected_study()
            by = "dose_level" if "dose_level" in study.covariates else study.covariates[0]
            return drawings.of(("waterfall", selection), lambda: plot_waterfall(study, by=by))
        except StudyError as error:
            return words(f"No waterfall: {error.problems[0].what}; {error.problems[0].remedy}.")
        except (KineticsError, IndexError, ValueError) as error:
            return words(f"No waterfall: {error}.")


def _status(selection: Selection) -> str:
    """A sentence on the filters, which are on another panel; "" if all subjects are drawn."""
    return f"Filtered on the panel Kinetics: {selection}." if str(selection) else ""


def _page_of(study: Study, page: int) -> Study:
    """The study of one page of subjects; pages count from 0."""
    return study_of_subjects(study, study.subject_ids[page * PAGE : (page + 1) * PAGE])
