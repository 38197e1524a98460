"""Golden test T5: Kimmel 2021 against the medians of ZUMA-1; and its tumours of few cells against
simulated ones.
"""

import runpy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("kimmel_2021")
FILE = runpy.run_path(MODEL.path)  # the functions beside the model
P = MODEL.typical()
DOSE = 1.8e8  # cells: C(0) of Table 1
MEDIANS = {7.0: 27.5, 14.0: 9.1, 28.0: 2.1, 90.0: 0.1}  # cells/uL, ZUMA-1 at Moffitt, section 3d
FEW = {"N": 2.3e11, "C": 6e8, "B": 6.0}  # some two months after the infusion: births and deaths near balance
AFTER = np.array([3.0, 10.0, 24.0])


def curves(t: np.ndarray) -> dict[str, np.ndarray]:
    theta = {k: np.array([v]) for k, v in P.items()}
    out = solve(MODEL, t[None], theta, one_dose((0.0,), (DOSE,)), solver=Solver(infusions=False))
    return {k: np.asarray(v)[0] for k, v in out.items()}


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray]:
    t = np.unique(np.r_[np.arange(0, 12, 0.05), 14.0, 28.0, 90.0])
    return t, curves(t)["cells"]


def test_cells_are_the_golden_ones(cells: tuple[np.ndarray, np.ndarray]) -> None:
    t, y = cells
    at = [y[np.searchsorted(t, day)] for day in MEDIANS]
    np.testing.assert_allclose(at, [30.2, 9.05, 2.51, 0.34], rtol=5e-3)
    assert t[y.argmax()] == pytest.approx(7.0, abs=0.1)


def test_cells_are_near_the_medians_of_zuma_1(cells: tuple[np.ndarray, np.ndarray]) -> None:
    t, y = cells
    ratio = [y[np.searchsorted(t, day)] / median for day, median in MEDIANS.items()]
    np.testing.assert_allclose(ratio[:3], 1.0, atol=0.25)
    assert 0.25 < ratio[3] < 4


def test_equations_are_the_papers() -> None:
    def slope(t: float, y: Any) -> list[float]:
        n, c, b = y
        total = n + c
        rate = 0.0251 + 0.525 * (total - 2.5e11) ** 2 / (0.423 * total**2 + (total - 2.5e11) ** 2)
        grown = -0.170 * n * np.log(total / 2.5e11)
        return [grown, -rate * c * np.log(total / 6.96e10), (0.19 - 1.15 * c / (2.024e9 + c)) * b]

    t = np.array([1.0, 7.0, 30.0, 100.0])
    exact = solve_ivp(slope, (0, 100), [3e9, 1.8e8, 9.486e10], t_eval=t, rtol=1e-11, atol=1e-6).y
    found = curves(t)
    np.testing.assert_allclose(found["cells"], exact[1] / 5e8, rtol=2e-5)
    np.testing.assert_allclose(found["lymphocytes"], (exact[0] + exact[1]) / 5e8, rtol=2e-5)
    np.testing.assert_allclose(found["tumour"], exact[2], rtol=2e-5)


def simulated(cells: int, times: np.ndarray, repeats: int) -> np.ndarray:
    """Tumour cells (repeat, time) of the birth and death process, event by event (thinning), CAR-T as
    solved.
    """
    t = np.linspace(0.0, times[-1], 2001)
    y0 = [FEW["N"], FEW["C"]]

    def slope(_: float, y: Any) -> list[float]:
        n, c = y
        below = (n + c - P["KN"]) ** 2
        rate = P["rho"] + P["b"] * below / (P["a"] * (n + c) ** 2 + below)
        return [-P["rN"] * n * np.log((n + c) / P["KN"]), -rate * c * np.log((n + c) / P["KC"])]

    c = solve_ivp(slope, (0, times[-1]), y0, t_eval=t, rtol=1e-9, atol=1.0).y[1]
    death = P["gB"] * c / (P["kB"] + c)
    most = P["rB"] + death.max()
    rng = np.random.default_rng(1)
    now, n = np.zeros(repeats), np.full(repeats, cells)
    found = np.zeros((repeats, len(times)), int)
    while (on := (now < times[-1]) & (n > 0)).any():
        wait = np.where(on, rng.exponential(size=repeats) / (np.maximum(n, 1) * most), np.inf)
        for i, time in enumerate(times):
            found[:, i] = np.where((now < time) & (time <= now + wait) & (n > 0), n, found[:, i])
        now, u = now + wait, rng.uniform(size=repeats) * most
        dies = np.interp(np.minimum(now, times[-1]), t, death)
        n = n + np.where(on, np.where(u < P["rB"], 1, np.where(u < P["rB"] + dies, -1, 0)), 0)
    return found


