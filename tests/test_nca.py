"""NCA against hand arithmetic, published answers, and laws. The arithmetic stands beside each expectation."""

from __future__ import annotations

import ast
import sys
from math import exp, isnan, log
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from kinetics.errors import InputError, PlanError
from kinetics.nca import nca, nca_summary, to_pptestcd
from kinetics.nca_rules import NUMBERS, NCARules, auc, interpolate, nca_profile
from kinetics.study import Study, read_study

LN2 = log(2)
FREE = NCARules(min_r_squared=None, min_span_ratio=None)  # excludes no half-life
STRICT = NCARules(start="missing", predose_days=0.0)  # PKNCA at time 0
BLQ = -1.0  # marks a BLQ record in the lists below


def profile(time: list[float], conc: list[float], **keywords: Any):
    """A profile with the value BLQ standing for a record below the limit."""
    return nca_profile(time, conc, blq=np.asarray(conc) == BLQ, **keywords)


# ------------------------------------------------------------------------------------------- areas


def test_a_rising_profile_is_integrated_linearly():
    p = profile([0, 2, 4], [0, 4, 10])
    assert p.auc_last == 0.5 * (0 + 4) * 2 + 0.5 * (4 + 10) * 2 == 18


def test_a_falling_segment_is_integrated_logarithmically():
    p = profile([0, 2], [10, 5])  # (10 - 5) / ln(10/5) * 2
    assert p.auc_last == pytest.approx(10 / LN2, rel=1e-14)
    assert profile([0, 2], [10, 5], rules=NCARules(auc_method="linear")).auc_last == 15


def test_linear_up_and_log_down_meet_at_the_peak():
    p = profile([0, 4, 10], [0, 12, 3])  # 0.5*12*4 = 24; (12 - 3) / ln 4 * 6 = 54 / (2 ln 2)
    assert p.auc_last == pytest.approx(24 + 27 / LN2, rel=1e-14)


def test_an_exact_exponential_gives_its_half_life_and_area_exactly():
    time = np.arange(0.0, 36.0, 7.0)  # 1000 * 2^(-t/7) to day 35
    p = nca_profile(time, 1000 * 2 ** (-time / 7))
    assert p.half_life == pytest.approx(7, rel=1e-13)
    assert p.lambda_z == pytest.approx(LN2 / 7, rel=1e-13)
    assert p.auc_window == pytest.approx(7000 / LN2 * (1 - 1 / 16), rel=1e-14)  # 28 days: four half-lives
    assert p.auc_last == pytest.approx(7000 / LN2 * (1 - 1 / 32), rel=1e-14)
    assert (p.lambda_z_points, p.tmax, p.tlast, p.clast) == (5, 0, 35, 31.25)  # Tmax itself is not fitted
    assert p.span_ratio == pytest.approx((35 - 7) / 7)
    assert p.r_squared == pytest.approx(1)
    assert not p.partial


def test_the_window_ends_on_a_log_segment_by_interpolation():
    p = profile([0, 21, 35], [100, 100, 25])  # at day 28, half way down a log segment: sqrt(100 * 25) = 50
    assert p.auc_window == pytest.approx(2100 + (100 - 50) / LN2 * 7, rel=1e-14)
    assert not p.partial
    assert interpolate(np.array([21.0, 35.0]), np.array([100.0, 25.0]), 28.0) == pytest.approx(50)


def test_the_window_ends_on_a_rising_segment_by_linear_interpolation():
    p = profile([0, 20, 36], [0, 10, 26])  # at day 28: 18; 100 + 0.5 * (10 + 18) * 8
    assert p.auc_window == 100 + 112


def test_a_window_ending_exactly_on_a_record_uses_that_record():
    p = profile([0, 14, 28, 40], [0, 7, 14, 99])
    assert p.auc_window == 0.5 * 7 * 14 + 0.5 * (7 + 14) * 14
    assert (p.partial, p.reasons["auc_window"]) == (False, "")
    exactly_last = profile([0, 14, 28], [0, 7, 14])
    assert (exactly_last.auc_window, exactly_last.partial) == (p.auc_window, False)
    assert exactly_last.reasons["auc_window"] == ""


def test_a_window_beyond_tlast_is_partial_and_says_so():
    p = profile([0, 7, 14], [0, 10, 20])  # 35 + 105
    assert (p.auc_window, p.partial) == (140, True)
    assert p.reasons["auc_window"] == (
        "partial: the last measurable value is at day 14, before the window ends at day 28; "
        "the area ends at day 14"
    )


def test_a_window_may_begin_inside_the_profile():
    p = profile([0, 10, 20], [0, 20, 5], window=(5, 15))
    # rising: 10 at day 5, 0.5 * (10 + 20) * 5 = 75; falling: 20 * 4^(-1/2) = 10 at day 15, 10 / ln 2 * 5
    assert p.auc_window == pytest.approx(75 + 50 / LN2, rel=1e-14)


def test_a_window_after_the_last_measurable_value_has_no_area():
    p = profile([0, 1, 2], [0, 4, 2], window=(7, 28))
    assert isnan(p.auc_window)
    assert p.reasons["auc_window"] == "no measurable value after the window begins at day 7"
    assert not isnan(p.auc_last)


def test_extrapolation_follows_lambda_z_only_when_asked():
    time, conc = [0, 7, 14, 21], [80, 40, 20, 10]  # half-life 7: 5 at day 28
    to_tlast, beyond = (80 - 10) / LN2 * 7, (10 - 5) / LN2 * 7
    assert profile(time, conc, rules=FREE).auc_window == pytest.approx(to_tlast, rel=1e-14)
    for way in ("observed", "predicted"):
        rules = NCARules(extrapolate=way, min_span_ratio=None)
        p = profile(time, conc, rules=rules)
        assert p.auc_window == pytest.approx(to_tlast + beyond, rel=1e-12)
        assert p.partial
        assert p.reasons["auc_window"].endswith("extrapolated with lambda_z")
    excluded = profile(time, conc, rules=NCARules(extrapolate="observed", min_span_ratio=3))  # span is 2
    assert excluded.auc_window == pytest.approx(to_tlast, rel=1e-14)


