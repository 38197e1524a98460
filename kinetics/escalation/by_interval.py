"""Rules that compare the DLTs of the level treated last with an interval around the target: what they share.

i3+3, mTPI-2 and Keyboard differ in one thing, their `verdict` on y DLTs in n patients: up, stay or down. All
else is BOIN's: a level and all above it are eliminated where n >= 3 and P(p > target | data) > .95 under a
uniform prior, and the MTD is the tried level whose rate, made to rise with dose, is nearest to the target.
That is the safety rule of the three papers, with the 3 patients of the R packages Keyboard and FIND; their
MTD too, where the pseudo-counts of the rates are the packages' .05 (mTPI's paper has .005).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pandas import DataFrame

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin import eliminating, select_mtd
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, escalation_last, tallies
from kinetics.escalation.titration import Titration, titrated

__all__ = ["HALF_WIDTH", "IntervalRule", "Verdict", "check_interval", "decide_by_interval", "decision_table"]

HALF_WIDTH = 0.05  # of the interval: the default of Guo 2017, Yan 2017 and Liu 2020
Verdict = tuple[Literal["up", "stay", "down"], str]


@dataclass(frozen=True)
class IntervalRule(ABC):
    """A rule with a verdict on the DLTs of one level.

    `target` is the DLT rate wanted, `interval` the rates that are as good, by default 0.05 either way. A
    level is eliminated where P(DLT rate > target) is above `cutoff`. `most` patients end the trial;
    `most_at_a_level` patients at one level end it too where the rule says stay there. The trial begins at the
    level `start` and sends nobody below `lowest`. `design` is the name of the rule. InputError for an
    interval without the target.
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    design: ClassVar[str]
    levels: int
    target: float
    interval: tuple[float, float] | None = None
    cohort: int = 3
    most: int = 30
    most_at_a_level: int | None = None
    cutoff: float = 0.95  # Liu 2020, Guo 2017, Yan 2017
    titration: Titration | None = None
    start: int = 1
    lowest: int = 1

    def __post_init__(self) -> None:
        check_interval(self.around, self.target)

    @property
    def around(self) -> tuple[float, float]:
        """The interval around the target."""
        return self.interval or (self.target - HALF_WIDTH, self.target + HALF_WIDTH)

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which its titration may run."""
        return self.titration.at if self.titration else frozenset()

    @abstractmethod
    def verdict(self, dlts: int, n: int) -> Verdict:
        """Where `dlts` of `n` patients send the trial, and the clause that says so."""

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. The trial is at the level of the last one."""
        return decide_by_interval(self, history)


def check_interval(interval: tuple[float, float], target: float) -> None:
    """InputError for an interval that does not hold the target, or a target that is no probability."""
    low, high = interval
    if not (0 < target < 1 and 0 <= low <= target <= high <= 1 and low < high):
        what = f"an interval of {low:g} to {high:g} around a target of {target:g}"
        raise InputError(Problem(what, "give two probabilities, with the target between them"))


def decide_by_interval(rule: IntervalRule, history: Sequence[Cohort]) -> Decision:
    """The decision of a rule after these cohorts. The trial is at the level of the last one."""
    check_history(history, rule.levels)
    history = escalation_last(history, rule.lowest)
    counts = tallies(history, rule.levels)
    if decision := titrated(rule.titration, counts, rule.levels, rule.cohort):
        return decision
    if not history or history[-1].level < rule.lowest:
        why = f"{rule.design} begins with a cohort of {rule.cohort} at level {rule.start}"
        return Decision("treat", why, "nothing: nobody was treated yet", level=rule.start, size=rule.cohort)
    current = history[-1].level
    if any(t.pending for t in counts.values()):
        why = f"DLT windows are open: {rule.design} decides when they have ended"
        return Decision("wait", why, "the end of the open windows", level=current)

    clause, level = _move(rule, current, counts)
    if level == 0:
        return Decision("stop", clause, f"fewer DLTs at level {_lowest_eliminated(rule, counts)}", mtd=0)
    treated = sum(t.treated for t in counts.values())
    limit = rule.most_at_a_level
    full = limit is not None and level == current and counts[current].evaluable >= limit
    if treated >= rule.most or full:
        mtd = select_mtd(counts, rule.target, rule.cutoff, lowest=rule.lowest)
        why = f"{treated} patients were planned" if treated >= rule.most else f"level {current} is full"
        if mtd:
            why += f"; level {mtd} has the rising DLT rate nearest to {rule.target:g}"
        return Decision("stop", why, "more patients", mtd=mtd)
    size = min(rule.cohort, rule.most - treated)
    return Decision("treat", clause, _would(rule, current, counts[current]), level=level, size=size)


