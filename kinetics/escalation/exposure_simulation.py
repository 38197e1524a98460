"""Trials of BOIN12 and PKBOIN-12 whose patients have exposures: lognormal about each level's true mean.

Exposure, DLT and response of a patient are independent given the level. Every patient is evaluable for all
three before the next decision. Common random numbers: patient i of trial t has the same three uniform numbers
whatever the rule and the truth, so BOIN12 beside PKBOIN-12 differs by looking at exposures and not by luck.
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
from kinetics.escalation.history import Cohort, Decision
from kinetics.escalation.pkboin12 import PkBoin12, RawExposures

__all__ = ["ExposureTrial", "ExposureTruth", "exposure_trials"]


@dataclass(frozen=True)
class ExposureTruth:
    """True probabilities and mean exposures, one a level; `cv`: between patients of a level, as a share.

    `dlt` and `response` are probabilities, `exposure` any positive unit.

    >>> from kinetics.escalation import Boin12, ExposureTruth
    >>> truth = ExposureTruth(dlt=(0.1, 0.3), response=(0.2, 0.4), exposure=(5e3, 2e4), cv=0.5)
    >>> truth.check(Boin12(levels=2))
    """

    dlt: tuple[float, ...]
    response: tuple[float, ...]
    exposure: tuple[float, ...]
    cv: float

    def check(self, rule: Boin12 | PkBoin12) -> None:
        """InputError with everything that is no truth of this rule's levels."""
        check_truth(rule, self.dlt, 0.0)
        problems = []
        for name, given in (("response probabilities", self.response), ("mean exposures", self.exposure)):
            if len(given) != rule.levels:
                what = f"{len(given)} true {name} for {rule.levels} levels"
                problems.append(Problem(what, "give one a level, the lowest first"))
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
    """These trials of this seed, each by its number. PKBOIN-12 is asked with the exposures measured so far.

    InputError where the truth is none of this rule's levels, or the rule never ends.

    >>> from kinetics.escalation import Boin12, ExposureTruth, exposure_trials
    >>> truth = ExposureTruth(dlt=(0.1, 0.3), response=(0.2, 0.4), exposure=(5e3, 2e4), cv=0.5)
    >>> trials = exposure_trials(Boin12(levels=2, most=12), truth, range(5), seed=1)
    >>> [sum(trial.patients) <= 12 for trial in trials]
    [True, True, True, True, True]
    """
    truth.check(rule)
    return [_trial(rule, truth, np.random.default_rng([seed, trial])) for trial in trials]


def _trial(rule: Boin12 | PkBoin12, truth: ExposureTruth, rng: np.random.Generator) -> ExposureTrial:
    spread = sqrt(log1p(truth.cv**2))
    history: list[Cohort] = []
    measured: list[list[float]] = [[] for _ in range(rule.levels)]
    while True:
        said = _asked(rule, history, measured)
        if said.mtd is not None:
            return _counted(rule.levels, history, said.mtd)
        if said.level is None or not said.size:
            raise InputError(Problem(f"the rule neither treats nor stops: {said.why}", "correct the rule"))
        at = said.level - 1
        for dlt_number, response_number, exposure_number in rng.random((said.size, 3)).tolist():
            dlt = int(dlt_number < truth.dlt[at])
            responds = int(response_number < truth.response[at])
            history.append(Cohort(said.level, 1, dlt, responses=responds, dlts_with_response=dlt * responds))
            z = float(ndtri(exposure_number))
            measured[at].append(truth.exposure[at] * exp(spread * z - spread**2 / 2))


def _asked(rule: Boin12 | PkBoin12, history: Sequence[Cohort], measured: Sequence[list[float]]) -> Decision:
    if isinstance(rule, PkBoin12):
        rule = replace(rule, exposures=RawExposures(tuple(map(tuple, measured))))
    return rule.decide(history)


def _counted(levels: int, history: Sequence[Cohort], obd: int) -> ExposureTrial:
    counts = [[0] * levels for _ in range(3)]
    for c in history:
        for each, n in zip(counts, (c.evaluable, c.dlts, c.responses), strict=True):
            each[c.level - 1] += n
    patients, dlts, responses = map(tuple, counts)
    return ExposureTrial(obd, patients, dlts, responses)
