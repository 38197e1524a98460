"""Trials simulated in calendar time: patients arrive, DLTs come days later, the rule is asked as it would be.

The time to a DLT within the window is uniform, or Weibull with a share of the DLTs in the second half of the
window, as in the simulations of the TITE-BOIN paper (Yuan 2018, Clin Cancer Res 24:4921). Patients arrive by
a Poisson process. A patient who comes while the rule waits is treated as soon as it no longer waits (OURS),
and nobody is treated before `days_between` are over. The rule is asked before every patient
(`kinetics.escalation.whole_cohorts`), and after the last one whenever a window ends or a DLT happens.

With a backfill (`kinetics.escalation.backfill`), a patient who comes while the rule waits is treated at the
highest open lower level instead, until as many patients as the rule plans are there. The rule does not wait
for backfilled patients: it counts each, at its level and in its planned number, once DLT or none is known,
and a rule that weighs follow-up counts it at once. The level found waits for all of them (OURS).

Common random numbers: patient i of trial t, in the order of arrival, has the same uniform numbers whatever
the rule and the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, isinf, log
from typing import Literal

import numpy as np

from kinetics.errors import InputError, Problem
from kinetics.escalation.backfill import Backfill
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.enumeration import check_truth
from kinetics.escalation.history import Cohort, Decision, Rule
from kinetics.escalation.joint.rule import Joint
from kinetics.escalation.pkboin12 import PkBoin12
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.whole_cohorts import WholeCohorts, asked_patient_by_patient, planned

__all__ = ["Calendar", "CalendarTrial", "calendar_trials", "time_to_dlt"]

MOST_DECISIONS = 10_000  # a rule that never ends is an error, not a loop


@dataclass(frozen=True)
class Calendar:
    """When patients arrive and DLTs come: `accrual` [patients a day] and the DLT `window` [day].

    `days_between` is the least number of days between two patients. `time_to_dlt` is the law of the time to a
    DLT; for a Weibull, `late` is the share of the window's DLTs that come in its second half. `arrivals` are
    a Poisson process, or regular: one patient every 1 / `accrual` days. Where responses are simulated, they
    come uniformly within `response_window` [day]. InputError for an impossible value.

    >>> from kinetics.escalation import Calendar
    >>> calendar = Calendar(accrual=1 / 15, window=28.0, days_between=7.0)
    >>> calendar.time_to_dlt, round(calendar.until_next(0.9), 1), calendar.until_next(0.1)
    ('uniform', 34.5, 7.0)
    """

    accrual: float
    window: float
    days_between: float = 0.0
    time_to_dlt: Literal["uniform", "weibull"] = "uniform"
    late: float = 0.5
    arrivals: Literal["poisson", "regular"] = "poisson"
    response_window: float | None = None

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.accrual < inf:
            problems.append(Problem(f"{self.accrual:g} patients a day", "give an accrual above 0"))
        if not 0 < self.window < inf:
            problems.append(Problem(f"a DLT window of {self.window:g} days", "give one above 0"))
        if not 0 < self.late < 1:
            what = f"{self.late:g} of the DLTs in the second half of the window"
            problems.append(Problem(what, "give a share between 0 and 1"))
        if self.time_to_dlt not in ("uniform", "weibull"):
            problems.append(Problem(f"time to DLT {self.time_to_dlt!r}", "write uniform or weibull"))
        if self.arrivals not in ("poisson", "regular"):
            problems.append(Problem(f"arrivals {self.arrivals!r}", "write poisson or regular"))
        if self.response_window is not None and not 0 < self.response_window < inf:
            what = f"a response window of {self.response_window:g} days"
            problems.append(Problem(what, "give one above 0, or none"))
        if problems:
            raise InputError(problems)

    def until_next(self, u: float) -> float:
        """Days from one patient to the next, from the uniform number `u`."""
        gap = 1 / self.accrual if self.arrivals == "regular" else -log(1 - u) / self.accrual
        return max(gap, self.days_between)


@dataclass(frozen=True)
class CalendarTrial:
    """The result of one trial: the level found (0: none), `patients`, `dlts` and `responses` by level.

    `days` is the day on which the trial ended. `backfilled` are those of the `patients` who were treated
    while the escalation waited. `responses` is empty where none were simulated.

    >>> from kinetics.escalation import Boin, Calendar, calendar_trials
    >>> rule, calendar = Boin(levels=2, target=0.3, most=12), Calendar(accrual=0.1, window=28.0)
    >>> trial = calendar_trials(rule, [0.1, 0.3], calendar, [0], seed=1)[0]
    >>> sum(trial.patients) <= 12, trial.mtd in (0, 1, 2), trial.days > 28
    (True, True, True)
    """

    mtd: int
    patients: tuple[int, ...]
    dlts: tuple[int, ...]
    days: float
    responses: tuple[int, ...] = ()
    backfilled: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Patient:
    """Days of the trial: infusion, DLT, trigger and response (inf where there is none), ends of windows."""

    level: int
    infused_on: float
    dlt_on: float
    trigger_on: float
    ends: float
    responds_on: float = inf
    response_ends: float = -inf
    backfilled: bool = False

    def on(self, day: float, weighed: bool) -> Cohort:
        """What is known of the patient on this day; with `weighed`, also for how long it was followed."""
        dlt = int(self.dlt_on <= day)
        triggers = int(not dlt and self.trigger_on <= day)
        pending = int(not dlt and day < self.ends)
        response = int(self.responds_on <= day)
        followed = 0.0
        if weighed and pending:
            followed = min((day - self.infused_on) / (self.ends - self.infused_on), 1.0)
        return Cohort(
            self.level,
            1 - pending,
            dlt,
            triggers,
            pending,
            followed=followed,
            responses=response,
            dlts_with_response=dlt * response,
            response_pending=int(not response and day < self.response_ends),
        )

    def next_after(self, day: float) -> float:
        """The next day on which more is known; inf where there is none."""
        days = (self.dlt_on, self.trigger_on, self.ends, self.responds_on, self.response_ends)
        return min((later for later in days if later > day), default=inf)


def calendar_trials(
    rule: Rule,
    true_dlt: Sequence[float],
    calendar: Calendar,
    trials: Iterable[int],
    *,
    trigger_without_dlt: float | Sequence[float] = 0.0,
    true_response: Sequence[float] | None = None,
    backfill: Backfill | None = None,
    seed: int = 0,
) -> list[CalendarTrial]:
    """Simulate the numbered trials in calendar time. A number and a seed always give the same trial.

    With `true_response`, the true response probability of each level, patients also respond, within the
    `response_window` of the calendar. `backfill` treats patients at lower levels while the rule waits.
    InputError for a value that is no probability, a backfill that needs responses where none are simulated or
    is of other levels, responses without their window, or a rule that never ends.

    >>> from kinetics.escalation import Boin, Calendar, TiteBoin, calendar_trials
    >>> rule, calendar = Boin(levels=2, target=0.3, most=12), Calendar(accrual=0.1, window=28.0)
    >>> waits = calendar_trials(rule, [0.1, 0.3], calendar, range(20), seed=1)
    >>> goes_on = calendar_trials(TiteBoin(rule), [0.1, 0.3], calendar, range(20), seed=1)
    >>> sum(trial.days for trial in goes_on) < sum(trial.days for trial in waits)
    True
    >>> from kinetics.escalation import Backfill
    >>> filling = Backfill(levels=2, target=0.3, needs_response=False)
    >>> filled = calendar_trials(rule, [0.1, 0.3], calendar, range(20), backfill=filling, seed=1)
    >>> sum(sum(trial.backfilled) for trial in filled) > 0
    True
    """
    _check_backfill(rule, calendar, true_response, backfill)
    triggers = check_truth(rule, true_dlt, trigger_without_dlt)
    asked = asked_patient_by_patient(rule)
    filling = _Filling(
        backfill,
        planned=planned(asked.rule if isinstance(asked, WholeCohorts) else asked),
        awaits_responses=isinstance(rule, Boin12 | PkBoin12),
    )
    decisions: dict[tuple[Cohort, ...], Decision] = {}

    def ask(history: list[Cohort]) -> Decision:
        key = tuple(history)
        if key not in decisions:
            decisions[key] = asked.decide(history)
        return decisions[key]

    weighed = isinstance(rule, TiteBoin | Joint)  # the rules that look at follow-up
    return [
        _trial(
            ask,
            truth=_Truth(tuple(true_dlt), triggers, tuple(true_response or ())),
            calendar=calendar,
            filling=filling,
            rng=np.random.default_rng([seed, trial]),
            response_rng=np.random.default_rng([seed, trial, 1]),
            weighed=weighed,
        )
        for trial in trials
    ]


@dataclass(frozen=True)
class _Truth:
    """The true probabilities of each level. `response` is empty where none are simulated."""

    dlt: tuple[float, ...]
    trigger: tuple[float, ...]
    response: tuple[float, ...]


@dataclass(frozen=True)
class _Filling:
    """The backfill of a trial, if any; how many patients its rule plans, and if it waits for responses."""

    backfill: Backfill | None
    planned: int | None
    awaits_responses: bool

    def level(self, decision: Decision, history: Sequence[Cohort]) -> int:
        """The level of a patient who comes while the rule waits; 0 where none is open."""
        if self.backfill is None or (self.planned is not None and len(history) >= self.planned):
            return 0
        open_levels = self.backfill.of(decision, history)
        return next((level.level for level in open_levels if level.room), 0)


def _check_backfill(
    rule: Rule, calendar: Calendar, true_response: Sequence[float] | None, backfill: Backfill | None
) -> None:
    """InputError with everything that does not fit of the responses and the backfill."""
    problems = []
    if true_response is not None:
        if len(true_response) != rule.levels or not all(0 <= p <= 1 for p in true_response):
            what = f"true response probabilities {', '.join(f'{p:g}' for p in true_response)}"
            problems.append(Problem(what, f"give one per level, {rule.levels}, each 0 to 1"))
        if calendar.response_window is None:
            problems.append(Problem("responses without their window", "give the calendar a response_window"))
    if backfill is not None and backfill.levels != rule.levels:
        what = f"a backfill of {backfill.levels} levels for a rule of {rule.levels}"
        problems.append(Problem(what, "give both the same levels"))
    if backfill is not None and backfill.needs_response and true_response is None:
        remedy = "give true_response, or the backfill needs_response=False"
        problems.append(Problem("a backfill that needs responses, and none are simulated", remedy))
    if problems:
        raise InputError(problems)


def _trial(
    ask: Callable[[list[Cohort]], Decision],
    *,
    truth: _Truth,
    calendar: Calendar,
    filling: _Filling,
    rng: np.random.Generator,
    response_rng: np.random.Generator,
    weighed: bool,
) -> CalendarTrial:
    """One trial, until the rule stops.

    `numbers` are the six uniform numbers of the next patient; the first sets how long after the patient
    before, the others are for `_patient`. Backfilled patients stand first in the history, because its last
    patient is where the escalation is.
    """
    patients: list[_Patient] = []
    day = 0.0
    next_arrival = 0.0
    numbers = [*rng.random(4).tolist(), *response_rng.random(2).tolist()]
    for _ in range(MOST_DECISIONS):
        in_order = sorted(patients, key=lambda patient: not patient.backfilled)
        history = [patient.on(day, weighed) for patient in in_order]
        # Pending backfilled patients are left out, unless the rule weighs them: it does not wait for them.
        pending_backfill = [
            patient.backfilled and c.pending + filling.awaits_responses * c.response_pending > 0
            for patient, c in zip(in_order, history, strict=True)
        ]
        seen = [c for c, left_out in zip(history, pending_backfill, strict=True) if weighed or not left_out]
        decision = ask(seen)
        if decision.mtd is not None and not any(pending_backfill):
            return _ended(len(truth.dlt), patients, decision.mtd, day, bool(truth.response))
        level = 0
        if decision.action == "treat":
            level = decision.level or 0
        elif decision.action == "wait" and day >= next_arrival:
            level = filling.level(decision, history)
        if level and day >= next_arrival:
            patient = _patient(level, day, truth, decision.titrating, numbers=numbers, calendar=calendar)
            patients.append(replace(patient, backfilled=decision.action == "wait"))
            numbers = [*rng.random(4).tolist(), *response_rng.random(2).tolist()]
            next_arrival = day + calendar.until_next(numbers[0])
            continue
        # Time goes on to what the decision waits for; with a backfill, an arrival may come before it.
        next_known = min((patient.next_after(day) for patient in patients), default=inf)
        arrival = next_arrival if next_arrival > day and decision.action != "stop" else inf
        if decision.action == "treat":
            day = arrival
        else:
            day = min(next_known, arrival if filling.backfill else inf)
        if isinf(day):
            break
    raise InputError(Problem("the rule neither treats nor stops", "correct the rule"))


def _patient(
    level: int, day: float, truth: _Truth, titrating: bool, *, numbers: Sequence[float], calendar: Calendar
) -> _Patient:
    """A patient treated on this day.

    numbers[1] says whether there is a DLT or a trigger, numbers[2] when the DLT comes, numbers[3] when the
    trigger does; numbers[4] whether there is a response, and numbers[5] when it comes.
    """
    dlt = truth.dlt[level - 1]
    trigger = truth.trigger[level - 1] if titrating else 0.0
    dlt_on = inf
    trigger_on = inf
    if numbers[1] < dlt:
        dlt_on = day + time_to_dlt(dlt, numbers[2], calendar)
    elif numbers[1] < dlt + trigger:
        trigger_on = day + numbers[3] * calendar.window  # uniform: OURS
    responds_on = inf
    response_ends = -inf
    if truth.response and calendar.response_window is not None:
        response_ends = day + calendar.response_window
        if numbers[4] < truth.response[level - 1]:
            responds_on = day + numbers[5] * calendar.response_window
    return _Patient(
        level,
        infused_on=day,
        dlt_on=dlt_on,
        trigger_on=trigger_on,
        ends=day + calendar.window,
        responds_on=responds_on,
        response_ends=response_ends,
    )


def time_to_dlt(dlt: float, u: float, calendar: Calendar) -> float:
    """Days from the infusion to a DLT that comes within the window, from the uniform number `u`.

    The Weibull is F(t) = 1 - exp(-(t / b)^k) with F(window) = dlt and F(window / 2) = (1 - late) dlt. A
    certain DLT has no such law and is uniform.
    """
    if calendar.time_to_dlt == "uniform" or not 0 < dlt < 1:
        return u * calendar.window
    whole = -log(1 - dlt)
    half = -log(1 - (1 - calendar.late) * dlt)
    shape = log(whole / half) / log(2)
    return calendar.window * (-log(1 - u * dlt) / whole) ** (1 / shape)


def _ended(
    levels: int, patients: Sequence[_Patient], mtd: int, day: float, responding: bool
) -> CalendarTrial:
    """The trial that ended on this day: a DLT or response is counted even where it came later."""
    treated = [0] * levels
    dlts = [0] * levels
    responses = [0] * levels
    backfilled = [0] * levels
    for patient in patients:
        treated[patient.level - 1] += 1
        dlts[patient.level - 1] += patient.dlt_on < inf
        responses[patient.level - 1] += patient.responds_on < inf
        backfilled[patient.level - 1] += patient.backfilled
    return CalendarTrial(
        mtd,
        tuple(treated),
        tuple(dlts),
        day,
        responses=tuple(responses) if responding else (),
        backfilled=tuple(backfilled),
    )
