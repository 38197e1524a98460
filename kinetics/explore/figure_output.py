"""A Plotly figure as an output of a Shiny page: drawn by the plotly.js that lies in the plotly package."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any

import plotly
from htmltools import HTMLDependency, Tag, div
from plotly.graph_objects import Figure
from plotly.io import to_json
from shiny import ui
from shiny.render.renderer import Renderer

from kinetics.plot import FIGURE_CONFIG

__all__ = ["MANY", "figure_output", "files", "light", "render_figure", "save_buttons", "words"]

MANY = 3000  # points of a figure, above which they are drawn by WebGL
_HERE = Path(__file__).parent / "www"
_PLOTLY = Path(plotly.__file__).parent / "package_data"


def files() -> list[HTMLDependency]:
    """The scripts and the style of the page, all from packages on this machine."""
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
    """Where a figure is drawn."""
    return div(div(class_="kinetics-drawing"), id=name, class_="kinetics-figure shiny-report-size")


def save_buttons(name: str, title: str) -> list[Tag]:
    """Buttons that save a figure as SVG or PNG, made in the browser."""
    return [
        ui.tags.button(
            kind.upper(),
            type="button",
            class_="btn btn-outline-secondary",
            **{"data-save-figure": name, "data-format": kind, "data-name": title},
        )
        for kind in ("svg", "png")
    ]


class render_figure(Renderer[Figure]):
    """Render the figure that a function returns; the zoom stays while the title does."""

    def auto_output_ui(self) -> Tag:
        return figure_output(self.output_id)

    async def transform(self, value: Figure) -> dict[str, Any]:
        """The figure as JSON, many points by WebGL."""
        title = str(value.layout.title.text)  # pyright: ignore[reportAttributeAccessIssue]
        return {"figure": to_json(light(value)), "config": FIGURE_CONFIG, "revision": title}


def light(value: Figure) -> Figure:
    """The same figure, its scatters drawn by WebGL where there are many points."""
    every: Any = value.select_traces(selector={"type": "scatter"})
    points = sum(len(trace.x) for trace in every if trace.x is not None)
    if points <= MANY:
        return value
    content: dict[str, Any] = value.to_dict()
    for trace in content["data"]:
        if trace.get("type") != "scatter" or trace.get("fill") is not None:
            continue
        trace["type"] = "scattergl"
        trace.pop("cliponaxis", None)
    return Figure(content)


def words(text: str) -> Figure:
    """A figure that says why there is none."""
    said = "<br>".join(wrap(text, 100))
    figure = Figure(
        layout={"height": 160, "paper_bgcolor": "white", "plot_bgcolor": "white", "title": {"text": ""}}
    )
    figure.add_annotation(
        text=said, x=0, y=0.5, xref="paper", yref="paper", xanchor="left", showarrow=False, align="left"
    )
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)