def decision_table(rule: IntervalRule, most: int = 12) -> DataFrame:
    """The decisions as a protocol prints them: one row per number of DLTs, one column per number of patients.

    E: up; S: stay; D: down; DU: down, and the level is eliminated with all above it. Empty where there are
    more DLTs than patients. `rule` is i3+3, mTPI-2 or Keyboard; `most` is the last number of patients.

    >>> from kinetics.escalation import I3Plus3, decision_table
    >>> decision_table(I3Plus3(levels=4, target=0.3), most=6)[[3, 6]].head(5)
          3   6
    DLTs
    0     E   E
    1     S   E
    2     D   S
    3    DU   D
    4        DU
    """
    letters = {"up": "E", "stay": "S", "down": "D"}
    columns = {}
    for n in range(1, most + 1):
        bound = eliminating(n, rule.target, rule.cutoff)
        column = [letters[rule.verdict(dlts, n)[0]] for dlts in range(n + 1)]
        if bound is not None:
            column[bound:] = ["DU"] * (n + 1 - bound)
        columns[n] = column + [""] * (most - n)
    return DataFrame(columns).rename_axis(index="DLTs")


def _lowest_eliminated(rule: IntervalRule, counts: Mapping[int, Tally]) -> int:
    """The lowest eliminated level; one above the highest where none is."""
    for level, t in counts.items():
        bound = eliminating(t.evaluable, rule.target, rule.cutoff)
        if bound is not None and t.dlts >= bound:
            return level
    return rule.levels + 1


def _move(rule: IntervalRule, current: int, counts: Mapping[int, Tally]) -> tuple[str, int]:
    """The clause and the next level; 0 where none is left."""
    tally = counts[current]
    eliminated = _lowest_eliminated(rule, counts)
    counted = f"{tally.dlts} of {tally.evaluable} with a DLT at level {current}"
    if eliminated <= current:
        toxic = f"P(DLT rate > {rule.target:g}) is above {rule.cutoff:g}"
        why = f"{counted}: {toxic} at level {eliminated}, eliminated"
        if eliminated <= rule.lowest:
            return f"{why}; no level is left", 0
        return why, eliminated - 1
    if tally.evaluable == 0:
        return f"nobody is evaluable at level {current}", current
    direction, clause = rule.verdict(tally.dlts, tally.evaluable)
    why = f"{counted}: {clause}"
    if direction == "up":
        if current == rule.levels:
            return f"{why}, but there is no level above, so stay", current
        if current + 1 >= eliminated:
            return f"{why}, but the level above is eliminated, so stay", current
        return f"{why}, so up", current + 1
    if direction == "down":
        if current == rule.lowest:
            return f"{why}, but no level is below, so stay", current
        return f"{why}, so down", current - 1
    return f"{why}, so stay", current


def _would(rule: IntervalRule, current: int, tally: Tally) -> str:
    """Which other numbers of DLTs would have sent the trial up or down."""
    n = tally.evaluable
    if n == 0:
        return "an evaluable patient"
    bound = eliminating(n, rule.target, rule.cutoff)
    directions = [rule.verdict(dlts, n)[0] for dlts in range(n + 1)]
    if bound is not None:
        directions[bound:] = ["down"] * (n + 1 - bound)
    words = []
    if "up" in directions:
        words.append(f"{n - directions[::-1].index('up')} or fewer up")
    if "down" in directions:
        words.append(f"{directions.index('down')} or more down")
    return f"of {n} at level {current}: {', '.join(words)}"
