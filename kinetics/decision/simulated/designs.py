"""Designs, each a function that runs one simulated trial and says what it did and what it recommends.

`protocol` is the protocol's own rule and its MTD, `recommend` what `kinetics recommend` says after such a
trial. `joint`, `boin12` and `pkboin12` choose every cohort themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from kinetics.decision.simulated.patients import Patients
from kinetics.decision.simulated.truths import MEDIAN_EXPOSURE, SD_LOG_EXPOSURE
from kinetics.errors import InputError, PlanError, Problem
from kinetics.escalation import (
    Boin12,
    Cohort,
    Decision,
    Exposure,
    Joint,
    JointDecision,
    PkBoin12,
    RawExposures,
    Rule,
    Seen,
    asked_patient_by_patient,
)
from kinetics.protocol import Protocol, rule_name, rule_of

__all__ = [
    "DESIGNS",
    "Design",
    "Outcome",
    "Setting",
    "boin12",
    "joint",
    "joint_of_counts",
    "pkboin12",
    "protocol_mtd",
    "recommend",
    "setting_of",
]

WANTED = float(MEDIAN_EXPOSURE * np.exp(SD_LOG_EXPOSURE**2 / 2))  # the mean exposure at the ladder's middle
Place = tuple[int, int]  # a patient's number, from 0, and its level, from 1


@dataclass(frozen=True)
class Setting:
    """The rules of the designs: the protocol's, the joint rule and BOIN12, all with one limit and one size.

    `wanted` is the mean exposure that PKBOIN-12 wants, in the unit of the patients' Cmax.
    """

    protocol: Rule
    joint: Joint
    boin12: Boin12
    wanted: float = WANTED


@dataclass(frozen=True)
class Outcome:
    """How one trial went: the level recommended (0: none), and the patients and DLTs of each level.

    `p_best` and `p_over` are the probabilities that the design gives each level of being the best and of
    being above the limit; empty where it gives none.
    """

    level: int
    patients: tuple[int, ...]
    dlts: tuple[int, ...]
    p_best: tuple[float, ...] = ()
    p_over: tuple[float, ...] = ()


Design = Callable[[Patients, Setting], Outcome]


def setting_of(protocol: Protocol, limit: float | None = None, wanted: float = WANTED) -> Setting:
    """The rules on a protocol's levels. `limit`: the highest acceptable P(DLT), by default the protocol's.

    PlanError where the protocol's own rule looks at exposures, which it would have to ask for.
    """
    joint = rule_of(protocol, "joint", target=limit)
    assert isinstance(joint, Joint)
    boin12 = rule_of(protocol, "boin12", target=joint.limit)
    assert isinstance(boin12, Boin12)
    if (own := rule_name(protocol)) in ("pkboin12", "tite_pkboin12"):
        what = f"the protocol's rule, {own}, looks at exposures and is not among the designs compared"
        raise PlanError(Problem(what, "take kinetics design trials --rule pkboin12"))
    return Setting(asked_patient_by_patient(rule_of(protocol)), joint, boin12, wanted)


# --------------------------------------------------------------------------------------- the designs


def protocol_mtd(patients: Patients, setting: Setting) -> Outcome:
    """The protocol's rule, up to the patients planned; it recommends the MTD."""
    trial = _by_rule(patients, setting, lambda treated: setting.protocol)
    return _outcome(patients, trial.treated, setting.joint.levels, _mtd(patients, setting, trial))


def boin12(patients: Patients, setting: Setting) -> Outcome:
    """BOIN12."""
    trial = _by_rule(patients, setting, lambda treated: setting.boin12)
    return _outcome(patients, trial.treated, setting.joint.levels, trial.decision.mtd or 0)


def pkboin12(patients: Patients, setting: Setting) -> Outcome:
    """PKBOIN-12, which looks at the exposures of the patients so far."""
    rule = PkBoin12(setting.boin12, RawExposures(((),) * setting.joint.levels), setting.wanted)

    def rule_at(treated: Sequence[Place]) -> PkBoin12:
        measured: list[list[float]] = [[] for _ in range(setting.joint.levels)]
        for number, level in treated:
            measured[level - 1].append(float(patients.cmax[number, level - 1]))
        return replace(rule, exposures=RawExposures(tuple(map(tuple, measured))))

    trial = _by_rule(patients, setting, rule_at)
    return _outcome(patients, trial.treated, setting.joint.levels, trial.decision.mtd or 0)


def joint(patients: Patients, setting: Setting) -> Outcome:
    """The joint rule, with CRS grades, depth of response and exposures."""
    return _by_joint_rule(patients, setting)


def joint_of_counts(patients: Patients, setting: Setting) -> Outcome:
    """The joint rule knowing of each patient only whether it had a DLT and responded."""
    return _by_joint_rule(patients, setting, graded=False)


def recommend(patients: Patients, setting: Setting) -> Outcome:
    """What `kinetics recommend` says after a trial of the protocol's rule: no level above the MTD."""
    trial = _by_rule(patients, setting, lambda treated: setting.protocol)
    seen = _all_seen(patients, trial.treated, trial.last)
    rule = replace(setting.joint, shut=True)
    found = rule.decide_on(seen)
    levels = np.arange(1, rule.levels + 1)
    eligible = found.eligible & (levels <= _mtd(patients, setting, trial))
    level = rule.best(found.posterior, eligible, known=sum(p.response is not None for p in seen))
    return replace(_joint_outcome(patients, trial.treated, found), level=level)


DESIGNS: dict[str, Design] = {
    "protocol": protocol_mtd,
    "recommend": recommend,
    "joint": joint,
    "boin12": boin12,
    "pkboin12": pkboin12,
}


# ---------------------------------------------------------------------------------- trials by a rule


