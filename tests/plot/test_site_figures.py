"""Organ stack and body map as data: every share is drawn where it belongs, with units, labels and hash."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from plotly.graph_objects import Figure

import kinetics as kn
from kinetics.plot.body_map import plot_body_map
from kinetics.plot.frame import PALETTE, number_text
from kinetics.plot.organ_stack import SITE_COLOURS, plot_organ_stack
from tests.support.commands import call
from tests.support.figures import annotation, traces

SHARES = {"blood": 0.05, "lung": 0.0, "liver": 0.6, "tumour": 0.1, "rest": 0.25}
TIMES = {"car_nk": [0.04, 1.0, 7.0, 28.0], "car_t": [7.5, 8.5, 14.5, 35.5]}


@cache
def model() -> kn.Model:
    return kn.load_model("nkg2d_nk_t_livermet")


@cache
def shares() -> DataFrame:
    """Shares that swap between tumour and rest as time goes on; 1e9 cells that fall tenfold a time."""
    rows = []
    for product, times in TIMES.items():
        for k, time in enumerate(times):
            now = SHARES | {"tumour": 0.1 + 0.05 * k, "rest": 0.25 - 0.05 * k}
            for site, share in {"all": 1.0, **now}.items():
                cells = share * 10.0 ** (9 - k)
                rows.append((product, site, time, share, cells / 2, cells, cells * 2))
    return DataFrame(rows, columns=["product", "site", "time", "share", "lower", "median", "upper"])


@cache
def stack() -> Figure:
    return plot_organ_stack(model(), shares(), source="parameters: prior")


@cache
def body() -> Figure:
    return plot_body_map(model(), shares(), source="parameters: prior")


@pytest.mark.parametrize("draw", [stack, body])
def test_both_say_the_model_by_hash_and_that_it_is_guessed(draw) -> None:
    footer = annotation(draw(), "footer")
    assert f"Model nkg2d_nk_t_livermet {model().sha256[:8]} · parameters: prior" in footer
    guesses = sum(p.guess for p in model().parameters.values())
    assert f"{guesses} of {len(model().parameters)} parameters are design guesses" in footer
    assert annotation(draw(), "labels") == "<b>DESIGN GUESSES</b>"
    assert "NaN" not in draw().to_json()
    synthetic = {stack: plot_organ_stack, body: plot_body_map}[draw](model(), shares(), synthetic=True)
    assert "SYNTHETIC DATA" in annotation(synthetic, "labels")


def test_the_stack_has_every_share_in_percent_and_adds_to_a_hundred() -> None:
    for k, (product, times) in enumerate(TIMES.items()):
        parts = {site: traces(stack(), site)[k] for site in SHARES}
        assert {tuple(t.x) for t in parts.values()} == {tuple(times)}
        np.testing.assert_allclose(np.sum([t.y for t in parts.values()], axis=0), 100.0)
        own = shares()[(shares()["product"] == product) & (shares()["site"] == "tumour")]
        np.testing.assert_allclose(parts["tumour"].y, 100 * own["share"])
        assert len({t.stackgroup for t in parts.values()}) == 1
    assert traces(stack(), "liver")[0].stackgroup != traces(stack(), "liver")[1].stackgroup
    assert stack().layout.yaxis3.title.text == "Share of the cells (%)"
    assert stack().layout.xaxis3.title.text == "Time (days)"


def test_above_the_stack_are_all_cells_with_their_band() -> None:
    (line, _), (band, _) = traces(stack(), "curve median"), traces(stack(), "band lower upper")
    np.testing.assert_allclose(line.y, [1e9, 1e8, 1e7, 1e6])
    np.testing.assert_allclose(band.y[:4], [2e9, 2e8, 2e7, 2e6])
    assert stack().layout.yaxis.type == "log"


def test_a_site_has_one_colour_that_every_eye_tells_apart_and_stands_in_the_key_once() -> None:
    own = [c for site, c in SITE_COLOURS.items() if site != "rest"]
    assert len(set(own)) == len(own)
    assert set(own) <= set(PALETTE)
    assert [t.showlegend for t in traces(stack(), "liver")] == [True, False]
    assert len({t.fillcolor for t in traces(stack(), "liver")}) == 1


def test_a_site_that_only_the_second_product_has_is_in_the_key() -> None:
    some = shares()[(shares()["product"] == "car_t") | (shares()["site"] != "lung")]
    (lung,) = traces(plot_organ_stack(model(), some), "lung")
    assert lung.showlegend


def test_the_body_has_every_share_beside_its_organ_and_the_cells_below() -> None:
    assert [t.customdata[0] for t in traces(body(), "tumour")] == pytest.approx([0.1, 0.15, 0.2, 0.25] * 2)
    assert [t.text[0] for t in traces(body(), "liver")] == ["Liver<br>60 %"] * 8
    assert {t.text[0] for t in traces(body(), "lung")} == {"Lung<br>0 %"}
    assert [t.text[0] for t in traces(body(), "total")][:2] == [
        "1.0 × 10⁹ cells in all",
        "1.0 × 10⁸ cells in all",
    ]
    titles = [a.text for a in body().layout.annotations if a.name is None]
    assert titles == ["CAR-NK, hour 0.96", "CAR-NK, day 1", "CAR-NK, day 7", "CAR-NK, day 28",
                      "CAR-T, day 7.5", "CAR-T, day 8.5", "CAR-T, day 14.5", "CAR-T, day 35.5"]  # fmt: skip


def test_an_organ_is_the_darker_the_more_of_the_cells_it_holds() -> None:
    some = DataFrame(shares()[(shares()["product"] == "car_nk") & (shares()["time"] == 1.0)])

    def shade(share: float) -> float:
        given = some.assign(share=some["share"].where(some["site"] != "liver", share))
        paths = [s for s in plot_body_map(model(), given).layout.shapes if s.type == "path"]
        red, green, blue = (
            float(x) for x in paths[1].fillcolor[4:-1].split(",")
        )  # the outline, then the liver
        return red + green + blue

    levels = [shade(x) for x in (0.0, 0.05, 0.3, 0.6, 1.0)]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 5
    assert levels[0] == 3 * 255


def test_a_site_that_a_model_does_not_have_is_not_drawn() -> None:
    some = DataFrame(shares()[~shares()["site"].isin(["lung", "rest"])])
    figure = plot_body_map(model(), some, days=(1.0,))
    assert traces(figure, "lung") == []
    assert len([s for s in figure.layout.shapes if s.type == "circle"]) == 2 * (
        1 + 1 + 1
    )  # head, blood, tumour
    assert {s.fillcolor for s in figure.layout.shapes if s.type == "path"} >= {
        "#ffffff"
    }  # the rest of the body


def test_a_stack_and_a_body_end_with_the_shares_and_the_line_does_not() -> None:
    gone = shares().assign(share=shares()["share"].where(shares()["time"] != 28.0))
    figure = plot_organ_stack(model(), gone)
    assert list(traces(figure, "liver")[0].x) == [0.04, 1.0, 7.0]
    assert list(traces(figure, "curve median")[0].x) == TIMES["car_nk"]
    assert "A stack ends where more than half" in annotation(figure, "footer")
    assert "A stack ends" not in annotation(stack(), "footer")
    titles = [a.text for a in plot_body_map(model(), gone).layout.annotations if a.name is None]
    assert "CAR-NK, day 28" not in titles


def test_the_command_draws_where_simulated_cells_are(tmp_path: Path) -> None:
    regimen = tmp_path / "regimen.toml"
    regimen.write_text('[[dose]]\nproduct = "car_t"\nroute = "iv"\non = [0.0]\ncells = 3e6\n')
    said = call(
        "simulate",
        "tsai_2022",
        "--regimen",
        regimen,
        "--times",
        "0,0.04,1,7",
        "--out",
        tmp_path / "c.csv",
        "--organs",
        tmp_path / "organs",
    )
    assert said.code == 0, said.err
    assert sorted(p.name for p in (tmp_path / "organs").glob("*.html")) == [
        "body_map.html",
        "organ_stack.html",
    ]
    assert f"written: {tmp_path / 'organs/body_map.html'}" in said.out
    page = (tmp_path / "organs/body_map.html").read_text(encoding="utf-8")
    curves = pd.read_csv(tmp_path / "c.csv")
    now = curves[curves["time"] == 7.0].set_index("output")["value"][
        ["blood", "lung", "liver", "spleen", "tumour"]
    ]
    shown = 100 * now["spleen"] / now.sum()
    assert f"Spleen\\u003cbr\\u003e{number_text(shown, 2)} %" in page
    refused = call("simulate", "stein_2019", "--organs", tmp_path / "none")
    assert refused.code == 1
    assert "does not say which outputs are cells at a site" in refused.err
    assert not (tmp_path / "none").exists()
