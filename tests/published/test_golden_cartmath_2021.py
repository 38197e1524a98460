"""Golden numbers of CARTmath 2021 (mouse): HDLM-2 is eradicated after a dose on day 42; Raji against
another solver.
"""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("cartmath_2021")


def curves(t: np.ndarray, day: float, dose: float, prior_set: str | None = None) -> dict[str, np.ndarray]:
    model = MODEL.with_prior_set(prior_set)
    theta = {k: np.array([v]) for k, v in model.typical().items()}
    out = solve(model, t[None], theta, one_dose((day,), (dose,)), solver=Solver(infusions=False))
    return {k: np.asarray(v)[0] for k, v in out.items()}


@pytest.fixture(scope="module")
def hdlm2() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    t = np.unique(
        np.r_[0.0, 42.0, np.linspace(42.0, 46.0, 41), np.linspace(46.0, 100.0, 109)]
    )  # for 4 d every 0.1 d
    return t, curves(t, 42.0, 2e6)


def test_tumour_before_the_dose_is_the_golden_one(hdlm2: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    t, y = hdlm2
    assert y["tumour"][t == 42.0] == pytest.approx(2.146e7, rel=1e-3)


def test_tumour_is_below_one_cell_on_the_golden_day(hdlm2: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    t, y = hdlm2
    gone = (t > 42) & (y["tumour"] < 1)
    assert t[gone][0] == pytest.approx(44.8)
    assert (y["tumour"][gone] < 1).all()


def test_memory_reaches_its_golden_peak(hdlm2: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    assert hdlm2[1]["memory"].max() == pytest.approx(2.66e6, rel=5e-3)


def test_raji_is_the_papers_equations_though_stiff() -> None:
    """theta T is 24,000 per day: memory cells last four seconds."""
    t = np.array([6.9, 7.001, 7.1, 8.0, 10.0, 15.0])  # the paper follows these mice for 15 days
    found = curves(t, 7.0, 1e7, "raji")

    def slope(_: float, y: Any) -> list[float]:
        ct, cm, tumour = y
        recalled = 2.3e-4 * tumour * cm
        return [
            (0.83 - 0.8300536) * ct + recalled - 1.248506e-8 * tumour * ct,
            1.59795 * ct - recalled - 6.89e-7 * cm,
            0.5071721 * tumour - 3.365388e-8 * ct * tumour,
        ]

    start = [1e7, 0.0, 3e6 * np.exp(0.5071721 * 7)]
    exact = solve_ivp(slope, (7, 15), start, t_eval=t[1:], method="Radau", rtol=1e-9, atol=1e-3).y
    assert found["tumour"][0] == pytest.approx(3e6 * np.exp(0.5071721 * 6.9), rel=1e-5)
    np.testing.assert_allclose(found["effector"][1:], exact[0], rtol=5e-4)
    np.testing.assert_allclose(found["memory"][1:], exact[1], rtol=5e-4)
    np.testing.assert_allclose(found["tumour"][1:], exact[2], rtol=1e-4)
