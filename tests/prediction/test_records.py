"""Replicated studies, drawn from posteriors that are written down: their records, limits and residuals."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from kinetics.inference.fitting import Fit
from kinetics.plan.plan import read_plan
from kinetics.prediction.curves import predicted_blocks
from kinetics.prediction.patients import population_draws, typical_patients
from kinetics.prediction.records import predicted_records, simulate_records, typical_records
from tests.support.fits import cart_fit, prior_fit, theophylline_fit
from tests.support.simulated_patients import known_fit

replicates = import_module("kinetics.prediction.records")


def test_replicates_have_the_studys_records_and_its_limits():
    fit = cart_fit()
    r = simulate_records(fit, "car_copies", draws=50)
    records = fit.study.observed("car_copies")
    assert r.value.shape == (50, len(records))
    assert (r.value >= 50.0).all()
    np.testing.assert_array_equal(r.value[r.below], 50.0)
    before = records["time"].to_numpy() < 0
    assert r.below[:, before].all()
    assert 0.1 < r.below.mean() < 0.6
    assert not r.above.any()


def test_replicates_are_cut_at_an_upper_limit_too(monkeypatch):
    fit = known_fit()
    records = fit.study.observed("copies").assign(uloq=5000.0)
    monkeypatch.setattr(type(fit.study), "observed", lambda self, analyte: records)
    r = simulate_records(fit, "copies", draws=20)
    assert r.above.any()
    np.testing.assert_array_equal(r.value[r.above], 5000.0)
    assert r.value.max() == 5000.0


def test_replicated_residuals_have_the_fitted_size():
    fit = theophylline_fit()
    r = simulate_records(fit, "theophylline", draws=400)
    at_zero = r.records["time"].to_numpy() == 0.0  # the model says exactly 0 there: all that is left is noise
    sigma = float(np.median(fit.sites()["sigma_add_theophylline"]))
    assert r.value[:, at_zero].std() == pytest.approx(sigma, rel=0.1)


def test_replicates_of_equations_are_solved_once_for_all_analytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are what each analyte's own solve gives, within the solver's tolerance of 1e-3 a step."""
    fit = prior_fit(read_plan("nkg2d_blood__nkg2d_phase1_synthetic"), draws=2)
    solved = []

    def counted(fit, outputs, *args):
        solved.append(outputs)
        return predicted_blocks(fit, outputs, *args)

    monkeypatch.setattr(replicates, "predicted_blocks", counted)
    found = {a: simulate_records(fit, a, draws=2, seed=3) for a in ("il6", "car_copies", "il6")}
    assert len(solved) == 1
    assert len(solved[0]) == len(fit.bound.assays)
    typical = typical_records(fit, "il6", draws=2)
    assert len(solved) == 2
    (il6,) = [a for a in fit.bound.assays if a.analyte == "il6"]
    alone = predicted_records(fit, (il6,), {**population_draws(fit, 2), **_middle(fit)})["il6"]
    np.testing.assert_allclose(np.median(alone, axis=0), typical, rtol=0.02)
    assert found["il6"].value.shape == (2, len(found["il6"].records))


def _middle(fit: Fit) -> dict[str, np.ndarray]:
    """Every parameter of every subject without its random effects."""
    return typical_patients(fit, population_draws(fit, 2), fit.bound.data.design, len(fit.bound.subjects))
