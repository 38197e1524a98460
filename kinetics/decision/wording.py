"""A dose decision in sentences: the action first, then why, how sure, and what would change it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

from kinetics.escalation import Decision, JointDecision
from kinetics.protocol import BOIN12, CODINGS, Protocol, rule_name

__all__ = ["State", "percent", "sentences"]

EVEN = 0.5  # P(best) of the recommended level below which the best level is more likely another one
State = Literal["recommended", "open", "none", "stopped"]
Row = Mapping[Hashable, Any]


def sentences(
    protocol: Protocol,
    decision: Decision,
    joint: JointDecision,
    ended: Decision,
    state: State,
    *,
    rp2d: int | None,
    near_best: Sequence[int],
    bound: float,
    levels: Sequence[Row],
    sensitivity: Sequence[Row],
    stop: Decision | None = None,
) -> list[str]:
    """The sentences of a recommendation.

    `decision` is the protocol's, `joint` that of the joint rule, `ended` the one that says whether the trial
    has ended. `levels` are the rows of the table of levels, lowest first, `sensitivity` those of the table of
    weights. `bound`: P(DLT rate above the limit) from which a level is not recommended. `stop` is the
    decision where a stopping clause is met.
    """
    name = protocol.level_name
    text = []
    if stop is not None:
        text.append(
            f"Enrolment is stopped, {stop.why}. Nothing is recommended before the safety board decides."
        )
    elif state == "open":
        text += _open(protocol, joint, ended, decision)
    elif rp2d is None:
        text += _none(levels)
    else:
        text.append(f"Recommended: {name(rp2d)}.")
        text += _action(protocol, rp2d, levels)
        text += _why(protocol, joint, rp2d, levels)
        text += _how_sure(protocol, rp2d, near_best, levels)
    text.append(f"The protocol's rule: {decision.why}.{_mtd(protocol, decision, rp2d)}")
    text += _not_eligible(protocol, levels)
    if rp2d is not None:
        after = joint.posterior.p_over_after_dlt()[rp2d - 1]
        over = f"P(DLT rate above {percent(joint.posterior.limit)})"
        text.append(
            f"What would change it: one more patient with a DLT there would make {over} {percent(after)}. "
            f"From {percent(bound)} on a level is not recommended."
        )
        others = [f"{name(row['level'])} ({row['weights']})" for row in sensitivity if row["level"] != rp2d]
        if others:
            text.append(f"With other weights of the outcomes it would be {', '.join(others)}.")
    return text


def percent(p: float) -> str:
    """A probability in percent, whole numbers; below 1 % and above 99 % it says so."""
    if 0 < p < 0.01:
        return "below 1 %"
    if 0.99 < p < 1:
        return "above 99 %"
    return f"{100 * p:.0f} %"


def _open(protocol: Protocol, joint: JointDecision, ended: Decision, decision: Decision) -> list[str]:
    """The trial goes on: what comes next by each rule, and what would be recommended today."""
    text = [f"The trial has not ended: {_next(protocol, ended)}."]
    if rule_name(protocol) == "joint" and ended == decision:
        text[0] = f"The trial has not ended: {_next(protocol, ended)}, because {ended.why}."
    elif joint.decision.action == "stop":
        text.append(f"The joint rule would stop: {joint.decision.why}.")
    else:
        text.append(f"The joint rule: {_next(protocol, joint.decision)}, because {joint.decision.why}.")
    if joint.backfill:
        levels = ", ".join(protocol.level_name(level) for level in joint.backfill)
        text.append(f"Patients who need not wait may be treated at {levels} (backfill).")
    if joint.recommended:
        text.append(f"If it ended today, {protocol.level_name(joint.recommended)} would be recommended.")
    return text


def _next(protocol: Protocol, decision: Decision) -> str:
    if decision.action == "stop":
        return f"stop, {_best(protocol)} {protocol.level_name(decision.mtd or 0)}"
    if decision.action == "wait" or decision.level is None:
        return "wait for the open DLT windows"
    patients = "patient" if decision.size == 1 else "patients"
    return f"{decision.size} more {patients} at {protocol.level_name(decision.level)}"


def _none(levels: Sequence[Row]) -> list[str]:
    """Why no level is recommended: none may be, or none is likely to have responses."""
    eligible = [row for row in levels if row["eligible"]]
    if not eligible:
        return ["No dose is recommended: no level is safe enough."]
    responses = sum(row["responses"] for row in levels)
    assessed = sum(row["assessed"] for row in levels)
    best = max(row["p_response"] for row in eligible)
    return [
        "No dose is recommended: no response is likely at any level that may be recommended.",
        f"{responses} of {assessed} assessed patients responded. The best of these levels has an expected "
        f"response rate of {percent(best)}.",
    ]


def _action(protocol: Protocol, rp2d: int, levels: Sequence[Row]) -> list[str]:
    """What is still to do before the level is settled."""
    if rule_name(protocol) not in CODINGS:
        return []
    evaluable = levels[rp2d - 1]["evaluable"]
    needed = protocol.mtd.evaluable.decided
    if evaluable >= needed:
        return []
    more = needed - evaluable
    patients = "patient" if more == 1 else "patients"
    return [
        f"To do: {more} more {patients} at {protocol.level_name(rp2d)}. The protocol asks for {needed} "
        f"evaluable patients at an MTD, and there are {evaluable}."
    ]


def _why(protocol: Protocol, joint: JointDecision, rp2d: int, levels: Sequence[Row]) -> list[str]:
    best = levels[rp2d - 1]
    eligible = [row for row in levels if row["eligible"]]
    outcomes = (
        f"P(response) {percent(best['p_response'])} ({100 * best['p_response_lower']:.0f} to "
        f"{100 * best['p_response_upper']:.0f}), P(DLT) {percent(best['p_dlt'])} "
        f"({100 * best['p_dlt_lower']:.0f} to {100 * best['p_dlt_upper']:.0f})"
    )
    counts = f"{best['responses']} of {best['assessed']} responded, {best['dlts']} of {best['evaluable']} "
    counts += "had a DLT"
    if len(eligible) == 1:
        return [f"Only this level may be recommended; {outcomes}. There {counts}."]
    return [
        f"Why: of the {len(eligible)} levels that may be recommended it has the highest expected utility, "
        f"{best['utility']:.0f} of 100; {outcomes}. There {counts}."
    ]


def _how_sure(protocol: Protocol, rp2d: int, near_best: Sequence[int], levels: Sequence[Row]) -> list[str]:
    best = levels[rp2d - 1]
    treated = sum(row["subjects"] for row in levels)
    if sum(row["eligible"] for row in levels) == 1:
        return []
    text = [
        f"How sure: it is the best of them with a probability of {percent(best['p_best'])}, and its utility "
        f"is within two points of the best with {percent(best['p_near_best'])}."
    ]
    favourite = max((row for row in levels if row["eligible"]), key=lambda row: row["p_best"])
    if favourite["level"] != rp2d:
        text.append(
            f"{protocol.level_name(favourite['level'])} is the best more often "
            f"({percent(favourite['p_best'])}), but falls further behind where it is not: its expected "
            f"utility is {favourite['utility']:.0f}."
        )
    others = [protocol.level_name(level) for level in near_best if level != rp2d]
    if others:
        names = " and ".join([protocol.level_name(rp2d), *others])
        text.append(
            f"{treated} patients do not tell {names} apart: their expected utilities lie within two points. "
            "Only a randomised comparison between them (phase IB) would."
        )
    elif best["p_best"] < EVEN:
        text.append(
            f"{treated} patients leave open which level is the best. A randomised comparison (phase IB) of "
            "this level with its neighbours would say more."
        )
    return text


def _mtd(protocol: Protocol, decision: Decision, rp2d: int | None) -> str:
    """The MTD, and where the recommended level stands to it."""
    if decision.mtd is None:
        return ""
    mtd = f" {_best(protocol)}: {protocol.level_name(decision.mtd)}."
    if rp2d is None or rp2d == decision.mtd:
        return mtd
    return f"{mtd} The recommended level lies below it, as it should where more dose brings no more benefit."


def _best(protocol: Protocol) -> str:
    """What the protocol's rule looks for: an MTD, an OBD, or the best level of the joint rule."""
    kind = rule_name(protocol)
    if kind in BOIN12:
        return "OBD"
    return "best level" if kind == "joint" else "MTD"


def _not_eligible(protocol: Protocol, levels: Sequence[Row]) -> list[str]:
    """The levels that may not be recommended, each with its reason."""
    reasons = [
        f"{protocol.level_name(row['level'])} ({row['why_not']})" for row in levels if not row["eligible"]
    ]
    return [f"Not to be recommended: {'; '.join(reasons)}."] if reasons else []
