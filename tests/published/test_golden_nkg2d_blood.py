"""The reduction for studies of blood beside the model it reduces: at its dose levels and at draws of its
priors.
"""

from functools import cache

import jax
import numpy as np
import pytest

import kinetics as kn
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for
from kinetics.solve.solving import Solver, solve

FULL, REDUCED = "nkg2d_nk_t_livermet", "nkg2d_blood"
GIVEN = np.array([0.0, 1.0, 14.0, 15.0, 28.0, 29.0])
DAYS = np.unique(
    np.concatenate([np.linspace(0, 90, 361), *(day + np.linspace(0.0, 2.0, 97) for day in GIVEN)])
)
SINCE = np.array([min((t - g for g in GIVEN if t > g), default=np.inf) for t in DAYS])
EARLY, DAY, LATER = (SINCE >= 2 / 24 - 1e-9) & (SINCE < 6 / 24), (SINCE >= 6 / 24) & (SINCE < 1), SINCE >= 1


def regimen(level: float) -> Regimen:
    nk = Regimen.hepatic_artery(cells=[1e9, 2e9], on=[0, 1], product="car_nk") + Regimen.lymphodepletion(
        on=[0]
    )
    t = Regimen.iv(cells_per_kg=level, on=[14, 15], product="car_t").repeat(every_days=14, times=2)
    return nk + t


@cache
def curves(name: str, level: float, draw: int = 0) -> dict[str, np.ndarray]:
    """At the typical values, or at one draw of the priors (a number above 0)."""
    model = kn.load_model(name)
    doses = doses_for(regimen(level), np.array([70.0]), tuple(model.dosing))
    theta = {k: np.full(1, v) for k, v in model.typical().items()}
    if draw:
        keys = jax.random.split(jax.random.key(draw), len(model.parameters))
        for key, (k, q) in zip(keys, model.parameters.items(), strict=True):
            theta[k] = np.full(1, float(q.prior.to_numpyro().sample(key)))
    y = solve(
        model, DAYS[None], theta, doses, solver=Solver(rtol=1e-7, atol=1e-7, most=20000, infusions=False)
    )
    return {k: np.asarray(v)[0] for k, v in y.items()}


def apart(name: str, level: float, when: np.ndarray, draw: int = 0) -> float:
    """The largest relative difference, where the curve is above a thousandth of its peak."""
    full, reduced = (curves(m, level, draw)[name][when] for m in (FULL, REDUCED))
    seen = full > 1e-3 * curves(FULL, level, draw)[name].max()
    return float(np.abs(reduced[seen] / full[seen] - 1).max())


@pytest.mark.parametrize("level", [1.5e7, 7e7])
def test_blood_and_serum_are_the_full_models_from_two_hours_on(level: float) -> None:
    for name in ("copies", "nk_cells", "t_cells", "il6", "ifn_gamma", "crp", "lesions"):
        assert apart(name, level, EARLY) < 0.05, name
        assert apart(name, level, DAY) < 0.03, name
        assert apart(name, level, LATER) < 0.012, name


def test_organs_are_the_full_models_from_a_day_on() -> None:
    for name in (
        "nk_liver",
        "t_liver",
        "nk_tumour",
        "t_tumour",
        "nk_rest",
        "t_rest",
        "liver_biopsy",
        "tumour_biopsy",
    ):
        assert apart(name, 3e7, LATER) < 0.005, name


@pytest.mark.parametrize("draw", [1, 2, 3, 4])
def test_at_draws_of_the_priors_too(draw: int) -> None:
    for name in ("copies", "il6", "lesions"):
        assert apart(name, 3e7, DAY, draw) < 0.1, name
        assert apart(name, 3e7, LATER, draw) < 0.05, name


def test_three_states_fewer_and_the_same_parameters() -> None:
    full, reduced = kn.load_model(FULL), kn.load_model(REDUCED)
    assert (len(full.states), len(reduced.states)) == (20, 17)
    assert reduced.parameters.keys() == full.parameters.keys()
    assert full.stiff
    assert not reduced.stiff


def test_blood_tells_of_the_parameters_that_are_not_held() -> None:
    free = [k for k, q in kn.load_model(REDUCED).parameters.items() if not q.held]
    assert {"dK0", "drej", "uE", "N", "d2", "kapT", "il6_per_kill", "ifn_gamma_per_kill", "kg"} <= set(free)
    assert not {"phiL", "EU_T", "TN", "F_NK", "fP", "theta", "rho", "U50", "uH", "NH"} & set(free)
