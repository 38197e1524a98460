"""Backfill: the levels that take patients beside the escalation, and when they close."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics.errors import InputError
from kinetics.escalation.backfill import Backfill
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.calendar import Calendar, calendar_trials
from kinetics.escalation.history import Cohort, Decision
from kinetics.escalation.three_plus_three import storer_1989
from kinetics.escalation.tite_boin import TiteBoin
from tests.support.boin12_trials import path

UP = Decision("treat", "", "", level=4, size=3)


def test_backfill_takes_lower_levels_with_a_response_and_room():
    history = path("1NNN 2NEN 3EEN 3NNN")
    three, two, one = Backfill(5, 0.3).of(UP, history)
    assert [(x.level, x.room) for x in (three, two, one)] == [(3, 6), (2, 9), (1, 0)]
    assert "no response in 3 yet" in one.why
    assert [x.room for x in Backfill(5, 0.3, needs_response=False).of(UP, history)] == [6, 9, 9]
    assert [x.room for x in Backfill(5, 0.3, cap=6).of(UP, history)] == [0, 3, 0]


def test_backfill_closes_a_level_to_go_down_at_and_those_above_it():
    # 30 %, lambda_d .3585: 2 of 3 at level 2, and 2 of 6 with level 3 are .333, still safe; 3 of 6 are not
    def rooms(*history: Cohort) -> list[int]:
        return [x.room for x in Backfill(5, 0.3).of(UP, history)]

    first = Cohort(1, 3, 0, responses=1)
    assert rooms(first, Cohort(2, 3, 2, responses=1), Cohort(3, 3, 0, responses=1)) == [9, 9, 9]
    assert rooms(first, Cohort(2, 3, 2, responses=1), Cohort(3, 3, 1, responses=1)) == [0, 0, 9]


def test_backfill_ends_with_the_escalation_and_never_reaches_its_level():
    history = path("1EEE 2EEE 3EEE")
    assert Backfill(5, 0.3).of(Decision("stop", "", "", mtd=2), history) == []
    waits = Decision("wait", "", "", level=3)
    assert [x.level for x in Backfill(5, 0.3).of(waits, history)] == [2, 1]
    untreated = Backfill(5, 0.3).of(UP, path("2EEE 3EEE"))
    assert (untreated[-1].room, "not cleared" in untreated[-1].why) == (0, True)


# ----------------------------------------------------------------------------------- in simulated trials

EVERY_TEN_DAYS = Calendar(0.1, 28.0, arrivals="regular", response_window=0.001)


def test_a_trial_with_backfill_by_hand():
    """Nobody has a DLT, everybody responds at once, a patient comes every ten days; nine are planned.

    Level 1 on days 0, 10, 20, known on 48. The patient of day 30 waits for level 2: 48, 58, 68, known on 96.
    Those of 78 and 88 are backfilled at level 1. On 98 the rule stays at level 2 and has counted six; on 108
    seven and the patient of day 78, so the cohort has one place more. On 116 the patient of day 88 is known:
    ten are there, and none is backfilled. The last window ends on day 136.
    """
    rule = Boin(2, 0.3, most=9)
    responses = (1.0, 1.0)
    (trial,) = calendar_trials(
        rule, (0.0, 0.0), EVERY_TEN_DAYS, [0], true_response=responses, backfill=Backfill(2, 0.3)
    )
    assert (trial.mtd, trial.patients, trial.backfilled) == (2, (5, 5), (2, 0))
    assert (trial.dlts, trial.responses) == ((0, 0), (5, 5))
    assert trial.days == pytest.approx(136, abs=0.01)
    # without responses no level is open
    (none,) = calendar_trials(
        rule, (0.0, 0.0), EVERY_TEN_DAYS, [0], true_response=(0.0, 0.0), backfill=Backfill(2, 0.3)
    )
    (without,) = calendar_trials(rule, (0.0, 0.0), EVERY_TEN_DAYS, [0], true_response=(0.0, 0.0))
    assert none == without
    assert (without.patients, without.backfilled, without.days) == (
        (3, 6),
        (0, 0),
        pytest.approx(144, abs=0.01),
    )


def test_dlts_of_backfilled_patients_count_in_what_follows():
    """Half of the patients have a DLT at level 1, none at level 2.

    Without a backfill a trial that has reached level 2 stays there: it has no reason to go down, and level 1
    is as it was. With one, the DLTs of the backfilled eliminate level 1 in some of these trials.
    """
    rule = Boin(2, 0.3, most=18)
    calendar = Calendar(1.0, 28.0, arrivals="regular", response_window=1.0)
    truth = (0.5, 0.0)
    responses = (1.0, 1.0)
    backfill = Backfill(2, 0.3)
    plain = calendar_trials(rule, truth, calendar, range(200), true_response=responses)
    filled = calendar_trials(rule, truth, calendar, range(200), true_response=responses, backfill=backfill)
    up = [(p, f) for p, f in zip(plain, filled, strict=True) if p.patients[1]]
    assert {p.mtd for p, _ in up} == {2}
    stopped = [f for _, f in up if f.mtd == 0]
    assert 0 < len(stopped) < len(up)
    assert all(f.backfilled[0] and f.dlts[0] > 3 for f in stopped)


@pytest.mark.parametrize(
    "rule",
    [
        Boin(4, 0.3, most=24),
        TiteBoin(Boin(4, 0.3, most=24)),
        storer_1989(4),
        Boin12(4, most=24),
    ],
)
def test_every_patient_is_counted_once_and_caps_hold(rule):
    calendar = Calendar(0.3, 28.0, response_window=20.0)
    truth = ((0.02, 0.05, 0.1, 0.3), (0.5, 0.6, 0.7, 0.8))
    backfill = Backfill(4, 0.3, cap=8)
    trials = calendar_trials(rule, truth[0], calendar, range(60), true_response=truth[1], backfill=backfill)
    again = calendar_trials(rule, truth[0], calendar, [7], true_response=truth[1], backfill=backfill)
    assert again == [trials[7]]
    for trial in trials:
        for n, dlts, responses, backfilled in zip(
            trial.patients, trial.dlts, trial.responses, trial.backfilled, strict=True
        ):
            assert 0 <= backfilled <= n
            assert dlts <= n
            assert responses <= n
            # a level with a backfilled patient had room for it
            assert backfilled <= 8 - 1
        assert trial.backfilled[-1] == 0  # nothing is above the highest level
    total = np.sum([trial.patients for trial in trials])
    assert 0 < np.sum([trial.backfilled for trial in trials]) < total
    # the shares of DLTs and of responses are the truth's, backfilled or not
    for level in range(2):
        n = sum(trial.patients[level] for trial in trials)
        p = truth[1][level]
        share = sum(trial.responses[level] for trial in trials) / n
        assert abs(share - p) < 4 * (p * (1 - p) / n) ** 0.5


def test_a_backfill_that_does_not_fit_the_trial_is_refused():
    rule = Boin(2, 0.3)
    calendar = Calendar(0.1, 28.0)
    with pytest.raises(InputError, match="needs responses, and none are simulated"):
        calendar_trials(rule, (0.1, 0.2), calendar, [0], backfill=Backfill(2, 0.3))
    with pytest.raises(InputError, match="a backfill of 3 levels"):
        calendar_trials(rule, (0.1, 0.2), calendar, [0], backfill=Backfill(3, 0.3, needs_response=False))
    with pytest.raises(InputError) as error:
        calendar_trials(rule, (0.1, 0.2), calendar, [0], true_response=(0.1, 1.2))
    assert len(error.value.problems) == 2
