"""Between-cycle variability: courses with parameters of their own, in closed forms and in equations."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics as kn
from kinetics.checks.calibration.prior_study import PriorStudy
from kinetics.checks.log_likelihoods import subject_log_likelihoods
from kinetics.errors import PlanError
from kinetics.inference.fitting import Fit
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from kinetics.population.hierarchy import individual
from kinetics.prediction.records import simulate_records
from kinetics.regimen.schedule import Doses, doses_for
from kinetics.solve.courses import superposes
from kinetics.solve.solving import Solver, solve
from tests.support.fits import prior_fit

TWO = kn.Regimen.iv(cells=1e9, on=[0, 1]).repeat(every_days=14, times=2)
DAYS = np.tile(np.linspace(0.3, 27.0, 12), (2, 1))
TIGHT = Solver(rtol=1e-10, atol=1e-10, most=6000)


def given(name: str, **own: Any) -> tuple[kn.Model, Doses, dict[str, jax.Array]]:
    """A model, two subjects' doses in two cycles, and typical parameters with `own` ones of cycles."""
    model = kn.load_model(name)
    p = {k: jnp.full(2, v) for k, v in model.typical().items()}
    return model, doses_for(TWO, np.array([70.0, 60.0]), tuple(model.dosing)), p | own


def only(doses: Doses, course: int) -> Doses:
    here = doses.course == course
    return doses._replace(amount=np.where(here, doses.amount, 0.0), share=np.where(here, doses.share, 0.0))


@pytest.mark.parametrize("name", ["ogasawara_2021", "hardiansyah_2019"])
def test_cycles_with_the_same_parameters_change_nothing(name: str) -> None:
    model, doses, p = given(name)
    same = {f"{k}_cycle{c}": p[k] for k in list(p)[:3] for c in (1, 2)}
    before, after = (solve(model, DAYS, q, doses, solver=TIGHT) for q in (p, p | same))
    for output in before:
        np.testing.assert_allclose(after[output], before[output], rtol=1e-6)


def test_each_course_of_a_closed_form_has_its_own_curve() -> None:
    model, doses, p = given("ogasawara_2021")
    second = {"tmax": p["tmax"] * 1.3, "cmax": p["cmax"] * jnp.array([0.5, 3.0])}
    own = {f"{k}_cycle1": p[k] for k in second} | {f"{k}_cycle2": v for k, v in second.items()}
    together = solve(model, DAYS, p | own, doses)["copies"]
    one = solve(model, DAYS, p, only(doses, 0))["copies"]
    two = solve(model, DAYS, p | second, only(doses, 1))["copies"]
    np.testing.assert_allclose(together, one + two, rtol=1e-12)
    assert not np.allclose(together, solve(model, DAYS, p, doses)["copies"], rtol=0.05)


def test_an_output_reads_the_parameter_of_the_course_that_began_last() -> None:
    model, doses, p = given("ogasawara_2021")
    nc = p["nucleated_per_vcn"]
    own = {"nucleated_per_vcn_cycle1": nc, "nucleated_per_vcn_cycle2": 3 * nc}
    found = solve(model, DAYS, p | own, doses)
    ratio = np.asarray(found["cells"] / found["copies"]) / (6.6e-6 * 1000.0)
    np.testing.assert_allclose(ratio, np.where(DAYS > 14.0, 3.0, 1.0), rtol=1e-12)


def test_equations_take_up_a_courses_parameters_at_its_first_dose() -> None:
    """The second cycle of one solution is a solution of its own that starts from where the first one
    ended.
    """
    model, doses, p = given("nk_persistence")
    second = {"d0": p["d0"] * 1.7, "f_lung": jnp.array([0.2, 0.4])}
    own = {f"{k}_cycle1": p[k] for k in second} | {f"{k}_cycle2": v for k, v in second.items()}
    together = solve(model, DAYS, p | own, doses, ["cells"], solver=TIGHT)["cells"]
    days = DAYS[0]
    plain, late = (
        solve(model, DAYS, p, d, ["cells"], solver=TIGHT)["cells"] for d in (doses, only(doses, 1))
    )
    np.testing.assert_allclose(together[:, days <= 14.0], plain[:, days <= 14.0], rtol=1e-8)
    second_alone = solve(model, DAYS, p | second, only(doses, 1), ["cells"], solver=TIGHT)["cells"]
    after = days > 17.0  # the lungs are empty: what is left of the first cycle only grows or dies
    changed, as_before = (
        np.diff(np.log(np.asarray(whole - own)[:, after]), axis=1)
        for whole, own in ((together, second_alone), (plain, late))
    )
    np.testing.assert_allclose(changed, as_before - 0.7 * 0.25 * np.diff(days[after]), atol=1e-5)


def test_the_gradient_reaches_parameters_of_cycles() -> None:
    model, doses, p = given("nk_persistence")

    def total(x: Any, solver: Solver = Solver()) -> Any:  # noqa: B008
        own = {"d0_cycle1": p["d0"], "d0_cycle2": jnp.array([x, 0.25])}
        own |= {"f_lung_cycle1": p["f_lung"], "f_lung_cycle2": jnp.array([x, 0.3])}
        return jnp.sum(solve(model, DAYS, p | own, doses, ["copies"], solver=solver)["copies"])

    by_difference = (total(0.4 + 1e-4, TIGHT) - total(0.4 - 1e-4, TIGHT)) / 2e-4
    np.testing.assert_allclose(jax.grad(total)(0.4), by_difference, rtol=1e-4)


