"""All pages of the site: those that are written, in docs/, and those that are made from the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plotly.offline import get_plotlyjs

from docs.generate.columns import column_page
from docs.generate.commands import command_page
from docs.generate.dossier import dossier_page, read_requirements, recorded_results
from docs.generate.gallery import gallery_pages
from docs.generate.notebooks import notebook_pages
from docs.generate.reference import reference_pages

__all__ = ["DOCS", "FIGURES", "generated_pages", "write_sources", "written_pages"]

DOCS = Path(__file__).parents[1]
FIGURES = DOCS / "figures"  # drawn by `make figures` and committed


def written_pages() -> dict[str, str]:
    """Path -> Markdown of every page of docs/."""
    files = sorted(DOCS.rglob("*.md"))
    return {str(file.relative_to(DOCS)): file.read_text(encoding="utf-8") for file in files}


def generated_pages() -> dict[str, str]:
    """Path -> Markdown of every page that is made from the code."""
    return {
        **gallery_pages(),
        **notebook_pages(),
        **reference_pages(),
        "columns.md": column_page(),
        "commands.md": command_page(),
        "dossier.md": dossier_page(read_requirements(), recorded_results()),
    }


def write_sources(pages: Mapping[str, str], folder: Path) -> None:
    """Write the folder that Sphinx reads: these pages and the static files.

    Files of an earlier build are removed. A file whose content is the same is left alone.
    """
    texts = {
        **pages,
        "_static/site.css": (DOCS / "site.css").read_text(encoding="utf-8"),
        "_static/plotly.min.js": get_plotlyjs(),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    pictures = [file for file in sorted(FIGURES.rglob("*")) if file.suffix in (".svg", ".png")]
    contents |= {str(file.relative_to(DOCS)): file.read_bytes() for file in pictures}
    for file in FIGURES.glob("models/*.svg"):  # the gallery's grid is HTML, and asks for them here
        contents[f"_static/models/{file.name}"] = file.read_bytes()
    _remove_others(folder, set(contents))
    for name, content in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove every file below `folder` that is none of `names`, and then the folders that are empty."""
    paths = sorted(folder.rglob("*"), reverse=True)  # what lies in a folder comes before the folder
    for path in paths:
        if path.is_file() and str(path.relative_to(folder)) not in names:
            path.unlink()
    for path in paths:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
