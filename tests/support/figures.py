"""Plotly figures, read as data."""

from __future__ import annotations

from typing import Any

from plotly.graph_objects import Figure

__all__ = ["annotation", "traces"]


def traces(figure: Figure, role: str, *, shown: bool = True) -> list[Any]:
    """The traces of a role: those visible when the figure opens, or all with `shown=False`."""
    return [
        t for t in figure.data if (t.meta or {}).get("role") == role and (t.visible is not False or not shown)
    ]


def annotation(figure: Figure, name: str) -> str:
    """The text of the first annotation of this name, or an empty string."""
    texts = [a.text for a in figure.layout.annotations if a.name == name]
    return texts[0] if texts else ""
