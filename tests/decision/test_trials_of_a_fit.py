"""Trials of patients as a fit says: averages of exact characteristics, and chances from exposures."""

import numpy as np
import pytest

from kinetics.decision.level_exposures import exposures_as_dosed
from kinetics.decision.outcome_regressions import regressions
from kinetics.decision.trials_of_a_fit import chances_from_fit, virtual_trials
from kinetics.errors import InputError
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.inference.fitting import Fit
from kinetics.outcomes.by_subject import subject_outcomes
from kinetics.plan.plan import read_plan
from kinetics.protocol.dose_rule import rule_of
from kinetics.protocol.protocol import read_protocol
from tests.support.commands import call
from tests.support.fits import prior_fit

FIRST = "nkg2d_phase1_synthetic"
TRUTH, OTHER = (0.05, 0.10, 0.20, 0.35), (0.10, 0.25, 0.45, 0.60)


def test_draws_that_agree_give_the_exact_characteristics() -> None:
    rule = rule_of(read_protocol(FIRST))
    found = virtual_trials(rule, np.tile(TRUTH, (3, 1)), np.full((3, 4), 0.15))
    np.testing.assert_allclose(
        found.p_mtd, [0.0156, 0.0972, 0.2862, 0.3988, 0.2021], atol=5e-5
    )  # peers.md 4.2
    assert found.expected_n == pytest.approx(14.315, abs=5e-4)
    assert found.as_dict(18)["p_n_over_planned"] == pytest.approx(0.0918, abs=5e-5)


def test_draws_that_differ_are_averaged_and_each_is_judged_by_its_own_truth() -> None:
    rule = rule_of(read_protocol(FIRST))
    found = virtual_trials(rule, np.array([TRUTH, OTHER]), np.zeros((2, 4)), overdose_above=0.33)
    one, other = (operating_characteristics(rule, p) for p in (TRUTH, OTHER))
    np.testing.assert_allclose(found.p_mtd, (np.array(one.p_mtd) + other.p_mtd) / 2)
    assert found.p_too_high == pytest.approx((one.p_mtd[4] + other.p_mtd[3] + other.p_mtd[4]) / 2)
    assert found.p_right == pytest.approx((one.p_mtd[3] + other.p_mtd[2]) / 2)
    with pytest.raises(InputError):
        virtual_trials(rule, np.array([[0.1, 0.2, 0.3, 1.4]]), np.zeros((1, 4)))


def test_where_every_level_is_too_toxic_none_is_right() -> None:
    rule = rule_of(read_protocol(FIRST))
    found = virtual_trials(rule, np.full((1, 4), 0.6), np.zeros((1, 4)))
    assert found.p_right == pytest.approx(found.p_mtd[0])
    assert found.p_too_high == pytest.approx(1 - found.p_mtd[0])


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """The trial's model with parameters from its priors."""
    return prior_fit(read_plan(f"nkg2d_blood__{FIRST}"), draws=2)


def test_chances_of_a_fit_are_those_of_its_exposures(fitted: Fit) -> None:
    protocol = read_protocol(FIRST)
    p_dlt, p_trigger = chances_from_fit(fitted, protocol, draws=2)
    assert p_dlt.shape == p_trigger.shape == (2, 4)
    assert (
        np.diff(p_dlt, axis=1) > 0
    ).all()  # IL-6 and the dose itself rise, and the priors' slopes are positive
    assert ((p_trigger > 0) & (p_trigger + p_dlt < 1)).all()
    assert protocol.titration is not None
    triggers = protocol.titration.triggers
    assert triggers.value is not None
    (crs, other) = triggers.value

    def ended_by(*kinds):
        rule = protocol.titration.model_copy(
            update={"triggers": triggers.model_copy(update={"value": kinds})}
        )
        return chances_from_fit(fitted, protocol.model_copy(update={"titration": rule}), draws=2)[1]

    assert (ended_by(crs.model_copy(update={"grade": 1})) > p_trigger).all()  # more have grade 1 than grade 2
    assert (ended_by(other) == 0).all()
    outcomes = subject_outcomes(fitted.study, protocol)
    dlt = regressions(outcomes, exposures_as_dosed(fitted, protocol, draws=2), 1)["dlt"]
    assert set(dlt.priors) == {"il6_cmax", "dose"}


def test_the_command_refuses_what_is_no_run_and_rules_that_look_at_responses(tmp_path) -> None:
    done = call("design", "from-fit", FIRST, tmp_path)
    assert done.code == 1
    assert str(tmp_path) in done.err
    done = call("design", "from-fit", FIRST, tmp_path, "--rule", "boin12")
    assert done.code == 1
    assert "gives no responses to boin12" in done.err
