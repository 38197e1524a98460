"""A dose decision in sentences, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

from kinetics.decision.regression import ExposureResponse
from kinetics.decision.weighing import FEASIBLE
from kinetics.escalation import Decision
from kinetics.protocol import Protocol

__all__ = ["State", "sentences"]

State = Literal["agreement", "conflict", "rule only", "open", "none"]
Row = Mapping[Hashable, Any]
LITTLE = 0.2  # share of a slope's prior SD: where less than this is learnt, the slope is called the prior's


def sentences(
    protocol: Protocol,
    decision: Decision,
    state: State,
    rp2d: int | None,
    levels: Sequence[Row],
    sensitivity: Sequence[Row],
    fits: Mapping[str, ExposureResponse],
) -> list[str]:
    """The sentences of a recommendation: what was decided, why, what speaks against it, and its assumptions.

    `levels` are the rows of the table of levels, lowest first; `sensitivity` those of the table of weights;
    `fits` the regressions by outcome.
    """
    name = protocol.level_name
    text = [f"The protocol's rule: {decision.why}."]
    if state == "open":
        return [*text, "The rule has not ended, so no dose is recommended yet."]
    if decision.mtd is not None:
        text.append(f"MTD: {name(decision.mtd)}.")
    if rp2d is None or decision.mtd is None:
        cohort = protocol.escalation.cohort
        text.append(
            f"No level with {cohort} evaluable patients has P(overdose) of at most {FEASIBLE:g}: no dose is "
            "recommended."
        )
        return text
    best = levels[rp2d - 1]
    mtd = levels[decision.mtd - 1]
    if state == "rule only":
        text.append(
            f"RP2D: {name(rp2d)}, the highest level not above the MTD with a whole cohort and P(overdose) of "
            f"at most {FEASIBLE:g} ({best['p_over']:.3f}). No exposure was given, or the protocol has no "
            "utilities: nothing but DLTs was weighed."
        )
        return text
    text.append(
        f"RP2D: {name(rp2d)}: the highest expected utility ({best['utility']:.1f} of 100), most useful of "
        f"the levels allowed in {100 * best['p_best']:.0f} % of draws; P(overdose) {best['p_over']:.3f}."
    )
    if state == "conflict":
        text += _conflict(name(rp2d), name(decision.mtd), best, mtd)
    else:
        text.append("The MTD and the utility agree.")
    if best["evaluable"] < protocol.mtd.evaluable:
        text.append(
            f"{best['evaluable']} evaluable patients were treated at it; the protocol asks for "
            f"{protocol.mtd.evaluable} at an MTD."
        )
    return text + _caveats(protocol, rp2d, levels, sensitivity, fits)


def _conflict(best_name: str, mtd_name: str, best: Row, mtd: Row) -> list[str]:
    """Why the recommended level, `best`, is not the MTD, and what lies between the two."""
    if mtd["p_over"] > FEASIBLE:
        clash = f"P(overdose) there is {mtd['p_over']:.3f}, above {FEASIBLE:g}, by the BLRM of the same DLTs"
    else:
        clash = f"the utility prefers {best_name}"
    gains = []
    for key, label in (("response", "response"), ("dlt", "DLT"), ("crs_3", "CRS of grade 3 or more")):
        median = f"{key}_median"
        if median in best:
            gains.append(f"P({label}) from {best[median]:.2f} to {mtd[median]:.2f}")
    utility = f"utility {best['utility']:.1f} to {mtd['utility']:.1f}"
    return [
        f"Conflict: the MTD is {mtd_name}, {clash}.",
        f"From {best_name} to {mtd_name}: {', '.join(gains)}; {utility}.",
    ]


def _caveats(
    protocol: Protocol,
    rp2d: int,
    levels: Sequence[Row],
    sensitivity: Sequence[Row],
    fits: Mapping[str, ExposureResponse],
) -> list[str]:
    """The weights, draws and priors on which the recommendation depends."""
    name = protocol.level_name
    text = [
        f"With other weights ({row['weights']}) the level would be {name(row['level'])}."
        for row in sensitivity
        if row["level"] != rp2d
    ]
    share, most_useful = max((row["p_best_of_all"], level) for level, row in enumerate(levels, start=1))
    if most_useful != rp2d:
        text.append(
            f"Of all levels, allowed or not, {name(most_useful)} is most often the most useful "
            f"({100 * share:.0f} % of draws)."
        )
    unlearnt = [outcome for outcome, fit in fits.items() if fit.table()["learnt"].max() < LITTLE]
    if unlearnt:
        most = max(fit.n for fit in fits.values())
        text.append(
            f"The slopes of {', '.join(unlearnt)} are the prior's: {most} patients taught less than a fifth "
            "of them."
        )
    weak = [outcome for outcome, fit in fits.items() if not fit.ok]
    if weak:
        text.append(f"The regression of {', '.join(weak)} has too few effective draws: do not use it.")
    return text
