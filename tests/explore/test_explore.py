"""The explorer without a browser: answers to sliders, who is shown, what a figure says, and who may read
the page.
"""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import pytest

from kinetics.cli import explore as cli_explore
from kinetics.errors import KineticsError, PlanError
from kinetics.explore import course
from kinetics.explore.course import View, plot_course, shown_records
from kinetics.explore.people import NewPatients
from kinetics.explore.program import LANES, TIMES
from kinetics.explore.selection import Selection, cells_per_kg, choices_of, selected
from kinetics.explore.subject_bands import SubjectBands
from kinetics.explore.target import Target, target_of
from kinetics.explore.what_if import Choice, Course, WhatIf, products_of, regimen_of, routes_of
from kinetics.explore.what_if_figure import exposure_table, plot_outputs, plot_sites
from kinetics.model.model import load_model
from kinetics.prediction.curves import individual_curves
from kinetics.regimen.schedule import Doses, doses_for
from kinetics.solve.solving import Solver, solve
from kinetics.study.study import read_study
from tests.support.explorer import answered, choice, trial, what_if
from tests.support.fits import cart_fit


def traces(figure: Any, role: str) -> list[Any]:
    return [trace for trace in figure.data if (trace.meta or {}).get("role") == role]


def said(figure: Any) -> str:
    return " ".join(a["text"] for a in figure.to_dict()["layout"]["annotations"])


OUTPUTS = ("nk_liver", "nk_tumour", "t_tumour", "t_blood", "copies", "il6", "lesions")


@cache
def exact_program() -> Any:
    fine = Solver(rtol=1e-6, atol=1e-6, infusions=False)
    return jax.jit(lambda t, p, d: solve(what_if().model, t, p, d, OUTPUTS, solver=fine))


def exact(own: Choice, days: np.ndarray) -> dict[str, np.ndarray]:
    """The same patients' curves at `days`, by a solve of its own at a finer tolerance; compiled once for
    both tests.
    """
    doses = doses_for(regimen_of(own), np.full(LANES, 70.0), tuple(what_if().model.dosing))
    doses = Doses(*(np.pad(x, ((0, 0), (0, 12 - x.shape[1])), "edge" if k == "time" else "constant")
                    for k, x in doses._asdict().items()))  # fmt: skip
    grid = np.broadcast_to(np.pad(days, (0, 600 - len(days)), "edge"), (LANES, 600))
    lanes = NewPatients(what_if().model).lanes(70.0, 0.0)
    return {k: np.asarray(v)[:, : len(days)] for k, v in exact_program()(grid, lanes, doses).items()}


# Answers


def test_an_answer_is_the_models_own_curves_of_the_same_patients():
    own = choice(second_cycle=28.0)
    bands = what_if().answer(own, compare=False).bands
    curves = exact(own, np.asarray(bands["time"])[:TIMES])
    for output in OUTPUTS:  # by name: a compiled program returns its outputs in an order of its own
        middle = np.median(curves[output], axis=0)
        read = bands[bands["output"] == output]["q50"].to_numpy()
        np.testing.assert_allclose(read, middle, rtol=0.02, atol=1e-3 * middle.max())


def test_sliders_never_compile_again():
    answered()
    for cells, split, again, before, route in (
        (1e6, 1, None, "none", "iv"),
        (3e8, 3, 14.0, "every", "hepatic_artery"),
        (0.0, 2, 28.0, "first", "iv"),
    ):
        courses = Course("car_nk", cells, route, split), Course("car_t", 1e7, route, split, 11.0)
        what_if().answer(Choice(courses, 55.0, again, before, until=120.0))
    assert what_if().program.traces == 1


def test_the_bands_hold_what_they_say_and_nobody_is_lost():
    bands = answered().bands
    quantiles = bands[["q5", "q25", "q50", "q75", "q95"]].to_numpy()
    assert answered().gave_up == 0
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert set(bands["route"]) == {"chosen", "other"}