def test_the_predicted_clast_is_the_regression_line_at_tlast():
    e = exp(1)  # after the peak at day 0, logs 2, 0, 1 at days 1, 2, 3
    rules = NCARules(extrapolate="predicted", min_r_squared=None, min_span_ratio=None)
    p = profile([0, 1, 2, 3], [e**3, e**2, 1, e], rules=rules, window=(3, 5))
    line_at_3, line_at_5 = exp(1 - 0.5), exp(1 - 1.5)  # mean log 1 at day 2, slope -1/2
    assert p.lambda_z == pytest.approx(0.5)
    assert p.clast == e
    assert line_at_5 == pytest.approx(line_at_3 * exp(-0.5 * 2))
    assert p.auc_window == pytest.approx((e - line_at_5) / (1 - log(line_at_5)) * 2, rel=1e-12)


# --------------------------------------------------------------------------------------------- BLQ


def test_blq_before_the_first_measurable_value_counts_as_zero_or_is_dropped():
    time, conc = [0, 3, 7, 14], [BLQ, BLQ, 10, 20]
    assert profile(time, conc).auc_last == 0.5 * 10 * 4 + 0.5 * 30 * 7 == 125
    dropped = profile(time, conc, rules=NCARules(blq_first="drop"))
    assert dropped.auc_last == 0.5 * 10 * 7 + 105 == 140  # the assumed 0 moves to day 0
    assert "0 is assumed" in dropped.reasons["auc_last"]
    assert (dropped.n_records, dropped.n_blq) == (4, 2)


def test_blq_between_measurable_values_is_dropped_or_counts_as_zero():
    time, conc = [0, 2, 4], [8, BLQ, 2]
    assert profile(time, conc).auc_last == pytest.approx((8 - 2) / log(4) * 4, rel=1e-14)
    assert profile(time, conc, rules=NCARules(blq_middle="keep")).auc_last == 0.5 * 8 * 2 + 0.5 * 2 * 2


def test_blq_after_tlast_ends_the_area_at_tlast():
    p = profile([0, 2, 4, 28], [8, 4, BLQ, BLQ])
    assert p.auc_last == p.auc_window == pytest.approx((8 - 4) / LN2 * 2, rel=1e-14)
    assert (p.tlast, p.clast, p.partial, p.n_blq) == (2, 4, True, 2)
    assert "records after Tlast are BLQ" in p.reasons["auc_window"]


def test_blq_after_tlast_may_close_a_triangle():
    time, conc, falling = [0, 2, 4, 28], [8, 4, BLQ, BLQ], (8 - 4) / LN2 * 2
    to_zero = NCARules(auc_tail="all")
    assert profile(time, conc, rules=to_zero).auc_window == pytest.approx(falling + 0.5 * 4 * 2, rel=1e-14)
    half_way = profile(time, conc, rules=to_zero, window=(0, 3))  # 4 to 2 in one day, linearly
    assert half_way.auc_window == pytest.approx(falling + 0.5 * (4 + 2) * 1, rel=1e-14)
    assert half_way.partial
    dropped = profile(time, conc, rules=NCARules(auc_tail="all", blq_last="drop"))
    assert dropped.auc_window == pytest.approx(falling, rel=1e-14)


def test_blq_in_every_position_at_once():
    p = profile([0, 1, 3, 5, 7, 9, 11], [BLQ, BLQ, 6, BLQ, 3, BLQ, BLQ])
    # 0 from day 0 to 1, a triangle to day 3: 6; then 6 to 3 over 4 days: 3 / ln 2 * 4
    assert p.auc_last == pytest.approx(6 + 12 / LN2, rel=1e-14)
    assert (p.n_records, p.n_blq, p.tmax, p.tlast, p.tfirst) == (7, 5, 3, 7, 3)


def test_a_profile_that_is_blq_throughout_peaks_at_zero_and_has_no_times():
    p = profile([0, 7, 28], [BLQ, BLQ, BLQ])
    assert (p.cmax, p.auc_window, p.auc_last, p.n_blq, p.partial) == (0, 0, 0, 3, True)
    assert all(isnan(v) for v in (p.tmax, p.tlast, p.clast, p.half_life, p.fold_expansion))
    assert p.reasons["tmax"] == "all 3 records are below the limit of quantification"
    assert p.reasons["cmax"] == p.reasons["tmax"] + ", kept as 0"
    assert isnan(profile([0, 7], [BLQ, BLQ], rules=NCARules(blq_first="drop")).cmax)


def test_a_zero_that_nobody_flagged_is_blq():
    assert nca_profile([0, 1, 2], [0, 3, 0]).n_blq == 2


def test_missing_values_are_dropped_and_counted():
    p = nca_profile([0, 1, 2, 3], [0, 4, np.nan, 4])
    assert (p.n_records, p.n_missing, p.auc_last) == (3, 1, 2 + 8)
    assert nca_profile([-3, 0, 1], [np.nan, 0, 4]).n_missing == 0  # before the profile
    none = nca_profile([0, 1], [np.nan, np.nan])
    assert none.n_records == 0
    assert none.reasons["cmax"] == "no record after the infusion (2 missing)"


# ------------------------------------------------------------------------------------ short and flat


