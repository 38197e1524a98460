"""The three forms of Chaudhury 2020 against SciPy, written again from BioModels with the sharp switch."""

from collections.abc import Callable
from math import log, log10
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

TMAX = 9.3


def ec50(t: float, y: Any) -> list[float]:
    """BIOMD0000001025."""
    e, p = y[:2]
    u = max(y[2], 1e-12)
    cure = 1 / (1 + (0.1 / u) ** 3)
    growth = cure * 0.2 * u * (log10(1000) - log10(u)) / log10(1000)
    tumour = growth - 0.35 * e * u / (10 + e + u)
    if t <= TMAX:
        return [8.8 * e * u / (1 + e + u), 0.0, tumour]
    return [-(0.0012 + 0.16) * e, 0.0012 * e - 0.0032 * p, tumour]


def first_order(t: float, y: Any) -> list[float]:
    """MODEL2109110005."""
    e, p = y[:2]
    u = max(y[2], 1e-12)
    cure = 1 / (1 + (0.1 / u) ** 3)
    tumour = cure * 0.3 * u * (log(100) - log(u)) / log(100) - 0.0007 * e * u
    if t <= TMAX:
        return [e, 0.0, tumour]
    return [-(0.0012 + 0.16) * e, 0.0012 * e - 0.0032 * p, tumour]


def lotka_volterra(t: float, y: Any) -> list[float]:
    """BIOMD0000001024."""
    e, u = y
    return [0.0018 * e * u - 0.16 * e, 0.15 * u - 0.00015 * e * u]


def exact(slope: Callable[[float, Any], list[float]], start: list[float], t: np.ndarray) -> np.ndarray:
    """The states at `t`, integrated to TMAX and on from there."""
    before = t[t <= TMAX]
    first = solve_ivp(
        slope, (0, TMAX), start, t_eval=np.r_[before, TMAX], method="LSODA", rtol=1e-10, atol=1e-9
    )
    second = solve_ivp(
        slope,
        (TMAX + 1e-12, t[-1]),
        first.y[:, -1],
        t_eval=t[t > TMAX],
        method="LSODA",
        rtol=1e-10,
        atol=1e-9,
    )
    return np.hstack([first.y[:, :-1], second.y])


@pytest.mark.parametrize(
    ("form", "slope", "start"),
    [
        ("ec50", ec50, [10.0, 0.0, 900.0]),
        ("first_order", first_order, [10.0, 0.0, 900.0]),
        ("lotka_volterra", lotka_volterra, [10.0, 900.0]),
    ],
)
def test_each_form_is_its_file_of_biomodels(
    form: str, slope: Callable[[float, Any], list[float]], start: list[float]
) -> None:
    model = kn.load_model("chaudhury_2020", form=form)
    t = np.array([1.0, 4.0, 7.0, 9.0, 10.0, 14.0, 21.0, 28.0, 60.0])
    theta = {k: np.array([v]) for k, v in model.typical().items()}
    if "s" in theta:
        theta["s"] = np.array([1e-3])
    out = solve(model, t[None], theta, one_dose((0.0,), (5e7,)), solver=Solver(infusions=False))
    y = exact(slope, start, t)
    np.testing.assert_allclose(np.asarray(out["cells"])[0], y[:-1].sum(0), rtol=2e-3)
    seen = y[-1] > 1e-3
    np.testing.assert_allclose(np.asarray(out["tumour"])[0][seen], y[-1][seen], rtol=2e-3)


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(Exception, match="no form 'logistic'"):
        kn.load_model("chaudhury_2020", form="logistic")
