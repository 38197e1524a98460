"""Tocilizumab: the linear half-life, and the exact solution of linear plus saturable elimination."""

import numpy as np
from scipy.special import lambertw

import kinetics as kn
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, derived, solve

MODEL = kn.load_model("moes_2022_tocilizumab")
P = MODEL.typical()


def concentration(days: np.ndarray, **change: float) -> np.ndarray:
    theta = {k: np.full(1, change.get(k, v)) for k, v in P.items()}
    one = np.ones((1, 1))
    doses = Doses(0 * one, 560.0 * one, 0 * one, one, (0 * one).astype(int), (0 * one).astype(int))
    found = solve(MODEL, days[None], theta, doses, solver=Solver(rtol=1e-9, atol=1e-9))
    return np.asarray(found["concentration"])[0]


def test_the_linear_half_life_is_the_published_one() -> None:
    np.testing.assert_allclose(derived(MODEL, P)["half_life"], 4.15, rtol=1e-3)


def test_without_saturable_elimination_it_is_an_exponential() -> None:
    days = np.linspace(0.1, 28.0, 15)
    by_hand = 560.0 / P["v"] * np.exp(-P["cl"] / P["v"] * days)
    np.testing.assert_allclose(concentration(days, vmax=1e-12), by_hand, rtol=1e-7)


def test_without_linear_elimination_it_is_lamberts_function() -> None:
    days = np.linspace(0.5, 60.0, 15)
    start, rate = 560.0 / P["v"] / P["km"], P["vmax"] / P["v"] / P["km"]
    by_hand = P["km"] * lambertw(start * np.exp(start - rate * days)).real
    np.testing.assert_allclose(concentration(days, cl=1e-12), by_hand, rtol=1e-6)
