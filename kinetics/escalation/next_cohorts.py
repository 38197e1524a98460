"""What a rule would decide next: dose-transition tables and decision trees, before the patients are treated.

The next step is every outcome of the next cohort or, while DLT windows are open, every way in which they may
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
from kinetics.escalation.tite_pkboin12 import TitePkBoin12
from kinetics.escalation.whole_cohorts import WholeCohorts

__all__ = ["Branch", "transition_table", "transitions"]


@dataclass(frozen=True)
class Branch:
    """An outcome (in words: `said`), the decision after it, and the branches from there.

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
    branches = []
    for words, cohort, after in _next_steps(rule, history):
        later = transitions(rule, after, depth=depth - 1)
        branches.append(Branch(words, cohort, rule.decide(after), later))
    return tuple(branches)


def transition_table(rule: Rule, history: Sequence[Cohort] = (), *, depth: int = 1) -> DataFrame:
    """The tree of the next `depth` steps as a table: one row per outcome.

    `path` writes each cohort as level:DLTs/patients, joined by arrows. +2t are two triggers without a DLT;
    1r/0b is one response, none of them with a DLT; `ended` is the end of the open windows.

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
    rows = list(_table_rows(rule, transitions(rule, history, depth=depth), ""))
    table = DataFrame(rows, columns=["path", "action", "level", "size", "mtd", "why", "would_change"])
    return table.astype({"level": "Int64", "mtd": "Int64"})


def _table_rows(rule: Rule, branches: tuple[Branch, ...], path: str) -> Iterator[dict[str, object]]:
    """A row for each branch, followed by the rows of its later branches; `path` leads to the branches."""
    for branch in branches:
        step = _short(branch.cohort, rule) if branch.cohort else f"ended: {branch.said}"
        decision = branch.decision
        yield {
            "path": path + step,
            "action": decision.action,
            "level": decision.level,
            "size": decision.size,
            "mtd": decision.mtd,
            "why": decision.why,
            "would_change": decision.would_change,
        }
        yield from _table_rows(rule, branch.later, f"{path}{step} > ")


def _next_steps(rule: Rule, history: Sequence[Cohort]) -> Iterator[tuple[str, Cohort | None, list[Cohort]]]:
    """Every outcome of the next step: in words, the cohort, and the history after it."""
    decision = rule.decide(history)
    if decision.action == "stop":
        return
    if any(c.pending or c.response_pending for c in history):
        yield from _window_ends(rule, history)
    elif decision.action == "treat" and decision.level is not None:
        for cohort in _cohort_outcomes(rule, decision.level, decision.size, decision.titrating):
            yield _words(cohort, rule, decision.titrating), cohort, [*history, cohort]


def _cohort_outcomes(rule: Rule, level: int, size: int, titrating: bool) -> Iterator[Cohort]:
    """Every outcome of a cohort."""
    trigger = 0.2 if titrating else 0.0
    for cohort, _ in outcomes(level, size, 0.4, trigger):  # any probabilities will do: they are not looked at
        if not _looks_at_responses(rule):
            yield cohort
            continue
        without_dlt = size - cohort.dlts
        for both, alone in product(range(cohort.dlts + 1), range(without_dlt + 1)):
            yield replace(cohort, responses=both + alone, dlts_with_response=both)


def _window_ends(rule: Rule, history: Sequence[Cohort]) -> Iterator[tuple[str, None, list[Cohort]]]:
    """Every way in which the open windows may end: DLTs and responses among the pending of each level.

    Each is given in words, without a cohort, and with the history after it.
    """
    levels = sorted({c.level for c in history if c.pending or c.response_pending})
    pending = {level: sum(c.pending for c in history if c.level == level) for level in levels}
    awaited = dict.fromkeys(levels, 0)
    if _looks_at_responses(rule):
        awaited = {level: sum(c.response_pending for c in history if c.level == level) for level in levels}
    for dlts in product(*(range(pending[level] + 1) for level in levels)):
        dlts_at = dict(zip(levels, dlts, strict=True))
        for responses in product(*(range(awaited[level] + 1) for level in levels)):
            responses_at = dict(zip(levels, responses, strict=True))
            words = "; ".join(
                _window_words(level, dlts_at[level], pending[level], responses_at[level], awaited[level])
                for level in levels
            )
            yield words, None, _resolved(history, dlts_at, responses_at)


def _window_words(level: int, dlts: int, pending: int, responses: int, awaited: int) -> str:
    parts = [f"{dlts} of {pending} pending have a DLT"] if pending else []
    parts += [f"{responses} of {awaited} awaited respond"] if awaited else []
    return f"{' and '.join(parts)} at level {level}"


def _resolved(history: Sequence[Cohort], dlts: dict[int, int], responses: dict[int, int]) -> list[Cohort]:
    """The history once no window is open: these DLTs and responses (by level) go to the first pending."""
    dlts_left = dict(dlts)
    responses_left = dict(responses)
    resolved = []
    for c in history:
        new_dlts = min(c.pending, dlts_left.get(c.level, 0))
        new_responses = min(c.response_pending, responses_left.get(c.level, 0))
        if c.level in dlts_left:
            dlts_left[c.level] -= new_dlts
            responses_left[c.level] -= new_responses
        # Where everybody of the cohort has a new DLT, so have all who respond; else no response gets one.
        new_both = 0
        if new_dlts == c.evaluable + c.pending:
            new_both = min(new_dlts, c.responses + new_responses)
        resolved.append(
            replace(
                c,
                evaluable=c.evaluable + c.pending,
                dlts=c.dlts + new_dlts,
                triggers=max(0, c.triggers - new_dlts),
                pending=0,
                followed=0.0,
                responses=c.responses + new_responses,
                response_pending=0,
                response_followed=0.0,
                dlts_with_response=c.dlts_with_response + new_both,
            )
        )
    return resolved


def _looks_at_responses(rule: Rule) -> bool:
    inner = rule.rule if isinstance(rule, WholeCohorts) else rule
    return isinstance(inner, Boin12 | PkBoin12 | TitePkBoin12)


def _words(c: Cohort, rule: Rule, titrating: bool) -> str:
    """An outcome of a cohort in words."""
    words = f"{c.dlts} of {c.evaluable} at level {c.level} have a DLT"
    if titrating and not c.dlts:
        words += f", {c.triggers or 'none'} a trigger"
    if _looks_at_responses(rule):
        words += f" and {c.responses} respond"
        if c.dlts_with_response:
            words += f", {c.dlts_with_response} of them with a DLT"
    return words


def _short(c: Cohort, rule: Rule) -> str:
    """An outcome of a cohort as `transition_table` writes it in a path."""
    short = f"{c.level}:{c.dlts}/{c.evaluable}"
    if c.triggers:
        short += f"+{c.triggers}t"
    if _looks_at_responses(rule):
        short += f"+{c.responses}r/{c.dlts_with_response}b"
    return short
