"""The recommended dose, with its reasons: the protocol's rule beside the models, and whether they agree.

The protocol's rule decides the MTD. Beside it a BLRM of the same DLTs says how likely each level is an
overdose, and, with a fit, exposures of new patients at every level with exposure-response say how likely DLT,
CRS and response are. The recommendation is the level of highest expected utility among those not above the
MTD where a whole cohort is evaluable and the probability of overdose is at most `FEASIBLE`; where it is not
the MTD, that is said and explained. Nothing is recommended while the rule has not ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pandas import DataFrame

from kinetics.decision.level_exposures import Exposures
from kinetics.decision.regression import ExposureResponse
from kinetics.decision.weighing import (
    FEASIBLE,
    Chances,
    Target,
    blrm_of,
    chances_of,
    regressions,
    rule_table,
    sensitivity_of,
    with_models,
    with_utility,
)
from kinetics.decision.wording import State, sentences
from kinetics.errors import InputError, Problem
from kinetics.escalation import Blrm, Cohort, Decision, asked_patient_by_patient
from kinetics.outcomes import history_of, patients_of, strata_table, subject_outcomes
from kinetics.protocol import Protocol, assumed, rule_of, settled
from kinetics.study import Study

__all__ = ["Recommendation", "Target", "recommend"]

NEXT = 3  # patients of the cohort whose outcome is imagined


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What is recommended and why; every table has one row a level unless it says otherwise.

    `state`: "agreement", "conflict" (the recommended level is not the MTD), "rule only" (nothing but the rule
    could be computed), "open" (the rule has not ended), "none" (no level is tolerable). `sentences` say it in
    words. `levels` has a row a level; `sensitivity` one a set of weights, `slopes` an outcome and exposure,
    `next_patients` a number of DLTs among three more, `strata` a stratum and rate, `outcomes` a subject,
    `proportionality` an exposure.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> found = kn.recommend(study, protocol)
    >>> list(found.levels)[:6]
    ['level', 'dose', 'subjects', 'evaluable', 'dlts', 'blrm_mean']
    >>> found.as_dict()["state"]
    'rule only'
    """

    study: str
    synthetic: bool
    protocol: str
    decision: Decision
    mtd: int | None
    rp2d: int | None
    state: State
    sentences: list[str]
    levels: DataFrame
    sensitivity: DataFrame  # one row a set of weights
    slopes: DataFrame  # one row an outcome and exposure
    next_patients: DataFrame  # one row a number of DLTs among three more
    strata: DataFrame  # one row a stratum and rate
    audit: Mapping[str, Any]
    regressions: Mapping[str, ExposureResponse]
    as_dosed: Exposures | None
    outcomes: DataFrame  # one row a subject
    proportionality: DataFrame  # one row an exposure: the power model of dose, for exposures of samples

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        tables = {
            k: getattr(self, k).to_dict("records")
            for k in (
                "levels",
                "sensitivity",
                "slopes",
                "next_patients",
                "strata",
                "outcomes",
                "proportionality",
            )
        }
        head = {
            "study": self.study,
            "synthetic": self.synthetic,
            "protocol": self.protocol,
            "decision": asdict(self.decision),
            "mtd": self.mtd,
            "rp2d": self.rp2d,
            "state": self.state,
            "sentences": self.sentences,
        }
        return head | tables | {"audit": dict(self.audit)}


