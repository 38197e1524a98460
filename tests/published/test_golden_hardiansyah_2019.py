"""Golden numbers T3: Hardiansyah & Ng 2019 (UPN1, UPN3), their cytokines, and burden against dose."""

from functools import lru_cache
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.regimen.schedule import Doses, pad_doses
from kinetics.solve.solving import Solver, derived, solve, solver_failures

MODEL = kn.load_model("hardiansyah_2019")
UPN = (MODEL.typical(), MODEL.with_prior_set("upn3").typical())
CELLS = np.array([1.1e9, 1.4e7])
DAYS = np.concatenate([np.arange(0.02, 40, 0.02), np.arange(40, 350.1, 1.0)])
FOLDS = np.array([0.5, 1, 1.5, 2])


def doses_of(cells: np.ndarray) -> Doses:
    """10, 30 and 60 % of each subject's cells on days 0, 1 and 2."""
    names = [str(i) for i in range(len(cells))]
    rows = [
        {"subject": name, "product": "car_t", "route": "iv", "time": float(day), "amount": part * n}
        for name, n in zip(names, cells, strict=True)
        for day, part in enumerate((0.1, 0.3, 0.6))
    ]
    return pad_doses(pd.DataFrame(rows).assign(duration=0.0, cycle=1), names, list(MODEL.dosing))


@lru_cache
def compiled(rtol: float) -> Any:
    solver = Solver(rtol=rtol, infusions=False, most=8000)  # a step for each record at least
    return jax.jit(lambda t, theta, doses: solve(MODEL, t, theta, doses, solver=solver))


def curves(t: np.ndarray, patients: list[dict[str, float]], cells: np.ndarray) -> dict[str, np.ndarray]:
    theta = {k: np.array([p[k] for p in patients]) for k in MODEL.parameters}
    out = compiled(1e-6)(np.broadcast_to(t, (len(cells), len(t))), theta, doses_of(cells))
    return {k: np.asarray(v) for k, v in out.items()}


@pytest.fixture(scope="module")
def patients() -> dict[str, np.ndarray]:
    """UPN1 and UPN3, on their doses."""
    return curves(DAYS, list(UPN), CELLS)


def test_peaks_of_cells_and_cytokines_are_the_published_ones(patients: dict[str, np.ndarray]) -> None:
    expected = {  # UPN1, UPN3: peak, day
        "car_t": ((2.55, 3.83), (0.0969, 27.2)),
        "il6": ((2748, 3.2), (49.3, 19.2)),
        "il10": ((915.3, 3.2), (116.4, 19.2)),
        "ifng": ((828.4, 3.6), (119.6, 19.6)),
    }
    for name, rows in expected.items():
        for (peak, day), y in zip(rows, patients[name], strict=True):
            assert y.max() == pytest.approx(peak, rel=2e-3), name  # stated tolerance: 1e-2
            assert DAYS[y.argmax()] == pytest.approx(day, abs=0.06), name


def test_tumour_burden_and_the_last_slope_of_upn1(patients: dict[str, np.ndarray]) -> None:
    burden, cells = patients["b_cells"][0], patients["car_t"][0]
    at = {day: int(np.argmin(abs(DAYS - day))) for day in (50, 250, 350)}
    assert burden[at[50]] == pytest.approx(0.291, rel=2e-3)
    assert burden[at[350]] == pytest.approx(0.484, rel=2e-3)
    slope = np.log(cells[at[250]] / cells[at[350]]) / 100
    assert slope == pytest.approx(0.00832, rel=1e-3)
    eigenvalue = np.log(2) / float(derived(MODEL, UPN[0])["half_life_persistence"])
    assert slope == pytest.approx(eigenvalue, rel=0.01)


def test_burden_moves_the_cytokines_and_dose_does_not() -> None:
    """Figure 2b: 0.5 to 2 times each patient's burden, then dose. Folds of nlmixr2lib's solution."""
    varied = [{**p, "b0": p["b0"] * f} for p in UPN for f in FOLDS]
    same = [p for p in UPN for _ in FOLDS]
    cells = np.repeat(CELLS, len(FOLDS))
    t = np.arange(0.05, 120, 0.05)
    out = curves(t, varied + same, np.concatenate([cells, cells * np.tile(FOLDS, 2)]))
    by = {k: y.max(axis=1).reshape(2, 2, len(FOLDS)) for k, y in out.items()}  # varied, patient, fold
    fold = {k: peak.max(axis=2) / peak.min(axis=2) for k, peak in by.items()}
    for name in ("il6", "il10", "ifng", "car_t"):
        assert (fold[name][0] > 5).all(), name
        assert (fold[name][1] < 1.2).all(), name
    for name, burden in {"il6": (155.1, 20.03), "ifng": (51.4, 16.5)}.items():
        np.testing.assert_allclose(fold[name][0], burden, rtol=5e-3, err_msg=name)


