"""One trial in calendar time: patients arrive, DLTs come some days later, and the rule is asked when it would
be.

What is told of the time to a DLT: within the window it is uniform, or Weibull with a share of the DLTs in the
second half of the window, the way of the TITE-BOIN paper's simulations (Yuan 2018, Clin Cancer Res 24:4921).
Patients arrive by a Poisson process; one who comes while the rule waits is treated as soon as it does not
(OURS), and none before `days_between` are over. The rule is asked before every patient
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
    """`accrual` [patients a day], DLT `window` [day], `days_between` two patients, `time_to_dlt`: when DLTs
    come.

    `late`: of a Weibull, the share of the DLTs of the window that come in its second half. InputError for one
    that is none.

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
    """How one trial went: the level found (0: none), patients and DLTs by level, and the day it ended.

    `days` is that day.

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
    on: float
    dlt_on: float
    trigger_on: float
    ends: float

    def at(self, day: float, weighed: bool) -> Cohort:
        """What is known of the patient on this day; `weighed`: for how long it was followed too."""
        if self.dlt_on <= day:
            return Cohort(self.level, 1, 1)
        fired = int(self.trigger_on <= day)
        if self.ends <= day:
            return Cohort(self.level, 1, 0, fired)
        followed = min((day - self.on) / (self.ends - self.on), 1.0) if weighed else 0.0
        return Cohort(self.level, 0, 0, fired, pending=1, followed=followed)

    def next_after(self, day: float) -> float:
        """The next day on which more is known."""
        return min((d for d in (self.dlt_on, self.trigger_on, self.ends) if d > day), default=inf)


def calendar_trials(
    rule: Rule,
    true_dlt: Sequence[float],
    calendar: Calendar,
    trials: Iterable[int],
    *,
    trigger_without_dlt: float | Sequence[float] = 0.0,
    seed: int = 0,
) -> list[CalendarTrial]:
    """These trials of this seed, each by its number. InputError for no probability, or a rule that never
    ends.

    >>> from kinetics.escalation import Boin, Calendar, TiteBoin, calendar_trials
    >>> rule, calendar = Boin(levels=2, target=0.3, most=12), Calendar(accrual=0.1, window=28.0)
    >>> waits = calendar_trials(rule, [0.1, 0.3], calendar, range(20), seed=1)
    >>> goes_on = calendar_trials(TiteBoin(rule), [0.1, 0.3], calendar, range(20), seed=1)
    >>> sum(trial.days for trial in goes_on) < sum(trial.days for trial in waits)
    True
    """
    triggers = check_truth(rule, true_dlt, trigger_without_dlt)
    asked = asked_patient_by_patient(rule)
    said: dict[tuple[Cohort, ...], Decision] = {}

    def ask(history: list[Cohort]) -> Decision:
        key = tuple(history)
        if key not in said:
            said[key] = asked.decide(history)
        return said[key]

    weighed = isinstance(rule, TiteBoin)  # the only rule that looks at follow-up
    return [
        _trial(ask, tuple(true_dlt), triggers, calendar, np.random.default_rng([seed, trial]), weighed)
        for trial in trials
    ]


def _trial(
    ask: Callable[[list[Cohort]], Decision],
    true_dlt: tuple[float, ...],
    triggers: tuple[float, ...],
    calendar: Calendar,
    rng: np.random.Generator,
    weighed: bool,
) -> CalendarTrial:
    patients: list[_Patient] = []
    day = 0.0
    due = 0.0
    numbers = rng.random(4).tolist()
    for _ in range(MOST_DECISIONS):
        said = ask([p.at(day, weighed) for p in patients])
        if said.mtd is not None:
            return _ended(len(true_dlt), patients, said.mtd, day)
        if said.action == "wait" or said.level is None:
            day = min((p.next_after(day) for p in patients), default=inf)
            if isinf(day):
                break
        elif day < due:
            day = due
        else:
            trigger = triggers[said.level - 1] if said.titrating else 0.0
            patients.append(_patient(said.level, day, true_dlt[said.level - 1], trigger, numbers, calendar))
            numbers = rng.random(4).tolist()
            due = day + max(-log(1 - numbers[0]) / calendar.accrual, calendar.days_between)
    raise InputError(Problem("the rule neither treats nor stops", "correct the rule"))


def _patient(
    level: int, day: float, dlt: float, trigger: float, numbers: Sequence[float], calendar: Calendar
) -> _Patient:
    """A patient treated on this day: numbers[1] says whether there is a DLT or trigger, the others when."""
    dlt_on = trigger_on = inf
    if numbers[1] < dlt:
        dlt_on = day + time_to_dlt(dlt, numbers[2], calendar)
    elif numbers[1] < dlt + trigger:
        trigger_on = day + numbers[3] * calendar.window  # uniform: OURS
    return _Patient(level, day, dlt_on, trigger_on, day + calendar.window)


def time_to_dlt(dlt: float, u: float, calendar: Calendar) -> float:
    """The day of a DLT that comes within the window, from a uniform number.

    Weibull F(t) = 1 - exp(-(t / b)^k) with F(window) = dlt and F(window / 2) = (1 - late) dlt. A certain DLT
    has no such law and is uniform.
    """
    if calendar.time_to_dlt == "uniform" or not 0 < dlt < 1:
        return u * calendar.window
    whole = -log(1 - dlt)
    half = -log(1 - (1 - calendar.late) * dlt)
    shape = log(whole / half) / log(2)
    return calendar.window * (-log(1 - u * dlt) / whole) ** (1 / shape)


def _ended(levels: int, patients: Sequence[_Patient], mtd: int, day: float) -> CalendarTrial:
    treated = [0] * levels
    toxic = [0] * levels
    for p in patients:
        treated[p.level - 1] += 1
        toxic[p.level - 1] += p.dlt_on < inf
    return CalendarTrial(mtd, tuple(treated), tuple(toxic), day)
