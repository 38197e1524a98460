"""Trials simulated in calendar time: patients arrive, DLTs come days later, the rule is asked as it would be.

The time to a DLT within the window is uniform, or Weibull with a share of the DLTs in the second half of the
window, as in the simulations of the TITE-BOIN paper (Yuan 2018, Clin Cancer Res 24:4921). Patients arrive by
a Poisson process. A patient who comes while the rule waits is treated as soon as it no longer waits (OURS),
and nobody is treated before `days_between` are over. The rule is asked before every patient
(`kinetics.escalation.whole_cohorts`), and after the last one whenever a window ends or a DLT happens.

Common random numbers: patient i of trial t has the same four uniform numbers whatever the rule and the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isinf, log
from typing import Literal

import numpy as np

from kinetics.errors import InputError, Problem
from kinetics.escalation.enumeration import check_truth
from kinetics.escalation.history import Cohort, Decision, Rule
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.whole_cohorts import asked_patient_by_patient

__all__ = ["Calendar", "CalendarTrial", "calendar_trials", "time_to_dlt"]

MOST_DECISIONS = 10_000  # a rule that never ends is an error, not a loop


@dataclass(frozen=True)
class Calendar:
    """When patients arrive and DLTs come: `accrual` [patients a day] and the DLT `window` [day].

    `days_between` is the least number of days between two patients. `time_to_dlt` is the law of the time to a
    DLT; for a Weibull, `late` is the share of the window's DLTs that come in its second half. InputError for
    an impossible value.

    >>> from kinetics.escalation import Calendar
    >>> Calendar(accrual=1 / 15, window=28.0, days_between=7.0).time_to_dlt
    'uniform'
    """

    accrual: float
    window: float
    days_between: float = 0.0
    time_to_dlt: Literal["uniform", "weibull"] = "uniform"
    late: float = 0.5

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
        if problems:
            raise InputError(problems)


@dataclass(frozen=True)
class CalendarTrial:
    """The result of one trial: the level found (0: none), `patients` and `dlts` by level.

    `days` is the day on which the trial ended.

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


@dataclass(frozen=True)
class _Patient:
    """Days of the trial: infusion, DLT and trigger (inf where there is none), and the end of the window."""

    level: int
    infused_on: float
    dlt_on: float
    trigger_on: float
    ends: float

    def on(self, day: float, weighed: bool) -> Cohort:
        """What is known of the patient on this day; with `weighed`, also for how long it was followed."""
        if self.dlt_on <= day:
            return Cohort(self.level, 1, 1)
        triggers = int(self.trigger_on <= day)
        if self.ends <= day:
            return Cohort(self.level, 1, 0, triggers)
        followed = 0.0
        if weighed:
            followed = min((day - self.infused_on) / (self.ends - self.infused_on), 1.0)
        return Cohort(self.level, 0, 0, triggers, pending=1, followed=followed)

    def next_after(self, day: float) -> float:
        """The next day on which more is known; inf where there is none."""
        days = (self.dlt_on, self.trigger_on, self.ends)
        return min((later for later in days if later > day), default=inf)


def calendar_trials(
    rule: Rule,
    true_dlt: Sequence[float],
    calendar: Calendar,
    trials: Iterable[int],
    *,
    trigger_without_dlt: float | Sequence[float] = 0.0,
    seed: int = 0,
) -> list[CalendarTrial]:
    """Simulate the numbered trials in calendar time. A number and a seed always give the same trial.

    InputError for a value that is no probability, or a rule that never ends.

    >>> from kinetics.escalation import Boin, Calendar, TiteBoin, calendar_trials
    >>> rule, calendar = Boin(levels=2, target=0.3, most=12), Calendar(accrual=0.1, window=28.0)
    >>> waits = calendar_trials(rule, [0.1, 0.3], calendar, range(20), seed=1)
    >>> goes_on = calendar_trials(TiteBoin(rule), [0.1, 0.3], calendar, range(20), seed=1)
    >>> sum(trial.days for trial in goes_on) < sum(trial.days for trial in waits)
    True
    """
    triggers = check_truth(rule, true_dlt, trigger_without_dlt)
    asked = asked_patient_by_patient(rule)
    decisions: dict[tuple[Cohort, ...], Decision] = {}

    def ask(history: list[Cohort]) -> Decision:
        key = tuple(history)
        if key not in decisions:
            decisions[key] = asked.decide(history)
        return decisions[key]

    weighed = isinstance(rule, TiteBoin)  # the only rule that looks at follow-up
    return [
        _trial(
            ask,
            true_dlt=tuple(true_dlt),
            triggers=triggers,
            calendar=calendar,
            rng=np.random.default_rng([seed, trial]),
            weighed=weighed,
        )
        for trial in trials
    ]


def _trial(
    ask: Callable[[list[Cohort]], Decision],
    *,
    true_dlt: tuple[float, ...],
    triggers: tuple[float, ...],
    calendar: Calendar,
    rng: np.random.Generator,
    weighed: bool,
) -> CalendarTrial:
    """One trial, until the rule stops.

    `numbers` are the four uniform numbers of the next patient; the first sets how long after the patient
    before, the others are for `_patient`.
    """
    patients: list[_Patient] = []
    day = 0.0
    next_arrival = 0.0
    numbers = rng.random(4).tolist()
    for _ in range(MOST_DECISIONS):
        decision = ask([patient.on(day, weighed) for patient in patients])
        if decision.mtd is not None:
            return _ended(len(true_dlt), patients, decision.mtd, day)
        if decision.action == "wait" or decision.level is None:
            day = min((patient.next_after(day) for patient in patients), default=inf)
            if isinf(day):
                break
        elif day < next_arrival:
            day = next_arrival
        else:
            dlt = true_dlt[decision.level - 1]
            trigger = triggers[decision.level - 1] if decision.titrating else 0.0
            patients.append(_patient(decision.level, day, dlt, trigger, numbers=numbers, calendar=calendar))
            numbers = rng.random(4).tolist()
            until_next = -log(1 - numbers[0]) / calendar.accrual
            next_arrival = day + max(until_next, calendar.days_between)
    raise InputError(Problem("the rule neither treats nor stops", "correct the rule"))


def _patient(
    level: int, day: float, dlt: float, trigger: float, numbers: Sequence[float], calendar: Calendar
) -> _Patient:
    """A patient treated on this day.

    numbers[1] says whether there is a DLT or a trigger, numbers[2] when the DLT comes, numbers[3] when the
    trigger does.
    """
    dlt_on = inf
    trigger_on = inf
    if numbers[1] < dlt:
        dlt_on = day + time_to_dlt(dlt, numbers[2], calendar)
    elif numbers[1] < dlt + trigger:
        trigger_on = day + numbers[3] * calendar.window  # uniform: OURS
    ends = day + calendar.window
    return _Patient(level, infused_on=day, dlt_on=dlt_on, trigger_on=trigger_on, ends=ends)


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


def _ended(levels: int, patients: Sequence[_Patient], mtd: int, day: float) -> CalendarTrial:
    """The trial that ended on this day: a DLT is counted even where it came later."""
    treated = [0] * levels
    dlts = [0] * levels
    for patient in patients:
        treated[patient.level - 1] += 1
        dlts[patient.level - 1] += patient.dlt_on < inf
    return CalendarTrial(mtd, tuple(treated), tuple(dlts), day)