def test_a_single_point_has_a_peak_and_no_area():
    p = profile([7], [5])
    assert (p.cmax, p.tmax, p.clast, p.tlast, p.fold_expansion) == (5, 7, 5, 7, 1)
    assert isnan(p.auc_last)
    assert isnan(p.auc_window)
    assert p.reasons["auc_last"] == "an area needs two records; 1 found"
    assert p.reasons["half_life"] == "3 measurable values after Tmax (day 7) are needed; 0 found"


def test_two_points_have_an_area_and_no_half_life():
    p = profile([0, 7], [4, 2])
    assert p.auc_last == pytest.approx(2 / LN2 * 7)
    assert isnan(p.half_life)
    assert p.reasons["half_life"].endswith("needed; 1 found")


def test_a_flat_profile_has_no_half_life_and_a_rectangle():
    p = profile([0, 7, 14, 21, 28], [3, 3, 3, 3, 3])
    assert (p.tmax, p.auc_window, p.fold_expansion) == (0, 84, 1)
    assert p.reasons["half_life"] == "the values after Tmax (day 0) do not vary"


def test_a_rising_profile_has_its_peak_last_and_no_half_life():
    p = profile([0, 7, 14, 21], [0, 1, 2, 4])
    assert (p.tmax, p.tlast, p.cmax, p.clast) == (21, 21, 4, 4)
    assert p.reasons["half_life"] == "3 measurable values after Tmax (day 21) are needed; 0 found"
    assert p.fold_expansion == 4


def test_of_tied_peaks_the_first_is_tmax_unless_told_otherwise():
    time, conc = [0, 1, 2, 3, 4, 5], [0, 8, 8, 4, 2, 1]
    assert profile(time, conc, rules=FREE).tmax == 1
    last = profile(time, conc, rules=NCARules(first_tmax=False, min_span_ratio=None))
    assert (last.tmax, last.lambda_z_points) == (2, 3)
    assert last.half_life == pytest.approx(1)


# --------------------------------------------------------------------------------------- half-life


def logs(*values: float) -> list[float]:
    return [exp(v) for v in values]


def test_a_slightly_worse_fit_with_more_points_is_preferred():
    # days 1-4, logs 3.01, 2, 1, 0: slope -(5 + 0.01 * 1.5) / 5; residual 0.01^2 * 0.3, adj R^2 = 1 - 9e-6
    p = profile([0, 1, 2, 3, 4], logs(9, 3.01, 2, 1, 0), rules=FREE)
    assert p.lambda_z_points == 4
    assert p.lambda_z == pytest.approx(1.003, rel=1e-12)
    squares = (3.01**2 + 4 + 1) - 6.01**2 / 4
    assert p.r_squared == pytest.approx(1 - 0.01**2 * 0.3 / squares, abs=1e-12)
    assert p.adj_r_squared == pytest.approx(1 - 1.5 * (1 - p.r_squared), abs=1e-12)


def test_a_clearly_worse_fit_with_more_points_is_not():
    # logs 3.1, 2, 1, 0: adj R^2 of four points = 1 - 1.5 * 0.003 / 5.3075 = 0.99915, of three points 1
    p = profile([0, 1, 2, 3, 4], logs(9, 3.1, 2, 1, 0), rules=FREE)
    assert (p.lambda_z_points, p.lambda_z) == (3, pytest.approx(1))
    generous = NCARules(min_r_squared=None, min_span_ratio=None, adj_r_squared_factor=1e-3)
    assert profile([0, 1, 2, 3, 4], logs(9, 3.1, 2, 1, 0), rules=generous).lambda_z_points == 4


def test_a_poor_fit_is_excluded_and_its_estimate_is_told():
    # days 1-3, logs 2, 0, 1: slope -1/2, R^2 = 0.5 / 2, half-life 2 ln 2 = 1.386, span 2 / 1.386
    p = profile([0, 1, 2, 3], logs(3, 2, 0, 1))
    assert isnan(p.half_life)
    assert isnan(p.lambda_z)
    assert (p.lambda_z_points, p.r_squared) == (3, pytest.approx(0.25))
    assert p.span_ratio == pytest.approx(1 / LN2)
    assert p.reasons["half_life"] == (
        "excluded: R^2 0.25 is below 0.9 and span ratio 1.44 is below 2; "
        "the estimate was 1.386 days from 3 points"
    )
    assert profile([0, 1, 2, 3], logs(3, 2, 0, 1), rules=FREE).half_life == pytest.approx(2 * LN2)


def test_a_short_span_is_excluded_by_default_and_kept_by_the_car_t_rules():
    time, conc = [0, 7, 10, 13], logs(3, 2, 1.7, 1.4)  # half-life 10 ln 2 = 6.93, span 6 / 6.93
    assert "span ratio 0.866 is below 2" in profile(time, conc).reasons["half_life"]
    assert profile(time, conc, rules=NCARules.car_t()).half_life == pytest.approx(10 * LN2)


def test_the_car_t_rules_ask_for_adjusted_r_squared_of_0_8():
    # days 1-3, logs 2 + d, 1, d: slope -1, residuals d/3, -2d/3, d/3, their squares 2d^2/3; d = 0.25: 1/24
    rising = profile([0, 1, 2, 3], logs(9, 2.25, 1, 0.25), rules=NCARules.car_t())
    r2 = 2 / (2 + 1 / 24)
    assert rising.r_squared == pytest.approx(r2)
    assert rising.half_life == pytest.approx(LN2)
    d = 0.6  # R^2 = 2 / (2 + 0.24) = 0.893 would pass 0.8; adjusted: 1 - 2 * 0.107 = 0.786 does not
    p = profile([0, 1, 2, 3], logs(9, 2 + d, 1, d), rules=NCARules.car_t())
    assert p.adj_r_squared == pytest.approx(1 - 2 * (0.24 / 2.24))
    assert "adjusted R^2 0.786 is below 0.8" in p.reasons["half_life"]


