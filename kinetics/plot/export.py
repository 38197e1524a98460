"""A figure as a file: HTML that works offline, or SVG, PDF and PNG for print, drawn by a browser of this
machine.

plotly.js draws SVG in a browser alone, so the three need a Chrome or a Chromium, headless and cut off from
every network. Where there is none, the button of the HTML that saves a figure writes SVG.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any

import plotly
from plotly.graph_objects import Figure
from plotly.io import to_html, to_json

from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic

__all__ = ["FIGURE_CONFIG", "FORMATS", "refuse_figures", "save_figure", "save_figures"]

FORMATS = ("html", "svg", "pdf", "png")
FIGURE_CONFIG: dict[str, Any] = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,  # it would send the figure, patients' records and all, to a web service
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    "toImageButtonOptions": {"format": "svg"},
}
_BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)  # fmt: skip
_OFFLINE = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_SECONDS = 120
_SHARP = 3  # pixels of a PNG for each of the figure: 1000 wide is 3000, 300 dpi at 25 cm
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_DRAW = """<!doctype html><meta charset="utf-8"><script src="{plotly}"></script><pre id="drawn"></pre><script>
const say = text => document.getElementById("drawn").textContent = text;
Plotly.toImage({figure}, {options}).then(image => say("drawn:" + image), error => say("failed:" + error));
</script>"""
_PRINT = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>
@page {{ size: {width}px {height}px; margin: 0 }}
html, body {{ margin: 0 }} svg {{ display: block }}</style>{svg}"""


def save_figure(figure: Figure, to: str | Path, *, width: int = 1000) -> Path:
    """Write a figure to the file `to`, whole or not at all; its ending says how: .html, .svg, .pdf or .png.

    `width` [px at 96 dpi] is that of the SVG and of the PDF's page, a third of the PNG's; the height is the
    figure's own. Menus and the button bar are left out of these three. HTML is as wide as its window.
    InputError for another ending, and where a browser is needed and there is none (`KINETICS_BROWSER` may
    name one).

    >>> figure = kn.plot.plot_persistence(kn.read_study("synthetic_cart_12"), "car_copies")
    >>> kn.plot.save_figure(figure, "persistence.html").name  # "persistence.pdf" needs a browser on the machine
    'persistence.html'
    """
    path = Path(to)
    refuse_figures([path])
    if path.suffix == ".html":
        return write_atomic(path, to_html(figure, include_plotlyjs=True, config=FIGURE_CONFIG))
    still = _still(figure, width)
    kind = path.suffix[1:]
    drawn = _drawn(still, "svg" if kind == "pdf" else kind)
    if kind == "pdf":
        return write_atomic(path, _printed(drawn, still["layout"]))
    return write_atomic(path, drawn if kind == "svg" else base64.b64decode(drawn))


def save_figures(folder: Path, figures: Mapping[str, Figure | str], kind: str = "html") -> list[str]:
    """Write each figure to FOLDER/NAME.`kind`; a line each of what was written or not (a text says why)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, figure in figures.items():
        path = folder / f"{name}.{kind}"
        if isinstance(figure, str):
            lines.append(f"not drawn: {path.name}: {figure}")
        else:
            lines.append(f"written: {save_figure(figure, path)}")
    return lines


def refuse_figures(files: Iterable[Path]) -> None:
    """Before any work is done: InputError for files whose ending is no format, or that no browser here can
    draw.
    """
    found = []
    for path in files:
        if path.suffix[1:] not in FORMATS:
            known = ", ".join(f".{kind}" for kind in FORMATS)
            found.append(Problem(f"{path} is no format of a figure", f"end it with one of {known}"))
        elif path.suffix != ".html" and _browser() is None:
            what = f"{path}: no Chrome or Chromium is on this machine to draw it"
            remedy = (
                "install one, or name it in KINETICS_BROWSER; or name a .html: its camera button saves SVG"
            )
            found.append(Problem(what, remedy))
    if found:
        raise InputError(found)


def _browser() -> str | None:
    named = os.environ.get("KINETICS_BROWSER")
    return next(filter(None, map(shutil.which, (named,) if named else _BROWSERS)), None)


def _still(figure: Figure, width: int) -> dict[str, Any]:
    """The figure as plain values at its size, without what can only be clicked."""
    content = json.loads(str(to_json(figure)))
    layout = content["layout"]
    layout |= {"width": width, "height": int(layout.get("height") or 480), "updatemenus": [], "sliders": []}
    layout["annotations"] = [a for a in layout.get("annotations", ()) if a.get("name") != "menu"]
    return content


def _drawn(figure: Mapping[str, Any], kind: str) -> str:
    """SVG as text, or PNG in base64."""
    layout = figure["layout"]
    options = {"format": kind, "width": layout["width"], "height": layout["height"], "imageDataOnly": True}
    page = _DRAW.format(
        plotly=_PLOTLY.as_uri(),
        figure=json.dumps(figure).replace("</", "<\\/"),
        options=json.dumps(options | {"scale": _SHARP if kind == "png" else 1}),
    )
    dom = _visited(page, ["--virtual-time-budget=30000", "--dump-dom"]).decode("utf-8", "replace")
    found = re.search(r'<pre id="drawn">drawn:(.*?)</pre>', dom, re.DOTALL)
    if found is None:
        said = re.search(r'<pre id="drawn">failed:(.*?)</pre>', dom, re.DOTALL)
        why = unescape(said[1]) if said else "it showed nothing"
        raise InputError(Problem(f"{_browser()} drew no figure: {why}", "name a .html instead"))
    return unescape(found[1])


def _printed(svg: str, layout: Mapping[str, Any]) -> bytes:
    """One page of PDF, vectors and text."""
    title = escape(str((layout.get("title") or {}).get("text", "")))
    with tempfile.TemporaryDirectory(prefix="kinetics-") as folder:
        file = Path(folder) / "figure.pdf"
        _visited(
            _PRINT.format(width=layout["width"], height=layout["height"], title=title, svg=svg),
            ["--no-pdf-header-footer", f"--print-to-pdf={file}"],
        )
        if not file.is_file():
            raise InputError(Problem(f"{_browser()} printed no PDF", "name a .svg instead"))
        return file.read_bytes()


def _visited(page: str, flags: Sequence[str]) -> bytes:
    """What the browser prints of a page of this machine."""
    root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # which it refuses as root
    with tempfile.TemporaryDirectory(prefix="kinetics-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "figure.html"
        file.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={Path(folder) / 'profile'}"
        command = [str(_browser()), *_OFFLINE, *root, profile, *flags, file.as_uri()]
        try:
            return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(Problem(f"{command[0]}: {error}", "name a .html instead")) from error
