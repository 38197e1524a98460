"""The parts of a page: sections with figures and tables, in which every missing number has its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.graph_objects import Figure

from kinetics.files import write_atomic
from kinetics.plot import FIGURE_CONFIG, figure_div, number_text, plotly_script

__all__ = ["FIGURE_CONFIG", "Section", "Table", "add_figure", "write_page"]


@dataclass
class Table:
    """A table as the template draws it: `rows` of cells, and `notes`, its footnotes numbered from 1.

    `numeric` says for each column whether it holds numbers.
    """

    caption: str
    heads: list[str]
    numeric: list[bool]
    rows: list[list[dict[str, Any]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def cell(self, value: Any, reason: str = "", *, mark: str = "") -> dict[str, Any]:
        """One cell with the text of a value; a `reason` becomes a footnote, `mark` is the CSS class."""
        text = _plain_text(value)
        if not mark and len(text) > 40:
            mark = "long"
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


def add_figure(section: Section, figure: Figure) -> None:
    """Add a figure to a section as HTML, labelled with its title for screen readers."""
    name = f"figure-{section.name}-{len(section.figures) + 1}"
    title = str(figure.to_dict()["layout"]["title"]["text"])
    html = figure_div(figure, name)
    label = Markup('<figure role="group" aria-label="{}">{}</figure>')
    section.figures.append(label.format(title, Markup(html)))


def write_page(template: str, to: str | Path, **content: Any) -> Path:
    """Render a template that extends `page.html` to the file `to`, whole or not at all; return its path.

    `content` holds `synthetic`, `cautions` and `sections`, and the values that the blocks of the template
    name.
    """
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    text = environment.get_template(template).render(plotly=Markup(plotly_script()), **content)
    return write_atomic(Path(to), text)