def test_the_other_route_gives_the_same_patients_the_same_cells():
    text = str(regimen_of(choice(), other_route=True))
    assert re.search(r"car_nk +1 +0 +iv +1.5e\+?0?7", text)
    assert re.search(r"car_t +1 +11 +hepatic_artery +3e\+?0?7", text)
    numbers = answered().numbers
    of = numbers[numbers["output"] == "nk_tumour"].set_index(["route", "patient"])["auc_28d"]
    ratio = of["chosen"] / of["other"]
    assert len(ratio) == LANES
    assert (ratio > 1).all()  # first pass: the artery leaves cells in the tumour that a vein does not


def test_areas_and_peaks_are_of_the_28_days_from_the_products_first_infusion():
    numbers = answered().numbers
    own = numbers[(numbers["route"] == "chosen") & (numbers["output"] == "t_blood")].set_index("patient")
    days = np.concatenate([np.arange(11.0, 13.0, 0.01), np.linspace(13.0, 39.0, 390)])
    curves = exact(choice(), days)["t_blood"]
    np.testing.assert_allclose(own["auc_28d"], np.trapezoid(curves, days, axis=1), rtol=0.05)
    assert (own["peak_day"] >= 0).all()
    assert np.median(own["peak_day"]) < 20  # of study days it would be eleven more


def test_more_cells_a_second_cycle_and_lymphodepletion_each_count():
    def area(**changes: Any) -> float:
        numbers = what_if().answer(choice(**changes), compare=False).numbers
        return float(numbers[numbers["output"] == "nk_liver"]["auc_28d"].median())

    courses = tuple(replace(course, cells_per_kg=2 * course.cells_per_kg) for course in choice().courses)
    one = area()
    assert area(courses=courses) > 1.9 * one
    assert area(lymphodepletion="none") < 0.95 * one
    assert area(second_cycle=14.0) > 1.2 * one
    assert (
        regimen_of(choice(second_cycle=14.0, lymphodepletion="every"))
        .doses(70.0)["product"]
        .tolist()
        .count("lymphodepletion")
        == 2
    )


def test_no_cells_is_an_error_with_a_remedy():
    with pytest.raises(PlanError, match="no cells are given; raise the cells/kg"):
        what_if().answer(choice(courses=(Course("car_t", 0.0),)))


@pytest.mark.slow
def test_an_answer_takes_less_than_a_second():
    what_if().answer(choice())
    assert min(what_if().answer(choice(weight_kg=60.0 + k)).seconds for k in range(9)) < 1.0


# Whom it predicts


def test_a_fits_dose_effect_follows_the_slider_and_its_allometry_the_weight():
    people = NewPatients(cart_fit().model, cart_fit())
    low, high = (people.lanes(70.0, dose)["cmax"] for dose in (3e6, 3e8))
    beta = cart_fit().sites()["beta_cmax_dose_level"]
    keep = np.linspace(0, cart_fit().draws - 1, LANES).round().astype(int)
    np.testing.assert_allclose(np.log(high / low), beta[keep] * np.log(100.0), rtol=1e-8)
    assert people.moves_with == ("cmax_dose_level",)


def test_one_subjects_band_is_that_of_its_own_curve():
    of = WhatIf(cart_fit().model, cart_fit())
    bands = SubjectBands(cart_fit(), of.program)
    found = bands.of("S03")["car_copies"].individual
    table = individual_curves(cart_fit(), found["time"].to_numpy(), analyte="car_copies", draws=LANES)
    whole = table[table["subject"] == "S03"]
    late = found["time"].to_numpy() > 5
    np.testing.assert_allclose(found["q50"][late], whole["q50"].to_numpy()[late], rtol=0.05)
    assert bands.of("S03") is bands.of("S03")
    view = View("car_copies", subject="S03")
    figure = plot_course(cart_fit().study, view, bands.of("S03"), source="a fit, not yet checked")
    assert len(traces(figure, "band q5 q95")) == 2
    assert "Bands: a fit, not yet checked." in said(figure)
    assert of.program.traces == 1


