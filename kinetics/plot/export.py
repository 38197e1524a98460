"""A figure as a file: HTML that works offline, or SVG, PDF and PNG for print, drawn by a local browser.

An HTML figure needs plotly.js, 4.6 MB. A single figure holds it, so that the file can be mailed as it is. The
figures of a folder load the one copy beside them, `plotly-VERSION.min.js`, and are mailed together with it;
without it they say so. Nothing is loaded from a network.

A figure for print can be `plain`: the words of its badge and its footer (SYNTHETIC DATA, DESIGN GUESSES,
study and hash of its data) then stand in FIGURE.txt beside it.

plotly.js draws SVG only in a browser, so SVG, PDF and PNG need a Chrome or Chromium on this machine; it runs
headless and cut off from every network. Where there is none, the save button of the HTML figure writes SVG.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape, unescape
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import plotly
from plotly.graph_objects import Figure
from plotly.io import to_html, to_json
from plotly.offline import get_plotlyjs_version

from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic

__all__ = [
    "FIGURE_CONFIG",
    "FORMATS",
    "can_draw",
    "caption_file",
    "figure_div",
    "plotly_script",
    "printed_page",
    "refuse_figures",
    "save_figure",
    "save_figures",
    "shared_plotly",
]

FORMATS = ("html", "svg", "pdf", "png")
CAPTION = "Caption of the figure "  # the first words of every caption file
FIGURE_CONFIG: dict[str, Any] = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,  # it would send the figure, patients' records and all, to a web service
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    "toImageButtonOptions": {"format": "svg"},
}
_BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)  # fmt: skip
_OFFLINE = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_SECONDS = 120  # the time allowed to the browser
_PNG_SCALE = 3  # pixels of the PNG for one pixel of the figure: a width of 1000 gives 3000, 300 dpi at 25 cm
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_DRAW = """<!doctype html><meta charset="utf-8"><script src="{plotly}"></script><pre id="drawn"></pre><script>
const say = text => document.getElementById("drawn").textContent = text;
Plotly.toImage({figure}, {options}).then(image => say("drawn:" + image), error => say("failed:" + error));
</script>"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,">{plotly}</head>
<body>{figure}</body>
</html>
"""
_SHARED = """<script src="{file}"></script>
<script>
if (!window.Plotly) addEventListener("DOMContentLoaded", () => document.body.insertAdjacentHTML("afterbegin",
  "<p role='alert'><b>The figures cannot be drawn: {file} is not beside this page.</b> Keep both in one "
  + "folder, mail them together, or write the page with --single-file.</p>"));
</script>"""
MENU_ROW = 44  # height of the row in which a menu stands above a figure, in pixels
LINE = 15  # height of a line of the footer, in pixels
_CAPTION_PARTS = ("labels", "footer")  # names of the annotations that a plain figure does not show
_LEAST_MARGIN = 24  # below a plain figure, in pixels
_ARRAYS = ("x", "y", "z", "customdata")
_PRINT = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>
@page {{ size: {width}px {height}px; margin: 0 }}
html, body {{ margin: 0 }} svg {{ display: block }}</style>{svg}"""


def save_figure(
    figure: Figure, to: str | Path, *, width: int = 1000, single_file: bool = True, plain: bool = False
) -> Path:
    """Write a figure to the file `to`, whole or not at all, as its ending says: .html, .svg, .pdf or .png.

    `width` [px at 96 dpi] is the width of the SVG and of the page of the PDF, and a third of the width of the
    PNG. The height is that of the figure. SVG, PDF and PNG have no menus and no button bar. HTML is as wide
    as its window; it holds plotly.js, or with `single_file=False` loads it from a file that is written beside
    it. A `plain` figure has neither badge nor footer: their words are written to the text file that
    `caption_file` names. Returns the path. InputError for another ending, where a browser is needed and there
    is none (`KINETICS_BROWSER` may name one), and where a text file that is no caption is in the way.

    >>> figure = kn.plot.plot_persistence(kn.read_study("synthetic_cart_12"), "car_copies")
    >>> kn.plot.save_figure(figure, "persistence.html").name  # "persistence.pdf" needs a browser
    'persistence.html'
    """
    path = Path(to)
    refuse_figures([path], plain=plain)
    drawn = _without_caption(figure) if plain else figure
    if path.suffix == ".html":
        content = _html(drawn, "" if single_file else shared_plotly(path.parent))
    else:
        content = _print(_without_controls(drawn, width), path.suffix)
    if plain:  # the caption first: there is no moment at which the figure is without its words
        write_atomic(caption_file(path), _caption(figure, path))
    return write_atomic(path, content)


