"""Draw the figures of README.md and of the pages of docs/ into docs/figures/: `make figures`.

A page shows `figures/PAGE/NAME.svg`, or `NAME.png`; its own code writes `NAME.html`. Here the code of the
page is run as its tests run it, and each HTML that an image names is drawn: a figure as SVG, a page as a
picture of its top. The three figures of the README are made by `front_picture`, those of the explorer by its
browser test. All are committed, so that the site is built in minutes and a README shows them.
`python -m docs.generate.figures how_to/blq front models` draws some of them alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from plotly.graph_objects import Figure

from docs.generate.front_picture import WIDTH, front_figures
from docs.generate.gallery import draw_models
from docs.generate.pages import DOCS, FIGURES, written_pages
from kinetics.inference.devices import use_compile_cache
from kinetics.plot import save_figure
from tests.support.browser import picture_of_page
from tests.support.documented import run_page

__all__ = ["figure_of_html", "images_of", "main"]

_IMAGE = re.compile(r"!\[[^\]]*\]\((?:\.\./)*figures/([\w./-]+\.(?:svg|png))\)")
_CALL = re.compile(r'Plotly\.newPlot\(\s*"[^"]+",\s*')
FRONT = "front"
EXPLORER = "how_to/explore"
MODELS = "models"


def images_of(page: str) -> list[str]:
    """The pictures that a page shows, each as PAGE/NAME.svg or .png below docs/figures."""
    return _IMAGE.findall(page)


def figure_of_html(text: str) -> Figure | None:
    """The first figure of an HTML page that `save_figure` wrote; None where the page has none."""
    call = _CALL.search(text)
    if call is None:
        return None
    decoder = json.JSONDecoder()
    data, end = decoder.raw_decode(text, call.end())
    layout, _ = decoder.raw_decode(text, text.index("{", end))
    return Figure(data=data, layout=layout)


def draw_page(name: str, text: str) -> Iterator[Path]:
    """Run the code of a page in a folder of its own, and draw what its images name."""
    images = images_of(text)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            run_page(DOCS / name, slow=True)
        finally:
            os.chdir(before)
        for image in images:
            yield _draw(Path(folder), FIGURES / image)


def _draw(folder: Path, picture: Path) -> Path:
    """One picture, from the HTML of the same name below `folder`."""
    sources = sorted(folder.rglob(f"{picture.stem}.html"))
    if not sources:
        raise SystemExit(f"{picture}: the code of its page writes no {picture.stem}.html")
    picture.parent.mkdir(parents=True, exist_ok=True)
    if picture.suffix == ".png":
        return picture_of_page(sources[0], picture)
    figure = figure_of_html(sources[0].read_text(encoding="utf-8"))
    if figure is None:
        raise SystemExit(f"{picture}: {sources[0].name} holds no figure")
    return save_figure(figure, picture)


def draw_explorer() -> Iterator[Path]:
    """Draw the pictures of the explorer: what its browser test sees."""
    folder = FIGURES / "explore"
    folder.mkdir(parents=True, exist_ok=True)
    test = [sys.executable, "-m", "pytest", "-q", "tests/explore/test_browser.py"]
    environment = os.environ | {"KINETICS_PICTURES": str(folder)}
    subprocess.run(test, cwd=DOCS.parent, env=environment, check=True)
    yield from sorted(folder.glob("*.png"))


def draw_front() -> Iterator[Path]:
    """Draw the three figures of the README."""
    folder = FIGURES / FRONT
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in front_figures().items():
        yield save_figure(figure, folder / f"{name}.svg", width=WIDTH)


def main() -> None:
    """Draw the figures of the pages that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pages", nargs="*", help="such as how_to/blq, or front; default all")
    wanted = parser.parse_args().pages
    use_compile_cache()
    for name, pictures in _drawings().items():
        if not wanted or name in wanted:
            for picture in pictures():
                print(picture, flush=True)


def _drawings() -> dict[str, Callable[[], Iterator[Path]]]:
    """What draws the pictures of the README, and of each page that shows some."""
    drawings: dict[str, Callable[[], Iterator[Path]]] = {FRONT: draw_front}
    for name, text in written_pages().items():
        if images_of(text):
            drawings[name.removesuffix(".md")] = partial(draw_page, name, text)
    drawings[EXPLORER] = draw_explorer
    drawings[MODELS] = partial(draw_models, FIGURES / MODELS)
    drawings.pop("index", None)
    return drawings


if __name__ == "__main__":
    main()
