"""Run a notebook of `notebooks/` and write it with its tables and figures: `make notebooks`.

A notebook is a Python file whose cells begin with `# %%`; those of `# %% [markdown]` are text in comments,
and those tagged `hide-cell` are settings and checks that a reader need not see. As in Jupyter, all cells
share one namespace; what a cell prints and its last expression are shown. Each notebook becomes one HTML that
works offline and, beside its source, an executed `.ipynb` that jupytext pairs with it.
"""

from __future__ import annotations

import argparse
import ast
import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from kinetics.plot.export import FIGURE_CONFIG, save_figure
from tests.support.browser import CHROMIUM, picture_of_page

HIDDEN = "hide-cell"
STYLE = Path(__file__).parents[2] / "kinetics" / "pages" / "templates" / "report.css"
PRE = "pre { background: var(--soft); padding: 0.6rem 0.9rem; font-size: 0.8rem; white-space: pre-wrap; }"
GAP = ".scroll { margin-bottom: 1.2rem; }"


@dataclass(frozen=True)
class Cell:
    """A cell that has been run: its text, from line `line` of the file, what it printed and shows (None:
    nothing).
    """

    kind: str
    line: int
    text: str
    printed: str = ""
    shown: Any = None
    hidden: bool = False


def cells(file: Path) -> Iterator[Cell]:
    """The cells in their order; what stands before the first `# %%` is none."""
    kind = ""
    first = 0
    lines = []
    hidden = False
    for number, line in enumerate([*file.read_text(encoding="utf-8").splitlines(), "# %%"], start=1):
        if not line.startswith("# %%"):
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
            continue
        blank = next((i for i, text in enumerate(lines) if text), len(lines))  # lines before the cell's first
        if kind and lines[blank:]:
            yield Cell(kind, first + blank, "\n".join(lines[blank:]).rstrip("\n"), hidden=hidden)
        kind = "markdown" if "[markdown]" in line else "code"
        first = number + 1
        lines = []
        hidden = HIDDEN in line


def run(file: Path) -> list[Cell]:
    """Every cell, executed; an error is that of the notebook, at its own line."""
    done, namespace = [], {"__name__": "__main__"}
    for cell in cells(file):
        shown, printed = None, StringIO()
        if cell.kind == "code":
            tree = ast.increment_lineno(ast.parse(cell.text), cell.line - 1)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            with redirect_stdout(printed):
                exec(compile(tree, str(file), "exec"), namespace)
                if isinstance(last, ast.Expr):
                    shown = eval(compile(ast.Expression(last.value), str(file), "eval"), namespace)
        done.append(Cell(cell.kind, cell.line, cell.text, printed.getvalue(), shown, cell.hidden))
    return done


def page(title: str, done: list[Cell]) -> str:
    """The cells as one HTML page."""
    markdown = MarkdownIt("commonmark").enable("table")
    parts = []
    for cell in done:
        if cell.kind == "markdown":
            parts.append(markdown.render(cell.text))
            continue
        if not cell.hidden:
            parts.append(f"<pre><code>{escape(cell.text)}</code></pre>")
        if cell.printed:
            parts.append(f"<pre>{escape(cell.printed)}</pre>")
        if isinstance(cell.shown, Figure):
            figure = cell.shown.to_html(full_html=False, include_plotlyjs=False, config=FIGURE_CONFIG)
            parts.append(f"<figure>{figure}</figure>")
        elif isinstance(cell.shown, DataFrame):
            parts.append(f'<div class="scroll">{cell.shown.to_html(border=0)}</div>')
        elif cell.shown is not None:
            parts.append(f"<pre>{escape(str(cell.shown))}</pre>")
    style = f"{STYLE.read_text(encoding='utf-8')}\n{PRE}\n{GAP}\ntd {{ white-space: normal; }}"
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{style}</style>'
    head += f"<script>{get_plotlyjs()}</script>"
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>'


def as_ipynb(done: list[Cell]) -> dict[str, Any]:
    """The cells as an executed notebook of Jupyter (nbformat 4.5), which jupytext pairs with its source."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {
        "jupytext": {"formats": "ipynb,py:percent", "main_language": "python"},
        "kernelspec": kernel,
        "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
    }
    cells_json = [_cell_json(number, cell) for number, cell in enumerate(done)]
    return {"cells": cells_json, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _cell_json(number: int, cell: Cell) -> dict[str, Any]:
    """One cell; a hidden one is tagged, and Jupyter folds its source."""
    common = {"id": f"cell-{number}", "source": cell.text.splitlines(keepends=True)}
    if cell.kind == "markdown":
        return {"cell_type": "markdown", "metadata": {}, **common}
    metadata: dict[str, Any] = {}
    if cell.hidden:
        metadata = {"tags": [HIDDEN], "jupyter": {"source_hidden": True}}
    outputs = list(_outputs(number, cell))
    return {
        "cell_type": "code",
        "execution_count": number,
        "metadata": metadata,
        "outputs": outputs,
        **common,
    }


def _outputs(number: int, cell: Cell) -> Iterator[dict[str, Any]]:
    """What a cell printed, and what it shows: a figure as PNG, a table as HTML and text, the rest as text."""
    if cell.printed:
        yield {"output_type": "stream", "name": "stdout", "text": cell.printed.splitlines(keepends=True)}
    if cell.shown is None:
        return
    data: dict[str, Any] = {"text/plain": str(cell.shown).splitlines(keepends=True)}
    if isinstance(cell.shown, Figure):
        title = cell.shown.layout.title.text or "figure"  # pyright: ignore
        data = {"image/png": _png(cell.shown), "text/plain": [title]}
    elif isinstance(cell.shown, DataFrame):
        data["text/html"] = cell.shown.to_html(border=0).splitlines(keepends=True)
    yield {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data}


def _png(figure: Figure) -> str:
    """A figure of 900 px as PNG in base64."""
    with tempfile.TemporaryDirectory() as folder:
        svg = save_figure(figure, Path(folder) / "figure.svg", width=900)
        height = int(figure.layout.height or 480)  # pyright: ignore
        picture = picture_of_page(svg, svg.with_suffix(".png"), width=900, height=height)
        return base64.b64encode(picture.read_bytes()).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/notebooks"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for file in given.notebooks:
        done = run(file)
        to = given.out / f"{file.stem}.html"
        to.write_text(page(file.stem, done), encoding="utf-8")
        print(to, flush=True)
        if CHROMIUM is None:
            print(f"{file.with_suffix('.ipynb')} is NOT written: no chromium to draw its figures")
            continue
        text = json.dumps(as_ipynb(done), indent=1, ensure_ascii=False)
        file.with_suffix(".ipynb").write_text(f"{text}\n", encoding="utf-8")
        print(file.with_suffix(".ipynb"), flush=True)


if __name__ == "__main__":
    main()