def caption_file(figure: str | Path) -> Path:
    """The text file beside a plain figure that holds its caption: FIGURE.txt.

    >>> from kinetics.plot.export import caption_file
    >>> caption_file("figures/spider.svg").as_posix()
    'figures/spider.txt'
    """
    return Path(figure).with_suffix(".txt")


def _print(content: Mapping[str, Any], suffix: str) -> str | bytes:
    """The figure as the content of a file that ends in .svg, .pdf or .png."""
    if suffix == ".png":
        return base64.b64decode(_image(content, "png"))
    svg = _image(content, "svg")
    return _pdf(svg, content["layout"]) if suffix == ".pdf" else svg


def _caption(figure: Figure, path: Path) -> str:
    """The words of a figure as text: title, subtitle, what its badge says, and its footer."""
    layout: Any = figure.layout
    named = {a.name: str(a.text) for a in layout.annotations if a.name in _CAPTION_PARTS}
    title = figure.layout.title  # pyright: ignore
    parts = [str(title.text or ""), str(title.subtitle.text or "")]
    parts += [named.get("labels", ""), named.get("footer", "")]
    lines = chain.from_iterable(part.split("<br>") for part in parts if part)
    text = "\n".join(unescape(re.sub(r"<[^>]+>", "", line)).strip() for line in lines)
    return f"{CAPTION}{path.name}\n\n{text}\n"


def _without_caption(figure: Figure) -> Figure:
    """A copy of the figure without badge and footer, and without the height that its footer took."""
    plain = Figure(figure)
    footers = [a for a in plain.layout.annotations if a.name == "footer"]  # pyright: ignore
    layout: Any = plain.layout
    layout.annotations = [a for a in layout.annotations if a.name not in _CAPTION_PARTS]
    if footers:
        bottom = plain.layout.margin.b or 0  # pyright: ignore
        taken = min(LINE * (footers[0].text.count("<br>") + 1), max(0, bottom - _LEAST_MARGIN))
        plain.update_layout(margin={"b": bottom - taken}, height=(layout.height or 480) - taken)
    return plain


def save_figures(
    folder: Path,
    figures: Mapping[str, Figure | str],
    kind: str = "html",
    *,
    single_file: bool = False,
    plain: bool = False,
) -> list[str]:
    """Write each figure to FOLDER/NAME.`kind`; return a line for each figure, written or not.

    A text in place of a figure says why it is not drawn. The HTML figures of the folder share one copy of
    plotly.js, unless each is to be a `single_file`. `plain` figures have their captions in NAME.txt.
    """
    drawn = [folder / f"{name}.{kind}" for name, figure in figures.items() if not isinstance(figure, str)]
    if drawn:
        refuse_figures(drawn, plain=plain)  # all captions are looked at before the first figure is written
    lines = []
    for name, figure in figures.items():
        path = folder / f"{name}.{kind}"
        if isinstance(figure, str):
            lines.append(f"not drawn: {path.name}: {figure}")
        else:
            lines.append(f"written: {save_figure(figure, path, single_file=single_file, plain=plain)}")
            if plain:
                lines.append(f"written: {caption_file(path)}")
    return lines


