"""The recommended dose and its reasons: the protocol's rule beside the models, and whether they agree.

The protocol's rule decides the MTD. Beside it a BLRM of the same DLTs gives the probability that each level
is an overdose. With exposures, those of new patients at every level and exposure-response give the
probabilities of DLT, CRS and response.

The recommendation is the level of highest expected utility among those that are not above the MTD, where a
whole cohort is evaluable and the probability of overdose is at most `FEASIBLE`. Where it is not the MTD, the
sentences say so and explain it. Nothing is recommended while the rule has not ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pandas import DataFrame

from kinetics.arguments import require
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

NEXT = 3  # patients of the imagined next cohort


@dataclass(frozen=True, eq=False)
class Recommendation:
    """The recommended dose, the reasons for it, and the tables that it rests on.

    `state`: "agreement", "conflict" (the recommended level is not the MTD), "rule only" (nothing but the rule
    could be computed), "open" (the rule has not ended), "none" (no level is tolerable). `sentences` give the
    answer in words. One row of `levels` is a level, of `sensitivity` a set of weights, of `slopes` an outcome
    and exposure, of `next_patients` a number of DLTs among three more, of `strata` a stratum and rate, of
    `outcomes` a subject, of `proportionality` an exposure.

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
        """The answer as plain values, for `--json`; tables as lists of rows."""
        return {
            "study": self.study,
            "synthetic": self.synthetic,
            "protocol": self.protocol,
            "decision": asdict(self.decision),
            "mtd": self.mtd,
            "rp2d": self.rp2d,
            "state": self.state,
            "sentences": self.sentences,
            "levels": self.levels.to_dict("records"),
            "sensitivity": self.sensitivity.to_dict("records"),
            "slopes": self.slopes.to_dict("records"),
            "next_patients": self.next_patients.to_dict("records"),
            "strata": self.strata.to_dict("records"),
            "outcomes": self.outcomes.to_dict("records"),
            "proportionality": self.proportionality.to_dict("records"),
            "audit": dict(self.audit),
        }


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
    """Recommend a dose: the protocol decides the MTD, the models weigh the levels.

    Exposures come from a fit (`exposures_as_dosed`, `exposures_at_levels`) or from the samples
    (`exposures_from_samples`, `exposures_by_power_model`, `proportionality_table`); without them only DLTs
    are weighed. `targets` are exposures wanted, `strata` covariates to split the rates by, `proportionality`
    the table of that name, `audit` further entries to keep beside the answer. `level_column` is the column of
    subjects.csv with each subject's level. InputError where `at_levels` has not one entry a level, PlanError
    where a point of the protocol is open, StudyError where the protocol cannot read the study.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> kn.recommend(study, protocol).state  # no exposures: DLTs alone
    'rule only'
    """
    require(study=(study, Study), protocol=(protocol, Protocol))
    protocol = settled(protocol)
    if len(at_levels) not in (0, len(protocol.levels)):
        what = f"exposures of {len(at_levels)} levels, the protocol has {len(protocol.levels)}"
        raise InputError(Problem(what, "give new patients' exposures at every level, lowest first"))

    # the rule, and the BLRM beside it
    history = history_of(patients_of(study, protocol, level_column=level_column))
    decision = asked_patient_by_patient(rule_of(protocol)).decide(history)
    blrm = blrm_of(protocol)
    table = rule_table(study, protocol, blrm, history, level_column)

    # exposure-response, on exposures that new patients have too
    outcomes = subject_outcomes(study, protocol, level_column=level_column)
    if as_dosed is not None and at_levels:
        as_dosed = as_dosed.only(at_levels[0].values)
    fits: dict[str, ExposureResponse] = {}
    if as_dosed is not None and as_dosed.values:
        fits = regressions(outcomes, as_dosed, seed)
    slopes = pd.concat([f.table() for f in fits.values()], ignore_index=True) if fits else DataFrame()

    # the probabilities of every level, their utilities, and the choice
    chances = chances_of(protocol, fits, at_levels)
    table = with_models(table, chances, at_levels, targets)
    allowed = _allowed(protocol, decision, table)
    table, sensitivity = _with_utility(table, protocol, chances, allowed)
    rp2d, state = _chosen(decision, table, allowed)
    text = sentences(
        protocol,
        decision,
        state,
        rp2d,
        levels=table.to_dict("records"),
        sensitivity=sensitivity.to_dict("records"),
        fits=fits,
    )
    clauses = {
        "rule": protocol.escalation.variant,
        "clause": decision.why,
        "blrm": "; ".join(assumed(blrm)),
    }
    return Recommendation(
        study=study.name,
        synthetic=study.synthetic or protocol.synthetic,
        protocol=protocol.title,
        decision=decision,
        mtd=decision.mtd if decision.action == "stop" else None,
        rp2d=rp2d,
        state=state,
        sentences=text,
        levels=table,
        sensitivity=sensitivity,
        slopes=slopes,
        next_patients=_next_patients(blrm, history, rp2d or decision.level),
        strata=strata_table(study, strata, protocol, level_column=level_column),
        audit=clauses | dict(audit or {}),
        regressions=fits,
        as_dosed=as_dosed,
        outcomes=outcomes,
        proportionality=DataFrame() if proportionality is None else proportionality,
    )


