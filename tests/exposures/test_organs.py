"""Where the cells are: areas, ratios and contributions of a model whose integrals are known, and of the
trial's.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from kinetics.exposures.organs import (
    _area,
    biodistribution,
    biodistribution_summary,
    site_curves,
    site_shares,
)
from kinetics.pages.fit_report.document import _held_table, cautions
from kinetics.pages.fit_report.organs import biodistribution_section
from kinetics.plan.plan import plan_of, read_plan
from kinetics.plot.biodistribution import plot_biodistribution
from tests.support.commands import call
from tests.support.fits import prior_fit
from tests.support.two_sites import TWO_SITES, TWO_SITES_DICTIONARY


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> kn.Fit:
    """S1: by hepatic artery on days 0 and, in a second cycle, 60. S2: iv on day 2."""
    root = tmp_path_factory.mktemp("sites")
    (root / "model.py").write_text(TWO_SITES)
    (root / "study").mkdir()
    (root / "study/dictionary.toml").write_text(TWO_SITES_DICTIONARY)
    pd.DataFrame({"subject": ["S1", "S2"]}).to_csv(root / "study/subjects.csv", index=False)
    pd.DataFrame({
        "subject": ["S1", "S1", "S2"], "time": [0.0, 60.0, 2.0], "product": "car_nk",
        "route": ["hepatic_artery", "hepatic_artery", "iv"], "cells": [1e8, 3e8, 2e8], "cycle": [1, 2, 1],
    }).to_csv(root / "study/doses.csv", index=False)  # fmt: skip
    pd.DataFrame({
        "subject": ["S1", "S1", "S2"], "time": [1.0, 3.0, 4.0], "analyte": "flow", "value": [1.0, 0.5, 2.0],
        "censored": "none",
    }).to_csv(root / "study/observations.csv", index=False)  # fmt: skip
    plan = {
        "model": str(root / "model.py"),
        "data": str(root / "study"),
        "name": "sites",
        "observe": {"flow": {"output": "cells"}},
        "vary": [],
        "solver": {"rtol": 1e-8, "atol": 1e-8},
    }
    return prior_fit(plan_of(plan), draws=8)


def value(table: pd.DataFrame, subject: str, quantity: str) -> np.ndarray:
    rows = table[(table["subject"] == subject) & (table["quantity"] == quantity)]
    return rows.sort_values("draw")["value"].to_numpy()


def liver_area(a, b, in_liver, in_blood, days):
    """Integral over `days` of the liver of a bolus, part of it in the liver and part in blood."""
    kept = in_liver / b * (1 - np.exp(-b * days))
    through = in_blood * a / (a - b) * ((1 - np.exp(-b * days)) / b - (1 - np.exp(-a * days)) / a)
    return kept + through


def test_areas_ratios_and_retention_are_those_of_the_solution(fitted: kn.Fit) -> None:
    table = biodistribution(fitted, draws=8)
    p = fitted.theta()
    a, b, share = (p[k][:, 0] for k in ("a", "b", "F"))
    blood = 1e8 * (1 - share) / a * (1 - np.exp(-a * 28))
    liver = liver_area(a, b, 1e8 * share, 1e8 * (1 - share), 28)
    np.testing.assert_allclose(value(table, "S1", "auc_blood"), blood, rtol=3e-3)  # the rise from 0 is a line
    np.testing.assert_allclose(value(table, "S1", "auc_liver"), liver, rtol=0.03)
    np.testing.assert_allclose(value(table, "S1", "liver_to_blood"), liver / blood, rtol=0.05)
    hour = 1 / 24
    held = share * np.exp(-b * hour) + (1 - share) * a / (a - b) * (np.exp(-b * hour) - np.exp(-a * hour))
    np.testing.assert_allclose(
        value(table, "S1", "retained_1h"), 2 * held, rtol=1e-4
    )  # the tumour reads the liver too
    np.testing.assert_allclose(value(table, "S2", "peak_blood"), 2e8, rtol=0.01)
    np.testing.assert_allclose(value(table, "S2", "peak_day_blood"), 0.0, atol=0.01)


def test_the_advantage_of_the_artery_is_the_ratio_of_the_same_cells_by_two_routes(fitted: kn.Fit) -> None:
    table = biodistribution(fitted, draws=8)
    p = fitted.theta()
    a, b, share = (p[k][:, 0] for k in ("a", "b", "F"))
    by_artery, by_vein = liver_area(a, b, share, 1 - share, 28), liver_area(a, b, 0.0, 1.0, 28)
    for subject in ("S1", "S2"):
        found = value(table, subject, "hepatic_artery_advantage_liver")
        np.testing.assert_allclose(found, by_artery / by_vein, rtol=0.02)
    assert (found > 1.0).all()


def test_a_second_cycle_adds_its_share_of_a_linear_model(fitted: kn.Fit) -> None:
    table = biodistribution(fitted, draws=8)
    np.testing.assert_allclose(value(table, "S1", "second_cycle_share"), 0.75, atol=0.01)  # 3e8 of 4e8
    assert value(table, "S2", "second_cycle_share").size == 0  # it had none
    assert "lymphodepletion_share" not in set(table["quantity"])


def test_areas_are_cut_where_a_window_ends() -> None:
    times, curve = np.array([[0.0, 1.0, 3.0]]), np.array([[[0.0, 1.0, 3.0]]])
    np.testing.assert_allclose(_area(times, curve, np.array([0.5]), 1.5), [[0.5 * (2.0**2 - 0.5**2)]])
    assert np.isnan(_area(times, curve, np.array([np.nan]), 1.5)).all()


def blood_share(a, b, in_liver, in_blood, t):
    """Blood's part of the cells after a bolus, where the tumour reads the liver too."""
    blood = in_blood * np.exp(-a * t)
    liver = in_liver * np.exp(-b * t) + in_blood * a / (a - b) * (np.exp(-b * t) - np.exp(-a * t))
    return blood / (blood + 2 * liver)


