"""The report: everything is in one file, every number has its reason, and a browser renders it offline."""

from __future__ import annotations

import base64
import re
import subprocess
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from kinetics.checks.verdict import check
from kinetics.exposures.fitted import exposure
from kinetics.exposures.samples import nca
from kinetics.inference.fitting import Fit, fit
from kinetics.pages.fit_report.document import report
from kinetics.pages.fit_report.words import parameter_words
from kinetics.plot.frame import number_text
from tests.support.browser import CHROMIUM
from tests.support.fits import cart_fit, theophylline_fit

module = import_module("kinetics.pages.fit_report.document")


def written(of: Fit, to: Path) -> Path:
    return report(of, check(of), nca(of.study), exposure(of, draws=20), to=to, draws=20, replicates=20)


def without_library(html: str) -> str:
    """The page without the source of plotly.js, which names addresses that it does not load."""
    page, count = re.subn(r"<script>/\*\*\n\* plotly\.js.*?</script>", "", html, count=1, flags=re.DOTALL)
    assert count == 1
    return page


@pytest.fixture(scope="module")
def cart_page(tmp_path_factory) -> Path:
    return written(cart_fit(), tmp_path_factory.mktemp("report") / "cart.html")


@pytest.fixture(scope="module")
def theophylline_page(tmp_path_factory) -> Path:
    return written(theophylline_fit(), tmp_path_factory.mktemp("report") / "theophylline.html")


@pytest.fixture(scope="module")
def cart(cart_page) -> str:
    return without_library(cart_page.read_text(encoding="utf-8"))


def test_the_page_loads_nothing_from_a_network(cart_page, cart):
    for pattern in (
        r"""(src|href|action|data)\s*=\s*["']?(https?:)?//""",
        r"url\(\s*['\"]?(https?:)?//",
        r"@import",
    ):
        assert re.search(pattern, cart) is None
    assert cart_page.read_text(encoding="utf-8").count("* plotly.js v") == 1


def test_no_button_sends_the_data_away(cart):
    assert cart.count('"showSendToCloud": false') == cart.count("Plotly.newPlot(")


def test_the_page_says_that_the_data_are_synthetic(cart):
    assert "SYNTHETIC DATA" in cart.split("<h1>")[0]
    assert (
        cart.count("\\u003cb\\u003eSYNTHETIC DATA") + cart.count("<b>SYNTHETIC DATA") >= 9
    )  # and so does each figure


def test_a_page_of_measured_data_does_not(theophylline_page):
    html = theophylline_page.read_text(encoding="utf-8")
    assert "SYNTHETIC" not in without_library(html)
    assert "the study states no LLOQ" in html


def test_the_verdict_comes_first_with_its_reasons(cart):
    checked = check(cart_fit())
    assert not checked.ok  # sixty draws are too few
    head = cart.split("<main")[0]
    assert "these numbers may not be used" in head
    for row in checked.rows[~checked.rows["ok"]].to_dict("records"):
        sentence = f"{row['check']}: {number_text(row['value'], 4, trim=True)}, wanted {row['threshold']}"
        assert sentence.replace("<", "&lt;").replace(">", "&gt;") in head


def test_guesses_are_named_where_the_reader_begins(cart):
    head = cart.split("<main")[0]
    guesses = [name for name, p in cart_fit().model.parameters.items() if p.guess]
    assert guesses
    for name in guesses:
        words = parameter_words(cart_fit().model, name).lower()
        assert words in head.split("design guesses")[1].lower()


def test_the_first_screen_has_five_numbers_and_three_figures(cart):
    glance = cart.split('class="glance"')[1].split("</section>")[0]
    assert glance.count("<dt>") == 5
    assert glance.count("<figure") == 3
    assert cart.index('class="glance"') < cart.index("Keep in mind") < cart.index("<nav")


def test_exposures_are_summed_up_by_dose_before_they_are_listed(cart):
    for section in ("nca", "exposure"):
        html = cart.split(f'<section id="{section}"')[1].split("</section>")[0]
        assert html.index("Geometric mean") < html.index("Every subject:")
        assert html.count('<details class="folded">') == 2  # one listing for each analyte


def test_every_table_has_its_csv_in_the_page(cart):
    addresses = re.findall(r'download="(\w+\.csv)" href="data:text/csv;charset=utf-8;base64,([^"]+)"', cart)
    assert len(addresses) == cart.count("<table>")
    tables = {name: base64.b64decode(content).decode() for name, content in addresses}
    assert tables["what_was_learnt.csv"].splitlines()[0].startswith("site,parameter,kind,unit,median")


def test_names_of_programs_are_in_one_column_of_one_table_only(cart):
    """What a person reads says `Peak, typical patient`; the names are where a modeller looks for them."""
    text = re.sub(r"<script.*?</script>|<style.*?</style>", "", cart, flags=re.DOTALL)
    text = re.sub(r'<td class=" code">.*?</td>', "", text, flags=re.DOTALL)
    words = re.sub(r"<[^>]+>", " ", text)
    for name in ("cmax_pop", "omega_fb", "beta_cmax_dose_level", "lag_fraction", "nucleated_per_vcn", "eta_"):
        assert name not in words
    assert "Peak" in words
    assert "Spread between patients: share of the peak that persists" in words


