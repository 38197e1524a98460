"""Leave-one-out and prior sensitivity against exact answers: a level per subject, measured with normal noise.

y_ij = level + omega eta_i + noise: with omega and the noise known, everything is normal, so that the
posterior is sampled exactly, and what is left out is predicted exactly from the covariance of all records.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.stats import multivariate_normal, norm

from kinetics.checks.comparison import compare
from kinetics.checks.leave_one_out import loo
from kinetics.checks.log_likelihoods import record_log_likelihoods, subject_log_likelihoods
from kinetics.checks.parameters import parameter_table
from kinetics.checks.prior_sensitivity import prior_posterior_overlap, sensitivity
from kinetics.errors import InputError
from kinetics.inference.fitting import Fit
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from tests.support.fits import cart_fit, sampled_sites, theophylline_fit, written_posterior
from tests.support.normal_levels import CENTRE, EACH, NOISE, OMEGA, PEOPLE, SD, level_fit, values

summary_module = import_module("kinetics.checks.parameters")


def covariance(*, varies: bool, sd: float = SD) -> np.ndarray:
    """Of all records, subject by subject."""
    whose = np.repeat(np.arange(PEOPLE), EACH)
    same = whose[:, None] == whose[None, :]
    return sd**2 + varies * OMEGA**2 * same + NOISE**2 * np.eye(len(whose))


def exact(fit: Fit, *, varies: bool, by: str) -> np.ndarray:
    """log p(left out | the others), by the conditional normal distribution."""
    y, k = values(fit.bound), covariance(varies=varies)
    parts = [[i] for i in range(len(y))] if by == "observation" else np.split(np.arange(len(y)), PEOPLE)
    found = []
    for own in parts:
        rest = np.setdiff1d(np.arange(len(y)), own)
        gain = k[np.ix_(own, rest)] @ np.linalg.inv(k[np.ix_(rest, rest)])
        mean = CENTRE + gain @ (y[rest] - CENTRE)
        spread = k[np.ix_(own, own)] - gain @ k[np.ix_(rest, own)]
        found.append(multivariate_normal(mean, spread).logpdf(y[own]))
    return np.array(found)


# --- leave one out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("varies", [True, False])
def test_leaving_a_record_out_agrees_with_the_exact_answer(varies):
    fit = level_fit(varies=varies)
    found, truth = loo(fit), exact(fit, varies=varies, by="observation")
    np.testing.assert_allclose(found.units["elpd"], truth, atol=0.08)
    assert found.elpd == pytest.approx(truth.sum(), abs=0.3)
    assert found.se == pytest.approx(np.sqrt(len(truth)) * truth.std(), rel=0.05)
    assert found.worst_k < 0.7
    assert found.advice == ""


def test_leaving_a_subject_out_agrees_with_the_exact_answer():
    fit = level_fit()
    found, truth = loo(fit, by="subject"), exact(fit, varies=True, by="subject")
    np.testing.assert_allclose(found.units["elpd"], truth, atol=0.15)
    assert list(found.units["subject"]) == fit.bound.subjects
    assert set(found.units["records"]) == {EACH}
    assert found.worst_k < 0.7
    assert (found.units["integration_error"] < 0.15).all()


def test_the_integral_over_random_effects_is_the_normal_one_in_every_draw():
    fit = level_fit()
    found = subject_log_likelihoods(fit, points=256, draws=20)
    level = fit.posterior["posterior"]["level_pop"].to_numpy()
    keep = np.linspace(0, level.shape[1] - 1, 20).round().astype(int)
    k = OMEGA**2 + NOISE**2 * np.eye(EACH)
    for i, own in enumerate(np.split(values(fit.bound), PEOPLE)):
        truth = [[multivariate_normal(np.full(EACH, v), k).logpdf(own) for v in c] for c in level[:, keep]]
        np.testing.assert_allclose(found.values[:, :, i], truth, atol=0.25)
        assert np.mean(found.values[:, :, i] - truth) == pytest.approx(0.0, abs=0.1)


def test_a_subjects_own_random_effects_make_leaving_it_out_unreliable_and_it_is_said():
    fit = level_fit()
    own, integrated = loo(fit, by="subject", marginal=False), loo(fit, by="subject")
    truth = exact(fit, varies=True, by="subject")
    assert own.elpd > integrated.elpd + 2  # too good
    assert own.worst_k > integrated.worst_k
    assert integrated.elpd == pytest.approx(truth.sum(), abs=0.5)
    assert "unreliable" in own.advice
    assert integrated.advice == ""


def test_the_numbers_are_arvizs_on_the_same_log_likelihoods():
    fit = cart_fit()
    found = loo(fit)
    records = record_log_likelihoods(fit)
    loose = np.ptp(records.values, axis=(0, 1)) > 1
    assert loose.sum() > 100
    for i in np.flatnonzero(loose)[:20]:
        ll = records.values[:, :, i]
        efficiency = float(array_stats.ess(np.exp(ll - ll.max()), method="mean")) / ll.size
        elpd, k, _ = array_stats.loo(ll, r_eff=min(1.0, efficiency))
        assert found.units["elpd"][i] == pytest.approx(float(elpd))
        assert found.units["pareto_k"][i] == pytest.approx(float(k))


def test_every_record_that_enters_the_likelihood_is_a_unit():
    fit = cart_fit()
    units = loo(fit).units
    records = fit.study.observations
    assert len(units) == int(records["analyte"].isin(["car_copies", "car_cells"]).sum())
    assert not units.duplicated(["subject", "analyte", "time"]).any()
    assert (units["censored"] == "left").sum() == (records["censored"] == "left").sum()
    before = units[units["time"] < 0]
    np.testing.assert_allclose(before["elpd"], 0.0, atol=1e-12)  # no cells, surely below the LLOQ
    assert (before["reason"] == "").all()


def test_a_record_that_the_fit_leans_on_has_a_reason_and_the_advice_says_what_to_do():
    found = loo(cart_fit(), draws=30)  # sixty draws of a posterior that was made up
    bad = found.unreliable
    assert len(bad) > 0
    assert (bad["pareto_k"].dropna() > found.threshold).all()
    assert found.threshold == pytest.approx(1 - 1 / np.log10(60))
    assert "fit again without each of them" in found.advice
    assert "fit again" in str(found)
    assert found.as_dict()["units"][0]["subject"] == "S01"


def test_another_way_to_leave_out_is_refused():
    with pytest.raises(InputError, match="did you mean 'subject'"):
        loo(cart_fit(), by="subjects")  # pyright: ignore


def test_blocks_of_draws_change_nothing(monkeypatch):
    pointwise, fit = import_module("kinetics.checks.log_likelihoods"), cart_fit()
    whole = record_log_likelihoods(fit).values
    monkeypatch.setattr(pointwise, "_MOST", 7 * fit.bound.data.observations.time.size * 2)
    np.testing.assert_allclose(record_log_likelihoods(fit).values, whole, rtol=1e-12)


# --- compare ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["observation", "subject"])
def test_a_model_without_the_differences_between_patients_loses_by_the_exact_amount(by):
    fits = [level_fit(varies=False), level_fit()]
    found = compare(fits, by=by)
    each = exact(fits[0], varies=False, by=by) - exact(fits[1], varies=True, by=by)
    assert list(found.table["fit"]) == ["varies", "alike"]
    assert found.table["elpd_diff"][1] == pytest.approx(each.sum(), rel=0.05)  # one outlying subject
    assert found.table["se_diff"][1] == pytest.approx(np.sqrt(len(each)) * each.std(), rel=0.05)
    assert list(found.table["verdict"]) == ["best", "worse"]
    assert found.table["weight"][0] > 0.9
    assert found.table["weight"].sum() == pytest.approx(1.0)
    assert found.units["alike"].sum() == pytest.approx(found.table["elpd"][1])


def test_parameters_stand_side_by_side_and_one_that_a_fit_has_not_is_missing():
    table = compare([level_fit(varies=False), level_fit()]).parameters.set_index("site")
    assert np.isnan(table.loc["omega_level", "alike"])
    assert table.loc["omega_level", "varies"] == pytest.approx(OMEGA)
    draws = level_fit().sites()["level_pop"]
    assert table.loc["level_pop", "varies_upper"] == pytest.approx(np.quantile(draws, 0.95))


def test_a_fit_cannot_be_told_from_itself():
    found = compare({"a": level_fit(), "b": level_fit()})
    assert found.table["elpd_diff"][1] == 0.0
    assert "cannot be told" in found.table["verdict"][1]


def test_fits_of_different_data_are_refused_and_both_are_named():
    with pytest.raises(InputError, match=r"theophylline was fitted to theophylline.*synthetic_cart_12"):
        compare([cart_fit(), theophylline_fit()])


def test_fits_of_different_records_are_refused_with_the_records():
    left_out = cart_fit().bound.plan.resolved()
    left_out["observe"]["car_copies"]["below_lloq"] = "drop"
    other = written_posterior(bind(plan_of(left_out)), sampled_sites(cart_fit()))
    with pytest.raises(InputError, match=r"records of car_copies.*below_lloq.*day"):
        compare({"M3": cart_fit(), "M1": other})


def test_one_fit_and_two_of_one_name_are_refused():
    with pytest.raises(InputError, match="two or more"):
        compare([level_fit()])
    with pytest.raises(InputError, match="two fits of one name"):
        compare([level_fit(), level_fit()])


# --- the prior --------------------------------------------------------------------------------------------


def test_a_parameter_without_data_is_driven_by_its_prior_and_one_with_much_data_is_not():
    table = sensitivity(level_fit(varies=False)).table.set_index("site")
    assert table.loc["idle_pop", "verdict"] == "prior-driven"
    assert table.loc["idle_pop", "own_prior"] > 0.05
    assert table.loc["idle_pop", "likelihood"] < 0.05
    assert table.loc["level_pop", "verdict"] == "-"
    assert table.loc["level_pop", "prior"] < 0.05 < table.loc["level_pop", "likelihood"]


def test_the_data_speak_of_the_population_through_the_random_effects():
    table = sensitivity(level_fit()).table.set_index("site")
    assert table.loc["level_pop", "likelihood"] > 0.05
    assert table.loc["level_pop", "verdict"] == "-"


def test_a_prior_far_from_the_data_is_a_conflict():
    table = sensitivity(level_fit(centre=30.0)).table.set_index("site")
    assert table.loc["level_pop", "verdict"] == "conflict"
    assert table.loc["level_pop", "displacement"] > 5


def test_the_overlap_is_the_common_area_of_two_normal_densities():
    fit = level_fit(varies=False)
    found = prior_posterior_overlap(fit).set_index("site")["overlap"]
    assert found["idle_pop"] > 0.93
    draws, x = fit.sites()["level_pop"], np.linspace(-10, 20, 20001)
    both = np.minimum(norm.pdf(x, CENTRE, SD), norm.pdf(x, draws.mean(), draws.std()))
    assert found["level_pop"] == pytest.approx(np.trapezoid(both, x), abs=0.02)
    assert found["sigma_add_drug"] == 0.0  # known exactly


def test_pooling_is_none_where_each_subject_is_known_and_whole_where_none_is():
    rng = np.random.default_rng(0)
    known = np.broadcast_to(rng.standard_normal(50), (400, 50))
    assert summary_module._pooling(known) == pytest.approx(0.0, abs=1e-12)
    assert summary_module._pooling(rng.standard_normal((400, 50))) > 0.95
    assert np.isnan(summary_module._pooling(np.ones((10, 1))))
    table = parameter_table(level_fit()).set_index("site")
    assert 0 < table.loc["level_pop", "pooling"] < 0.3
    assert np.isnan(table.loc["idle_pop", "pooling"])
