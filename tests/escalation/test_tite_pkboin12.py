"""TITE-PKBOIN-12: what pending outcomes count for, when accrual is suspended, and the published example."""

from __future__ import annotations

import random
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy.special import betaincc

from kinetics.errors import InputError
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.calendar import Calendar
from kinetics.escalation.exposure_simulation import ExposureTrial, ExposureTruth, exposure_trials
from kinetics.escalation.history import Cohort, merged
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12, RawExposures
from kinetics.escalation.tite_pkboin12 import TitePkBoin12
from kinetics.escalation.whole_cohorts import asked_patient_by_patient

AMPLE = PkBoin12(Boin12(4, most=24), ModelExposures(np.array([[200.0, 300, 400, 500]] * 2)), 100.0)
RULE = TitePkBoin12(AMPLE)
WAITING = Cohort(1, 0, pending=1, followed=0.5, response_pending=1, response_followed=0.25)


def test_expected_outcomes_by_hand():
    # Level 1: a DLT, a response, nothing, and one followed for half of the DLT window and a quarter of the
    # other. p = 1 / 3.5, q = 1 / 3.25. The pending has p .5 / (1 - p .5) = 1/6 of a DLT, and
    # q .75 / (1 - q .25) = .25 of a response.
    history = [Cohort(1, 1, 1), Cohort(1, 1, responses=1), Cohort(1, 1), WAITING]
    said = RULE.decide(history)
    assert said.action == "treat"
    assert "1.14 of 4 with a DLT and 1.23 with a response at level 1" in said.why  # 4 / 3.5 and 4 / 3.25
    both = 1 / 6 * 0.25
    x = 0 + 1 + 0.4 + (0.6 * both + (1 / 4 - both) + 0.4 * (1 - 1 / 6 - 1 / 4 + both))
    score = float(betaincc(1 + x, 1 + 4 - x, AMPLE.boin12.benchmark / 100))
    assert f"{score:.3f} at level 1" in said.why


def test_accrual_is_suspended_until_more_than_half_is_known_of_both():
    known = Cohort(1, 1)
    awaited = Cohort(1, 1, response_pending=1, response_followed=0.9)
    assert RULE.decide([known, known, WAITING]).action == "treat"
    for history in ([known, WAITING, WAITING], [known, awaited, awaited], [known, known, awaited, WAITING]):
        said = RULE.decide(history)
        assert (said.action, "accrual is suspended" in said.why) == ("wait", True)
    assert TitePkBoin12(AMPLE, known=1.0).decide([known, known, awaited]).action == "wait"
    # only the current level counts
    assert RULE.decide([WAITING, WAITING, *[Cohort(2, 1)] * 3]).action == "treat"


def test_where_nothing_is_pending_it_is_pkboin12_and_the_end_waits_for_all():
    history = [Cohort(1, 3, 0, responses=1), Cohort(2, 3, 1, responses=2)]
    assert RULE.decide(history) == AMPLE.decide(history)
    assert RULE.decide([]) == AMPLE.decide([])
    full = [Cohort(1, 21, 3, responses=9), Cohort(1, 2), WAITING]
    assert (RULE.decide(full).action, "the OBD waits" in RULE.decide(full).why) == ("wait", True)
    # only pending outcomes leave no level: 4 with a DLT of 4 known, and one pending
    toxic = [Cohort(1, 4, 4), WAITING]
    assert (RULE.decide(toxic).action, "waits to be sure" in RULE.decide(toxic).why) == ("wait", True)
    # too little exposure at the top is known at once
    little = TitePkBoin12(replace(AMPLE, exposures=ModelExposures(np.array([[20.0, 30, 40, 50]] * 2))))
    said = little.decide([Cohort(4, 5), replace(WAITING, level=4)])
    assert (said.action, said.mtd) == ("stop", 0)


def test_it_is_asked_patient_by_patient_and_refuses_what_cannot_be():
    asked = asked_patient_by_patient(RULE)
    assert asked.decide([Cohort(1, 1)]).size == 2
    with pytest.raises(InputError, match="a known share of 2"):
        TitePkBoin12(AMPLE, known=2.0)
    with pytest.raises(InputError, match=r"1 whose response is awaited were followed for 1\.5"):
        RULE.decide([replace(WAITING, response_followed=1.5)])


def test_the_order_of_patients_within_a_level_does_not_matter():
    rng = random.Random(3)
    for _ in range(200):
        levels = [1] * rng.randint(1, 5) + [2] * rng.randint(3, 9)
        history = []
        for level in levels:
            dlt = int(rng.random() < 0.2)
            response = int(rng.random() < 0.4)
            late = rng.random() < 0.3
            known = Cohort(level, 1, dlt, responses=response, dlts_with_response=dlt * response)
            history.append(replace(WAITING, level=level, followed=rng.random()) if late else known)
        said = RULE.decide(history)
        one = [c for c in history if c.level == 1]
        two = [c for c in history if c.level == 2]
        again = RULE.decide([*rng.sample(one, len(one)), *rng.sample(two, len(two))])
        assert (again.action, again.level) == (said.action, said.level)
        if not any(c.pending for c in history):
            assert RULE.decide(merged(history, last_is_last=True)) == said


# --------------------------------------------------------------------------------- patients and calendar

