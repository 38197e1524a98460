"""The notebooks of notebooks/ as pages of the site, made from their executed .ipynb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["NOTEBOOKS", "notebook_pages"]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

INDEX_HEAD = """# Notebooks

Each is a Python file of `notebooks/` with an executed `.ipynb` beside it, which Jupyter opens (the extra
`notebook`; jupytext keeps the two alike). The committed outputs come from short runs, with few draws: the
checks in them say so. Run them in full with `make notebooks`.
"""


def notebook_pages(folder: Path = NOTEBOOKS) -> dict[str, str]:
    """`notebooks/NAME.md` of every executed notebook, and `notebooks/index.md`."""
    files = sorted(folder.glob("*.ipynb"))
    pages = {f"notebooks/{file.stem}.md": _page(file) for file in files}
    titles = [f"- [{_title(pages[f'notebooks/{file.stem}.md'])}]({file.stem}.md)" for file in files]
    tree = ["```{toctree}", ":hidden:", *(file.stem for file in files), "```", ""]
    return {"notebooks/index.md": "\n".join([INDEX_HEAD, *titles, "", *tree]), **pages}


def _title(page: str) -> str:
    """The text of the first heading."""
    return page.partition("\n")[0].removeprefix("# ")


def _page(file: Path) -> str:
    """The Markdown of a notebook: text, code and outputs; hidden cells are left out."""
    notebook = json.loads(file.read_text(encoding="utf-8"))
    parts: list[str] = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"{text}\n")
            continue
        if "hide-cell" not in cell["metadata"].get("tags", ()):
            parts.append(f"```python\n{text}\n```\n")
        for output in cell["outputs"]:
            parts += _output(output)
    return "\n".join(parts)


def _output(output: dict[str, Any]) -> Iterator[str]:
    """An output as Markdown: a figure, a table, or text."""
    data = output.get("data", {})
    if "image/png" in data:
        title = "".join(data["text/plain"]).replace('"', "'")
        yield f'```{{raw}} html\n<img alt="{title}" src="data:image/png;base64,{data["image/png"]}">\n```\n'
    elif "text/html" in data:
        table = "".join(data["text/html"]).replace("<table", '<table class="docutils"')
        yield f'```{{raw}} html\n<div class="figure">{table}</div>\n```\n'
    else:
        text = "".join(output.get("text", data.get("text/plain", ()))).rstrip("\n")
        yield f"```text\n{text}\n```\n"
