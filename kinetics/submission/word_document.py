"""Sections of a report as a Word document, made by python-docx: headings, paragraphs, tables and pictures."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure

from kinetics.errors import InputError, Problem
from kinetics.pages import Section, Table
from kinetics.plot import can_draw, save_figure

__all__ = ["word_document"]

_PAGE_WIDTH = 26.0  # cm between the margins
_SLIMMEST = 8  # characters: the bounds of a column in the proportions of a table
_WIDEST = 60
_NARROW = 6  # columns that a portrait page holds; a wider table is set in smaller type
_NO_BROWSER = "Not drawn: no Chrome or Chromium is on this machine. The HTML report has the figure."


def word_document(
    title: str,
    lead: Sequence[str],
    sections: Sequence[Section],
    figures: Mapping[str, Sequence[Figure]],
    *,
    synthetic: bool,
) -> bytes:
    """A DOCX with a title, `lead` paragraphs, and every section with its tables and pictures.

    `figures` are those of each section, by its name. InputError where python-docx is not installed.
    """
    try:
        docx = importlib.import_module("docx")
    except ImportError as error:
        remedy = "install it: the extra `submission` of this package has it"
        raise InputError(Problem("a Word document needs python-docx", remedy)) from error
    from docx.enum.section import WD_ORIENT
    from docx.shared import Cm

    document = docx.Document()
    page = document.sections[0]
    page.orientation = WD_ORIENT.LANDSCAPE
    page.page_width = Cm(29.7)
    page.page_height = Cm(21.0)
    for side in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
        setattr(page, side, Cm(1.8))
    now = datetime.now(UTC).replace(tzinfo=None)
    properties = document.core_properties
    properties.title = title
    properties.author = ""
    properties.comments = ""
    properties.created = now
    properties.modified = now
    if synthetic:
        page.header.paragraphs[0].text = "SYNTHETIC DATA: simulated, no patients"
    document.add_heading(title, level=0)
    for line in lead:
        document.add_paragraph(line)
    for number, section in enumerate(sections, start=1):
        document.add_heading(f"{number}. {section.title}", level=1)
        for line in section.words:
            document.add_paragraph(line)
        for table in section.tables:
            _add_table(document, table)
        for figure in figures.get(section.name, ()):
            _add_figure(document, figure)
    content = BytesIO()
    document.save(content)
    return content.getvalue()


def _add_table(document: Any, table: Table) -> None:
    """Add a table with its caption, its heads in bold, and its footnotes below."""
    from docx.shared import Cm, Pt

    size = Pt(9 if len(table.heads) <= _NARROW else 7)
    caption = document.add_paragraph(table.caption)
    caption.paragraph_format.keep_with_next = True
    caption.runs[0].bold = True
    if not table.rows:
        document.add_paragraph("None.")
        return
    grid = document.add_table(rows=1, cols=len(table.heads), style="Light Grid Accent 1")
    for cell, head in zip(grid.rows[0].cells, table.heads, strict=True):
        _write(cell, head, size, bold=True)
    for row in table.rows:
        cells = grid.add_row().cells
        for cell, content in zip(cells, row, strict=True):
            note = f" [{content['note']}]" if content["note"] else ""
            _write(cell, f"{content['text']}{note}", size, bold=False)
    grid.autofit = False
    for column, width in zip(grid.columns, _widths(table), strict=True):
        column.width = Cm(width)
        for cell in column.cells:
            cell.width = Cm(width)
    for number, note in enumerate(table.notes, start=1):
        document.add_paragraph(f"[{number}] {note}").runs[0].font.size = Pt(8)
    document.add_paragraph()


def _widths(table: Table) -> list[float]:
    """The widths of the columns [cm], in proportion to their longest text within bounds."""
    columns = zip(table.heads, *([cell["text"] for cell in row] for row in table.rows), strict=True)
    weights = [min(max(len(str(text)) for text in column), _WIDEST) for column in columns]
    weights = [max(weight, _SLIMMEST) for weight in weights]
    return [_PAGE_WIDTH * weight / sum(weights) for weight in weights]


def _write(cell: Any, text: str, size: Any, *, bold: bool) -> None:
    """Write a text into a cell."""
    run = cell.paragraphs[0].add_run(text)
    run.font.size = size
    run.bold = bold


def _add_figure(document: Any, figure: Figure) -> None:
    """Add a figure as a picture as wide as the page, and its title for readers of the screen."""
    from docx.shared import Cm

    title = str(figure.to_dict()["layout"]["title"]["text"])
    if not can_draw():
        document.add_paragraph(f"{title}. {_NO_BROWSER}")
        return
    with tempfile.TemporaryDirectory(prefix="kinetics-") as folder:
        file = save_figure(figure, Path(folder) / "figure.png")
        layout = figure.to_dict()["layout"]
        share = int(layout.get("height") or 480) / 1000
        width = min(25.0, 16.5 / share)  # cm: the picture fits the page in both directions
        picture = document.add_picture(str(file), width=Cm(width))
        picture._inline.docPr.set("descr", title)
