"""A trial whose survival follows its cells: the joint fit finds the effect and predicts the survival."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pandas import DataFrame

import kinetics as kn
from bench.joint_survival import counted, made, naive, plan, truth
from kinetics.checks import event_data, hazard_ratios, predicted_survival
from kinetics.checks.log_likelihoods import subject_log_likelihoods
from kinetics.errors import FitError, InputError
from kinetics.inference import Fit
from kinetics.outcomes import kaplan_meier
from kinetics.plan import plan_of, read_plan
from kinetics.plot import plot_event_survival
from tests.support.fits import prior_fit

CASE = "log_peak"


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    study = made(CASE, 1003, tmp_path_factory.mktemp("trial"))
    content = plan(CASE) | {"sampler": {"chains": 1, "draws": 200, "starts": 1}}
    return kn.fit(plan_of(content), study, seed=1)


def test_the_slope_is_within_its_error_and_the_naive_one_is_beyond(fit: Fit) -> None:
    table = kn.checks.estimates(fit).table.set_index("site")
    for site, value in truth(CASE).items():
        width = table.loc[site, "upper"] - table.loc[site, "lower"]
        assert abs(table.loc[site, "estimate"] - value) < width, site
    assert naive(fit.study)["estimate"] < table.loc["slope_pfs", "estimate"]


def test_the_predicted_survival_is_the_mean_of_the_subjects_and_near_kaplan_meier(fit: Fit) -> None:
    predicted = predicted_survival(fit, "pfs", draws=50)
    assert predicted["survival"].iloc[0] == 1.0
    assert (np.diff(predicted["survival"]) <= 0).all()
    assert (predicted["lower"] <= predicted["survival"]).all()
    seen = kaplan_meier(event_data(fit, "pfs")).at([30.0, 90.0, 200.0])["survival"].to_numpy(float)
    model = np.interp([30.0, 90.0, 200.0], predicted["time"], predicted["survival"])
    np.testing.assert_allclose(model, seen, atol=0.13)  # 2 SE of 60 patients at one half

    half = fit.bound.subjects[:30]
    rest = fit.bound.subjects[30:]
    parts = [predicted_survival(fit, "pfs", subjects=part, draws=1)["survival"] for part in (half, rest)]
    whole = predicted_survival(fit, "pfs", draws=1)["survival"]
    np.testing.assert_allclose(0.5 * (parts[0] + parts[1]), whole, atol=1e-9)


def test_a_landmark_has_a_curve_and_not_a_line_from_end_to_end() -> None:
    plan = read_plan("ogasawara_2021__synthetic_cart_survival_60").resolved()
    plan["time_to_event"]["pfs"]["landmark"] = 10.0
    found = prior_fit(plan_of(plan), draws=2)
    predicted = predicted_survival(found, "pfs", draws=1)
    assert predicted["time"].iloc[0] == 10.0
    assert predicted["survival"].iloc[0] == 1.0
    assert len(predicted) > 20
    s = {k: float(v[0]) for k, v in found.sites(at_most=1).items() if k.endswith("_pfs")}
    x = np.log(predicted["survival"].to_numpy()[1:])
    hazard = np.log(2) * (predicted["time"].to_numpy() / s["median_pfs"]) ** s["shape_pfs"]
    assert np.corrcoef(-x, hazard[1:] - hazard[0])[0, 1] > 0.99  # a mean of curves of that form
    assert (event_data(found, "pfs")["entry"] == 10.0).all()


def test_hazard_ratios_are_those_of_the_draws(fit: Fit) -> None:
    row = hazard_ratios(fit).iloc[0]
    draws = fit.sites()["slope_pfs"]
    assert row["ratio"] == pytest.approx(np.exp(np.median(draws)))
    assert row["p_below"] == pytest.approx(np.mean(draws < 0))
    assert row["effect"] == "highest copies up to now, per ten-fold"


def test_the_figure_and_the_report_show_them(fit: Fit, tmp_path: Path) -> None:
    figure = plot_event_survival(fit, "pfs", draws=20)
    assert [trace.meta["role"] for trace in figure.data] == ["band lower upper", "curve survival", "seen"]
    page = kn.report(fit, kn.check(fit), to=tmp_path / "report.html", draws=20, replicates=20).read_text()
    assert "Events and grades" in page
    assert "highest copies up to now, per ten-fold" in page
    assert "pfs: log hazard ratio of copies" in page


def test_another_event_is_refused_by_name(fit: Fit) -> None:
    with pytest.raises(InputError, match="no event 'os'"):
        predicted_survival(fit, "os")
    with pytest.raises(InputError, match="no subject of"):
        predicted_survival(fit, "pfs", subjects=["nobody"])


def test_the_count_of_trials_has_bias_and_coverage() -> None:
    site = {"case": CASE, "analysis": "joint", "site": "slope_pfs"}
    rows = [
        {**site, "estimate": -0.7, "lower": -1.0, "upper": -0.4},
        {**site, "estimate": -0.5, "lower": -0.6, "upper": -0.4},
    ]
    table = counted([DataFrame([row]) for row in rows])
    assert table["bias"].iloc[0] == pytest.approx(0.2)
    assert table["held"].iloc[0] == pytest.approx(0.5)


def test_calibration_refuses_what_it_does_not_simulate(fit: Fit, tmp_path: Path) -> None:
    content = plan(CASE) | {"method": "nuts", "data": str(fit.study.path)}
    with pytest.raises(FitError, match="sbc simulates records only: leave `time_to_event`"):
        kn.checks.sbc(plan_of(content), folder=tmp_path / "sbc", replicates=2)


def test_subjects_are_compared_only_where_the_same_events_enter() -> None:
    plan = read_plan("ogasawara_2021__synthetic_cart_survival_60")
    with_events = prior_fit(plan, draws=4)
    content = {k: v for k, v in plan.resolved().items() if k not in ("time_to_event", "graded")}
    without = prior_fit(plan_of(content | {"name": "cells"}), draws=4)
    with pytest.raises(InputError, match="uses 60 records of the event pfs, cells 0"):
        kn.compare([with_events, without], by="subject", points=8)


def test_a_subject_with_an_event_and_no_record_counts() -> None:
    fit = prior_fit(read_plan("ogasawara_2021__synthetic_cart_survival_60"), draws=4)
    sampled = set(fit.study.observed("car_copies")["subject"])
    without = [subject for subject in fit.bound.subjects if subject not in sampled]
    assert without
    pointwise = subject_log_likelihoods(fit, points=8, draws=2)
    assert set(pointwise.units["subject"]) == set(fit.bound.subjects)
    of_them = pointwise.units["subject"].isin(without).to_numpy()
    assert (pointwise.values[..., of_them] != 0).all()