def test_shares_are_means_of_each_patients_own_and_add_to_one(fitted: kn.Fit) -> None:
    table = site_shares(fitted, until=20.0, draws=8)
    p = fitted.theta()
    a, b, share = (p[k][:, 0] for k in ("a", "b", "F"))
    wide = table.pivot(index="time", columns="site", values="share")
    np.testing.assert_allclose(wide[["blood", "liver", "tumour"]].sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(wide["all"], 1.0, rtol=1e-12)
    for day in (0.02, 1.0, 2.0):  # from each one's own first infusion: S2 had hers on day 2
        truth = [blood_share(a, b, share, 1 - share, day), blood_share(a, b, 0.0, 1.0, day)]
        assert wide["blood"][day] == pytest.approx(np.mean(truth), rel=0.01)
    first = table[(table["site"] == "all") & (table["time"] == 0.02)]
    assert (
        first["lower"].iloc[0] < 1.9e8 < first["upper"].iloc[0]
    )  # 1e8 and 2e8, and the tumour reads the liver


def test_shares_of_a_simulation_are_those_of_its_curves(fitted: kn.Fit) -> None:
    model, regimen = fitted.model, kn.Regimen.dose(product="car_nk", route="iv", on=[3.0], cells=1e8)
    curves = kn.simulate(
        model, regimen, times=[0.0, 1.0, 4.0, 6.0], solver=kn.solve.Solver(rtol=1e-8, atol=1e-8)
    )
    table = site_shares(model, curves)
    assert sorted(set(table["time"])) == [4.0, 6.0]  # before the dose there are no cells to share
    blood = table[table["site"] == "blood"].set_index("time")["share"]
    for time in (4.0, 6.0):
        assert blood[time] == pytest.approx(blood_share(2.0, 0.5, 0.0, 1.0, time - 3.0), rel=1e-5)
    with pytest.raises(kn.errors.ModelError, match="no cells at any site"):
        site_shares(model, curves[curves["time"] < 3])
    with pytest.raises(kn.errors.ModelError, match="keep the outputs of the sites"):
        site_shares(model, curves[curves["output"] != "liver"])
    with pytest.raises(kn.errors.ModelError, match="no curves of `simulate`"):
        site_shares(model)
    with pytest.raises(kn.errors.ModelError, match="has no sites"):
        site_shares(kn.load_model("stein_2019"), curves)


def test_traces_have_no_share_for_they_are_the_solvers_error(fitted: kn.Fit) -> None:
    model = replace(fitted.model, sites={"car_nk": {"blood": "blood", "liver": "liver"}})
    cells = {  # patient: (blood, liver) on days 1, 2, 3
        1: [(3e9, 1e9), (8e3, -30.0), (20.0, 60.0)],  # on day 3 below a millionth of 4e9
        2: [(0.5, 0.1), (0.1, 0.1), (0.0, 0.0)],  # never a whole cell
    }
    rows = [
        (patient, site, day, value)
        for patient, days in cells.items()
        for day, pair in enumerate(days, start=1)
        for site, value in zip(("blood", "liver"), pair, strict=True)
    ]
    curves = pd.DataFrame(rows, columns=["patient", "output", "time", "value"])
    blood = site_shares(model, curves).query("site == 'blood'").set_index("time")
    assert blood["share"].tolist() == pytest.approx([0.75, 1.0, np.nan], nan_ok=True)
    assert blood["median"].tolist() == pytest.approx(
        [1.5e9, 4e3, 10.0], rel=1e-3
    )  # cells stay in the numbers


def test_the_trial_has_every_quantity_for_the_products_it_gave() -> None:
    fit = prior_fit(read_plan("nkg2d_blood__nkg2d_phase1_synthetic"), draws=8)
    table = biodistribution(fit, draws=8)
    nk, t, every = (set(table.loc[table["product"] == k, "quantity"]) for k in ("car_nk", "car_t", "all"))
    common = {
        "liver_to_blood",
        "tumour_to_blood",
        "retained_1h",
        "hepatic_artery_advantage_tumour",
        "doubling_time",
        "lymphodepletion_share",
        "auc_lung",
        "peak_tumour",
    }
    assert common <= nk
    assert common | {"second_cycle_share"} <= t
    assert "second_cycle_share" not in nk
    assert every == {"best_lesion_change"}
    without = table[(table["product"] == "car_t") & (table["subject"] == "S03")]
    assert without.empty  # S03 got no CAR-T
    summary = biodistribution_summary(table).set_index(["subject", "product", "quantity"])
    middle = summary.loc["median patient"]
    assert middle.loc[("car_nk", "retained_1h"), "median"] == pytest.approx(
        0.75, abs=0.1
    )  # F_NK 0.7, and iv's part
    assert middle.loc[("car_nk", "hepatic_artery_advantage_tumour"), "median"] > 1.5
    assert (
        0.1 < middle.loc[("car_nk", "lymphodepletion_share"), "median"] < 0.9
    )  # IL-15 feeds CAR-NK in the first week
    assert abs(middle.loc[("car_t", "lymphodepletion_share"), "median"]) < 0.05  # and is gone when CAR-T come
    curves = site_curves(fit, draws=8)
    assert (curves["lower"] <= curves["upper"]).all()
    figure = plot_biodistribution(fit, curves)
    titles = [a["text"] for a in figure.to_dict()["layout"]["annotations"]]
    assert "CAR-NK: liver" in titles
    assert any("SYNTHETIC" in text for text in titles)


def test_the_command_gives_them_beside_the_exposure(fitted: kn.Fit, tmp_path: Path) -> None:
    run, sites = fitted.save(tmp_path / "run"), tmp_path / "sites.csv"
    found = call("exposure", run, "--draws", 8, "--sites", sites, "--json").json()
    assert {row["quantity"] for row in found["rows"]} >= {"cmax", "auc_0_28d"}
    assert all(row["value"] is None or row["value"] != "" for row in found["rows"] if "value" in row)
    shares = [r for r in found["sites"] if r["quantity"] == "second_cycle_share" and r["subject"] == "S1"]
    assert shares[0]["median"] == pytest.approx(0.75, abs=0.01)
    assert len(pd.read_csv(sites)) == len(biodistribution(fitted, draws=8))
    drawn = call("exposure", run, "--draws", 8, "--plots", tmp_path / "figures").out
    names = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert [n for n in names if "plotly" not in n] == [
        "biodistribution.html",
        "body_map.html",
        "organ_stack.html",
    ]
    assert "not drawn: dose_exposure_flow.html: " in drawn
    assert "no column 'dose_level'" in drawn
    said = call("exposure", run, "--draws", 8).out
    assert "retained_1h" in said
    assert "cmax" in said


def test_the_report_has_the_figure_and_the_table_and_says_what_is_held() -> None:
    fit = prior_fit(read_plan("nkg2d_blood__nkg2d_phase1_synthetic"), draws=8)
    assert {"F_NK", "phiL", "EU_T"} <= set(fit.bound.held)
    assert not {"dK0", "kapT", "nucleated"} & set(fit.bound.held)  # estimated, estimated, no output needs it
    section = biodistribution_section(fit, draws=8)
    assert len(section.figures) == 3  # curves, organ stack, body map
    assert "CAR-T, day 28" in section.figures[2]
    assert "design guesses" in section.words[0]
    table = section.tables[0]
    rows = {row[0]["text"]: dict(zip(table.heads[2:], row[2:], strict=True)) for row in table.rows}
    retained = rows["Share of the first dose in liver and tumour after an hour"]
    assert retained["CAR-NK"]["text"].startswith("0.7")  # by hepatic artery
    assert retained["CAR-T"]["text"].startswith("0.1")  # iv
    held = [
        line for line in cautions(fit, kn.parameter_table(fit)) if line.startswith("Held at design guesses")
    ]
    assert len(held) == 1
    assert "all named under Parameters" in held[0]
    names = {row[1]["text"] for row in _held_table(fit).rows}
    assert names == set(fit.bound.held)


def test_a_site_without_an_output_in_cells_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(TWO_SITES.replace('"blood": "blood"', '"blood": "cells"'))
    with pytest.raises(kn.errors.ModelError, match="cells at blood is no output in cells"):
        kn.load_model(tmp_path / "model.py")


def test_a_model_without_sites_says_so(fitted: kn.Fit) -> None:
    bare = replace(fitted, bound=replace(fitted.bound, model=replace(fitted.bound.model, sites={})))
    with pytest.raises(kn.errors.FitError, match=r"Model\.sites"):
        biodistribution(bare)
    with pytest.raises(kn.errors.FitError, match=r"Model\.sites"):
        site_shares(bare)
