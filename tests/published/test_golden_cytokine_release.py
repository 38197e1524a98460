"""The closed form of cytokine_release is the block cytokine_crs on its release; what the turnover asks of
it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

NAMES = ["cytokine_release", "empirical_rise_and_fall"]
CYTOKINES = ["il6", "ifn_gamma"]
DAYS = np.concatenate([np.arange(-2, 32, 0.25), [60.0, 365.0, 2000.0]])
MODEL = kn.load_model("cytokine_release")


def curves(name: str = "cytokine_release", t=DAYS, doses=None, **change: float) -> dict[str, np.ndarray]:
    model = kn.load_model(name)
    theta = {k: np.array([change.get(k, v)]) for k, v in model.typical().items()}
    out = solve(model, np.asarray(t, float)[None], theta, doses or one_dose(), list(model.outputs))
    return {k: np.asarray(v)[0] for k, v in out.items()}


def release(t: jax.Array, p: dict[str, float], name: str) -> jax.Array:
    """Of one cytokine, of its height, as the docstring of the model has it, from the phases of burst and
    cells.
    """
    tlag, rho = p["lag_fraction"] * p["tmet"], np.log(2) / p["doubling_time"]
    tmax = p["tmet"] + p["overshoot"]
    tsat = p["tmet"] - p.get(f"{name}_plateau", 0.0) * (p["tmet"] - tlag)

    def rise(top: float) -> jax.Array:
        return jnp.exp(-rho * (top - jnp.clip(t, tlag, top)))

    half_life = p["release_half_life"] * p.get(f"{name}_half_life_ratio", 1.0)
    burst = rise(tsat) * 2 ** (-jnp.maximum(t - p["tmet"], 0) / half_life)
    after = jnp.maximum(t - tmax, 0)
    cells = (1 - p["fb"]) * 2 ** (-after / p["half_life_contraction"])
    cells = rise(tmax) * (cells + p["fb"] * 2 ** (-after / p["half_life_persistence"]))
    return (1 - p["lasting"]) * burst + p["lasting"] * cells


def by_the_block(t: np.ndarray, p: dict[str, float], name: str) -> np.ndarray:
    """The block `cytokine_crs`, its equations integrated: 1e10 cells a day are killed at the release's
    height.
    """
    clock = kn.Model(
        {"clock": kn.State("time", "day", site="whole body")},
        {},
        {},
        vector_field=lambda t, y, p: {"clock": 1.0},
        initial=lambda p: {"clock": 0.0},
        dosing={"iv": lambda p: {}},
    )
    block = kn.load_model("cytokine_crs", cytokines=(name,), drugs=False)
    joined = kn.compose(clock, block, links={"kill_flux": lambda y, _: 1e10 * release(y["clock"], p, name)})
    theirs = {f"{name}_{what}": p[f"{name}_{what}"] for what in ("baseline", "loss")}
    theirs[f"{name}_per_kill"] = p[f"{name}_loss"] * p[f"{name}_released"] / 1e10
    theta = {k: np.array([v]) for k, v in theirs.items()}
    solver = Solver(rtol=1e-9, atol=1e-9, most=8000)
    return np.asarray(solve(joined, t[None], theta, one_dose(), [name], solver=solver)[name])[0]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"cmax": 3000.0, "ifn_gamma_plateau": 0.6, "overshoot": 4.0, "lasting": 0.4},
        {
            "release_half_life": np.log(2) / 3.96,
            "ifn_gamma_half_life_ratio": 3.96 / 1.5102,
        },  # equal to the loss
        {"ifn_gamma_half_life_ratio": 0.4},
        {"half_life_contraction": np.log(2) / 1.51, "doubling_time": 0.3, "lag_fraction": 0.05, "fb": 0.1},
    ],
)
def test_the_closed_form_is_the_cytokine_block_driven_by_its_release(change: dict[str, float]) -> None:
    t = np.arange(0.0, 30.0, 0.25)
    seen = curves(t=t, **change)
    for name in CYTOKINES:
        np.testing.assert_allclose(seen[name], by_the_block(t, MODEL.typical() | change, name), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_before_the_dose_and_long_after_it_a_cytokine_is_at_its_baseline(name: str) -> None:
    seen, p = curves(name, fb=1e-6), kn.load_model(name).typical()
    for cytokine in CYTOKINES:
        base = p[f"{cytokine}_baseline"]
        assert (seen[cytokine][DAYS < 0] == base).all()
        assert seen[cytokine][-1] == pytest.approx(base, rel=1e-3)
        assert (seen[cytokine] >= base).all()
        assert seen[cytokine].max() > 10 * base


@pytest.mark.parametrize("name", NAMES)
def test_a_later_dose_shifts_the_curves_and_a_course_in_two_parts_is_their_weighted_sum(name: str) -> None:
    once, late = curves(name), curves(name, t=DAYS + 3, doses=one_dose(times=(3.0,)))
    both = curves(name, doses=one_dose(times=(0.0, 3.0), amounts=(1.0, 3.0), courses=(0, 0)))
    second = curves(name, doses=one_dose(times=(3.0,)))
    p = kn.load_model(name).typical() | {"cells_baseline": 0.0}
    for output, y in once.items():
        np.testing.assert_allclose(late[output], y, rtol=1e-12)
        base = p[f"{output}_baseline"]
        weighted = base + 0.25 * (y - base) + 0.75 * (second[output] - base)
        np.testing.assert_allclose(both[output], weighted, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_cells_are_those_of_ogasawara_2021(name: str) -> None:
    theirs, ours = kn.load_model("ogasawara_2021"), kn.load_model(name).typical()
    tlag = ours["lag_fraction"] * ours.get("tmet", ours.get("tmax", np.nan))
    tmax = ours["tmet"] + ours["overshoot"] if "tmet" in ours else ours["tmax"]
    same = {"cmax": 158.0 / 6.6e-3, "tmax": tmax, "lag_fraction": tlag / tmax}
    p = {k: np.array([v]) for k, v in (theirs.typical() | same).items()}
    expected = np.asarray(solve(theirs, DAYS[None], p, one_dose(), ["cells"])["cells"])[0]
    np.testing.assert_allclose(curves(name)["cells"], expected, rtol=1e-9)


def test_release_that_neither_grows_nor_ends_holds_the_level_released() -> None:
    held = curves(t=[300.0], lag_fraction=0.999, tmet=400.0, doubling_time=1e6, lasting=1e-9)["ifn_gamma"][0]
    assert held == pytest.approx(10.0 + 500.0, rel=1e-4)


def test_a_release_that_saturates_starts_earlier_and_ends_with_the_other() -> None:
    seen = curves(lasting=1e-9, ifn_gamma_plateau=0.5, il6_loss=50.0, ifn_gamma_loss=50.0)
    above = {
        k: (seen[k] - MODEL.typical()[f"{k}_baseline"]) / MODEL.typical()[f"{k}_released"] for k in CYTOKINES
    }
    early = (DAYS > 2) & (DAYS < 7)
    assert (above["ifn_gamma"][early] > 2 * above["il6"][early]).all()
    late = (DAYS > 10) & (DAYS < 30)
    np.testing.assert_allclose(above["ifn_gamma"][late], above["il6"][late], rtol=0.02)


@pytest.mark.parametrize("rate", [1.51 * (1 - 1e-9), 1.51, 1.51 * (1 + 5e-4), 1.51 * 1.01])
def test_the_slope_at_equal_rates_of_loss_and_fall_is_the_finite_difference(rate: float) -> None:
    t = jnp.array([12.0, 15.0, 25.0])

    def level(half_life: jax.Array) -> jax.Array:
        p = MODEL.typical() | {"release_half_life": half_life}
        doses = jax.tree.map(lambda x: jnp.asarray(x)[0], one_dose())
        assert MODEL.solution is not None
        return MODEL.solution(t, p, doses)["ifn_gamma"]

    at, h = jnp.log(2) / rate, 1e-4
    slope = jax.jacfwd(level)(at)
    finite = (level(at + h) - level(at - h)) / (2 * h)
    np.testing.assert_allclose(slope, finite, rtol=1e-5)
