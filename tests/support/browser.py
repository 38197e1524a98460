"""Pages in headless Chromium: the explorer, and pictures of an HTML file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "OFFLINE", "Visit", "keep_picture", "picture_of_page"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
WAIT = 30_000  # ms


def picture_of_page(page: Path, picture: Path, *, width: int = 1100, height: int = 800) -> Path:
    """A PNG of the top of an HTML file, as a window of that size [px] shows it; its path."""
    assert CHROMIUM is not None, "no chromium to draw the page with"
    window = [f"--window-size={width},{height}", "--hide-scrollbars", "--virtual-time-budget=20000"]
    command = [CHROMIUM, "--headless", *OFFLINE, *window, f"--screenshot={picture}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return picture


def keep_picture(page: Any, name: str) -> None:
    """Keep what the window shows as NAME.png in the folder that KINETICS_PICTURES names, if it names one."""
    folder = os.environ.get("KINETICS_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


class Visit:
    """A page of the explorer, with the errors of its console and the addresses it asked for."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(WAIT)
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def drawn(self, name: str) -> int:
        """How many times a figure has been drawn."""
        return int(self.page.get_attribute(f"#{name}", "data-drawn") or 0)

    def redrawn(self, name: str, act: Any) -> None:
        """Do something, and wait until the figure is drawn again."""
        before = self.drawn(name)
        act()
        end = time.monotonic() + WAIT / 1000
        while (
            self.drawn(name) <= before
        ):  # wait_for_function evaluates a text, which the page's policy forbids
            assert time.monotonic() < end, f"{name} was not drawn again"
            self.page.wait_for_timeout(10)

    def figure(self, name: str) -> Any:
        """The data and layout that the browser drew."""
        drawing = f"document.querySelector('#{name} .kinetics-drawing')"
        return json.loads(
            self.page.evaluate(
                f"JSON.stringify({{roles: {drawing}.data.map(t => (t.meta || {{}}).role), "
                f"symbols: {drawing}.data.flatMap("
                "t => (t.meta || {}).role === 'records' ? t.marker.symbol : []), "
                f"axis: {drawing}.layout.yaxis.type, title: {drawing}.layout.yaxis.title.text, "
                f"words: {drawing}.layout.annotations.map(a => a.text).join(' ')}})"
            )
        )

    def saved(self, selector: str) -> Path:
        """The file that a click on `selector` downloads."""
        with self.page.expect_download() as download:
            self.page.click(selector)
        return Path(download.value.path())
