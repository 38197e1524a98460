"""Titration as the M. D. Anderson guide to U-BOIN has it, before BOIN (Titration.pdf of V2.4.4.0).

There is one patient a level from the start until the first DLT, the second moderate (grade 2) toxicity, or
the cap. On a trigger or at the top level the cohort there is filled. Below the top, at a cap without a
trigger, cohorts begin one level up. This was read in a public port's audit of the guide, not in the guide
itself.
"""

from __future__ import annotations

from kinetics.escalation.boin import Boin
from kinetics.escalation.history import Cohort
from kinetics.escalation.titration import Titration

__all__ = ["ledger", "md_anderson"]


def md_anderson(
    levels: int, target: float, *, cap: int | None = None, cohort: int = 3, most: int = 30
) -> Boin:
    """BOIN after an accelerated titration, which may run up to level `cap`.

    `most` patients end the trial.

    >>> from kinetics.escalation import md_anderson
    >>> sorted(md_anderson(levels=4, target=0.3, cap=2).trigger_levels)
    [1, 2]
    """
    titration = Titration(levels=levels if cap is None else cap, triggers=2)
    return Boin(levels, target, cohort=cohort, most=most, titration=titration)


def ledger(rule: Boin, outcomes: dict[int, str]) -> list[int]:
    """The level of every patient up to the first whole cohort.

    `outcomes` maps a level to what its titration patient had, "dlt" or "moderate". The patient of a level
    that is not in it had neither.
    """
    history: list[Cohort] = []
    levels: list[int] = []
    while not history or sum(c.evaluable for c in history if c.level == history[-1].level) < rule.cohort:
        decision = rule.decide(history)
        level = decision.level or 0
        outcome = outcomes.get(level, "") if decision.size == 1 else ""
        history.append(Cohort(level, decision.size, int(outcome == "dlt"), int(outcome == "moderate")))
        levels += [level] * decision.size
    return levels
