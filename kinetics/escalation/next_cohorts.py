"""What a rule would say next: dose-transition tables and decision trees, before the patients are treated.

The next step is every outcome of the next cohort, or, while DLT windows are open, every way in which they may
end. Where the rule looks at responses, an outcome is DLTs and responses together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from pandas import DataFrame

from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.enumeration import outcomes
from kinetics.escalation.history import Cohort, Decision, Rule
from kinetics.escalation.pkboin12 import PkBoin12
from kinetics.escalation.whole_cohorts import WholeCohorts

__all__ = ["Branch", "transition_table", "transitions"]


@dataclass(frozen=True)
class Branch:
    """What may happen (`said` in words), the decision then, and the branches from there.

    `cohort` is the next cohort's outcome; None where the open windows of those treated before end.

    >>> from kinetics.escalation import storer_1989, transitions
    >>> branch = transitions(storer_1989(levels=3))[1]
    >>> branch.said, branch.cohort.dlts, branch.decision.level, branch.later
    ('1 of 3 at level 1 have a DLT', 1, 1, ())
    """

    said: str
    cohort: Cohort | None
    decision: Decision
    later: tuple[Branch, ...] = ()


def transitions(rule: Rule, history: Sequence[Cohort] = (), *, depth: int = 1) -> tuple[Branch, ...]:
    """The tree of the next `depth` steps; nothing where the rule stops.

    >>> from kinetics.escalation import storer_1989, transitions
    >>> [(branch.said, branch.decision.level) for branch in transitions(storer_1989(levels=3))][:2]
    [('0 of 3 at level 1 have a DLT', 2), ('1 of 3 at level 1 have a DLT', 1)]
    """
    if depth < 1:
        return ()
    found = []
    for said, cohort, after in _ends(rule, history):
        found.append(Branch(said, cohort, rule.decide(after), transitions(rule, after, depth=depth - 1)))
    return tuple(found)


def transition_table(rule: Rule, history: Sequence[Cohort] = (), *, depth: int = 1) -> DataFrame:
    """The tree as a table: one row an outcome, `path` as level:DLTs/patients joined by arrows.

    +2t are two triggers without a DLT; 1r/0b one response, none of them with a DLT; `ended` the open windows'
    end. `depth` steps ahead.

    >>> from kinetics.escalation import storer_1989, transition_table
    >>> table = transition_table(storer_1989(levels=3))
    >>> list(table)
    ['path', 'action', 'level', 'size', 'mtd', 'why', 'would_change']
    >>> table[["path", "action", "level"]]
        path action  level
    0  1:0/3  treat      2
    1  1:1/3  treat      1
    2  1:2/3   stop   <NA>
    3  1:3/3   stop   <NA>
    """
    rows: list[dict[str, object]] = []

    def add(branches: tuple[Branch, ...], path: str) -> None:
        for b in branches:
            here = path + (_short(b.cohort, rule) if b.cohort else f"ended: {b.said}")
            d = b.decision
            rows.append(
                {
                    "path": here,
                    "action": d.action,
                    "level": d.level,
                    "size": d.size,
                    "mtd": d.mtd,
                    "why": d.why,
                    "would_change": d.would_change,
                }
            )
            add(b.later, f"{here} > ")

    add(transitions(rule, history, depth=depth), "")
    table = DataFrame(rows, columns=["path", "action", "level", "size", "mtd", "why", "would_change"])
    return table.astype({"level": "Int64", "mtd": "Int64"})


def _ends(rule: Rule, history: Sequence[Cohort]) -> Iterator[tuple[str, Cohort | None, list[Cohort]]]:
    """Every outcome of the next step: in words, the cohort, and the history after it."""
    decision = rule.decide(history)
    if decision.action == "stop":
        return
    if any(c.pending or c.response_pending for c in history):
        yield from _ended(rule, history)
    elif decision.action == "treat" and decision.level is not None:
        for cohort in _next(rule, decision.level, decision.size, decision.titrating):
            yield _words(cohort, rule, decision.titrating), cohort, [*history, cohort]


def _next(rule: Rule, level: int, size: int, titrating: bool) -> Iterator[Cohort]:
    """Every outcome of a cohort."""
    for cohort, _ in outcomes(level, size, 0.4, 0.2 if titrating else 0.0):
        if not _looks_at_responses(rule):
            yield cohort
            continue
        free = size - cohort.dlts
        for both, alone in product(range(cohort.dlts + 1), range(free + 1)):
            yield replace(cohort, responses=both + alone, dlts_with_response=both)


def _ended(rule: Rule, history: Sequence[Cohort]) -> Iterator[tuple[str, None, list[Cohort]]]:
    """Every way in which the open windows may end: so many DLTs, and responses, among those who wait at a
    level.
    """
    levels = sorted({c.level for c in history if c.pending or c.response_pending})
    waiting = {i: sum(c.pending for c in history if c.level == i) for i in levels}
    answers = {i: sum(c.response_pending for c in history if c.level == i) for i in levels}
    counts = answers if _looks_at_responses(rule) else dict.fromkeys(levels, 0)
    for dlts in product(*(range(waiting[i] + 1) for i in levels)):
        for responses in product(*(range(counts[i] + 1) for i in levels)):
            told = zip(levels, dlts, responses, strict=True)
            said = "; ".join(_told(i, y, waiting[i], r, counts[i]) for i, y, r in told)
            yield (
                said,
                None,
                _resolved(
                    history, dict(zip(levels, dlts, strict=True)), dict(zip(levels, responses, strict=True))
                ),
            )


def _told(level: int, dlts: int, pending: int, responses: int, awaited: int) -> str:
    parts = [f"{dlts} of {pending} pending have a DLT"] if pending else []
    parts += [f"{responses} of {awaited} awaited respond"] if awaited else []
    return f"{' and '.join(parts)} at level {level}"


def _resolved(history: Sequence[Cohort], dlts: dict[int, int], responses: dict[int, int]) -> list[Cohort]:
    """The history once no window is open: these DLTs and responses go to the first who wait."""
    dlts = dict(dlts)
    responses = dict(responses)
    found = []
    for c in history:
        y = min(c.pending, dlts.get(c.level, 0))
        r = min(c.response_pending, responses.get(c.level, 0))
        if c.level in dlts:
            dlts[c.level] -= y
            responses[c.level] -= r
        both = min(y, c.responses + r) if y == c.evaluable + c.pending else 0
        found.append(
            replace(
                c,
                evaluable=c.evaluable + c.pending,
                dlts=c.dlts + y,
                triggers=max(0, c.triggers - y),
                pending=0,
                followed=0.0,
                responses=c.responses + r,
                response_pending=0,
                dlts_with_response=c.dlts_with_response + both,
            )
        )
    return found


def _looks_at_responses(rule: Rule) -> bool:
    inner = rule.rule if isinstance(rule, WholeCohorts) else rule
    return isinstance(inner, Boin12 | PkBoin12)


def _words(c: Cohort, rule: Rule, titrating: bool) -> str:
    said = f"{c.dlts} of {c.evaluable} at level {c.level} have a DLT"
    if titrating and not c.dlts:
        said += f", {c.triggers} a trigger" if c.triggers else ", none a trigger"
    if _looks_at_responses(rule):
        also = f", {c.dlts_with_response} of them with a DLT" if c.dlts_with_response else ""
        said += f" and {c.responses} respond{also}"
    return said


def _short(c: Cohort, rule: Rule) -> str:
    extra = f"+{c.triggers}t" if c.triggers else ""
    extra += f"+{c.responses}r/{c.dlts_with_response}b" if _looks_at_responses(rule) else ""
    return f"{c.level}:{c.dlts}/{c.evaluable}{extra}"