def shared_plotly(folder: Path) -> str:
    """The name of the file with plotly.js in a folder, which is written where it is not yet there."""
    name = f"plotly-{get_plotlyjs_version()}.min.js"
    source = _PLOTLY.read_text(encoding="utf-8")
    path = folder / name
    if not (path.is_file() and path.stat().st_size == len(source.encode())):
        write_atomic(path, source)
    return name


def figure_div(figure: Figure, name: str = "figure") -> str:
    """A figure as a piece of HTML with the id `name`, for a page that has plotly.js.

    Its numbers are in single precision, which is more than a screen or a label shows.
    """
    content = figure.to_dict()
    for trace in content["data"]:
        for key in _ARRAYS:
            values = trace.get(key)
            if isinstance(values, dict) and values.get("dtype") == "f8":
                single = np.frombuffer(base64.b64decode(values["bdata"])).astype(np.float32)
                trace[key] = values | {"dtype": "f4", "bdata": base64.b64encode(single.tobytes()).decode()}
    return to_html(
        content,
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config=FIGURE_CONFIG,
        validate=False,  # the figure was validated when it was made
    )


def plotly_script(file: str = "") -> str:
    """The HTML that brings plotly.js into a page: its source, or a reference to a `file` beside the page.

    Where that file is missing, the page says what it needs.
    """
    if not file:
        return f"<script>{_PLOTLY.read_text(encoding='utf-8')}</script>"
    return _SHARED.format(file=escape(file))


def _html(figure: Figure, shared: str) -> str:
    """The page of one figure; `shared` is the file with plotly.js beside it, "" to hold it."""
    title = str(figure.layout.title.text or "Figure")  # pyright: ignore
    return _PAGE.format(title=escape(title), plotly=plotly_script(shared), figure=figure_div(figure))


def refuse_figures(files: Iterable[Path], *, plain: bool = False) -> None:
    """Refuse, before any work is done, files that cannot be written.

    InputError for files whose ending is not a format, or that need a browser where there is none. With
    `plain` also where there is no figure to be plain, and where a text file that is no caption is in the way
    of one.
    """
    paths = list(files)
    problems = list(_unwritable(paths))
    if plain:
        problems += _without_room_for_captions(paths)
    if problems:
        raise InputError(problems)


def _unwritable(files: Iterable[Path]) -> Iterator[Problem]:
    """A problem for each file that has no known ending or that needs a browser where there is none."""
    for path in files:
        if path.suffix[1:] not in FORMATS:
            endings = ", ".join(f".{kind}" for kind in FORMATS)
            yield Problem(f"{path} is no format of a figure", f"end it with one of {endings}")
        elif path.suffix != ".html" and _browser() is None:
            yield Problem(
                f"{path}: no Chrome or Chromium is on this machine to draw it",
                "install one, or name it in KINETICS_BROWSER; or name a .html: its camera button saves SVG",
            )


def _without_room_for_captions(paths: Sequence[Path]) -> Iterator[Problem]:
    """A problem where no figure is asked for, and for each text file that a caption would replace."""
    if not paths:
        yield Problem("--plain without a figure", "ask for a figure too (--plot or --plots), or leave it out")
    for caption in map(caption_file, paths):
        if caption.is_file() and not caption.read_bytes().startswith(CAPTION.encode()):
            remedy = "move it away, or give the figure another name"
            yield Problem(f"{caption} is there and is no caption: it would be replaced", remedy)


def _browser() -> str | None:
    """The path of the browser that `KINETICS_BROWSER` names, else of the first one on this machine."""
    named = os.environ.get("KINETICS_BROWSER")
    names = (named,) if named else _BROWSERS
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    return None


