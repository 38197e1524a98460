"""The visual predictive check against a posterior that lies at the truth: what it accepts, and its bins."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from kinetics.checks.visual_check import time_bins, vpc
from kinetics.units import convert
from tests.support.simulated_patients import PEOPLE, known_fit

checks = import_module("kinetics.checks.visual_check")


def test_the_vpc_accepts_the_truth():
    checked = vpc(known_fit(), "copies", n=200)
    assert checked.covered >= 0.8
    assert checked.covered_blq >= 0.8
    assert checked.left_out == PEOPLE  # the records before the dose prove nothing


def test_the_vpc_rejects_a_cmax_that_is_four_times_too_high():
    checked = vpc(known_fit(cmax_factor=4.0), "copies", n=200)
    assert checked.covered < 0.5


def test_the_vpc_rejects_a_cmax_that_leaves_too_much_below_the_lloq():
    checked = vpc(known_fit(cmax_factor=0.03), "copies", n=200)
    assert checked.covered_blq < 0.6


def test_quantiles_rank_blq_records_below_every_number_and_do_not_invent_one():
    row = np.array([[-np.inf] * 6 + [60.0, 70.0, 80.0, 90.0, 100.0]])  # 6 of 11 below the LLOQ
    assert checks._ranked(row, 0.5)[0] == -np.inf
    assert checks._ranked(row, 0.05)[0] == -np.inf
    assert checks._ranked(row, 0.95)[0] == pytest.approx(95.0)
    half = np.array([[-np.inf, 60.0]])  # between a censored rank and a number: censored
    assert checks._ranked(half, 0.5)[0] == -np.inf
    above = np.array([[60.0, np.inf]])
    assert checks._ranked(above, 0.5)[0] == np.inf


def test_observed_quantiles_and_shares_are_those_of_the_data():
    fit = known_fit()
    checked = vpc(fit, "copies", n=20, bins=[0.0, 5.0, 12.0, 100.0])
    records = fit.study.observed("copies")
    own = records[(records["time"] >= 5.0) & (records["time"] < 12.0)]
    bin_ = checked.bins.iloc[1]
    assert bin_["records"] == len(own)
    assert bin_["blq_observed"] == pytest.approx(100 * (own["censored"] == "left").mean())
    y = np.sort(
        own["value"].mask(own["censored"] == "left", -1.0)
    )  # any number below the LLOQ ranks the same
    assert bin_["observed_95"] == pytest.approx(np.quantile(y, 0.95))
    first = checked.bins.iloc[0]
    assert first["observed_5"] == -np.inf


def test_days_since_the_cycle_never_reach_the_next_one():
    by_course, by_cycle = (vpc(known_fit(), "copies", n=10, since=s).points for s in ("first dose", "cycle"))
    assert by_course["time"].max() > 89
    assert by_cycle["time"].max() == pytest.approx(by_course["time"].max() - 14.0)
    late = np.asarray(by_course["time"]) >= 14.0
    np.testing.assert_allclose(by_cycle["time"][late], by_course["time"][late] - 14.0)
    np.testing.assert_allclose(by_cycle["time"][~late], by_course["time"][~late])


def test_bins_keep_a_visit_together():
    rng = np.random.default_rng(0)
    visits = np.array([1.0, 3, 7, 14, 28, 90])
    times = (visits[:, None] + rng.uniform(-0.3, 0.3, (6, 20))).ravel()
    edges = time_bins(times, 12, least=12)
    counts = np.histogram(times, edges)[0]
    np.testing.assert_array_equal(counts, [20] * 6)


@pytest.mark.parametrize(
    "times", [np.zeros(7), np.array([1.0]), np.linspace(0, 1, 200), np.repeat([1.0, 9.0], 3)]
)
def test_bins_of_odd_times_still_hold_every_record(times):
    edges = time_bins(times, 8)
    assert (np.diff(edges) >= 0).all()
    assert edges[0] == times.min()
    assert edges[-1] == times.max()
    assert len(edges) - 1 <= 8


def test_hours_and_days_give_the_same_bins():
    times = np.random.default_rng(1).uniform(0, 100, 300)
    scale = convert("h", "day")
    np.testing.assert_allclose(time_bins(times * scale), time_bins(times) * scale)
