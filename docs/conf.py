"""Settings of the site; `make docs` builds it (docs/generate/__main__.py)."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.generate.docstring import as_rst, fields_of  # noqa: E402

project = "cellkinetics"
author = "the cellkinetics authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "cellkinetics"
html_static_path = [str(ROOT / "build" / "docs" / "_static")]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"
myst_enable_extensions = ["colon_fence", "attrs_block", "attrs_inline"]
myst_heading_anchors = 3
add_module_names = False
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
smartquotes = False
autodoc_default_options = {"exclude-members": "model_config, model_post_init, refusal"}
toc_object_entries_show_parents = "hide"


def setup(app: Any) -> None:
    """Docstrings are prose with `code` and indented equations; Sphinx wants its own markup."""
    app.connect("autodoc-process-docstring", _rewrite)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-skip-member", _skip)


def _skip(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of a named tuple: Python's own words on them are "Alias for field number 0"."""
    return True if (inspect.getdoc(value) or "").startswith("Alias for field number") else None


def _rewrite(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst(lines) + (fields_of(value) if _is_table(value) else [])


def _shorten(app: Any, what: str, name: str, value: Any, options: Any, *given: str) -> tuple[str, str] | None:
    """A table of a TOML has its keys in a list, not in a signature of a page's length."""
    return ("(...)", "") if _is_table(value) else None


def _is_table(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseModel)