def test_a_profile_whose_best_fit_rises_has_no_half_life():
    p = profile([0, 1, 2, 3], logs(9, 1, 2, 3), rules=FREE)
    assert isnan(p.lambda_z)
    assert isnan(p.lambda_z_points)
    assert "the values do not fall" in p.reasons["half_life"]


def test_blq_records_are_never_fitted():
    p = profile(
        [0, 1, 2, 3, 4, 5], [16, 8, BLQ, 2, 1, BLQ], rules=NCARules(blq_middle="keep", min_span_ratio=None)
    )
    assert (p.lambda_z_points, p.half_life) == (3, pytest.approx(1))


def test_the_half_life_is_taken_after_the_last_infusion():
    time, conc = [0, 1, 2, 3, 4, 5], [64, 32, 16, 8, 4, 2]
    assert profile(time, conc, dose_times=(0, 2)).lambda_z_points == 3
    late = profile(time, conc, dose_times=(0, 3))
    assert (
        late.reasons["half_life"] == "3 measurable values after the last infusion (day 3) are needed; 2 found"
    )
    assert profile(time, conc, dose_times=(0, 3), rules=NCARules(after_last_dose=False)).lambda_z_points == 5


def test_tmax_may_be_fitted_when_the_rules_allow():
    p = profile([0, 1, 2], [4, 2, 1], rules=NCARules(allow_tmax=True))
    assert (p.half_life, p.lambda_z_points, p.span_ratio) == (pytest.approx(1), 3, pytest.approx(2))


# ------------------------------------------------------------------------------- day 0 and expansion


@pytest.mark.parametrize(("start", "area"), [("zero", 0.5 * 6 * 2), ("first", 6 * 2)])
def test_a_profile_without_a_record_at_day_0_follows_the_named_rule(start, area):
    p = profile([2, 5], [6, 10], rules=NCARules(start=start))
    assert p.auc_last == area + 24
    assert "is assumed there" in p.reasons["auc_last"]
    assert "is assumed there" in p.reasons["auc_window"]


def test_no_rule_for_day_0_means_no_area_from_day_0():
    p = profile([2, 40], [6, 6], rules=STRICT)
    assert isnan(p.auc_last)
    assert isnan(p.auc_window)
    assert p.reasons["auc_window"].startswith("no value at day 0 (the first is at day 2); sample before")
    assert profile([2, 40], [6, 6], rules=STRICT, window=(7, 28)).auc_window == 6 * 21


def test_zero_is_not_assumed_when_an_earlier_infusion_may_still_be_measurable():
    p = profile([2, 5], [6, 10], dose_times=(-14, 0))
    assert isnan(p.auc_last)
    assert "an earlier infusion may still be measurable" in p.reasons["auc_last"]


def test_a_record_shortly_before_the_infusion_stands_in_for_day_0():
    p = profile([-0.1, 2], [4, 8], dose_times=(-14, 0))
    assert (p.auc_last, p.n_records, p.tmax) == (12, 2, 2)
    assert "0.1 days before the infusion" in p.reasons["auc_last"]
    assert profile([-5, 2, 4], [4, 8, 8]).auc_last == 8 + 16  # too early: 0 is assumed instead
    assert profile([-0.1, 0, 2], [4, 0, 8]).auc_last == 8  # a record at day 0 comes first


def test_fold_expansion_is_the_peak_over_the_first_measurable_value_after_the_infusion():
    p = profile([0, 0.5, 3, 10], [2, BLQ, 4, 100])
    assert (p.first_measurable, p.tfirst, p.fold_expansion) == (4, 3, 25)  # neither day 0 nor the BLQ
    only_before = profile([0, 1, 2], [5, BLQ, BLQ])
    assert isnan(only_before.fold_expansion)
    assert only_before.reasons["fold_expansion"] == "no measurable value after the infusion"


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"time": [0, 1, 1], "conc": [1, 2, 3]}, "two records at day 1"),
        ({"time": [0, 1], "conc": [1, 2, 3]}, "one length"),
        ({"time": [0, 1], "conc": [1, 2], "blq": [True]}, "one length"),
        ({"time": [0, np.nan], "conc": [1, 2]}, "a time is missing"),
        ({"time": [0, 1], "conc": [1, -2]}, "day 1 is negative or infinite"),
        ({"time": [0, 1], "conc": [np.inf, 2]}, "day 0 is negative or infinite"),
        ({"time": [0, 1], "conc": [1, 2], "window": (5, 5)}, "no window of days"),
        ({"time": [0, 1], "conc": [1, 2], "window": (-1, 5)}, "no window of days"),
        ({"time": [0, 1], "conc": [1, 2], "window": (0, np.nan)}, "no window of days"),
    ],
)
def test_an_impossible_profile_is_refused(keywords, message):
    with pytest.raises(InputError, match=message):
        nca_profile(**keywords)


def test_every_misspelt_rule_is_named_with_the_nearest_one():
    with pytest.raises(PlanError) as error:
        NCARules(blq_first="kep", start="zeros", min_points=2)  # type: ignore[arg-type]
    assert [p.column for p in error.value.problems] == ["blq_first", "start", "min_points"]
    assert "did you mean 'keep'?" in str(error.value)


# -------------------------------------------------------------------------------- laws and oracles


def random_profiles(count: int = 200):
    """Rough expansion-contraction profiles with missing, BLQ and predose records in any place."""
    rng = np.random.default_rng(11)
    for _ in range(count):
        size = int(rng.integers(1, 14))
        time = np.sort(rng.choice(np.arange(-2, 60), size, replace=False)) + rng.choice([0.0, 0.25])
        conc = np.exp(rng.normal(3, 2, size))
        conc[rng.random(size) < 0.1] = np.nan
        yield time, conc, rng.random(size) < rng.choice([0.0, 0.2, 0.9])


