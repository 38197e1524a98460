"""Leave-one-out and prior sensitivity where something is correlated: random effects, and records of one
blood draw.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t

from kinetics.checks.comparison import compare
from kinetics.checks.log_likelihoods import record_log_likelihoods, subject_log_likelihoods
from kinetics.checks.prior_sensitivity import sensitivity
from kinetics.inference.fitting import Fit
from kinetics.model.priors import Correlation
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from tests.support.fits import cart_fit, prior_fit, sampled_sites, written_posterior
from tests.support.normal_levels import NOISE, OMEGA, PEOPLE, level_fit, values

prior_module = import_module("kinetics.checks.prior_sensitivity")


@pytest.mark.parametrize("kind", ["correlated", "tails"])
def test_the_integral_knows_correlated_and_heavy_tailed_random_effects(kind):
    more = {"correlated": [["level", "idle"]]} if kind == "correlated" else {"tails": {"level": 3.0}}
    fit = effects_fit(more)
    found = subject_log_likelihoods(fit, points=512, draws=20).values[0]
    level = fit.posterior["posterior"]["level_pop"].to_numpy()[0]
    keep = np.linspace(0, len(level) - 1, 20).round().astype(int)
    eta = np.linspace(-12, 12, 4001)
    density = norm.pdf(eta) if kind == "correlated" else t.pdf(eta, 3.0)  # of the level alone
    for i, own in enumerate(np.split(values(fit.bound), PEOPLE)):
        records = norm.logpdf(own[:, None, None], level[keep][:, None] + OMEGA * eta, NOISE).sum(axis=0)
        truth = np.log(np.trapezoid(np.exp(records) * density, eta, axis=1))
        assert np.median(np.abs(found[:, i] - truth)) < 0.05
        assert np.mean(found[:, i] - truth) == pytest.approx(0.0, abs=0.1)


@cache
def _effects_fit(key: str) -> Fit:
    content = level_fit().bound.plan.resolved() | {"vary": ["level", "idle"], "effects": json.loads(key)}
    bound, sites, rng = bind(plan_of(content)), sampled_sites(level_fit()), np.random.default_rng(9)
    own = sites["eta_level"]
    sites |= {"omega_idle": np.ones(len(own)), "eta_idle": 0.7 * own + 0.7 * rng.standard_normal(own.shape)}
    if bound.hierarchy.correlated:  # as if nothing were known of it: concentration 2 is Beta(2, 2)
        sites |= {"corr_level_idle": 2 * rng.beta(2.0, 2.0, len(own)) - 1}
    return written_posterior(bound, sites)


def effects_fit(effects: dict[str, Any]) -> Fit:
    """The level's posterior, with random effects of another kind."""
    return _effects_fit(json.dumps(effects))


@cache
def drawn_together(*, correlated: bool) -> Fit:
    """The demo with times of whole days, at which both assays are of one blood draw."""
    found = cart_fit().study
    days = found.observations.assign(time=found.observations["time"].round())
    pair = {"correlated": {"analytes": ["car_copies", "car_cells"]}} if correlated else {}
    content = cart_fit().bound.plan.resolved() | {"name": "pair" if correlated else "apart"} | pair
    return prior_fit(plan_of(content), study=replace(found, observations=days))


def test_correlated_records_of_one_blood_draw_are_one_unit():
    fit = drawn_together(correlated=True)
    found = record_log_likelihoods(fit, draws=5)
    counts = found.units["analyte"].value_counts()
    two = found.units["analyte"] == "car_copies and car_cells"
    records = fit.study.observations
    records = records[records["analyte"].isin(["car_copies", "car_cells"])]
    visits = records.groupby(["subject", "time"]).size()
    assert counts["car_copies and car_cells"] == (visits == 2).sum() > 20
    assert len(found.units) == len(visits)
    assert {"none and none", "left and left"} <= set(found.units["censored"][two])
    whole = subject_log_likelihoods(fit, marginal=False, draws=5)
    sums = [
        found.values[:, :, (found.units["subject"] == s).to_numpy()].sum(axis=-1)
        for s in whole.units["subject"]
    ]
    np.testing.assert_allclose(np.stack(sums, axis=-1), whole.values, rtol=1e-12)
    assert whole.units["records"].sum() == len(records)
    apart = record_log_likelihoods(drawn_together(correlated=False), draws=5)
    assert len(apart.units) == len(records)


def test_a_fit_with_a_correlated_pair_is_compared_on_the_units_that_both_have():
    fits = [drawn_together(correlated=c) for c in (True, False)]
    found = compare(fits, draws=20)
    assert len(found.units) == len(record_log_likelihoods(fits[0], draws=1).units)
    assert found.units["apart"].sum() == pytest.approx(found.table.set_index("fit").loc["apart", "elpd"])


def test_a_correlation_that_the_data_say_nothing_of_is_driven_by_its_prior():
    fit = effects_fit({"correlated": [["level", "idle"]]})
    row = sensitivity(fit, draws=100).table.set_index("site").loc["corr_level_idle"]
    assert row["overlap"] > 0.9
    assert row["displacement"] < 0.1
    assert row["own_prior"] > 0.05 > row["likelihood"]
    assert row["verdict"] == "prior-driven"


def test_a_correlation_is_judged_on_fishers_z():
    for shape in (1.0, 2.5):
        r = 2 * np.random.default_rng(4).beta(shape, shape, 100_000) - 1
        prior = Correlation(shape)
        assert prior_module._sd(prior) == pytest.approx(np.arctanh(r).std(), rel=0.02)
        assert prior_module._overlap(prior, r[:4000]) > 0.93
        z = np.linspace(-12, 12, 20001)
        density = np.exp(prior_module._log_prior(prior, np.tanh(z[5000:-5000])))
        assert np.trapezoid(density, z[5000:-5000]) == pytest.approx(1.0, abs=1e-3)


def test_a_block_of_correlations_has_its_joint_prior():
    content = cart_fit().bound.plan.resolved()
    block = ["cmax", "tmax", "half_life_contraction"]
    fit = prior_fit(plan_of(content | {"effects": {"correlated": [block], "concentration": 2.0}}), draws=10)
    names = [f"corr_{a}_{b}" for a, b in combinations(block, 2)]
    r = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 2, 5))
    found = prior_module._joint_log_prior(
        fit, dict(zip(names, r, strict=True)), {"cmax_pop": np.zeros((2, 5))}
    )
    a, b, c = r
    determinant = 1 - a**2 - b**2 - c**2 + 2 * a * b * c
    by_hand = np.log(determinant) + np.log1p(-(r**2)).sum(
        axis=0
    )  # LKJ(2) and three Jacobians, but for a constant
    assert np.ptp(found - by_hand) < 1e-9
