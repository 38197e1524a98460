"""The bench of dose decisions: its truths are as declared, and its patients have their probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.decision.designs import DESIGNS, PLANNED
from bench.decision.patients import patients_of
from bench.decision.summary import reliability, summary
from bench.decision.truths import LIMIT, SCENARIOS, random_truth


def test_the_best_levels_are_the_declared_ones():
    assert [truth.best for truth in SCENARIOS] == [3, 4, 2, 2, 3, 0, 3, 1]
    mediated = SCENARIOS[4]
    assert np.round(mediated.dlt, 2).tolist() == [0.09, 0.15, 0.21, 0.25]
    assert all(truth.lost(truth.best) == 0.0 for truth in SCENARIOS)


@pytest.mark.parametrize("number", [0, 4], ids=["S1", "S4, through exposure"])
def test_patients_have_the_probabilities_of_their_truth(number):
    truth = SCENARIOS[number]
    trials = [patients_of(truth, trial, seed=3) for trial in range(200)]
    patients = sum(len(trial.dlt) for trial in trials)
    for shown, p in (("dlt", truth.dlt), ("response", truth.response)):
        rate = np.mean([getattr(trial, shown).mean(axis=0) for trial in trials], axis=0)
        error = np.sqrt(np.array(p) * (1 - np.array(p)) / patients)
        assert (np.abs(rate - p) < 4 * error).all()  # 4 standard errors of 12,000 patients


def test_grades_and_depths_belong_to_their_outcomes():
    patients = patients_of(SCENARIOS[0], 1, seed=3)
    assert ((patients.grade == 3) == patients.dlt).all()
    assert ((patients.change <= -30.0) == patients.response).all()


def test_random_truths_are_tolerable_at_level_1_and_of_three_shapes():
    truths = [random_truth(number, seed=5) for number in range(30)]
    assert all(truth.dlt[0] <= LIMIT and list(truth.dlt) == sorted(truth.dlt) for truth in truths)
    assert {truth.name for truth in truths} == {"R rising", "R plateau", "R umbrella"}


@pytest.mark.parametrize("design", ["protocol MTD", "BOIN12", "PKBOIN-12", "joint", "recommend"])
def test_a_design_treats_no_more_than_planned_and_a_trial_repeats_itself(design):
    patients = patients_of(SCENARIOS[3], 7, seed=1)
    outcome = DESIGNS[design](patients)
    assert sum(outcome.patients) <= PLANNED
    assert DESIGNS[design](patients_of(SCENARIOS[3], 7, seed=1)) == outcome


def test_the_table_counts_what_happened_with_its_error():
    trials = pd.DataFrame(
        {
            "truth": ["S1"] * 4 + ["R"] * 2,
            "design": "a",
            "right": [1, 0, 1, 1, 0, 1],
            "lost": [0.0, 4.0, 0.0, 0.0, 2.0, 0.0],
            "over": [0, 1, 0, 0, 0, 0],
            "patients": 12,
            "above": 3,
            "dlts_above": 1,
            "p_best": ["0.25 0.75"] * 6,
            "is_best": ["0 1"] * 6,
        }
    )
    table = summary(trials).set_index("truth")
    assert table.loc["S1", "right"] == 75.0
    assert table.loc["S1", "se"] == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 4))
    assert table.loc["mean S", "over"] == 25.0
    rows = reliability(trials, "p_best", "is_best")
    assert rows[["n", "said", "true"]].to_numpy().tolist() == [[6, 0.25, 0.0], [6, 0.75, 1.0]]
