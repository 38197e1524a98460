"""BOIN12 (Lin 2020, JCO Precis Oncol 4:1393): the level with the best trade of response against DLT.

Each outcome has a utility. The score of a level with n patients is P(mean utility > u_b | Beta(1 + x, 1 + n -
x)), where x is the sum of their utilities over 100.

The trial goes down where the DLT rate is at or above BOIN's lambda_d. Otherwise it goes to the best score of
the level, the one below and, unless the rate is above lambda_e in N* patients or more, the one above; ties go
up. With more than 8 patients, a rate below lambda_d and nobody yet on the level above, it goes up.

A level is admissible where neither P(DLT rate > target) >= .95 nor P(response rate < least) >= .90, both
under uniform priors; a level that is too toxic closes all above it. The OBD is the tried admissible level of
the highest mean utility at or below BOIN's MTD.

trialdesign.org selects levels 2 and 3 of an example in 57.3 and 21.3 % of 10,000 trials (SE .5 and .4), and
so does this rule, 57.7 and 21.4 % of 100,000 (SE .16 and .13), with `explored` None, as the example says, and
`full_ends`, so that a full level ends the trial whatever the rule says next. Whether the site does that was
not read anywhere: it is the one stop found that agrees. With the defaults it is 57.7 and 22.8 %, with
`explored` None alone 58.9 and 22.4 %: at level 3 that is 3.5 and 2.5 SE off, so a difference of the rule.
Ties and the means of the OBD move level 3 by .6 points at most. The R package escalation has 49.6 and 23.7 %,
which none of these give (tests/escalation/test_boin12.py).

The moves are those of the R package escalation, which met the authors' software. OURS where the paper is
silent: the trial stops where none of the levels to choose from is admissible, and the OBD is sought among the
tried levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import ceil, floor
from typing import ClassVar

from scipy.special import betaincc

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin import WHOLE, lambdas, select_mtd
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, escalation_last, tallies

__all__ = ["Boin12", "Limits", "Utilities", "above"]

EXPLORED = 8  # with more patients at a level, an untried level above is tried: Lin 2020, supplement


@dataclass(frozen=True)
class Utilities:
    """What each outcome is worth, 0 to 100. Lin 2020's typical weights, a choice that a report declares.

    `response_without_dlt` is worth most and `dlt_without_response` least; `response_with_dlt` and `neither`
    lie between. InputError for weights outside 0 to 100, or another order.

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
        between = (self.neither, self.response_with_dlt)
        if not all(0 <= worst <= utility <= best <= 100 for utility in between):
            what = f"utilities {best:g}, {self.neither:g}, {self.response_with_dlt:g}, {worst:g}"
            remedy = "0 to 100; response without DLT the most, DLT without response the least"
            raise InputError(Problem(what, remedy))

    def events(self, t: Tally) -> float:
        """The quasi-events x of a level: its patients' utilities, summed, over 100.

        `t` are the counts of the level.
        """
        both = t.dlts_with_response
        neither = t.evaluable - t.dlts - t.responses + both
        worth = self.response_without_dlt * (t.responses - both) + self.response_with_dlt * both
        return (worth + self.neither * neither + self.dlt_without_response * (t.dlts - both)) / 100

    def undesirable(self, dlt: float, response: float) -> float:
        """u_bar: the mean utility where DLT and response are independent with these probabilities.

        `dlt` and `response` are the probabilities.
        """
        without_dlt = self.response_without_dlt * response + self.neither * (1 - response)
        with_dlt = self.response_with_dlt * response + self.dlt_without_response * (1 - response)
        return (1 - dlt) * without_dlt + dlt * with_dlt

    def benchmark(self, dlt: float, response: float) -> float:
        """u_b: half way from u_bar to 100. `dlt` and `response` are probabilities."""
        return (self.undesirable(dlt, response) + 100) / 2


@dataclass(frozen=True)
class Limits:
    """What evidence beside DLT and response adds, and why.

    The levels `dropped` are not admissible. Of them the `newly_dropped` are dropped by this decision, which
    may still send patients there. The levels `lower` may be chosen beside the neighbours. The OBD
    is `obd_from` or above, or the MTD where that is lower. `why` gives the evidence in words. `quasi_events`
    are those of each level where outcomes are pending (`kinetics.escalation.tite_pkboin12`); empty where the
    counts give them.
    """

    dropped: frozenset[int] = frozenset()
    newly_dropped: frozenset[int] = frozenset()
    lower: tuple[int, ...] = ()
    obd_from: int = 1
    why: str = ""
    quasi_events: tuple[float, ...] = ()


