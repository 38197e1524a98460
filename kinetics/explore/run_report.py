"""The report of a run, written when a reader of the page asks for it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from shiny import render, ui

from kinetics.checks import check
from kinetics.explore.target import Target
from kinetics.exposures import NCARules, exposure, nca
from kinetics.inference import Fit
from kinetics.pages import report

__all__ = ["report_button", "serve_report"]

_DRAWS = 500  # of the exposures, as `kinetics report` takes them


def report_button(target: Target) -> list[Any]:
    """The button, where there is a run to report; else nothing."""
    if target.fit is None:
        return []
    button = ui.download_button("run_report", "Write the report, HTML", class_="btn-outline-secondary")
    return [ui.div(button, class_="kinetics-tools"), ui.p("It takes a minute or more to write.")]


def serve_report(target: Target) -> None:
    """Serve the report of the target's run: the file that `kinetics report` writes."""
    fit = target.fit
    if fit is None:
        return

    @render.download_button(filename=f"{fit.name}-report.html")
    async def run_report() -> AsyncIterator[bytes]:
        yield await asyncio.to_thread(_page_of, fit)  # other readers are served meanwhile


def _page_of(fit: Fit) -> bytes:
    """The page of the report."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        if fit.study.doses.empty:  # exposures count time from a dose
            return report(fit, check(fit), to=file).read_bytes()
        table = nca(fit.study, rules=NCARules.car_t())
        return report(fit, check(fit), table, exposure(fit, draws=_DRAWS), to=file).read_bytes()
