"""The flat posterior: the density of the sites times the volume of the map, in all coordinates."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density

from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.model.priors import Correlation, HalfCauchy, HalfNormal, LogitNormal, LogNormal
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from kinetics.study.study import read_study
from tests.support.linear import COEFFICIENTS, linear_study

HALF = {"distribution": "HalfNormal", "scale": 0.8}
PLANS: dict[str, dict[str, Any]] = {
    "correlated": {
        "vary": ["tmax", "cmax", "fb", "half_life_contraction", "doubling_time"],
        "effects": {
            "correlated": [["fb", "tmax", "cmax"], ["doubling_time", "half_life_contraction"]],
            "concentration": 1.6,
        },
        "omega": {"fb": HALF},
    },
    "heavy tails": {
        "vary": ["tmax", "cmax", "fb"],
        "effects": {"correlated": [["tmax", "cmax"]], "tails": {"fb": 4.0}},
    },
    "a correlation of errors": {
        "vary": ["cmax"],
        "correlated": {"analytes": ["car_copies", "car_cells"], "concentration": 1.5},
        "covariates": {"cmax": [{"covariate": "dose_level", "form": "power", "centre": 3e7}]},
    },
    "nobody varies": {"vary": []},
    "by cycle": {"vary": ["cmax", "fb"], "gamma": {"cmax": HALF, "tmax": {"median": 0.2, "sd": 0.5}}},
    "centred": {
        "vary": ["tmax", "cmax", "fb", "half_life_contraction"],
        "effects": {"centred": ["cmax", "half_life_contraction"], "correlated": [["fb", "tmax"]]},
    },
    "all centred": {"vary": ["cmax"], "effects": {"centred": ["cmax"]}},
    "horseshoe": {
        "vary": ["tmax", "cmax"],
        "covariates": {
            "cmax": [{"covariate": "age"}, {"covariate": "weight_kg"}],
            "tmax": [{"covariate": "age"}, {"covariate": "weight_kg", "sd": 0.2}],
        },
        "shrinkage": {"prior": "horseshoe", "expected": 1, "slab_sd": 0.4},
    },
    "common SD": {
        "vary": ["tmax", "cmax"],
        "covariates": {
            "cmax": [{"covariate": "age"}, {"covariate": "weight_kg"}],
            "tmax": [{"covariate": "age"}, {"covariate": "weight_kg", "sd": 0.2}],
        },
        "shrinkage": {"prior": "normal"},
    },
}


@cache
def posterior_of(name: str) -> Posterior:
    """One of PLANS, for three subjects of the synthetic study."""
    study = read_study("synthetic_cart_12")
    some = study.subject_ids[::4]
    doses, seen = (t[t["subject"].isin(some)] for t in (study.doses, study.observations))
    study = replace(study, subjects=study.subjects.loc[some], doses=doses, observations=seen)
    content = {
        "model": "ogasawara_2021",
        "data": "synthetic_cart_12",
        "observe": {"car_copies": {}, "car_cells": {}},
    }
    return Posterior(bind(plan_of({**content, **PLANS[name]}), study=study))


def coordinates_of_numbers(posterior: Posterior, seed: int = 1) -> Coordinates:
    """Coordinates with information, every entry made up."""
    rng, d, n = np.random.default_rng(seed), len(posterior.vary), posterior.subjects
    root = rng.standard_normal((d, d, n))
    return Coordinates(
        posterior.plain().centre + 0.1 * rng.standard_normal(posterior.population),
        0.3 * np.eye(posterior.population)
        + 0.05 * np.tril(rng.standard_normal((posterior.population,) * 2), -1),
        np.asarray(posterior.centres(typical(posterior), posterior.bound.data))
        + 0.1 * rng.standard_normal((d, n)),
        rng.standard_normal((d, n)),
        np.einsum("iks,jks->ijs", root, root),
        spread=np.exp(rng.standard_normal((d, n))),
        cross=0.1 * rng.standard_normal((d, n, posterior.population)),
        origin=posterior.plain().centre,
    )


def typical(posterior: Posterior) -> dict[str, Any]:
    return {k: jnp.asarray(p.median, float) for k, p in posterior.priors.items()}


def both_coordinates(name: str) -> list[Coordinates]:
    posterior = posterior_of(name)
    informed = [coordinates_of_numbers(posterior)] if posterior.vary else []
    return [posterior.plain(), *informed]


def sites_of(posterior: Posterior, z: Any, coordinates: Coordinates) -> dict[str, Any]:
    v, u = posterior.split(z)
    g, coordinates = posterior.placed(v, coordinates)
    s, _ = posterior.sites(g)
    b, _ = posterior.effects(s, u, posterior.bound.data, coordinates)
    return posterior.with_effects(s, b)


def flat(posterior: Posterior, sites: dict[str, Any]) -> Any:
    """The sites as one vector, each on its own scale, without the effects computed from others."""
    computed = {effect.site for effect in posterior.h.shrunk}
    return jnp.concatenate([jnp.ravel(v) for k, v in sorted(sites.items()) if k not in computed])


@cache
def densities(name: str) -> Any:
    """Compiled: the flat density, the density of the sites, log |d sites / d z| by differentiation of
    every site.
    """
    posterior = posterior_of(name)

    def every(z: Any, data: Any, coordinates: Coordinates) -> tuple[Any, Any, Any]:
        jacobian = jax.jacrev(lambda z: flat(posterior, sites_of(posterior, z, coordinates)))(z)
        assert jacobian.shape == (posterior.size, posterior.size)
        sites = sites_of(posterior, z, coordinates)
        volume = jnp.linalg.slogdet(jacobian)[1]
        return posterior.log_density(z, data, coordinates), posterior.bound.log_density(sites, data), volume

    return jax.jit(every)


def log_scale(coordinates: Coordinates) -> float:
    """The constant by which the density of z is not normalised: the volume of the population's scale."""
    return float(np.linalg.slogdet(coordinates.scale)[1])


