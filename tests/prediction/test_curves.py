"""Curves of subjects, of the typical patient and of new ones, from posteriors that are written down."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from kinetics.checks.visual_check import vpc
from kinetics.errors import StudyError
from kinetics.prediction.curves import curve_times, individual_curves, population_curve
from kinetics.prediction.records import simulate_records
from kinetics.solve.solving import solve
from tests.support.fits import cart_fit
from tests.support.simulated_patients import PEOPLE, known_fit

solutions = import_module("kinetics.prediction.solutions")


# --- curves ---------------------------------------------------------------------------------------------


def test_a_subjects_curve_is_the_models_at_its_parameters():
    fit, times = known_fit(), np.linspace(0, 90, 50)
    table = individual_curves(fit, times, analyte="copies", draws=20)
    theta = {k: v[0] for k, v in fit.theta().items()}
    grid = np.broadcast_to(times, (PEOPLE, 50))
    truth = np.asarray(solve(fit.model, grid, theta, fit.bound.data.doses)["copies"])
    for column in ("q5", "q50", "q95"):
        np.testing.assert_allclose(np.asarray(table[column]).reshape(PEOPLE, 50), truth, rtol=1e-9)
    assert set(table["unit"]) == {"copies/ug DNA"}
    assert list(dict.fromkeys(table["subject"])) == fit.bound.subjects


def test_quantiles_of_curves_are_ordered_and_no_grid_point_is_lost():
    fit = cart_fit()
    table = individual_curves(fit, draws=30)
    q = table[["q5", "q25", "q50", "q75", "q95"]].to_numpy()
    assert np.isfinite(q).all()
    assert (np.diff(q, axis=1) >= 0).all()
    grid = curve_times(fit)
    assert len(table) == grid.size * 2  # two analytes
    assert (np.diff(grid, axis=1) >= 0).all()
    seen = fit.bound.data.observations.time
    np.testing.assert_allclose(grid.min(axis=1), np.asarray(seen).min(axis=1))


def test_blocks_of_subjects_change_nothing(monkeypatch):
    fit = cart_fit()
    whole = individual_curves(fit, np.arange(0.0, 30.0), draws=20)
    monkeypatch.setattr(solutions, "_MOST", 3000)  # five subjects at a time: the last block is a partial one
    parts = individual_curves(fit, np.arange(0.0, 30.0), draws=20)
    np.testing.assert_allclose(whole["q50"], parts["q50"], rtol=1e-12)


def test_the_typical_patient_has_no_random_effect_and_a_new_one_has():
    fit = known_fit()
    table = population_curve(fit, np.linspace(1, 90, 40), like="P03", draws=200, patients=10)
    typical, new = (table[table["who"] == who] for who in ("typical", "new"))
    theta = {k: np.full(1, p.value) for k, p in fit.model.parameters.items()}
    doses = type(fit.bound.data.doses)(*(np.asarray(x)[3:4] for x in fit.bound.data.doses))
    truth = np.asarray(solve(fit.model, np.linspace(1, 90, 40)[None], theta, doses)["copies"])[0]
    np.testing.assert_allclose(typical["q50"], truth, rtol=1e-9)
    np.testing.assert_allclose(typical["q5"], typical["q95"], rtol=1e-9)
    late = np.asarray(new["time"]) > 30  # the median of curves is near the typical one
    assert (np.asarray(new["q95"]) > 2 * truth)[late].all()
    assert (np.asarray(new["q5"]) < truth / 2)[late].all()
    np.testing.assert_allclose(np.log(new["q50"])[late], np.log(truth)[late], atol=0.5)


def test_a_known_subject_is_known_better_than_a_new_patient():
    fit, times = cart_fit(), np.linspace(20, 80, 10)
    own = individual_curves(fit, times, analyte="car_copies", draws=60)
    new = population_curve(fit, times, like="S01", analyte="car_copies", draws=60, covariates="subject")
    new = new[new["who"] == "new"]
    own = own[own["subject"] == "S01"]
    width = [np.asarray(np.log(t["q95"]) - np.log(t["q5"])) for t in (own, new)]
    assert (width[0] < width[1] / 2).all()


def test_covariates_are_at_reference_unless_the_subjects_are_asked_for():
    fit = cart_fit()
    asked = {
        c: population_curve(fit, [30.0], like="S10", covariates=c, seed=2) for c in ("reference", "subject")
    }
    i = fit.bound.subjects.index("S10")
    design = float(np.asarray(fit.bound.data.design["cmax_dose_level"])[i])
    assert design == pytest.approx(np.log(7 / 3))
    medians = {c: float(t[t["who"] == "typical"]["q50"].iloc[0]) for c, t in asked.items()}
    beta = float(np.median(fit.sites()["beta_cmax_dose_level"]))
    assert np.log(medians["subject"] / medians["reference"]) == pytest.approx(beta * design, abs=0.01)


@pytest.mark.parametrize("what", ["population", "records", "vpc"])
def test_a_seed_fixes_every_draw_and_another_changes_them(what):
    def numbers(seed: int) -> np.ndarray:
        if what == "population":
            return population_curve(cart_fit(), [20.0, 30.0], like="S01", seed=seed)["q95"].to_numpy()
        if what == "records":
            return simulate_records(cart_fit(), "car_copies", draws=10, seed=seed).value
        return vpc(cart_fit(), "car_copies", n=20, seed=seed).bins["upper_95"].to_numpy()

    np.testing.assert_array_equal(numbers(4), numbers(4))
    assert not np.array_equal(numbers(4), numbers(5))


def test_an_unknown_subject_or_analyte_is_named_with_the_nearest():
    with pytest.raises(StudyError, match="did you mean 'S1"):
        population_curve(cart_fit(), like="S1")
    with pytest.raises(StudyError, match="car_copies"):
        vpc(cart_fit(), "car_copy")
