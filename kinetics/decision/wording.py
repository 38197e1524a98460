"""A dose decision in words, in the order that a reader asks."""

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
LITTLE = 0.2  # of a slope's SD: less than this learnt, and the slope is called the prior's


def sentences(
    protocol: Protocol,
    decision: Decision,
    state: State,
    rp2d: int | None,
    levels: Sequence[Row],
    sensitivity: Sequence[Row],
    fits: Mapping[str, ExposureResponse],
) -> list[str]:
    """What was decided, why, what speaks against it, and what it leans on; `levels` lowest first."""
    named = protocol.level_name
    said = [f"The protocol's rule: {decision.why}."]
    if state == "open":
        return [*said, "The rule has not ended, so no dose is recommended yet."]
    if decision.mtd is not None:
        said.append(f"MTD: {named(decision.mtd)}.")
    if rp2d is None or decision.mtd is None:
        cohort = protocol.escalation.cohort
        said.append(
            f"No level with {cohort} evaluable patients has P(overdose) of at most {FEASIBLE:g}: no dose is "
            "recommended."
        )
        return said
    best = levels[rp2d - 1]
    mtd = levels[decision.mtd - 1]
    if state == "rule only":
        said.append(
            f"RP2D: {named(rp2d)}, the highest level not above the MTD with a whole cohort and P(overdose) of at most "
            f"{FEASIBLE:g} ({best['p_over']:.3f}). No exposure was given, or the protocol has no utilities: nothing "
            "but DLTs was weighed."
        )
        return said
    said.append(
        f"RP2D: {named(rp2d)}: the highest expected utility ({best['utility']:.1f} of 100), most useful of the levels "
        f"allowed in {100 * best['p_best']:.0f} % of draws; P(overdose) {best['p_over']:.3f}."
    )
    if state == "conflict":
        said += _conflict(named(rp2d), named(decision.mtd), best, mtd)
    else:
        said.append("The MTD and the utility agree.")
    if best["evaluable"] < protocol.mtd.evaluable:
        said.append(
            f"{best['evaluable']} evaluable patients were treated at it; the protocol asks for "
            f"{protocol.mtd.evaluable} at an MTD."
        )
    return said + _caveats(protocol, rp2d, levels, sensitivity, fits)


def _conflict(low: str, high: str, a: Row, b: Row) -> list[str]:
    """Why the recommended level, `a`, is not the MTD, `b`."""
    if b["p_over"] > FEASIBLE:
        clash = f"P(overdose) there is {b['p_over']:.3f}, above {FEASIBLE:g}, by the BLRM of the same DLTs"
    else:
        clash = f"the utility prefers {low}"
    said = [f"Conflict: the MTD is {high}, {clash}."]
    gains = [
        f"P({label}) from {a[f'{k}_median']:.2f} to {b[f'{k}_median']:.2f}"
        for k, label in (("response", "response"), ("dlt", "DLT"), ("crs_3", "CRS of grade 3 or more"))
        if f"{k}_median" in a
    ]
    said.append(
        f"From {low} to {high}: {', '.join(gains)}; utility {a['utility']:.1f} to {b['utility']:.1f}."
    )
    return said


def _caveats(
    protocol: Protocol,
    rp2d: int,
    levels: Sequence[Row],
    sensitivity: Sequence[Row],
    fits: Mapping[str, ExposureResponse],
) -> list[str]:
    """What the recommendation leans on."""
    named = protocol.level_name
    said = [
        f"With other weights ({row['weights']}) the level would be {named(row['level'])}."
        for row in sensitivity
        if row["level"] != rp2d
    ]
    share, best = max((row["p_best_of_all"], i) for i, row in enumerate(levels, start=1))
    if best != rp2d:
        said.append(
            f"Of all levels, allowed or not, {named(best)} is most often the most useful ({100 * share:.0f} % of "
            "draws)."
        )
    prior = [name for name, f in fits.items() if f.table()["learnt"].max() < LITTLE]
    if prior:
        most = max(f.n for f in fits.values())
        said.append(
            f"The slopes of {', '.join(prior)} are the prior's: {most} patients taught less than a fifth of them."
        )
    weak = [name for name, f in fits.items() if not f.ok]
    if weak:
        said.append(f"The regression of {', '.join(weak)} has too few effective draws: do not use it.")
    return said
