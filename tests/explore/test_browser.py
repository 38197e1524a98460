"""The explorer in a browser that has no network: real clicks, what is drawn, files, and a console without
errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Thread

import pandas as pd
import pytest

from kinetics.regimen.regimen_file import read_regimen
from tests.support.browser import CHROMIUM, OFFLINE, Visit, keep_picture
from tests.support.explorer import answered, trial, what_if

pytest.importorskip(
    "shiny", reason="no Shiny (pip install 'cellkinetics[explore]'): the explorer was NOT opened"
)
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: the explorer was NOT opened")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: the explorer was NOT opened in a browser"
)


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    from kinetics.explore.serve import serving
    from kinetics.explore.target import Target

    answered()  # compiled before the page asks
    server = serving(Target(trial(), what_if().model), what_if=what_if())
    thread = Thread(target=server.run, kwargs={"browser": False}, daemon=True)
    thread.start()
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        found = Visit(browser.new_page(viewport={"width": 1280, "height": 900}), server.url)
        found.page.goto(server.url)
        found.page.wait_for_selector("#course[data-drawn]")
        yield found
        browser.close()
    server.server.should_exit = True
    thread.join(10)


def test_the_curves_have_their_records_limits_events_and_label(visit):
    figure = visit.figure("course")
    assert {"records", "lines", "lloq", "events"} <= set(figure["roles"])
    assert "circle-open" in figure["symbols"]
    assert figure["axis"] == "log"
    assert "SYNTHETIC DATA" in figure["words"]
    assert "SYNTHETIC DATA" in visit.page.inner_text("#kinetics-labels")
    keep_picture(visit.page, "data")


def test_filters_and_axes_redraw_the_curves(visit):
    page = visit.page
    visit.redrawn("course", lambda: page.get_by_label("linear").first.click())
    assert visit.figure("course")["axis"] == "linear"
    visit.redrawn("course", lambda: page.get_by_label("Per 10⁶ cells/kg infused").click())
    assert "per 10⁶ cells/kg" in visit.figure("course")["title"]
    level = page.locator("#levels input").first
    visit.redrawn("course", level.click)
    assert "11 subjects" in page.inner_text("#course")
    table = pd.read_csv(visit.saved("#course_data"))
    assert table["subject"].nunique() == 11
    assert table["synthetic"].all()
    visit.redrawn("course", level.click)
    visit.redrawn("course", lambda: page.select_option("#assay", "flow"))
    assert "CAR-NK (CD56+ CD3-)" in page.inner_text("#course")
    assert (
        visit.saved("#course button, [data-save-figure=course][data-format=svg]")
        .read_text()
        .startswith("<svg")
    )


def test_hovering_a_point_names_its_record(visit):
    page = visit.page
    point = page.locator("#course .scatterlayer .points path.point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 1, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#course .hoverlayer .hovertext")
    assert "observations.csv row" in page.text_content("#course .hoverlayer")


def test_a_slider_redraws_liver_tumour_and_blood_without_compiling_again(visit):
    page = visit.page
    visit.redrawn("sites", lambda: page.get_by_role("tab", name="What if").click())
    figure = visit.figure("sites")
    assert figure["roles"].count("band q5 q95") == 12
    assert "Liver (hepatic)" in figure["words"]
    assert "PRIOR, NO FIT" in figure["words"]
    keep_picture(page, "what_if")
    before = page.inner_text("#answered")
    handle = page.locator(".shiny-input-container:has(#amount_car_t) .irs-handle.single")
    box = handle.bounding_box()

    def drag() -> None:
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + 35, box["y"] + 5, steps=2)
        page.mouse.up()

    visit.redrawn("sites", drag)
    assert page.inner_text("#answered") != before
    assert "200 new patients, answered in" in page.inner_text("#answered")
    visit.redrawn("sites", lambda: page.get_by_label("Second cycle").click())
    visit.redrawn("sites", lambda: page.get_by_label("The other route beside it").click())
    assert visit.figure("sites")["roles"].count("band q5 q95") == 6
    regimen = read_regimen(visit.saved("#what_if_regimen"))
    assert {dose.cycle for dose in regimen.given if dose.product == "car_t"} == {1, 2}
    assert what_if().program.traces == 1


def test_a_slider_of_doses_shows_the_dose_and_no_table_is_cut_at_1000_pixels(visit):
    page = visit.page
    shown = page.inner_text(".shiny-input-container:has(#amount_car_t) .irs-single")
    assert re.match(r"\d(\.\d)? × 10[⁰¹²³⁴⁵⁶⁷⁸⁹]+", shown)
    page.set_viewport_size({"width": 1000, "height": 900})
    page.wait_for_timeout(300)
    table = page.locator("#what_if_table .kinetics-wide")
    assert table.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_scenarios_stand_side_by_side_with_their_chance_of_passing_a_threshold(visit):
    page = visit.page
    page.get_by_role("tab", name="Scenarios").click()
    visit.redrawn("scenario_figure", lambda: page.click("#scenario_keep"))
    visit.redrawn("scenario_figure", lambda: page.fill("#scenario_threshold", "100"))
    page.wait_for_selector("#scenario_rows td:nth-child(4)")
    rows = page.locator("#scenario_rows tbody tr")
    assert rows.count() == 1
    assert re.search(r"A\s.* \d+ % of 200", " ".join(rows.first.inner_text().split()))
    page.click("#scenario_keep")
    page.wait_for_selector("#scenario_status:not(:empty)")
    assert "called 'A' already; choose another name" in page.inner_text("#scenario_status")
    page.select_option("#sweep_product", "car_t")
    visit.redrawn("scenario_figure", lambda: page.click("#scenario_sweep"))
    page.wait_for_selector("#scenario_rows tbody tr:nth-child(3) td:nth-child(4)")
    table = pd.read_csv(visit.saved("#scenario_data"))
    assert table["above"].is_monotonic_increasing
    assert table["labels"].str.contains("PRIOR, NO FIT").all()


def test_time_on_study_response_and_provenance_are_there(visit):
    page = visit.page
    for tab, figure in (("Time on study", "swimmer"), ("Response", "waterfall")):
        visit.redrawn(figure, lambda tab=tab: page.get_by_role("tab", name=tab).click())
        assert "SYNTHETIC DATA" in visit.figure(figure)["words"]
    page.get_by_role("tab", name="About").click()
    assert "Design guesses" in page.inner_text(".tab-pane.active")


def test_a_sheet_is_opened_asks_its_questions_and_has_a_page_of_its_own(visit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sheet = tmp_path / "qpcr.csv"
    sheet.write_text("Patient;D7;D14;M2\nP1;1 250;3,5E+05;ND\n")
    page = visit.page
    page.get_by_role("tab", name="Open a sheet").click()
    page.set_input_files("#sheet", str(sheet))
    page.wait_for_selector("#sheet_import")
    keep_picture(page, "sheet")
    for infused in ("some cells", "car_t 1e8 cells"):  # what is not read is asked again, with what was typed
        for k, answer in enumerate(["copies/ug DNA", "not detected", "50", infused]):
            page.fill(f"#sheet_{k}", answer)
        page.locator("#sheet_name").focus()  # the last answer is sent when its field is left
        page.wait_for_timeout(400)
        page.click("#sheet_import")
        page.wait_for_selector("#sheet_problems" if infused == "some cells" else "#sheet_link")
        if infused == "some cells":
            assert "'some cells' is not read" in page.inner_text("#sheet_problems")
            assert page.input_value("#sheet_3") == "some cells"
    assert (tmp_path / "data" / "qpcr" / "subjects.csv").exists()
    with page.context.expect_page() as opened:
        page.click("#sheet_link a")
    other = opened.value
    other.wait_for_selector("#course[data-drawn]")
    assert other.title() == "qpcr: kinetics"
    other.close()
    page.get_by_role("tab", name="Kinetics").click()


def test_nothing_was_asked_of_a_network_and_the_console_is_clean(visit):
    elsewhere = [u for u in visit.asked if not u.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert elsewhere == []
    assert len(visit.asked) > 10
    assert visit.errors == []