ALL_RULES = [
    NCARules(),
    NCARules.car_t(),
    NCARules.winnonlin(),
    STRICT,
    NCARules(auc_tail="all", blq_middle="keep"),
]


@pytest.mark.parametrize("rules", ALL_RULES)
def test_every_missing_number_has_a_reason(rules):
    seen = 0
    for time, conc, blq in random_profiles():
        p = nca_profile(time, conc, blq=blq, rules=rules)
        missing = [name for name in NUMBERS if isnan(getattr(p, name))]
        seen += len(missing)
        assert all(p.reasons[name] for name in missing)
        assert not p.partial or p.reasons["auc_window"]
    assert seen > 100


def test_areas_and_peaks_scale_with_the_concentration_and_times_do_not():
    scaled = {"cmax", "auc_window", "auc_last", "clast", "first_measurable"}
    for time, conc, blq in random_profiles():
        p, q = nca_profile(time, conc, blq=blq), nca_profile(time, 1e4 * conc, blq=blq)
        for name in NUMBERS:
            factor = 1e4 if name in scaled else 1.0
            assert getattr(q, name) == pytest.approx(factor * getattr(p, name), rel=1e-9, nan_ok=True)


def test_times_and_areas_scale_with_the_unit_of_time():
    rules = NCARules(predose_days=0)
    in_hours = {"tmax": 24, "auc_window": 24, "auc_last": 24, "tlast": 24, "half_life": 24, "tfirst": 24}
    for time, conc, blq in random_profiles():
        p = nca_profile(time, conc, blq=blq, rules=rules)
        q = nca_profile(24 * time, conc, blq=blq, rules=rules, window=(0, 672))
        for name in NUMBERS:
            factor = in_hours.get(name, 1 / 24 if name == "lambda_z" else 1)
            assert getattr(q, name) == pytest.approx(factor * getattr(p, name), rel=1e-9, nan_ok=True)


def test_the_order_of_records_does_not_matter():
    rng = np.random.default_rng(2)
    for time, conc, blq in random_profiles():
        order = rng.permutation(time.size)
        p, q = nca_profile(time, conc, blq=blq), nca_profile(time[order], conc[order], blq=blq[order])
        assert str(p) == str(q)


def test_an_area_is_the_sum_of_its_parts_wherever_it_is_cut():
    rng = np.random.default_rng(3)
    time = np.array([0.0, 1, 3, 7, 14, 21, 28])
    for _ in range(50):
        conc = np.where(rng.random(7) < 0.2, 0.0, rng.lognormal(3, 2, 7))
        cut = rng.uniform(0, 28)
        assert auc(time, conc, 0, cut) + auc(time, conc, cut, 28) == pytest.approx(
            auc(time, conc, 0, 28), rel=1e-12
        )


def test_a_record_added_on_its_own_interpolant_changes_no_area():
    time, conc = np.array([0.0, 5, 9, 30]), np.array([0.0, 90, 40, 2])
    for at in (2.0, 6.0, 17.0, 28.0):
        value = interpolate(time, conc, at)
        more = nca_profile([*time, at], [*conc, value])
        assert more.auc_window == pytest.approx(nca_profile(time, conc).auc_window, rel=1e-13)


def test_an_area_is_the_integral_of_its_interpolant():
    time, conc = np.array([0.0, 5, 9, 12, 30]), np.array([0.0, 90, 40, 55, 2])
    points = [t for t in time if 1 < t < 28]
    numeric = integrate.quad(lambda at: interpolate(time, conc, at), 1, 28, points=points, limit=200)[0]
    assert auc(time, conc, 1, 28) == pytest.approx(numeric, rel=1e-10)


def test_an_area_grows_with_the_window_and_with_each_concentration():
    time, conc = np.array([0.0, 5, 9, 12, 30]), np.array([0.0, 90, 40, 55, 2])
    ends = np.linspace(0.5, 30, 40)
    assert (np.diff([auc(time, conc, 0, end) for end in ends]) > 0).all()
    for place in range(conc.size):
        assert auc(time, conc + (np.arange(5) == place), 0, 28) > auc(time, conc, 0, 28)


def test_nearly_equal_values_integrate_as_smoothly_as_equal_ones():
    near = auc(np.array([0.0, 1.0]), np.array([1e6, np.nextafter(1e6, 0)]), 0, 1)
    assert near == pytest.approx(1e6, rel=1e-14)


def test_the_half_life_is_the_best_of_the_fits_that_scipy_makes():
    found = 0
    for time, conc, blq in random_profiles(400):
        p = nca_profile(
            time, conc, blq=blq, rules=NCARules(min_r_squared=None, min_span_ratio=None, predose_days=0)
        )
        use = ~np.isnan(conc) & ~blq & (time > p.tmax)
        fits = []
        for k in range(3, int(use.sum()) + 1):
            line = stats.linregress(time[use][-k:], np.log(conc[use][-k:]))
            fits.append((1 - (1 - line.rvalue**2) * (k - 1) / (k - 2), k, -line.slope))
        near = [fit for fit in fits if fit[0] > max(f[0] for f in fits) - 1e-4 and fit[2] > 0]
        if near:
            adj, k, slope = max(near, key=lambda fit: fit[1])
            found += 1
            assert (p.lambda_z_points, p.lambda_z, p.adj_r_squared) == (
                k,
                pytest.approx(slope),
                pytest.approx(adj),
            )
            first = time[use][-k]
            assert p.span_ratio == pytest.approx((p.tlast - first) * slope / LN2)
        else:
            assert isnan(p.half_life)
    assert found > 30


# --------------------------------------------------------------- published answers: theophylline


@pytest.fixture(scope="module")
def theophylline() -> Study:
    return read_study("theophylline")