def test_a_model_without_routes_or_amounts_says_so():
    of = WhatIf(load_model("stein_2019"))
    assert not of.amount_matters
    assert "How many cells are given does not matter" in " ".join(of.notes)
    assert routes_of(of.model, "car_t") == []
    assert products_of(of.model, ["car_t"]) == ["car_t"]
    assert what_if().amount_matters


# What it shows


def test_a_run_has_its_model_and_a_name_alone_only_data():
    assert target_of("synthetic_cart_12").model is None
    assert target_of("synthetic_cart_12").labels == ["SYNTHETIC DATA"]
    shipped = target_of()
    assert shipped.labels == ["SYNTHETIC DATA", "PRIOR, NO FIT", "DESIGN GUESSES"]
    assert "nothing was fitted" in shipped.source


def test_a_fit_is_labelled_until_it_passes_its_checks():
    target = Target(cart_fit().study, cart_fit().model, cart_fit())
    assert "NOT YET CHECKED" in target.labels
    target.verdict.failures = ("R-hat: 1.2",)
    assert "CHECKS FAILED" in target.labels
    target.verdict.failures = ()
    assert not {"CHECKS FAILED", "NOT YET CHECKED"} & set(target.labels)


def test_filters_leave_whole_subjects():
    choices = choices_of(trial())
    assert choices.routes == ("hepatic_artery", "iv")
    assert choices.products == ("car_nk", "car_t")
    some = selected(trial(), Selection(levels=choices.levels[:1]))
    assert some.subject_ids == ["S01"]
    assert set(some.observations["subject"]) == {"S01"}
    assert some.sha256 == trial().sha256
    with_t = selected(trial(), Selection(products=("car_t",)))
    assert "S03" not in with_t.subject_ids  # S03 had CAR-NK alone
    assert selected(trial(), Selection()) is trial()


def test_a_value_below_the_lloq_is_an_open_circle_at_it_and_hovering_names_the_row():
    figure = plot_course(trial(), View("car_copies", ("il6",), ("crs",)))
    records = traces(figure, "records")
    marks = [m for t in records for m in zip(t.y, t.marker.symbol, t.text, strict=True)]
    below = [m for m in marks if m[1] == "circle-open" and "transgene" in m[2]]
    assert len(below) == 16
    assert {m[0] for m in below} == {50.0}
    first = trial().observed("car_copies").iloc[1]
    assert any(f"observations.csv row {first['row']}" in m[2] and "2,8" in m[2] for m in marks)
    (events,) = traces(figure, "events")
    assert len(events.x) == int((trial().events["event"] == "crs").sum())
    assert "SYNTHETIC DATA" in said(figure)


def test_values_per_kg_are_divided_by_the_subjects_own_infusions():
    raw, per = (traces(plot_course(trial(), View("car_copies", per_kg=p)), "records") for p in (False, True))
    given = cells_per_kg(trial())
    assert given["S01"] == pytest.approx((3e9 + 4 * 1.5e7 * 76.6) / 76.6, rel=1e-6)
    s01 = trial().observed("car_copies")["subject"] == "S01"
    high = max(y for t in raw for y, text in zip(t.y, t.text, strict=True) if text.startswith("S01"))
    top = max(y for t in per for y, text in zip(t.y, t.text, strict=True) if text.startswith("S01"))
    assert top == pytest.approx(high / given["S01"] * 1e6)
    table = shown_records(trial(), View("car_copies", per_kg=True))
    assert table["synthetic"].all()
    assert table["value_per_million_cells_per_kg"][s01.to_numpy()].max() == pytest.approx(top)


def test_records_below_the_lloq_are_counted_of_the_analyte_that_the_title_names():
    below = trial().observed("ifn_gamma")
    censored = int((below["censored"] == "left").sum())
    figure = plot_course(trial(), View("wbc", ("ifn_gamma",)))
    assert "below the LLOQ;" not in said(figure)
    words = said(figure) + str(figure.layout.title.to_plotly_json())
    assert "12 subjects" in words
    assert "12 subjects, " not in words
    assert f"in the lower panels: {trial().analytes['ifn_gamma'].label} {censored}." in words
    own = trial().observed("car_copies")
    own = own[own["subject"] == "S05"]
    assert (own["censored"] == "left").sum() == 1
    one = plot_course(trial(), View("car_copies", ("ifn_gamma",), subject="S05"))
    words = said(one) + str(one.layout.title.to_plotly_json())
    assert "1 subject, 1 record below the LLOQ" in words


