"""Golden numbers of the closed-form models: T1, T6, T7 and T9 of the models' design sheet, from the
papers.
"""

import numpy as np
import pytest

import kinetics as kn
from kinetics.units import GENOMES_PER_UG, copies_per_ug_to_cells_per_uL
from tests.published.single_dose import curve, one_dose

CLOSED_FORM = ["stein_2019", "ogasawara_2021", "transit_2022"]


def test_stein_2019_doubling_time_and_half_lives_are_the_papers() -> None:
    model = kn.load_model("stein_2019")
    derived = {k: float(d.value(model.typical())) for k, d in model.derived.items()}
    assert derived["doubling_time"] == pytest.approx(0.7796, rel=1e-4)  # paper 0.78 d
    assert derived["half_life_contraction"] == pytest.approx(4.332, rel=1e-4)  # paper 4.3 d
    assert derived["half_life_persistence"] == pytest.approx(216.6, rel=1e-4)  # paper 220 d


def test_stein_2019_curve_at_the_golden_days() -> None:
    model = kn.load_model("stein_2019")
    y = curve(model, np.array([0.0, 9.3, 28.0, 90.0, 365.0]))
    np.testing.assert_allclose(y, [6.154, 24000.0, 1373.6, 146.5, 60.74], rtol=1e-4)


def test_stein_2019_auc_to_day_28_by_quadrature_and_by_formula() -> None:
    model = kn.load_model("stein_2019")
    p = model.typical()
    rho, after = np.log(p["foldx"]) / p["tmax"], 28.0 - p["tmax"]
    formula = p["cmax"] * (
        (1 - 1 / p["foldx"]) / rho
        + (1 - p["fb"]) / p["alpha"] * -np.expm1(-p["alpha"] * after)
        + p["fb"] / p["beta"] * -np.expm1(-p["beta"] * after)
    )
    t = np.linspace(0, 28, 280_001)
    assert formula == pytest.approx(171_774, rel=1e-4)
    assert np.trapezoid(curve(model, t), t) == pytest.approx(formula, rel=1e-6)


def test_stein_2019_closed_form_is_its_ode() -> None:
    from scipy.integrate import solve_ivp

    model = kn.load_model("stein_2019")
    p = model.typical()
    rho, k = np.log(p["foldx"]) / p["tmax"], p["fb"] * (p["alpha"] - p["beta"])
    rise = solve_ivp(
        lambda t, y: [rho * y[0]], (0, p["tmax"]), [p["cmax"] / p["foldx"]], rtol=1e-11, atol=1e-9
    )
    fall = solve_ivp(
        lambda t, y: [-p["alpha"] * y[0], k * y[0] - p["beta"] * y[1]],
        (p["tmax"], 200), [rise.y[0, -1], 0.0], rtol=1e-11, atol=1e-9, t_eval=[20.0, 60.0, 200.0],
    )  # fmt: skip
    np.testing.assert_allclose(curve(model, np.array([20.0, 60.0, 200.0])), fall.y.sum(axis=0), rtol=1e-6)


def test_random_effects_of_stein_2019_are_standard_deviations() -> None:
    """As SDs the simulated geometric CV of Cmax is 73 %; read as variances it would be 95 %."""
    sd = kn.load_model("stein_2019").parameters["cmax"].sd
    assert sd is not None
    assert 100 * np.sqrt(np.expm1(sd**2)) == pytest.approx(73, abs=1)


def test_ogasawara_2021_derived_values_and_the_flat_lag() -> None:
    model = kn.load_model("ogasawara_2021")
    derived = {k: float(d.value(model.typical())) for k, d in model.derived.items()}
    assert derived["expansion_rate"] == pytest.approx(0.918, rel=0.01)
    assert derived["fold_expansion"] == pytest.approx(251, rel=0.01)
    assert derived["alpha"] == pytest.approx(0.1386, rel=0.01)
    assert derived["tlag"] == pytest.approx(3.27, rel=1e-3)
    flat = curve(model, np.array([0.0, 1.0, 3.26]))
    np.testing.assert_allclose(flat, flat[0])
    assert curve(model, np.array([3.4]))[0] > flat[0]


