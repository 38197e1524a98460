"""Residuals, predictive checks and corrected VPCs: right models pass, wrong ones do not, columns are by
hand.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from scipy.special import ndtri

from kinetics.assay.residual import residual_priors
from kinetics.checks.goodness_of_fit import GoodnessOfFit, discrepancies, gof, normality, record_limits
from kinetics.checks.replicated_statistics import predictive_check
from kinetics.checks.visual_check import _Records, _vpc, strata, stratified_vpc, vpc
from kinetics.errors import InputError, StudyError
from kinetics.inference.fitting import Fit
from kinetics.model.priors import LogNormal
from kinetics.prediction.records import Replicates, simulate_records, typical_records
from kinetics.solve.solving import solve
from tests.support.fits import cart_fit
from tests.support.simulated_patients import LLOQ, PEOPLE, SIGMA, known_fit

goodness = import_module("kinetics.checks.goodness_of_fit")


@cache
def known_gof(cmax_factor: float = 1.0) -> GoodnessOfFit:
    return gof(known_fit(cmax_factor=cmax_factor), replicates=600)


@cache
def drawn(draws: int) -> Replicates:
    return simulate_records(known_fit(), "copies", draws=draws, seed=7)


# --- columns --------------------------------------------------------------------------------------------


def test_predictions_are_the_models_and_residuals_their_distance():
    fit, table = known_fit(), known_gof().table
    times = fit.bound.data.observations.time
    own = solve(fit.model, times, {k: v[0] for k, v in fit.theta().items()}, fit.bound.data.doses)["copies"]
    typical = {k: np.full(PEOPLE, p.value) for k, p in fit.model.parameters.items()}
    pred = solve(fit.model, times, typical, fit.bound.data.doses)["copies"]
    np.testing.assert_allclose(table["ipred"], np.asarray(own).ravel(), rtol=1e-9)
    np.testing.assert_allclose(table["pred"], np.asarray(pred).ravel(), rtol=1e-9)
    measured = (table["censored"] == "none").to_numpy()
    by_hand = np.log(table["dv"][measured] / table["ipred"][measured]) / SIGMA
    np.testing.assert_allclose(table["iwres"][measured], by_hand, atol=1e-6)
    np.testing.assert_allclose(table["res"][measured], (table["dv"] - table["pred"])[measured])
    assert table["res"][~measured].isna().all()


def test_time_after_dose_counts_from_the_latest_one_and_a_record_at_a_dose_is_before_it():
    table = known_gof().table
    first = table[table["subject"] == "P00"]
    doses = np.array([0.0, 14.0])
    for time, tad in zip(first["time"], first["tad"], strict=True):
        earlier = doses[doses < time]
        assert tad == pytest.approx(time - (earlier.max() if len(earlier) else 0.0))
    at = DataFrame({"subject": ["P03"] * 3, "time": [-1.0, 14.0, 14.5]})
    np.testing.assert_allclose(goodness._after_dose(known_fit(), at), [-1.0, 14.0, 0.5])


def test_a_censored_record_gets_a_score_that_its_limit_allows():
    table = known_gof().table
    left = table[(table["censored"] == "left") & table["iwres"].notna()]
    most = np.log(LLOQ / left["ipred"]) / SIGMA
    assert (left["iwres"] <= most + 1e-9).all()
    assert left["npde"].notna().sum() > 20
    before = table[table["time"] < 0]
    assert before["npde"].isna().all()  # no cells before the dose: surely below the LLOQ


@pytest.mark.parametrize("likelihood", ["student_t", "proportional", "combined", "lognormal_poisson"])
def test_residuals_are_on_the_normal_scale_whatever_the_error_model(likelihood):
    fit = known_fit()
    (assay,) = fit.bound.assays
    priors = residual_priors(likelihood, "copies")
    other = replace(assay, likelihood=likelihood, nu=4.0, priors=priors, dna_ug=0.01)
    bound = replace(fit.bound, assays=(other,))
    posterior = fit.posterior.copy()
    group = posterior["posterior"].dataset
    posterior["posterior"] = group.assign(sigma_add_copies=10.0 + 0 * group["sigma_copies"])
    table = gof(Fit(bound, posterior, fit.provenance), replicates=50).table
    measured = table[table["censored"] == "none"]
    z = (measured["dv"] - measured["ipred"]) / (SIGMA * measured["ipred"])
    if likelihood == "combined":
        z = (measured["dv"] - measured["ipred"]) / np.sqrt(100 + (SIGMA * measured["ipred"]) ** 2)
    if likelihood == "student_t":
        from scipy.stats import t

        z = ndtri(t.cdf(np.log(measured["dv"] / measured["ipred"]) / SIGMA, 4.0))
    if likelihood == "lognormal_poisson":
        counting = np.log1p(1 / (0.01 * measured["ipred"]))
        z = (np.log(measured["dv"] / measured["ipred"]) + counting / 2) / np.sqrt(SIGMA**2 + counting)
    np.testing.assert_allclose(measured["iwres"], z, atol=1e-5)


def test_predictions_are_of_what_the_assay_reads():
    fit = known_fit()
    (assay,) = fit.bound.assays
    scaled = replace(assay, priors=dict(assay.priors) | {"scale_copies": LogNormal(1.0, 0.3)})
    posterior = fit.posterior.copy()
    group = posterior["posterior"].dataset
    posterior["posterior"] = group.assign(scale_copies=2.0 + 0 * group["sigma_copies"])
    table = gof(Fit(replace(fit.bound, assays=(scaled,)), posterior, fit.provenance), replicates=50).table
    for column in ("pred", "ipred"):
        np.testing.assert_allclose(table[column], 2 * known_gof().table[column], rtol=1e-9)


# --- what residuals say ---------------------------------------------------------------------------------


def test_npde_of_a_right_model_are_standard_normal():
    # over forty studies simulated from the truth, the mean has an SD of 0.054 and the SD one of 0.047
    found = known_gof().tests.set_index("residual").loc["npde"]
    assert abs(found["mean"]) < 3 * 0.054
    assert abs(found["sd"] - 1) < 3 * 0.047
    assert found["p_global"] > 0.05
    assert found["verdict"] == "as a right model gives"


def test_npde_reject_a_cmax_that_is_four_times_too_high():
    found = known_gof(4.0).tests.set_index("residual").loc["npde"]
    assert found["p_mean"] < 0.01
    assert found["verdict"] == "the mean is not 0: the model is too high"
    assert known_gof(4.0).tests["verdict"].tolist()[1] == "individual predictions are too high"


def test_the_tests_reject_a_right_model_no_more_often_than_they_say():
    whole = drawn(340)
    base = _rows(whole, slice(40, None))
    rejected = []
    for k in range(40):
        records = whole.records.reset_index(drop=True)
        censored = np.where(whole.below[k], "left", "none")
        records = records.assign(value=whole.value[k], censored=censored)
        scores = discrepancies(replace(base, records=records))
        rejected.append(normality(scores.npde, scores.replicated)["p_global"] < 0.05)
    assert sum(rejected) <= 6  # of 40 at 5 %: more than 6 has a chance below 1 %


def test_decorrelated_scores_are_uncorrelated_where_the_discrepancies_are_not():
    whole = drawn(340)
    npde = discrepancies(whole).replicated
    own = np.flatnonzero((whole.records["subject"] == "P01").to_numpy() & np.isfinite(npde[0]))
    raw = np.corrcoef(np.log(np.maximum(whole.latent[:, own], 1e-9)), rowvar=False)
    after = np.corrcoef(npde[:, own], rowvar=False)
    off = ~np.eye(len(own), dtype=bool)
    assert np.abs(raw[off]).max() > 0.8
    assert np.abs(after[off]).max() < 0.2


def test_a_discrepancy_is_the_share_of_replicates_below_the_record():
    whole = drawn(340)
    npd = discrepancies(whole).npd
    records = whole.records.reset_index(drop=True)
    i = int(np.flatnonzero((records["censored"] == "none").to_numpy())[3])
    share = np.mean(whole.latent[:, i] < records["value"][i])
    assert npd[i] == pytest.approx(ndtri(share))


def test_the_normality_tests_are_the_textbooks_without_replicates():
    z = np.random.default_rng(1).standard_normal(200)
    found = normality(np.append(z, np.nan))
    assert found["n"] == 200
    assert found["mean"] == pytest.approx(z.mean())
    assert min(found["p_mean"], found["p_variance"], found["p_normal"]) > 0.05
    assert normality(z + 0.5)["p_mean"] < 1e-6
    assert normality(1.5 * z)["p_variance"] < 1e-6
    assert normality(np.exp(z))["p_normal"] < 1e-6
    assert np.isnan(normality(z[:3])["p_global"])


def test_a_seed_fixes_the_imputed_records_and_another_changes_them():
    a, b, c = (discrepancies(drawn(340), seed=s).npd for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c, equal_nan=True)


def _rows(replicates: Replicates, rows: slice) -> Replicates:
    parts = {k: getattr(replicates, k)[rows] for k in ("value", "below", "above", "latent")}
    return replace(replicates, **parts)


# --- predictive checks ----------------------------------------------------------------------------------


def test_a_right_model_makes_studies_like_the_one_observed():
    table = predictive_check(known_fit(), n=300).set_index("statistic")
    likely = ["median cmax", "SD of log cmax", "median last detectable", "mean below LLOQ"]
    assert table.loc[likely, "p"].between(0.02, 0.98).all()
    assert (table.loc[likely, "verdict"] == "like").all()
    records = known_fit().study.observed("copies")
    cmax = records[records["censored"] == "none"].groupby("subject")["value"].max()
    assert table.loc["median cmax", "observed"] == pytest.approx(cmax.median())
    below = (records["censored"] == "left").groupby(records["subject"]).mean()
    assert table.loc["mean below LLOQ", "observed"] == pytest.approx(100 * below.mean())
    last = records[records["censored"] == "none"].groupby("subject")["time"].max()
    assert table.loc["median last detectable", "observed"] == pytest.approx(last.median())


def test_a_cmax_that_is_four_times_too_high_is_unlike_the_study():
    table = predictive_check(known_fit(cmax_factor=4.0), n=300).set_index("statistic")
    assert table.loc["median cmax", "verdict"] == "unlike"
    assert table.loc["median cmax", "p"] > 0.99
    assert table.loc["SD of log cmax", "verdict"] == "like"


def test_each_subject_is_checked_against_new_patients_with_its_doses():
    table = predictive_check(cart_fit(), "car_copies", by="subject", n=50)
    assert list(table["subject"].unique()) == cart_fit().bound.subjects
    assert len(table) == 12 * 4
    known = predictive_check(known_fit(), by="subject", n=200)
    cmax = known[known["statistic"] == "cmax"]
    assert cmax["p"].mean() == pytest.approx(0.5, abs=3 * np.sqrt(1 / 12 / PEOPLE))  # p is uniform


def test_another_grouping_or_analyte_is_refused():
    with pytest.raises(InputError, match="did you mean 'subject'"):
        predictive_check(known_fit(), by="subjct")  # pyright: ignore
    with pytest.raises(StudyError, match="copies"):
        predictive_check(known_fit(), "copy")
    with pytest.raises(StudyError, match="copies"):
        gof(known_fit(), "copy")


# --- corrected and stratified ---------------------------------------------------------------------------


def test_prediction_correction_is_the_median_prediction_of_the_bin_over_the_records_own():
    prediction = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 10.0, 10.0, 10.0, 10.0, 10.0])
    value = np.array([3.0, 2.0, 4.0, 16.0, 2.0, 7.0, 7.0, 7.0, 7.0, 7.0])
    below = np.arange(10) == 4
    points = DataFrame({
        "subject": [f"P{i}" for i in range(10)], "time": np.repeat([1.0, 5.0], 5), "value": value,
        "lloq": 2.0, "below": below, "above": False,
    })  # fmt: skip
    simulated = np.tile(np.where(below, -np.inf, value), (3, 1))
    found = _Records(points, simulated, prediction, np.zeros(10, bool))
    checked = _vpc(known_fit(), "copies", found, bins=[0.0, 3.0, 6.0], since="first dose", stratum="")
    # median prediction of the first bin 4: factors 4, 2, 1, 1/2, 1/4
    np.testing.assert_allclose(checked.points["value"][:5], [12.0, 4.0, 4.0, 8.0, 0.5])
    np.testing.assert_allclose(checked.points["lloq"][:5], [8.0, 4.0, 2.0, 1.0, 0.5])
    np.testing.assert_allclose(checked.points["value"][5:], 7.0)
    first = checked.bins.iloc[0]
    assert first["observed_50"] == 4.0  # of -inf (below its LLOQ of 0.5), 4, 4, 8, 12
    assert first["median_50"] == 4.0
    assert first["observed_5"] == -np.inf
    assert first["blq_observed"] == 20.0
    assert checked.corrected


def test_correction_takes_the_dose_out_of_a_bin():
    fit = cart_fit()
    pred = typical_records(fit, "car_copies")
    corrected = vpc(fit, "car_copies", n=20, prediction_corrected=True)
    assert corrected.left_out == int((pred == 0).sum())
    plain = vpc(fit, "car_copies", n=20)
    factor = corrected.points["value"].to_numpy() / plain.points["value"].to_numpy()
    kept = pred[pred > 0]
    for _, own in pd.Series(range(len(kept))).groupby(_bin_of(corrected)):
        np.testing.assert_allclose(factor[own] * kept[own], np.median(kept[own]), rtol=1e-9)
    np.testing.assert_allclose(corrected.points["lloq"], 50.0 * factor)
    np.testing.assert_array_equal(plain.bins["blq_observed"], corrected.bins["blq_observed"])


def _bin_of(checked) -> np.ndarray:
    time = checked.points["time"].to_numpy()
    return np.clip(np.searchsorted(checked.bins["start"], time, side="right") - 1, 0, None)


def test_the_corrected_vpc_accepts_the_truth_and_rejects_another_cmax():
    assert vpc(known_fit(), "copies", n=200, prediction_corrected=True).covered >= 0.8
    assert vpc(known_fit(cmax_factor=4.0), "copies", n=200, prediction_corrected=True).covered < 0.5


def test_strata_share_the_records_out():
    fit = cart_fit()
    found = stratified_vpc(fit, "car_copies", "dose_level", n=20)
    whole = vpc(fit, "car_copies", n=20)
    assert list(found) == [c.stratum for c in found.values()]
    assert len(found) == 2
    assert sum(len(c.points) for c in found.values()) == len(whole.points)
    assert sum(c.left_out for c in found.values()) == whole.left_out


def test_a_number_is_cut_at_its_median_and_a_category_is_not_cut():
    study = cart_fit().study
    age = study.subjects["age"]
    low, high = strata(study, "age").values()
    assert age[low].max() <= age.median() < age[high].min()
    sexes = strata(study, "sex")
    assert {name.removeprefix("sex ") for name in sexes} == set(study.subjects["sex"])
    missing = study.subjects.assign(sex=study.subjects["sex"].where(study.subjects.index != "S03"))
    assert strata(replace(study, subjects=missing), "sex")["sex not recorded"] == ["S03"]
    with pytest.raises(StudyError, match="did you mean 'age'"):
        strata(study, "agee")


def test_the_limits_of_a_record_above_the_uloq_are_those_that_it_has():
    records = pd.DataFrame(
        {"value": [40.0, 40.0, 5.0], "limit": [60.0, np.nan, np.nan], "censored": ["right", "right", "left"]}
    )
    lower, upper = record_limits(records)
    assert (lower.tolist(), upper.tolist()) == ([40.0, 40.0, -np.inf], [60.0, np.inf, 5.0])
