"""All pages of the site: those that are written, in docs/, and those that are made from the code."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from plotly.offline import get_plotlyjs

from docs.generate.commands import command_page
from docs.generate.dossier import dossier_page, read_requirements, read_results
from docs.generate.gallery import gallery_pages
from docs.generate.reference import reference_pages

__all__ = ["DOCS", "generated_pages", "write_sources", "written_pages"]

DOCS = Path(__file__).parents[1]


def written_pages() -> dict[str, str]:
    """Path -> Markdown of every page of docs/."""
    return {str(f.relative_to(DOCS)): f.read_text(encoding="utf-8") for f in sorted(DOCS.rglob("*.md"))}


def generated_pages(figures: tuple[str, ...] | None = None) -> dict[str, str]:
    """Path -> Markdown of every page that is made and not written; `figures`: of these models alone."""
    return {
        **gallery_pages(figures),
        **reference_pages(),
        "commands.md": command_page(),
        "dossier.md": dossier_page(read_requirements(), read_results()),
    }


def write_sources(pages: Mapping[str, str], to: Path) -> None:
    """The folder as Sphinx reads it: these pages and the static files, nothing of before; what is the same
    stays.
    """
    static = {"_static/site.css": (DOCS / "site.css").read_text(encoding="utf-8")}
    wanted = {**pages, **static, "_static/plotly.min.js": get_plotlyjs()}
    for file in [f for f in to.rglob("*") if f.is_file() and str(f.relative_to(to)) not in wanted]:
        file.unlink()
    for name, text in wanted.items():
        file = to / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for folder in sorted((f for f in to.rglob("*") if f.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            shutil.rmtree(folder)
