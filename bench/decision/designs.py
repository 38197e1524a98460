"""Designs, each a function that runs one simulated trial and says what it did and what it recommends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from bench.decision.patients import MEDIAN_CMAX, Patients
from bench.decision.truths import LEVELS, LIMIT, SD_LOG_CMAX
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
)
from kinetics.protocol import Protocol, read_protocol, rule_of

__all__ = ["DESIGNS", "PLANNED", "Outcome"]

PLANNED = 18  # patients at most
PROTOCOL = "nkg2d_phase1_synthetic"
RuleAt = Callable[[Sequence[Cohort], Sequence[Sequence[float]]], Rule]


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


@cache
def protocol() -> Protocol:
    """The protocol of the synthetic trial: accelerated titration, then 3+3."""
    return read_protocol(PROTOCOL)


def _cohort(patients: Patients, number: int, level: int) -> Cohort:
    """Patient `number` at a level as a cohort of one, all outcomes known."""
    dlt = int(patients.dlt[number, level - 1])
    response = int(patients.response[number, level - 1])
    return Cohort(
        level,
        evaluable=1,
        dlts=dlt,
        triggers=int(patients.trigger[number, level - 1]),
        responses=response,
        dlts_with_response=dlt * response,
    )


def _history(patients: Patients, rule_at: RuleAt) -> tuple[list[Cohort], Decision]:
    """The patients of a trial, one cohort each, and the decision that ended it.

    `rule_at` gives the rule from the patients and their Cmax by level so far. The trial ends too when the
    next cohort would exceed PLANNED.
    """
    history: list[Cohort] = []
    cmax: list[list[float]] = [[] for _ in LEVELS]
    while True:
        decision = rule_at(history, cmax).decide(history)
        if decision.mtd is not None or decision.level is None:
            return history, decision
        if len(history) + decision.size > PLANNED:
            return history, decision
        for _ in range(decision.size):
            number = len(history)
            cmax[decision.level - 1].append(float(patients.cmax[number, decision.level - 1]))
            history.append(_cohort(patients, number, decision.level))


def _outcome(history: Sequence[Cohort], level: int) -> Outcome:
    patients = [0] * len(LEVELS)
    dlts = [0] * len(LEVELS)
    for cohort in history:
        patients[cohort.level - 1] += cohort.evaluable
        dlts[cohort.level - 1] += cohort.dlts
    return Outcome(level, tuple(patients), tuple(dlts))


def _mtd(history: Sequence[Cohort], decision: Decision) -> int:
    """The MTD of the protocol's rule; of a trial out of patients, the highest level with 6 patients and <=
    1 DLT.
    """
    if decision.mtd is not None:
        return decision.mtd
    trial = _outcome(history, 0)
    counts = zip(trial.patients, trial.dlts, strict=True)
    return max((level for level, (n, dlts) in enumerate(counts, 1) if n >= 6 and dlts <= 1), default=0)


def protocol_mtd(patients: Patients) -> Outcome:
    """The protocol's rule; it recommends the MTD."""
    rule = rule_of(protocol())
    history, decision = _history(patients, lambda history, cmax: rule)
    return _outcome(history, _mtd(history, decision))


def boin12(patients: Patients) -> Outcome:
    """BOIN12 with the limit of the truths."""
    rule = Boin12(levels=len(LEVELS), target=LIMIT, most=PLANNED)
    history, decision = _history(patients, lambda history, cmax: rule)
    return _outcome(history, decision.mtd or 0)


def pkboin12(patients: Patients) -> Outcome:
    """PKBOIN-12; psi0 is the true mean Cmax of level 2."""
    rule = PkBoin12(
        Boin12(levels=len(LEVELS), target=LIMIT, most=PLANNED),
        RawExposures(((),) * len(LEVELS)),
        wanted=MEDIAN_CMAX * float(np.exp(SD_LOG_CMAX**2 / 2)),
    )

    def rule_at(history: Sequence[Cohort], cmax: Sequence[Sequence[float]]) -> PkBoin12:
        return replace(rule, exposures=RawExposures(tuple(map(tuple, cmax))))

    history, decision = _history(patients, rule_at)
    return _outcome(history, decision.mtd or 0)


