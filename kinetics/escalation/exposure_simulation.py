"""Simulated trials of BOIN12, PKBOIN-12 and TITE-PKBOIN-12, whose patients have exposures.

Exposure, DLT and response of a patient are independent given the level, unless the truth has the exposure
move the other two. Without a calendar every patient is evaluable for all three before the next decision. With
one, patients arrive, and DLTs and responses come later; exposures are known at once. The rule is asked after
whole cohorts, as soon as the next patient is there, and while it waits whenever more is known.

Common random numbers: patient i of trial t has the same uniform numbers whatever the rule, the truth and the
calendar, so PKBOIN-12 differs from BOIN12 by looking at exposures and not by luck.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, isinf, log1p, sqrt
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.calendar import Calendar, time_to_dlt
from kinetics.escalation.enumeration import check_truth
from kinetics.escalation.history import Cohort
from kinetics.escalation.pkboin12 import PkBoin12, RawExposures
from kinetics.escalation.tite_pkboin12 import TitePkBoin12

__all__ = ["ExposureTrial", "ExposureTruth", "exposure_trials"]


@dataclass(frozen=True)
class ExposureTruth:
    """True probabilities and mean exposures, one per level.

    `dlt` and `response` are probabilities, `exposure` is in any unit. `cv` is the coefficient of variation
    between the patients of a level, as a share. `exposure_law` is their distribution; "normal" is cut off at
    0. With `by_exposure` (g of Sun & Tu 2024) a patient's own exposure x moves both probabilities: p (1 + g
    (x - mean) / mean), at least 0 and at most 1.

    >>> from kinetics.escalation import Boin12, ExposureTruth
    >>> truth = ExposureTruth((0.1, 0.3), (0.2, 0.4), exposure=(5e3, 2e4), cv=0.5, by_exposure=1.0)
    >>> truth.check(Boin12(levels=2))
    >>> x = truth.patient_exposure(level=1, u=0.9)
    >>> chances = truth.patient_chances(level=1, exposure=x)
    >>> round(x), [round(p, 3) for p in chances]
    (8193, [0.164, 0.328])
    """

    dlt: tuple[float, ...]
    response: tuple[float, ...]
    exposure: tuple[float, ...]
    cv: float
    exposure_law: Literal["lognormal", "normal"] = "lognormal"
    by_exposure: float = 0.0

    def patient_exposure(self, level: int, u: float) -> float:
        """The exposure of a patient of this `level`, from the uniform number `u`."""
        mean = self.exposure[level - 1]
        if self.exposure_law == "normal":
            below_zero = float(ndtr(-1 / self.cv))
            return mean * (1 + self.cv * float(ndtri(below_zero + u * (1 - below_zero))))
        log_sd = sqrt(log1p(self.cv**2))
        return mean * exp(log_sd * float(ndtri(u)) - log_sd**2 / 2)

    def patient_chances(self, level: int, exposure: float) -> tuple[float, float]:
        """P(DLT) and P(response) of a patient of this `level` with this `exposure`."""
        mean = self.exposure[level - 1]
        factor = 1 + self.by_exposure * (exposure - mean) / mean
        dlt = self.dlt[level - 1] * factor
        response = self.response[level - 1] * factor
        return min(max(dlt, 0.0), 1.0), min(max(response, 0.0), 1.0)

    def check(self, rule: Boin12 | PkBoin12 | TitePkBoin12) -> None:
        """InputError with every value that cannot be true of the levels of this rule."""
        check_truth(rule, self.dlt, 0.0)
        problems = []
        by_level = {"response probabilities": self.response, "mean exposures": self.exposure}
        for name, values in by_level.items():
            if len(values) != rule.levels:
                what = f"{len(values)} true {name} for {rule.levels} levels"
                problems.append(Problem(what, "give one per level, the lowest first"))
        if wrong := [p for p in self.response if not 0 <= p <= 1]:
            problems.append(Problem(f"a true response probability of {wrong[0]:g}", "write 0 to 1"))
        if wrong := [x for x in self.exposure if not x > 0]:
            problems.append(Problem(f"a true mean exposure of {wrong[0]:g}", "write numbers above 0"))
        if not self.cv > 0:
            problems.append(Problem(f"a CV of {self.cv:g} between patients", "give one above 0"))
        if self.exposure_law not in ("lognormal", "normal"):
            problems.append(Problem(f"exposure law {self.exposure_law!r}", "write lognormal or normal"))
        if not isfinite(self.by_exposure):
            problems.append(Problem(f"by_exposure {self.by_exposure:g}", "give a number, 0 for no effect"))
        if problems:
            raise InputError(problems)


@dataclass(frozen=True)
class ExposureTrial:
    """How one trial went: the OBD (0: none), and patients, DLTs and responses by level.

    `days` is the day on which it ended; None without a calendar.

    >>> from kinetics.escalation import ExposureTrial
    >>> trial = ExposureTrial(obd=2, patients=(3, 9), dlts=(0, 1), responses=(0, 4))
    >>> sum(trial.patients)
    12
    """

    obd: int
    patients: tuple[int, ...]
    dlts: tuple[int, ...]
    responses: tuple[int, ...]
    days: float | None = None


ExposureRule = Boin12 | PkBoin12 | TitePkBoin12


def exposure_trials(
    rule: ExposureRule,
    truth: ExposureTruth,
    trials: Iterable[int],
    *,
    calendar: Calendar | None = None,
    seed: int = 0,
) -> list[ExposureTrial]:
    """Simulate the numbered trials with exposures. A number and a seed always give the same trial.

    PKBOIN-12 decides with the exposures measured so far. A `calendar` needs a response window.

    InputError where the truth cannot be one of this rule's levels, the calendar has no response window, or
    the rule neither treats nor stops.

    >>> from kinetics.escalation import Boin12, ExposureTruth, exposure_trials
    >>> truth = ExposureTruth(dlt=(0.1, 0.3), response=(0.2, 0.4), exposure=(5e3, 2e4), cv=0.5)
    >>> trials = exposure_trials(Boin12(levels=2, most=12), truth, range(5), seed=1)
    >>> [sum(trial.patients) <= 12 for trial in trials]
    [True, True, True, True, True]
    """
    truth.check(rule)
    if calendar is None:
        return [_trial(rule, truth, np.random.default_rng([seed, trial])) for trial in trials]
    if calendar.response_window is None:
        raise InputError(Problem("a calendar without a response window", "give it response_window [day]"))
    return [
        _calendar_trial(
            rule,
            truth,
            calendar,
            np.random.default_rng([seed, trial]),
            np.random.default_rng([seed, trial, 1]),
        )
        for trial in trials
    ]


def _trial(rule: ExposureRule, truth: ExposureTruth, rng: np.random.Generator) -> ExposureTrial:
    """One trial, until the rule stops."""
    history: list[Cohort] = []
    measured: list[list[float]] = [[] for _ in range(rule.levels)]
    while True:
        decision = _asked(rule, measured).decide(history)
        if decision.mtd is not None:
            return _trial_of(rule.levels, history, decision.mtd)
        if decision.level is None or not decision.size:
            what = f"the rule neither treats nor stops: {decision.why}"
            raise InputError(Problem(what, "correct the rule"))
        level = decision.level
        for dlt_number, response_number, exposure_number in rng.random((decision.size, 3)).tolist():
            exposure = truth.patient_exposure(level, exposure_number)
            p_dlt, p_response = truth.patient_chances(level, exposure)
            dlt = int(dlt_number < p_dlt)
            response = int(response_number < p_response)
            history.append(Cohort(level, 1, dlt, responses=response, dlts_with_response=dlt * response))
            measured[level - 1].append(exposure)


def _asked(rule: ExposureRule, measured: Sequence[Sequence[float]]) -> ExposureRule:
    """The rule with the exposures measured so far, by level."""
    exposures = RawExposures(tuple(map(tuple, measured)))
    match rule:
        case PkBoin12():
            return replace(rule, exposures=exposures)
        case TitePkBoin12():
            return replace(rule, pkboin12=replace(rule.pkboin12, exposures=exposures))
        case _:
            return rule


@dataclass(frozen=True)
class _Patient:
    """Days of the trial: infusion, and DLT and response (inf where there is none)."""

    level: int
    infused_on: float
    dlt_on: float
    responds_on: float

    def on(self, day: float, calendar: Calendar) -> Cohort:
        """What is known of the patient on this day."""
        followed = day - self.infused_on
        response_window = calendar.response_window or 0.0
        dlt = int(self.dlt_on <= day)
        pending = int(not dlt and day < self.infused_on + calendar.window)
        response = int(self.responds_on <= day)
        awaited = int(not response and day < self.infused_on + response_window)
        return Cohort(
            self.level,
            1 - pending,
            dlt,
            pending=pending,
            followed=min(followed / calendar.window, 1.0) if pending else 0.0,
            responses=response,
            dlts_with_response=dlt * response,
            response_pending=awaited,
            response_followed=min(followed / response_window, 1.0) if awaited else 0.0,
        )

    @property
    def outcome(self) -> Cohort:
        """DLT and response, whenever they come."""
        dlt = int(self.dlt_on < inf)
        response = int(self.responds_on < inf)
        return Cohort(self.level, 1, dlt, responses=response, dlts_with_response=dlt * response)

    def next_after(self, day: float, calendar: Calendar) -> float:
        """The next day on which more is known; inf where there is none."""
        dlt_known_on = min(self.dlt_on, self.infused_on + calendar.window)
        response_known_on = min(self.responds_on, self.infused_on + (calendar.response_window or 0.0))
        return min((later for later in (dlt_known_on, response_known_on) if later > day), default=inf)


def _calendar_trial(
    rule: ExposureRule,
    truth: ExposureTruth,
    calendar: Calendar,
    rng: np.random.Generator,
    times: np.random.Generator,
) -> ExposureTrial:
    """One trial in calendar time. `rng` gives outcomes and exposures, `times` when they come."""
    patients: list[_Patient] = []
    measured: list[list[float]] = [[] for _ in range(rule.levels)]
    day = 0.0
    while True:
        history = [patient.on(day, calendar) for patient in patients]
        decision = _asked(rule, measured).decide(history)
        if decision.mtd is not None:
            trial = _trial_of(rule.levels, [patient.outcome for patient in patients], decision.mtd)
            return replace(trial, days=day)
        if decision.action == "wait":
            day = min((patient.next_after(day, calendar) for patient in patients), default=inf)
            if isinf(day):
                raise InputError(Problem(f"the rule waits for nothing: {decision.why}", "correct the rule"))
            continue
        level = decision.level
        if level is None or not decision.size:
            raise InputError(
                Problem(f"the rule neither treats nor stops: {decision.why}", "correct the rule")
            )
        numbers = np.column_stack([rng.random((decision.size, 3)), times.random((decision.size, 3))])
        for u_dlt, u_response, u_exposure, u_dlt_day, u_response_day, u_gap in numbers.tolist():
            exposure = truth.patient_exposure(level, u_exposure)
            p_dlt, p_response = truth.patient_chances(level, exposure)
            dlt_on = inf
            if u_dlt < p_dlt:
                dlt_on = day + time_to_dlt(p_dlt, u_dlt_day, calendar)
            responds_on = inf
            if u_response < p_response:
                responds_on = day + u_response_day * (calendar.response_window or 0.0)
            patients.append(_Patient(level, infused_on=day, dlt_on=dlt_on, responds_on=responds_on))
            measured[level - 1].append(exposure)
            day += calendar.until_next(u_gap)


def _trial_of(levels: int, history: Sequence[Cohort], obd: int) -> ExposureTrial:
    """The counts of a history by level, with the OBD found."""
    patients = [0] * levels
    dlts = [0] * levels
    responses = [0] * levels
    for c in history:
        patients[c.level - 1] += c.evaluable
        dlts[c.level - 1] += c.dlts
        responses[c.level - 1] += c.responses
    return ExposureTrial(obd, tuple(patients), tuple(dlts), tuple(responses))
