"""How long a reader of the explorer waits: `python -m bench.explorer [folder for pictures]`

`python -m bench.explorer --clients 20` measures only many readers at once, without a browser: each opens the
synthetic trial's page, then all change it at the same moment, in the ways of CHANGES in turn.

Else, in headless Chromium, from the last movement of the mouse to the redrawn figure: what-if sliders of the
model of 20 states with 200 new patients, and the page of 1,000 patients (the synthetic trial 84 times over,
values moved by 30 %: SYNTHETIC): opening, a logarithmic axis, one analyte, one subject. Written to
bench/explorer.json; pictures to look at.
"""

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright
from websockets.asyncio.client import connect

import kinetics as kn
from kinetics.explore.selection import choices_of
from kinetics.explore.serve import serving
from kinetics.explore.target import Target
from kinetics.explore.what_if import WhatIf
from kinetics.files import write_atomic
from tests.support.browser import CHROMIUM, OFFLINE, Visit

ROOT = Path(__file__).parents[1]
TRIAL, COPIES = "nkg2d_phase1_synthetic", 84


def crowd(folder: Path) -> kn.Study:
    """The synthetic trial COPIES times over, under other names and with other values."""
    shutil.copytree(ROOT / "data" / TRIAL, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    rng = np.random.default_rng(1)
    for file in folder.glob("*.csv"):
        one = pd.read_csv(file)
        many = pd.concat([one.assign(subject=one["subject"] + f"-{i}") for i in range(COPIES)])
        if file.stem == "observations":
            free = (many["censored"] == "none") & many["analyte"].isin(["car_copies", "nk_cells", "t_cells"])
            # upwards, so that none falls below its LLOQ
            many.loc[free, "value"] *= np.exp(0.3 * np.abs(rng.standard_normal(int(free.sum()))))
        many.to_csv(file, index=False)
    return kn.read_study(folder)


@contextmanager
def opened(target: Target, what_if: WhatIf | None) -> Iterator[tuple[Visit, float]]:
    """A visit to the page, and the seconds from its address to the first figure."""
    server = serving(target, what_if=what_if)
    thread = Thread(target=server.run, kwargs={"browser": False}, daemon=True)
    thread.start()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        visit = Visit(browser.new_page(viewport={"width": 1280, "height": 900}), server.url)
        begun = time.perf_counter()
        visit.page.goto(server.url)
        visit.page.wait_for_selector("#course[data-drawn]")
        yield visit, time.perf_counter() - begun
        assert visit.errors == [], visit.errors
        browser.close()
    server.server.should_exit = True
    thread.join(10)


# what the page of the synthetic trial sends at first, and the changes of its readers
FIRST: dict[str, Any] = {
    "assay": "all",
    "analyte": "car_copies",
    "scale": "log",
    "per_kg": False,
    "by": "dose_level",
    "subject": "every subject",
    "below": ["il6", "ifn_gamma"],
    "events": ["crs"],
    ".clientdata_output_course_hidden": False,
    ".clientdata_output_swimmer_hidden": True,
    ".clientdata_output_waterfall_hidden": True,
}
CHANGES: tuple[dict[str, Any], ...] = (
    {"scale": "linear"},
    {"per_kg": True},
    {"subject": "S05"},
    {"analyte": "nk_cells"},
    {"below": ["il6"]},
)


async def reader(url: str, change: dict[str, Any], opened: asyncio.Barrier) -> list[float]:
    """The seconds of one reader to its first figure, and from its change to the new one."""
    address = urlsplit(url)
    socket = f"ws://{address.netloc}{address.path}websocket/?{address.query}"
    study = kn.read_study(TRIAL)
    filters = choices_of(study)
    first = FIRST | {name: list(getattr(filters, name)) for name in ("levels", "routes", "products")}
    seconds = []
    options: dict[str, Any] = {"max_size": 2**27, "open_timeout": 600, "ping_timeout": None}
    async with connect(socket, **options) as connection:
        for method, data in (("init", first), ("update", change)):
            begun = time.perf_counter()
            await connection.send(json.dumps({"method": method, "data": data}))
            async for message in connection:
                if '"course": {' in str(message):
                    break
            seconds.append(time.perf_counter() - begun)
            await opened.wait()
    return seconds


async def readers(url: str, number: int) -> list[list[float]]:
    opened = asyncio.Barrier(number)
    return await asyncio.gather(*(reader(url, CHANGES[i % len(CHANGES)], opened) for i in range(number)))


def clients(number: int) -> dict[str, Any]:
    """Seconds to the first figure and to a changed one of many readers at once, and the server's memory."""
    command = [sys.executable, "-m", "kinetics.cli", "explore", TRIAL, "--no-browser", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    printed = ""
    while not printed.endswith("}\n"):
        printed += server.stdout.readline()
    try:
        seconds = asyncio.run(readers(json.loads(printed)["url"], number))
        status = Path(f"/proc/{server.pid}/status").read_text()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {
        "clients": number,
        "first_figure": summary([first for first, _ in seconds]),
        "changed_figure": summary([changed for _, changed in seconds]),
        "peak_megabytes": int(peak.split()[1]) // 1024,
        "load_average": round(os.getloadavg()[0], 1),
    }


def waited(visit: Visit, figure: str, act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    visit.redrawn(figure, act)
    return time.perf_counter() - begun


def sliders(pictures: Path, moves: int = 12) -> dict[str, Any]:
    """Seconds from letting go of a slider to the new figure, and what the page says the answer took."""
    model = kn.load_model("nkg2d_nk_t_livermet")
    found, answers = [], []
    with opened(Target(kn.read_study(TRIAL), model), WhatIf(model)) as (visit, _):
        page = visit.page
        visit.redrawn("sites", lambda: page.get_by_role("tab", name="What if").click())
        handle = page.locator(".shiny-input-container:has(#amount_car_t) .irs-handle.single")
        for i in range(moves):
            box = handle.bounding_box()
            page.mouse.move(box["x"] + 5, box["y"] + 5)
            page.mouse.down()
            page.mouse.move(box["x"] + (25 if i % 2 else -15), box["y"] + 5, steps=2)
            found.append(waited(visit, "sites", page.mouse.up))
            answers.append(page.inner_text("#answered"))
        page.screenshot(path=pictures / "what_if.png")
    return {"seconds": summary(found), "said": answers[-1]}


def thousand(pictures: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        study = crowd(Path(scratch) / "crowd")
        with opened(Target(study, None), None) as (visit, seconds):
            page = visit.page
            page.screenshot(path=pictures / "thousand.png")
            found = {"patients": len(study.subjects), "records": len(study.observations), "opened": seconds}
            linear = page.get_by_label("linear").first
            found["linear_axis"] = waited(visit, "course", linear.click)
            found["other_assay"] = waited(visit, "course", lambda: page.select_option("#assay", "flow"))
            page.screenshot(path=pictures / "thousand_flow.png")
            for tab, figure in (("Time on study", "swimmer"), ("Response", "waterfall")):
                button = page.get_by_role("tab", name=tab)
                found[figure] = waited(visit, figure, button.click)
                page.screenshot(path=pictures / f"thousand_{figure}.png")
    return {k: round(v, 2) for k, v in found.items()}


def summary(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 2), "worst": round(max(seconds), 2)}


def main() -> None:
    if "--clients" in sys.argv:
        facts = {"clients": clients(int(sys.argv[sys.argv.index("--clients") + 1]))}
        print(json.dumps(facts, indent=1))
        written = json.loads((ROOT / "bench" / "explorer.json").read_text())
        write_atomic(ROOT / "bench" / "explorer.json", json.dumps(written | facts, indent=1) + "\n")
        return
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "explorer"
    pictures.mkdir(parents=True, exist_ok=True)
    facts = {"what_if": sliders(pictures), "thousand_patients": thousand(pictures)}
    print(json.dumps(facts, indent=1))
    written = json.loads((ROOT / "bench" / "explorer.json").read_text())
    write_atomic(ROOT / "bench" / "explorer.json", json.dumps(written | facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
