"""Whether a rule's answer depends on the order in which the patients came.

A rule of whole cohorts looks at the counts of each level and at its last cohort. So two orders are told apart
only by which patients of one level came last, and how many of them make the last cohort.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kinetics.escalation.history import Cohort, Decision, Rule
from kinetics.escalation.whole_cohorts import WholeCohorts

__all__ = ["answers_of_orders", "order_matters"]


def order_matters(rule: Rule) -> bool:
    """Whether a rule looks at the order of its patients at all.

    >>> from kinetics.escalation import Boin, asked_patient_by_patient, order_matters, storer_1989
    >>> order_matters(storer_1989(3)), order_matters(asked_patient_by_patient(Boin(3, 0.3)))
    (False, True)
    """
    return rule.order_matters or rule.last_cohort_matters


def answers_of_orders(rule: Rule, history: Sequence[Cohort]) -> tuple[Decision, ...]:
    """The different answers of a rule to one history in every order: one, or the first two that differ.

    `history` has one cohort for each patient. Decisions differ by what is to be done, not by their words.

    >>> from kinetics.escalation import Boin, Cohort, answers_of_orders, asked_patient_by_patient
    >>> rule = asked_patient_by_patient(Boin(levels=3, target=0.3))
    >>> history = [Cohort(1, 1)] * 3 + [Cohort(2, 1), Cohort(2, 1, dlts=1), Cohort(2, 1, dlts=1)]
    >>> [(answer.action, answer.level) for answer in answers_of_orders(rule, history)]
    [('treat', 2), ('treat', 1)]
    """
    answers: dict[tuple[object, ...], Decision] = {}
    orders = _orders(history, rule.cohort) if isinstance(rule, WholeCohorts) else iter([list(history)])
    for order in orders:
        decision = rule.decide(order)
        answers.setdefault((decision.action, decision.level, decision.size, decision.mtd), decision)
        if len(answers) > 1:
            break
    return tuple(answers.values())


def _orders(history: Sequence[Cohort], size: int) -> Iterator[list[Cohort]]:
    """One order for each last cohort that there may have been, of at most `size` patients."""
    if not history:
        yield []
        return
    for level in sorted({c.level for c in history}):
        at_level = Counter(c for c in history if c.level == level)
        elsewhere = sorted((c for c in history if c.level != level), key=lambda c: c.level)
        count = at_level.total()
        if elsewhere:
            sizes = range(1, min(size, count) + 1)
        else:
            sizes = range((count - 1) % size + 1, (count - 1) % size + 2)  # one level: nothing stands between
        for last in sizes:
            for chosen in _choices(list(at_level.items()), last):
                rest = list((at_level - chosen).elements())
                yield [*rest, *elsewhere, *chosen.elements()]


def _choices(counts: Sequence[tuple[Cohort, int]], size: int) -> Iterator[Counter[Cohort]]:
    """Every way to take `size` patients of these kinds, of which there are so many."""
    if size == 0:
        yield Counter()
        return
    if not counts:
        return
    (kind, count), *others = counts
    for taken in range(min(count, size), -1, -1):
        for rest in _choices(others, size - taken):
            yield rest + Counter({kind: taken})