def test_a_linear_axis_and_one_subject():
    figure = plot_course(trial(), View("car_copies", subject="S05", log=False))
    assert figure.to_dict()["layout"]["yaxis"]["type"] == "linear"
    (records,) = traces(figure, "records")
    assert all(text.startswith("S05") for text in records.text)


def test_a_crowd_is_faint_and_each_group_has_its_median(monkeypatch):
    alone = plot_course(trial(), View("car_copies"))
    assert traces(alone, "median") == []
    monkeypatch.setattr(course, "CROWD", 11)
    figure = plot_course(trial(), View("car_copies"))
    medians = traces(figure, "median")
    assert [len(t.x) > 10 for t in medians] == [True] * len(medians)
    late = [
        y
        for t in traces(figure, "records")
        if t.name == "5 × 10⁷ cells/kg"
        for x, y in zip(t.x, t.y, strict=True)
        if x > 80
    ]
    assert min(late) <= medians[-1].y[-1] <= max(late)
    assert all(t.opacity < 0.2 for t in traces(figure, "lines"))
    assert "medians of each group" in said(figure)


def test_predictions_say_what_they_rest_on_and_stand_side_by_side():
    target = Target(trial(), what_if().model)
    figure = plot_sites(answered(), target, choice(), notes=what_if().notes)
    text = said(figure)
    for words in ("SYNTHETIC DATA · PRIOR, NO FIT · DESIGN GUESSES", "Liver (hepatic)", "Blood (systemic)",
                  "nothing was fitted", "without residual error"):  # fmt: skip
        assert words in text
    assert len(traces(figure, "band q5 q95")) == 12  # two products, three sites, two routes
    other = plot_outputs(answered(), target, choice(), ["copies", "il6"])
    assert "PRIOR, NO FIT" in said(other)
    table = exposure_table(answered(), what_if().model, choice(), ["il6"])
    assert table["what"].tolist()[:3] == [
        "CAR-NK, blood (cells)",
        "CAR-NK, liver (cells)",
        "CAR-NK, tumour (cells)",
    ]
    assert (table["other / chosen"] != "").all()
    alone = what_if().answer(choice(), compare=False)
    columns = exposure_table(alone, what_if().model, choice(), ["il6"]).columns
    assert not [column for column in columns if "other" in column]


# The command


def test_without_shiny_the_command_says_what_to_install():
    with patch.object(cli_explore, "find_spec", lambda name: None), pytest.raises(KineticsError) as error:
        cli_explore.explore("theophylline")
    assert "pip install 'cellkinetics[explore]'" in str(error.value)


def test_a_port_that_is_taken_is_an_error_with_a_remedy():
    pytest.importorskip("shiny", reason="no Shiny (pip install 'cellkinetics[explore]')")
    from kinetics.explore.serve import serving

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(KineticsError, match="name another --port"):
            serving(Target(read_study("theophylline")), taken.getsockname()[1])


def test_a_prior_set_belongs_to_a_model_and_is_said():
    target = target_of("synthetic_cart_12", "ogasawara_2021", "solid_tumour")
    assert target.model is not None
    assert target.model.typical()["cmax"] == 2000.0
    assert target.source == "Priors of ogasawara_2021, prior set solid_tumour: nothing was fitted"
    with pytest.raises(KineticsError, match="without a model"):
        target_of("synthetic_cart_12", prior_set="solid_tumour")
    with pytest.raises(KineticsError, match="known: solid_tumour"):
        target_of("synthetic_cart_12", "ogasawara_2021", "liver")


def test_a_run_beside_a_model_is_refused(tmp_path: Path):
    (tmp_path / "plan.toml").write_text("")
    with pytest.raises(PlanError, match="a run has its model"):
        target_of(str(tmp_path), "stein_2019")