@dataclass(frozen=True)
class Boin12:
    """The Bayesian optimal interval design that weighs responses against DLTs.

    `target` is the highest acceptable DLT rate, `least_response` the lowest acceptable response rate. `toxic`
    and `futile` are the probabilities from which on a level is too toxic or futile. With `enough` evaluable
    patients or more, a DLT rate between the bounds does not go up. `most` patients end the trial;
    `most_at_a_level` patients at one level end it too where the rule says stay there, and with `full_ends`
    wherever it says to go, as on trialdesign.org. With more than
    `explored` patients at a level an untried level above is tried; None: never for that reason. `bounds` are
    lambda_e and lambda_d, by default BOIN's for the target. The trial begins at the level `start` and sends
    nobody below `lowest`. InputError for a target that BOIN does not take, or bounds that do not enclose it.

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
    >>> rule.move(1, known, Limits())[1], round(rule.lambdas[1], 4)
    (2, 0.4189)
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
    explored: int | None = EXPLORED
    full_ends: bool = False
    bounds: tuple[float, float] | None = None
    start: int = 1
    lowest: int = 1
    trigger_levels: frozenset[int] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        low, high = self.lambdas
        if not 0 < low < self.target < high < 1:
            what = f"lambda_e {low:g} and lambda_d {high:g} do not enclose the target {self.target:g}"
            raise InputError(Problem(what, "give two rates between 0 and 1, one below and one above it"))

    @property
    def lambdas(self) -> tuple[float, float]:
        """lambda_e and lambda_d."""
        return self.bounds or lambdas(self.target)

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts. The trial is at the level of the last one."""
        return self.within(history, Limits())

    def within(self, history: Sequence[Cohort], limits: Limits) -> Decision:
        """The decision, with other evidence on the levels taken into account. `limits` are that evidence."""
        check_history(history, self.levels)
        history = escalation_last(history, self.lowest)
        counts = tallies(history, self.levels)
        treated = sum(t.treated for t in counts.values())
        if not history or history[-1].level < self.lowest:
            why = f"BOIN12 begins with a cohort of {self.cohort} at level {self.start}"
            would = "nothing: nobody was treated yet"
            return Decision("treat", why, would, level=self.start, size=self.cohort)
        current = history[-1].level
        if any(t.pending or t.response_pending for t in counts.values()):
            why = "DLT windows are open or responses awaited: BOIN12 decides when all are known"
            return Decision("wait", why, "the end of the open windows", level=current)
        clause, level = self.move(current, counts, limits)
        full = self.most_at_a_level is not None and counts[current].evaluable >= self.most_at_a_level
        if level == 0 or treated >= self.most or (full and (self.full_ends or level == current)):
            if level and treated >= self.most:
                clause = f"{treated} patients were planned"
            elif level:
                clause = f"level {current} is full"
            return self._end(clause, counts, limits)
        size = min(self.cohort, self.most - treated)
        return Decision("treat", clause, self._would(current, counts, limits), level=level, size=size)

    @cached_property
    def benchmark(self) -> float:
        """u_b, 0 to 100."""
        return self.utilities.benchmark(self.target, self.least_response)

    def score(self, tally: Tally) -> float:
        """P(mean utility > u_b) of a level. `tally` are its counts."""
        x = self.utilities.events(tally)
        return above(x, tally.evaluable, self.benchmark / 100)

    def too_toxic(self, counts: Mapping[int, Tally]) -> int:
        """The lowest level that is too toxic; one above the highest where none is."""
        for level, t in counts.items():
            if above(floor(t.dlts + WHOLE), t.evaluable, self.target) >= self.toxic:
                return level
        return self.levels + 1

    def admissible(self, counts: Mapping[int, Tally], limits: Limits = Limits()) -> tuple[int, ...]:
        """The levels that are neither too toxic nor futile nor dropped, tried or not."""

        def futile(t: Tally) -> bool:
            responses = ceil(t.responses - WHOLE)
            return 1 - above(responses, t.evaluable, self.least_response) >= self.futile

        below = range(self.lowest, self.too_toxic(counts))
        return tuple(i for i in below if i not in limits.dropped and not futile(counts[i]))

    def move(self, current: int, counts: Mapping[int, Tally], limits: Limits) -> tuple[str, int]:
        """The clause and the next level; 0 where none is left.

        The trial is at the level `current`; `limits` are the evidence beside its outcomes. `counts` may be
        expected ones, which are no whole numbers. Then a level is too toxic or futile where
        the whole number of DLTs below, or of responses above, makes it so.
        """
        tally = counts[current]
        closed = self.too_toxic(counts)
        admissible = self.admissible(counts, limits)
        dlts = f"{tally.dlts:.3g} of {tally.evaluable} with a DLT"
        counted = f"{dlts} and {tally.responses:.3g} with a response at level {current}"
        if not admissible:
            beside = f"; {limits.why}" if limits.dropped else ""
            return f"{counted}: no level is admissible{beside}", 0
        limits = replace(limits, dropped=limits.dropped - limits.newly_dropped)
        admissible = self.admissible(counts, limits)
        if closed <= current:
            toxic = f"P(DLT rate > {self.target:g}) is at least {self.toxic:g}"
            why = f"{counted}: {toxic} at level {closed}, eliminated"
            left = [level for level in range(self.lowest, closed) if level not in limits.dropped]
            return why, max(left, default=0)
        if tally.evaluable == 0:
            return f"nobody is evaluable at level {current}", current
        low, high = self.lambdas
        rate = tally.dlts / tally.evaluable
        untried = current < self.levels and not counts[current + 1].treated
        if self.explored is not None and tally.evaluable > self.explored and rate < high and untried:
            more = f"in more than {self.explored}, and nobody on the level above: up"
            why = f"{counted}: below {high:.4f} {more}"
            return why, current + 1
        if rate >= high:
            return self._down(f"{counted}: at least {high:.4f}", current, counts, admissible, limits)
        levels = [current - 1, current, current + 1]
        clause = f"{counted}: below {high:.4f}"
        if rate > low and tally.evaluable >= self.enough:
            levels.pop()
            clause = f"{counted}: between {low:.4f} and {high:.4f} in {self.enough} or more, so not up"
        return self._best(clause, [*limits.lower, *levels], counts, admissible, limits)

    def _down(
        self,
        clause: str,
        current: int,
        counts: Mapping[int, Tally],
        admissible: Sequence[int],
        limits: Limits,
    ) -> tuple[str, int]:
        """One level down, futile or not, as in the paper; or the best of that one and the `lower` levels."""
        below = current - 1
        if below < self.lowest or below in limits.dropped:
            return f"{clause}, but no level is below, so stay", current
        if any(level in admissible for level in limits.lower):
            return self._best(clause, [*limits.lower, below], counts, admissible, limits)
        return f"{clause}, so down", below

    def _best(
        self,
        clause: str,
        levels: Sequence[int],
        counts: Mapping[int, Tally],
        admissible: Sequence[int],
        limits: Limits,
    ) -> tuple[str, int]:
        """The admissible level of the best score, or the higher of two equal ones; 0 where there is none."""
        scores = {}
        for level in levels:
            if level in admissible and limits.quasi_events:
                n = counts[level].evaluable
                scores[level] = above.__wrapped__(limits.quasi_events[level - 1], n, self.benchmark / 100)
            elif level in admissible:
                scores[level] = self.score(counts[level])
        if not scores:
            return f"{clause}; none of the levels to choose from is admissible", 0
        best = max(scores, key=lambda level: (scores[level], level))
        shown = ", ".join(f"{score:.3f} at level {level}" for level, score in scores.items())
        by_exposure = limits.lower or limits.dropped or limits.newly_dropped
        evidence = f"; {limits.why}" if by_exposure else ""
        utility = f"P(utility > {self.benchmark:.1f}) is {shown}: level {best} is best"
        return f"{clause}{evidence}; {utility}", best

    def _end(self, clause: str, counts: Mapping[int, Tally], limits: Limits) -> Decision:
        """The end of the trial: the OBD, 0 where there is none."""
        mtd = select_mtd(counts, self.target, self.toxic, lowest=self.lowest)
        would = "more patients, or other utilities"
        lowest = min(limits.obd_from, mtd)
        candidates = [
            level
            for level in self.admissible(counts, limits)
            if counts[level].evaluable and lowest <= level <= mtd
        ]
        if not candidates:
            return Decision("stop", f"{clause}; no tried level is admissible: no OBD", would, mtd=0)
        means = {}
        for level in candidates:
            tally = counts[level]
            means[level] = 100 * (1 + self.utilities.events(tally)) / (2 + tally.evaluable)
        obd = max(means, key=lambda level: (means[level], level))
        shown = ", ".join(f"{mean:.1f} at level {level}" for level, mean in means.items())
        evidence = f"; {limits.why}" if limits.obd_from > 1 else ""
        why = f"{clause}; the MTD is level {mtd}{evidence}; mean utility {shown}: the OBD is level {obd}"
        return Decision("stop", why, would, mtd=obd)

    def _would(self, current: int, counts: Mapping[int, Tally], limits: Limits) -> str:
        """What would have changed the decision."""
        n = counts[current].evaluable
        down = ceil(self.lambdas[1] * n - WHOLE)
        admissible = ", ".join(str(level) for level in self.admissible(counts, limits))
        bounds = f"of {n} at level {current}: {down} or more DLTs down"
        return f"{bounds}; else other responses (admissible: {admissible})"


@cache
def above(events: float, n: int, bar: float) -> float:
    """P(rate > bar | Beta(1 + events, 1 + n - events)); the events of a utility need not be whole."""
    return float(betaincc(1 + events, 1 + n - events, bar))
