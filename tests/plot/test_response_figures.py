"""Figures of response and survival as data: what is drawn is what the tables say, labelled, with units."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame, Index
from plotly.graph_objects import Figure

from kinetics.errors import StudyError
from kinetics.outcomes.lesion_size import best_changes, size_changes
from kinetics.outcomes.survival import survival_times
from kinetics.outcomes.survival_curve import kaplan_meier
from kinetics.plot.frame import PALETTE, RESPONSE_COLOURS
from kinetics.plot.kaplan_meier import _interval_words, plot_kaplan_meier
from kinetics.plot.spider import plot_spider, spread
from kinetics.plot.swimmer import plot_swimmer
from kinetics.plot.waterfall import plot_waterfall
from kinetics.protocol.protocol import read_protocol
from kinetics.study.study import Study, read_study
from tests.support.commands import call
from tests.support.figures import annotation, traces
from tests.support.part_studies import study_with

SYNTHETIC = "nkg2d_phase1_synthetic"


@cache
def study() -> Study:
    return read_study(SYNTHETIC)


@cache
def curves(endpoint: str, by: str | None = "dose_level") -> Figure:
    times = survival_times(study(), read_protocol(SYNTHETIC), endpoint)  # type: ignore[arg-type]
    return plot_kaplan_meier(study(), kaplan_meier(times, by), endpoint)  # type: ignore[arg-type]


FIGURES: dict[str, Callable[[], Figure]] = {
    "waterfall": cache(lambda: plot_waterfall(study())),
    "spider": cache(lambda: plot_spider(study())),
    "swimmer": cache(lambda: plot_swimmer(study())),
    "kaplan_meier": lambda: curves("pfs"),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_says_that_data_are_synthetic_and_whose_they_are(kind):
    figure = FIGURES[kind]()
    assert "SYNTHETIC DATA" in annotation(figure, "labels")
    assert study().sha256[:8] in annotation(figure, "footer")
    assert "sendChartToCloud" in figure.layout.modebar.remove
    assert "NaN" not in figure.to_json()


@pytest.mark.parametrize(
    ("kind", "x", "y"),
    [
        ("waterfall", "Subject", "(%)"),
        ("spider", "(days)", "(%)"),
        ("swimmer", "(days)", None),
        ("kaplan_meier", "(days)", "(%)"),
    ],
)
def test_axes_name_their_units(kind, x, y):
    figure = FIGURES[kind]()
    assert x in figure.layout.xaxis.title.text
    assert y is None or y in figure.layout.yaxis.title.text


def test_each_response_has_a_colour_of_the_palette_that_every_eye_tells_apart():
    own = [RESPONSE_COLOURS[r] for r in ("CR", "PR", "SD", "PD")]
    assert len(set(own)) == 4
    assert set(own) <= set(PALETTE)


# ----------------------------------------------------------------------------------- change of tumour size


def sizes(rows: list[tuple], **columns: Any) -> Study:
    """Subjects with cells on day 2 and sums of diameters: (subject, day, mm, overall)."""
    names = list(dict.fromkeys(r[0] for r in rows))
    table = DataFrame(rows, columns=["subject", "time", "sum_mm", "overall"])
    return study_with(
        subjects=DataFrame({"dose_level": 1.0} | columns, index=Index(names, name="subject")),
        doses=DataFrame({"subject": names, "time": 2.0, "product": "car_nk", "unit": "cells"}),
        responses=table.assign(row=range(2, len(table) + 2)),
    )


def test_a_change_is_from_the_last_size_before_cells_and_days_from_the_first_infusion():
    given = sizes([("a", -20.0, 200, ""), ("a", 0.0, 100, ""), ("a", 44.0, 70, "PR"), ("a", 86.0, 90, "PD")])
    table = size_changes(given)
    assert table["day"].tolist() == [0, 42, 84]
    assert table["percent"].tolist() == pytest.approx([0, -30, -10])


def test_without_a_size_before_cells_a_column_of_subjects_is_the_baseline():
    rows = [("a", 44.0, 70.0, "SD"), ("b", 44.0, 70.0, "SD")]
    assert size_changes(sizes(rows, baseline_sld=[140.0, 70.0]))["percent"].tolist() == [0, -50, 0, 0]
    with pytest.raises(StudyError) as error:
        size_changes(sizes(rows))
    assert "2 problems" in str(error.value)
    assert "responses.csv, subject b, column sum_mm: no size before treatment" in str(error.value)
    with pytest.raises(StudyError, match="subject b = '0': the size before treatment is not above 0"):
        size_changes(sizes(rows, baseline_sld=[140.0, 0.0]))
    with pytest.raises(StudyError, match="no column 'diameters'"):
        size_changes(sizes(rows), "diameters")


def test_the_best_change_is_the_smallest_size_up_to_progression():
    rows = [("a", 0.0, 100, ""), ("a", 44.0, 80, "SD"), ("a", 86.0, 110, "PD"), ("a", 128.0, 40, "PR")]
    table = best_changes(sizes([*rows, ("b", 0.0, 100, "")])).set_index("subject")
    assert table.loc["a", "percent"] == pytest.approx(-20)
    assert table.loc["a", "day"] == 42
    assert np.isnan(table.loc["b", "percent"])
    assert table.loc["b", "why"].startswith("no size after baseline; ")


def test_the_waterfall_has_one_bar_a_subject_from_growth_to_shrinkage():
    figure, table = FIGURES["waterfall"](), best_changes(study()).set_index("subject")
    bars = {s: (y, t.meta["role"]) for t in figure.data for s, y in zip(t.x, t.y, strict=True)}
    assert len(bars) == 12
    for subject, (percent, response) in bars.items():
        assert (percent, response) == (table.loc[subject, "percent"], table.loc[subject, "response"])
    order = [table.loc[s, "percent"] for s in figure.layout.xaxis.categoryarray]
    assert order == sorted(order, reverse=True)
    assert figure.layout.xaxis.categoryarray[0] == "S03"  # 119 to 145 mm: +21.8 %
    assert bars["S03"][0] == pytest.approx(100 * (145 / 119 - 1))


def test_the_spider_has_every_assessment_from_a_baseline_of_zero():
    figure = FIGURES["spider"]()
    lines = traces(figure, "subject")
    assert len(lines) == 12
    assert sum(len(t.x) for t in lines) == 36 + 12
    assert all((t.x[0], t.y[0]) == (0, 0) for t in lines)
    crosses = sum(list(t.marker.symbol).count("x") for t in lines)
    assert crosses == (study().responses["new_lesions"] == "yes").sum()
    (names,) = traces(figure, "names")
    assert len(names.text) == 12


def test_the_names_of_a_spider_stand_apart_each_joined_to_its_point():
    figure = FIGURES["spider"]()
    (names,) = traces(figure, "names")
    (leaders,) = traces(figure, "leaders")
    low, high = figure.layout.yaxis.range
    label = (high - low) / 26
    for k in range(12):
        for other in range(k):
            if abs(names.x[k] - names.x[other]) < 15:
                assert abs(names.y[k] - names.y[other]) > 0.99 * label
    ends = {t.hovertext[-1].split(",")[0]: (t.x[-1], t.y[-1]) for t in traces(figure, "subject")}
    for k, text in enumerate(names.text):
        assert (leaders.x[3 * k], leaders.y[3 * k]) == pytest.approx(ends[text.strip()])
        assert (leaders.x[3 * k + 1], leaders.y[3 * k + 1]) == pytest.approx((names.x[k], names.y[k]))
    assert spread(np.array([1.0, 1.0, 1.0]), 2.0).tolist() == [-1, 1, 3]


def test_a_spider_by_dose_has_a_colour_for_each_dose_and_a_dash_for_each_response():
    figure = plot_spider(study(), by="dose_level")
    assert len({t.line.color for t in traces(figure, "subject")}) == 3
    assert {t.line.dash for t in traces(figure, "subject")} == {"solid", "dashdot"}
    assert [t.name for t in traces(figure, "group key")][-2:] == ["best SD", "best PD"]
    assert len(traces(figure, "group key")) == 5


def test_the_swimmer_has_all_infusions_assessments_and_ends():
    figure = FIGURES["swimmer"]()
    cells = study().doses["product"].value_counts()
    for product in ("car_nk", "car_t"):
        (marks,) = traces(figure, product)
        assert sum(marks.customdata) == cells[product]
        texts = [str(n) if n > 1 else "" for n in marks.customdata]
        assert list(marks.text) == texts  # days 0 and 1 would be one blot: a symbol and its number
    assert "so many infusions" in annotation(figure, "footer")
    below = traces(figure, "car_nk")[0].y[0] % 1
    above = traces(figure, "car_t")[0].y[0] % 1
    assert below > 0.5 > above
    seen = study().responses["overall"].value_counts()
    for response in ("SD", "PD"):
        assert len(traces(figure, response)[0].x) == seen[response]
    assert (len(traces(figure, "died_on")[0].x), len(traces(figure, "alive_on")[0].x)) == (6, 6)
    (bars,) = traces(figure, "time")
    assert list(bars.x) == sorted(bars.x)
    assert figure.layout.yaxis.ticktext[-1].startswith("S05")  # the longest, 360.3 days, at the top


def test_curves_step_from_one_and_carry_their_ticks_intervals_and_numbers_at_risk():
    figure = curves("os", None)
    (curve,) = traces(figure, "curve")
    assert (curve.line.shape, curve.y[0], curve.y[-1]) == ("hv", 100, pytest.approx(50))
    assert traces(figure, "censored")[0].x.tolist() == [344.1, 344.3, 345.5, 352.1, 354.6, 360.3]
    (band,) = traces(figure, "band")
    assert min(band.x) == 152.9  # no interval before the first death
    (risk,) = traces(figure, "at_risk")
    assert dict(zip(risk.x, risk.text, strict=True)) == {
        0: "12", 56: "12", 112: "12", 168: "11", 224: "10", 280: "7", 336: "6",
    }  # fmt: skip
    grouped = curves("pfs")
    assert len(traces(grouped, "at_risk")) == 3
    assert len(traces(grouped, "curve")) == 2  # one subject is no curve
    assert "1.5 × 10⁷: n = 1, an event on day 143; one subject is no curve." in annotation(grouped, "footer")
    assert [t.name for t in traces(grouped, "key")] == ["censored"]
    assert {t.marker.size for t in traces(grouped, "censored")} == {15}
    assert len(traces(grouped, "band")) == 2  # one subject at 1.5e7: its only event leaves no interval
    assert "3 × 10⁷: n = 7, 6 events, median 140 days (95 %: from 43.1, upper end not reached)" in annotation(
        grouped, "footer"
    )


def test_the_interval_of_a_median_is_in_words():
    row = {"lower": np.nan, "upper": np.nan}
    assert _interval_words(row, 0.95) == " (no 95 % interval: too few events)"
    assert _interval_words({"lower": 3.0, "upper": 9.0}, 0.9) == " (90 %: 3.00 to 9.00)"
    assert "lower end not estimable" in _interval_words({"lower": np.nan, "upper": 9.0}, 0.9)
    assert "—" not in annotation(curves("pfs"), "footer") + annotation(curves("os"), "footer")


# ------------------------------------------------------------------------------------------ command line


def test_the_command_prints_medians_with_reasons_and_writes_the_figures(tmp_path):
    said = call("response", SYNTHETIC, "--protocol", SYNTHETIC, "--plots", tmp_path / "figures")
    assert (said.code, said.err) == (0, "")
    rows = [line.split() for line in said.out.splitlines()]
    assert ["pfs", "all", "12", "10", "143", "85.92", "201.9"] in rows
    assert "not reached: 3 events of 7, survival 0.57 at the last time, day 360.3" in said.out
    assert "new anticancer therapy on day 160; last evaluable assessment, day 142.87" in said.out
    written = sorted(p.stem for p in (tmp_path / "figures").glob("*.html"))
    assert written == ["kaplan_meier_os", "kaplan_meier_pfs", "spider", "swimmer", "waterfall"]
    assert "not drawn: kaplan_meier_dor.html: nobody is counted for duration of response" in said.out


def test_the_json_has_medians_landmarks_and_a_row_a_subject():
    found = call("response", SYNTHETIC, "--protocol", SYNTHETIC, "--json").json()["time_to_event"]
    assert list(found) == ["dor", "pfs", "os"]
    everyone = found["os"]["medians"][0]
    assert (everyone["dose_level"], everyone["n"], everyone["median"]) == ("all", 12, 326.7)
    assert everyone["upper"] is None
    assert len(found["pfs"]["subjects"]) == 12
    assert found["pfs"]["landmarks"][0]["time"] == 365
    assert "time_to_event" not in call("response", SYNTHETIC, "--json").json()


def test_a_protocol_without_the_plan_of_scans_is_refused_with_the_remedy(tmp_path, root):
    text = (root / "data" / SYNTHETIC / "protocol.toml").read_text(encoding="utf-8")
    path = tmp_path / "protocol.toml"
    path.write_text(text.replace("[censoring.assessments]\nevery_days = 56", "[censoring.planned]\nx = 1"))
    assert call("response", SYNTHETIC, "--protocol", path).code == 1  # an unknown table
    start, end = text.index("[censoring.assessments]"), text.index("[utilities]")
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    said = call("response", SYNTHETIC, "--protocol", path)
    assert said.code == 1
    assert "--assessed-every" in said.err
    assert call("response", SYNTHETIC, "--protocol", path, "--assessed-every", 56).code == 0
