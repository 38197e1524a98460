"""Run a notebook of `notebooks/` and write it with its tables and figures as one HTML: `make notebooks`.

A notebook is a Python file whose cells begin with `# %%`; those of `# %% [markdown]` are text in comments. As
in Jupyter, all cells share one namespace; what a cell prints and its last expression are shown. The page
works offline.
"""

from __future__ import annotations

import argparse
import ast
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

from kinetics.plot.export import FIGURE_CONFIG

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


def cells(file: Path) -> Iterator[Cell]:
    """The cells in their order; what stands before the first `# %%` is none."""
    kind, first, lines = "", 0, []
    for number, line in enumerate([*file.read_text(encoding="utf-8").splitlines(), "# %%"], start=1):
        if not line.startswith("# %%"):
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
            continue
        blank = next((i for i, text in enumerate(lines) if text), len(lines))  # lines before the cell's first
        if kind and lines[blank:]:
            yield Cell(kind, first + blank, "\n".join(lines[blank:]).rstrip("\n"))
        kind, first, lines = "markdown" if "[markdown]" in line else "code", number + 1, []


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
        done.append(Cell(cell.kind, cell.line, cell.text, printed.getvalue(), shown))
    return done


def page(title: str, done: list[Cell]) -> str:
    """The cells as one HTML page."""
    markdown = MarkdownIt("commonmark").enable("table")
    parts = []
    for cell in done:
        if cell.kind == "markdown":
            parts.append(markdown.render(cell.text))
            continue
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/notebooks"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for file in given.notebooks:
        to = given.out / f"{file.stem}.html"
        to.write_text(page(file.stem, run(file)), encoding="utf-8")
        print(to)


if __name__ == "__main__":
    main()