def _with_utility(
    table: DataFrame, protocol: Protocol, chances: Chances, allowed: Bool[np.ndarray, " level"]
) -> tuple[DataFrame, DataFrame]:
    """The levels with their utilities, and the level that other weights would choose.

    Without weights, or without a probability of DLT or response, the levels are as they were and the second
    table is empty.
    """
    if not protocol.utilities or not {"dlt", "response"} <= set(chances):
        return table, DataFrame()
    sensitivity = sensitivity_of(protocol, chances, allowed)
    return with_utility(table, protocol, chances, allowed), sensitivity


def _allowed(protocol: Protocol, decision: Decision, table: DataFrame) -> Bool[np.ndarray, " level"]:
    """Levels that may be recommended: a whole cohort is evaluable, not above the MTD, P(overdose) small."""
    ceiling = len(protocol.levels)
    if decision.action == "stop" and decision.mtd is not None:
        ceiling = decision.mtd
    tried = table["evaluable"].to_numpy() >= protocol.escalation.cohort
    safe = table["p_over"].to_numpy() <= FEASIBLE
    return tried & safe & (table["level"].to_numpy() <= ceiling)


def _chosen(decision: Decision, table: DataFrame, allowed: np.ndarray) -> tuple[int | None, State]:
    """The recommended level, None where there is none, and how it stands to the MTD."""
    if decision.action != "stop":
        return None, "open"
    if not decision.mtd or not allowed.any():
        return None, "none"
    if "utility" not in table:
        return int(table["level"][allowed].max()), "rule only"
    utility = np.where(allowed, table["utility"], -np.inf)
    best = int(table["level"].iloc[int(np.argmax(utility))])
    return best, "agreement" if best == decision.mtd else "conflict"


def _next_patients(blrm: Blrm, history: Sequence[Cohort], level: int | None) -> DataFrame:
    """The BLRM after three more evaluable patients at `level`: one row a number of DLTs among them.

    Columns: level, dlts, of (patients), p_target, p_over, still_allowed. Empty without a level.
    """
    if level is None:
        return DataFrame()
    rows = []
    for dlts in range(NEXT + 1):
        posterior = blrm.posterior([*history, Cohort(level, NEXT, dlts)])[level - 1]
        rows.append(
            {
                "level": level,
                "dlts": dlts,
                "of": NEXT,
                "p_target": posterior.target,
                "p_over": posterior.over,
                "still_allowed": posterior.over <= FEASIBLE,
            }
        )
    return DataFrame(rows)
