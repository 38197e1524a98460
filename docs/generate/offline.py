"""What a built site would ask a network for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["network_requests"]

_TAG = re.compile(r"<(?:script|img|iframe|audio|video|source|embed|link)\b[^>]*", re.IGNORECASE)
_SRC = re.compile(r"\bsrc\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)", re.IGNORECASE)
_HREF = re.compile(r"\bhref\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)", re.IGNORECASE)
_REL = re.compile(
    r"\brel\s*=\s*[\"']?(?:stylesheet|preconnect|preload|icon|manifest|modulepreload|dns-prefetch)",
    re.IGNORECASE,
)
_STYLE = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)


def network_requests(site: Path) -> Iterator[tuple[Path, str]]:
    """(file, address) of every script, style, font, image or frame that would be loaded from elsewhere."""
    for file in sorted(site.rglob("*.html")):
        page = file.read_text(encoding="utf-8")
        for tag in _TAG.findall(page):
            for address in _addresses(tag):
                yield file, address
        for address in _STYLE.findall(page):
            yield file, address
    for file in sorted(site.rglob("*.css")):
        for address in _STYLE.findall(file.read_text(encoding="utf-8")):
            yield file, address


def _addresses(tag: str) -> list[str]:
    """The addresses that a tag loads; a link loads one where it is a style, an icon or the like."""
    if not tag.lower().startswith("<link"):
        return _SRC.findall(tag)
    return _HREF.findall(tag) if _REL.search(tag) else []