def point(posterior: Posterior, seed: int) -> Any:
    return jnp.asarray(0.7 * np.random.default_rng(seed).standard_normal(posterior.size))


@pytest.mark.parametrize("name", PLANS)
def test_the_density_of_a_point_is_that_of_its_sites_times_the_volume_of_the_map(name: str) -> None:
    posterior = posterior_of(name)
    data, seen = posterior.bound.data, []
    for coordinates in both_coordinates(name):
        for seed in (1, 2):
            z = point(posterior, seed)
            ours, of_sites, volume = (float(x) for x in densities(name)(z, data, coordinates))
            assert np.isfinite(ours)
            assert ours == pytest.approx(of_sites + volume - log_scale(coordinates), rel=1e-10, abs=1e-8)
            seen.append(ours)
    assert len(set(seen)) == len(seen)


def test_the_plans_of_this_file_hold_every_kind_of_prior_and_effect() -> None:
    priors = [p for name in PLANS for p in posterior_of(name).priors.values()]
    assert {type(p) for p in priors} >= {LogNormal, LogitNormal, HalfNormal, HalfCauchy, Correlation}
    assert any(isinstance(posterior_of("correlated").priors[f"omega_{k}"], HalfNormal) for k in ("fb",))
    assert posterior_of("correlated").population - len(posterior_of("correlated").names) == 3 + 1
    assert posterior_of("a correlation of errors").bound.pair is not None


@pytest.mark.parametrize("name", [name for name in PLANS if PLANS[name]["vary"] and "centred" not in name])
def test_two_sets_of_coordinates_describe_one_distribution(name: str) -> None:
    """At one value of all sites the log densities differ by the log volumes, and by no more."""
    posterior = posterior_of(name)
    plain, informed = both_coordinates(name)
    data = posterior.bound.data
    z = point(posterior, 3)
    sites = sites_of(posterior, z, informed)
    v, _ = posterior.split(z)
    g = informed.centre + informed.scale @ np.asarray(v)
    root = np.linalg.cholesky(np.asarray(posterior.h.correlation(sites)))
    eta = np.stack([np.asarray(sites[f"eta_{k}"]) for k in posterior.vary])
    other = jnp.concatenate([jnp.asarray(g - plain.centre), jnp.ravel(np.linalg.solve(root, eta))])
    again = sites_of(posterior, other, plain)
    for k, value in sites.items():
        np.testing.assert_allclose(again[k], value, rtol=1e-9, atol=1e-10, err_msg=k)
    found = [densities(name)(x, data, c) for x, c in ((z, informed), (other, plain))]
    (one, _, volume_one), (two, _, volume_two) = ([float(x) for x in each] for each in found)
    assert one - two == pytest.approx(volume_one - log_scale(informed) - volume_two, abs=1e-7)
    assert abs(volume_one - volume_two) > 1.0


