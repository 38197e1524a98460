"""Dose-transition tables: what the rule would say after every outcome of the next cohorts, before they are treated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pandas import DataFrame

from kinetics.escalation.enumeration import outcomes
from kinetics.escalation.history import Cohort, Decision, Rule

__all__ = ["Branch", "transition_table", "transitions"]


@dataclass(frozen=True)
class Branch:
    """One outcome of a cohort, the decision after it, and the branches from there."""

    cohort: Cohort
    decision: Decision
    later: tuple[Branch, ...] = ()


def transitions(rule: Rule, history: Sequence[Cohort] = (), *, depth: int = 1) -> tuple[Branch, ...]:
    """The tree of the next `depth` cohorts; nothing where the rule stops or waits."""
    decision = rule.decide(history)
    if depth < 1 or decision.action != "treat" or decision.level is None:
        return ()
    found = []
    for cohort, _ in outcomes(decision.level, decision.size, 0.4, 0.2 if decision.titrating else 0.0):
        after = (*history, cohort)
        found.append(Branch(cohort, rule.decide(after), transitions(rule, after, depth=depth - 1)))
    return tuple(found)


def transition_table(rule: Rule, history: Sequence[Cohort] = (), *, depth: int = 1) -> DataFrame:
    """The tree as a table: one row an outcome, `path` as level:DLTs/patients joined by arrows."""
    rows: list[dict[str, object]] = []

    def add(branches: tuple[Branch, ...], path: str) -> None:
        for b in branches:
            extra = f"+{b.cohort.triggers}t" if b.cohort.triggers else ""
            here = f"{path}{b.cohort.level}:{b.cohort.dlts}/{b.cohort.evaluable}{extra}"
            d = b.decision
            rows.append({
                "path": here, "action": d.action, "level": d.level, "size": d.size, "mtd": d.mtd, "why": d.why,
                "would_change": d.would_change,
            })  # fmt: skip
            add(b.later, f"{here} > ")

    add(transitions(rule, history, depth=depth), "")
    table = DataFrame(rows, columns=["path", "action", "level", "size", "mtd", "why", "would_change"])
    return table.astype({"level": "Int64", "mtd": "Int64"})