def hours(study: Study, subject: str) -> tuple[np.ndarray, np.ndarray]:
    own = study.observations[study.observations["subject"] == subject]
    return np.round(own["time"].to_numpy(float) * 24, 9), own["value"].to_numpy(float)


def test_theophylline_subject_1_matches_pknca_and_noncompart(theophylline):
    # PKNCA's vignette: cmax, tmax, tlast, clast, lambda_z, r.squared, and auclast of "0 to 24 h", which
    # stops at the last sample within, 12.12 h. NonCompart: half-life, AUC table with down="Log", LAMZNPT.
    time, conc = hours(theophylline, "1")
    p = nca_profile(time, conc, rules=FREE, window=(0, 12.12))
    assert (p.cmax, p.tmax, p.tlast, p.clast) == (10.5, 1.12, 24.37, 3.28)
    assert p.auc_window == pytest.approx(92.3654416, abs=5e-8)
    assert p.auc_last == pytest.approx(147.23475, abs=5e-6)
    assert p.half_life == pytest.approx(14.3043776, abs=5e-8)
    assert p.lambda_z == pytest.approx(0.0484570, abs=5e-8)
    assert (p.r_squared, p.adj_r_squared) == (
        pytest.approx(0.9999997, abs=5e-8),
        pytest.approx(0.9999995, abs=5e-8),
    )
    assert p.lambda_z_points == 3
    assert p.span_ratio == pytest.approx((24.37 - 9.05) / 14.3043776, rel=1e-7)
    assert isnan(nca_profile(time, conc).half_life)  # a span of 1.07 half-lives is below PKNCA's 2


def test_theophylline_subject_1_matches_noncompart_linear_window(theophylline):
    time, conc = hours(theophylline, "1")
    linear = NCARules(auc_method="linear")
    assert nca_profile(time, conc, rules=linear, window=(0, 12)).auc_window == pytest.approx(
        91.7355220, abs=5e-8
    )
    assert nca_profile(time, conc, rules=linear, window=(0, 24)).auc_window == pytest.approx(
        147.6945866, abs=5e-8
    )


def test_theophylline_subject_6_matches_pknca(theophylline):
    p = nca_profile(*hours(theophylline, "6"), rules=FREE)
    assert (p.cmax, p.tmax, p.tlast, p.clast) == (6.44, 1.15, 23.85, 0.92)
    assert p.auc_last == pytest.approx(71.6970150, abs=5e-8)
    assert p.lambda_z == pytest.approx(0.0877957, abs=5e-8)


def test_theophylline_summary_matches_pknca(theophylline):
    # PKNCA's vignette, 12 subjects: auclast 98.7 [22.5], cmax 8.65 [17.0] (geometric mean [geometric CV %]),
    # tmax 1.14 [0.630, 3.55] (median [range]), half.life 8.18 [2.12] (mean [sd]); hours, mg/L
    frame = nca(theophylline, rules=FREE, by="course")
    table = nca_summary(frame).set_index("number")
    assert table.loc["auc_last", "geometric_mean"] * 24 == pytest.approx(98.7, abs=0.05)
    assert table.loc["auc_last", "geometric_cv_percent"] == pytest.approx(22.5, abs=0.05)
    assert table.loc["cmax", "geometric_mean"] == pytest.approx(8.65, abs=0.005)
    assert table.loc["cmax", "geometric_cv_percent"] == pytest.approx(17.0, abs=0.05)
    assert table.loc["tmax", "median"] * 24 == pytest.approx(1.14, abs=0.0051)
    assert table.loc["tmax", ["min", "max"]].to_numpy(float) * 24 == pytest.approx([0.630, 3.55], abs=0.005)
    assert table.loc["half_life", "mean"] * 24 == pytest.approx(8.18, abs=0.005)
    assert table.loc["half_life", "sd"] * 24 == pytest.approx(2.12, abs=0.005)


# ---------------------------------------------------------------------------------- a study's table


def study_of(doses: list[tuple], observations: list[tuple], subjects: tuple[str, ...] = ("a",)) -> Study:
    """A study's canonical tables and nothing else of it."""
    dose_columns = ["subject", "time", "product", "cycle", "duration"]
    columns = ["subject", "time", "analyte", "value", "censored", "lloq"]
    table = pd.DataFrame(observations, columns=columns)
    units = {"transgene": "copies/ug DNA", "il6": "pg/mL"}
    analytes = {name: SimpleNamespace(unit=units[name]) for name in dict.fromkeys(table["analyte"])}
    index = pd.Index(subjects, name="subject")
    tables = {"doses": pd.DataFrame(doses, columns=dose_columns), "observations": table}
    return cast(Study, SimpleNamespace(**tables, subjects=pd.DataFrame(index=index), analytes=analytes))


NK = [("a", 0.0, "car_nk", 1, 0.0), ("a", 1.0, "car_nk", 1, 0.0)]
T1 = [("a", 10.1, "car_t", 1, 0.0), ("a", 11.1, "car_t", 1, 0.0)]
T2 = [("a", 24.1, "car_t", 2, 0.0), ("a", 25.1, "car_t", 2, 0.0)]
VALUES = {0.0: 0, 3.0: 30, 7.0: 10, 10.1: 4, 17.1: 400, 24.0: 50, 27.1: 90, 38.1: 20, 52.1: 10}


def transgene(values: dict[float, float]) -> list[tuple]:
    return [
        ("a", time, "transgene", value or 5.0, "none" if value else "left", 5.0)
        for time, value in values.items()
    ]


