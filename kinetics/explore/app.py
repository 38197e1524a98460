"""The page: its panels, what stands above them, and the program that they share."""

from __future__ import annotations

from threading import Thread
from typing import Any

from shiny import App, Inputs, Outputs, Session, reactive, render, ui

from kinetics.explore.data_panel import data_panel, serve_data, serve_selection
from kinetics.explore.figure_output import files
from kinetics.explore.response_panel import response_panels, serve_responses
from kinetics.explore.subject_bands import SubjectBands
from kinetics.explore.target import Target
from kinetics.explore.what_if import Choice, Course, WhatIf, products_of
from kinetics.explore.what_if_panel import serve_what_if, what_if_panel

__all__ = ["explorer"]


def explorer(target: Target, what_if: WhatIf | None = None) -> App:
    """The Shiny app of a target. Compiling (unless `what_if` is) and checking begin at once, in a thread."""
    model = target.model
    if what_if is None and model is not None and model.dose_unit == "cells":
        what_if = WhatIf(model, target.fit)
    bands = (
        SubjectBands(target.fit, what_if.program) if target.fit is not None and what_if is not None else None
    )
    Thread(target=_prepare, args=(target, what_if), daemon=True, name="prepare").start()

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        chosen = serve_selection(input, target)
        serve_data(input, target, chosen, bands)
        serve_responses(input, target, chosen)
        if what_if is not None:
            serve_what_if(input, target, what_if)
        _serve_labels(target)

    return App(_page(target), server)


def _prepare(target: Target, what_if: WhatIf | None) -> None:
    """Compile, then check the fit: both can take a minute, and the page is there meanwhile."""
    if what_if is not None and not what_if.program.ready:
        first = products_of(what_if.model)[0]
        what_if.program.warm(what_if.lanes(Choice((Course(first, 1e7),)))).join()
    if target.fit is not None:
        target.verdict.find(target.fit)


def _page(target: Target) -> Any:
    study = target.study
    icon = ui.head_content(ui.tags.link(rel="icon", href="data:,"))  # or the browser asks for one in vain
    head = [*files(), icon, ui.output_ui("labels")]
    return ui.page_navbar(
        data_panel(target),
        what_if_panel(target),
        *response_panels(target),
        _about(target),
        title=f"kinetics explore · {study.name}",
        id="tab",
        header=head,
        window_title=f"{study.name}: kinetics",
        theme=ui.Theme("bootstrap"),
        lang="en",
    )


def _serve_labels(target: Target) -> None:
    @render.ui
    def labels() -> Any:
        if target.fit is not None and target.verdict.failures is None:
            reactive.invalidate_later(2.0)
        said = target.labels
        return ui.div(" · ".join(said), class_="kinetics-labels", id="kinetics-labels") if said else None

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
    study = target.study
    model = target.model
    said = [ui.tags.pre(str(study)), ui.output_ui("verdict")]
    if study.dictionary.note:
        said.append(ui.p(study.dictionary.note))
    if target.source:
        said.append(ui.p(f"{target.source}."))
    if model is not None:
        said.append(
            ui.p(f"Model {model.name}, sha256 {model.sha256[:12]}: {model.doc.strip().splitlines()[0]}")
        )
    if target.guesses:
        said.append(
            ui.p(
                f"Design guesses, not published values: {', '.join(target.guesses)}.",
                class_="kinetics-caution",
            )
        )
    if target.fit is not None and target.fit.caution:
        said.append(ui.p(target.fit.caution, class_="kinetics-caution"))
    return ui.nav_panel("About", ui.div(*said, class_="p-3"), value="about")
