"""Exact operating characteristics: every outcome of every cohort, each with its probability. No simulation.

Histories that a rule cannot tell apart are one state; each state is decided once, in the order of patients
treated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

from kinetics.errors import InputError, Problem
from kinetics.escalation.history import Cohort, Rule, merged

__all__ = [
    "OperatingCharacteristics",
    "check_truth",
    "final_states",
    "next_state",
    "operating_characteristics",
    "outcomes",
    "summed",
]

State = tuple[Cohort, ...]


@dataclass(frozen=True)
class OperatingCharacteristics:
    """What a rule does in the long run if these are the true probabilities.

    `p_mtd`: none first, then each level. `p_n`: patients -> probability. `patients` and `dlts`: expected, by
    level. `true_dlt` and `trigger_without_dlt` are what was asked; `states` were enumerated.

    >>> from kinetics.escalation import operating_characteristics, storer_1989
    >>> found = operating_characteristics(storer_1989(levels=3), [0.05, 0.2, 0.5])
    >>> round(found.expected_n, 2), found.max_n, round(found.expected_dlt, 2)
    (10.29, 18, 2.4)
    >>> round(found.p_n_over(12), 3), round(found.overdosing(target=0.3), 3)
    (0.108, 0.276)
    """

    true_dlt: tuple[float, ...]
    trigger_without_dlt: tuple[float, ...]
    p_mtd: tuple[float, ...]
    p_n: dict[int, float]
    patients: tuple[float, ...]
    dlts: tuple[float, ...]
    states: int

    @property
    def expected_n(self) -> float:
        """Patients, expected, all levels together."""
        return sum(n * p for n, p in self.p_n.items())

    @property
    def max_n(self) -> int:
        """The most patients that the rule may need."""
        return max(self.p_n)

    @property
    def expected_dlt(self) -> float:
        """Patients with a DLT, expected, all levels together."""
        return sum(self.dlts)

    def p_n_over(self, planned: int) -> float:
        """P(more patients than planned)."""
        return sum(p for n, p in self.p_n.items() if n > planned)

    def overdosing(self, target: float) -> float:
        """Share of patients, expected over expected, treated at levels whose true DLT probability is above
        `target`.
        """
        above = sum(n for n, p in zip(self.patients, self.true_dlt, strict=True) if p > target)
        return above / sum(self.patients)


def operating_characteristics(
    rule: Rule,
    true_dlt: Sequence[float],
    *,
    trigger_without_dlt: float | Sequence[float] = 0.0,
    one_by_one: bool = False,
) -> OperatingCharacteristics:
    """The exact characteristics of a rule; every patient is evaluable and every window ends before the next
    decision.

    `trigger_without_dlt` is P(a titration trigger that is no DLT), one for all levels or one each; it counts
    where the rule looks at triggers. `one_by_one` asks the rule after every patient: a level closed at its
    second DLT then takes no more of its cohort. InputError for what is no probability.

    >>> from kinetics.escalation import operating_characteristics, storer_1989
    >>> found = operating_characteristics(storer_1989(levels=3), [0.05, 0.2, 0.5])
    >>> [round(p, 3) for p in found.p_mtd]
    [0.027, 0.284, 0.571, 0.119]
    """
    triggers = check_truth(rule, true_dlt, trigger_without_dlt)
    return summed(final_states(rule, true_dlt, triggers, one_by_one), tuple(true_dlt), triggers)


def summed(
    reached: Sequence[tuple[State, int, float]], true_dlt: tuple[float, ...], triggers: tuple[float, ...]
) -> OperatingCharacteristics:
    """Characteristics of the final states: (state, MTD, probability)."""
    levels = len(true_dlt)
    mtd = [0.0] * (levels + 1)
    patients = [0.0] * levels
    dlts = [0.0] * levels
    size: dict[int, float] = defaultdict(float)
    for state, found, probability in reached:
        mtd[found] += probability
        size[sum(c.evaluable for c in state)] += probability
        for c in state:
            patients[c.level - 1] += probability * c.evaluable
            dlts[c.level - 1] += probability * c.dlts
    ordered = dict(sorted(size.items()))
    return OperatingCharacteristics(
        true_dlt, triggers, tuple(mtd), ordered, tuple(patients), tuple(dlts), len(reached)
    )


def final_states(
    rule: Rule, true_dlt: Sequence[float], triggers: Sequence[float], one_by_one: bool = False
) -> list[tuple[State, int, float]]:
    """Every state in which the trial stops, the MTD found there, and its probability."""
    waiting: dict[int, dict[State, float]] = {0: {(): 1.0}}  # patients treated -> states not yet decided
    done = []
    while waiting:
        treated = min(waiting)
        for state, probability in waiting.pop(treated).items():
            decision = rule.decide(state)
            if decision.mtd is not None:
                done.append((state, decision.mtd, probability))
                continue
            level = decision.level or 0
            size = 1 if one_by_one else decision.size
            if level == 0 or size == 0:
                raise InputError(
                    Problem(f"the rule neither treats nor stops: {decision.why}", "correct the rule")
                )
            trigger = triggers[level - 1] if decision.titrating else 0.0
            later = waiting.setdefault(treated + size, defaultdict(float))
            for cohort, chance in outcomes(level, size, true_dlt[level - 1], trigger):
                new = next_state(rule, state, cohort)
                later[new] += probability * chance
    return done


def next_state(rule: Rule, state: State, cohort: Cohort) -> State:
    """The state after a cohort: of its history what the rule can tell apart."""
    history = (*state, cohort)
    return merged(history, last_is_last=rule.order_matters, last_alone=rule.last_cohort_matters)


def outcomes(level: int, size: int, dlt: float, trigger: float) -> Iterator[tuple[Cohort, float]]:
    """Every outcome of a cohort and its probability: so many with a DLT, so many with a trigger that is
    none.
    """
    for y in range(size + 1):
        for t in range(size - y + 1 if trigger else 1):
            rest = size - y - t
            ways = comb(size, y) * comb(size - y, t)
            chance = ways * dlt**y * trigger**t * (1 - dlt - trigger) ** rest
            if chance > 0:
                yield Cohort(level, size, y, t), chance


def check_truth(
    rule: Rule, true_dlt: Sequence[float], trigger_without_dlt: float | Sequence[float]
) -> tuple[float, ...]:
    """The trigger probability of every level; InputError with everything wrong with the probabilities."""
    problems = []
    if len(true_dlt) != rule.levels:
        what = f"{len(true_dlt)} true DLT probabilities for {rule.levels} levels"
        problems.append(Problem(what, "give one a level, the lowest first"))
    single = isinstance(trigger_without_dlt, int | float)
    given = [float(trigger_without_dlt)] * len(true_dlt) if single else list(trigger_without_dlt)
    if len(given) != len(true_dlt):
        problems.append(
            Problem(
                f"{len(given)} trigger probabilities for {len(true_dlt)} levels", "give one, or one a level"
            )
        )
        given = [0.0] * len(true_dlt)
    triggers = [t if level in rule.trigger_levels else 0.0 for level, t in enumerate(given, start=1)]
    for level, (p, t) in enumerate(zip(true_dlt, triggers, strict=True), start=1):
        if not 0 <= p <= 1 or not 0 <= t <= 1:
            problems.append(
                Problem(f"level {level}: {p:g} and {t:g} are not both probabilities", "write 0 to 1")
            )
        elif p + t > 1 + 1e-12:
            what = f"level {level}: P(DLT) {p:g} and P(trigger without DLT) {t:g} add up to more than 1"
            problems.append(Problem(what, "a patient has one or the other: lower one of them"))
    if problems:
        raise InputError(problems)
    return tuple(triggers)
