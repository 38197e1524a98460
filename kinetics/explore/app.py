"""The page: its panels, the labels above them, and the compiled program that they share."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from threading import Thread
from typing import Any

from shiny import App, Inputs, Outputs, Session, reactive, render, ui

from kinetics.explore.data_panel import data_panel, serve_data, serve_selection
from kinetics.explore.drawings import Drawings
from kinetics.explore.figure_output import files
from kinetics.explore.outcome_chances import OutcomeChances
from kinetics.explore.response_panel import response_panels, serve_responses
from kinetics.explore.run_report import report_button, serve_report
from kinetics.explore.scenarios_panel import scenarios_panel, serve_scenarios
from kinetics.explore.sheet_panel import OpenPage, serve_sheet, sheet_panel
from kinetics.explore.subject_bands import SubjectBands
from kinetics.explore.target import Target
from kinetics.explore.what_if import Choice, Course, WhatIf, products_of
from kinetics.explore.what_if_panel import serve_what_if, what_if_panel

__all__ = ["explorer", "scripts_of_page"]

_SCRIPT = re.compile(r"<script(?![^>]*\b(?:src|type)=)[^>]*>(.*?)</script>", re.DOTALL)


def explorer(target: Target, what_if: WhatIf | None = None, open_page: OpenPage | None = None) -> App:
    """The Shiny app of a target. With `open_page` a reader can open a sheet, which it serves on its own page.

    A thread starts at once to compile the equations (unless those of `what_if` are compiled) and to check the
    fit.
    """
    model = target.model
    if what_if is None and model is not None and model.dose_unit == "cells":
        what_if = WhatIf(model, target.fit)
    bands = None
    if target.fit is not None and what_if is not None:
        bands = SubjectBands(target.fit, what_if.program)
    drawings = Drawings()  # of all sessions
    chances = OutcomeChances(target.fit)
    Thread(target=_prepare, args=(target, what_if, chances), daemon=True, name="prepare").start()

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        selected_study = serve_selection(input, target)
        serve_data(input, target, drawings, selected_study, bands)
        serve_responses(input, drawings, selected_study)
        if what_if is not None:
            choice = serve_what_if(input, target, drawings, what_if, chances)
            serve_scenarios(input, target, drawings, what_if, choice)
        if open_page is not None:
            serve_sheet(input, session, open_page)
        _serve_labels(target)
        serve_report(target)

    return App(_page(target, opens_sheets=open_page is not None), server)


def scripts_of_page() -> list[str]:
    """The hashes ('sha256-...') of the scripts that Shiny writes between the tags of a page.

    They are those of a page that has nothing of a study, so a script out of a study's texts is not among
    them.
    """
    blank = ui.page_navbar(
        ui.nav_panel("", ui.layout_sidebar(ui.sidebar("")), value="blank"),
        title="",
        header=files(),
        theme=ui.Theme("bootstrap"),
    )
    scripts = _SCRIPT.findall(str(App(blank, None).ui["html"]))  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]
    return [f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}" for script in scripts]


def _prepare(target: Target, what_if: WhatIf | None, chances: OutcomeChances) -> None:
    """Compile, then regress outcomes on exposures and check the fit; the page is shown meanwhile."""
    if what_if is not None and not what_if.program.ready:
        product = products_of(what_if.model)[0]
        typical = Choice((Course(product, 1e7),))
        what_if.program.warm(what_if.lanes(typical)).join()
    chances.find()
    if target.fit is not None:
        target.verdict.find(target.fit)


def _page(target: Target, *, opens_sheets: bool) -> Any:
    study = target.study
    icon = ui.head_content(ui.tags.link(rel="icon", href="data:,"))  # else the browser asks for one in vain
    header = [*files(), icon, ui.output_ui("labels")]
    return ui.page_navbar(
        data_panel(target),
        what_if_panel(target),
        *scenarios_panel(target),
        *response_panels(target),
        *([sheet_panel()] if opens_sheets else []),
        _about(target),
        title=f"kinetics explore · {study.name}",
        id="tab",
        header=header,
        window_title=f"{study.name}: kinetics",
        theme=ui.Theme("bootstrap"),
        lang="en",
    )


def _serve_labels(target: Target) -> None:
    """Serve the labels above the panels and the verdict on the fit, renewed until the fit is checked."""

    @render.ui
    def labels() -> Any:
        if target.fit is not None and target.verdict.failures is None:
            reactive.invalidate_later(2.0)
        if not target.labels:
            return None
        return ui.div(" · ".join(target.labels), class_="kinetics-labels", id="kinetics-labels")

    @render.ui
    def verdict() -> Any:
        if target.fit is None:
            return None
        failures = target.verdict.failures
        if failures is None:
            reactive.invalidate_later(2.0)
            return ui.p("The fit is being checked.")
        if not failures:
            return ui.p("The fit passes all its checks (kinetics check).")
        return ui.div(
            ui.p("These numbers may not be used:"),
            ui.tags.ul(*map(ui.tags.li, failures)),
            class_="kinetics-caution",
        )


def _about(target: Target) -> Any:
    """The panel that describes the study, the model and the fit."""
    study = target.study
    model = target.model
    paragraphs = [ui.tags.pre(str(study)), ui.output_ui("verdict"), *report_button(target)]
    if study.dictionary.note:
        paragraphs.append(ui.p(study.dictionary.note))
    if target.source:
        paragraphs.append(ui.p(f"{target.source}."))
    if model is not None:
        summary = model.doc.strip().splitlines()[0]
        paragraphs.append(ui.p(f"Model {model.name}, sha256 {model.sha256[:12]}: {summary}"))
    if target.guesses:
        guesses = f"Design guesses, not published values: {', '.join(target.guesses)}."
        paragraphs.append(ui.p(guesses, class_="kinetics-caution"))
    if target.fit is not None and target.fit.caution:
        paragraphs.append(ui.p(target.fit.caution, class_="kinetics-caution"))
    return ui.nav_panel("About", ui.div(*paragraphs, class_="p-3"), value="about")
