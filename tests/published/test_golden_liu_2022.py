"""Golden numbers of Liu 2022 (B-ALL): the example of a remission; its relapse against another solver."""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("liu_2022")
DOSE = 1e8


def curves(t: np.ndarray, prior_set: str | None = None) -> dict[str, np.ndarray]:
    model = MODEL.with_prior_set(prior_set)
    theta = {k: np.array([v]) for k, v in model.typical().items()}
    out = solve(model, t[None], theta, one_dose((0.0,), (DOSE,)), solver=Solver(infusions=False))
    return {k: np.asarray(v)[0] for k, v in out.items()}


def test_remission_has_the_golden_peak_day_area_and_day_28() -> None:
    t = np.linspace(0.0, 28.0, 561)
    y = curves(t)
    assert y["cells"].max() == pytest.approx(612.7, rel=1e-3)
    assert t[y["cells"].argmax()] == pytest.approx(5.65, abs=0.051)
    assert np.trapezoid(y["cells"], t) == pytest.approx(6145, rel=1e-3)
    assert y["cells"][-1] == pytest.approx(44.4, rel=2e-3)
    assert y["burden"][0] == pytest.approx(97.19 * 2200.24 / (1909 + 2200.24), rel=1e-6)
    assert y["burden"][-1] < 1e-3


def test_the_clone_of_the_remission_is_not_seen_within_half_a_year() -> None:
    assert curves(np.array([180.0]))["burden"][0] < 5


def test_antigen_negative_relapse_is_the_authors_equations() -> None:
    t = np.array([2.0, 7.0, 14.0, 28.0, 60.0, 120.0, 200.0])
    found = curves(t, "antigen_negative_relapse")

    def slope(_: float, y: Any) -> list[float]:
        b, ta, tn, bn = y
        activated = 0.19 * b / (b + 93066.8) * tn
        return [
            0.086 * b * (1 - b / 19988.53) - 8.6 * b / (b + 794.99) * ta,
            b / (b + 827.08) * 1.7 * ta + activated - 0.04 * ta,
            -activated - 0.073 * tn,
            0.1 * bn * (1 - bn / 19988.53) - 8.6 / 7.9 * bn / (bn + 5956.03) * ta,
        ]

    start = [17212.23022, 0.0, 0.3, 19.89]
    exact = solve_ivp(slope, (0, 200), start, t_eval=t, method="LSODA", rtol=1e-10, atol=1e-12).y
    leukaemia = exact[0] + exact[3]
    np.testing.assert_allclose(found["cells"], exact[1], rtol=1e-4)
    np.testing.assert_allclose(found["burden"], 97.19 * leukaemia / (1909 + leukaemia), rtol=1e-3)
    assert found["burden"][3] < 5 < found["burden"][-1]  # gone at day 28, back at day 200
    assert exact[3, -1] > 100 * max(exact[0, -1], 0)  # and antigen-negative
