"""Simulated trials of rules that look at responses: what they find, and where the exact answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics.errors import InputError
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12
from kinetics.escalation.response_simulation import response_characteristics
from tests.support.boin12_trials import BOIN12_RULES


def test_the_simulation_finds_the_obd_of_a_strong_scenario():
    # level 3: 70 % respond, 10 % have a DLT; 4 is too toxic, 1 and 2 do little. 2,000 trials: P(OBD 3) =
    # .948. 400 have a standard error of .011: .90 is four of them below
    found = response_characteristics(
        Boin12(4, most=36), (0.02, 0.05, 0.10, 0.55), (0.05, 0.15, 0.70, 0.72), trials=400, seed=11
    )
    assert 0.90 < found.p_obd[3] < 0.99
    assert sum(found.p_obd) == pytest.approx(1)
    assert found.error[3] == pytest.approx(0.011, abs=0.004)
    assert sum(found.doses.patients) == pytest.approx(found.doses.expected_n)
    assert found.doses.max_n == 36
    # 70 % of the patients at level 3 respond
    assert found.responses[2] / found.doses.patients[2] == pytest.approx(0.70, abs=0.03)


def test_exposure_moves_the_obd_off_a_level_that_has_too_little():
    # responses are alike everywhere, so BOIN12 stays low; level 1 has a fifth of the exposure wanted
    truth, rule = ((0.02, 0.04, 0.06, 0.10), (0.6, 0.62, 0.62, 0.62)), Boin12(4, most=24)
    draws = np.random.default_rng(0).lognormal(np.log([20, 60, 105, 210]), 0.1, (500, 4))
    plain = response_characteristics(rule, *truth, trials=200, seed=1)
    exposed = response_characteristics(
        PkBoin12(rule, ModelExposures(draws), 100.0), *truth, trials=200, seed=1
    )
    assert plain.p_obd[1] > 0.3
    assert exposed.p_obd[1] == 0
    assert exposed.p_obd[2] > 0.5


def test_everything_too_toxic_has_no_obd():
    found = response_characteristics(
        Boin12(4, most=36), (0.7, 0.8, 0.85, 0.9), (0.3, 0.4, 0.5, 0.6), trials=200, seed=3
    )
    assert found.p_obd[0] > 0.95


def test_the_simulation_meets_the_exact_answer_where_responses_do_not_matter():
    rule, truth = Boin(3, 0.3, most=12), (0.1, 0.3, 0.5)
    exact = operating_characteristics(rule, truth)
    drawn = response_characteristics(rule, truth, (0.2, 0.2, 0.2), trials=20_000, seed=5)
    for p, q, error in zip(exact.p_mtd, drawn.p_obd, drawn.error, strict=True):
        assert abs(p - q) < 4 * error + 1e-9
    assert drawn.doses.expected_n == pytest.approx(exact.expected_n, abs=0.05)


def test_a_seed_fixes_it_and_more_trials_go_on_with_the_same_patients():
    truth = (0.05, 0.1, 0.2, 0.4), (0.1, 0.3, 0.4, 0.5)
    once, twice = (
        response_characteristics(BOIN12_RULES["boin12"], *truth, trials=50, seed=4) for _ in range(2)
    )
    assert once == twice
    assert response_characteristics(BOIN12_RULES["boin12"], *truth, trials=50, seed=5) != once
    # common random numbers: with more DLTs at level 4 alone, trials that never reach it are the same
    worse = response_characteristics(
        BOIN12_RULES["boin12"], (0.05, 0.1, 0.2, 0.9), truth[1], trials=50, seed=4
    )
    assert worse.doses.dlts[3] > once.doses.dlts[3]
    same = response_characteristics(BOIN12_RULES["boin12"], *truth, trials=100, seed=4)
    assert same.trials == 100


@pytest.mark.parametrize(
    ("response", "trials_", "says"),
    [((0.1,), 10, "1 true response probabilities for 3"), ((0.1, 1.2, 0.3), 10, r"of 1\.2"),
     ((0.1, 0.2, 0.3), 0, "0 trials")],
)  # fmt: skip
def test_truths_that_cannot_be_are_refused(response, trials_, says):
    with pytest.raises(InputError, match=says):
        response_characteristics(BOIN12_RULES["strict"], (0.1, 0.2, 0.3), response, trials=trials_)