@dataclass(frozen=True)
class _Trial:
    """Who was treated where, the place of the first of the last cohort, and the decision that ended it."""

    treated: list[Place]
    last: int
    decision: Decision


def _by_rule(patients: Patients, setting: Setting, rule_at: Callable[[Sequence[Place]], Rule]) -> _Trial:
    """A trial by a rule of counts that may depend on the patients so far."""

    def decide(treated: Sequence[Place], last: int) -> Decision:
        return rule_at(treated).decide(_history(patients, treated, last))

    return _trial(patients, setting, decide)


def _by_joint_rule(patients: Patients, setting: Setting, *, graded: bool = True) -> Outcome:
    """A trial by the joint rule. Patients who are not evaluable are replaced."""

    @lru_cache(maxsize=1)  # the decision that ends the trial is its outcome
    def found(places: tuple[Place, ...], last: int) -> JointDecision:
        seen = _all_seen(patients, places, last, graded=graded)
        replaced = sum(p.dlt is None for p in seen)
        return replace(setting.joint, most=setting.joint.most + replaced).decide_on(seen)

    trial = _trial(patients, setting, lambda treated, last: found(tuple(treated), last).decision)
    return _joint_outcome(patients, trial.treated, found(tuple(trial.treated), trial.last))


def _trial(
    patients: Patients, setting: Setting, decide: Callable[[Sequence[Place], int], Decision]
) -> _Trial:
    """A trial until it stops, or the next cohort would exceed the patients planned, or those drawn.

    `decide` is asked with the patients so far and the place of the first of the last cohort. Patients who are
    not evaluable do not count.
    """
    treated: list[Place] = []
    last = 0
    while True:
        decision = decide(treated, last)
        if decision.action != "treat" or decision.level is None:
            return _Trial(treated, last, decision)
        counted = sum(bool(patients.evaluable[number, level - 1]) for number, level in treated)
        drawn = len(patients.dlt)
        if counted + decision.size > setting.joint.most or len(treated) + decision.size > drawn:
            return _Trial(treated, last, decision)
        if decision.size < 1:
            raise InputError(Problem(f"the rule treats nobody: {decision.why}", "correct the rule"))
        last = len(treated)
        treated = treated + [(last + i, decision.level) for i in range(decision.size)]


def _history(patients: Patients, treated: Sequence[Place], last: int) -> list[Cohort]:
    """The evaluable patients as cohorts of one. Where responses are late, those of the last cohort count as
    none.
    """
    history = []
    for place, (number, level) in enumerate(treated):
        at = (number, level - 1)
        if not patients.evaluable[at]:
            continue
        dlt = int(patients.dlt[at])
        response = int(patients.response[at] and not (patients.late and place >= last))
        trigger = int(patients.trigger[at])
        history.append(Cohort(level, 1, dlt, trigger, responses=response, dlts_with_response=dlt * response))
    return history


def _mtd(patients: Patients, setting: Setting, trial: _Trial) -> int:
    """The MTD of the protocol's rule.

    Of a trial out of patients, the highest level with as many evaluable patients as an MTD needs and no more
    DLTs than it allows.
    """
    if trial.decision.mtd is not None:
        return trial.decision.mtd
    rule = setting.joint
    history = _history(patients, trial.treated, trial.last)
    mtd = 0
    for level in range(1, rule.levels + 1):
        dlts = [cohort.dlts for cohort in history if cohort.level == level]
        if len(dlts) >= rule.needed and sum(dlts) <= rule.allowed:
            mtd = level
    return mtd


# ----------------------------------------------------------------------------------- what is known


def _all_seen(patients: Patients, treated: Sequence[Place], last: int, *, graded: bool = True) -> list[Seen]:
    """What is known of every patient, where the last cohort begins at the place `last`."""
    return [
        _seen(patients, place, graded=graded, late=patients.late and i >= last)
        for i, place in enumerate(treated)
    ]


def _seen(patients: Patients, place: Place, *, graded: bool = True, late: bool = False) -> Seen:
    """What is known of a patient; without `graded` only the DLT and the response; `late`: no response yet."""
    number, level = place
    at = (number, level - 1)
    details: dict[str, Any] = {}
    if graded:
        details = {
            "dlt_exposure": _interval(patients.dlt_exposure[at]),
            "response_exposure": _interval(patients.response_exposure[at]),
        }
    if not patients.evaluable[at]:
        return Seen(level, **details)
    if graded:
        details["crs"] = int(patients.grade[at])
    if not late:
        details["response"] = bool(patients.response[at])
        details["change"] = float(patients.change[at]) if graded else None
    return Seen(level, dlt=bool(patients.dlt[at]), trigger=bool(patients.trigger[at]), **details)


def _interval(bounds: np.ndarray) -> Exposure | None:
    """The interval of ln exposure, None where nothing is known."""
    low, high = bounds.tolist()
    return None if np.isnan(low) else Exposure(low, high)


def _outcome(patients: Patients, treated: Sequence[Place], levels: int, level: int) -> Outcome:
    """The counts of a trial by level, with the level recommended."""
    n = [0] * levels
    dlts = [0] * levels
    for number, at in treated:
        n[at - 1] += 1
        dlts[at - 1] += int(patients.dlt[number, at - 1] and patients.evaluable[number, at - 1])
    return Outcome(level, tuple(n), tuple(dlts))


def _joint_outcome(patients: Patients, treated: Sequence[Place], found: JointDecision) -> Outcome:
    posterior = found.posterior
    return replace(
        _outcome(patients, treated, len(posterior.p_over), found.recommended),
        p_best=tuple(posterior.p_best().tolist()),
        p_over=tuple(posterior.p_over.tolist()),
    )
