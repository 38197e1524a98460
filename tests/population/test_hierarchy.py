"""Each subject's parameters from population values, covariates and random effects: against arithmetic by
hand.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from kinetics.model.model import Model, Output, Parameter, State
from kinetics.model.priors import Correlation, HalfNormal, LogitNormal, LogNormal, Normal, Prior
from kinetics.population.hierarchy import Effect, Hierarchy, centres, correlate, effects_log_prob, individual

PRIORS: dict[str, Prior] = {
    "cmax": LogNormal(2000.0, 1.3),
    "fb": LogitNormal(0.05, 1.0),
    "shift": Normal(-1.0, 2.0),
    "tlag": LogNormal(3.0, 0.4),
}
LINK = {"cmax": np.log, "fb": special.logit, "shift": lambda x: x, "tlag": np.log}
INVERSE = {"cmax": np.exp, "fb": special.expit, "shift": lambda x: x, "tlag": np.exp}
N = 4
ETA = np.array([-1.2, 0.0, 0.4, 2.1])
AGE = np.array([-10.0, 0.0, 5.0, 22.0])
SEX = np.array([0.0, 1.0, 0.0, 1.0])
WEIGHT = 0.75 * np.log(np.array([50.0, 70.0, 80.0, 110.0]) / 70.0)
DESIGN = {"age": jnp.array(AGE), "sex_male": jnp.array(SEX), "allometry_cmax": jnp.array(WEIGHT)}
POPULATION = {"cmax": 1500.0, "fb": 0.02, "shift": -0.7, "tlag": 2.5}


def model() -> Model:
    parameters = {k: Parameter(p.median, "1", p, source="test") for k, p in PRIORS.items()}
    output = Output(lambda y, p: y["x"], "1", "x")
    return Model({"x": State("x", "1", "blood")}, parameters, {"x": output}, lambda t, p, doses: {"x": t})


def hierarchy(**keys: object) -> Hierarchy:
    return Hierarchy(priors=PRIORS, omega={}, **keys)  # pyright: ignore


def population(**more: object) -> dict[str, jax.Array]:
    return {f"{k}_pop": jnp.asarray(v) for k, v in POPULATION.items()} | {
        k: jnp.asarray(v) for k, v in more.items()
    }


@pytest.mark.parametrize("name", PRIORS)
def test_a_parameter_that_does_not_vary_is_the_population_value_in_everyone(name: str) -> None:
    theta = individual(hierarchy(), model(), population(), {}, N)
    assert theta[name].shape == (N,)
    np.testing.assert_allclose(theta[name], POPULATION[name], rtol=1e-12)


@pytest.mark.parametrize("name", PRIORS)
def test_a_random_effect_adds_on_the_scale_of_the_link(name: str) -> None:
    h = Hierarchy(PRIORS, {name: HalfNormal(1.0)})
    by_hand = LINK[name](POPULATION[name]) + 0.6 * ETA
    theta = individual(h, model(), population(**{f"omega_{name}": 0.6, f"eta_{name}": ETA}), {}, N)
    np.testing.assert_allclose(theta[name], INVERSE[name](by_hand), rtol=1e-12)
    others = set(PRIORS) - {name}
    assert all(np.ptp(np.asarray(theta[k])) == 0.0 for k in others)


@pytest.mark.parametrize("name", PRIORS)
def test_covariates_add_their_coefficient_times_their_column(name: str) -> None:
    effects = (
        Effect(name, "age"),
        Effect(name, "sex_male"),
        Effect("tlag" if name != "tlag" else "cmax", "age"),
    )
    sites = {f"beta_{name}_age": 0.03, f"beta_{name}_sex_male": -0.4, effects[2].site: 9.0}
    theta = individual(hierarchy(effects=effects), model(), population(**sites), DESIGN, N)
    by_hand = INVERSE[name](LINK[name](POPULATION[name]) + 0.03 * AGE - 0.4 * SEX)
    np.testing.assert_allclose(theta[name], by_hand, rtol=1e-12)


def test_allometry_multiplies_by_a_fixed_power_of_relative_weight() -> None:
    theta = individual(hierarchy(scaled=("cmax",)), model(), population(), DESIGN, N)
    by_hand = 1500.0 * (np.array([50.0, 70.0, 80.0, 110.0]) / 70.0) ** 0.75
    np.testing.assert_allclose(theta["cmax"], by_hand, rtol=1e-12)


@pytest.mark.parametrize("name", PRIORS)
def test_a_fixed_parameter_needs_no_site_and_may_still_vary(name: str) -> None:
    sites = population(**{f"omega_{name}": 0.6, f"eta_{name}": ETA})
    del sites[f"{name}_pop"]
    fixed = hierarchy(fixed={name: 0.25})
    np.testing.assert_allclose(individual(fixed, model(), sites, {}, N)[name], 0.25, rtol=1e-12)
    varies = Hierarchy(PRIORS, {name: HalfNormal(1.0)}, fixed={name: 0.25})
    by_hand = INVERSE[name](LINK[name](0.25) + 0.6 * ETA)
    np.testing.assert_allclose(individual(varies, model(), sites, {}, N)[name], by_hand, rtol=1e-12)
    assert f"{name}_pop" not in varies.population_priors()


def test_everything_together_is_the_sum_of_its_parts() -> None:
    h = Hierarchy(
        PRIORS,
        {"cmax": HalfNormal(1.0)},
        effects=(Effect("cmax", "age"), Effect("cmax", "sex_male")),
        scaled=("cmax",),
    )
    sites = population(omega_cmax=0.6, eta_cmax=ETA, beta_cmax_age=0.03, beta_cmax_sex_male=-0.4)
    by_hand = np.log(1500.0) + 0.03 * AGE - 0.4 * SEX + WEIGHT + 0.6 * ETA
    np.testing.assert_allclose(individual(h, model(), sites, DESIGN, N)["cmax"], np.exp(by_hand), rtol=1e-12)
    found = centres(h, ("fb", "cmax"), sites, DESIGN, N)
    np.testing.assert_allclose(found[1], by_hand - 0.6 * ETA, rtol=1e-12)
    np.testing.assert_allclose(found[0], LINK["fb"](sites["fb_pop"]) * np.ones(N), rtol=1e-12)


def test_sites_are_named_as_monolix_names_them() -> None:
    h = Hierarchy(
        PRIORS,
        {"cmax": HalfNormal(1.0)},
        fixed={"tlag": 3.0},
        effects=(Effect("fb", "age", Normal(0.0, 0.2)),),
    )
    assert set(h.population_priors()) == {"cmax_pop", "fb_pop", "shift_pop", "omega_cmax", "beta_fb_age"}
    assert h.population_priors()["omega_cmax"] == HalfNormal(1.0)
    assert h.population_priors()["beta_fb_age"] == Normal(0.0, 0.2)


BLOCK = Hierarchy(
    PRIORS,
    {k: HalfNormal(1.0) for k in PRIORS},
    correlated=(("tlag", "cmax", "fb"),),
    concentration=1.7,
    tails={"shift": 5.0},
)
CORRELATIONS = {"corr_tlag_cmax": 0.5, "corr_tlag_fb": -0.3, "corr_cmax_fb": 0.2}
MATRIX = np.array([[1.0, 0.2, 0.0, 0.5], [0.2, 1.0, 0.0, -0.3], [0.0, 0.0, 1.0, 0.0], [0.5, -0.3, 0.0, 1.0]])


def test_correlations_are_named_in_the_order_of_the_block_and_placed_in_that_of_who_varies() -> None:
    priors = BLOCK.population_priors()
    assert {k for k in priors if k.startswith("corr_")} == set(CORRELATIONS)
    assert all(priors[k] == Correlation(1.7, 3) for k in CORRELATIONS)
    np.testing.assert_array_equal(BLOCK.correlation(population(**CORRELATIONS)), MATRIX)


@pytest.mark.parametrize("concentration", [0.7, 1.0, 2.0])
def test_the_density_of_a_block_of_correlations_is_the_power_of_its_determinant(concentration: float) -> None:
    """LKJ: p(R) = det(R)^(eta-1) / c, and for three c = 2^(sum k (2 eta - 2 + k)) prod B(a, a)^k, a = eta
    + (k-1)/2.
    """
    h = replace(BLOCK, concentration=concentration)
    log_c = sum(
        k * (2 * concentration - 2 + k) * np.log(2)
        + k * special.betaln(concentration + (k - 1) / 2, concentration + (k - 1) / 2)
        for k in (1, 2)
    )
    ours = float(h.correlation_log_prob(population(**CORRELATIONS)))
    by_hand = (concentration - 1) * np.linalg.slogdet(MATRIX)[1] - log_c
    assert ours == pytest.approx(by_hand, abs=1e-10)


def test_random_effects_are_multivariate_normal_in_a_block_and_student_where_tails_are_heavy() -> None:
    eta = np.random.default_rng(1).standard_normal((4, N))
    ours = effects_log_prob(BLOCK, population(**CORRELATIONS), jnp.array(eta))
    block = [3, 0, 1]
    by_hand = stats.multivariate_normal(cov=MATRIX[np.ix_(block, block)]).logpdf(eta[block].T)
    np.testing.assert_allclose(ours, by_hand + stats.t(5.0).logpdf(eta[2]), rtol=1e-10)


def test_independent_effects_are_mixed_into_those_of_the_correlation_matrix() -> None:
    mixed = correlate(BLOCK, population(**CORRELATIONS), jnp.eye(4))
    np.testing.assert_allclose(mixed @ mixed.T, MATRIX, atol=1e-12)
    z = jnp.array(np.random.default_rng(2).standard_normal((4, N)))
    np.testing.assert_array_equal(correlate(Hierarchy(PRIORS, BLOCK.omega), {}, z), z)


def test_independent_normal_effects_have_the_standard_normal_density() -> None:
    h = Hierarchy(PRIORS, {"cmax": HalfNormal(1.0), "fb": HalfNormal(1.0)})
    eta = np.stack([ETA, 2 * ETA])
    by_hand = stats.norm.logpdf(eta).sum(axis=0)
    np.testing.assert_allclose(effects_log_prob(h, {}, jnp.array(eta)), by_hand, rtol=1e-12)


def test_effects_of_a_batch_are_mixed_and_weighed_without_lapack() -> None:
    """Its calls in a large program of XLA:CPU wait for ever, now and then, on two cores
    (`inverse_factor`).
    """

    def both(s: dict[str, jax.Array], z: jax.Array) -> jax.Array:
        return effects_log_prob(BLOCK, s, correlate(BLOCK, s, z))

    draws = {
        k: jnp.broadcast_to(jnp.asarray(v), (3, *jnp.shape(v))) for k, v in population(**CORRELATIONS).items()
    }
    z = jnp.array(np.random.default_rng(3).standard_normal((3, 4, N)))
    program = jax.jit(jax.vmap(both)).lower(draws, z)
    assert "lapack" not in program.as_text()
    one = both({k: v[0] for k, v in draws.items()}, z[0])
    np.testing.assert_allclose(program.compile()(draws, z)[0], one, rtol=1e-12)