def test_only_curves_that_add_up_can_be_told_apart_by_course() -> None:
    doses = doses_for(TWO, np.array([70.0]), ())
    assert superposes(kn.load_model("stein_2019"), doses)
    assert superposes(kn.load_model("transit_2022"), doses)
    assert not superposes(kn.load_model("biphasic_decline"), doses)


HALF = {"distribution": "HalfNormal", "scale": 0.5}
PLAN: dict[str, Any] = {
    "model": "ogasawara_2021",
    "data": "synthetic_cart_12",
    "vary": ["cmax", "half_life_contraction"],
    "observe": {"car_copies": {}, "car_cells": {}},
    "gamma": {"cmax": HALF, "tmax": {"median": 0.2, "sd": 0.5}},
}


@cache
def bound() -> BoundFit:
    return bind(plan_of(PLAN))


@cache
def drawn() -> Fit:
    return prior_fit(plan_of(PLAN), draws=40)


def test_a_cycles_effect_is_added_on_the_link_scale() -> None:
    h = bound().hierarchy
    assert h.courses == 2
    assert h.vary[-4:] == ("cmax_cycle1", "cmax_cycle2", "tmax_cycle1", "tmax_cycle2")
    s = {k: jnp.asarray(p.median, float) for k, p in bound().priors().items()}
    s |= {f"eta_{k}": jnp.zeros(12) for k in h.vary}
    s |= {"eta_cmax": jnp.full(12, 0.5), "eta_cmax_cycle2": jnp.full(12, -1.0)}
    theta = individual(h, bound().model, s, bound().data.design, 12)
    between = float(s["omega_cmax"]) * 0.5
    np.testing.assert_allclose(theta["cmax"], 24000.0 * np.exp(between), rtol=1e-12)
    np.testing.assert_allclose(theta["cmax_cycle1"], theta["cmax"], rtol=1e-12)
    step = float(s["gamma_cmax"])
    np.testing.assert_allclose(theta["cmax_cycle2"], 24000.0 * np.exp(between - step), rtol=1e-12)


def test_what_follows_a_fit_knows_of_cycles() -> None:
    fit = drawn()
    assert {"cmax", "cmax_cycle1", "tmax_cycle2"} <= set(fit.theta())
    table = kn.parameter_table(fit).set_index("site")
    assert table.loc["gamma_cmax", "kind"] == "between-cycle SD"
    peaks = kn.exposure(fit, draws=20, by="cycle").query("analyte == 'car_copies'")
    sites = fit.sites(at_most=20)
    by_cycle = peaks.pivot(index=["draw", "subject"], columns="cycle", values="cmax")
    first = sites["cmax_cycle1"].ravel()
    alone = by_cycle["1"].to_numpy()
    assert np.all(
        alone <= first * 1.0001
    )  # two infusions peak below one of all cells, and before the next cycle
    assert np.median(alone / first) > 0.5
    replicated = simulate_records(fit, "car_copies", draws=10).latent
    assert np.isfinite(replicated).all()
    curves = kn.simulate(fit.model, TWO, patients=5, parameters=fit, seed=2)
    assert np.isfinite(curves["value"]).all()


def test_subjects_are_left_out_with_the_effects_of_their_cycles_integrated() -> None:
    found = subject_log_likelihoods(drawn(), draws=10, points=64)
    assert np.isfinite(found.values).all()
    conditional = subject_log_likelihoods(drawn(), draws=10, marginal=False)
    assert not np.allclose(found.values, conditional.values)


def test_a_study_is_drawn_with_effects_of_cycles() -> None:
    sites = PriorStudy.of(bound()).draw(1, 0).sites
    assert sites["eta_tmax_cycle2"].shape == (12,)
    assert not np.allclose(sites["eta_cmax_cycle1"], sites["eta_cmax_cycle2"])


def test_plans_whose_cycles_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(PlanError) as error:
        bind(plan_of({**PLAN, "gamma": {"cmx": HALF, "fb": HALF}, "fixed": {"fb": 0.01}}))
    said = str(error.value)
    assert "gamma: model ogasawara_2021 has no parameter 'cmx'" in said
    assert "gamma: fb is fixed" in said
    oral = {
        "model": "one_compartment_oral",
        "data": "theophylline",
        "observe": {"theophylline": {"likelihood": "additive"}},
    }
    with pytest.raises(PlanError) as error:
        bind(plan_of({**oral, "gamma": {"ka": HALF}, "vary": ["kaa"]}))
    assert "no subject has two courses" in str(error.value)  # told with whatever else is wrong
    assert "has no parameter 'kaa'" in str(error.value)
    with pytest.raises(PlanError, match="a standard deviation is above 0"):
        plan_of({**PLAN, "gamma": {"cmax": {"distribution": "Normal", "mean": 0, "sd": 1}}})
