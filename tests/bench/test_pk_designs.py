"""The bench of designs with samples of the drug: truths, patients and trials are as declared; it resumes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.pk_designs import __main__ as command
from bench.pk_designs.blocks import block_of_trials
from bench.pk_designs.designs import COHORT, DESIGNS, Belief, run_trial
from bench.pk_designs.patients import MOST, TIMES, Patients, patients_of, sampled_log_auc
from bench.pk_designs.summary import PUBLISHED, beside_published, details
from bench.pk_designs.truths import AUC_SD, CL, DOSES, SCENARIOS, random_truth


def test_the_right_levels_are_one_to_four_and_none():
    assert [truth.right for truth in SCENARIOS] == [1, 2, 3, 4, 0]
    assert np.round(SCENARIOS[0].dlt, 3).tolist() == [0.235, 0.402, 0.629, 0.781]
    assert np.round(SCENARIOS[4].dlt, 3).tolist() == [0.410, 0.597, 0.795, 0.898]


@pytest.mark.parametrize("truth", SCENARIOS, ids=lambda truth: truth.name)
def test_patients_have_dlts_as_often_as_the_formula_says(truth):
    rate = np.mean([patients_of(truth, trial, seed=3).dlt.mean(axis=0) for trial in range(200)], axis=0)
    p = np.array(truth.dlt)
    assert (np.abs(rate - p) < 4 * np.sqrt(p * (1 - p) / (200 * MOST))).all()  # 4 standard errors


def test_samples_tell_the_auc_of_a_patient_but_for_their_error():
    rng = np.random.default_rng(3)
    cl = CL * np.exp(AUC_SD * rng.standard_normal(2000))
    v = 100.0 * np.exp(0.7 * rng.standard_normal(2000))
    without_error = sampled_log_auc(cl[:1] * 0 + CL, v[:1] * 0 + 100.0, np.zeros((1, len(TIMES))))
    assert without_error[0] == pytest.approx(-np.log(CL), abs=0.02)  # the AUC of one mg is 1 / CL
    sampled = sampled_log_auc(cl, v, rng.standard_normal((2000, len(TIMES))))
    assert np.corrcoef(sampled, -np.log(cl))[0, 1] == pytest.approx(0.97, abs=0.01)


def test_a_trial_has_the_same_patients_under_every_truth():
    first = patients_of(SCENARIOS[0], 5, seed=3)
    last = patients_of(SCENARIOS[3], 5, seed=3)
    assert (first.log_auc == last.log_auc).all()
    assert (first.dlt >= last.dlt).all()  # A4 has the higher threshold


def test_each_answer_is_right_in_one_random_truth_of_five():
    assert [random_truth(number, seed=5).right for number in range(10)] == [0, 1, 2, 3, 4] * 2


def test_a_trial_skips_no_level_and_stops_where_level_1_is_too_toxic():
    nobody = Patients(np.zeros((MOST, 4), bool), np.zeros((MOST, 4)))
    wants_the_top = Belief(np.array([3.0, 2.0, 1.0, 0.0]), np.zeros(4))
    outcome = run_trial(nobody, lambda treated: wants_the_top)
    assert outcome.patients == (COHORT, COHORT, COHORT, MOST - 3 * COHORT)
    assert (outcome.level, outcome.dlts) == (4, (0, 0, 0, 0))

    closed = Belief(np.array([3.0, 2.0, 1.0, 0.0]), np.array([0.0, 0.1, 0.95, 0.95]))
    assert run_trial(nobody, lambda treated: closed).patients == (COHORT, MOST - COHORT, 0, 0)
    too_toxic = Belief(np.zeros(4), np.full(4, 0.91))
    assert run_trial(nobody, lambda treated: too_toxic) == type(outcome)(0, (COHORT, 0, 0, 0), (0, 0, 0, 0))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_treats_whole_cohorts_and_a_trial_repeats_itself(design):
    outcome = DESIGNS[design](patients_of(SCENARIOS[2], 7, seed=1))
    assert sum(outcome.patients) <= MOST
    assert all(n % COHORT == 0 for n in outcome.patients)
    assert DESIGNS[design](patients_of(SCENARIOS[2], 7, seed=1)) == outcome


def test_the_bench_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    arguments = [str(tmp_path), "--trials", "3", "--random", "5", "--designs", "BLRM"]
    command.main(arguments)
    first = capsys.readouterr().out
    files = sorted(tmp_path.rglob("*.csv"))
    assert len(files) == 6
    files[0].unlink()
    kept = {file: file.stat().st_mtime_ns for file in files[1:]}
    command.main(arguments)
    assert capsys.readouterr().out == first
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    assert files[0].exists()


def test_the_tables_have_ours_beside_the_published_with_errors():
    trials = pd.concat(
        [block_of_trials("BLRM", truth, 0, seed=1, count=4) for truth in ("A1", "A2", "A3", "A4", "A5", "R")]
    )
    table = beside_published(trials).set_index(["source", "design"])
    assert list(table) == ["A1", "A2", "A3", "A4", "A5", "mean A1-A4", "mean", "se"]
    assert len(table) == 1 + len(PUBLISHED)
    assert table.loc[("published", "ED-EWOC"), "mean A1-A4"] == 66.25
    a1 = trials[trials["truth"] == "A1"]
    assert table.loc[("ours", "BLRM"), "A1"] == 100 * a1["right"].mean()

    rows = details(trials).set_index("truth")
    assert list(rows.index) == ["A1", "A2", "A3", "A4", "A5", "R 0", "R 1", "R 2", "R 3"]
    selected = rows[["none", *(f"level {level}" for level in range(1, len(DOSES) + 1))]]
    assert (selected.sum(axis=1) == 100).all()
    p = rows.loc["A1", "right"] / 100
    assert rows.loc["A1", "se"] == pytest.approx(100 * np.sqrt(p * (1 - p) / 4))
