"""Figures as files: HTML that needs nothing, and SVG, PDF and PNG that say what the figure says."""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure

from kinetics.errors import InputError
from kinetics.plot.export import _BROWSERS, FIGURE_CONFIG, _browser, refuse_figures, save_figure, save_figures
from kinetics.plot.persistence import plot_persistence
from kinetics.study.study import read_study
from tests.support.commands import call

BROWSER = pytest.mark.skipif(
    _browser() is None, reason="no Chrome or Chromium: nothing was exported for print"
)


def persistence() -> Figure:
    return plot_persistence(read_study("synthetic_cart_12"), "car_copies")


def words(svg: str) -> str:
    return " ".join(re.findall(r"<(?:text|tspan)[^>]*>([^<]+)<", svg))


def test_the_html_needs_no_network_and_its_camera_saves_svg(tmp_path: Path) -> None:
    page = save_figure(persistence(), tmp_path / "new" / "figure.html").read_text(encoding="utf-8")
    assert not re.search(r"<script[^>]+src=", page)
    assert "SYNTHETIC DATA" in page
    assert '"toImageButtonOptions": {"format": "svg"}' in page
    assert FIGURE_CONFIG["showSendToCloud"] is False


@BROWSER
def test_the_svg_has_the_words_units_label_and_hash_of_the_figure_and_no_menu(tmp_path: Path) -> None:
    svg = save_figure(persistence(), tmp_path / "figure.svg", width=900).read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert 'width="900" height="595"' in svg
    said = words(svg)
    for text in (
        "CAR transgene, qPCR in blood (copies/µg DNA)",
        "Time since first infusion (days)",
        "LLOQ 50",
        "SYNTHETIC DATA",
        read_study("synthetic_cart_12").sha256[:8],
    ):
        assert text in said
    assert said.count("Dose level per infusion") == 1  # in the key, and no more as what the menu chose
    assert "Colour by" not in said  # of the menu, which paper cannot open
    assert svg.count('class="point"') >= len(read_study("synthetic_cart_12").observed("car_copies"))
    assert "<image" not in svg  # all of it is vectors


@BROWSER
def test_the_pdf_is_one_page_of_the_figures_size_with_its_title(tmp_path: Path) -> None:
    pdf = save_figure(persistence(), tmp_path / "figure.pdf", width=1000).read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    found = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert found is not None
    size = [float(x) for x in found.groups()]
    assert size == pytest.approx([750, 446.25], abs=0.5)  # points: 3/4 of 1000 and 595 pixels
    assert b"/Title (CAR transgene: every subject)" in pdf
    assert b"/FontFile2" in pdf  # text, not outlines of it


@BROWSER
def test_the_png_is_three_times_as_sharp(tmp_path: Path) -> None:
    png = save_figure(persistence(), tmp_path / "figure.png", width=700).read_bytes()
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (2100, 1785)


@BROWSER
def test_a_text_that_looks_like_a_script_stays_text(tmp_path: Path) -> None:
    figure = persistence().update_layout(title_text="a</script><pre id='drawn'>b & c")
    svg = save_figure(figure, tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")


def test_other_endings_and_a_machine_without_a_browser_are_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        InputError, match=r"figure\.jpeg is no format of a figure; end it with one of \.html, \.svg"
    ):
        save_figure(persistence(), tmp_path / "figure.jpeg")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    refuse_figures([tmp_path / "figure.html"])
    with pytest.raises(InputError, match=r"KINETICS_BROWSER.*camera button saves SVG"):
        save_figure(persistence(), tmp_path / "figure.svg")
    assert list(tmp_path.iterdir()) == []


def test_the_browser_is_the_one_named_or_the_first_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINETICS_BROWSER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in ("chrome", "mine") else None)
    assert _browser() == "chrome"
    assert "chrome" in _BROWSERS
    monkeypatch.setenv("KINETICS_BROWSER", "mine")
    assert _browser() == "mine"
    monkeypatch.setenv("KINETICS_BROWSER", "nowhere")
    assert _browser() is None  # never another than the one that was named


@BROWSER
def test_a_browser_that_draws_nothing_is_an_error_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    monkeypatch.setenv("KINETICS_BROWSER", str(silent))
    for name in ("figure.svg", "figure.pdf"):
        with pytest.raises(InputError, match="drew no figure: it showed nothing"):
            save_figure(persistence(), tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["silent"]


def test_figures_that_are_not_drawn_say_why(tmp_path: Path) -> None:
    given: dict[str, Any] = {"a": persistence(), "b": "nobody is counted"}
    lines = save_figures(tmp_path / "figures", given)
    assert lines == [f"written: {tmp_path / 'figures/a.html'}", "not drawn: b.html: nobody is counted"]
    assert [p.name for p in (tmp_path / "figures").glob("*.html")] == ["a.html"]


@BROWSER
def test_the_commands_write_figures_for_print(tmp_path: Path) -> None:
    said = call("response", "nkg2d_phase1_synthetic", "--plots", tmp_path / "figures", "--plots-as", "svg")
    assert (said.code, said.err) == (0, "")
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == [
        "spider.svg", "swimmer.svg", "waterfall.svg",
    ]  # fmt: skip
    assert "SYNTHETIC DATA" in words((tmp_path / "figures/waterfall.svg").read_text(encoding="utf-8"))
    said = call("simulate", "stein_2019", "--out", tmp_path / "c.csv", "--plot", tmp_path / "curves.svg")
    assert said.code == 0
    assert "Time (days)" in words((tmp_path / "curves.svg").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["response", "nkg2d_phase1_synthetic", "--plots", "figures", "--plots-as", "gif"],
        ["simulate", "stein_2019", "--plot", "curves.gif"],
        ["subgroups", "runs/none", "--plot", "forest.gif"],
    ],
    ids=["response", "simulate", "subgroups"],
)
def test_a_format_there_is_not_is_refused_before_any_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(*arguments)
    assert (said.code, said.out) == (1, "")
    assert ".gif is no format of a figure" in said.err
    assert list(tmp_path.iterdir()) == []


