"""What a built site would ask a network for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["network_requests"]

_LOADED = (
    re.compile(r"<(?:script|img|iframe|audio|video|source|embed)\b[^>]*?\bsrc\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)",
               re.I),
    re.compile(r"<link\b(?=[^>]*\brel\s*=\s*[\"']?(?:stylesheet|preconnect|preload|icon|manifest|modulepreload|dns-prefetch))"
               r"[^>]*?\bhref\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)", re.I),
)  # fmt: skip
_STYLE = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')\s]+)", re.I)


def network_requests(site: Path) -> Iterator[tuple[Path, str]]:
    """(file, address) of every script, style, font, image or frame that a page or a style would load from
    elsewhere.
    """
    for file in sorted(site.rglob("*.html")):
        text = file.read_text(encoding="utf-8")
        for pattern in (*_LOADED, _STYLE):
            yield from ((file, found[1]) for found in pattern.finditer(text))
    for file in sorted(site.rglob("*.css")):
        yield from ((file, found[1]) for found in _STYLE.finditer(file.read_text(encoding="utf-8")))
