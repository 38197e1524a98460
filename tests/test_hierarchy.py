"""Each subject's parameters from population values, covariates and random effects: against arithmetic by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import log_density
from scipy import special, stats

from kinetics.distributions import HalfNormal, LogitNormal, LogNormal, Normal, Prior
from kinetics.hierarchy import Effect, Hierarchy, centre_of, eta_of, individual, sample_sites
from kinetics.model import Model, Output, Parameter, State

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
@pytest.mark.parametrize("centred", [False, True], ids=["non_centred", "centred"])
def test_a_random_effect_adds_on_the_scale_of_the_link(name: str, centred: bool) -> None:
    h = Hierarchy(PRIORS, {name: HalfNormal(1.0)}, centred=(name,) if centred else ())
    by_hand = LINK[name](POPULATION[name]) + 0.6 * ETA
    sites = population(
        **{f"omega_{name}": 0.6}, **({f"link_{name}": by_hand} if centred else {f"eta_{name}": ETA})
    )
    theta = individual(h, model(), sites, {}, N)
    np.testing.assert_allclose(theta[name], INVERSE[name](by_hand), rtol=1e-12)
    np.testing.assert_allclose(eta_of(h, name, sites, {}), ETA, atol=1e-12)
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
        PRIORS, {"cmax": HalfNormal(1.0)}, effects=(Effect("cmax", "age"), Effect("cmax", "sex_male")), scaled=("cmax",)
    )  # fmt: skip
    sites = population(omega_cmax=0.6, eta_cmax=ETA, beta_cmax_age=0.03, beta_cmax_sex_male=-0.4)
    by_hand = np.log(1500.0) + 0.03 * AGE - 0.4 * SEX + WEIGHT + 0.6 * ETA
    np.testing.assert_allclose(individual(h, model(), sites, DESIGN, N)["cmax"], np.exp(by_hand), rtol=1e-12)
    np.testing.assert_allclose(centre_of(h, "cmax", sites, DESIGN), by_hand - 0.6 * ETA, rtol=1e-12)


def test_sites_are_named_as_monolix_names_them() -> None:
    h = Hierarchy(
        PRIORS, {"cmax": HalfNormal(1.0)}, fixed={"tlag": 3.0}, effects=(Effect("fb", "age", Normal(0.0, 0.2)),)
    )  # fmt: skip
    assert set(h.population_priors()) == {"cmax_pop", "fb_pop", "shift_pop", "omega_cmax", "beta_fb_age"}
    assert h.population_priors()["omega_cmax"] == HalfNormal(1.0)
    assert h.population_priors()["beta_fb_age"] == Normal(0.0, 0.2)
    seeded = numpyro.handlers.seed(sample_sites, jax.random.key(0))
    drawn = seeded(h, N, DESIGN)
    assert set(drawn) == {*h.population_priors(), "eta_cmax"}
    assert drawn["eta_cmax"].shape == (N,)
    assert drawn["cmax_pop"].shape == ()


@pytest.mark.parametrize("name", ["cmax", "fb", "shift"])
def test_centred_and_not_centred_are_one_density(name: str) -> None:
    """p(link) = p(eta)/omega: the joint log densities differ by the log Jacobian, N log omega, and by no more."""
    omega, effects = {name: HalfNormal(1.0)}, (Effect(name, "age"),)
    non = Hierarchy(PRIORS, omega, effects=effects)
    cen = Hierarchy(PRIORS, omega, effects=effects, centred=(name,))
    shared = population(**{f"omega_{name}": 0.6, f"beta_{name}_age": 0.03})
    a = shared | {f"eta_{name}": jnp.array(ETA)}
    b = shared | {f"link_{name}": centre_of(cen, name, shared, DESIGN) + 0.6 * ETA}
    lp_non, lp_cen = (
        float(log_density(lambda h: sample_sites(h, N, DESIGN), (h,), {}, s)[0]) for h, s in ((non, a), (cen, b))
    )  # fmt: skip
    assert lp_cen == pytest.approx(lp_non - N * np.log(0.6), abs=1e-9)
    for key, value in individual(non, model(), a, DESIGN, N).items():
        np.testing.assert_allclose(individual(cen, model(), b, DESIGN, N)[key], value, rtol=1e-10)
    np.testing.assert_allclose(eta_of(cen, name, b, DESIGN), eta_of(non, name, a, DESIGN), atol=1e-10)


def test_the_density_of_the_hierarchy_is_its_priors_by_scipy() -> None:
    h = Hierarchy(
        PRIORS, {"cmax": LogNormal(0.5, 0.5)}, effects=(Effect("cmax", "age"),), fixed={"tlag": 3.0}
    )
    sites = population(omega_cmax=0.6, eta_cmax=ETA, beta_cmax_age=0.03)
    del sites["tlag_pop"]
    by_hand = (
        stats.lognorm(1.3, scale=2000.0).logpdf(1500.0)
        + stats.norm(special.logit(0.05), 1.0).logpdf(special.logit(0.02)) - np.log(0.02) - np.log1p(-0.02)
        + stats.norm(-1.0, 2.0).logpdf(-0.7)
        + stats.lognorm(0.5, scale=0.5).logpdf(0.6)
        + stats.norm(0.0, 0.5).logpdf(0.03)
        + stats.norm.logpdf(ETA).sum()
    )  # fmt: skip
    ours = float(log_density(lambda: sample_sites(h, N, DESIGN), (), {}, sites)[0])
    assert ours == pytest.approx(by_hand, abs=1e-9)
