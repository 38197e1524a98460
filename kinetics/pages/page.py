"""The parts of a page: sections with figures and tables, in which every missing number has its reason."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.files import write_atomic
from kinetics.plot import FIGURE_CONFIG, figure_div, number_text, plotly_script, shared_plotly

__all__ = ["FIGURE_CONFIG", "Glance", "Section", "Table", "add_figure", "p_text", "page_text", "write_page"]


@dataclass
class Table:
    """A table as the template draws it: `rows` of cells, and `notes`, its footnotes numbered from 1.

    `numeric` says for each column whether it holds numbers. A `folded` table is closed until it is asked
    for, under its caption: listings and wide tables. `data` is the table with every digit, offered as a CSV
    file that the page holds; without it the file has the texts of the cells.
    """

    caption: str
    heads: list[str]
    numeric: list[bool]
    rows: list[list[dict[str, Any]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folded: bool = False
    data: DataFrame | None = None

    @property
    def file(self) -> str:
        """The name of the CSV file."""
        words = re.sub(r"[^a-z0-9]+", "_", self.caption.lower()).strip("_")
        return f"{words[:60].rstrip('_') or 'table'}.csv"

    @property
    def csv(self) -> str:
        """The table as the address of a CSV file inside the page."""
        data = self.data
        if data is None:
            texts = [[cell["text"] for cell in row] for row in self.rows]
            data = DataFrame(texts, columns=self.heads)
        content = base64.b64encode(data.to_csv(index=False, lineterminator="\n").encode())
        return f"data:text/csv;charset=utf-8;base64,{content.decode()}"

    def interval(self, middle: float, lower: float, upper: float) -> dict[str, Any]:
        """The cell of a number with its interval, `2,310 (1,900 to 2,800)`."""
        return self.cell(f"{number_text(middle)} ({number_text(lower)} to {number_text(upper)})")

    def cell(self, value: Any, reason: str = "", *, mark: str = "") -> dict[str, Any]:
        """One cell with the text of a value; a `reason` becomes a footnote, `mark` is the CSS class."""
        text = _plain_text(value).replace(" %", "\N{NO-BREAK SPACE}%")
        if not mark and len(text) > 14:
            mark = "long" if len(text) > 40 else "wrap"
        note = None
        if reason:
            if reason not in self.notes:
                self.notes.append(reason)
            note = self.notes.index(reason) + 1
        return {"text": text, "note": note, "reason": reason, "mark": mark, "share": None}

    def number(self, row: Mapping[Any, Any], column: str, reason: str) -> dict[str, Any]:
        """The cell of a number of a row; `reason` says why where it is missing."""
        return self.cell(row[column], reason if pd.isna(row[column]) else "")


@dataclass
class Section:
    """A heading, `words` to read before looking, then tables and figures."""

    name: str
    title: str
    words: list[str] = field(default_factory=list)
    figures: list[Markup] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def _plain_text(value: Any) -> str:
    """Counts in full, other numbers at 3 significant digits, an em dash for what is missing."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "—"
    if isinstance(value, bool | np.bool_ | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return number_text(float(value))


@dataclass
class Glance:
    """What a page shows before all else: `numbers` (label, value, unit, interval) and small `figures`."""

    numbers: list[tuple[str, str, str, str]] = field(default_factory=list)
    figures: list[Markup] = field(default_factory=list)
    note: str = ""

    def add_figure(self, figure: Figure, title: str, *, synthetic: bool) -> None:
        """Add a small figure under a short title: no legend, no footer, small margins."""
        small = Figure(figure)
        small.update_layout(
            title=None,
            showlegend=False,
            height=250,
            margin={"l": 62, "r": 8, "t": 8, "b": 42},
            font_size=10,
            updatemenus=[],
            sliders=[],
        )
        small.layout.annotations = ()
        small.layout.updatemenus = ()
        small.update_traces(marker_size=4, selector={"type": "scatter"})
        small.update_xaxes(title_font_size=11, tickfont_size=10)
        small.update_yaxes(title_font_size=11, tickfont_size=10, title_standoff=2)
        for axis in small.select_yaxes():
            axis.title.text = _short_title(str(axis.title.text or ""))  # pyright: ignore
        name = f"figure-glance-{len(self.figures) + 1}"
        label = Markup('<figure role="group" aria-label="{}"><figcaption>{}{}</figcaption>{}</figure>')
        mark = Markup(' <span class="mark">SYNTHETIC DATA</span>') if synthetic else ""
        self.figures.append(label.format(title, title, mark, Markup(figure_div(small, name))))


def _short_title(title: str) -> str:
    """The unit of an axis title, or the title where it is short."""
    unit = title.rpartition(" (")[2].removesuffix(")")
    return title if len(title) < 26 or unit == title else unit


def p_text(p: float) -> str:
    """A p-value with two digits; below 0.001 it says so."""
    return "< 0.001" if p < 0.001 else number_text(p, 2)


def add_figure(section: Section, figure: Figure) -> None:
    """Add a figure to a section as HTML, labelled with its title for screen readers."""
    name = f"figure-{section.name}-{len(section.figures) + 1}"
    title = str(figure.layout.title.text)  # pyright: ignore
    html = figure_div(figure, name)
    label = Markup('<figure role="group" aria-label="{}">{}</figure>')
    section.figures.append(label.format(title, Markup(html)))


def write_page(template: str, to: str | Path, *, single_file: bool = True, **content: Any) -> Path:
    """Render a template that extends `page.html` to the file `to`, whole or not at all; return its path.

    A page that is no `single_file` loads plotly.js from a file beside it. `content` is as of `page_text`.
    """
    shared = "" if single_file else shared_plotly(Path(to).parent)
    return write_atomic(Path(to), page_text(template, shared=shared, **content))


def page_text(template: str, *, shared: str = "", **content: Any) -> str:
    """A template that extends `page.html`, rendered as the text of one HTML file.

    `content` holds `synthetic`, `cautions` and `sections`, and the values that the blocks of the template
    name. plotly.js is in it only where a section has a figure; with `shared`, the name of a file beside the
    page, it is loaded from there.
    """
    plotly = ""
    if any(section.figures for section in content["sections"]):
        plotly = plotly_script(shared)
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(plotly=Markup(plotly), **content)
