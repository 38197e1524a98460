"""TITE-PKBOIN-12 (Sun & Tu 2024, Pharm Stat 24:e2444): PKBOIN-12 that decides while outcomes are pending.

At a level, the DLT rate p is DLTs over the known + the follow-up of the pending as shares of the window, and
the response rate q likewise. These rates decide up, down, too toxic and futile, as if all n patients had
them. In the score a pending patient, followed for the share w of the window, has p (1 - w) / (1 - p w) of a
DLT, the chance that it still comes if DLTs come uniformly; so for responses. Exposures are known at once.

Accrual is suspended until more than half of the level's patients have a known DLT outcome, and more than half
a known response. The OBD waits for all outcomes, and is PKBOIN-12's.

These are the rates, weights and suspension of the authors' code (github.com/EugeneHao/PKBOIN-12). OURS: where
only pending outcomes leave no level, the trial waits for them, whereas the authors' ends; and a level is too
toxic or futile by what is known today, whereas theirs stays so.

The authors' example (2,000 trials; windows of 30 and 60 days and a patient every 10, as in their repository)
is met within two standard errors: tests/escalation/test_tite_pkboin12.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import ClassVar

from kinetics.errors import InputError, Problem
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, escalation_last, tallies
from kinetics.escalation.pkboin12 import PkBoin12

__all__ = ["TitePkBoin12"]

KNOWN = 0.5  # of a level's patients, more than which have known outcomes before a decision: the authors' code
WEIGHED = "the pending weighed by their follow-up"


@dataclass(frozen=True)
class TitePkBoin12:
    """PKBOIN-12 with time-to-event weights for pending DLTs and responses.

    Where nothing is pending, its `pkboin12` decides. The rule waits until more than the share `known` of a
    level's patients have a known DLT outcome, and a known response; with 1 it waits for all. Give each
    pending patient as a cohort of its own: the pending of one cohort share their mean follow-up. InputError
    for a share outside 0 to 1.

    >>> from kinetics.escalation import Boin12, Cohort, PkBoin12, RawExposures, TitePkBoin12
    >>> exposures = RawExposures(((4e3, 6e3, 5e3), (), ()))
    >>> rule = TitePkBoin12(PkBoin12(Boin12(levels=3), exposures, wanted=1e4))
    >>> waiting = Cohort(1, evaluable=0, pending=1, followed=0.4, response_pending=1, response_followed=0.2)
    >>> history = [Cohort(level=1, evaluable=2, responses=1), waiting]
    >>> rule.levels, rule.decide(history).action, rule.decide(history).level
    (3, 'treat', 1)
    >>> rule.trigger_levels
    frozenset()
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    pkboin12: PkBoin12
    known: float = KNOWN

    def __post_init__(self) -> None:
        if not 0 <= self.known <= 1:
            raise InputError(Problem(f"a known share of {self.known:g}", "give one between 0 and 1"))

    @property
    def levels(self) -> int:
        """How many levels its `pkboin12` has."""
        return self.pkboin12.levels

    @property
    def trigger_levels(self) -> frozenset[int]:
        """None: there is no titration."""
        return self.pkboin12.trigger_levels

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts and exposures. The trial is at the level of the last cohort."""
        check_history(history, self.levels)
        lowest = self.pkboin12.boin12.lowest
        history = escalation_last(history, lowest)
        begun = bool(history) and history[-1].level >= lowest
        if not begun or not any(c.pending or c.response_pending for c in history):
            return self.pkboin12.decide(history)
        current = history[-1].level
        counts = tallies(history, self.levels)
        treated = sum(t.treated for t in counts.values())
        boin12 = self.pkboin12.boin12
        limits = self.pkboin12.limits(history)
        if len(limits.dropped) == self.levels:
            return Decision("stop", limits.why, "nothing: an exposure is known at once", mtd=0)
        if treated >= boin12.most:
            return _wait(f"{treated} patients were planned: the OBD waits for the open windows", current)
        if suspended := self._suspended(current, counts[current]):
            return _wait(suspended, current)
        limits = replace(limits, quasi_events=self._quasi_events(history, counts))
        expected = {level: _expected(t) for level, t in counts.items()}
        clause, level = boin12.move(current, expected, limits)
        if level == 0:
            return _wait(f"{WEIGHED}, {clause}: it waits to be sure", current)
        full = boin12.most_at_a_level is not None and counts[current].treated >= boin12.most_at_a_level
        if full and (boin12.full_ends or level == current):
            return _wait(f"level {current} is full: the OBD waits for the open windows", current)
        size = min(boin12.cohort, boin12.most - treated)
        would = "DLTs and responses in the open windows, or longer follow-up"
        return Decision("treat", f"{WEIGHED}, {clause}", would, level=level, size=size)

    def _suspended(self, current: int, tally: Tally) -> str:
        """Why accrual is suspended; empty where it is not."""
        needed = min(floor(self.known * tally.treated) + 1, tally.treated)
        responses_known = tally.treated - tally.response_pending
        if tally.evaluable >= needed and responses_known >= needed:
            return ""
        outcomes = f"{tally.evaluable} DLT outcomes and {responses_known} responses are known"
        return f"{outcomes} of {tally.treated} at level {current}, {needed} are needed: accrual is suspended"

    def _quasi_events(self, history: Sequence[Cohort], counts: Mapping[int, Tally]) -> tuple[float, ...]:
        """The quasi-events of each level, the pending with their expected outcomes."""
        events = dict.fromkeys(counts, 0.0)
        for c in history:
            rates = _rates(counts[c.level])
            events[c.level] += self.pkboin12.boin12.utilities.events(_completed(c, *rates))
        return tuple(events.values())


def _rates(tally: Tally) -> tuple[float, float]:
    """The rates of DLTs and of responses among the known and the followed of a level; 0 without any."""
    dlts_known = tally.evaluable + tally.followed
    responses_known = tally.treated - tally.response_pending + tally.response_followed
    dlt = tally.dlts / dlts_known if dlts_known else 0.0
    response = tally.responses / responses_known if responses_known else 0.0
    return dlt, response


def _expected(tally: Tally) -> Tally:
    """The counts of a level as if all its patients had the rates of the followed. They are not whole."""
    n = tally.treated
    dlts_known = tally.evaluable + tally.followed
    responses_known = n - tally.response_pending + tally.response_followed
    # n / known is exactly 1 where nobody is pending, so that whole numbers stay whole.
    dlts = tally.dlts * (n / dlts_known) if dlts_known else 0.0
    responses = tally.responses * (n / responses_known) if responses_known else 0.0
    return Tally(n, dlts, responses=responses)  # type: ignore[arg-type]


def _completed(c: Cohort, dlt: float, response: float) -> Tally:
    """A cohort with the expected outcomes of its pending patients, where `dlt` and `response` are the rates.

    What is known of DLT and response together stays; the rest is independent. So it is exact for a cohort of
    one patient.
    """
    n = c.evaluable + c.pending
    dlts = c.dlts + c.pending * _still_to_come(dlt, c.followed, c.pending)
    responses = c.responses + c.response_pending * _still_to_come(
        response, c.response_followed, c.response_pending
    )
    both = c.dlts_with_response
    if n:
        both += (dlts * responses - c.dlts * c.responses) / n
    return Tally(n, dlts, responses=responses, dlts_with_response=both)  # type: ignore[arg-type]


def _still_to_come(rate: float, followed: float, pending: int) -> float:
    """The chance of an event that has not come, at this rate, after the mean follow-up of the pending."""
    if pending == 0 or rate == 0:
        return 0.0
    share = followed / pending
    return rate * (1 - share) / (1 - rate * share) if rate * share < 1 else 0.0


def _wait(why: str, current: int) -> Decision:
    return Decision("wait", why, "the end of the open windows, or a DLT or a response in one", level=current)
