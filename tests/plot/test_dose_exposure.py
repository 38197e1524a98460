"""Exposure against dose: the power model's curve, and that a figure draws it and every subject."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from plotly.graph_objects import Figure

import kinetics as kn
from kinetics.cli.exposure import _of_those_who_had
from kinetics.decision.power_model import levels_of, power_curve, proportionality_table
from kinetics.decision.quantities import Exposures, Quantity, exposures_of_table
from kinetics.errors import StudyError
from kinetics.plot.dose_exposure import dose_exposure_figures, plot_dose_exposure
from kinetics.plot.frame import number_text
from kinetics.plot.product_dose import dose_axis
from tests.support.commands import call
from tests.support.figures import annotation, traces
from tests.support.fits import cart_fit

STUDY = "synthetic_cart_12"
DOSES = {f"P{i}": dose for i, dose in enumerate([1e7, 1e7, 3e7, 3e7, 1e8, 1e8])}


def exposures(rows: list[list[float]]) -> Exposures:
    return Exposures(list(DOSES), {"x_cmax": Quantity("x", "peak", "cells/uL")}, {"x_cmax": np.array(rows)})


@cache
def samples() -> Exposures:
    return exposures_of_table(kn.nca(kn.read_study(STUDY), by="course"))


@cache
def figure() -> Figure:
    return plot_dose_exposure(kn.read_study(STUDY), samples())


@cache
def fitted() -> Exposures:
    return exposures_of_table(kn.exposure(cart_fit(), draws=20))


def test_doses_are_written_as_the_protocol_writes_its_levels() -> None:
    assert list(figure().layout.xaxis.ticktext)[:2] == ["1.5 × 10⁷", "3 × 10⁷"]


def test_the_curve_is_the_posterior_of_the_power_model() -> None:
    noise = np.exp([0.2, -0.2, 0.1, -0.1, 0.3, -0.3])
    dose = np.array(list(DOSES.values()))
    curve = power_curve(exposures([(5e-12 * dose**1.5 * noise).tolist()]), DOSES, "x_cmax", draws=40_000)
    x, y = np.log(dose) - np.log(dose).mean(), np.log(5e-12 * dose**1.5 * noise)
    slope = (x @ y + 1.0) / (x @ x + 1.0)  # prior of b: 1, with the weight of one
    at = np.log(curve["dose"].to_numpy()) - np.log(dose).mean()
    np.testing.assert_allclose(np.log(curve["median"]), y.mean() + slope * at, atol=0.02)
    rest = y - y.mean() - slope * x
    scatter = rest @ rest + (slope - 1) ** 2 + 4 * 0.83**2  # the prior of s is worth 4 patients
    scale = np.sqrt(scatter / 9 * (1 / 6 + at**2 / (x @ x + 1)))  # Student-t, 5 + 4 df
    np.testing.assert_allclose(np.log(curve["upper"]) - np.log(curve["median"]), 1.833 * scale, rtol=0.05)
    assert (curve["new_upper"] > curve["upper"]).all()
    assert (curve["new_lower"] < curve["lower"]).all()
    assert curve["dose"].iloc[0] == pytest.approx(1e7 / 1.25)


def test_uncertain_exposures_widen_the_band_and_the_slope() -> None:
    rng = np.random.default_rng(0)
    dose = np.array(list(DOSES.values()))
    sure = exposures([(1e-6 * dose * np.exp([0.1, -0.1, 0.1, -0.1, 0.1, -0.1])).tolist()])
    noise = np.exp(2.0 * rng.standard_normal((200, 6)))
    noise[0] = 1.0  # the first draw alone would be as sure
    unsure = exposures((sure.values["x_cmax"] * noise).tolist())
    width = [
        np.log(c["upper"] / c["lower"]).mean()
        for c in (power_curve(s, DOSES, "x_cmax") for s in (sure, unsure))
    ]
    assert width[1] > 2 * width[0]
    b = [proportionality_table(s, DOSES).iloc[0] for s in (sure, unsure)]
    assert b[1]["upper"] - b[1]["lower"] > 2 * (b[0]["upper"] - b[0]["lower"])


def test_too_few_subjects_or_one_dose_are_refused_with_the_remedy() -> None:
    seen = exposures([[1.0, np.nan, 2.0, np.nan, 0.0, np.nan]])
    with pytest.raises(
        StudyError, match=r"x_cmax: 2 subjects have it, at 2 doses; a power model needs 3 subjects"
    ):
        power_curve(seen, DOSES, "x_cmax")
    with pytest.raises(StudyError, match="6 subjects have it, at 1 doses"):
        power_curve(exposures([[1.0] * 6]), dict.fromkeys(DOSES, 1e7), "x_cmax")


def test_doses_come_from_a_column_of_numbers() -> None:
    study = kn.read_study(STUDY)
    assert levels_of(study) == study.subjects["dose_level"].astype(float).to_dict()
    with pytest.raises(StudyError, match=r"no column 'dose_lvl'.*did you mean 'dose_level'"):
        levels_of(study, "dose_lvl")
    with pytest.raises(StudyError, match="no subject has a dose above 0 in 'tumour'"):
        levels_of(kn.read_study("nkg2d_phase1_synthetic"), "tumour")


def test_the_whole_course_is_taken_from_tables_of_samples_and_of_a_fit() -> None:
    course = kn.nca(kn.read_study(STUDY), by="course")
    own = course[course["analyte"] == "car_copies"].set_index("subject")
    seen = samples()
    assert seen.units["car_copies_auc_28d"] == "copies/ug DNA x day"
    for i, subject in enumerate(seen.subjects):
        assert seen.values["car_copies_cmax"][0, i] == own.loc[subject, "cmax"]
        assert seen.values["car_copies_auc_28d"][0, i] == own.loc[subject, "auc_0_28d"]
    table = kn.exposure(cart_fit(), draws=20)
    rows = table[
        (table["analyte"] == "car_cells") & (table["cycle"] == "course") & (table["subject"] == "S03")
    ]
    at = fitted().subjects.index("S03")
    np.testing.assert_array_equal(fitted().values["car_cells_cmax"][:, at], rows.sort_values("draw")["cmax"])


def test_every_subject_is_a_point_at_its_dose_at_its_exposure() -> None:
    doses, points = levels_of(kn.read_study(STUDY)), traces(figure(), "subjects")
    assert len(points) == 4
    for name, trace in zip(samples().values, points, strict=True):
        assert list(trace.text) == samples().subjects
        np.testing.assert_allclose(trace.y, samples().values[name][0])
        np.testing.assert_array_equal(trace.x, [doses[s] for s in trace.text])  # no dose that nobody had
        np.testing.assert_array_equal(trace.customdata, [doses[s] for s in trace.text])
        assert trace.error_y.array is None


def test_the_lines_and_bands_are_the_power_models() -> None:
    curve = power_curve(samples(), levels_of(kn.read_study(STUDY)), "car_copies_cmax")
    np.testing.assert_allclose(traces(figure(), "power")[0].y, curve["median"])
    np.testing.assert_allclose(traces(figure(), "band")[0].y[: len(curve)], curve["upper"])
    np.testing.assert_allclose(traces(figure(), "new_band")[0].y[len(curve) :], curve["new_lower"][::-1])
    line = traces(figure(), "proportional")[0]
    np.testing.assert_allclose(np.diff(np.log(line.y)), np.diff(np.log(line.x)))
    table = proportionality_table(samples(), levels_of(kn.read_study(STUDY)))
    for row in table.to_dict("records"):  # the numbers of the table, whatever else is drawn
        cv = f"CV at one dose {number_text(row['geometric_cv_percent'], 2)} %"
        assert any(cv in str(a.text) for a in figure().layout.annotations)
    b = proportionality_table(samples(), levels_of(kn.read_study(STUDY))).iloc[0]["b"]
    titles = [str(a.text) for a in figure().layout.annotations]
    assert any(f"b = {b:.2f}".replace("-", "−") in title for title in titles)
    assert "b = " not in annotation(figure(), "footer")


def test_a_cmax_has_the_lloq_of_its_assay_and_axes_have_units() -> None:
    lines = traces(figure(), "lloq")
    assert [set(line.y) for line in lines] == [{50.0}]  # of copies; an area has none
    assert "LLOQ 0.5 cells/µL: below the axis of Cmax." in annotation(figure(), "footer")
    layout = figure().layout
    titles = [layout[f"yaxis{k}"].title.text for k in ("", 2, 3, 4)]
    assert titles == [
        "Cmax (copies/µg DNA)", "AUC0–28d (day·copies/µg DNA)", "Cmax (cells/µL)", "AUC0–28d (day·cells/µL)",
    ]  # fmt: skip
    assert layout.xaxis.title.text == "Dose level per infusion (cells/kg)"
    assert list(layout.xaxis.tickvals) == [1.5e7, 3e7, 5e7, 7e7]
    assert "SYNTHETIC DATA" in annotation(figure(), "labels")
    assert kn.read_study(STUDY).sha256[:8] in annotation(figure(), "footer")


def test_of_a_fit_every_subject_has_the_interval_of_its_draws() -> None:
    fit = cart_fit()
    drawn = plot_dose_exposure(fit.study, fitted(), ["car_copies_cmax"], fit=fit)
    (points,) = traces(drawn, "subjects")
    low, middle, high = np.quantile(fitted().values["car_copies_cmax"], [0.05, 0.5, 0.95], axis=0)
    np.testing.assert_allclose(points.y, middle)
    np.testing.assert_allclose(points.y + points.error_y.array, high)
    np.testing.assert_allclose(points.y - points.error_y.arrayminus, low)
    assert fit.name in annotation(drawn, "footer")


def test_subjects_without_the_exposure_are_counted() -> None:
    values = {k: v.copy() for k, v in samples().values.items()}
    values["car_copies_cmax"][0, :2] = np.nan
    some = Exposures(samples().subjects, samples().quantities, values)
    drawn = plot_dose_exposure(kn.read_study(STUDY), some, ["car_copies_cmax"])
    assert "No Cmax of CAR transgene: 2 of 12 subjects." in annotation(drawn, "footer")
    assert len(traces(drawn, "subjects")[0].x) == 10


def test_an_exposure_too_few_have_is_drawn_without_a_model_and_said() -> None:
    values = {k: v.copy() for k, v in samples().values.items()}
    values["car_copies_auc_28d"][0, 2:] = np.nan
    some = Exposures(samples().subjects, samples().quantities, values)
    drawn = plot_dose_exposure(kn.read_study(STUDY), some, ["car_copies_auc_28d", "car_copies_cmax"])
    assert "AUC0–28d of CAR transgene: too few for a power model." in annotation(drawn, "footer")
    assert [len(t.x) for t in traces(drawn, "subjects")] == [2, 12]
    assert [(t.xaxis, t.showlegend) for t in traces(drawn, "power")] == [("x2", True)]
    with pytest.raises(StudyError, match="a power model needs 3 subjects and two doses"):
        plot_dose_exposure(kn.read_study(STUDY), some, ["car_copies_auc_28d"])


def test_a_product_keeps_those_who_had_it(tmp_path: Path) -> None:
    trial = "nkg2d_phase1_synthetic"
    for options, n in (([], 12), (["--product", "car_t"], 11)):  # S03 had no CAR-T
        said = call("nca", trial, "--analyte", "il6", "--plots", tmp_path / f"{n}", *options)
        assert said.code == 0, said.err
        page = (tmp_path / f"{n}" / "dose_exposure_il6.html").read_text(encoding="utf-8")
        assert re.search(rf"n = {n}\b", page)
        assert ('"S03"' in page) == (n == 12)
    course = kn.nca(kn.read_study(trial), by="course")
    assert "S03" in exposures_of_table(course).subjects
    assert "S03" not in _of_those_who_had(kn.read_study(trial), "car_t", course).subjects
    said = call("nca", trial, "--analyte", "il6", "--plots", tmp_path / "x", "--product", "car_tt")
    assert said.code == 1
    assert "did you mean 'car_t'?" in said.err


def test_the_command_draws_samples_and_exposures_or_says_why_not(tmp_path: Path) -> None:
    said = call("nca", STUDY, "--plots", tmp_path / "figures")
    assert (said.code, said.err) == (0, "")
    assert sorted(p.stem for p in (tmp_path / "figures").glob("*.html")) == [
        "dose_exposure_car_cells",
        "dose_exposure_car_copies",
        "persistence_car_cells",
        "persistence_car_copies",
    ]
    said = call("nca", STUDY, "--analyte", "car_cells", "--plots", tmp_path / "one", "--by", "sex")
    assert said.code == 0
    assert [p.stem for p in (tmp_path / "one").glob("*.html")] == ["persistence_car_cells"]
    assert "not drawn: dose_exposure_car_cells.html: " in said.out
    assert "'sex'" in said.out


def test_an_exposure_that_is_a_lower_bound_is_drawn_open_and_labelled_so() -> None:
    values = [[1.0, 1.2, 3.0, 3.3, 9.0, 10.0]]
    bounded = replace(exposures(values), lower_bounds={"x_cmax": frozenset({"P5"})})
    study = kn.read_study(STUDY)
    subjects = list(study.subjects.index[:6])
    renamed = replace(bounded, subjects=subjects, lower_bounds={"x_cmax": frozenset({subjects[5]})})
    drawn = plot_dose_exposure(study, renamed)
    (points,) = (trace for trace in drawn.data if trace.meta["role"] == "subjects")
    label = dict(zip(map(str, points.text), points.hovertext, strict=True))
    assert label[subjects[5]] == ">= 10"
    assert label[subjects[0]] == "1"
    assert list(points.marker.symbol).count("triangle-up-open") == 1


def test_the_cells_of_a_product_are_drawn_against_its_own_dose(tmp_path: Path) -> None:
    """The assigned level of the trial is that of the CAR-T cells; the CAR-NK cells have their own dose."""
    study = kn.read_study("nkg2d_phase1_synthetic")
    assert set(dose_axis(study, "nk_cells", None).doses.values()) == {3e9}
    assert dose_axis(study, "t_cells", None).doses == levels_of(study)
    assert dose_axis(study, "nk_cells", "dose_level").doses == levels_of(study)  # as asked for
    seen = exposures_of_table(kn.nca(study, by="course"))
    figures = dose_exposure_figures(study, seen)
    assert "every subject had the same dose, 3 × 10⁹" in str(figures["dose_exposure_nk_cells"])
    factor = {s: 1.0 + i % 3 for i, s in enumerate(study.subject_ids)}
    doses = study.doses.copy()
    nk = doses["product"] == "car_nk"
    doses.loc[nk, "amount"] *= doses["subject"][nk].map(factor)
    varied = replace(study, doses=doses)
    drawn = dose_exposure_figures(varied, seen)["dose_exposure_nk_cells"]
    assert isinstance(drawn, Figure)
    (points, _) = traces(drawn, "subjects")
    assert set(points.x) == {3e9, 6e9, 9e9}
    assert drawn.layout.xaxis.title.text == "CAR-NK, all infusions (cells)"
    assert "dose_level is that of another product" in annotation(drawn, "footer")
    assert dose_exposure_figures(varied, seen)["dose_exposure_t_cells"].layout.xaxis.title.text.startswith(
        "CAR-T"
    )


def test_an_lloq_far_below_every_subject_leaves_no_half_of_the_panel_empty() -> None:
    study = kn.read_study("nkg2d_phase1_synthetic")
    drawn = plot_dose_exposure(study, exposures_of_table(kn.nca(study, by="course")), ["car_copies_cmax"])
    assert traces(drawn, "lloq") == []
    assert 10 ** drawn.layout.yaxis.range[0] > 500
    assert "LLOQ 50 copies/µg DNA: below the axis of Cmax." in annotation(drawn, "footer")
