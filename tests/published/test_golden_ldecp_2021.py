"""The smooth-gate model collapses to Ogasawara 2021 and to Stein 2019, and its first level follows the
dose.
"""

from typing import Any

import numpy as np
import pytest

import kinetics as kn
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve
from kinetics.units import GENOMES_PER_UG
from tests.published.single_dose import curve, one_dose

MODEL = kn.load_model("ldecp_2021")
P = MODEL.typical()
DAYS = np.array([1.0, 2.5, 4.0, 6.0, 8.0, 9.0, 9.6, 10.0, 14.0, 28.0, 90.0, 365.0])
SHARP = {"k_d": 1e-12, "K_sat": 1e18}


def curves(subjects: list[dict[str, float]], doses: list[float], t: np.ndarray = DAYS) -> Any:
    """Copies/ug DNA (subject, time)."""
    n = len(subjects)
    theta = {k: np.array([s.get(k, v) for s in subjects]) for k, v in P.items()}
    amount = np.array(doses)[:, None]
    given = Doses(*(np.repeat(x, n, axis=0) for x in one_dose()))._replace(amount=amount)
    solver = Solver(rtol=1e-9, atol=1e-9, infusions=False)
    return np.asarray(solve(MODEL, np.tile(t, (n, 1)), theta, given, ["copies"], solver=solver)["copies"])


def dose_for(copies: float) -> float:
    """Cells that give this level at once: copies/ug to cells/uL of 5.67 L."""
    return copies / GENOMES_PER_UG * P["nucleated_per_vcn"] * P["blood_volume"] * 1e6


def test_a_dose_gives_the_level_of_the_assay_sheet() -> None:
    y = curves([{}], [1e8], np.array([1e-6]))
    assert y[0, 0] == pytest.approx(1e8 / 5.67e6 * 151_515 / 1000, rel=1e-4)


def test_with_sharp_gates_it_is_ogasawara_2021() -> None:
    lagged = kn.load_model("ogasawara_2021")
    start = lagged.typical()["cmax"] * 2.0 ** (-(1 - 0.352) * 9.29 / 0.755)
    widths = (0.04, 0.02, 0.005)
    y = curves([{**SHARP, "s": s} for s in widths], [dose_for(start)] * 3)
    away = np.abs(y / curve(lagged, DAYS) - 1).max(axis=1)
    assert away[2] < 1e-5
    assert away[1] / away[0] == pytest.approx(0.25, abs=0.02)  # of second order in s
    assert away[0] > 1e-4


def test_with_sharp_gates_and_no_lag_it_is_stein_2019() -> None:
    stein = kn.load_model("stein_2019")
    p = stein.typical()
    same = {
        **SHARP, "s": 1e-3, "lag_fraction": 1e-9, "tmax": p["tmax"], "fb": p["fb"],
        "doubling_time": p["tmax"] / np.log2(p["foldx"]),
        "half_life_contraction": np.log(2) / p["alpha"], "half_life_persistence": np.log(2) / p["beta"],
    }  # fmt: skip
    y = curves([same], [dose_for(p["cmax"] / p["foldx"])])[0]
    rho = np.log(p["foldx"]) / p["tmax"]
    missed = np.exp(rho * 1e-3 * np.log(2))  # half of the first gate lies before day 0
    np.testing.assert_allclose(y * missed, curve(stein, DAYS), rtol=1e-5)


def test_infused_cells_leave_blood_before_they_expand() -> None:
    y = curves([{}], [1e8], np.array([0.01, 1.0, 2.0, 9.0]))[0]
    assert y[1] == pytest.approx(y[0] * np.exp(-0.99 * P["k_d"]), rel=1e-3)
    assert y[2] < y[1] < y[3]


def test_saturation_bends_the_dependence_on_dose() -> None:
    peak = curves([{}, {}, SHARP, SHARP], [1e8, 1e9, 1e8, 1e9])[:, DAYS == 9.0][:, 0]
    assert peak[3] / peak[2] == pytest.approx(10, rel=1e-6)
    assert 1.5 < peak[1] / peak[0] < 9
