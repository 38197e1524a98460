"""NCA of one profile: areas, BLQ, half-life, day 0, each against arithmetic shown in the test."""

from __future__ import annotations

from math import exp, isnan, log
from typing import Any

import numpy as np
import pytest

from kinetics.errors import InputError, PlanError
from kinetics.exposures.profile import NCARules, nca_profile
from tests.support.nca_rules import FREE, LN2, STRICT

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
