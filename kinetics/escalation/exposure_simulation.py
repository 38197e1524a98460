"""Simulated trials of BOIN12 and PKBOIN-12 with exposures, lognormal about each level's true mean.

Exposure, DLT and response of a patient are independent given the level. Every patient is evaluable for all
three before the next decision. Common random numbers: patient i of trial t has the same three uniform numbers
whatever the rule and the truth, so PKBOIN-12 differs from BOIN12 by looking at exposures and not by luck.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, log1p, sqrt

import numpy as np
from scipy.special import ndtri

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.enumeration import check_truth
from kinetics.escalation.history import Cohort
from kinetics.escalation.pkboin12 import PkBoin12, RawExposures

__all__ = ["ExposureTrial", "ExposureTruth", "exposure_trials"]


@dataclass(frozen=True)
class ExposureTruth:
    """True probabilities and mean exposures, one per level.

    `dlt` and `response` are probabilities, `exposure` is in any unit. `cv` is the coefficient of variation
    between the patients of a level, as a share.

    >>> from kinetics.escalation import Boin12, ExposureTruth
    >>> truth = ExposureTruth(dlt=(0.1, 0.3), response=(0.2, 0.4), exposure=(5e3, 2e4), cv=0.5)
    >>> truth.check(Boin12(levels=2))
    """

    dlt: tuple[float, ...]
    response: tuple[float, ...]
    exposure: tuple[float, ...]
    cv: float

    def check(self, rule: Boin12 | PkBoin12) -> None:
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
        if problems:
            raise InputError(problems)


@dataclass(frozen=True)
class ExposureTrial:
    """How one trial went: the OBD (0: none), and patients, DLTs and responses by level.

    >>> from kinetics.escalation import ExposureTrial
    >>> trial = ExposureTrial(obd=2, patients=(3, 9), dlts=(0, 1), responses=(0, 4))
    >>> sum(trial.patients)
    12
    """

    obd: int
    patients: tuple[int, ...]
    dlts: tuple[int, ...]
    responses: tuple[int, ...]


def exposure_trials(
    rule: Boin12 | PkBoin12, truth: ExposureTruth, trials: Iterable[int], *, seed: int = 0
) -> list[ExposureTrial]:
    """Simulate the numbered trials with exposures. A number and a seed always give the same trial.

    PKBOIN-12 decides with the exposures measured so far.

    InputError where the truth cannot be one of this rule's levels, or the rule neither treats nor stops.

    >>> from kinetics.escalation import Boin12, ExposureTruth, exposure_trials
    >>> truth = ExposureTruth(dlt=(0.1, 0.3), response=(0.2, 0.4), exposure=(5e3, 2e4), cv=0.5)
    >>> trials = exposure_trials(Boin12(levels=2, most=12), truth, range(5), seed=1)
    >>> [sum(trial.patients) <= 12 for trial in trials]
    [True, True, True, True, True]
    """
    truth.check(rule)
    return [_trial(rule, truth, np.random.default_rng([seed, trial])) for trial in trials]


def _trial(rule: Boin12 | PkBoin12, truth: ExposureTruth, rng: np.random.Generator) -> ExposureTrial:
    """One trial, until the rule stops."""
    log_sd = sqrt(log1p(truth.cv**2))
    history: list[Cohort] = []
    measured: list[list[float]] = [[] for _ in range(rule.levels)]
    while True:
        if isinstance(rule, PkBoin12):
            rule = replace(rule, exposures=RawExposures(tuple(map(tuple, measured))))
        decision = rule.decide(history)
        if decision.mtd is not None:
            return _trial_of(rule.levels, history, decision.mtd)
        if decision.level is None or not decision.size:
            what = f"the rule neither treats nor stops: {decision.why}"
            raise InputError(Problem(what, "correct the rule"))
        level = decision.level
        p_dlt = truth.dlt[level - 1]
        p_response = truth.response[level - 1]
        mean_exposure = truth.exposure[level - 1]
        for dlt_number, response_number, exposure_number in rng.random((decision.size, 3)).tolist():
            dlt = int(dlt_number < p_dlt)
            response = int(response_number < p_response)
            history.append(Cohort(level, 1, dlt, responses=response, dlts_with_response=dlt * response))
            z = float(ndtri(exposure_number))
            measured[level - 1].append(mean_exposure * exp(log_sd * z - log_sd**2 / 2))


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