@pytest.fixture(scope="module")
def simulation() -> np.ndarray:
    return simulated(6, AFTER, 20_000)


def test_extinction_probability_is_that_of_simulated_births_and_deaths(simulation: np.ndarray) -> None:
    closed = np.asarray(FILE["extinction_probability"](P, FEW, AFTER))
    gone = (simulation == 0).mean(axis=0)
    error = np.sqrt(closed * (1 - closed) / len(simulation))
    assert ((closed > 1e-3) & (closed < 0.99)).all()  # a probability that the simulation can see
    assert (np.abs(gone - closed) < 3 * error).all(), (gone, closed, error)


def test_tail_draws_tumours_as_the_simulation_does(simulation: np.ndarray, key: jax.Array) -> None:
    draw = jax.jit(jax.vmap(lambda k: FILE["tail"](k, P, FEW, AFTER)))
    drawn = np.asarray(draw(jax.random.split(key, 20_000)))
    assert (drawn == np.round(drawn)).all()
    assert (drawn >= 0).all()
    assert (drawn[:, 1:][drawn[:, :-1] == 0] == 0).all()  # what is gone stays gone
    error = np.sqrt((drawn.var(axis=0) + simulation.var(axis=0)) / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - simulation.mean(axis=0)) < 3 * error).all()
    closed = np.asarray(FILE["extinction_probability"](P, FEW, AFTER))
    error = np.sqrt(closed * (1 - closed) / len(drawn))
    assert (np.abs((drawn == 0).mean(axis=0) - closed) < 3 * error).all()
    for q in (0.25, 0.5, 0.9):
        apart = np.quantile(drawn, q, axis=0) - np.quantile(simulation, q, axis=0)
        assert (np.abs(apart) <= 1 + 0.02 * np.quantile(simulation, q, axis=0)).all()


def test_mean_of_the_tail_is_the_deterministic_tumour(key: jax.Array) -> None:
    drawn = np.asarray(
        jax.jit(jax.vmap(lambda k: FILE["tail"](k, P, FEW, AFTER)))(jax.random.split(key, 20_000))
    )
    y0 = {**P, "N0": FEW["N"], "B0": FEW["B"]}
    theta = {k: np.array([v]) for k, v in y0.items()}
    out = solve(MODEL, AFTER[None], theta, one_dose((0.0,), (FEW["C"],)), ["tumour"])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - np.asarray(out["tumour"])[0]) < 3 * error).all()


def test_extinction_probability_at_constant_rates_is_the_textbooks() -> None:
    """All CAR-T bound (kB = 0): births at rB, deaths at gB; the simple birth and death process of Kendall
    1948.
    """
    p = {**P, "kB": 0.0, "rB": 0.6, "gB": 0.5}
    t = np.array([0.5, 2.0, 10.0, 40.0])
    grown = np.exp((p["rB"] - p["gB"]) * t)
    one = p["gB"] * (grown - 1) / (p["rB"] * grown - p["gB"])
    found = FILE["extinction_probability"](p, {**FEW, "B": 3.0}, t)
    np.testing.assert_allclose(np.asarray(found), one**3, rtol=1e-7)
    assert float(jnp.max(found)) < (p["gB"] / p["rB"]) ** 3
