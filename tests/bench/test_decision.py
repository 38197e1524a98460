"""The bench of dose decisions: its designs keep to the plan, spoiling does what it says, the table counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bench.decision.blocks import SCENARIOS
from bench.decision.designs import DESIGNS, DOSES, LIMIT, PLANNED
from bench.decision.spoiled import SPOILINGS, spoiled_patients, spoiled_truth
from bench.decision.summary import reliability, spoiled_summary, summary
from kinetics.decision.simulated.designs import Outcome
from kinetics.decision.simulated.patients import patients_of
from kinetics.decision.simulated.truths import random_truth
from kinetics.escalation import Joint


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
            "n_above": 3,
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


def test_patients_who_leave_are_replaced_and_only_they():
    truth = spoiled_truth(random_truth(4, 1, DOSES, LIMIT), "all", 4)
    patients = spoiled_patients(patients_of(truth, 4, seed=1), "all", 4, seed=1)
    for design in ("joint", "BOIN12"):
        outcome = DESIGNS[design](patients)
        left = sum(not patients.evaluable[i].all() for i in range(sum(outcome.patients)))
        assert sum(outcome.patients) <= PLANNED + left


def test_spoiling_spoils_what_it_says_and_leaves_the_patients_as_they_are():
    truth = SCENARIOS[2]
    plain = patients_of(truth, 5, seed=3)
    many = {s: [spoiled_patients(patients_of(truth, k, 3), s, k, 3) for k in range(40)] for s in SPOILINGS}
    assert all(
        (p[5].dlt == plain.dlt).all() and (p[5].response == plain.response).all() for p in many.values()
    )

    def share(spoiling, of):  # of 2,400 patients; 4 standard errors of 20 % are 3.3 points, of 10 % 2.4
        return np.mean([of(p) for p in many[spoiling]])

    def known(p):
        return p.dlt_exposure[:, 0, 0] == p.dlt_exposure[:, 0, 1]

    assert share("missed", lambda p: ~known(p)) == pytest.approx(0.20, abs=0.033)
    assert share("missed", lambda p: np.isnan(p.dlt_exposure[:, 0, 0])) == pytest.approx(0.10, abs=0.025)
    assert share("drop-out", lambda p: ~p.evaluable.all(axis=1)) == pytest.approx(0.10, abs=0.025)
    assert share("assay", lambda p: p.dlt_exposure[:, 0, 0].std()) > plain.dlt_exposure[:, 0, 0].std() * 0.9
    errors = [p.dlt_exposure - patients_of(truth, k, 3).dlt_exposure for k, p in enumerate(many["assay"])]
    assert np.std(errors) == pytest.approx(0.198, abs=0.008)  # ln of an error of 20 %
    assert [many[s][0].late for s in ("late", "all", "assay")] == [True, True, False]
    slopes = [spoiled_truth(truth, "all", trial).dlt_slope for trial in range(9)]
    assert slopes == [0.0] * 3 + [2.0] * 3 + [-0.8] * 3
    assert spoiled_truth(truth, "", 0) == truth


def test_where_responses_are_late_the_last_cohort_has_none_yet(monkeypatch):
    truth = SCENARIOS[1]
    late = spoiled_patients(patients_of(truth, 0, 3), "late", 0, 3)
    asked = []
    decide_on = Joint.decide_on

    def keep(self, patients, **options):
        asked.append([p.response for p in patients])
        return decide_on(self, patients, **options)

    monkeypatch.setattr(Joint, "decide_on", keep)
    outcome = DESIGNS["joint"](late)
    assert isinstance(outcome, Outcome)
    for earlier, later in pairwise(asked[1:]):
        new = len(later) - len(earlier)
        assert later[-new:] == [None] * new
        assert None not in later[:-new]


def test_the_table_of_spoiled_trials_pairs_them_with_the_unspoiled_ones():
    def trials(spoiling, right):
        return pd.DataFrame(
            {
                "spoiling": spoiling,
                "design": "a",
                "truth": ["S1", "S1", "R", "R"],
                "trial": [0, 1, 0, 1],
                "right": right,
                "lost": 1.0,
                "over": 0,
                "patients": 18,
            }
        )

    table = spoiled_summary(pd.concat([trials("", [1, 1, 0, 1]), trials("late", [1, 0, 0, 1])]))
    assert table["spoiled"].tolist() == ["nothing", "late"]
    assert table["right S %"].tolist() == ["100.0 (0.0)", "50.0 (50.0)"]
    assert table["change S"].tolist() == ["+0.0 (0.0)", "-50.0 (50.0)"]
    assert table["change R"].tolist() == ["+0.0 (0.0)", "+0.0 (0.0)"]
