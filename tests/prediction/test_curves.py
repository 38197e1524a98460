"""Predictions against a posterior that is known exactly: curves, replicated studies, the VPC.

The fits here need no sampler: the posterior is written down, at the truth that simulated the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame

from kinetics.checks.visual_check import time_bins, vpc
from kinetics.errors import StudyError
from kinetics.inference.fitting import Fit, _datatree
from kinetics.inference.nuts import Draws
from kinetics.inference.run_folder import provenance_of
from kinetics.model.model import load_model
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of, read_plan
from kinetics.prediction.curves import curve_times, individual_curves, population_curve, predicted_blocks
from kinetics.prediction.patients import population_draws, typical_patients
from kinetics.prediction.records import predicted_records, simulate_records, typical_records
from kinetics.solve.solving import solve
from kinetics.study.study import Study
from kinetics.units import convert

predict = import_module("kinetics.prediction.curves")
checks = import_module("kinetics.checks.visual_check")
replicates = import_module("kinetics.prediction.records")
LLOQ, PEOPLE = 50.0, 40
VISITS = [-1.0, 1, 3, 7, 10, 14, 15, 18, 21, 24, 28, 42, 60, 90]
SIGMA = 0.3
ETA = np.random.default_rng(3).standard_normal((8, PEOPLE))
DICTIONARY = f"""
title = "Forty simulated patients"
source = "tests/prediction/test_curves.py"
licence = "CC0-1.0"
synthetic = true
[analytes.copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = {LLOQ}
[columns.doses]
time = {{ unit = "day" }}
[columns.observations]
time = {{ unit = "day" }}
"""


def written_posterior(bound: BoundFit, sites: Mapping[str, Any], *, chains: int = 2) -> Fit:
    """A Fit whose posterior is `sites` (draw, ...), split over the chains; no sampler runs."""
    split = {k: np.asarray(v).reshape(chains, -1, *np.shape(v)[1:]) for k, v in sites.items()}
    n = next(iter(split.values())).shape[1]
    rng = np.random.default_rng(0)
    stats = {
        "diverging": np.zeros((chains, n), bool), "n_steps": np.full((chains, n), 7),
        "tree_depth": np.full((chains, n), 3),
        "energy": rng.standard_normal((chains, n)), "energy_change": np.full((chains, n), 2.0),
        "acceptance_rate": np.full((chains, n), 0.9),
    }  # fmt: skip
    facts = {
        "started": "2025-01-01T00:00:00+00:00",
        "seconds": 0.0,
        "chains": "written",
        "unused_parameters": [],
    }
    return Fit(bound, _datatree(bound, Draws(split, stats, [])), provenance_of(bound.plan, bound, facts))


def prior_fit(plan: Any, *, study: Study | None = None, draws: int = 60) -> Fit:
    """A Fit whose posterior is a tenth as wide as its prior around the prior's median; etas are standard."""
    bound = bind(plan, study=study)
    rng = np.random.default_rng(1)
    sites: dict[str, np.ndarray] = {}
    for site, prior in bound.priors().items():
        centre, width = float(prior.median), 0.1 * rng.standard_normal(draws)
        sites[site] = centre + 0.1 * width if prior.link == "identity" else centre * np.exp(width)
    n = len(bound.subjects)
    for name in bound.hierarchy.vary:
        eta = 0.5 * rng.standard_normal((1, n)) + 0.1 * rng.standard_normal((draws, n))
        sites[f"eta_{name}"] = eta
    return written_posterior(bound, sites)


@cache
def cart_fit() -> Fit:
    """The demo's study and plan with a written posterior."""
    return prior_fit(read_plan("ogasawara_2021__synthetic_cart_12"))


@cache
def theophylline_fit() -> Fit:
    """An oral drug with an additive error and no LLOQ, with a written posterior."""
    plan = {"model": "one_compartment_oral", "data": "theophylline", "name": "theophylline"}
    return prior_fit(plan_of(plan | {"observe": {"theophylline": {"likelihood": "additive"}}}))


@cache
def study_folder() -> Path:
    """Forty patients, two cycles, simulated from the library model at its typical values."""
    folder = Path(mkdtemp(prefix="known-")) / "known"
    folder.mkdir()
    (folder / "dictionary.toml").write_text(DICTIONARY)
    names = [f"P{i:02d}" for i in range(PEOPLE)]
    DataFrame({"subject": names}).to_csv(folder / "subjects.csv", index=False)
    doses = [(s, t, "car_t", "iv", 1e8, c) for s in names for t, c in ((0.0, 1), (14.0, 2))]
    header = ["subject", "time", "product", "route", "cells", "cycle"]
    DataFrame(doses, columns=header).to_csv(folder / "doses.csv", index=False)
    rng = np.random.default_rng(11)
    rows = [
        (s, t + (0 if t < 0 else rng.uniform(0, 0.2)), "copies", LLOQ, "left") for s in names for t in VISITS
    ]
    columns = ["subject", "time", "analyte", "value", "censored"]
    table = DataFrame(rows, columns=columns)
    table.to_csv(folder / "observations.csv", index=False)
    fit = known_fit(folder=folder)  # bound to records that are all below the LLOQ, to simulate the real ones
    theta = {k: v[0] for k, v in fit.theta().items()}
    times = fit.bound.data.observations.time
    f = np.asarray(solve(fit.model, times, theta, fit.bound.data.doses)["copies"])
    y = np.where(f > 0, f * np.exp(SIGMA * rng.standard_normal(f.shape)), 0.0).ravel()
    table["value"], table["censored"] = np.maximum(y, LLOQ), np.where(y < LLOQ, "left", "none")
    table.to_csv(folder / "observations.csv", index=False)
    return folder


@cache
def known_fit(*, folder: Path | None = None, cmax_factor: float = 1.0, draws: int = 40) -> Fit:
    """A posterior that sits on the truth, or off by a factor in Cmax: every draw is the same."""
    content = {"model": "ogasawara_2021", "data": str(folder or study_folder()), "name": "known", "seed": 1}
    bound = bind(plan_of(content | {"observe": {"copies": {}}}))
    model = load_model("ogasawara_2021")
    ones = np.ones(draws)
    sites: dict[str, np.ndarray] = {}
    for site, prior in bound.priors().items():
        name = site.removeprefix("omega_").removesuffix("_pop")
        value = SIGMA if site == "sigma_copies" else model.parameters[name].value
        value = model.parameters[name].sd if site.startswith("omega_") else value
        sites[site] = ones * float(value if value is not None else prior.median)
    sites["cmax_pop"] *= cmax_factor
    for row, name in enumerate(bound.hierarchy.vary):
        sites[f"eta_{name}"] = np.broadcast_to(ETA[row], (draws, PEOPLE))
    return written_posterior(bound, sites)


# --- curves ---------------------------------------------------------------------------------------------


def test_a_subjects_curve_is_the_models_at_its_parameters():
    fit, times = known_fit(), np.linspace(0, 90, 50)
    table = individual_curves(fit, times, analyte="copies", draws=20)
    theta = {k: v[0] for k, v in fit.theta().items()}
    grid = np.broadcast_to(times, (PEOPLE, 50))
    truth = np.asarray(solve(fit.model, grid, theta, fit.bound.data.doses)["copies"])
    for column in ("q5", "q50", "q95"):
        np.testing.assert_allclose(np.asarray(table[column]).reshape(PEOPLE, 50), truth, rtol=1e-9)
    assert set(table["unit"]) == {"copies/ug DNA"}
    assert list(dict.fromkeys(table["subject"])) == fit.bound.subjects


def test_quantiles_of_curves_are_ordered_and_no_grid_point_is_lost():
    fit = cart_fit()
    table = individual_curves(fit, draws=30)
    q = table[["q5", "q25", "q50", "q75", "q95"]].to_numpy()
    assert np.isfinite(q).all()
    assert (np.diff(q, axis=1) >= 0).all()
    grid = curve_times(fit)
    assert len(table) == grid.size * 2  # two analytes
    assert (np.diff(grid, axis=1) >= 0).all()
    seen = fit.bound.data.observations.time
    np.testing.assert_allclose(grid.min(axis=1), np.asarray(seen).min(axis=1))


def test_blocks_of_subjects_change_nothing(monkeypatch):
    fit = cart_fit()
    whole = individual_curves(fit, np.arange(0.0, 30.0), draws=20)
    monkeypatch.setattr(predict, "_MOST", 3000)  # five subjects at a time: the last block is a partial one
    parts = individual_curves(fit, np.arange(0.0, 30.0), draws=20)
    np.testing.assert_allclose(whole["q50"], parts["q50"], rtol=1e-12)


def test_the_typical_patient_has_no_random_effect_and_a_new_one_has():
    fit = known_fit()
    table = population_curve(fit, np.linspace(1, 90, 40), like="P03", draws=200, patients=10)
    typical, new = (table[table["who"] == who] for who in ("typical", "new"))
    theta = {k: np.full(1, p.value) for k, p in fit.model.parameters.items()}
    doses = type(fit.bound.data.doses)(*(np.asarray(x)[3:4] for x in fit.bound.data.doses))
    truth = np.asarray(solve(fit.model, np.linspace(1, 90, 40)[None], theta, doses)["copies"])[0]
    np.testing.assert_allclose(typical["q50"], truth, rtol=1e-9)
    np.testing.assert_allclose(typical["q5"], typical["q95"], rtol=1e-9)
    late = np.asarray(new["time"]) > 30  # the median of curves is near the typical one
    assert (np.asarray(new["q95"]) > 2 * truth)[late].all()
    assert (np.asarray(new["q5"]) < truth / 2)[late].all()
    np.testing.assert_allclose(np.log(new["q50"])[late], np.log(truth)[late], atol=0.5)


def test_a_known_subject_is_known_better_than_a_new_patient():
    fit, times = cart_fit(), np.linspace(20, 80, 10)
    own = individual_curves(fit, times, analyte="car_copies", draws=60)
    new = population_curve(fit, times, like="S01", analyte="car_copies", draws=60, covariates="subject")
    new = new[new["who"] == "new"]
    own = own[own["subject"] == "S01"]
    width = [np.asarray(np.log(t["q95"]) - np.log(t["q5"])) for t in (own, new)]
    assert (width[0] < width[1] / 2).all()


def test_covariates_are_at_reference_unless_the_subjects_are_asked_for():
    fit = cart_fit()
    asked = {
        c: population_curve(fit, [30.0], like="S10", covariates=c, seed=2) for c in ("reference", "subject")
    }
    i = fit.bound.subjects.index("S10")
    design = float(np.asarray(fit.bound.data.design["cmax_dose_level"])[i])
    assert design == pytest.approx(np.log(7 / 3))
    medians = {c: float(t[t["who"] == "typical"]["q50"].iloc[0]) for c, t in asked.items()}
    beta = float(np.median(fit.sites()["beta_cmax_dose_level"]))
    assert np.log(medians["subject"] / medians["reference"]) == pytest.approx(beta * design, abs=0.01)


@pytest.mark.parametrize("what", ["population", "records", "vpc"])
def test_a_seed_fixes_every_draw_and_another_changes_them(what):
    def numbers(seed: int) -> np.ndarray:
        if what == "population":
            return population_curve(cart_fit(), [20.0, 30.0], like="S01", seed=seed)["q95"].to_numpy()
        if what == "records":
            return simulate_records(cart_fit(), "car_copies", draws=10, seed=seed).value
        return vpc(cart_fit(), "car_copies", n=20, seed=seed).bins["upper_95"].to_numpy()

    np.testing.assert_array_equal(numbers(4), numbers(4))
    assert not np.array_equal(numbers(4), numbers(5))


def test_an_unknown_subject_or_analyte_is_named_with_the_nearest():
    with pytest.raises(StudyError, match="did you mean 'S1"):
        population_curve(cart_fit(), like="S1")
    with pytest.raises(StudyError, match="car_copies"):
        vpc(cart_fit(), "car_copy")


# --- replicated studies ---------------------------------------------------------------------------------


def test_replicates_have_the_studys_records_and_its_limits():
    fit = cart_fit()
    r = simulate_records(fit, "car_copies", draws=50)
    records = fit.study.observed("car_copies")
    assert r.value.shape == (50, len(records))
    assert (r.value >= 50.0).all()
    np.testing.assert_array_equal(r.value[r.below], 50.0)
    before = records["time"].to_numpy() < 0
    assert r.below[:, before].all()
    assert 0.1 < r.below.mean() < 0.6
    assert not r.above.any()


def test_replicates_are_cut_at_an_upper_limit_too(monkeypatch):
    fit = known_fit()
    records = fit.study.observed("copies").assign(uloq=5000.0)
    monkeypatch.setattr(type(fit.study), "observed", lambda self, analyte: records)
    r = simulate_records(fit, "copies", draws=20)
    assert r.above.any()
    np.testing.assert_array_equal(r.value[r.above], 5000.0)
    assert r.value.max() == 5000.0


def test_replicated_residuals_have_the_fitted_size():
    fit = theophylline_fit()
    r = simulate_records(fit, "theophylline", draws=400)
    at_zero = r.records["time"].to_numpy() == 0.0  # the model says exactly 0 there: all that is left is noise
    sigma = float(np.median(fit.sites()["sigma_add_theophylline"]))
    assert r.value[:, at_zero].std() == pytest.approx(sigma, rel=0.1)


# --- the check ------------------------------------------------------------------------------------------


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


def test_replicates_of_equations_are_solved_once_for_all_analytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are what each analyte's own solve gives, within the solver's tolerance of 1e-3 a step."""
    fit = prior_fit(read_plan("nkg2d_blood__nkg2d_phase1_synthetic"), draws=2)
    solved = []

    def counted(fit, outputs, *args):
        solved.append(outputs)
        return predicted_blocks(fit, outputs, *args)

    monkeypatch.setattr(replicates, "predicted_blocks", counted)
    found = {a: simulate_records(fit, a, draws=2, seed=3) for a in ("il6", "car_copies", "il6")}
    assert len(solved) == 1
    assert len(solved[0]) == len(fit.bound.assays)
    typical = typical_records(fit, "il6", draws=2)
    assert len(solved) == 2
    (il6,) = [a for a in fit.bound.assays if a.analyte == "il6"]
    alone = predicted_records(fit, (il6,), {**population_draws(fit, 2), **_middle(fit)})["il6"]
    np.testing.assert_allclose(np.median(alone, axis=0), typical, rtol=0.02)
    assert found["il6"].value.shape == (2, len(found["il6"].records))


def _middle(fit: Fit) -> dict[str, np.ndarray]:
    """Every parameter of every subject without its random effects."""
    return typical_patients(fit, population_draws(fit, 2), fit.bound.data.design, len(fit.bound.subjects))