def test_one_row_per_cycle_and_one_for_the_course_each_from_its_own_first_infusion():
    frame = nca(study_of(NK + T1 + T2, transgene(VALUES)))
    assert frame["product"].tolist() == ["car_nk", "car_t", "car_t", "car_nk+car_t"]
    assert frame["cycle"].tolist() == ["1", "1", "2", "course"]
    assert frame["start"].tolist() == [0, 10.1, 24.1, 0]
    assert frame["cmax"].tolist() == [30, 400, 90, 400]
    assert frame["tmax"].tolist() == pytest.approx([3, 7, 3, 17.1], abs=1e-12)
    assert frame["n_records"].tolist() == [3, 3, 4, 9]
    assert frame["tlast"].tolist() == pytest.approx([7, 13.9, 28, 52.1], abs=1e-12)
    assert frame["unit"].unique().tolist() == ["copies/ug DNA"]


def test_a_cycle_ends_just_before_the_next_begins_and_its_window_says_so():
    frame = nca(study_of(NK + T1 + T2, transgene(VALUES)), by="cycle").set_index(["product", "cycle"])
    first = frame.loc[("car_nk", "1")]
    # the record at the next cycle's first infusion belongs to that cycle: 45 + (30 - 10) / ln 3 * 4
    assert first["auc_0_28d"] == pytest.approx(45 + 80 / log(3), rel=1e-12)
    assert first["partial"]
    assert first["auc_0_28d_reason"].endswith("the next cycle begins at day 10.1")


def test_a_cycle_starts_from_the_record_before_its_infusion_and_meets_the_window_exactly():
    second = (
        nca(study_of(NK + T1 + T2, transgene(VALUES))).set_index(["product", "cycle"]).loc[("car_t", "2")]
    )
    # 50 at day 24.0 stands in for day 24.1; 0.5*(50+90)*3 = 210; 90 to 20 in 11 days; 20 to 10 in 14 days
    expected = 210 + 70 / log(4.5) * 11 + 10 / LN2 * 14
    assert second["auc_0_28d"] == pytest.approx(expected, rel=1e-12)
    assert not second["partial"]
    assert "before the infusion" in second["auc_0_28d_reason"]
    assert second["fold_expansion"] == 1


def test_a_cycle_without_a_record_before_it_has_no_area_after_an_earlier_infusion():
    values = {time: value for time, value in VALUES.items() if time != 24.0}
    frame = nca(study_of(T1 + T2, transgene(values))).set_index("cycle")
    assert isnan(frame.loc["2", "auc_0_28d"])
    assert "an earlier infusion may still be measurable" in frame.loc["2", "auc_0_28d_reason"]
    assert frame.loc["2", "cmax"] == 90
    assert not isnan(frame.loc["1", "auc_last"])


def test_products_choose_whose_infusions_make_cycles():
    study = study_of(NK + T1 + T2, transgene(VALUES))
    assert nca(study, products=["car_t"])["start"].tolist() == [10.1, 24.1, 10.1]
    for wrong in (["car_x"], "car_t"):
        with pytest.raises(InputError, match="products"):
            nca(study, products=wrong)


def test_a_cycles_half_life_looks_at_its_own_infusions_only():
    values = {10.1: 0, 12.1: 64, 14.1: 32, 16.1: 16, 18.1: 8, 30.1: 9}
    frame = nca(study_of(T1 + T2, transgene(values)), rules=FREE).set_index("cycle")
    assert frame.loc["1", "half_life"] == pytest.approx(2)
    assert "the last infusion (day 15)" in frame.loc["course", "half_life_reason"]


def test_a_record_28_days_later_is_at_day_28_whatever_the_floats_say():
    assert 38.3 - 10.3 < 28
    study = study_of([("a", 10.3, "car_t", 1, 0.0)], transgene({10.3: 0, 17.3: 50, 38.3: 50}))
    row = nca(study, by="course").iloc[0]
    assert (row["tlast"], row["partial"], row["auc_0_28d"]) == (28, False, 175 + 1050)


@pytest.mark.parametrize(("by", "cycles"), [("cycle", ["1", "2"]), ("course", ["course"])])
def test_by_chooses_the_rows(by, cycles):
    assert nca(study_of(T1 + T2, transgene(VALUES)), by=by)["cycle"].tolist() == cycles


def test_the_window_names_its_column():
    frame = nca(study_of(T1, transgene(VALUES)), window=(0, 14))
    assert {"auc_0_14d", "auc_0_14d_reason"} <= set(frame.columns)
    assert "auc_0_28d" not in frame.columns


def test_the_end_of_an_infusion_bounds_the_half_life():
    long = [("a", 0.0, "car_t", 1, 3.0)]
    values = {0.5: 64, 1.0: 32, 2.0: 16, 3.0: 8, 4.0: 4, 5.0: 2}
    row = nca(study_of(long, transgene(values)), by="course").iloc[0]
    assert "after the last infusion (day 3)" in row["half_life_reason"]


def test_subjects_without_doses_or_records_keep_a_row_that_says_why():
    frame = nca(
        study_of(T1, [*transgene(VALUES), ("b", 1.0, "transgene", 9.0, "none", 5.0)], ("a", "b", "c"))
    )
    undosed = frame[frame["subject"] == "b"].iloc[0]
    assert undosed["cmax_reason"] == "no infusion is recorded for this subject: there is no time zero"
    assert (undosed["n_records"], undosed["cycle"]) == (1, "course")
    dosed = nca(study_of([*T1, ("b", 0.0, "car_t", 1, 0.0)], transgene(VALUES), ("a", "b")))
    assert dosed[dosed["subject"] == "b"]["cmax_reason"].unique().tolist() == ["no record after the infusion"]