# The authors' example: the README of github.com/EugeneHao/PKBOIN-12, which also gives the two windows and a
# patient every ten days. Times are uniform there too; its calendar adds a day to each of 15 cohorts.
TRUTH = ExposureTruth(
    dlt=(0.01, 0.03, 0.05, 0.10, 0.18, 0.24),
    response=(0.05, 0.10, 0.20, 0.30, 0.45, 0.55),
    exposure=(1000, 1500, 2500, 3600, 4800, 6500),
    cv=0.25,
    exposure_law="normal",
    by_exposure=1.0,
)
CALENDAR = Calendar(accrual=0.1, window=30.0, arrivals="regular", response_window=60.0)
PK = PkBoin12(Boin12(6, most=45), RawExposures(((),) * 6), 6000.0)


def test_a_patients_own_exposure_moves_both_chances():
    assert TRUTH.patient_chances(4, 3600 * 1.5) == pytest.approx((0.15, 0.45))
    steep = replace(TRUTH, by_exposure=10.0)
    assert steep.patient_chances(6, 6500 * 2) == (1.0, 1.0)
    assert steep.patient_chances(6, 6500 * 0.5) == (0.0, 0.0)
    assert replace(TRUTH, by_exposure=0.0).patient_chances(6, 1.0) == (0.24, 0.55)
    u = (np.arange(20_000) + 0.5) / 20_000
    for law in ("normal", "lognormal"):
        truth = replace(TRUTH, exposure_law=law)
        x = np.array([truth.patient_exposure(2, float(v)) for v in u])
        assert (x.mean(), x.std() / x.mean()) == pytest.approx((1500, 0.25), rel=0.01)
        assert x.min() > 0
    with pytest.raises(InputError, match="exposure law 'uniform'"):
        replace(TRUTH, exposure_law="uniform").check(PK)  # type: ignore[arg-type]


def test_in_calendar_time_the_trial_that_waits_finds_what_it_finds_without_a_calendar():
    without = exposure_trials(PK, TRUTH, range(30), seed=2)
    waits = exposure_trials(PK, TRUTH, range(30), calendar=CALENDAR, seed=2)
    assert [replace(trial, days=None) for trial in waits] == without
    goes_on = exposure_trials(TitePkBoin12(PK), TRUTH, range(30), calendar=CALENDAR, seed=2)
    assert np.mean([t.days for t in goes_on]) < 0.75 * np.mean([t.days for t in waits])
    all_known = exposure_trials(TitePkBoin12(PK, known=1.0), TRUTH, range(10), calendar=CALENDAR, seed=2)
    assert [trial.patients for trial in all_known] == [trial.patients for trial in waits[:10]]
    assert [trial.obd for trial in all_known] == [trial.obd for trial in waits[:10]]
    # too little exposure at the top ends the trial at once, outcomes known or not
    assert all(tite.days <= pk.days + 1e-6 for tite, pk in zip(all_known, waits, strict=False))
    with pytest.raises(InputError, match="without a response window"):
        exposure_trials(PK, TRUTH, [0], calendar=Calendar(0.1, 30.0))


def test_the_days_of_a_trial_by_hand():
    # nobody has a DLT or a response: three patients on days 0, 10, 20, known on day 80; so on to level 3
    silent = replace(TRUTH, dlt=(0.0,) * 6, response=(0.0,) * 6)
    short = replace(PK, boin12=Boin12(6, most=9))
    (trial,) = exposure_trials(short, silent, [0], calendar=CALENDAR)
    assert (sum(trial.patients), trial.days) == (9, pytest.approx(240))


PUBLISHED = {
    # P(none), P(OBD) of each level [%]; patients of each level; months of 30 days: 2,000 trials of theirs
    "PKBOIN-12": ((1.9, 0, 0, 0.1, 3.3, 40.9, 53.8), (3.05, 3.32, 5.05, 8.20, 12.6, 12.6), 38.1),
    "TITE-PKBOIN-12": ((2.0, 0, 0, 0.05, 3.2, 41.9, 52.8), (3.21, 3.58, 5.39, 8.49, 12.7, 11.4), 25.0),
}


def beside(trials: list[ExposureTrial], published: tuple[tuple[float, ...], ...]) -> list[float]:
    """Differences of shares and patients from the published ones, in standard errors of both sides."""
    error = sqrt(1 / len(trials) + 1 / 2000)
    shares = np.bincount([trial.obd for trial in trials], minlength=7) / len(trials)
    theirs = np.array(published[0]) / 100
    p = np.maximum((shares + theirs) / 2, 0.002)  # the published are rounded
    patients = np.array([trial.patients for trial in trials])
    by_share = (shares - theirs) / (np.sqrt(p * (1 - p)) * error)
    by_patients = (patients.mean(0) - np.array(published[1])) / (patients.std(0) * error)
    return [*by_share.tolist(), *by_patients.tolist()]


@pytest.mark.slow
def test_the_published_example_of_pkboin12_is_met_within_two_standard_errors():
    trials = exposure_trials(PK, TRUTH, range(10_000), seed=3)
    assert max(map(abs, beside(trials, PUBLISHED["PKBOIN-12"]))) < 2
    timed = exposure_trials(PK, TRUTH, range(500), calendar=CALENDAR, seed=3)
    # theirs has a day more for each of 15 cohorts, .5 months, and ends with the last window
    assert np.mean([t.days for t in timed]) / 30 == pytest.approx(38.1 - 0.5, abs=0.5)


@pytest.mark.slow
def test_the_published_example_of_tite_pkboin12_is_met_within_two_standard_errors():
    trials = exposure_trials(TitePkBoin12(PK), TRUTH, range(6000), calendar=CALENDAR, seed=3)
    off = [abs(distance) for distance in beside(trials, PUBLISHED["TITE-PKBOIN-12"])]
    assert max(off) < 2
    assert np.mean([t.days for t in trials]) / 30 == pytest.approx(25.0 - 0.5, abs=0.5)
