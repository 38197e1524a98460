"""A Plotly figure as an output of a Shiny page, drawn by the plotly.js that ships with the plotly package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from textwrap import wrap
from typing import Any

import plotly
from htmltools import HTMLDependency, Tag, div
from plotly.graph_objects import Figure
from shiny import ui
from shiny.render.renderer import Renderer
from starlette.exceptions import HTTPException

from kinetics.errors import KineticsError
from kinetics.explore.drawings import Drawing
from kinetics.plot import FIGURE_CONFIG

__all__ = ["download_or_refusal", "figure_output", "files", "render_figure", "save_buttons", "words"]

_HERE = Path(__file__).parent / "www"
_PLOTLY = Path(plotly.__file__).parent / "package_data"


def files() -> list[HTMLDependency]:
    """The scripts and the style sheet of the page, all from packages on this machine."""
    version = plotly.__version__
    return [
        HTMLDependency("plotly", version, source={"subdir": str(_PLOTLY)}, script={"src": "plotly.min.js"}),
        HTMLDependency(
            "kinetics-explore",
            "1",
            source={"subdir": str(_HERE)},
            script={"src": "page.js"},
            stylesheet={"href": "page.css"},
        ),
    ]


def figure_output(name: str) -> Tag:
    """The element in which the figure of this name is drawn."""
    return div(div(class_="kinetics-drawing"), id=name, class_="kinetics-figure shiny-report-size")


def save_buttons(name: str, title: str) -> list[Tag]:
    """Buttons with which the browser saves the figure `name` as SVG or PNG, in a file called `title`."""
    return [
        ui.tags.button(
            kind.upper(),
            type="button",
            class_="btn btn-outline-secondary",
            **{"data-save-figure": name, "data-format": kind, "data-name": title},
        )
        for kind in ("svg", "png")
    ]


def download_or_refusal(write: Callable[[], Iterator[str]]) -> Callable[[], Iterator[str]]:
    """A download that is made before it is sent; where it cannot be, the answer is 400 with the reason.

    `write` yields the text of the file, or raises KineticsError.
    """

    @wraps(write)
    def download() -> Iterator[str]:
        try:
            return iter(list(write()))
        except KineticsError as error:
            raise HTTPException(400, str(error)) from error

    return download


class render_figure(Renderer[Any]):
    """Render the `Drawing` that a function returns; the zoom is kept as long as the title stays the same."""

    def auto_output_ui(self) -> Tag:
        return figure_output(self.output_id)

    async def transform(self, value: Drawing) -> dict[str, Any]:
        """The drawing as the page's script takes it."""
        return {"figure": value.json, "config": FIGURE_CONFIG, "revision": value.title}


def words(text: str) -> Drawing:
    """The drawing of an empty figure with a text that says why there is nothing to draw."""
    figure = Figure(
        layout={"height": 160, "paper_bgcolor": "white", "plot_bgcolor": "white", "title": {"text": ""}}
    )
    figure.add_annotation(
        text="<br>".join(wrap(text, 100)),
        x=0,
        y=0.5,
        xref="paper",
        yref="paper",
        xanchor="left",
        showarrow=False,
        align="left",
    )
    return Drawing.of(figure.update_xaxes(visible=False).update_yaxes(visible=False))