def test_ogasawara_2021_without_lag_is_stein_2019() -> None:
    stein, lagged = kn.load_model("stein_2019"), kn.load_model("ogasawara_2021")
    p = stein.typical()
    same = {
        "lag_fraction": 0.0, "tmax": p["tmax"], "cmax": p["cmax"], "fb": p["fb"],
        "doubling_time": float(stein.derived["doubling_time"].value(p)),
        "half_life_contraction": np.log(2) / p["alpha"], "half_life_persistence": np.log(2) / p["beta"],
    }  # fmt: skip
    t = np.linspace(0, 200, 101)
    np.testing.assert_allclose(curve(lagged, t, **same), curve(stein, t), rtol=1e-10)


def test_transit_2022_reproduces_its_calibration() -> None:
    """Cmax 47.4e3, Tmax 10.95, AUC0-28d 542e3, AUC0-6m 982e3: the numbers its values were calibrated to."""
    model = kn.load_model("transit_2022")
    t = np.linspace(0, 180, 18_001)
    y = curve(model, t)
    assert y.max() == pytest.approx(47.4e3, rel=1e-3)
    assert t[y.argmax()] == pytest.approx(10.95, abs=0.03)
    assert np.trapezoid(y[t <= 28], t[t <= 28]) == pytest.approx(542e3, rel=1e-3)
    assert np.trapezoid(y, t) == pytest.approx(982e3, rel=1e-3)


@pytest.mark.parametrize("ktr", [0.1, 0.5799999, 0.58, 0.5800001, 0.7, 5.0])
def test_transit_2022_is_its_chain_of_compartments_for_any_order_of_rates(ktr: float) -> None:
    from scipy.integrate import solve_ivp

    model = kn.load_model("transit_2022")
    p = {**model.typical(), "ktr": ktr}

    def chain(t: float, x: np.ndarray) -> list[float]:
        inflow = ktr * x[3]
        rates = [-ktr * x[0], *(ktr * (x[i - 1] - x[i]) for i in (1, 2, 3))]
        return [*rates, p["f1"] * inflow - p["k1"] * x[4], (1 - p["f1"]) * inflow - p["k2"] * x[5]]

    t = np.array([5.5, 7.0, 12.0, 30.0, 90.0])
    start = [p["input"], 0, 0, 0, 0, 0]
    ode = solve_ivp(chain, (0, 85), start, t_eval=t - p["tlag"], rtol=1e-11, atol=1e-8, method="LSODA")
    np.testing.assert_allclose(curve(model, t, ktr=ktr), ode.y[4] + ode.y[5], rtol=1e-6)


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_infusions_of_a_course_share_it_and_a_new_course_adds(name: str) -> None:
    model = kn.load_model(name)
    t = np.linspace(0.0, 80.0, 41)
    split = one_dose((0.0, 1.0), (1e9, 3e9), (0, 0))
    whole = curve(model, t)
    later = np.where(t >= 1.0, curve(model, np.maximum(t - 1.0, 0.0)), 0.0)
    np.testing.assert_allclose(curve(model, t, doses=split), 0.25 * whole + 0.75 * later, rtol=1e-10)
    two = one_dose((0.0, 20.0), (1e9, 2e9), (0, 1))
    second = np.where(t >= 20.0, curve(model, np.maximum(t - 20.0, 0.0)), 0.0)
    np.testing.assert_allclose(curve(model, t, doses=two), whole + second, rtol=1e-10)


def test_copies_and_cells_convert_as_the_assay_sheet_says() -> None:
    assert pytest.approx(151_515, rel=1e-5) == GENOMES_PER_UG
    assert copies_per_ug_to_cells_per_uL(24_000, nucleated_cells_per_uL=1000, vcn=1) == pytest.approx(158.4)
    model = kn.load_model("ogasawara_2021")
    assert curve(model, np.array([9.29]), "cells")[0] == pytest.approx(158.4, rel=1e-6)
