"""The likelihood of grades is that of proportional odds, as its definition in NumPy has it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from kinetics.assay import (
    grade_information,
    grade_log_likelihood,
    grade_records,
    link_values,
    probability_of_at_least,
)

CUTS = np.array([1.0, 2.5, 4.0])
SLOPE = 1.3
DAYS = [np.array([1.0, 2.0, 5.0]), np.array([0.0, 9.5])]
GRADES = [np.array([0, 1, 3]), np.array([2, 1])]
NO_COVARIATES = np.zeros(2)


def test_each_grade_has_its_probability() -> None:
    records = grade_records(DAYS, GRADES, delay=0.0)
    x = jnp.asarray(np.linspace(-1.0, 4.0, records.time.size).reshape(records.time.shape))
    covariates = np.array([0.0, 0.7])
    found = grade_log_likelihood(x, records, SLOPE, CUTS, covariates)
    for i, (days, grades) in enumerate(zip(DAYS, GRADES, strict=True)):
        at = np.searchsorted(records.time[i], days)
        at_least = np.ones((len(days), 5))
        at_least[:, 1:4] = expit(SLOPE * np.asarray(x)[i, at][:, None] + covariates[i] - CUTS)
        at_least[:, 4] = 0.0
        probability = -np.diff(at_least, axis=1)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0)
        truth = np.log(probability[np.arange(len(days)), grades]).sum()
        assert float(found[i]) == pytest.approx(truth, rel=1e-12)


def test_two_categories_are_logistic_regression_and_extreme_odds_stay_finite() -> None:
    records = grade_records([np.arange(4.0)], [np.array([0, 1, 1, 0])], delay=0.0)
    x = jnp.asarray([[0.0, 900.0, 1.0, -900.0]])
    assert records.time.shape == (1, 4)
    found = grade_log_likelihood(x, records, 1.0, CUTS[:1], np.zeros(1))
    assert float(found[0]) == pytest.approx(np.log(1 - expit(-1.0)) + 0.0 + np.log(expit(0.0)) + 0.0)
    slope = jax.grad(lambda x: jnp.sum(grade_log_likelihood(x, records, 1.0, CUTS[:1], np.zeros(1))))(x)
    assert np.isfinite(np.asarray(slope)).all()


def test_a_lost_curve_has_no_likelihood_and_no_gradient() -> None:
    records = grade_records(DAYS, GRADES, delay=0.0)
    x = jnp.zeros(records.time.shape).at[0, records.slot[0, 1]].set(jnp.nan)
    found = grade_log_likelihood(x, records, SLOPE, CUTS, NO_COVARIATES)
    assert float(found[0]) == -np.inf
    gradient = jax.grad(lambda s: grade_log_likelihood(x, records, s, CUTS, NO_COVARIATES)[1])(SLOPE)
    assert np.isfinite(float(gradient))


def test_the_information_is_the_variance_of_the_score() -> None:
    """Summed over the grades that could be seen, with their probabilities: exact."""
    records = grade_records([np.array([3.0])], [np.array([0])], delay=0.0)
    slot = int(records.slot[0, 0])
    x = jnp.full(records.time.shape, 0.8)
    at_least = np.append(np.asarray(probability_of_at_least(jnp.array(0.8), SLOPE, CUTS, 0.0)), 0.0)
    expected = 0.0
    for grade in range(4):
        seen = records._replace(category=np.array([[grade]]))
        score = jax.grad(lambda x, seen=seen: grade_log_likelihood(x, seen, SLOPE, CUTS, np.zeros(1))[0])(x)
        expected += (at_least[grade] - at_least[grade + 1]) * float(score[0, slot]) ** 2
    information = np.asarray(grade_information(x, records, SLOPE, CUTS, np.zeros(1)))
    assert information[0, slot] == pytest.approx(expected, rel=1e-9)
    assert information.sum() == pytest.approx(expected, rel=1e-9)


def test_a_delay_looks_back_and_a_peak_is_the_peak_so_far() -> None:
    records = grade_records([np.array([2.0, 8.0, 12.0])], [np.array([0, 0, 0])], delay=3.0)
    looked_up = np.take_along_axis(np.asarray(records.time), np.asarray(records.slot), axis=1)
    np.testing.assert_allclose(looked_up, [[0.0, 5.0, 9.0]])
    f = 1e3 * jnp.exp2(-jnp.abs(jnp.asarray(records.time) - 6.5))
    x = link_values("log_peak", f, records.time, reference=1e3, floor=1e-9, window=1.0)
    at = np.take_along_axis(np.asarray(x), np.asarray(records.slot), axis=1)
    np.testing.assert_allclose(at, [[-6.5 * np.log10(2), -1.5 * np.log10(2), 0.0]], atol=1e-9)
