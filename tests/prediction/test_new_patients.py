"""New patients of a fit: conditional draws against an exact posterior, calibration, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kinetics.errors import PlanError
from kinetics.inference.fitting import Fit
from kinetics.plan.binding import bind
from kinetics.plan.new_subjects import bind_new_subjects
from kinetics.plan.plan import plan_of
from kinetics.prediction.conditional_patients import conditional_draws, readings
from kinetics.prediction.new_patients import Prediction, held_out, predict
from kinetics.study.study import read_study
from tests.support.fits import theophylline_fit, written_posterior
from tests.support.linear import linear_study
from tests.support.simulated_patients import known_fit, study_folder

# --- the exact posterior of a linear model ----------------------------------------------------------------


@cache
def linear_fit(draws: int = 3) -> Fit:
    """The linear model at known population values, the same in every draw."""
    bound = linear_study().bound()
    values = {
        "a_pop": 5.0,
        "b_pop": -20.0,
        "c_pop": 3.0,
        "omega_a": 0.8,
        "omega_b": 9.0,
        "omega_c": 4.0,
        "beta_a_weight_kg": 0.05,
        "sigma_add_theophylline": 0.5,
    }
    assert set(values) == set(bound.priors())
    subjects = np.zeros((draws, len(bound.subjects)))
    sites = {k: np.full(draws, v) for k, v in values.items()} | {f"eta_{k}": subjects for k in "abc"}
    return written_posterior(bound, sites, chains=1)


def test_draws_given_first_samples_are_those_of_the_exact_posterior():
    linear = linear_study()
    fit = linear_fit()
    bound = bind_new_subjects(fit.bound, linear.study)
    until = 0.12  # five or six samples of each subject
    drawn = conditional_draws(fit, bound, until=until, draws=4000, rng=np.random.default_rng(1))
    later = 0.5
    read = readings(drawn, np.full((len(bound.subjects), 1), later))["theophylline"][..., 0]
    mean = np.array([5.0, -20.0, 3.0])
    omega = np.diag([0.8, 9.0, 4.0]) ** 2
    at_later = np.array([1.0, later, later**2])
    for i in range(len(bound.subjects)):
        early = linear.time[i] <= until
        assert 2 <= early.sum() < 11
        z = linear.design(i)[early]
        centre = mean + np.array([0.05 * linear.weight[i], 0.0, 0.0])
        gain = omega @ z.T @ np.linalg.inv(z @ omega @ z.T + 0.25 * np.eye(early.sum()))
        exact = centre + gain @ (linear.y[i][early] - z @ centre)
        covariance = omega - gain @ z @ omega
        sd = np.sqrt(at_later @ covariance @ at_later)
        assert abs(read[:, i].mean() - at_later @ exact) < 0.1 * sd
        assert read[:, i].std() == pytest.approx(sd, rel=0.08)
        assert stats.kstest(read[:, i], stats.norm(at_later @ exact, sd).cdf).statistic < 0.045


def test_the_population_itself_is_updated_by_a_patients_samples():
    """Two draws of the population, one of which the samples exclude: no particle keeps it."""
    linear = linear_study()
    fit = linear_fit(2)
    sites = {
        k: np.array(v)
        for k, v in fit.sites().items()
        if k in {*fit.bound.priors(), "eta_a", "eta_b", "eta_c"}
    }
    sites["a_pop"] = np.array([5.0, 25.0])
    two = written_posterior(fit.bound, sites, chains=1)
    bound = bind_new_subjects(two.bound, linear.study)
    drawn = conditional_draws(two, bound, until=0.12, draws=500, rng=np.random.default_rng(1))
    assert (drawn.row == 0).all()
    population = conditional_draws(two, bound, until=None, draws=500, rng=np.random.default_rng(1))
    assert population.row.mean() == pytest.approx(0.5, abs=0.01)


# --- calibration on simulated patients --------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, 10.0])
def test_bands_cover_simulated_patients_and_their_records_below_the_lloq(given):
    prediction = predict(known_fit(), str(study_folder()), given=given, draws=600, seed=2)
    (row,) = prediction.coverage().to_dict("records")
    assert 0.4 < row["inside_50"] < 0.6
    assert 0.83 < row["inside_90"] < 0.97
    assert row["below_lloq_predicted"] == pytest.approx(row["below_lloq"], abs=0.05)
    assert row["below_lloq"] > (0.05 if given is None else 0.0)
    if given is not None:
        assert (prediction.records["time"] > given).all()
        assert len(prediction.used) + len(prediction.records) == len(prediction.study.observations)


def test_a_wrong_population_is_not_covered():
    """The check can fail: a Cmax that is eight times too high leaves the bands."""
    wrong = predict(known_fit(cmax_factor=8.0), str(study_folder()), draws=300)
    assert wrong.coverage()["inside_90"].iloc[0] < 0.8


def test_first_samples_narrow_the_bands():
    def width(prediction: Prediction) -> float:
        late = prediction.bands[prediction.bands["time"] > 20]
        return float(np.mean(np.log(late["q95"] / late["q5"])))

    population = predict(known_fit(), str(study_folder()), draws=300, until=60)
    updated = predict(known_fit(), str(study_folder()), given=14, draws=300, until=60)
    assert width(updated) < 0.8 * width(population)
    assert updated.bands["time"].min() == 14


def test_a_record_below_the_lloq_that_is_certain_is_inside_every_band_by_its_share():
    before_the_dose = predict(known_fit(), str(study_folder()), draws=100).records
    before_the_dose = before_the_dose[before_the_dose["time"] < 0]
    assert len(before_the_dose) > 0
    assert (before_the_dose["below_lloq"] == 1.0).all()
    np.testing.assert_allclose(before_the_dose["inside_50"], 0.5)
    np.testing.assert_allclose(before_the_dose["inside_90"], 0.9)


# --- who is held out --------------------------------------------------------------------------------------


def held_out_fit() -> Fit:
    plan = {
        "model": "ogasawara_2021",
        "data": str(study_folder()),
        "name": "two-thirds",
        "observe": {"copies": {}},
        "hold_out": {"share": 0.33, "seed": 4},
    }
    bound = bind(plan_of(plan))
    known = known_fit().sites()
    names = [*bound.priors(), *(f"eta_{k}" for k in bound.hierarchy.vary)]
    who = [known_fit().bound.subjects.index(s) for s in bound.subjects]
    sites = {k: known[k][:, who] if k.startswith("eta_") else known[k] for k in names}
    return written_posterior(bound, sites)


def test_the_held_out_are_not_fitted_and_are_predicted():
    fit = held_out_fit()
    kept_out = held_out(fit).subject_ids
    assert sorted([*fit.bound.subjects, *kept_out]) == sorted(known_fit().bound.subjects)
    assert len(kept_out) == 13  # a third of forty
    assert set(predict(fit, draws=50).records["subject"]) == set(kept_out)
    # binding the smaller study again keeps out nobody else
    assert bind(fit.bound.plan, study=fit.study).subjects == fit.bound.subjects


def test_a_fit_that_keeps_nobody_out_needs_a_study():
    with pytest.raises(PlanError, match="keeps no subject out"):
        predict(known_fit())


# --- covariates and refusals ------------------------------------------------------------------------------


def test_covariates_keep_the_centre_and_the_reference_of_the_fit():
    plan = {
        "model": "one_compartment_oral",
        "data": "theophylline",
        "observe": {"theophylline": {"likelihood": "additive"}},
        "covariates": {"ke": [{"covariate": "weight_kg", "form": "power"}]},
    }
    bound = bind(plan_of(plan))
    heavy = read_study("theophylline").only(["1", "2", "3"])
    new = bind_new_subjects(bound, heavy)
    (column,) = new.data.design.values()
    whole = dict(zip(bound.subjects, next(iter(bound.data.design.values())), strict=True))
    np.testing.assert_allclose(column, [whole[s] for s in new.subjects])
    assert abs(np.median(column)) > 0.005  # by their own median it would be 0


def test_a_category_that_the_fit_has_not_had_is_refused_by_name():
    study = read_study("synthetic_cart_12")
    plan = {
        "model": "ogasawara_2021",
        "data": "synthetic_cart_12",
        "observe": {"car_copies": {}},
        "covariates": {"cmax": [{"covariate": "sex"}]},
    }
    bound = bind(plan_of(plan))
    subjects = study.subjects.copy()
    subjects["sex"] = subjects["sex"].astype(object)
    subjects.loc["S01", "sex"] = "unknown"
    with pytest.raises(PlanError, match=r"S01.*'unknown', which no subject of the fit was"):
        bind_new_subjects(bound, replace(study, subjects=subjects))


def test_a_study_of_other_analytes_or_products_is_refused():
    fit = theophylline_fit()
    with pytest.raises(PlanError, match="has no record of theophylline"):
        predict(fit, "synthetic_cart_12")
    study = read_study("theophylline")
    doses = study.doses.assign(product="aspirin")
    with pytest.raises(PlanError, match="doses of aspirin, which nobody in the fit was given"):
        predict(fit, replace(study, doses=doses))
    undosed = study.doses[study.doses["subject"] != "3"]
    with pytest.raises(PlanError, match="subject 3: no dose of drug"):
        predict(fit, replace(study, doses=undosed))


def test_no_sample_up_to_the_day_is_an_error_and_not_a_prediction_of_the_population():
    with pytest.raises(PlanError, match="no record of copies up to day -5"):
        predict(known_fit(), str(study_folder()), given=-5.0)


def test_patients_without_first_samples_stay_of_the_population():
    study = read_study(str(study_folder()))
    rows = study.observations
    alone = rows[~((rows["subject"] == "P03") & (rows["time"] < 20))]
    prediction = predict(known_fit(), replace(study, observations=alone), given=14, draws=200)
    bands = prediction.bands[prediction.bands["time"] > 20]
    width = pd.Series(np.log(bands["q95"] / bands["q5"])).groupby(bands["subject"].to_numpy()).mean()
    assert width["P03"] > 1.2 * width.drop("P03").median()