def paper(t: float, y: np.ndarray, p: dict[str, float]) -> list[float]:
    """Equations 1-9 and Table S1; equation 7's gain as in Figure 1a. p6, p10, pg of Table S2."""
    b, e, et, m, mt, il6, il10, ifn = y
    f, hold = b / (b + 1e5), 0.59 + (1 - 0.59) * 650 / (il10 + 650)
    return [
        (9.3e-3 - 7.6e-3) * b - p["kbc"] * e * b,
        p["re"] * e * b - p["de"] * e - 76.78 * e + 1.84 * et - p["ae"] * e * (1 - f) + m * f,
        76.78 * e - 1.84 * et,
        0.0509 * m - 0.408 * m - 76.78 * m + 1.84 * mt + p["ae"] * e * (1 - f) - m * f,
        76.78 * m - 1.84 * mt,
        3.96 * (p["b6"] - il6) + p["p6"] * 1e6 * b * e,
        4.68 * (p["b10"] - il10) + p["p10"] * 1e6 * b * e,
        1.51 * (p["bg"] - ifn) + p["pg"] * 1e6 * b * e * hold,
    ]


TABLE_S2 = (
    {"p6": 1.8e-3, "p10": 7e-4, "pg": 3e-4, "re": 16.16, "de": 23.04, "ae": 0.024, "kbc": 0.19, "b0": 4.14},
    {"p6": 6e-3, "p10": 1.7e-2, "pg": 6e-3, "re": 14.40, "de": 1.44, "ae": 0.12, "kbc": 2.21, "b0": 0.93},
)
AT_REST = ({"b6": 1.7, "b10": 4.5, "bg": 2.3}, {"b6": 1.0, "b10": 0.5, "bg": 1.7})


@pytest.mark.parametrize("patient", [0, 1])
def test_solution_is_that_of_lsoda_on_the_papers_equations(
    patient: int, patients: dict[str, np.ndarray]
) -> None:
    p = TABLE_S2[patient] | AT_REST[patient]
    t = np.array([0.5, 1.5, 2.5, 3.2, 4, 6, 10, 15, 19, 25, 30, 50, 100, 200, 350])
    y, there = np.array([p["b0"], 0, 0, 0, 0, p["b6"], p["b10"], p["bg"]]), []
    for begin, end, part in ((0, 1, 0.1), (1, 2, 0.3), (2, 350, 0.6)):
        y[1] += part * CELLS[patient] / 1e9
        at = np.append(t[(begin < t) & (t < end)], end)
        ran = solve_ivp(paper, (begin, end), y, args=(p,), method="LSODA", t_eval=at, rtol=1e-9, atol=1e-13).y
        there.append(ran[:, : None if end == 350 else -1])
        y = ran[:, -1].copy()
    b, e, _, m, _, il6, il10, ifn = np.concatenate(there, axis=1)
    here = {k: v[patient][[np.argmin(abs(DAYS - day)) for day in t]] for k, v in patients.items()}
    expected = {"car_t": e + m, "b_cells": b, "il6": il6, "il10": il10, "ifng": ifn}
    for name, value in expected.items():
        np.testing.assert_allclose(here[name], value, rtol=1e-5, err_msg=name)


def test_without_cells_cytokines_rest_and_the_burden_grows() -> None:
    out = curves(np.array([10.0, 100.0]), [UPN[0]], np.zeros(1))
    np.testing.assert_allclose(out["b_cells"][0], 4.14 * np.exp(0.0017 * np.array([10, 100])), rtol=1e-6)
    for name, rest in (("il6", 1.7), ("il10", 4.5), ("ifng", 2.3)):
        np.testing.assert_allclose(out[name], rest, rtol=1e-12)


def test_a_year_takes_few_steps() -> None:
    """460 and 510 at 1e-6 (159 at 1e-4, which is right to 4e-5), no record between."""
    theta = {k: np.array([p[k] for p in UPN]) for k in MODEL.parameters}
    failures = solver_failures(
        MODEL, np.full((2, 1), 350.0), theta, doses_of(CELLS), solver=Solver(infusions=False)
    )
    assert np.isinf(failures.day).all()
    assert (np.asarray(failures.steps) < 700).all()
