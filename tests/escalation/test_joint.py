"""The joint model of DLT and response: its likelihood, its posterior, and the rule that decides by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, ndtr
from scipy.stats import norm

from kinetics.errors import InputError
from kinetics.escalation import (
    Cohort,
    Exposure,
    Joint,
    JointPrior,
    Seen,
    Titration,
    Utilities,
    joint_posterior,
)
from kinetics.escalation.joint.likelihood import dlt_log_likelihood, response_log_likelihood
from kinetics.escalation.joint.patients import distances, patients_of_cohorts
from kinetics.escalation.joint.prior import curves_of

DOSES = (1.5e7, 3e7, 5e7, 7e7)
RULE = Joint(doses=DOSES)
BY_HAND = Utilities(response_without_dlt=100, response_with_dlt=60, neither=40, dlt_without_response=0)


def trial(counts: list[tuple[int, int, int]], *, change: bool = False) -> list[Seen]:
    """Patients of each level, lowest first: how many, with a DLT, with a response."""
    patients = []
    for level, (n, dlts, responses) in enumerate(counts, start=1):
        for i in range(n):
            response = i < responses
            depth = (-45.0 if response else 10.0) if change else None
            patients.append(Seen(level, dlt=i >= n - dlts, response=response, change=depth))
    return patients


def unknown(patients: list[Seen]) -> np.ndarray:
    return np.full((1, len(patients)), np.nan)


# ------------------------------------------------------------------------------------------- the likelihood


def test_without_details_the_likelihood_is_binomial() -> None:
    curves = curves_of(JointPrior(), DOSES, 500)
    patients = trial([(1, 0, 0), (3, 1, 2), (6, 2, 1), (0, 0, 0)])
    n, dlts, responses = np.array([(1, 0, 0), (3, 1, 2), (6, 2, 1), (0, 0, 0)]).T
    for found, p, k in (
        (dlt_log_likelihood(curves, patients, unknown(patients)), curves.p_dlt, dlts),
        (response_log_likelihood(curves, patients, unknown(patients)), curves.p_response, responses),
    ):
        p = p.astype(float)
        by_hand = np.sum(k * np.log(p) + (n - k) * np.log1p(-p), axis=1)
        np.testing.assert_allclose(found, by_hand, rtol=2e-4, atol=2e-4)


def test_grades_and_depth_are_those_of_the_docstring() -> None:
    curves = curves_of(JointPrior(), DOSES, 300)
    z = 0.7
    patient = Seen(2, dlt=False, crs=1, response=True, change=-55.0)
    odds = (curves.dlt_odds[:, 1] + curves.dlt_slope * z).astype(float)
    by_hand = expit(odds + curves.grade_cuts[:, 0]) - expit(odds + curves.grade_cuts[:, 1])
    found = np.exp(dlt_log_likelihood(curves, [patient], np.array([[z]])))
    np.testing.assert_allclose(found, by_hand, atol=2e-5)

    p = expit(curves.response_odds[:, 1] + curves.response_slope * z).astype(float)
    sd = curves.depth_sd.astype(float)
    density = norm.pdf(-55.0, loc=-30.0 - sd * norm.ppf(np.clip(p, 1e-6, 1 - 1e-6)), scale=sd)
    found = np.exp(response_log_likelihood(curves, [patient], np.array([[z]]))) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found, density, rtol=2e-3, atol=1e-6)
    below = [Seen(2, response=True, change=-100.0), Seen(2, response=False, change=150.0)]
    latent = norm.ppf(np.clip(p, 1e-6, 1 - 1e-6))
    for end, chance in zip(below, (ndtr(latent - 70 / sd), ndtr(-90 / sd - latent)), strict=True):
        found = np.exp(response_log_likelihood(curves, [end], np.array([[z]])))
        np.testing.assert_allclose(found, chance, rtol=5e-3, atol=1e-5)


def test_the_grades_of_a_patient_sum_to_one() -> None:
    curves = curves_of(JointPrior(), DOSES, 300)
    outcomes = [Seen(3, dlt=True, crs=3), *(Seen(3, dlt=False, crs=grade) for grade in (0, 1, 2))]
    chances = [np.exp(dlt_log_likelihood(curves, [p], np.array([[0.3]]))) for p in outcomes]
    np.testing.assert_allclose(np.sum(chances, axis=0), 1.0, atol=1e-5)


def test_a_level_s_probability_is_the_average_over_its_patients() -> None:
    curves = curves_of(JointPrior(), DOSES, 300)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    odds = curves.dlt_odds[:, 2, None] + curves.dlt_slope[:, None] * nodes
    average = expit(odds.astype(float)) @ weights / weights.sum()
    np.testing.assert_allclose(average, curves.p_dlt[:, 2], atol=0.02)  # the approximation of Zeger 1988


def test_pending_is_no_failure() -> None:
    known = trial([(1, 0, 0), (3, 0, 2), (3, 0, 1), (0, 0, 0)])
    awaited = [*known, Seen(4, dlt=False, followed=0.0, response=None)]
    for patient, same in ((awaited[-1], True), (replace(awaited[-1], response=False), False)):
        with_it = joint_posterior([*known, patient], DOSES).p_response
        assert np.allclose(with_it, joint_posterior(known, DOSES).p_response, atol=1e-6) == same
    # a share of the window without a DLT counts between nothing and all
    over = [
        joint_posterior([*known, Seen(4, dlt=False, followed=share)], DOSES).p_over[3]
        for share in (0.0, 0.5, 1.0)
    ]
    assert over[0] > over[1] > over[2]
    # a look without a response counts too, less than a failure
    chances = [
        joint_posterior([*known, Seen(4, response=response, looked=share)], DOSES).p_response[3]
        for response, share in ((None, 0.0), (None, 0.5), (False, 0.0))
    ]
    assert chances[0] > chances[1] > chances[2]


# --------------------------------------------------------------------------------------------- the exposures


def test_distances_are_those_from_the_line_of_the_dose() -> None:
    rng = np.random.default_rng(1)
    log_doses = np.log(np.repeat(DOSES, 50))
    z = rng.standard_normal(200)
    logs = 9.0 + 0.7 * log_doses + 0.83 * z
    found = distances([Exposure(x, x) for x in logs.tolist()], log_doses, rng)
    assert found.shape == (1, 200)
    assert np.corrcoef(found[0], z)[0, 1] > 0.99
    assert found.std() == pytest.approx(z.std(), rel=0.1)


def test_an_interval_is_filled_inside_and_the_unknown_stays_unknown() -> None:
    rng = np.random.default_rng(2)
    intervals = [Exposure(8.0, 8.0), Exposure(9.0, 9.0), Exposure(-np.inf, 5.0), Exposure(9.5, np.inf), None]
    found = distances(intervals, np.log([1.5e7, 3e7, 3e7, 5e7, 5e7]), rng)
    assert found.shape[0] > 1
    assert np.isnan(found[:, 4]).all()
    assert np.isfinite(found[:, :4]).all()
    assert (found[:, 2] < found[:, 1]).all()
    assert (found[:, 2] < 0).all()


def test_a_number_with_a_standard_error_is_drawn_about_itself() -> None:
    rng = np.random.default_rng(3)
    sharp = [Exposure(x, x) for x in (8.0, 9.0, 10.0, 8.5)]
    vague = [Exposure(x.low, x.low, 0.5) for x in sharp]
    log_doses = np.log([1.5e7, 3e7, 5e7, 7e7])
    at = distances(sharp, log_doses, rng)
    about = np.concatenate([distances(vague, log_doses, rng) for _ in range(40)])
    assert np.abs(about.mean(axis=0) - at[0]).max() < 0.5
    assert 0.2 < about.std(axis=0).mean() < 1.0


def test_three_patients_cannot_make_an_exposure_run_away() -> None:
    """A line through three points: an SD of 0, or a slope of any size, without a proper prior."""
    logs = [Exposure(np.log(x), np.log(x)) for x in (20.0, 4e4, 4e4)]
    found = distances(logs, np.log([1.5e7, 3e7, 3.0001e7]), np.random.default_rng(0))
    assert np.abs(found).max() < 3


# ------------------------------------------------------------------------------------------------- the prior


def test_curves_of_one_and_two_levels_and_of_a_wide_ladder() -> None:
    for doses in ((1e8,), (1e8, 3e8), (1e6, 1e7, 1e8), tuple(np.geomspace(1e5, 1e9, 8))):
        curves = curves_of(JointPrior(), doses, 200)
        assert curves.p_dlt.shape == curves.p_response.shape == (200, len(doses))
        assert (np.diff(curves.p_dlt, axis=1) >= 0).all()
    wide = curves_of(JointPrior(), (1e6, 1e7, 1e8), 2000)
    narrow = curves_of(JointPrior(), (1e6, 2e6, 4e6), 2000)
    np.testing.assert_allclose(wide.p_dlt, narrow.p_dlt, rtol=1e-5)  # the prior is about the ladder


@pytest.mark.parametrize("doses", [(), (0.0, 1e7), (3e7, 1.5e7), (1e7, 1e7), (1e7, float("inf"))])
def test_doses_that_cannot_be_are_refused(doses: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="higher than the one before"):
        joint_posterior([], doses)


def test_a_prior_that_cannot_be_is_refused_with_every_reason() -> None:
    with pytest.raises(InputError) as refused:
        JointPrior(dlt_free=0.9, shapes=(1, 1), top=(0.9, 0.1), dlt_slope=(0.4, 0.0))
    assert len(refused.value.problems) == 4


def test_patients_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError) as refused:
        joint_posterior([Seen(5), Seen(1, followed=2), Seen(1, crs=9), Seen(1, change=-130)], DOSES)
    assert len(refused.value.problems) == 4


# -------------------------------------------------------------------------------------------------- the rule


def recommended(counts: list[tuple[int, int, int]], *, change: bool = False) -> int:
    return RULE.decide_on(trial(counts, change=change)).recommended


def test_responses_count() -> None:
    """Rising and falling responses at the same DLTs: earlier both were answered with level 3."""
    assert recommended([(1, 0, 0), (3, 0, 0), (3, 0, 1), (6, 1, 5)]) == 4
    assert recommended([(1, 0, 0), (3, 0, 3), (3, 0, 1), (6, 1, 0)]) == 2


def test_the_level_of_the_titration_can_be_recommended() -> None:
    assert recommended([(1, 0, 1), (3, 1, 0), (6, 3, 0), (0, 0, 0)]) == 1


def test_a_legal_mtd_is_not_vetoed() -> None:
    """1 of 6 at level 2 and 2 of 3 at level 3: the MTD is level 2, and earlier no dose was recommended."""
    found = RULE.decide_on(trial([(1, 0, 0), (6, 1, 2), (3, 2, 1), (0, 0, 0)]))
    assert found.recommended == 2
    assert found.posterior.p_over[1] < RULE.bound


@pytest.mark.parametrize("change", [True])
def test_nobody_responds_ends_in_none(change: bool) -> None:
    """No response in 13 patients, most of them growing: earlier it was answered with a dose."""
    found = RULE.decide_on(trial([(1, 0, 0), (3, 0, 0), (3, 0, 0), (6, 1, 0)], change=change))
    assert (found.reason, found.recommended, found.decision.mtd) == ("futility", 0, 0)


def test_never_above_a_closed_level() -> None:
    found = RULE.decide_on(trial([(3, 0, 0), (6, 2, 4), (0, 0, 0), (0, 0, 0)]))
    assert not found.admissible[2:].any()
    lax = replace(RULE, bound=1.0)  # no level is too toxic: the count alone closes
    found = lax.decide_on(trial([(3, 0, 0), (6, 2, 4), (0, 0, 0), (0, 0, 0)]))
    assert found.admissible.tolist() == [True, True, False, False]
    assert "level 2 is closed" in found.why_not[2]
    shut = replace(RULE, shut=True).decide_on(trial([(3, 0, 0), (6, 2, 4), (0, 0, 0), (0, 0, 0)]))
    assert shut.admissible.tolist() == [True, False, False, False]


def test_no_level_is_skipped_and_a_new_one_waits_for_open_windows() -> None:
    history = [Cohort(1, evaluable=1), Cohort(2, evaluable=0, pending=3, followed=0.3, response_pending=3)]
    assert RULE.decide([Cohort(1, evaluable=1)]).level == 2
    decision = RULE.decide(history)
    assert decision.action == "wait"
    assert "DLT window" in decision.why


def test_the_trial_ends_where_level_one_is_not_safe() -> None:
    found = RULE.decide_on(trial([(3, 3, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)]))
    assert (found.reason, found.decision.action, found.decision.mtd) == ("safety", "stop", 0)


def test_the_titration_begins_it_and_the_cap_ends_it() -> None:
    rule = replace(RULE, titration=Titration(levels=2))
    assert rule.decide([]).size == 1
    first = rule.decide([Cohort(1, evaluable=1)])
    assert (first.level, first.size, first.titrating) == (2, 1, True)
    full = rule.decide_on(trial([(3, 0, 1), (6, 0, 4), (9, 1, 4), (0, 0, 0)]))
    assert full.reason == "full"
    assert full.decision.mtd == full.recommended > 0


def test_order_does_not_matter_and_the_answer_is_the_same_twice() -> None:
    patients = trial([(1, 0, 0), (3, 0, 2), (3, 1, 1), (0, 0, 0)], change=True)
    there = RULE.decide_on(patients)
    back = RULE.decide_on(patients[::-1])
    assert there.decision == back.decision
    np.testing.assert_allclose(there.posterior.utility, back.posterior.utility, rtol=1e-4)


def test_utilities_are_those_of_the_four_outcomes() -> None:
    found = joint_posterior([], DOSES, BY_HAND)
    by_hand = 40 + 60 * found.p_response - 40 * found.p_dlt
    np.testing.assert_allclose(found.utility, by_hand, rtol=1e-6)
    assert found.p_best(np.ones(4, bool)).sum() == pytest.approx(1.0)
    assert found.p_best().sum() < 1


def test_cohorts_keep_their_counts_as_patients() -> None:
    cohort = Cohort(2, 4, dlts=1, pending=2, followed=0.8, responses=2, response_pending=3)
    patients = patients_of_cohorts([cohort])
    assert len(patients) == 6
    assert sum(p.dlt is True for p in patients) == 1
    assert sum(p.response is True for p in patients) == 2
    assert sum(p.response is None for p in patients) == 3
    assert [p.followed for p in patients if p.followed < 1] == [0.4, 0.4]


def test_the_backfill_names_safe_lower_levels_that_may_be_as_good() -> None:
    found = RULE.decide_on(trial([(3, 0, 2), (3, 0, 2), (0, 0, 0), (0, 0, 0)]))
    assert found.decision.level
    assert (found.decision.level, found.backfill) == (3, (1, 2))
