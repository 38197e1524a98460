"""Ciltacabtagene autoleucel, CARTITUDE-1 (n = 97): the NCA code recovers the reported mean and SD.

The published table (Cmax 48,692 (SD 27,174) copies/ug DNA, AUC0-28d 504,496 (385,380) day x copies/ug DNA)
is turned into two lognormal distributions by its moments: geometric means 42,519 and 400,908, log SDs .521
and .678. These are inputs. What is tested is that the NCA code, which sees only sampled profiles, gives
their moments back.

Of our own choice: the correlation of log Cmax and log AUC (.95, which keeps AUC0-28d below 28 x Cmax), and
the shape: an exponential rise to day 12 and a biexponential fall, whose rates all share one factor per
subject, found so that the profile's exact area to day 28 is the AUC drawn. Draws are stratified by quantile
so that the mean and SD of 5,000 subjects are not themselves noise.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from kinetics.exposures.profile import NCARules, nca_profile

N, TMAX, END = 5000, 12.0, 28.0
RISE, FAST, SLOW, FAST_SHARE = 0.9, 0.30, 0.04, 0.9  # 1/day, before each subject's factor
TIMES = np.concatenate((np.arange(0, END, 0.5), [END, 35, 42, 60, 90]))
CMAX_GM, CMAX_OMEGA = 42_519.0, 0.521
AUC_GM, AUC_OMEGA = 400_908.0, 0.678


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Cmax and AUC0-28d of N subjects: lognormal, correlated, each with stratified quantiles."""
    rng = np.random.default_rng(97)
    scores = norm.ppf((np.arange(N) + 0.5) / N)
    first = rng.permutation(scores)
    mixed = 0.95 * first + np.sqrt(1 - 0.95**2) * rng.permutation(scores)
    second = np.empty(N)
    second[np.argsort(mixed)] = scores
    return CMAX_GM * np.exp(CMAX_OMEGA * first), AUC_GM * np.exp(AUC_OMEGA * second)


def width(factor: np.ndarray) -> np.ndarray:
    """Exact area to day 28 of a profile of peak 1 [days]."""
    fall = [share * -np.expm1(-rate * factor * (END - TMAX)) / (rate * factor)
            for rate, share in ((FAST, FAST_SHARE), (SLOW, 1 - FAST_SHARE))]  # fmt: skip
    return -np.expm1(-RISE * factor * TMAX) / (RISE * factor) + sum(fall)


def factors(wanted: np.ndarray) -> np.ndarray:
    """The factor on all rates that gives each subject the wanted area per peak, by bisection of its log."""
    low, high = np.full(N, np.log(1e-6)), np.full(N, np.log(1e3))
    for _ in range(80):
        middle = 0.5 * (low + high)
        wide = width(np.exp(middle)) > wanted
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    return np.exp(0.5 * (low + high))


def sampled(cmax: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Every subject's concentrations at TIMES."""
    k = factors(area / cmax)[:, None]
    after, before = np.maximum(TIMES - TMAX, 0), np.maximum(TMAX - TIMES, 0)
    fall = FAST_SHARE * np.exp(-FAST * k * after) + (1 - FAST_SHARE) * np.exp(-SLOW * k * after)
    return cmax[:, None] * np.exp(-RISE * k * before) * fall


@pytest.fixture(scope="module")
def recovered() -> dict[str, np.ndarray]:
    cmax, area = draw()
    found = [nca_profile(TIMES, conc, rules=NCARules.car_t()) for conc in sampled(cmax, area)]
    return {
        "drawn_cmax": cmax,
        "drawn_auc": area,
        "cmax": np.array([p.cmax for p in found]),
        "tmax": np.array([p.tmax for p in found]),
        "auc": np.array([p.auc_window for p in found]),
        "partial": np.array([p.partial for p in found]),
    }


@pytest.mark.parametrize(("number", "mean", "sd"), [("cmax", 48_692, 27_174), ("auc", 504_496, 385_380)])
def test_mean_and_sd_are_those_published(recovered, number, mean, sd):
    assert recovered[number].mean() == pytest.approx(mean, rel=0.05)
    assert recovered[number].std(ddof=1) == pytest.approx(sd, rel=0.05)


def test_each_subjects_own_peak_and_area_are_recovered(recovered):
    assert recovered["cmax"] == pytest.approx(recovered["drawn_cmax"], rel=1e-12)
    assert (recovered["tmax"] == TMAX).all()
    error = recovered["auc"] / recovered["drawn_auc"] - 1
    assert np.abs(error).max() < 0.05
    assert np.abs(np.median(error)) < 0.005
    assert not recovered["partial"].any()


def test_another_window_or_rule_would_miss_the_published_mean(recovered):
    profiles = sampled(recovered["drawn_cmax"], recovered["drawn_auc"])[::10]
    to_day_14 = [nca_profile(TIMES, conc, window=(0, 14)).auc_window for conc in profiles]
    weekly = np.isin(TIMES, (0, 7, 12, 28))
    linear = NCARules(auc_method="linear")
    sparse = [nca_profile(TIMES[weekly], conc[weekly], rules=linear).auc_window for conc in profiles]
    assert np.mean(to_day_14) < 0.95 * 504_496
    assert np.mean(sparse) > 1.05 * 504_496
