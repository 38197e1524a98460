"""Virtual patients: those of priors and of fits have the distributions they should."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from kinetics.distributions import HalfNormal, LogitNormal, LogNormal, Normal
from kinetics.fit import Fit
from kinetics.model import Model, load_model
from kinetics.plan import plan_of
from kinetics.simulate import simulation
from kinetics.virtual import _drawn, patients_of, population
from tests.test_predict import known_fit, prior_fit


@cache
def oral_fit() -> Fit:
    """Sixty draws; only ka varies, and cl grows with body weight from 1 kg."""
    plan = {"model": "one_compartment_oral", "data": "theophylline", "name": "oral", "vary": ["ka"]}
    plan |= {"observe": {"theophylline": {"likelihood": "additive"}}}
    return prior_fit(plan_of(plan | {"allometry": {"cl": {"exponent": 1.0, "reference": 1.0}}}))


def drawn(
    model: str | Model, n: int, source="prior", seed: int = 0, **values: float
) -> dict[str, np.ndarray]:
    """Parameters alone, nothing solved."""
    model = load_model(model) if isinstance(model, str) else model
    found = patients_of(population(model, source, values), seed)(np.arange(1, n + 1))
    return {name: np.asarray(value) for name, value in found.items()}


@pytest.mark.parametrize(
    "prior", [LogNormal(3.0, 0.7), LogitNormal(0.2, 1.1), Normal(-2.0, 3.0), HalfNormal(0.4)]
)
def test_a_draw_from_a_prior_has_its_distribution(prior) -> None:
    z = jnp.linspace(-3, 3, 25)
    reached = prior.to_numpyro().cdf(_drawn(prior, z))
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