def test_a_page_may_share_plotly_with_its_folder(tmp_path):
    of = theophylline_fit()
    page = report(of, check(of), to=tmp_path / "short.html", draws=10, replicates=10, single_file=False)
    (shared,) = tmp_path.glob("plotly-*.min.js")
    assert f'src="{shared.name}"' in page.read_text(encoding="utf-8")
    assert page.stat().st_size < 2_000_000


def test_every_section_is_in_the_contents(cart):
    sections = re.findall(r'<section id="(\w+)"', cart)
    assert sections == [
        "data",
        "fits",
        "population",
        "vpc",
        "assessment",
        "parameters",
        "covariates",
        "nca",
        "exposure",
        "checks",
        "provenance",
    ]
    assert re.findall(r'<li><a href="#(\w+)">', cart) == sections


def test_every_missing_number_is_a_dash_with_its_reason(cart):
    cells = re.findall(r"<(?:td|th)[^>]*>(.*?)</(?:td|th)>", cart, flags=re.DOTALL)
    dashes = [c for c in cells if "—" in c]
    assert len(dashes) > 10
    for cell in dashes:
        note = re.search(r'href="#(note-[\w-]+)" title="([^"]+)"', cell)
        assert note is not None
        assert f'id="{note[1]}">{note[2]}</li>' in cart
    assert not any(re.search(r"\b(nan|NaN|None|inf)\b", c) for c in cells)


def test_the_reasons_are_those_of_the_tables(cart):
    table = nca(cart_fit().study, analyte="car_copies")
    reasons = set(table.loc[table["half_life"].isna(), "half_life_reason"])
    assert reasons
    page = cart.replace("&#39;", "'").replace("&gt;", ">").replace("&lt;", "<").replace("&#34;", '"')
    assert all(reason in page for reason in reasons)


def test_hashes_and_versions_are_there(cart):
    provenance = cart_fit().provenance
    for value in (provenance["model"]["sha256"], provenance["data"]["sha256"], provenance["versions"]["jax"]):
        assert value in cart


def test_sections_without_a_table_are_left_out(tmp_path):
    of = theophylline_fit()
    html = report(of, check(of), to=tmp_path / "short.html", draws=10, replicates=10).read_text(
        encoding="utf-8"
    )
    assert 'id="nca"' not in html
    assert 'id="exposure"' not in html
    assert 'id="vpc"' in html


def test_the_same_fit_gives_the_same_page(tmp_path, theophylline_page):
    again = written(theophylline_fit(), tmp_path / "again.html")
    assert again.read_bytes() == theophylline_page.read_bytes()


def test_a_report_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    old = tmp_path / "report.html"
    old.write_text("old")
    monkeypatch.setattr(module, "plot_prior_posterior", lambda fit: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(theophylline_fit(), old)
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def rendered(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The document after its scripts ran, with every name lookup refused, and the console's errors."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={profile}",
        "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the report was NOT opened in a browser")
def test_a_browser_without_a_network_draws_every_figure(cart_page, cart, tmp_path):
    dom, console = rendered(cart_page, tmp_path / "profile")
    wanted = cart.count("Plotly.newPlot(")
    assert wanted == 19  # data, fits, population, check, residuals and dose of two analytes; seven of all
    assert console == []
    figures = re.findall(r'<div id="(figure-[\w-]+)" class="plotly-graph-div js-plotly-plot"', dom)
    assert len(set(figures)) == wanted
    assert dom.count('class="plot-container') == wanted
    assert dom.count('class="main-svg"') >= 2 * wanted
    assert dom.count("SYNTHETIC DATA") >= wanted + 1
    assert "Time since first infusion (days)" in dom


@pytest.mark.fit
def test_a_sampled_fit_is_reported(tmp_path):
    sampler = {"chains": 2, "warmup": 200, "draws": 100}
    of = fit("one_compartment_oral", "theophylline", observe={"theophylline": {"likelihood": "additive"}},
             allometry={"cl": {"exponent": 1, "reference": 70}}, sampler=sampler, seed=3)  # fmt: skip
    html = written(of, tmp_path / "theophylline.html").read_text(encoding="utf-8")
    median = float(np.median(of.sites()["cl_pop"]))
    assert f">{module.number_text(median)}<" in html.replace("\n", "")
    assert "200 posterior draws" in html


def test_the_assessment_says_how_residuals_and_replicates_compare(cart):
    section = cart.split('<section id="assessment"')[1].split("</section>")[0]
    for said in ("npde", "iwres", "Median peak", "Median day last detected", "Pareto k", "elpd"):
        assert said in section
    assert section.count("Plotly.newPlot(") == 4  # residuals of two analytes, Pareto k, random effects
