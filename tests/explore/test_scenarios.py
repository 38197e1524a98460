"""Scenarios side by side, a dose sweep, a threshold; and the doses that a slider offers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kinetics.errors import KineticsError, PlanError
from kinetics.explore.dose_choices import dose_choices, dose_text, study_levels
from kinetics.explore.scenarios import (
    MOST,
    Question,
    Scenario,
    dose_sweep,
    kept,
    plot_scenarios,
    scenario_table,
)
from kinetics.explore.target import Target
from kinetics.explore.what_if import Course
from kinetics.explore.what_if_figure import ARMS, exposure_table, plot_outputs
from kinetics.study.study import read_study
from tests.support.explorer import answered, choice, trial, what_if
from tests.support.fits import cart_fit


def test_the_slider_offers_the_levels_of_the_study_and_round_numbers_between():
    assert study_levels(trial(), "car_t") == [1.5e7, 3e7, 5e7]
    assert study_levels(trial(), "car_nk") == []  # the same cells for everyone, whatever the weight
    doses = dose_choices([1.5e7, 3e7, 5e7])
    assert doses == sorted(doses)
    assert {1e5, 1.5e7, 3e7, 5e7, 1e9} <= set(doses)
    assert max(doses) == 1e9
    assert dose_choices([3.1e7]).count(3e7) == 0  # too near to a level
    assert dose_text(3e7, [3e7]) == "3 × 10⁷, a level of the study"
    assert dose_text(2e7, [3e7]) == "2 × 10⁷"


def test_a_study_without_weights_has_no_levels():
    study = read_study("synthetic_cart_12")
    weightless = replace(study, subjects=study.subjects.assign(weight_kg=np.nan))
    assert study_levels(weightless, "car_t") == []


def test_the_chance_is_the_share_of_patients_above_the_threshold():
    peaks = answered().numbers.query("output == 'il6' and route == 'chosen'")["peak"]
    threshold = float(peaks.quantile(0.8))
    scenarios = kept((), "A", choice())
    question = Question("il6", "peak", threshold)
    (row,) = scenario_table(scenarios, {choice(): answered()}, what_if().model, question).to_dict("records")
    assert row["above"] == pytest.approx(np.mean(peaks > threshold))
    assert row["median"] == pytest.approx(np.median(peaks))
    assert (row["lower"], row["upper"]) == pytest.approx(tuple(np.quantile(peaks, [0.05, 0.95])))
    assert row["patients"] == len(peaks)
    (row,) = scenario_table(scenarios, {choice(): answered()}, what_if().model, Question("il6")).to_dict(
        "records"
    )
    assert np.isnan(row["above"])  # no threshold, no chance


def test_a_sweep_changes_one_dose_and_more_cells_are_more_often_above():
    doses = [1.5e7, 3e7, 5e7]
    scenarios = dose_sweep(choice(), "car_t", doses)
    assert [scenario.name for scenario in scenarios] == [
        "CAR-T 1.5 × 10⁷ cells/kg",
        "CAR-T 3 × 10⁷ cells/kg",
        "CAR-T 5 × 10⁷ cells/kg",
    ]
    for scenario, dose in zip(scenarios, doses, strict=True):
        of = {course.product: course for course in scenario.choice.courses}
        assert of["car_t"].cells_per_kg == dose * of["car_t"].split  # the slider's dose is of one infusion
        assert of["car_nk"] == choice().courses[0]
    answers = {one.choice: what_if().answer(one.choice, compare=False) for one in scenarios}
    question = Question("t_tumour", "auc_28d", 1e10)
    table = scenario_table(scenarios, answers, what_if().model, question)
    assert table["median"].is_monotonic_increasing
    assert table["above"].is_monotonic_increasing
    assert set(table["unit"]) == {"day·cells"}
    figure = plot_scenarios(table, Target(trial(), what_if().model), question)
    words = " ".join(annotation.text for annotation in figure.layout.annotations)
    assert "SYNTHETIC DATA" in words
    assert "PRIOR, NO FIT" in words
    assert [shape.y0 for shape in figure.layout.shapes] == [1e10]


def test_a_scenario_that_cannot_be_kept_is_refused_with_a_remedy():
    one = kept((), " A ", choice())
    assert one == (Scenario("A", choice()),)
    for name, match in (("A", "called 'A' already"), ("", "needs a name"), ("x" * 99, "needs a name")):
        with pytest.raises(PlanError, match=match):
            kept(one, name, choice())
    with pytest.raises(PlanError, match="no cells are given"):
        kept(one, "B", choice(courses=(Course("car_t", 0.0),)))
    many = tuple(Scenario(str(k), choice()) for k in range(MOST))
    with pytest.raises(PlanError, match=f"{MOST} scenarios are side by side already"):
        kept(many, "B", choice())
    with pytest.raises(PlanError, match="CAR-T is not given"):
        dose_sweep(choice(courses=choice().courses[:1]), "car_t", [1e7])


def test_a_name_that_is_markup_is_drawn_as_text():
    scenarios = kept((), "<b>A</b>", choice())
    table = scenario_table(scenarios, {choice(): answered()}, what_if().model, Question("il6"))
    figure = plot_scenarios(table, Target(trial(), what_if().model), Question("il6"))
    assert list(figure.data[0].x) == ["&lt;b&gt;A&lt;/b&gt;"]


# What the page shows


def test_two_bands_are_told_apart_by_their_edges_and_only_one_is_filled():
    figure = plot_outputs(answered(), Target(trial(), what_if().model), choice(), ["copies"])
    bands = [trace for trace in figure.data if (trace.meta or {}).get("role") == "band q5 q95"]
    opacities = [float(trace.fillcolor.rstrip(")").rpartition(",")[2]) for trace in bands]
    assert opacities[0] > 0
    assert opacities[1] == 0
    edges = [trace for trace in figure.data if (trace.meta or {}).get("role") in ("curve q5", "curve q95")]
    assert [(trace.line.color, trace.line.dash) for trace in edges] == [
        ARMS[route] for route in ("chosen", "chosen", "other", "other")
    ]


def test_a_number_of_the_table_is_broken_in_no_line_and_the_unit_is_beside_its_name():
    table = exposure_table(answered(), what_if().model, choice(), ["il6"])
    assert table["what"].tolist()[-1] == "IL-6 (pg/mL)"
    assert "unit" not in table
    assert " × " not in " ".join(table["peak"])


def test_a_download_that_is_refused_is_answered_with_the_reason():
    pytest.importorskip("shiny", reason="no Shiny: a refused download was NOT tried")
    from starlette.exceptions import HTTPException

    from kinetics.explore.figure_output import download_or_refusal

    @download_or_refusal
    def refused():
        yield "half a "
        raise KineticsError("Axis: 'x' is not offered")

    with pytest.raises(HTTPException) as raised:
        refused()
    assert raised.value.status_code == 400
    assert raised.value.detail == "Axis: 'x' is not offered"

    @download_or_refusal
    def table():
        yield pd.DataFrame({"a": [1]}).to_csv(index=False)

    assert list(table()) == ["a\n1\n"]
    assert table.__name__ == "table"


def test_the_report_button_is_there_for_a_run_alone_and_gives_the_commands_report(monkeypatch):
    pytest.importorskip("shiny", reason="no Shiny: the button of the report was NOT tried")
    from kinetics.explore import run_report

    assert run_report.report_button(Target(trial(), what_if().model)) == []
    fit = cart_fit()
    assert "run_report" in str(run_report.report_button(Target(fit.study, fit.model, fit)))
    asked = {}

    def write(fit, check, nca_table, exposure_table, *, to):
        asked.update(fit=fit, check=check, subjects=set(nca_table["subject"]))
        assert len(exposure_table)
        to.write_bytes(b"the page")
        return to

    monkeypatch.setattr(run_report, "report", write)
    assert run_report._page_of(fit) == b"the page"
    assert asked["fit"] is fit
    assert asked["subjects"] == set(fit.study.subject_ids)
