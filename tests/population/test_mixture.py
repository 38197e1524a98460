"""Two classes of subjects: the density summed over them, who is drawn into which, and a mixture that is
found again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from kinetics.checks import log_likelihoods as pointwise
from kinetics.checks.calibration.prior_study import PriorStudy
from kinetics.checks.log_likelihoods import record_log_likelihoods, subject_log_likelihoods
from kinetics.errors import PlanError
from kinetics.inference.fitting import Fit, fit
from kinetics.inference.nuts import sites_of
from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.plan.binding import BoundFit
from kinetics.population.hierarchy import class_log_joint, effects_log_prob, individual
from kinetics.prediction.patients import parameters_from_effects
from tests.support.fits import written_posterior
from tests.support.linear import COEFFICIENTS, MODEL, linear_study

SHIFT = {"distribution": "Normal", "mean": 6.0, "sd": 2.0}
MIXTURE = {"mixture": {"shifts": {"a": SHIFT}}}
SITES = {"omega_a": 0.8, "omega_b": 1.2, "omega_c": 0.6, "shift_a": 5.0, "prob_class": 0.25}


@cache
def bound() -> BoundFit:
    return linear_study().bound(**MIXTURE)


@cache
def posterior() -> Posterior:
    return Posterior(bound())


def population() -> dict[str, jax.Array]:
    medians = {k: p.median for k, p in bound().priors().items()}
    return {k: jnp.asarray(v, float) for k, v in (medians | SITES).items()}


def test_the_density_of_random_effects_is_summed_over_the_classes() -> None:
    eta = np.random.default_rng(1).normal(0, 3, (3, 12))
    h, s = bound().hierarchy, population()
    each = stats.norm.logpdf(eta).sum(axis=0)
    moved = stats.norm.logpdf(eta[0] - 5.0 / 0.8) + stats.norm.logpdf(eta[1:]).sum(axis=0)
    by_hand = special.logsumexp([np.log(0.75) + each, np.log(0.25) + moved], axis=0)
    np.testing.assert_allclose(effects_log_prob(h, s, jnp.asarray(eta)), by_hand, rtol=1e-12)
    known = s | {"class": jnp.ones(12)}
    np.testing.assert_allclose(effects_log_prob(h, known, jnp.asarray(eta)), each, rtol=1e-12)


def coordinates(share: np.ndarray) -> Coordinates:
    rng, d, n = np.random.default_rng(2), 3, 12
    root = rng.standard_normal((n, d, d))
    information = np.moveaxis(root @ root.swapaxes(1, 2), 0, -1)
    plain = posterior().plain()
    return Coordinates(
        plain.centre,
        plain.scale,
        rng.standard_normal((d, n)),
        rng.standard_normal((d, n)),
        information,
        share,
    )


def test_the_volume_of_coordinates_with_shares_is_that_of_their_map() -> None:
    share, u = np.linspace(0, 1, 12), jnp.asarray(np.random.default_rng(3).standard_normal((3, 12)))
    p = posterior()
    data = bound().data
    at = coordinates(share)
    s = population()
    _, log_volume = p.effects(s, u, data, at)
    jacobian = jax.jacrev(lambda u: p.effects(s, u, data, at)[0])(u)
    own = np.stack([np.asarray(jacobian)[:, i, :, i] for i in range(12)])
    np.testing.assert_allclose(np.linalg.slogdet(own)[1], log_volume, rtol=1e-10)
    without = p.effects(s, u, data, coordinates(np.zeros(12)))[0]
    assert float(jnp.max(jnp.abs(without - p.effects(s, u, data, at)[0]))) > 0.1


def test_classes_are_drawn_with_their_probability_and_name_the_same_parameters() -> None:
    p, b = posterior(), bound()
    plain = p.plain()
    z = (
        jnp.asarray(np.random.default_rng(4).normal(0, 1, p.size))
        .at[p.population : p.population + 12]
        .mul(5.0)
    )
    keys = jax.random.split(jax.random.key(5), 4000)
    drawn = jax.jit(jax.vmap(lambda k: sites_of(p, z, k, b.data, plain)))(keys)
    v, u = p.split(z)
    s, _ = p.sites(jnp.asarray(plain.centre + plain.scale @ v))
    effects, _ = p.effects(s, u, b.data, plain)
    eta = effects / p.omega(s)[:, None]
    chance = np.asarray(jax.nn.softmax(class_log_joint(b.hierarchy, s, eta), axis=0))[1]
    error = np.abs(np.asarray(drawn["class"]).mean(axis=0) - chance)
    assert np.all(error < 4.5 * np.sqrt(chance * (1 - chance) / 4000) + 1e-9)
    assert np.ptp(np.asarray(drawn["class"])) == 1.0
    theta = jax.vmap(lambda s: individual(b.hierarchy, MODEL, s, b.data.design, 12))(drawn)
    link = np.asarray(p.centres(s, b.data) + effects)
    for i, name in enumerate(COEFFICIENTS):
        np.testing.assert_allclose(theta[name], np.broadcast_to(link[i], (4000, 12)), atol=1e-9)


def test_plans_of_a_mixture_are_checked() -> None:
    with pytest.raises(PlanError, match="no parameter 'aa'"):
        linear_study().bound(mixture={"shifts": {"aa": SHIFT}})
    with pytest.raises(PlanError, match="give it a Normal"):
        linear_study().bound(mixture={"shifts": {"a": {"median": 2.0, "sd": 1.0}}})
    with pytest.raises(PlanError, match="give it a LogitNormal"):
        linear_study().bound(mixture={"shifts": {"a": SHIFT}, "probability": {"median": 0.2, "sd": 1.0}})


@pytest.mark.fit
@pytest.mark.slow
def test_three_subjects_far_from_the_others_are_found_and_thinning_keeps_every_third_draw() -> None:
    """Three of twelve lie 8 between-subject SDs above: no other explanation is in reach."""
    study = linear_study().study
    far = list(study.subject_ids)[:3]
    seen = study.observations
    value = seen["value"].where(~seen["subject"].isin(far), seen["value"] + 6.5)
    moved = replace(study, observations=seen.assign(value=value))
    sampler = {"chains": 2, "warmup": 200, "draws": 300, "chunk": 100, "target_accept": 0.9}
    content: dict[str, Any] = {**bound().plan.resolved(), "seed": 3}
    found = _fitted(content, sampler, moved)
    sites = found.sites()
    share = sites["class"].mean(axis=0)
    assert share[:3].min() > 0.9
    assert share[3:].max() < 0.1
    assert np.quantile(sites["shift_a"], 0.01) < 6.5 < np.quantile(sites["shift_a"], 0.99)
    rng, design = np.random.default_rng(6), found.bound.data.design
    population = {k: sites[k] for k in found.bound.priors()}
    effects = rng.standard_normal((len(COEFFICIENTS), 600, 12))
    new = parameters_from_effects(found, population, design, effects, rng.uniform(size=(600, 12)))
    typical = parameters_from_effects(found, population, design, effects)
    assert (new["a"] - typical["a"] >= 0).all()
    high = new["a"] > np.median(sites["a_pop"]) + 0.5 * np.median(sites["shift_a"])
    expected = float(np.mean(sites["prob_class"]))
    assert abs(high.mean() - expected) < 0.05
    thinned = _fitted(content, {**sampler, "draws": 100, "thin": 3, "chunk": 100}, moved).sites()
    every = found.posterior["posterior"]["a_pop"].to_numpy()[:, 2::3]
    np.testing.assert_allclose(thinned["a_pop"].reshape(2, 100), every, rtol=1e-12)


def written(second: int = 3, draws: int = 40) -> Fit:
    """A posterior at `population`, each subject around its conditional mean; the first few of the second
    class.
    """
    b, rng = bound(), np.random.default_rng(7)
    labels = (np.arange(12) < second) * np.ones((draws, 1))
    sites = {k: np.full(draws, float(v)) for k, v in population().items()} | {"class": labels}
    means = linear_study().blups(population(), b)
    for k, mean in zip(COEFFICIENTS, means, strict=True):
        sites[f"eta_{k}"] = mean / SITES[f"omega_{k}"] + rng.normal(0, 0.5, (draws, 12))
    theta = jax.vmap(lambda s: b.theta(s, b.data))({k: jnp.asarray(v) for k, v in sites.items()})
    return written_posterior(b, sites | {k: np.asarray(v) for k, v in theta.items()})


def test_records_are_judged_in_the_class_of_each_draw() -> None:
    fit = written()
    found = record_log_likelihoods(fit).values.reshape(40, -1)
    sites = fit.sites()
    one = {k: jnp.asarray(sites[k][5]) for k in fit.bound.site_names()}
    (expected,) = fit.bound.record_log_likelihood(one, fit.bound.data).values()
    assert found[5].sum() == pytest.approx(float(jnp.sum(expected)), rel=1e-9)
    (first,) = fit.bound.record_log_likelihood(one | {"class": jnp.zeros(12)}, fit.bound.data).values()
    assert abs(found[5].sum() - float(jnp.sum(first))) > 1.0


@pytest.mark.parametrize("share", [0.15, 0.9], ids=["around_the_subject", "of_the_population"])
def test_a_new_subjects_likelihood_is_that_of_both_classes(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Normal records given the class: the exact marginal likelihood is a mixture of two multivariate
    normals.
    """
    monkeypatch.setattr(pointwise, "_PRIOR_SHARE", share)
    fit, linear, sites = written(second=0), linear_study(), {k: float(v) for k, v in population().items()}
    integrated = subject_log_likelihoods(fit, points=4096, seed=1)
    found, error = integrated.values.reshape(40, -1)[0], integrated.error
    assert np.median(error) < 0.1
    for i in range(12):
        residual, _, covariance = linear.of_subject(i, sites, fit.bound)
        normal = stats.multivariate_normal(cov=covariance)
        second = normal.logpdf(residual - sites["shift_a"])
        exact = np.logaddexp(np.log(0.75) + normal.logpdf(residual), np.log(0.25) + second)
        assert found[i] == pytest.approx(exact, abs=4.5 * error[i]), i


def test_studies_drawn_from_the_priors_have_both_classes() -> None:
    drawn = [PriorStudy.of(bound()).draw(1, i) for i in range(60)]
    share = np.array([np.mean(d.sites["class"]) for d in drawn])
    chance = np.array([float(d.sites["prob_class"]) for d in drawn])
    assert abs(share.mean() - chance.mean()) < 4 * np.sqrt(0.25 / (60 * 12))
    assert share.max() > 0
    tops = [np.max(np.asarray(d.data.observations.assays["theophylline"].value)) for d in drawn]
    assert len(set(np.round(tops, 6))) == 60


def _fitted(content: dict[str, Any], sampler: dict[str, Any], study: Any) -> Any:
    keys = {k: v for k, v in content.items() if k not in ("model", "data", "name", "sampler")}
    return fit(MODEL, study, **keys, sampler=sampler)
