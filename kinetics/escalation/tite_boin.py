"""TITE-BOIN (Yuan 2018, Clin Cancer Res 24:4921): BOIN that decides while DLT windows are open.

A pending patient counts for the share of the window he was followed: the DLT rate at the current level is
DLTs over n - pending + (follow-up of the pending) / window, and BOIN's lambdas decide. Accrual is suspended
where more than half of the level's patients are pending, and at level 1 where the rate is at or above
lambda_d and a window is open. Elimination counts every treated patient, so it is certain: who is pending has
had no DLT yet.

This effective number is that of the R package TITEgBOIN (Lin & Yuan 2020, Biostatistics 21:807); the paper of
2018 imputes the pending DLTs instead, FROM MEMORY (DLTs + p/(1-p) (pending - follow-up)) / n, close to it for
a small p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin import Boin, lambdas
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, tallies

__all__ = ["TiteBoin", "effective"]

MOST_PENDING = 0.5  # of a level's patients, above it accrual is suspended: Yuan 2018; TITEgBOIN, maxpen


@dataclass(frozen=True)
class TiteBoin:
    """The rule: its `boin` where nobody is pending. A titration of `boin` still waits for each of its
    patients.

    More than `most_pending` of a level's patients pending, as a share: wait. InputError for a share outside 0 to
    1.

    >>> from kinetics.escalation import Boin, Cohort, TiteBoin
    >>> rule = TiteBoin(Boin(levels=4, target=0.3))
    >>> rule.decide([Cohort(level=1, evaluable=2, pending=1, followed=0.5)]).action
    'treat'
    >>> rule.levels, rule.trigger_levels
    (4, frozenset())
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = False
    boin: Boin
    most_pending: float = MOST_PENDING

    def __post_init__(self) -> None:
        if not 0 <= self.most_pending <= 1:
            raise InputError(Problem(f"a pending share of {self.most_pending:g}", "give one between 0 and 1"))

    @property
    def levels(self) -> int:
        """How many levels its `boin` has."""
        return self.boin.levels

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which the titration of its `boin` may run."""
        return self.boin.trigger_levels

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """What next, after these cohorts; the last is where the trial is."""
        check_history(history, self.levels)
        known = tallies(history, self.levels)
        if not any(t.pending for t in known.values()):
            return self.boin.decide(history)
        return self.boin.titrated(known) or self._weighed(history[-1].level, known)

    def _weighed(self, current: int, known: Mapping[int, Tally]) -> Decision:
        boin = self.boin
        own = known[current]
        treated = sum(t.treated for t in known.values())
        eliminated = boin.lowest_eliminated({i: Tally(t.treated, t.dlts) for i, t in known.items()})
        n = effective(own)
        counted = f"{own.dlts} with a DLT in {n:.2f} effective of {own.treated} treated at level {current}"
        clause, level = boin.move(current, own.dlts, n, counted, eliminated)
        if level == 0:
            return Decision("stop", clause, "nothing: who is pending cannot undo a DLT", mtd=0)
        if treated >= boin.most:
            return self._wait(
                f"{treated} patients were planned: the MTD waits for the open DLT windows", current
            )
        if eliminated > current:
            if held := self._held(current, own, n):
                return self._wait(held, current)
            full = boin.most_at_a_level is not None and own.treated >= boin.most_at_a_level
            if level == current and full:
                return self._wait(f"level {current} is full: the MTD waits for the open DLT windows", current)
        size = min(boin.cohort, boin.most - treated)
        return Decision("treat", clause, self._would(current, n), level=level, size=size)

    def _held(self, current: int, own: Tally, n: float) -> str:
        """Why accrual is suspended; empty where it is not."""
        if n == 0:
            return f"nobody at level {current} was followed yet: accrual is suspended"
        if own.pending > self.most_pending * own.treated:
            share = f"{own.pending} of {own.treated} at level {current} are pending"
            return f"{share}, more than {self.most_pending:.0%}: accrual is suspended"
        high = lambdas(self.boin.target)[1]
        if current == 1 and own.pending and own.dlts >= high * n:
            rate = f"{own.dlts} with a DLT in {n:.2f} effective at level 1, at least {high:.4f}"
            return f"{rate}: no level is below, so accrual is suspended until the open windows end"
        return ""

    def _wait(self, why: str, current: int) -> Decision:
        return Decision("wait", why, "the end of the open windows, or a DLT in one", level=current)

    def _would(self, current: int, n: float) -> str:
        low, high = (bound * n for bound in lambdas(self.boin.target))
        return f"in {n:.2f} effective at level {current}: {low:.2f} DLTs or fewer up, {high:.2f} or more down"


def effective(own: Tally) -> float:
    """The patients of a level, the pending ones at the share of the window that they were followed."""
    return own.evaluable + own.followed
