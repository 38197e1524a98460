"""The panels of time on study and of response: a page of subjects at a time, where there are many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure
from shiny import Inputs, reactive, render, ui

from kinetics.errors import KineticsError, StudyError
from kinetics.explore.figure_output import figure_output, render_figure, save_buttons, words
from kinetics.explore.target import Target
from kinetics.plot import groupings, plot_swimmer, plot_waterfall, rows_where
from kinetics.study import Study

__all__ = ["response_panels", "serve_responses"]

PAGE = 40  # subjects that a swimmer plot draws legibly


def response_panels(target: Target) -> list[Any]:
    """Time on study, and the waterfall."""
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


def serve_responses(input: Inputs, target: Target, chosen: Any) -> None:
    """Both figures of the subjects that the filters leave."""

    @reactive.calc
    def pages() -> int:
        return -(-len(chosen()[0].subjects) // PAGE)

    @render.ui
    def swimmer_pages() -> Any:
        if pages() < 2:
            return None
        known = {
            str(k): f"subjects {k * PAGE + 1} to {min((k + 1) * PAGE, len(chosen()[0].subjects))}"
            for k in range(pages())
        }
        return ui.input_select("swimmer_page", None, known)

    @render_figure
    def swimmer() -> Figure:
        try:
            study, _ = chosen()
            page = int(input.swimmer_page()) if pages() > 1 else 0
            return plot_swimmer(_part_of(study, page), by=next(iter(groupings(study))))
        except KineticsError as error:
            return words(str(error))

    @render_figure
    def waterfall() -> Figure:
        try:
            study, _ = chosen()
            covariates = study.covariates
            return plot_waterfall(study, by="dose_level" if "dose_level" in covariates else covariates[0])
        except StudyError as error:
            return words(f"No waterfall: {error.problems[0].what}; {error.problems[0].remedy}.")
        except (KineticsError, IndexError, ValueError) as error:
            return words(f"No waterfall: {error}.")


def _part_of(study: Study, page: int) -> Study:
    """The `page`th `PAGE` subjects."""
    keep = study.subject_ids[page * PAGE : (page + 1) * PAGE]
    if len(keep) == len(study.subjects):
        return study
    tables = {name: getattr(study, name) for name in ("doses", "observations", "events", "responses")}
    smaller = {k: rows_where(table, "subject", *keep).reset_index(drop=True) for k, table in tables.items()}
    return replace(study, subjects=DataFrame(study.subjects.loc[keep]), **smaller)
