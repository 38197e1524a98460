"""The prior that effects share: its coordinates by quadrature, its published properties, plans that ask
wrongly.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr
from scipy.stats import beta, halfcauchy, norm

from kinetics.errors import PlanError
from kinetics.model.priors import HalfCauchy, HalfNormal, Normal
from kinetics.plan.binding import bind
from kinetics.plan.covariate_columns import design_columns
from kinetics.plan.plan import plan_of
from kinetics.population.shrinkage import GLOBAL, ScaleMixture, Shrinkage
from kinetics.study.study import read_study

SHARED = Shrinkage("horseshoe", 0.5, 8, 24, 2.0, {"cmax": 1.2, "tmax": 0.3})
POINTS = np.array([-4.0, -1.7, -0.3, -0.01, 0.2, 1.0, 2.5, 5.0])


def coefficient(z: Any, tau: Any, shared: Shrinkage = SHARED, parameter: str = "cmax") -> Any:
    return shared.coefficients({"k": parameter}, {GLOBAL: tau, "shrink_z_k": z})["k"]


def over_local(f: Any, tau: float, parameter: str = "cmax") -> float:
    """The mean of f(s) over lambda ~ HalfCauchy(1), on the log scale, where it is (2/pi) / (x + 1/x)."""

    def integrand(y: float) -> float:
        free = SHARED.sigma[parameter] * tau * np.exp(y)
        return f(SHARED.slab_sd * free / np.hypot(SHARED.slab_sd, free)) / (np.pi * np.cosh(y))

    return quad(integrand, -30.0, 30.0, epsabs=1e-12, epsrel=1e-9, limit=400)[0]


# --- coordinates
# ---------------------------------------------------------------------------------------------


def test_the_coordinate_of_a_half_cauchy_has_its_rank_in_both_tails() -> None:
    prior, x = HalfCauchy(0.3), jnp.asarray([-9.0, -2.0, -1e-3, 0.0, 0.7, 3.0, 9.0])
    value = np.asarray(prior.of_normal(x))
    law = halfcauchy(scale=0.3)
    np.testing.assert_allclose(law.cdf(value[:4]), ndtr(x[:4]), rtol=1e-9)
    np.testing.assert_allclose(law.sf(value[3:]), ndtr(-x[3:]), rtol=1e-9)
    np.testing.assert_allclose(prior.to_normal(jnp.asarray(value)), x, atol=1e-9)
    slope = jax.vmap(jax.grad(prior.of_normal))(x)
    flat = np.asarray(prior.to_numpyro().log_prob(value)) + np.log(slope)
    np.testing.assert_allclose(flat, norm.logpdf(x), rtol=1e-9)


@pytest.mark.parametrize("tau", [1e-4, 0.05, 2.0])
def test_an_effect_has_the_rank_of_its_coordinate(tau: float) -> None:
    """By quadrature over the local scale, which the module sums in 71 points."""
    for z, value in zip(POINTS, np.asarray(coefficient(jnp.asarray(POINTS), tau)), strict=True):
        tail = over_local(lambda s, b=value: ndtr(-abs(b) / s), tau)
        assert np.log(tail) == pytest.approx(log_ndtr(-abs(z)), abs=2e-3)
        assert np.sign(value) == np.sign(z)


@pytest.mark.parametrize(("tau", "parameter"), [(0.01, "cmax"), (0.3, "tmax")])
def test_the_density_of_an_effect_is_the_mixture_over_its_local_scale(tau: float, parameter: str) -> None:
    for z in (-2.0, 0.5, 1.0, 3.0):
        value, slope = jax.value_and_grad(lambda z: coefficient(z, tau, parameter=parameter))(z)
        ours = norm.pdf(z) / float(slope)
        theirs = over_local(lambda s, b=float(value): norm.pdf(b / s) / s, tau, parameter)
        assert ours == pytest.approx(theirs, rel=2e-3)


def test_the_slopes_and_curvatures_of_an_effect_are_those_of_differences() -> None:
    h = 1e-5
    for z, tau in ((-1.5, 0.02), (0.4, 0.1), (2.0, 0.7)):
        for k in (0, 1):
            first = jax.grad(coefficient, k)
            step = np.eye(2)[k] * h
            up, down = (np.array([z, tau]) + sign * step for sign in (1, -1))
            by_hand = (float(coefficient(*up)) - float(coefficient(*down))) / (2 * h)
            assert float(first(z, tau)) == pytest.approx(by_hand, rel=1e-6)
            again = (float(first(*up)) - float(first(*down))) / (2 * h)
            assert float(jax.grad(first, k)(z, tau)) == pytest.approx(again, rel=1e-4, abs=1e-7)


def test_an_effect_far_out_or_of_no_scale_is_still_a_number() -> None:
    z, tau = np.meshgrid([-12.0, -1e-12, 0.0, 1e-6, 7.0, 12.0], np.exp([-40.0, -15.0, 0.0, 15.0]))
    assert np.isfinite(np.asarray(coefficient(jnp.asarray(z), jnp.asarray(tau)))).all()
    assert float(coefficient(0.0, 0.1)) == 0.0


def test_a_common_sd_multiplies_a_normal() -> None:
    shared = Shrinkage("normal", 0.5, 3, 12)
    assert shared.priors(["k"]) == {GLOBAL: HalfNormal(0.5), "shrink_z_k": Normal(0.0, 1.0)}
    assert float(coefficient(1.7, 0.2, shared)) == pytest.approx(0.34)
    # E tau^2 of |N(0, 0.5)|; P(|beta| < q) by quadrature over tau
    assert shared.marginal("any").variance == pytest.approx(0.25, rel=1e-6)
    inside = quad(lambda t: 2 * norm.pdf(t, scale=0.5) * (2 * ndtr(0.6 / t) - 1), 1e-12, 10)[0]
    assert shared.marginal("any").quantile(0.5 + inside / 2) == pytest.approx(0.6, rel=1e-4)


# --- what is published of it
# ---------------------------------------------------------------------------------


def wide(expected: float, count: int = 8) -> Shrinkage:
    return Shrinkage("horseshoe", 1e9, count, 24, expected, {"cmax": 1.3})


@pytest.mark.parametrize("expected", [0.5, 2.0, 5.0])
def test_at_tau0_the_effective_number_of_effects_is_what_was_expected(expected: float) -> None:
    """Piironen & Vehtari 2017, eq. 3.8 and 3.12: mean D a/(1+a), variance D a/(2 (1+a)^2), a = tau
    sqrt(n)/sigma.
    """
    shared = wide(expected)
    at = shared.given("cmax", shared.global_scale)
    kept = shared.kept("cmax", at.sds, 1.0)
    mean = float(at.weights @ kept)
    assert 8 * mean == pytest.approx(expected, rel=1e-6)
    a = shared.global_scale * np.sqrt(24)
    assert 8 * float(at.weights @ (kept - mean) ** 2) == pytest.approx(8 * a / (2 * (1 + a) ** 2), rel=1e-6)


def test_at_a_scale_of_one_the_shrinkage_has_the_shape_of_a_horseshoe() -> None:
    """kappa ~ Beta(1/2, 1/2) where tau = sigma/sqrt(n): much is kept, or nothing."""
    shared = wide(4.0)
    at = shared.given("cmax", 1 / np.sqrt(24))
    kept = shared.kept("cmax", at.sds, 1.0)
    for p in (0.1, 0.5, 0.9):
        below = float(at.weights @ (kept < p)) + 0.5 * float(at.weights @ (np.abs(kept - p) < 1e-12))
        assert below == pytest.approx(beta(0.5, 0.5).cdf(p), abs=0.05)


def test_the_slab_bounds_the_largest_effects() -> None:
    huge = SHARED.given("cmax", 1e9)
    assert huge.variance == pytest.approx(0.25, rel=1e-6)
    assert huge.quantile(0.95) == pytest.approx(0.5 * norm.ppf(0.95), rel=1e-6)
    assert SHARED.marginal("cmax").variance < 0.25


def test_a_smaller_between_subject_sd_expects_smaller_effects() -> None:
    assert SHARED.marginal("tmax").quantile(0.95) < 0.7 * SHARED.marginal("cmax").quantile(0.95)


def test_the_least_estimate_of_a_normal_prior_is_known() -> None:
    """Mean b v/(v + e^2) is 1.645 SDs sqrt(v e^2/(v + e^2)) where b = 1.645 e sqrt((v + e^2)/v)."""
    prior = ScaleMixture(np.array([0.5]), np.ones(1))
    assert prior.least(0.2) == pytest.approx(norm.ppf(0.95) * 0.2 * np.sqrt((0.25 + 0.04) / 0.25), rel=1e-9)
    assert prior.below_zero(prior.least(0.2), 0.2) == pytest.approx(0.05, rel=1e-9)
    assert SHARED.marginal("cmax").least(0.2) > prior.least(0.2)  # the horseshoe asks for more


# --- plans
# ---------------------------------------------------------------------------------------------------

CMAX = [{"covariate": "age"}, {"covariate": "sex"}, {"covariate": "dose_level", "form": "power", "sd": 0.4}]


def plan(**keys: Any) -> Any:
    content = {"model": "ogasawara_2021", "data": "synthetic_cart_12", "observe": {"car_copies": {}}}
    given = {"covariates": {"cmax": CMAX}, "shrinkage": {"prior": "horseshoe", "expected": 1}}
    return plan_of({**content, **given, **keys})


def test_the_sites_are_a_global_scale_and_a_coordinate_of_each_shrunk_effect() -> None:
    bound = bind(plan())
    priors = bound.priors()
    tau0 = 1 / (2 - 1) / np.sqrt(12)
    assert priors[GLOBAL] == HalfCauchy(float(tau0))
    assert priors["beta_cmax_dose_level"] == Normal(0.0, 0.4)  # an `sd` of its own keeps it out
    assert {k for k in priors if k.startswith("shrink_z_")} == {"shrink_z_cmax_age", "shrink_z_cmax_sex_male"}
    assert "beta_cmax_age" not in priors
    assert bound.hierarchy.shrinkage is not None
    assert bound.hierarchy.shrinkage.sigma == {"cmax": bound.hierarchy.omega["cmax"].median}


def test_the_column_of_a_shrunk_number_is_divided_by_the_subjects_sd_and_no_other() -> None:
    study = read_study("synthetic_cart_12")
    columns, effects, _ = design_columns(plan(), study)
    age = study.subjects["age"].to_numpy(float)
    np.testing.assert_allclose(columns["cmax_age"], (age - np.median(age)) / age.std())
    by_name = {e.name: e for e in effects}
    assert by_name["age"].unit == pytest.approx(age.std())
    assert set(columns["cmax_sex_male"]) == {0.0, 1.0}
    level = study.subjects["dose_level"].to_numpy(float)
    np.testing.assert_allclose(columns["cmax_dose_level"], np.log(level / np.median(level)))


def test_the_effect_moves_its_parameter_as_its_beta_says() -> None:
    bound = bind(plan())
    s = {k: jnp.asarray(p.median, float) for k, p in bound.priors().items()}
    s |= {f"eta_{k}": jnp.zeros(12) for k in bound.hierarchy.vary}
    s |= {"shrink_z_cmax_age": jnp.asarray(1.8)}
    value = float(bound.hierarchy.coefficients(s)["beta_cmax_age"])
    assert value > 0.1
    cmax = bound.theta(s, bound.data)["cmax"] / s["cmax_pop"]
    np.testing.assert_allclose(cmax, np.exp(value * bound.data.design["cmax_age"]), rtol=1e-9)


def test_named_parameters_alone_are_shrunk() -> None:
    both = {"cmax": [{"covariate": "age"}], "tmax": [{"covariate": "age"}, {"covariate": "weight_kg"}]}
    bound = bind(plan(covariates=both, shrinkage={"prior": "normal", "slab_sd": 0.3, "parameters": ["tmax"]}))
    assert {"beta_cmax_age", "shrink_z_tmax_age", "shrink_z_tmax_weight_kg"} <= set(bound.priors())


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"covariates": {}}, "the plan has no covariate without an `sd`"),
        ({"covariates": {"cmax": [CMAX[2]]}}, "the plan has no covariate without an `sd`"),
        (
            {"shrinkage": {"prior": "horseshoe", "expected": 2}},
            "2 effects are expected to matter, and there are 2",
        ),
        ({"vary": ["tmax"]}, "cmax does not vary between subjects"),
        ({"shrinkage": {"prior": "horseshoe"}}, "a horseshoe takes `expected`"),
        ({"shrinkage": {"prior": "normal", "expected": 1}}, "`expected` is the horseshoe's"),
        ({"shrinkage": {"prior": "horsehoe", "expected": 1}}, "horseshoe"),
    ],
)
def test_a_shared_prior_that_cannot_be_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        bind(plan(**keys))


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {"prior": "horseshoe", "expected": 5, "parameters": ["cmax", "tmax", "cmix"]}
    with pytest.raises(PlanError) as caught:
        bind(plan(shrinkage=wrong))
    said = str(caught.value)
    assert "no parameter 'cmix'" in said
    assert "did you mean 'cmax'" in said
    assert "tmax has no covariate without an `sd` of its own" in said
    assert "5 effects are expected to matter, and there are 2" in said
