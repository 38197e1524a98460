"""New patients: those of priors and of fits have the distributions they should, whichever way they are
drawn.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, norm, t

from kinetics.inference.fitting import Fit
from kinetics.model.model import Model, load_model
from kinetics.model.priors import HalfNormal, LogitNormal, LogNormal, Normal
from kinetics.plan.plan import plan_of
from kinetics.prediction.patients import (
    ParameterSource,
    _prior_value,
    independent_effects,
    numbered_patients,
    patients_of_each_draw,
    population_draws,
    typical_patients,
    virtual_population,
)
from kinetics.prediction.simulated_curves import simulation
from tests.support.fits import cart_fit, oral_fit, prior_fit
from tests.support.simulated_patients import known_fit


def drawn(
    model: str | Model, n: int, source: ParameterSource = "prior", seed: int = 0, **values: float
) -> dict[str, np.ndarray]:
    """Parameters alone, nothing solved."""
    model = load_model(model) if isinstance(model, str) else model
    patients = numbered_patients(virtual_population(model, source, values), seed)
    return {name: np.asarray(value) for name, value in patients(np.arange(1, n + 1)).items()}


@pytest.mark.parametrize(
    "prior", [LogNormal(3.0, 0.7), LogitNormal(0.2, 1.1), Normal(-2.0, 3.0), HalfNormal(0.4)]
)
def test_a_draw_from_a_prior_has_its_distribution(prior) -> None:
    z = jnp.linspace(-3, 3, 25)
    reached = prior.to_numpyro().cdf(_prior_value(prior, z))
    wanted = 2 * norm.cdf(np.abs(z)) - 1 if isinstance(prior, HalfNormal) else norm.cdf(z)
    np.testing.assert_allclose(reached, wanted, rtol=1e-6)


def test_prior_patients_vary_by_the_population_prior_and_by_the_prior_of_the_sd() -> None:
    """log cl ~ population SD 1 and omega ~ LogNormal(0.17132, 0.5), so E[omega^2] = 0.17132^2 exp(2
    0.5^2)."""
    n, omega = 20_000, 0.17132 * math.exp(0.25)
    free, held = drawn("one_compartment_iv", n), drawn("one_compartment_iv", n, cl=5.0)
    assert np.log(free["cl"]).mean() == pytest.approx(math.log(0.112693), abs=0.03)
    assert np.log(free["cl"]).std() == pytest.approx(math.hypot(1.0, omega), rel=0.02)
    assert np.log(held["cl"]).mean() == pytest.approx(math.log(5.0), abs=0.01)
    assert np.log(held["cl"]).std() == pytest.approx(omega, rel=0.05)
    assert abs(np.corrcoef(np.log(free["cl"]), np.log(free["v"]))[0, 1]) < 0.03
    np.testing.assert_array_equal(free["v"], held["v"])  # the others are who they were
    assert not np.array_equal(free["v"], drawn("one_compartment_iv", n, seed=1)["v"])


def test_a_parameter_without_a_published_sd_varies_by_its_population_value_alone() -> None:
    model = load_model("one_compartment_iv")
    alike = {name: replace(p, sd=None) for name, p in model.parameters.items()}
    found = drawn(replace(model, parameters=alike), 20_000)
    assert np.log(found["cl"]).std() == pytest.approx(1.0, rel=0.02)
    assert set(drawn(replace(model, parameters=alike), 9, cl=2.0)["cl"]) == {2.0}


def test_patients_of_a_fit_are_new_ones_around_its_population() -> None:
    fit = known_fit()
    model = fit.model
    found = drawn(model, 20_000, fit)
    for name, p in model.parameters.items():
        if name in fit.bound.hierarchy.vary and p.prior.link == "log":
            assert np.log(found[name]).mean() == pytest.approx(math.log(p.value), abs=0.03 * p.sd), name
            assert np.log(found[name]).std() == pytest.approx(p.sd, rel=0.02), name
    held = drawn(model, 20_000, fit, cmax=500.0)
    assert np.exp(np.log(held["cmax"]).mean()) == pytest.approx(500.0, rel=0.05)
    np.testing.assert_array_equal(held["tmax"], found["tmax"])


def test_what_does_not_vary_in_a_fit_is_one_of_its_draws_with_covariates_at_their_reference() -> None:
    fit = oral_fit()
    sites = fit.sites()
    draws = set(zip(np.round(sites["ke_pop"], 12), np.round(sites["cl_pop"], 12), strict=True))
    prepared = simulation("one_compartment_oral", study="theophylline", parameters=fit, patients=500)
    found = drawn(fit.model, 500, fit)
    pairs = set(zip(np.round(found["ke"], 12), np.round(found["cl"], 12), strict=True))
    assert pairs <= draws  # both of the same draw, and no cl of 70 kg
    assert len(pairs) > 50  # of 60
    assert len(set(found["ka"])) == 500
    assert prepared.notes == (
        "held at the reference of the fit, whatever the doses and weights: allometry of cl",
    )
    assert prepared.population.source == "fit oral"
    held = drawn(fit.model, 9, fit, ke=0.5)
    assert set(held["ke"]) == {0.5}
    np.testing.assert_array_equal(held["cl"], found["cl"][:9])


# --- both ways ------------------------------------------------------------------------------------------


@cache
def correlated_fit() -> Fit:
    """Cmax and Tmax go together, and the half-life of contraction has heavy tails."""
    effects = {"correlated": [["cmax", "tmax"]], "tails": {"half_life_contraction": 3.0}}
    return prior_fit(plan_of(cart_fit().bound.plan.resolved() | {"effects": effects}))


def one_draw() -> dict[str, np.ndarray]:
    """The first posterior draw, with a correlation of 0.6."""
    return population_draws(correlated_fit(), 1) | {"corr_cmax_tmax": np.array([0.6])}


def by_number(n: int) -> dict[str, np.ndarray]:
    population = virtual_population(correlated_fit().model, correlated_fit())
    assert population.posterior is not None
    sites = {name: values for name, values in one_draw().items() if name in population.posterior}
    patients = numbered_patients(replace(population, posterior=sites), seed=4)(np.arange(1, n + 1))
    return {name: np.asarray(values) for name, values in patients.items()}


def by_draw(n: int) -> dict[str, np.ndarray]:
    fit = correlated_fit()
    design = {name: np.zeros(n) for name in fit.bound.data.design}
    patients = patients_of_each_draw(fit, one_draw(), design, n, np.random.default_rng(4))
    return {name: values[0] for name, values in patients.items()}


@pytest.mark.parametrize("drawn_patients", [by_number, by_draw])
def test_random_effects_of_new_patients_are_correlated_and_have_the_tails_of_the_plan(drawn_patients) -> None:
    h, sites, n = correlated_fit().bound.hierarchy, one_draw(), 20_000
    assert h.correlated == (("cmax", "tmax"),)
    assert dict(h.tails) == {"half_life_contraction": 3.0}
    theta = drawn_patients(n)
    eta = {k: np.log(theta[k] / sites[f"{k}_pop"]) / sites[f"omega_{k}"] for k in h.vary}
    assert np.corrcoef(eta["cmax"], eta["tmax"])[0, 1] == pytest.approx(0.6, abs=0.02)
    assert eta["tmax"].std() == pytest.approx(1.0, abs=0.02)
    assert kstest(eta["cmax"], norm.cdf).pvalue > 0.01
    assert kstest(eta["half_life_contraction"], t(3).cdf).pvalue > 0.01


def test_every_posterior_draw_has_as_many_patients_and_a_typical_one_has_its_population_values() -> None:
    fit = correlated_fit()
    sites, design = population_draws(fit, 5), {name: np.zeros(3) for name in fit.bound.data.design}
    patients = patients_of_each_draw(fit, sites, design, 3, np.random.default_rng(0))
    typical = typical_patients(fit, sites, design, 3)
    for name in fit.bound.hierarchy.vary:
        assert len(set(patients[name].ravel())) == 15
        population = np.repeat(sites[f"{name}_pop"][:, None], 3, axis=1)
        np.testing.assert_allclose(typical[name], population, rtol=1e-12)


def test_effects_are_drawn_in_the_order_of_the_hierarchy_and_only_a_mixture_has_classes() -> None:
    h, rng = known_fit().bound.hierarchy, np.random.default_rng(8)
    effects, chance = independent_effects(h, (2, 3), np.random.default_rng(8))
    np.testing.assert_array_equal(effects, [rng.standard_normal((2, 3)) for _ in h.vary])
    assert chance is None
    effects, chance = independent_effects(replace(h, probability=LogitNormal(0.3, 1.0)), (2, 3), rng)
    assert chance is not None
    assert chance.shape == effects.shape[1:]
    assert ((chance > 0) & (chance < 1)).all()
