"""Leon-Triana 2021 against SciPy, with the equations written again from BIOMD0000001012."""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("leon_triana_2021")


def slope(_: float, y: Any) -> list[float]:
    c, leukaemia, b = y
    rho_c = 0.25 * 4.5e-11
    proliferation = rho_c * (leukaemia + b) * c + rho_c * 0.1 * 1e7 / (1 + c / 1e9)
    return [
        proliferation - c / 14,
        leukaemia * 0.0333333333333 - 4.5e-11 * leukaemia * c,
        1e7 / 6 / (1 + c / 1e9) - 4.5e-11 * b * c - b / 60,
    ]


def test_it_is_the_file_of_biomodels():
    t = np.array([0.0, 1.0, 7.0, 14.0, 21.0, 28.0, 60.0, 90.0])
    theta = {k: np.array([v]) for k, v in MODEL.typical().items()}
    out = solve(MODEL, t[None], theta, one_dose((0.0,), (1e7,)), solver=Solver(infusions=False))
    exact = solve_ivp(slope, (0, 90), [1e7, 5e10, 2.5e10], t_eval=t, method="LSODA", rtol=1e-10, atol=1e-3).y
    for name, row in zip(("cells", "leukaemia", "b_cells"), exact, strict=True):
        np.testing.assert_allclose(np.asarray(out[name])[0][1:], row[1:], rtol=1e-3)
    assert exact[1].min() < 1e-4 * 5e10  # the leukaemia goes below 1 in 10,000
    assert exact[2].argmin() < len(t) - 1  # and healthy B cells begin to come back
