"""Tumour size in its three forms, against the solutions of their equations."""

import numpy as np
import pytest

import kinetics as kn
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for
from kinetics.solve.solving import Solver, derived, solve

DAYS = np.linspace(0.0, 200.0, 101)


def lesions(model: kn.Model, **theta: float) -> np.ndarray:
    doses = doses_for(Regimen.iv(cells=1.0, on=[0], product="car_t"), np.array([70.0]), ())
    p = {k: np.full(1, v) for k, v in (model.typical() | theta).items()}
    return np.asarray(solve(model, DAYS[None], p, doses, solver=Solver(rtol=1e-9, atol=1e-9))["lesions"])[0]


def test_a_tumour_left_alone_doubles_in_its_doubling_time() -> None:
    """Finlay 1988: 155 d for overt, 86 d for occult liver metastases, so kg = .0045 and .0081/d."""
    model = kn.load_model("tumour_growth_inhibition")
    for kg, days in ((0.0045, 155.0), (0.0081, 86.0)):
        found = float(derived(model, model.typical() | {"kg": kg})["tumour_doubling"])
        assert found == pytest.approx(days, rel=0.01)
        exact = 100.0 * 2 ** (DAYS / found / 3)  # a diameter grows by the cube root
        np.testing.assert_allclose(lesions(model, kg=kg, kill_rate=1e-12), exact, rtol=1e-6)


def test_the_claret_form_is_its_integral() -> None:
    model = kn.load_model("tumour_growth_inhibition", form="claret")
    p = model.typical()
    killed = p["KD"] * p["exposure"] / p["resistance"] * (1 - np.exp(-p["resistance"] * DAYS))
    np.testing.assert_allclose(lesions(model), 100.0 * np.exp(p["KL"] * DAYS - killed), rtol=1e-6)


def test_the_form_of_stein_and_fojo_falls_to_its_nadir_and_grows_at_g() -> None:
    model = kn.load_model("tumour_growth_inhibition", form="stein_fojo")
    g, d = 0.01, 0.05
    ts = lesions(model, g=g, d=d)
    assert ts[0] == pytest.approx(100.0)
    nadir = float(derived(model, model.typical() | {"g": g, "d": d})["nadir"])
    assert nadir == pytest.approx(np.log(d / g) / (d + g))
    assert DAYS[ts.argmin()] == pytest.approx(nadir, abs=2.0)
    late = np.polyfit(DAYS[-10:], np.log(ts[-10:] + 100.0 * 1.0), 1)[0]
    assert late == pytest.approx(g, rel=0.01)
