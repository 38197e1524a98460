"""The figures that were drawn last, shared by all readers of the page.

Drawing takes a second or more and sending a few milliseconds. Readers of one study mostly look at the same
figures, so each is drawn once and kept by its content.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from plotly.graph_objects import Figure
from plotly.io import to_json

__all__ = ["MANY", "Drawing", "Drawings", "light"]

MANY = 3000  # number of points above which a figure is drawn by WebGL
_LABELS = 32  # px, the line of the labels
_MOST_BYTES = 128 * 2**20  # a figure of 1,000 patients has about 10 MB


@dataclass(frozen=True)
class Drawing:
    """A figure as the page takes it: its `json`, and its `title`, under which a zoom is kept."""

    json: str
    title: str

    @classmethod
    def of(cls, figure: Figure) -> Drawing:
        """The drawing of a figure, set to be drawn by WebGL if it has many points."""
        title = str(figure.layout.title.text)  # pyright: ignore[reportAttributeAccessIssue]
        return cls(str(to_json(light(_labels_above(figure)))), title)


class Drawings:
    """The latest drawings by their content, of at most `most_bytes` bytes in all."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.size = 0
        self._drawings: OrderedDict[Hashable, Drawing] = OrderedDict()

    def of(self, content: Hashable, draw: Callable[[], Figure]) -> Drawing:
        """The drawing of this content, by `draw` unless it is kept.

        `content` must hold everything that the figure depends on. An error of `draw` is raised and not kept.
        """
        if content in self._drawings:
            self._drawings.move_to_end(content)
            return self._drawings[content]
        drawing = Drawing.of(draw())
        self._drawings[content] = drawing
        self.size += sys.getsizeof(drawing.json)
        while self.size > self.most_bytes:
            _, oldest = self._drawings.popitem(last=False)
            self.size -= sys.getsizeof(oldest.json)
        return drawing


def _labels_above(figure: Figure) -> Figure:
    """The figure with its labels on a line of their own: a narrow window has no room beside the title."""
    labels: Any = list(figure.select_annotations(selector={"name": "labels"}))
    if labels:
        layout: Any = figure.layout
        top = layout.margin.t + _LABELS
        figure.update_layout(height=layout.height + _LABELS, margin_t=top, title_pad_t=12 + _LABELS)
        labels[0].update(x=0, xanchor="left", yshift=top - 8)
    return figure


def light(value: Figure) -> Figure:
    """The figure itself, or, if it has more than MANY points, a copy whose scatters are drawn by WebGL."""
    traces: Any = value.select_traces(selector={"type": "scatter"})
    points = sum(len(trace.x) for trace in traces if trace.x is not None)
    if points <= MANY:
        return value
    content: dict[str, Any] = value.to_dict()
    for trace in content["data"]:
        if trace.get("type") != "scatter" or trace.get("fill") is not None:
            continue
        trace["type"] = "scattergl"
        trace.pop("cliponaxis", None)
    return Figure(content)
