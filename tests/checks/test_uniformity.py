"""Uniform ranks pass as often as the level says, others do not, and the band is what the test holds ranks
to.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from kinetics.checks.calibration.uniformity import band, chi_square, counts_below, ecdf_test


def uniform_ranks(samples: int, n: int, most: int) -> np.ndarray:
    return np.random.default_rng(11).integers(0, most + 1, (samples, n))


@pytest.mark.parametrize(("n", "most", "alpha"), [(200, 100, 0.05), (40, 9, 0.2)])
def test_uniform_ranks_leave_the_band_as_often_as_it_says(n, most, alpha):
    found, samples = band(n, most, alpha=alpha), uniform_ranks(4000, n, most)
    share = np.array([counts_below(ranks, most) / n for ranks in samples])
    outside = ((share < found.lower - 1e-12) | (share > found.upper + 1e-12)).any(axis=1).mean()
    # the level of a discrete test is below alpha: not much, and never above by more than the noise of 4000
    assert alpha - 0.02 < outside < alpha + 3 * np.sqrt(alpha * (1 - alpha) / 4000)


def test_a_p_value_is_at_or_below_alpha_just_where_the_ecdf_leaves_the_band():
    found = band(60, 30, alpha=0.3)
    for ranks in uniform_ranks(60, 60, 30):
        share = counts_below(ranks, 30) / 60
        leaves = bool(((share < found.lower - 1e-12) | (share > found.upper + 1e-12)).any())
        assert leaves == (ecdf_test(ranks, 30) <= 0.3)


def test_p_values_of_uniform_ranks_are_no_smaller_than_uniform():
    p = np.array([ecdf_test(ranks, 20) for ranks in uniform_ranks(1000, 50, 20)])
    for alpha in (0.01, 0.05, 0.25, 0.5):
        assert (p <= alpha).mean() < alpha + 3 * np.sqrt(alpha * (1 - alpha) / 1000)
    assert (p <= 0.5).mean() > 0.4


def test_of_one_possible_cut_the_test_is_the_binomial_one():
    ranks = np.array([0] * 16 + [1] * 4)  # 16 of 20 below 1, where half are expected
    assert ecdf_test(ranks, 1) == pytest.approx(2 * binom.sf(15, 20, 0.5))
    assert chi_square(ranks, 1) == pytest.approx(0.00729, abs=1e-5)  # (16-10)^2/10 * 2 = 7.2 on 1 degree


@pytest.mark.parametrize("shape", [(1.6, 1.0), (0.6, 0.6), (2.0, 2.0)])
def test_ranks_that_lean_or_bend_are_rejected(shape):
    # too high, too narrow a posterior (ranks at both ends), too wide a one (ranks in the middle)
    values = np.random.default_rng(5).beta(*shape, 200)
    ranks = np.minimum((values * 101).astype(int), 100)
    assert ecdf_test(ranks, 100) < 1e-3
    assert chi_square(ranks, 100) < 0.05


def test_a_rank_beyond_the_draws_is_refused():
    with pytest.raises(ValueError, match="between 0 and 9"):
        ecdf_test(np.array([3, 10]), 9)