def _without_controls(figure: Figure, width: int) -> dict[str, Any]:
    """The figure as plain values at its size, without menus, sliders and their annotations."""
    content = json.loads(str(to_json(figure)))
    layout = content["layout"]
    layout |= {"width": width, "height": int(layout.get("height") or 480), "updatemenus": [], "sliders": []}
    annotations = layout.get("annotations", ())
    layout["annotations"] = [a for a in annotations if a.get("name") != "menu"]
    if len(layout["annotations"]) < len(annotations):  # there was a menu: its row is left out too
        layout["margin"]["t"] -= MENU_ROW
        layout["height"] -= MENU_ROW
        for badge in (a for a in layout["annotations"] if a.get("name") == "labels"):
            badge["yshift"] -= MENU_ROW
    return content


def _image(figure: Mapping[str, Any], kind: str) -> str:
    """The figure drawn by the browser: SVG as text, or PNG in base64."""
    layout = figure["layout"]
    options = {"format": kind, "width": layout["width"], "height": layout["height"], "imageDataOnly": True}
    page = _DRAW.format(
        plotly=_PLOTLY.as_uri(),
        figure=json.dumps(figure).replace("</", "<\\/"),
        options=json.dumps(options | {"scale": _PNG_SCALE if kind == "png" else 1}),
    )
    dom = _run_browser(page, ["--virtual-time-budget=30000", "--dump-dom"]).decode("utf-8", "replace")
    image = re.search(r'<pre id="drawn">drawn:(.*?)</pre>', dom, re.DOTALL)
    if image is None:
        failure = re.search(r'<pre id="drawn">failed:(.*?)</pre>', dom, re.DOTALL)
        reason = unescape(failure[1]) if failure else "it showed nothing"
        raise InputError(Problem(f"{_browser()} drew no figure: {reason}", "name a .html instead"))
    return unescape(image[1])


def can_draw() -> bool:
    """Whether a browser on this machine draws figures and prints pages.

    >>> from kinetics.plot.export import can_draw
    >>> can_draw() in (True, False)
    True
    """
    return _browser() is not None


def printed_page(html: str) -> bytes | None:
    """A page of HTML printed as PDF by the browser, figures drawn; None where no browser is on this machine.

    InputError where the browser prints nothing.

    >>> from kinetics.plot.export import printed_page
    >>> page = printed_page("<!doctype html><title>A page</title><p>One line.")
    >>> page is None or page.startswith(b"%PDF")
    True
    """
    if _browser() is None:
        return None
    with tempfile.TemporaryDirectory(prefix="kinetics-") as folder:
        file = Path(folder) / "page.pdf"
        flags = ["--virtual-time-budget=30000", "--no-pdf-header-footer", f"--print-to-pdf={file}"]
        _run_browser(html, flags)
        if not file.is_file():
            raise InputError(Problem(f"{_browser()} printed no PDF", "name another in KINETICS_BROWSER"))
        return file.read_bytes()


def _pdf(svg: str, layout: Mapping[str, Any]) -> bytes:
    """The SVG printed as one page of PDF, with vectors and text."""
    title = escape(str((layout.get("title") or {}).get("text", "")))
    with tempfile.TemporaryDirectory(prefix="kinetics-") as folder:
        file = Path(folder) / "figure.pdf"
        _run_browser(
            _PRINT.format(width=layout["width"], height=layout["height"], title=title, svg=svg),
            ["--no-pdf-header-footer", f"--print-to-pdf={file}"],
        )
        if not file.is_file():
            raise InputError(Problem(f"{_browser()} printed no PDF", "name a .svg instead"))
        return file.read_bytes()


def _run_browser(page: str, flags: Sequence[str]) -> bytes:
    """Open a page in the browser, offline, and return what the browser writes to its standard output."""
    root = []
    if getattr(os, "geteuid", lambda: 1)() == 0:  # a browser run by root refuses to start with its sandbox
        root = ["--no-sandbox"]
    with tempfile.TemporaryDirectory(prefix="kinetics-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "figure.html"
        file.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={Path(folder) / 'profile'}"
        command = [str(_browser()), *_OFFLINE, *root, profile, *flags, file.as_uri()]
        try:
            return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(Problem(f"{command[0]}: {error}", "name a .html instead")) from error
