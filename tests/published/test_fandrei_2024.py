"""fandrei2024 and bwh_icans as they are converted; skipped where the raw files are not on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kinetics as kn
from kinetics.plan.binding import bind
from kinetics.plan.plan import read_plan
from kinetics.study.study import Study, read_study


@pytest.fixture
def fandrei(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("KINETICS_DATA_DIR", str(shared_data))
    return read_study("fandrei2024")


@pytest.fixture
def bwh(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("KINETICS_DATA_DIR", str(shared_data))
    return read_study("bwh_icans")


def test_fandrei2024_has_both_products_and_its_zeros_are_below_the_limit(fandrei):
    assert fandrei.subjects["product"].value_counts().to_dict() == {"ide-cel": 22, "cilta-cel": 13}
    cells = fandrei.observed("car_cells")
    assert (cells["time"] > 0).all()
    below = cells["censored"] == "left"
    assert below.sum() == 10
    assert (cells.loc[below, "value"] == 0.19).all()
    assert cells.loc[~below, "value"].min() == 0.2
    copies = fandrei.observed("car_copies")
    assert len(copies) == 95
    assert copies["value"].min() == 161


def test_a_qpcr_is_on_the_day_of_the_flow_of_its_visit(fandrei):
    first = fandrei.observations[fandrei.observations["subject"] == "Patient001"]
    assert list(first.loc[first["analyte"] == "car_copies", "time"]) == [8, 14, 23]
    # a flow sample of the visit of day 7 that is said to be of day 0 is put on its planned day
    assert (fandrei.observed("car_cells").query("subject == 'Patient038'")["time"] >= 7).all()


def test_times_of_day_of_il6_are_fractions_of_a_day(fandrei):
    times = fandrei.observed("il6")["time"]
    assert set(np.round(24 * (times % 1), 6)) <= {0.0, 3.0, 8.0, 15.0, 18.0}
    assert times.max() == 9


def test_bwh_temperatures_are_in_degrees_c_and_each_day_is_there_once(bwh):
    assert len(bwh.subject_ids) == 137
    temperature = bwh.observed("temperature")["value"]
    assert temperature.min() > 34
    assert temperature.max() < 42
    assert not bwh.observations.duplicated(["subject", "time", "analyte"]).any()
    il6 = bwh.observed("il6")
    assert (il6.loc[il6["value"] >= 400, "censored"] == "right").all()
    assert (il6.loc[il6["value"] <= 1, "censored"] == "left").all()


def test_the_fit_of_fandrei2024_is_of_both_assays_and_has_the_product_as_covariate(fandrei):
    bound = bind(read_plan("ogasawara_2021__fandrei2024"), study=fandrei)
    assert {a.analyte: a.output for a in bound.assays} == {"car_copies": "copies", "car_cells": "cells"}
    assert {e.site for e in bound.hierarchy.effects} == {
        "beta_tmax_product_cilta-cel",
        "beta_cmax_product_cilta-cel",
        "beta_half_life_contraction_product_cilta-cel",
    }


def test_the_release_of_acute_phase_feeds_crp_and_il6_as_their_equations_say():
    """The closed form against an integration of its two equations."""
    model = kn.load_model("acute_phase")
    p = model.typical()
    curves = kn.simulate("acute_phase", times=np.linspace(0, 30, 301).tolist())
    t = np.linspace(0, 30, 30_001)
    rising = 2.0 ** ((t - p["tpeak"]) / p["rise"])
    release = np.where(t < p["tpeak"], rising, 2.0 ** (-(t - p["tpeak"]) / p["fall"]))
    for name in ("il6", "crp"):
        loss = p[f"{name}_loss"]
        level = np.zeros_like(t)
        for k in range(1, len(t)):
            middle = 0.5 * (release[k] + release[k - 1])
            level[k] = middle + (level[k - 1] - middle) * np.exp(-loss * (t[k] - t[k - 1]))
        expected = p[f"{name}_baseline"] + p[f"{name}_gain"] * level
        values = curves[curves["output"] == name]["value"].to_numpy()
        np.testing.assert_allclose(values, expected[::100], rtol=2e-5)