def test_the_figures_of_a_folder_share_one_plotly(tmp_path: Path) -> None:
    """Each is small, says what it needs where that is missing, and names no address of a network."""
    save_figures(tmp_path, {"one": persistence(), "two": persistence()})
    (shared,) = tmp_path.glob("plotly-*.min.js")
    assert shared.stat().st_size > 1_000_000
    for name in ("one", "two"):
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert len(page) < 200_000
        assert f'<script src="{shared.name}"></script>' in page
        assert "is not beside this page" in page
        assert "://" not in page.replace("http://www.w3.org", "")


def test_a_single_file_holds_plotly(tmp_path: Path) -> None:
    save_figures(tmp_path, {"one": persistence()}, single_file=True)
    assert [path.name for path in tmp_path.iterdir()] == ["one.html"]
    assert "* plotly.js v" in (tmp_path / "one.html").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------- plain, for print


def test_a_plain_figure_has_no_badge_and_no_footer_and_its_words_stand_in_a_text_file(tmp_path: Path) -> None:
    figure = persistence()
    before = figure.to_json()
    page = save_figure(figure, tmp_path / "figure.html", plain=True).read_text(encoding="utf-8")
    caption = (tmp_path / "figure.txt").read_text(encoding="utf-8")
    assert "SYNTHETIC DATA" not in page
    lines = caption.splitlines()
    assert lines[0] == "Caption of the figure figure.html"
    assert "CAR transgene: every subject" in lines
    assert "SYNTHETIC DATA" in lines
    assert read_study("synthetic_cart_12").sha256[:8] in caption
    assert "<" not in caption
    assert figure.to_json() == before  # the figure itself keeps its words


def test_a_text_that_is_no_caption_is_not_replaced_by_one(tmp_path: Path) -> None:
    (tmp_path / "figure.txt").write_text("my notes")
    with pytest.raises(InputError, match=r"figure\.txt is there and is no caption"):
        save_figure(persistence(), tmp_path / "figure.html", plain=True)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.txt"]
    (tmp_path / "figure.txt").unlink()
    for _ in range(2):  # a caption of ours is
        save_figure(persistence(), tmp_path / "figure.html", plain=True)
    assert "SYNTHETIC DATA" in (tmp_path / "figure.txt").read_text(encoding="utf-8")


def test_a_plain_figure_that_cannot_be_drawn_leaves_neither_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> str:
        raise InputError([])

    monkeypatch.setattr("kinetics.plot.export._html", broken)
    with pytest.raises(InputError):
        save_figure(persistence(), tmp_path / "figure.html", plain=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "figure"),
    [
        (["plot", "synthetic_cart_12", "--analyte", "car_copies", "--out", "f/x.html"], "x"),
        (["nca", "synthetic_cart_12", "--analyte", "car_copies", "--plots", "f"], "persistence_car_copies"),
        (["response", "nkg2d_phase1_synthetic", "--plots", "f"], "spider"),
        (["simulate", "stein_2019", "--out", "c.csv", "--plot", "f/x.html"], "x"),
        (["tornado", "stein_2019", "--plots", "f"], "tornado_copies_auc_0_28d"),
        (
            [
                "expansion",
                "nkg2d_phase1_synthetic",
                "--protocol",
                "nkg2d_phase1_synthetic",
                "--plot",
                "f/x.html",
            ],
            "x",
        ),
    ],
    ids=["plot", "nca", "response", "simulate", "tornado", "expansion"],
)
def test_every_command_that_draws_takes_plain_and_names_the_captions(
    command: list[str], figure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(*command, "--plain")
    assert said.code == 0, said.err
    for page in (tmp_path / "f").glob("*.html"):
        caption = page.with_suffix(".txt").read_text(encoding="utf-8")
        assert caption.startswith(f"Caption of the figure {page.name}\n")
        assert ("SYNTHETIC" in caption) == any("synthetic" in word for word in command)
    assert (tmp_path / "f" / f"{figure}.txt").is_file()
    if command[0] != "simulate":  # which prints its curves where it is piped
        assert f"{figure}.txt" in said.out


@pytest.mark.parametrize(
    "command",
    [
        ["nca", "synthetic_cart_12"],
        ["response", "nkg2d_phase1_synthetic"],
        ["simulate", "stein_2019"],
        ["tornado", "stein_2019"],
        ["exposure", "runs/none"],
        ["subgroups", "runs/none"],
        ["expansion", "nkg2d_phase1_synthetic", "--protocol", "nkg2d_phase1_synthetic"],
    ],
    ids=lambda command: command[0],
)
def test_plain_without_a_figure_is_refused(command: list[str]) -> None:
    said = call(*command, "--plain")
    assert (said.code, said.out) == (1, "")
    assert "--plain without a figure" in said.err


@BROWSER
def test_a_plain_figure_is_lower_by_its_footer_and_as_large_otherwise(tmp_path: Path) -> None:
    sizes = []
    for plain in (False, True):
        svg = save_figure(persistence(), tmp_path / "figure.svg", plain=plain).read_text(encoding="utf-8")
        sizes.append(int(re.findall(r'height="(\d+)"', svg)[0]))
        assert ("SYNTHETIC DATA" in words(svg)) is not plain
    assert sizes[1] == sizes[0] - 15