def _seen(patients: Patients, number: int, level: int, *, graded: bool = True) -> Seen:
    """What is known of patient `number` at a level; without `graded` only the DLT and the response."""
    row = (number, level - 1)
    details: dict[str, Any] = {}
    if graded:
        log_il6 = float(np.log(patients.il6[row]))
        log_auc = float(np.log(patients.auc[row]))
        details = {
            "crs": int(patients.grade[row]),
            "change": float(patients.change[row]),
            "dlt_exposure": Exposure(log_il6, log_il6),
            "response_exposure": Exposure(log_auc, log_auc),
        }
    return Seen(
        level,
        dlt=bool(patients.dlt[row]),
        trigger=bool(patients.trigger[row]),
        response=bool(patients.response[row]),
        **details,
    )


def joint_rule(cohort: int = 3) -> Joint:
    """The joint rule as the protocol has it, with `cohort` patients at a time."""
    rule = rule_of(protocol(), "joint")
    assert isinstance(rule, Joint)
    return replace(rule, limit=LIMIT, most=PLANNED, cohort=cohort)


def _joint_trial(patients: Patients, rule: Joint, *, graded: bool = True) -> Outcome:
    """A trial by the joint rule."""
    seen: list[Seen] = []
    while True:
        found = rule.decide_on(seen)
        decision = found.decision
        if decision.action == "stop" or decision.level is None:
            return _joint_outcome(seen, found)
        for _ in range(decision.size):
            seen.append(_seen(patients, len(seen), decision.level, graded=graded))


def _joint_outcome(seen: Sequence[Seen], found: JointDecision) -> Outcome:
    at = np.array([p.level for p in seen])
    had_dlt = np.array([p.dlt is True for p in seen])
    levels = range(1, len(LEVELS) + 1)
    return Outcome(
        found.recommended,
        tuple(int(np.sum(at == level)) for level in levels),
        tuple(int(np.sum(had_dlt & (at == level))) for level in levels),
        tuple(found.posterior.p_best().tolist()),
        tuple(found.posterior.p_over.tolist()),
    )


def joint(patients: Patients) -> Outcome:
    """The joint rule, with CRS grades, depth of response and exposures."""
    return _joint_trial(patients, joint_rule())


def joint_of_two(patients: Patients) -> Outcome:
    """The same with cohorts of two."""
    return _joint_trial(patients, joint_rule(cohort=2))


def joint_counts(patients: Patients) -> Outcome:
    """The same knowing of each patient only whether it had a DLT and responded."""
    return _joint_trial(patients, joint_rule(), graded=False)


def recommended(patients: Patients) -> Outcome:
    """What `kinetics recommend` says after a trial of the protocol's rule: no level above the MTD."""
    rule = rule_of(protocol())
    history, decision = _history(patients, lambda history, cmax: rule)
    seen = [_seen(patients, number, cohort.level) for number, cohort in enumerate(history)]
    joint = replace(joint_rule(), shut=True)
    found = joint.decide_on(seen)
    eligible = found.eligible & (np.arange(1, len(LEVELS) + 1) <= _mtd(history, decision))
    level = 0
    if eligible.any() and not joint.is_futile(found.posterior, eligible, len(seen)):
        level = int(np.argmax(np.where(eligible, found.posterior.utility, -np.inf))) + 1
    return replace(_joint_outcome(seen, found), level=level)


DESIGNS: dict[str, Callable[[Patients], Outcome]] = {
    "protocol MTD": protocol_mtd,
    "BOIN12": boin12,
    "PKBOIN-12": pkboin12,
    "joint": joint,
    "joint of two": joint_of_two,
    "joint of counts": joint_counts,
    "recommend": recommended,
}