def recommend(
    study: Study,
    protocol: Protocol,
    *,
    as_dosed: Exposures | None = None,
    at_levels: Sequence[Exposures] = (),
    targets: Sequence[Target] = (),
    strata: Sequence[str] = (),
    proportionality: DataFrame | None = None,
    level_column: str = "dose_level",
    audit: Mapping[str, Any] | None = None,
    seed: int = 1,
) -> Recommendation:
    """Decide by the protocol, weigh by the models.

    Exposures come from a fit (`exposures_as_dosed`, `exposures_at_levels`) or from the samples
    (`exposures_from_samples`, `exposures_by_power_model`, `proportionality_table`); without them only DLTs
    are weighed. InputError where `at_levels` is not one for each level, PlanError where a point of the
    protocol is open, StudyError where the study cannot be read by it. `targets` are exposures wanted,
    `strata` covariates to split the rates by, `proportionality` the table of that name, `audit` what is to be
    kept beside the answer.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.recommend(study, protocol).state  # no exposures: DLTs alone
    'rule only'
    """
    protocol = settled(protocol)
    _check_levels(protocol, at_levels)
    history = history_of(patients_of(study, protocol, level_column=level_column))
    decision = asked_patient_by_patient(rule_of(protocol)).decide(history)
    blrm = blrm_of(protocol)
    table = rule_table(study, protocol, blrm, history, level_column)
    outcomes = subject_outcomes(study, protocol, level_column=level_column)
    as_dosed, fits = _regressed(outcomes, as_dosed, at_levels, seed)
    chances = chances_of(protocol, fits, at_levels)
    table = with_models(table, chances, at_levels, targets)
    allowed = _allowed(protocol, decision, table)
    table, sensitivity = _with_utility(table, protocol, chances, allowed)
    rp2d, state = _chosen(decision, table, allowed)
    words = sentences(
        protocol, decision, state, rp2d, table.to_dict("records"), sensitivity.to_dict("records"), fits
    )
    return Recommendation(
        study.name,
        study.synthetic or protocol.synthetic,
        protocol.title,
        decision,
        decision.mtd if decision.action == "stop" else None,
        rp2d,
        state,
        words,
        table,
        sensitivity,
        pd.concat([f.table() for f in fits.values()], ignore_index=True) if fits else DataFrame(),
        _next_patients(blrm, history, rp2d or decision.level),
        strata_table(study, strata, protocol, level_column=level_column),
        {"rule": protocol.escalation.variant, "clause": decision.why, "blrm": "; ".join(assumed(blrm))}
        | dict(audit or {}),
        fits,
        as_dosed,
        outcomes,
        DataFrame() if proportionality is None else proportionality,
    )


def _check_levels(protocol: Protocol, at_levels: Sequence[Exposures]) -> None:
    if len(at_levels) not in (0, len(protocol.levels)):
        what = f"exposures of {len(at_levels)} levels, the protocol has {len(protocol.levels)}"
        raise InputError(Problem(what, "give new patients' exposures at every level, lowest first"))


def _with_utility(
    table: DataFrame, protocol: Protocol, chances: Chances, allowed: Bool[np.ndarray, " level"]
) -> tuple[DataFrame, DataFrame]:
    """The levels with their utilities, and what other weights would choose; none where an outcome has no
    weight.
    """
    if not protocol.utilities or not {"dlt", "response"} <= set(chances):
        return table, DataFrame()
    sensitivity = sensitivity_of(protocol, chances, allowed)
    return with_utility(table, protocol, chances, allowed), sensitivity


def _regressed(
    outcomes: DataFrame, as_dosed: Exposures | None, at_levels: Sequence[Exposures], seed: int
) -> tuple[Exposures | None, dict]:
    """The regressions, on exposures that are known of new patients too: one that too few have is left out."""
    if as_dosed is not None and at_levels:
        as_dosed = as_dosed.only(at_levels[0].values)
    return as_dosed, {} if as_dosed is None or not as_dosed.values else regressions(outcomes, as_dosed, seed)


def _allowed(protocol: Protocol, decision: Decision, table: DataFrame) -> Bool[np.ndarray, " level"]:
    """Which levels may be recommended: a whole cohort is evaluable, not above the MTD, overdose not too
    likely.
    """
    ceiling = decision.mtd if decision.action == "stop" and decision.mtd is not None else len(protocol.levels)
    tried = table["evaluable"].to_numpy() >= protocol.escalation.cohort
    safe = table["p_over"].to_numpy() <= FEASIBLE
    return tried & safe & (table["level"].to_numpy() <= ceiling)


def _chosen(decision: Decision, table: DataFrame, allowed: np.ndarray) -> tuple[int | None, State]:
    if decision.action != "stop":
        return None, "open"
    if not decision.mtd or not allowed.any():
        return None, "none"
    if "utility" not in table:
        return int(table["level"][allowed].max()), "rule only"
    best = int(table["level"].iloc[int(np.argmax(np.where(allowed, table["utility"], -np.inf)))])
    return best, "agreement" if best == decision.mtd else "conflict"


def _next_patients(blrm: Blrm, history: Sequence[Cohort], level: int | None) -> DataFrame:
    """What three more evaluable patients at `level` would make of it: dlts, p_target, p_over,
    still_allowed.
    """
    rows = []
    if level is None:
        return DataFrame()
    for dlts in range(NEXT + 1):
        p = blrm.posterior([*history, Cohort(level, NEXT, dlts)])[level - 1]
        rows.append(
            {
                "level": level,
                "dlts": dlts,
                "of": NEXT,
                "p_target": p.target,
                "p_over": p.over,
                "still_allowed": p.over <= FEASIBLE,
            }
        )
    return DataFrame(rows)
