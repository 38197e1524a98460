"""TITE-BOIN (Yuan 2018, Clin Cancer Res 24:4921): BOIN that decides while DLT windows are open.

A pending patient counts as the share of the window for which the patient was followed: the DLT rate at the
current level is DLTs over n - pending + (follow-up of the pending) / window, and BOIN's lambdas decide.
Accrual is suspended where more than half of the level's patients are pending, and at level 1 where the rate
is at or above lambda_d and a window is open. Elimination counts every treated patient, so it is certain: a
pending patient has had no DLT yet.

This effective number is that of the R package TITEgBOIN (Lin & Yuan 2020, Biostatistics 21:807). The paper of
2018 imputes the pending DLTs instead: FROM MEMORY, (DLTs + p/(1-p) (pending - follow-up)) / n, which is close
for a small p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from kinetics.errors import InputError, Problem
from kinetics.escalation.boin import Boin
from kinetics.escalation.history import Cohort, Decision, Tally, check_history, escalation_last, tallies

__all__ = ["TiteBoin", "effective"]

MOST_PENDING = 0.5  # of a level's patients, above it accrual is suspended: Yuan 2018; TITEgBOIN, maxpen


@dataclass(frozen=True)
class TiteBoin:
    """BOIN with time-to-event weights for pending patients. Where nobody is pending, its `boin` decides.

    A titration of `boin` still waits for each of its patients. The rule waits where more than the share
    `most_pending` of a level's patients are pending. InputError for a share outside 0 to 1.

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
        """The decision after these cohorts. The trial is at the level of the last one."""
        check_history(history, self.levels)
        history = escalation_last(history, self.boin.lowest)
        counts = tallies(history, self.levels)
        begun = bool(history) and history[-1].level >= self.boin.lowest
        if not begun or not any(t.pending for t in counts.values()):
            return self.boin.decide(history)
        return self.boin.titrated(counts) or self._weighed(history[-1].level, counts)

    def _weighed(self, current: int, counts: Mapping[int, Tally]) -> Decision:
        """The decision while windows are open, the pending weighed by their follow-up."""
        boin = self.boin
        tally = counts[current]
        treated = sum(t.treated for t in counts.values())
        all_evaluable = {level: Tally(t.treated, t.dlts) for level, t in counts.items()}
        eliminated = boin.lowest_eliminated(all_evaluable)
        n = effective(tally)
        counted = (
            f"{tally.dlts} with a DLT in {n:.2f} effective of {tally.treated} treated at level {current}"
        )
        clause, level = boin.move(current, tally.dlts, n, counted, eliminated)
        if level == 0:
            return Decision("stop", clause, "nothing: who is pending cannot undo a DLT", mtd=0)
        if treated >= boin.most:
            why = f"{treated} patients were planned: the MTD waits for the open DLT windows"
            return self._wait(why, current)
        if eliminated > current:
            if suspended := self._suspended(current, tally, n):
                return self._wait(suspended, current)
            full = boin.most_at_a_level is not None and tally.treated >= boin.most_at_a_level
            if level == current and full:
                return self._wait(f"level {current} is full: the MTD waits for the open DLT windows", current)
        size = min(boin.cohort, boin.most - treated)
        return Decision("treat", clause, self._would(current, n), level=level, size=size)

    def _suspended(self, current: int, tally: Tally, n: float) -> str:
        """Why accrual is suspended; empty where it is not."""
        if n == 0:
            return f"nobody at level {current} was followed yet: accrual is suspended"
        if tally.pending > self.most_pending * tally.treated:
            share = f"{tally.pending} of {tally.treated} at level {current} are pending"
            return f"{share}, more than {self.most_pending:.0%}: accrual is suspended"
        high = self.boin.lambdas[1]
        if current == self.boin.lowest and tally.pending and tally.dlts >= high * n:
            rate = f"{tally.dlts} with a DLT in {n:.2f} effective at level {current}, at least {high:.4f}"
            return f"{rate}: no level is below, so accrual is suspended until the open windows end"
        return ""

    def _wait(self, why: str, current: int) -> Decision:
        return Decision("wait", why, "the end of the open windows, or a DLT in one", level=current)

    def _would(self, current: int, n: float) -> str:
        low, high = self.boin.lambdas
        bounds = f"{low * n:.2f} DLTs or fewer up, {high * n:.2f} or more down"
        return f"in {n:.2f} effective at level {current}: {bounds}"


def effective(tally: Tally) -> float:
    """The patients of a level, each pending one counted as the share of the window followed so far."""
    return tally.evaluable + tally.followed