def test_censored_values_are_read_as_the_study_means_them():
    rows = [
        ("a", 10.1, "il6", 2.0, "left", 2.0),
        ("a", 11.1, "il6", 2.0, "interval", 2.0),
        ("a", 12.1, "il6", 40.0, "interval", 2.0),
        ("a", 13.1, "il6", 5000.0, "right", 2.0),
        ("a", 14.1, "il6", 100.0, "none", 2.0),
    ]
    row = nca(study_of(T1, rows), by="course").iloc[0]
    assert (row["n_blq"], row["n_missing"], row["n_records"], row["cmax"]) == (2, 1, 4, 5000)
    assert row["cmax_reason"] == "a lower bound: records above the upper limit counted at it (1)"
    assert row["tmax_reason"] == ""


def test_an_unknown_analyte_or_kind_of_row_is_refused():
    study = study_of(T1, transgene(VALUES))
    with pytest.raises(InputError, match="did you mean 'transgene'"):
        nca(study, analyte="transgen")
    with pytest.raises(InputError, match="write 'cycle'"):
        nca(study, by="cycles")  # type: ignore[arg-type]


def test_every_missing_number_of_a_real_study_has_a_reason(theophylline):
    frame = nca(theophylline)
    assert len(frame) == 24
    for column in (c for c in frame.columns if f"{c}_reason" in frame.columns):
        assert (frame[f"{column}_reason"][frame[column].isna()] != "").all()
    assert frame["half_life"].isna().any()
    assert frame["half_life"].notna().any()


# ----------------------------------------------------------------------------------- long and summary


def test_the_cdisc_table_has_one_row_per_parameter_with_its_window_and_reason():
    table = to_pptestcd(nca(study_of(T1 + T2, transgene(VALUES)), analyte="transgene"))
    assert len(table) == 3 * 15
    first = table[table["PPGRPID"] == "car_t cycle 1"].set_index("PPTESTCD")
    assert (first.loc["CMAX", "PPORRES"], first.loc["CMAX", "PPORRESU"]) == (400, "copies/ug DNA")
    assert first.loc["AUCINT", ["PPSTINT", "PPENINT", "PPORRESU"]].tolist() == [
        "P0D",
        "P28D",
        "day*copies/ug DNA",
    ]
    assert first.loc["AUCLST", "PPENINT"] == ""
    assert first.loc["AUCINT", "PPSTAT"] == ""
    assert first.loc["AUCINT", "COMMENT"].startswith("partial")
    missing = first.loc["LAMZHL"]
    assert (missing["PPSTAT"], missing["COMMENT"]) == ("NOT DONE", "")
    assert "measurable values after" in missing["PPREASND"]
    assert set(table["PPGRPID"]) == {"car_t cycle 1", "car_t cycle 2", "car_t course"}
    codes = {
        "CMAX",
        "TMAX",
        "AUCINT",
        "AUCLST",
        "LAMZHL",
        "LAMZ",
        "LAMZNPT",
        "R2",
        "R2ADJ",
        "LAMZSPN",
        "CLST",
        "TLST",
    }
    own = table[table["PPTEST"].str.endswith("*")]["PPTESTCD"]
    assert set(table["PPTESTCD"]) == codes | {"CFIRST", "TFIRST", "FOLDEXP"}
    assert set(own) == {"CFIRST", "TFIRST", "FOLDEXP"}
    assert table["PPTESTCD"].str.len().max() <= 8
    with pytest.raises(InputError, match=r"not a table of kinetics.nca"):
        to_pptestcd(table)


def test_the_summary_is_geometric_and_withheld_when_too_many_are_missing():
    doses = [(s, 0.0, "car_t", 1, 0.0) for s in "abc"]
    peaks = [
        (s, t, "transgene", v, "none", 5.0)
        for s, v in zip("abc", (10.0, 20.0, 40.0), strict=True)
        for t in (0, 7)
    ]
    frame = nca(study_of(doses, peaks, ("a", "b", "c")), by="course")
    table = nca_summary(frame).set_index("number")
    assert table.loc["cmax", "geometric_mean"] == pytest.approx(20)  # (10 * 20 * 40)^(1/3)
    assert table.loc["cmax", "geometric_cv_percent"] == pytest.approx(
        100 * (exp(LN2**2) - 1) ** 0.5
    )  # SD of logs ln 2
    assert table.loc["cmax", ["mean", "median", "min", "max", "n"]].tolist() == [
        pytest.approx(70 / 3),
        20,
        10,
        40,
        3,
    ]
    assert table.loc["auc_0_28d", "reason"] == "3 areas are partial"
    assert isnan(table.loc["half_life", "mean"])
    assert table.loc["half_life", "reason"] == "3 of 3 subjects have no number"
    one_missing = frame.assign(cmax=[10.0, 20.0, np.nan])
    assert nca_summary(one_missing).set_index("number").loc["cmax", "n"] == 2
    half = pd.concat([frame, frame.iloc[:1]]).assign(cmax=[10.0, 40.0, np.nan, np.nan])
    assert nca_summary(half).set_index("number").loc["cmax", "geometric_mean"] == pytest.approx(20)
    two_missing = nca_summary(frame.assign(cmax=[10.0, np.nan, np.nan])).set_index("number").loc["cmax"]
    assert isnan(two_missing["mean"])
    zero = nca_summary(frame.assign(cmax=[0.0, 20.0, 40.0])).set_index("number").loc["cmax"]
    assert isnan(zero["geometric_mean"])
    assert zero["mean"] == 20


def test_nca_needs_no_jax_and_no_later_room(root: Path):
    allowed = {"numpy", "pandas", "kinetics", *sys.stdlib_module_names}
    for name in ("nca", "nca_rules"):
        tree = ast.parse((root / "kinetics" / f"{name}.py").read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
        tops = {(n.module or "") if isinstance(n, ast.ImportFrom) else n.names[0].name for n in imports}
        assert {top.partition(".")[0] for top in tops} <= allowed
        own = {top for top in tops if top.startswith("kinetics.")}
        assert own <= {"kinetics.errors", "kinetics.study", "kinetics.nca_rules"}