@pytest.mark.parametrize("name", PLANS)
def test_unconstrained_undoes_sites(name: str) -> None:
    posterior = posterior_of(name)
    g = np.random.default_rng(5).standard_normal(posterior.population) + posterior.plain().centre
    sites, _ = posterior.sites(jnp.asarray(g))
    assert set(sites) == set(posterior.priors) | {effect.site for effect in posterior.h.shrunk}
    np.testing.assert_allclose(posterior.unconstrained(sites), g, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", PLANS)
def test_the_middle_of_the_plain_coordinates_is_every_priors_median(name: str) -> None:
    posterior = posterior_of(name)
    sites = sites_of(posterior, jnp.zeros(posterior.size), posterior.plain())
    for k, p in posterior.priors.items():
        assert float(sites[k]) == pytest.approx(p.median, rel=1e-9, abs=1e-12)
    assert not any(np.asarray(sites[f"eta_{k}"]).any() for k in posterior.vary)


def test_a_centred_coordinate_is_the_subjects_own_value_whatever_the_population_is() -> None:
    posterior = posterior_of("centred")
    data = posterior.bound.data
    coordinates = coordinates_of_numbers(posterior)
    z, other = point(posterior, 6), point(posterior, 7)
    other = jnp.concatenate([other[: posterior.population], z[posterior.population :]])
    values = []
    for each in (z, other):
        s, _ = posterior.sites(jnp.asarray(coordinates.centre + coordinates.scale @ posterior.split(each)[0]))
        b, _ = posterior.effects(s, posterior.split(each)[1], data, coordinates)
        values.append(np.asarray(b + posterior.centres(s, data)))
    at = [posterior.vary.index(k) for k in ("cmax", "half_life_contraction")]
    np.testing.assert_allclose(values[0][at], values[1][at], rtol=1e-10)
    assert np.abs(values[0] - values[1]).max(axis=1)[posterior.vary.index("fb")] > 1e-3


@pytest.mark.parametrize("name", ["correlated", "heavy tails", "centred", "horseshoe"])
def test_the_gradient_is_that_of_finite_differences_in_either_set_of_coordinates(name: str) -> None:
    posterior = posterior_of(name)
    z, h = point(posterior, 4), 1e-6  # a curve has corners: not across one
    for coordinates in both_coordinates(name):
        density = jax.jit(lambda z, at=coordinates: posterior.log_density(z, posterior.bound.data, at))
        slope = np.asarray(jax.jit(jax.grad(density))(z))
        by_hand = [(float(density(z + h * e)) - float(density(z - h * e))) / (2 * h) for e in np.eye(len(z))]
        np.testing.assert_allclose(slope, by_hand, rtol=1e-5, atol=1e-6 * np.abs(slope).max())


def as_numpyro(bound: BoundFit, tails: dict[str, float]) -> Any:
    """The linear mixed model written a second time, in NumPyro: correlated a and c, b by itself."""
    line = linear_study()
    n, powers = len(line.y), np.stack([line.time**k for k in range(3)])

    def model() -> None:
        s = {k: numpyro.sample(k, p.to_numpyro()) for k, p in bound.priors().items() if "corr" not in k}
        matrix = numpyro.sample("matrix", dist.LKJ(2, 1.3))
        two = numpyro.sample("two", dist.MultivariateNormal(jnp.zeros(2), matrix).expand([n]))
        law = dist.StudentT(tails["b"]) if tails else dist.Normal()
        eta = {"a": two[:, 0], "c": two[:, 1], "b": numpyro.sample("eta_b", law.expand([n]))}
        theta = {k: s[f"{k}_pop"] + s[f"omega_{k}"] * eta[k] for k in COEFFICIENTS}
        theta["a"] += s["beta_a_weight_kg"] * line.weight
        mean = jnp.sum(jnp.stack([theta[k] for k in COEFFICIENTS])[..., None] * powers, axis=0)
        numpyro.sample("y", dist.Normal(mean, s["sigma_add_theophylline"]), obs=line.y)

    return model


@pytest.mark.parametrize("tails", [{}, {"b": 5.0}], ids=["normal", "student"])
def test_the_density_of_the_sites_is_that_of_the_same_model_in_numpyro(tails: dict[str, float]) -> None:
    effects = {"correlated": [["a", "c"]], "concentration": 1.3, "tails": tails}
    bound = linear_study().bound(effects=effects)
    posterior, values = Posterior(bound), []
    for seed in (1, 2, 3):
        s = sites_of(posterior, point(posterior, seed), posterior.plain())
        theirs = {k: v for k, v in s.items() if k not in ("corr_a_c", "eta_a", "eta_c")}
        theirs["matrix"] = jnp.array([[1.0, s["corr_a_c"]], [s["corr_a_c"], 1.0]])
        theirs["two"] = jnp.stack([s["eta_a"], s["eta_c"]], axis=1)
        expected = float(log_density(as_numpyro(bound, tails), (), {}, theirs)[0])
        values.append(float(bound.log_density(s, bound.data)))
        assert values[-1] == pytest.approx(expected, rel=1e-10)
    assert np.ptp(values) > 1.0


def test_one_shape_of_data_and_coordinates_is_traced_once() -> None:
    posterior, traced = posterior_of("correlated"), []

    @jax.jit
    def density(z: Any, data: Any, coordinates: Coordinates) -> Any:
        traced.append(1)
        return posterior.log_density(z, data, coordinates)

    values = [
        float(density(point(posterior, seed), posterior.bound.data, coordinates_of_numbers(posterior, seed)))
        for seed in (1, 2, 3)
    ]
    assert len(traced) == 1
    assert len(set(values)) == 3


def test_a_prediction_that_fails_has_no_density_and_no_slope() -> None:
    posterior = posterior_of("by cycle")
    at = typical(posterior) | {"cmax_pop": jnp.asarray(np.inf)}
    b = jnp.zeros((len(posterior.vary), posterior.subjects))
    value = posterior.log_joint(at, b, posterior.bound.data)
    assert np.isneginf(np.asarray(value)).all()
