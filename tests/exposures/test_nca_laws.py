"""NCA of one profile: laws over random profiles, and published answers for theophylline."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy import integrate, stats

from kinetics.exposures.area import auc
from kinetics.exposures.profile import NUMBERS, NCARules, nca_profile
from kinetics.exposures.samples import nca, nca_summary
from kinetics.study.study import Study, read_study
from tests.support.nca_rules import FREE, LN2, STRICT

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


def interpolate(time: np.ndarray, conc: np.ndarray, at: float) -> float:
    """The concentration at `at` between two records: of a line where they rise or reach 0, else of an
    exponential.
    """
    right = max(int(np.searchsorted(time, at)), 1)
    first = conc[right - 1]
    second = conc[right]
    weight = (at - time[right - 1]) / (time[right] - time[right - 1])
    if 0 < second < first:
        return float(first * (second / first) ** weight)
    return float(first + weight * (second - first))


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
