"""The recommended dose and its reasons: the protocol's rule, and the joint model of DLT and response.

The protocol's rule decides the MTD and is the safety envelope: no level above the MTD is recommended. A rule
that looks at responses (BOIN12) has an OBD in the place of the MTD. Of the levels below, those compete that
have an evaluable patient and whose P(DLT rate above the limit) is below the joint rule's bound. The one of
greatest expected utility is recommended, unless no level is likely to have responses. Nothing is recommended
while the rule has not ended.

In a trial that the joint rule has run (`rule="joint"`, or a protocol whose rule it is) that rule says when
the trial ends and which levels are closed; the protocol's rule still stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.decision.next_level import AT_RESPONSES, StudyAtHand, asked_rule
from kinetics.decision.outcome_regressions import Target, regressions
from kinetics.decision.quantities import Exposures
from kinetics.decision.regression import ExposureResponse
from kinetics.decision.seen_patients import patients_seen
from kinetics.decision.treated_so_far import TreatedSoFar, nobody_counts, stopped, treated_so_far
from kinetics.decision.wording import State, percent, sentences
from kinetics.errors import InputError, Problem
from kinetics.escalation import (
    NEAR,
    Cohort,
    Decision,
    Joint,
    JointDecision,
    Rule,
    Seen,
    Utilities,
)
from kinetics.outcomes import (
    StoppingState,
    UncountedDlt,
    dlt_table,
    one_arm,
    strata_table,
    subject_outcomes,
)
from kinetics.protocol import Protocol, assumed, rule_name, rule_of, settled, stated
from kinetics.study import Study

__all__ = ["Recommendation", "joint_rule_of", "recommend", "weight_variants"]

NEXT = 3  # patients of the imagined next cohort


@dataclass(frozen=True, eq=False)
class Recommendation:
    """The recommended dose, the reasons for it, and the tables that it rests on.

    `state`: "recommended", "none" (no level can be recommended), "open" (the trial has not ended) or
    "stopped" (a stopping clause of the protocol is met; `stopping` lists them all). `mtd` is that of the
    protocol's rule, whose answer is `decision`; `joint` is the joint rule's answer to the same patients.
    `near_best` are the levels that may be recommended and whose expected utility lies within two points of
    the recommended level's. `sentences` give the answer in words, the action first. One row of `levels` is a
    level, of `sensitivity` a set of weights, of `slopes` an outcome and exposure, of `next_patients` a number
    of DLTs among three more, of `strata` a stratum and rate, of `outcomes` a subject, of `proportionality` an
    exposure. `uncounted` are DLTs that no level counts, `notes` what a reader should know of how the tables
    were read.

    >>> study, protocol = kn.read_study("nkg2d_plateau_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> found = kn.recommend(study, protocol)
    >>> found.state, found.mtd, found.rp2d, found.rp2d in found.near_best
    ('recommended', 4, 3, True)
    >>> list(found.levels)[:7]
    ['level', 'dose', 'subjects', 'evaluable', 'dlts', 'assessed', 'responses']
    >>> found.as_dict()["state"], found.joint.reason
    ('recommended', 'treat')
    >>> names = [protocol.level_name(level) for level in (1, 2, 3, 4)]
    >>> found.levels_in_words(names)["DLT"].tolist(), len(found.next_in_words())
    (['0 of 1', '0 of 3', '0 of 3', '1 of 6'], 4)
    """

    study: str
    synthetic: bool
    protocol: str
    decision: Decision
    joint: JointDecision
    mtd: int | None
    rp2d: int | None
    state: State
    near_best: tuple[int, ...]
    sentences: list[str]
    levels: DataFrame
    sensitivity: DataFrame  # one row per set of weights
    slopes: DataFrame  # one row per outcome and exposure
    next_patients: DataFrame  # one row per number of DLTs among three more
    strata: DataFrame  # one row per stratum and rate
    audit: Mapping[str, Any]
    regressions: Mapping[str, ExposureResponse]
    as_dosed: Exposures | None
    outcomes: DataFrame  # one row per subject
    proportionality: DataFrame  # one row per exposure: the power model of dose, for exposures of samples
    stopping: Sequence[StoppingState] = ()
    uncounted: Sequence[UncountedDlt] = ()
    notes: Sequence[str] = ()

    def levels_in_words(self, names: Sequence[str]) -> DataFrame:
        """The table of levels as a reader wants it: counts as fractions, probabilities in percent.

        One row per level. "too toxic" is the probability that the level's DLT rate is above the limit.
        `names` are the names of the levels, lowest first.
        """
        rows = []
        for name, row in zip(names, self.levels.to_dict("records"), strict=True):
            rows.append(
                {
                    "level": name,
                    "treated": row["subjects"],
                    "DLT": f"{row['dlts']} of {row['evaluable']}",
                    "response": f"{row['responses']} of {row['assessed']}",
                    "P(DLT)": _with_interval(row, "p_dlt"),
                    "P(response)": _with_interval(row, "p_response"),
                    "too toxic": percent(row["p_over"]),
                    "utility": f"{row['utility']:.0f}",
                    "P(best)": percent(row["p_best"]) if row["eligible"] else "",
                    "may be chosen": row["why_not"] or "yes",
                }
            )
        return DataFrame(rows)

    def next_in_words(self) -> DataFrame:
        """What three more patients would make of it, in words: one row per number of DLTs among them.

        Empty without a level.
        """
        if self.next_patients.empty:
            return DataFrame()
        return DataFrame(
            {
                "DLTs of three more": self.next_patients["dlts"],
                "in all": self.next_patients["in_all"],
                "the protocol's rule": self.next_patients["protocol"],
                "too toxic": [percent(p) for p in self.next_patients["p_over"]],
                "the joint rule": self.next_patients["joint"],
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values, for `--json`; tables as lists of rows."""
        return {
            "study": self.study,
            "synthetic": self.synthetic,
            "protocol": self.protocol,
            "decision": asdict(self.decision),
            "joint": {**asdict(self.joint.decision), "reason": self.joint.reason},
            "mtd": self.mtd,
            "rp2d": self.rp2d,
            "state": self.state,
            "near_best": list(self.near_best),
            "sentences": self.sentences,
            "levels": self.levels.to_dict("records"),
            "sensitivity": self.sensitivity.to_dict("records"),
            "slopes": self.slopes.to_dict("records"),
            "next_patients": self.next_patients.to_dict("records"),
            "strata": self.strata.to_dict("records"),
            "outcomes": self.outcomes.to_dict("records"),
            "proportionality": self.proportionality.to_dict("records"),
            "stopping": [state.as_dict() for state in self.stopping],
            "uncounted_dlts": [asdict(dlt) for dlt in self.uncounted],
            "notes": list(self.notes),
            "audit": dict(self.audit),
        }


def recommend(
    study: Study,
    protocol: Protocol,
    *,
    rule: Literal["protocol", "joint"] = "protocol",
    as_dosed: Exposures | None = None,
    at_levels: Sequence[Exposures] = (),
    targets: Sequence[Target] = (),
    strata: Sequence[str] = (),
    proportionality: DataFrame | None = None,
    response_within: float | None = None,
    level_column: str = "dose_level",
    audit: Mapping[str, Any] | None = None,
    seed: int = 1,
    arm: str | None = None,
) -> Recommendation:
    """Recommend a dose: the protocol decides the MTD, the joint model weighs the levels up to it.

    `rule`: which rule runs the trial and says when it ends. The joint model takes exposures of the samples,
    or those of a fit where `as_dosed` has draws (`exposures_as_dosed`). `at_levels` are exposures of new
    patients at every level (`exposures_at_levels`, `exposures_by_power_model`), for `targets`, exposures
    wanted. `strata` are covariates to split the rates by, `proportionality` the table of that name,
    `response_within` the days in which a response may come (default: the protocol's), `audit` further entries
    to keep beside the answer. `level_column` is the column of subjects.csv with each subject's level; `seed`
    that of the regressions on exposure; `arm` one of the protocol's arms. InputError where `at_levels` has
    not one entry per level or another `rule` is named, PlanError where a point of the protocol is open,
    StudyError where the protocol cannot read the study.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> found = kn.recommend(study, protocol)
    >>> found.mtd, found.rp2d, found.sentences[0]
    (2, None, 'No dose is recommended: no response is likely at any level that may be recommended.')
    """
    require(study=(study, Study), protocol=(protocol, Protocol))
    protocol, of_arm = one_arm(settled(protocol), study, arm)
    study = study if of_arm is None else of_arm
    _check(protocol, rule, at_levels)

    # the protocol's rule
    so_far = treated_so_far(protocol, study, level_column=level_column)
    asked = asked_rule(protocol, StudyAtHand(study, so_far, response_within, level_column))
    decision = nobody_counts(asked.rule.decide(asked.history), study, asked.history)
    if asked.kind == "joint":
        rule = "joint"

    # the joint model of the same patients
    joint_rule = replace(joint_rule_of(protocol), shut=rule == "protocol")
    of_a_fit = as_dosed if as_dosed is not None and _has_draws(as_dosed) else None
    seen = patients_seen(
        study,
        protocol,
        as_dosed=of_a_fit,
        response_within=response_within,
        level_column=level_column,
    )
    joint = joint_rule.decide_on(list(seen.values()))

    # the levels that compete, and the choice
    ended = decision if rule == "protocol" else joint.decision
    ceiling = decision.mtd if rule == "protocol" and decision.action == "stop" else None
    why_not = _why_not(protocol, joint, ceiling)
    eligible = np.array([reason == "" for reason in why_not])
    known = sum(p.response is not None for p in seen.values())
    stop = stopped(so_far.stopping)
    rp2d, state = _chosen(ended, joint_rule.best(joint.posterior, eligible, known))
    if stop is not None:
        rp2d = None
        state = "stopped"
    near_best = _near_best(joint, eligible, rp2d)

    # the tables beside it
    levels = _levels(study, protocol, joint, seen.values(), level_column=level_column)
    levels = _compared(levels, joint, eligible, why_not, targets, at_levels=at_levels)
    sensitivity = _sensitivity(joint_rule, joint, eligible, chosen=rp2d is not None)
    next_patients = _next_patients(
        joint_rule, list(seen.values()), asked.rule, asked.history, rp2d or ended.level, protocol=protocol
    )
    outcomes = subject_outcomes(study, protocol, level_column=level_column)
    if as_dosed is not None and at_levels:
        as_dosed = as_dosed.only(at_levels[0].values)
    fits = _explained(outcomes, as_dosed, seed)
    slopes = pd.concat([f.table() for f in fits.values()], ignore_index=True) if fits else DataFrame()
    text = sentences(
        protocol,
        decision,
        joint,
        ended,
        state,
        rp2d=rp2d,
        near_best=near_best,
        bound=joint_rule.bound,
        levels=levels.to_dict("records"),
        sensitivity=sensitivity.to_dict("records"),
        stop=stop,
    )
    return Recommendation(
        study=study.name,
        synthetic=study.synthetic or protocol.synthetic,
        protocol=protocol.title,
        decision=decision,
        joint=joint,
        mtd=decision.mtd if decision.action == "stop" else None,
        rp2d=rp2d,
        state=state,
        near_best=near_best,
        sentences=[*text, *_of_the_tables(so_far)],
        levels=levels,
        sensitivity=sensitivity,
        slopes=slopes,
        next_patients=next_patients,
        strata=strata_table(study, strata, protocol, level_column=level_column),
        audit={
            "rule": asked.kind if rule == "protocol" else "joint",
            "clause": ended.why if stop is None else stop.why,
            **_stands_on("the protocol's rule", stated(protocol), assumed(asked.chosen, protocol)),
            **_stands_on("joint model", stated(protocol, "joint"), assumed(joint_rule, protocol)),
            **(audit or {}),
        },
        regressions=fits,
        as_dosed=as_dosed,
        outcomes=outcomes,
        proportionality=DataFrame() if proportionality is None else proportionality,
        stopping=so_far.stopping,
        uncounted=so_far.uncounted,
        notes=so_far.notes,
    )


def _of_the_tables(so_far: TreatedSoFar) -> list[str]:
    """Sentences on stopping clauses, DLTs at no level, patients outside of the escalation, and the notes."""
    text = [f"Stopping clause: {state}." for state in so_far.stopping]
    text += [f"A DLT at no level: {dlt}." for dlt in so_far.uncounted]
    outside = [p.subject for p in so_far.patients if p.outside]
    if outside:
        text.append(
            f"Not of the escalation: {', '.join(outside)}. The joint model counts them; the protocol's rule "
            "and the counts of DLTs do not."
        )
    return [*text, *(f"Note: {note}." for note in so_far.notes)]


def _check(protocol: Protocol, rule: str, at_levels: Sequence[Exposures]) -> None:
    """Raise InputError for exposures of another number of levels, and for an unknown rule."""
    problems = []
    if len(at_levels) not in (0, len(protocol.levels)):
        what = f"exposures of {len(at_levels)} levels, the protocol has {len(protocol.levels)}"
        problems.append(Problem(what, "give new patients' exposures at every level, lowest first"))
    if rule not in ("protocol", "joint"):
        problems.append(Problem(f"rule {rule!r}", "write 'protocol' or 'joint'"))
    if problems:
        raise InputError(problems)


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    """A probability in percent, with its 90 % interval."""
    return f"{percent(row[name])} ({100 * row[f'{name}_lower']:.0f} to {100 * row[f'{name}_upper']:.0f})"


def _stands_on(key: str, in_protocol: Sequence[str], assumptions: Sequence[str]) -> dict[str, str]:
    """What a rule stands on, the assumptions marked as that; nothing where there is nothing to say."""
    lines = [*in_protocol, *(f"assumed: {line}" for line in assumptions)]
    return {key: "; ".join(lines)} if lines else {}


def joint_rule_of(protocol: Protocol) -> Joint:
    """The joint rule with the protocol's levels, weights and limit."""
    rule = rule_of(protocol, "joint")
    assert isinstance(rule, Joint)
    return rule


def _has_draws(exposures: Exposures) -> bool:
    """Whether exposures are draws of a fit; those of samples are one number per subject."""
    return any(len(values) > 1 for values in exposures.values.values())


def _why_not(protocol: Protocol, joint: JointDecision, ceiling: int | None) -> list[str]:
    """For every level why it may not be recommended; "" where it may. No level is above `ceiling`."""
    reasons = []
    for level, reason in enumerate(joint.why_not, start=1):
        if ceiling is not None and level > ceiling:
            best = "OBD" if rule_name(protocol) in AT_RESPONSES else "MTD"
            mtd = f"the {best}, {protocol.level_name(ceiling)}" if ceiling else "every tolerable level"
            reasons.append(f"above {mtd}")
        else:
            reasons.append(reason)
    return reasons


def _chosen(ended: Decision, best: int) -> tuple[int | None, State]:
    """The recommended level, None where there is none, and the state of the decision."""
    if ended.action != "stop":
        return None, "open"
    return (best, "recommended") if best else (None, "none")


def _near_best(
    joint: JointDecision, eligible: Bool[np.ndarray, " level"], rp2d: int | None
) -> tuple[int, ...]:
    """The levels that may be recommended within two points of the recommended one; none without one."""
    if rp2d is None:
        return ()
    utility = joint.posterior.utility
    near = eligible & (utility >= utility[rp2d - 1] - NEAR)
    return tuple((np.flatnonzero(near) + 1).tolist())


def _levels(
    study: Study, protocol: Protocol, joint: JointDecision, seen: Any, *, level_column: str
) -> DataFrame:
    """One row per level: the counts, and the joint model's probabilities with 90 % intervals."""
    table = dlt_table(study, protocol, level_column=level_column)
    table = table[["level", "dose", "subjects", "evaluable", "dlts"]].copy()
    patients = list(seen)
    known = [[p for p in patients if p.level == level and p.response is not None] for level in table["level"]]
    table["assessed"] = [len(at_level) for at_level in known]
    table["responses"] = [sum(bool(p.response) for p in at_level) for at_level in known]
    posterior = joint.posterior
    for name, means in (
        ("dlt", posterior.p_dlt),
        ("response", posterior.p_response),
        ("utility", posterior.utility),
    ):
        column = name if name == "utility" else f"p_{name}"
        intervals = [posterior.interval(name, level) for level in table["level"]]
        table[column] = means
        table[[f"{column}_lower", f"{column}_upper"]] = intervals
    return table.assign(p_over=posterior.p_over)


def _compared(
    levels: DataFrame,
    joint: JointDecision,
    eligible: Bool[np.ndarray, " level"],
    why_not: Sequence[str],
    targets: Sequence[Target],
    *,
    at_levels: Sequence[Exposures],
) -> DataFrame:
    """The levels with P(best) among those that may be recommended, why others may not, and the targets."""
    levels = levels.assign(p_best=joint.posterior.p_best(eligible) if eligible.any() else 0.0)
    levels = levels.assign(p_near_best=joint.posterior.p_near_best(eligible))
    levels = levels.assign(eligible=eligible, why_not=why_not)
    for target in targets:
        shares = [float(np.mean(e.values[target.exposure] > target.above)) for e in at_levels]
        levels[f"p_{target.exposure}_above_{target.above:g}"] = shares
    return levels


def _explained(outcomes: DataFrame, as_dosed: Exposures | None, seed: int) -> dict[str, ExposureResponse]:
    """The regressions of the outcomes on exposure; none without exposures."""
    if as_dosed is None or not as_dosed.values:
        return {}
    return regressions(outcomes, as_dosed, seed)


def _sensitivity(
    rule: Joint, joint: JointDecision, eligible: Bool[np.ndarray, " level"], *, chosen: bool
) -> DataFrame:
    """The level that other weights of the outcomes would choose: one row per set of weights.

    Columns: weights (a name), each weight, level, p_best. Empty where no level is recommended.
    """
    if not chosen:
        return DataFrame()
    rows = []
    for name, weights in weight_variants(rule.utilities).items():
        posterior = replace(joint.posterior, utilities=weights)
        best = int(np.argmax(np.where(eligible, posterior.utility, -np.inf)))
        row: dict[str, Any] = {"weights": name, **weights}
        rows.append(row | {"level": best + 1, "p_best": float(posterior.p_best(eligible)[best])})
    return DataFrame(rows)


def weight_variants(utilities: Utilities) -> dict[str, dict[str, float]]:
    """The declared weights, and others that a reader may hold: how far does the decision rest on them."""
    declared = asdict(utilities)
    halfway = (utilities.response_with_dlt + utilities.response_without_dlt) / 2
    response_alone = dict.fromkeys(declared, 0.0) | {
        "response_without_dlt": 100.0,
        "response_with_dlt": 100.0,
    }
    safety_alone = dict.fromkeys(declared, 0.0) | {"response_without_dlt": 100.0, "neither": 100.0}
    return {
        "declared": declared,
        "response alone": response_alone,
        "safety alone": safety_alone,
        "a DLT forfeits a response": declared | {"response_with_dlt": utilities.dlt_without_response},
        "a DLT costs a response little": declared | {"response_with_dlt": halfway},
    }


def _next_patients(
    joint_rule: Joint,
    seen: Sequence[Seen],
    protocol_rule: Rule,
    history: Sequence[Cohort],
    level: int | None,
    *,
    protocol: Protocol,
) -> DataFrame:
    """What three more evaluable patients at `level` would make of it: one row per number of DLTs among them.

    Columns: level, dlts, of (patients), in_all ("3 of 6"), protocol (what the rule would say), p_over, joint
    (whether the joint rule would still treat there). Empty without a level.
    """
    if level is None or level == 0:
        return DataFrame()
    dlts_so_far = sum(c.dlts for c in history if c.level == level)
    evaluable = sum(c.evaluable for c in history if c.level == level)
    rows = []
    awaited = NEXT if rule_name(protocol) in AT_RESPONSES else 0
    for dlts in range(NEXT + 1):
        decision = protocol_rule.decide([*history, Cohort(level, NEXT, dlts, response_pending=awaited)])
        more = [Seen(level, dlt=i < dlts) for i in range(NEXT)]
        found = joint_rule.decide_on([*seen, *more])
        rows.append(
            {
                "level": level,
                "dlts": dlts,
                "of": NEXT,
                "in_all": f"{dlts_so_far + dlts} of {evaluable + NEXT}",
                "protocol": _in_short(decision, protocol),
                "p_over": float(found.posterior.p_over[level - 1]),
                "joint": "may be treated" if found.admissible[level - 1] else "not to be treated",
            }
        )
    return DataFrame(rows)


def _in_short(decision: Decision, protocol: Protocol) -> str:
    """A decision in a few words."""
    if decision.action == "stop":
        best = "OBD" if rule_name(protocol) in AT_RESPONSES else "MTD"
        return f"{best} {protocol.level_name(decision.mtd or 0)}"
    if decision.action == "wait" or decision.level is None:
        return "wait"
    return f"{decision.size} more at {protocol.level_name(decision.level)}"
