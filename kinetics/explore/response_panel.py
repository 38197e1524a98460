"""The panels of time on study and of response; the first shows many subjects page by page."""

from __future__ import annotations

from math import ceil
from typing import Any

from plotly.graph_objects import Figure
from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError, StudyError
from kinetics.explore.figure_output import figure_output, render_figure, save_buttons, words
from kinetics.explore.selection import study_of_subjects
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
        figure_output("swimmer"),
    ]
    waterfall = [
        ui.div(*save_buttons("waterfall", f"{name}-waterfall"), class_="kinetics-tools"),
        figure_output("waterfall"),
    ]
    return [
        ui.nav_panel("Time on study", ui.div(*swimmer, class_="p-3"), value="swimmer"),
        ui.nav_panel("Response", ui.div(*waterfall, class_="p-3"), value="waterfall"),
    ]


def serve_responses(input: Inputs, target: Target, selected_study: Any) -> None:
    """Serve both figures, for the subjects that the filters leave."""

    @reactive.calc
    def number_of_subjects() -> int:
        study, _ = selected_study()
        return len(study.subjects)

    @reactive.calc
    def pages() -> int:
        return ceil(number_of_subjects() / PAGE)

    @render.ui
    def swimmer_pages() -> Any:
        if pages() < 2:
            return None
        labels = {}
        for page in range(pages()):
            last = min((page + 1) * PAGE, number_of_subjects())
            labels[str(page)] = f"subjects {page * PAGE + 1} to {last}"
        return ui.input_select("swimmer_page", None, labels)

    @render_figure
    def swimmer() -> Figure:
        try:
            study, _ = selected_study()
            page = int(input.swimmer_page()) if pages() > 1 else 0
            return plot_swimmer(_page_of(study, page), by=next(iter(groupings(study))))
        except KineticsError as error:
            return words(str(error))

    @render_figure
    def waterfall() -> Figure:
        try:
            study, _ = selected_study()
            by = "dose_level" if "dose_level" in study.covariates else study.covariates[0]
            return plot_waterfall(study, by=by)
        except StudyError as error:
            return words(f"No waterfall: {error.problems[0].what}; {error.problems[0].remedy}.")
        except (KineticsError, IndexError, ValueError) as error:
            return words(f"No waterfall: {error}.")


def _page_of(study: Study, page: int) -> Study:
    """The study of one page of subjects; pages count from 0."""
    return study_of_subjects(study, study.subject_ids[page * PAGE : (page + 1) * PAGE])
