"""BOIN12 (Lin 2020, JCO Precis Oncol 4:1393): the level with the best trade of response against DLT.

Each outcome has a utility; the score of a level with n patients is P(mean utility > u_b | Beta(1 + x, 1 + n -
x)), x their utilities over 100. Down where the DLT rate is at or above BOIN's lambda_d; else to the best
score of the level, the one below and, unless the rate is above lambda_e in N* patients or more, the one
above; ties go up. With more than 8 patients, a rate below lambda_d and nobody yet on the level above: up. A
level is admissible where neither P(DLT rate > target) >= .95 nor P(response rate < least) >= .90, both under
uniform priors; one too toxic closes all above. The OBD is the tried admissible level of the highest mean
utility at or below BOIN's MTD.

The moves are those of the R package escalation, which met the authors' software. OURS where the paper is
silent: with no admissible level among those to choose from the trial stops, and the OBD is sought among the
tried ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import ceil
from typing import ClassVar

from scipy.special import betaincc

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin import WHOLE, lambdas, select_mtd
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, tallies

__all__ = ["Boin12", "Limits", "Utilities", "above"]

EXPLORED = 8  # more patients than these at a level, and an untried one above is tried: Lin 2020, supplement


@dataclass(frozen=True)
class Utilities:
    """What an outcome is worth, 0 to 100: Lin 2020's typical weights, a choice to declare.

    One weight an outcome: `response_without_dlt` is best, then `response_with_dlt` and `neither`, and
    `dlt_without_response`. InputError for weights outside 0 to 100, or another order.

    >>> from kinetics.escalation import Utilities
    >>> from kinetics.escalation.history import Tally
    >>> weights = Utilities(neither=30.0)  # a DLT without a response: 0
    >>> weights.events(Tally(evaluable=3, responses=1))
    1.6
    >>> round(weights.undesirable(dlt=0.35, response=0.25), 2), round(weights.benchmark(0.35, 0.25), 2)
    (36.12, 68.06)
    """

    response_without_dlt: float = 100.0  # u1, Lin 2020
    neither: float = 40.0  # u2, Lin 2020
    response_with_dlt: float = 60.0  # u3, Lin 2020
    dlt_without_response: float = 0.0  # u4, Lin 2020

    def __post_init__(self) -> None:
        worst = self.dlt_without_response
        best = self.response_without_dlt
        if not all(0 <= worst <= u <= best <= 100 for u in (self.neither, self.response_with_dlt)):
            what = f"utilities {self.response_without_dlt:g}, {self.neither:g}, {self.response_with_dlt:g}, {worst:g}"
            raise InputError(
                Problem(what, "0 to 100; response without DLT the most, DLT without response the least")
            )

    def events(self, t: Tally) -> float:
        """The quasi-events x of a level: its patients' utilities, summed, over 100.

        `t` is what is known of the level.
        """
        both = t.dlts_with_response
        without = t.evaluable - t.dlts - t.responses + both
        worth = self.response_without_dlt * (t.responses - both) + self.response_with_dlt * both
        return (worth + self.neither * without + self.dlt_without_response * (t.dlts - both)) / 100

    def undesirable(self, dlt: float, response: float) -> float:
        """u_bar: the mean utility at these rates, independent. `dlt` and `response` are probabilities."""
        without = self.response_without_dlt * response + self.neither * (1 - response)
        return (1 - dlt) * without + dlt * (
            self.response_with_dlt * response + self.dlt_without_response * (1 - response)
        )

    def benchmark(self, dlt: float, response: float) -> float:
        """u_b: half way from u_bar to 100. `dlt` and `response` are probabilities."""
        return (self.undesirable(dlt, response) + 100) / 2


@dataclass(frozen=True)
class Limits:
    """What evidence beside DLT and response adds, and why.

    `dropped` levels are not admissible; `lower` ones may be chosen beside the neighbours; the OBD is
    `obd_from` or above, or the MTD where that is lower.
    """

    dropped: frozenset[int] = frozenset()
    lower: tuple[int, ...] = ()
    obd_from: int = 1
    why: str = ""


@dataclass(frozen=True)
class Boin12:
    """The rule. `most` patients end the trial; `most_at_a_level` at one end it too where the rule says stay.

    `target` is the highest DLT rate, `least_response` the lowest response rate that are acceptable; `toxic`
    and `futile` are the probabilities above which a level is one, from `enough` evaluable patients on a rate
    between the bounds does not go up.

    >>> from kinetics.escalation import Boin12, Cohort
    >>> from kinetics.escalation.boin12 import Limits
    >>> from kinetics.escalation.history import tallies
    >>> rule = Boin12(levels=3)
    >>> history = [Cohort(level=1, evaluable=3, responses=1)]
    >>> rule.decide(history).level, rule.within(history, Limits()).level, round(rule.benchmark, 1)
    (2, 2, 70.5)
    >>> known = tallies(history, levels=3)
    >>> round(rule.score(known[1]), 2), rule.too_toxic(known), rule.admissible(known)
    (0.27, 4, (1, 2, 3))
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    levels: int
    target: float = 0.35  # phi_T: Lin 2020
    least_response: float = 0.25  # phi_E: Lin 2020
    utilities: Utilities = Utilities()
    toxic: float = 0.95  # c_T: Lin 2020
    futile: float = 0.90  # c_E: Lin 2020
    enough: int = 6  # N*: Lin 2020
    cohort: int = 3
    most: int = 36
    most_at_a_level: int | None = None
    trigger_levels: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """What next, after these cohorts; the last is where the trial is."""
        return self.within(history, Limits())

    def within(self, history: Sequence[Cohort], limits: Limits) -> Decision:
        """The same, within what other evidence says of the levels. `limits` are that evidence."""
        check_history(history, self.levels)
        known = tallies(history, self.levels)
        treated = sum(t.treated for t in known.values())
        if treated == 0:
            why = f"BOIN12 begins with a cohort of {self.cohort} at level 1"
            return Decision("treat", why, "nothing: nobody was treated yet", level=1, size=self.cohort)
        current = history[-1].level
        if any(t.pending or t.response_pending for t in known.values()):
            why = "DLT windows are open or responses awaited: BOIN12 decides when all are known"
            return Decision("wait", why, "the end of the open windows", level=current)
        clause, level = self._move(current, known, limits)
        full = self.most_at_a_level is not None and known[current].evaluable >= self.most_at_a_level
        if level == 0 or treated >= self.most or (full and level == current):
            if level:
                clause = (
                    f"{treated} patients were planned" if treated >= self.most else f"level {current} is full"
                )
            return self._found(clause, known, limits)
        size = min(self.cohort, self.most - treated)
        return Decision("treat", clause, self._would(current, known, limits), level=level, size=size)

    @cached_property
    def benchmark(self) -> float:
        """u_b, 0 to 100."""
        return self.utilities.benchmark(self.target, self.least_response)

    def score(self, own: Tally) -> float:
        """P(mean utility > u_b) of a level. `own` is what is known of it."""
        x = self.utilities.events(own)
        return above(x, own.evaluable, self.benchmark / 100)

    def too_toxic(self, known: Mapping[int, Tally]) -> int:
        """The lowest level that is too toxic; one above the highest where none is."""
        for level, t in known.items():
            if above(t.dlts, t.evaluable, self.target) >= self.toxic:
                return level
        return self.levels + 1

    def admissible(self, known: Mapping[int, Tally], limits: Limits = Limits()) -> tuple[int, ...]:
        """The levels that are neither too toxic nor futile nor dropped, tried or not."""

        def futile(t: Tally) -> bool:
            return 1 - above(t.responses, t.evaluable, self.least_response) >= self.futile

        below = range(1, self.too_toxic(known))
        return tuple(i for i in below if i not in limits.dropped and not futile(known[i]))

    def _move(self, current: int, known: Mapping[int, Tally], limits: Limits) -> tuple[str, int]:
        """The clause and the next level; 0 where none is left."""
        own = known[current]
        closed = self.too_toxic(known)
        fit = self.admissible(known, limits)
        counted = (
            f"{own.dlts} of {own.evaluable} with a DLT and {own.responses} with a response at level {current}"
        )
        if not fit:
            beside = f"; {limits.why}" if limits.dropped else ""
            return f"{counted}: no level is admissible{beside}", 0
        if closed <= current:
            why = f"{counted}: P(DLT rate > {self.target:g}) is at least {self.toxic:g} at level {closed}, eliminated"
            return why, max(i for i in range(1, closed) if i not in limits.dropped)
        if own.evaluable == 0:
            return f"nobody is evaluable at level {current}", current
        low, high = lambdas(self.target)
        rate = own.dlts / own.evaluable
        untried = current < self.levels and not known[current + 1].treated
        if own.evaluable > EXPLORED and rate < high and untried:
            return (
                f"{counted}: below {high:.4f} in more than {EXPLORED}, and nobody on the level above: up",
                current + 1,
            )
        if rate >= high:
            return self._down(f"{counted}: at least {high:.4f}", current, known, fit, limits)
        levels = [current - 1, current, current + 1]
        said = f"{counted}: below {high:.4f}"
        if rate > low and own.evaluable >= self.enough:
            levels.pop()
            said = f"{counted}: between {low:.4f} and {high:.4f} in {self.enough} or more, so not up"
        return self._best(said, [*limits.lower, *levels], known, fit, limits)

    def _down(
        self, said: str, current: int, known: Mapping[int, Tally], fit: Sequence[int], limits: Limits
    ) -> tuple[str, int]:
        """One level down, futile or not, as in the paper; or to the best of the `lower` and that one."""
        below = current - 1
        if below == 0 or below in limits.dropped:
            return f"{said}, but no level is below, so stay", current
        if any(i in fit for i in limits.lower):
            return self._best(said, [*limits.lower, below], known, fit, limits)
        return f"{said}, so down", below

    def _best(
        self, said: str, levels: Sequence[int], known: Mapping[int, Tally], fit: Sequence[int], limits: Limits
    ) -> tuple[str, int]:
        """The admissible level of the best score, the higher of two as good; 0 where none is admissible."""
        scores = {i: self.score(known[i]) for i in levels if i in fit}
        if not scores:
            return f"{said}; none of the levels to choose from is admissible", 0
        best = max(scores, key=lambda i: (scores[i], i))
        shown = ", ".join(f"{score:.3f} at level {i}" for i, score in scores.items())
        beside = f"; {limits.why}" if limits.lower or limits.dropped else ""
        return f"{said}{beside}; P(utility > {self.benchmark:.1f}) is {shown}: level {best} is best", best

    def _found(self, clause: str, known: Mapping[int, Tally], limits: Limits) -> Decision:
        """The end: the OBD, 0 where there is none."""
        mtd = select_mtd(known, self.target, self.toxic)
        would = "more patients, or other utilities"
        lowest = min(limits.obd_from, mtd)
        fit = [i for i in self.admissible(known, limits) if known[i].evaluable and lowest <= i <= mtd]
        if not fit:
            return Decision("stop", f"{clause}; no tried level is admissible: no OBD", would, mtd=0)
        means = {i: 100 * (1 + self.utilities.events(known[i])) / (2 + known[i].evaluable) for i in fit}
        obd = max(means, key=lambda i: (means[i], i))
        shown = ", ".join(f"{mean:.1f} at level {i}" for i, mean in means.items())
        beside = f"; {limits.why}" if limits.obd_from > 1 else ""
        why = f"{clause}; the MTD is level {mtd}{beside}; mean utility {shown}: the OBD is level {obd}"
        return Decision("stop", why, would, mtd=obd)

    def _would(self, current: int, known: Mapping[int, Tally], limits: Limits) -> str:
        n = known[current].evaluable
        down = ceil(lambdas(self.target)[1] * n - WHOLE)
        fit = ", ".join(str(i) for i in self.admissible(known, limits))
        return (
            f"of {n} at level {current}: {down} or more DLTs down; else other responses (admissible: {fit})"
        )


@cache
def above(events: float, n: int, bar: float) -> float:
    """P(rate > bar | Beta(1 + events, 1 + n - events)); the events of a utility need not be whole."""
    return float(betaincc(1 + events, 1 + n - events, bar))
