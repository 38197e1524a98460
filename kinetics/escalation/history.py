"""What a dose rule takes and what it answers: cohorts in, one decision out.

Levels are counted from 1, the lowest; 0 stands for "none of them" (an MTD of 0: no level is tolerable).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import ClassVar, Literal, Protocol

from kinetics.errors import InputError, Problem

__all__ = [
    "Cohort",
    "Decision",
    "Rule",
    "Tally",
    "check_history",
    "escalation_last",
    "highest_tried",
    "merged",
    "tallies",
]


@dataclass(frozen=True)
class Cohort:
    """Patients treated at one level.

    `evaluable` patients have finished the DLT window or had a DLT; `dlts` of them had one. `pending` patients
    are treated, their window is open and they have had no DLT: they are not among the evaluable. `triggers`
    patients, evaluable or pending, had a titration trigger and no DLT. A patient who is not evaluable and was
    replaced is in none of the counts.

    Only some rules look at the rest. `followed` is the follow-up of the pending patients, each as a share of
    the window, summed. `responses` of the treated patients have responded, and `dlts_with_response` of these
    had a DLT too. For `response_pending` of them it is not known yet whether they respond;
    `response_followed` is their follow-up, each as a share of the time that a response may take, summed.

    >>> from kinetics.escalation import Cohort
    >>> Cohort(level=2, evaluable=3, dlts=1, pending=1, followed=0.4)
    Cohort(level=2, evaluable=3, dlts=1, triggers=0, pending=1, followed=0.4, responses=0, ...)
    """

    level: int
    evaluable: int
    dlts: int = 0
    triggers: int = 0
    pending: int = 0
    followed: float = 0.0
    responses: int = 0
    dlts_with_response: int = 0
    response_pending: int = 0
    response_followed: float = 0.0


@dataclass(frozen=True)
class Tally:
    """The counts of one level: those of all its cohorts together, named as in `Cohort`."""

    evaluable: int = 0
    dlts: int = 0
    triggers: int = 0
    pending: int = 0
    followed: float = 0.0
    responses: int = 0
    dlts_with_response: int = 0
    response_pending: int = 0
    response_followed: float = 0.0

    @property
    def treated(self) -> int:
        """Patients treated, evaluable or pending."""
        return self.evaluable + self.pending


@dataclass(frozen=True)
class Decision:
    """What to do next, the clause that says so, and what would have changed it.

    `action` is "treat" (`size` patients at `level`), "wait" (for the open DLT windows; nobody is treated) or
    "stop" (`mtd` is the level found, 0 where there is none). `why` is the clause. While `titrating`, a
    trigger in these patients matters.

    >>> from kinetics.escalation import Cohort, storer_1989
    >>> decision = storer_1989(levels=3).decide([Cohort(level=1, evaluable=3, dlts=1)])
    >>> decision.action, decision.level, decision.size
    ('treat', 1, 3)
    >>> print(decision.why)
    1 of 3 evaluable with a DLT at level 1: filled to 6
    """

    action: Literal["treat", "wait", "stop"]
    why: str
    would_change: str
    level: int | None = None
    size: int = 0
    mtd: int | None = None
    titrating: bool = False


class Rule(Protocol):
    """A dose rule: it answers one question, and the same history always gets the same answer.

    `order_matters` says whether the answer depends on the level treated last. `last_cohort_matters` says
    whether it depends on the last cohort, apart from the others at its level. `trigger_levels` are the levels
    at which a titration may run. An exact enumeration distinguishes histories only by these and by
    `Decision.titrating`.

    >>> from kinetics.escalation import Boin, Cohort, Rule
    >>> rule: Rule = Boin(levels=4, target=0.3)
    >>> rule.levels, rule.trigger_levels, rule.decide([Cohort(level=1, evaluable=3)]).level
    (4, frozenset(), 2)
    """

    order_matters: ClassVar[bool]
    last_cohort_matters: ClassVar[bool]

    @property
    def levels(self) -> int:
        """How many dose levels there are."""
        ...

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which a titration may run; none without one."""
        ...

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts."""
        ...


def check_history(history: Iterable[Cohort], levels: int) -> None:
    """InputError with every impossible cohort: a level that does not exist, counts that do not add up."""
    problems = []
    for place, c in enumerate(history, start=1):
        where = f"cohort {place} ({c.evaluable} evaluable at level {c.level})"
        if not 1 <= c.level <= levels:
            problems.append(Problem(f"{where}: there are levels 1 to {levels}", "correct its level"))
        if min(_counts(c)) < 0:
            problems.append(Problem(f"{where}: a count is below 0", "count patients from 0 up"))
        if c.dlts > c.evaluable or c.dlts + c.triggers > c.evaluable + c.pending:
            either = f"{c.dlts} with a DLT and {c.triggers} with a trigger but no DLT"
            what = f"{where}: {either} are more than there are"
            problems.append(Problem(what, "count each patient once; who had a DLT is evaluable"))
        if c.followed > c.pending:
            what = f"{where}: {c.pending} pending were followed for {c.followed:g} windows"
            problems.append(Problem(what, "sum their follow-up as shares of the window, each below 1"))
        if c.response_followed > c.response_pending:
            what = f"{where}: {c.response_pending} whose response is awaited were followed for "
            what += f"{c.response_followed:g} times as long as a response may take"
            problems.append(Problem(what, "sum their follow-up as shares of that time, each below 1"))
        if (c.responses or c.dlts_with_response or c.response_pending) and not _responses_add_up(c):
            responses = f"{c.responses} responses ({c.dlts_with_response} with a DLT)"
            what = f"{where}: {responses} and {c.response_pending} awaited do not add up"
            problems.append(Problem(what, "count each patient once"))
    if problems:
        raise InputError(problems)


def _responses_add_up(c: Cohort) -> bool:
    treated = c.evaluable + c.pending
    with_either = c.dlts + c.responses - c.dlts_with_response
    return (
        c.dlts_with_response <= min(c.dlts, c.responses)
        and with_either <= treated
        and c.responses + c.response_pending <= treated
    )


_counts = attrgetter(*(field.name for field in fields(Tally)))


def tallies(history: Iterable[Cohort], levels: int) -> dict[int, Tally]:
    """The counts of every level, 1 to `levels`, in whatever order the patients came."""
    rows: dict[int, list[tuple[float, ...]]] = {level: [] for level in range(1, levels + 1)}
    for c in history:
        rows[c.level].append(_counts(c))
    counts = {}
    for level, cohorts in rows.items():
        sums = map(sum, zip(*cohorts, strict=True))
        counts[level] = Tally(*sums)
    return counts


def highest_tried(counts: dict[int, Tally]) -> int:
    """The highest level at which anybody was treated; 0 where nobody was."""
    return max((level for level, t in counts.items() if t.treated), default=0)


def escalation_last(history: Sequence[Cohort], lowest: int) -> list[Cohort]:
    """The history with the cohorts below the level `lowest` first, in their order.

    Below it are patients whose product fell short of a level of the escalation. They count at their level,
    but the trial is where the last of the others was treated.
    """
    return [*(c for c in history if c.level < lowest), *(c for c in history if c.level >= lowest)]


def merged(history: Sequence[Cohort], *, last_is_last: bool, last_alone: bool = False) -> tuple[Cohort, ...]:
    """The history as one cohort a level, lowest first.

    With `last_is_last` the level treated last stands at the end. With `last_alone` the last cohort stands
    there by itself, and the others of its level are merged without it.
    """
    if last_alone and history:
        return (*merged(history[:-1], last_is_last=False), history[-1])
    counts = tallies(history, max((c.level for c in history), default=0))
    one_each = [Cohort(level, *_counts(t)) for level, t in counts.items() if t.treated]
    if last_is_last and history:
        one_each.sort(key=lambda c: (c.level == history[-1].level, c.level))
    return tuple(one_each)
