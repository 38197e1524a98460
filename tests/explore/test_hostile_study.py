"""A study whose texts are attacks, in a browser: nothing of it runs, and all of it can be read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest

from kinetics.study import Study, read_study
from tests.support.browser import CHROMIUM, OFFLINE, Visit

pytest.importorskip(
    "shiny", reason="no Shiny (pip install 'cellkinetics[explore]'): NO hostile study was shown"
)
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: NO hostile study was shown")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: NO hostile study was shown in a browser"
)

ROOT = Path(__file__).parents[2]
ATTACKS = (
    "<script>window.attacked=1</script>",
    "<img src=x onerror=window.attacked=2>",
    "</script><script>window.attacked=3</script>",
    "<a href='javascript:window.attacked=4'>a</a>",
    "'\\\"--><svg onload=window.attacked=5>",
)
BEGIN = "window.attacked = 0; window.violations = [];"
LISTEN = (
    "document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective));"
)


def hostile(folder: Path) -> Study:
    """The SYNTHETIC CAR-T study with an attack in every text that a user can write."""
    source = ROOT / "data" / "synthetic_cart_12"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (folder / "dictionary.toml").read_text()
    script, image, closing, link, vector = ATTACKS
    for old, new in (
        ('title = "', f'note = "{closing}{image}"\ntitle = "{script}'),
        ('source = "', f'source = "{link}'),
        ('label = "CAR transgene"', f'label = "{image}{script}"'),
        ('label = "CAR+ T cells"', f'label = "{closing}"'),
        ('label = "Dose level per infusion"', f'label = "{vector}"'),
        ('label = "Primary tumour"', f'label = "{link}"'),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "dictionary.toml").write_text(text)
    for file in folder.glob("*.csv"):
        table = pd.read_csv(file)
        table["subject"] = table["subject"].replace(
            dict(zip(["S01", "S02", "S03"], ATTACKS[:3], strict=True))
        )
        if file.stem == "events":
            table["event"] = table["event"].replace("crs", image)
            table["grading_system"] = script
        table.to_csv(file, index=False)
    return read_study(folder)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: Any) -> Iterator[Visit]:
    from kinetics.explore.serve import serving
    from kinetics.explore.target import Target

    folder = tmp_path_factory.mktemp("hostile") / "<img src=x onerror=window.attacked=6>"
    server = serving(Target(hostile(folder)))
    thread = Thread(target=server.run, kwargs={"browser": False}, daemon=True)
    thread.start()
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        found = Visit(browser.new_page(viewport={"width": 1280, "height": 900}), server.url)
        found.page.add_init_script(BEGIN + LISTEN)
        found.page.goto(server.url)
        found.page.wait_for_selector("#course[data-drawn]")
        yield found
        browser.close()
    server.server.should_exit = True
    thread.join(10)


def attacked(visit: Visit) -> Any:
    visit.page.wait_for_timeout(200)
    return visit.page.evaluate("[window.attacked, window.violations]")


def test_no_text_of_a_study_runs_on_any_panel(visit: Visit):
    page = visit.page
    assert attacked(visit) == [0, []]
    visit.redrawn("course", lambda: page.evaluate("e => Shiny.setInputValue('events', [e])", ATTACKS[1]))
    for by in page.locator("#by option").evaluate_all("options => options.map(o => o.value)")[1:3]:
        visit.redrawn("course", lambda by=by: page.select_option("#by", by))
    choose = "subject => Shiny.setInputValue('subject', subject)"
    for subject in ATTACKS[:3]:
        visit.redrawn("course", lambda subject=subject: page.evaluate(choose, subject))
    page.locator("#subject + .selectize-control .selectize-input").click()
    page.wait_for_selector(".selectize-dropdown .option")
    for name in ("Time on study", "Response", "About"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(500)
    assert ATTACKS[1] in page.inner_text(".tab-pane.active")  # read as it is written
    assert page.locator("img[onerror], svg[onload], a[href^='javascript']").count() == 0
    assert attacked(visit) == [0, []]
    assert visit.errors == []


def test_a_script_that_came_onto_the_page_would_not_run(visit: Visit):
    """The policy is the second wall: it holds where a text was not escaped."""
    visit.page.evaluate(
        "() => { const place = document.createElement('div'); document.body.append(place);"
        " place.innerHTML = '<img src=x onerror=window.attacked=7>';"
        " const script = document.createElement('script'); script.text = 'window.attacked = 8';"
        " place.append(script); }"
    )
    run, violations = attacked(visit)
    assert run == 0
    assert violations
    visit.errors.clear()


def test_figures_of_many_points_are_drawn_under_the_policy(visit: Visit, monkeypatch: pytest.MonkeyPatch):
    from kinetics.explore import drawings

    monkeypatch.setattr(drawings, "MANY", 10)
    page = visit.page
    page.evaluate("window.violations = []")
    page.get_by_role("tab", name="Kinetics").click()
    visit.redrawn("course", lambda: page.get_by_label("Per 10⁶ cells/kg infused").click())
    kinds = page.evaluate("document.querySelector('#course .kinetics-drawing').data.map(t => t.type)")
    assert "scattergl" in kinds
    assert attacked(visit)[1] == []
    assert visit.errors == []
