"""Exact operating characteristics: every outcome of every cohort, each with its probability. No simulation.

Histories that a rule cannot tell apart are one state. Each state is decided once, in the order of the number
of patients treated.
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

    `p_mtd` is P(no MTD), then P(MTD) of each level. `p_n` maps a number of patients to its probability.
    `patients` and `dlts` are expected numbers by level. `true_dlt` and `trigger_without_dlt` are the
    probabilities asked about; `states` is the number of final states.

    >>> from kinetics.escalation import operating_characteristics, storer_1989
    >>> result = operating_characteristics(storer_1989(levels=3), [0.05, 0.2, 0.5])
    >>> round(result.expected_n, 2), result.max_n, round(result.expected_dlt, 2)
    (10.29, 18, 2.4)
    >>> round(result.p_n_over(12), 3), round(result.overdosing(target=0.3), 3)
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
        """The expected number of patients, all levels together."""
        return sum(n * p for n, p in self.p_n.items())

    @property
    def max_n(self) -> int:
        """The most patients that the rule may need."""
        return max(self.p_n)

    @property
    def expected_dlt(self) -> float:
        """The expected number of patients with a DLT, all levels together."""
        return sum(self.dlts)

    def p_n_over(self, planned: int) -> float:
        """P(more patients than planned)."""
        return sum(p for n, p in self.p_n.items() if n > planned)

    def overdosing(self, target: float) -> float:
        """The share of patients treated at levels whose true DLT probability is above `target`.

        It is an expected number over an expected number.
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
    """The exact characteristics of a rule.

    Every patient is evaluable, and every window ends before the next decision. `trigger_without_dlt` is P(a
    titration trigger that is no DLT), one for all levels or one each; it counts where the rule looks at
    triggers. `one_by_one` asks the rule after every patient, so a level closed at its second DLT takes no
    more of its cohort. InputError for values that are not probabilities.

    >>> from kinetics.escalation import operating_characteristics, storer_1989
    >>> result = operating_characteristics(storer_1989(levels=3), [0.05, 0.2, 0.5])
    >>> [round(p, 3) for p in result.p_mtd]
    [0.027, 0.284, 0.571, 0.119]
    """
    triggers = check_truth(rule, true_dlt, trigger_without_dlt)
    return summed(final_states(rule, true_dlt, triggers, one_by_one), tuple(true_dlt), triggers)


def summed(
    reached: Sequence[tuple[State, int, float]], true_dlt: tuple[float, ...], triggers: tuple[float, ...]
) -> OperatingCharacteristics:
    """The characteristics of final states, each given as (state, MTD, probability)."""
    levels = len(true_dlt)
    p_mtd = [0.0] * (levels + 1)
    p_n: dict[int, float] = defaultdict(float)
    patients = [0.0] * levels
    dlts = [0.0] * levels
    for state, mtd, probability in reached:
        p_mtd[mtd] += probability
        p_n[sum(c.evaluable for c in state)] += probability
        for c in state:
            patients[c.level - 1] += probability * c.evaluable
            dlts[c.level - 1] += probability * c.dlts
    return OperatingCharacteristics(
        true_dlt=true_dlt,
        trigger_without_dlt=triggers,
        p_mtd=tuple(p_mtd),
        p_n=dict(sorted(p_n.items())),
        patients=tuple(patients),
        dlts=tuple(dlts),
        states=len(reached),
    )


def final_states(
    rule: Rule, true_dlt: Sequence[float], triggers: Sequence[float], one_by_one: bool = False
) -> list[tuple[State, int, float]]:
    """Every state in which the trial stops, the MTD found there, and the probability of the state."""
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
                what = f"the rule neither treats nor stops: {decision.why}"
                raise InputError(Problem(what, "correct the rule"))
            trigger = triggers[level - 1] if decision.titrating else 0.0
            later = waiting.setdefault(treated + size, defaultdict(float))
            for cohort, chance in outcomes(level, size, true_dlt[level - 1], trigger):
                later[next_state(rule, state, cohort)] += probability * chance
    return done


def next_state(rule: Rule, state: State, cohort: Cohort) -> State:
    """The state after a cohort: as much of the history as the rule can tell apart."""
    history = (*state, cohort)
    return merged(history, last_is_last=rule.order_matters, last_alone=rule.last_cohort_matters)


def outcomes(level: int, size: int, dlt: float, trigger: float) -> Iterator[tuple[Cohort, float]]:
    """Every outcome of a cohort, and its probability: numbers with a DLT, and with a trigger but no DLT.

    `dlt` and `trigger` are the probabilities of one patient.
    """
    for dlts in range(size + 1):
        most_triggers = size - dlts if trigger else 0
        for triggers in range(most_triggers + 1):
            neither = size - dlts - triggers
            arrangements = comb(size, dlts) * comb(size - dlts, triggers)
            chance = arrangements * dlt**dlts * trigger**triggers * (1 - dlt - trigger) ** neither
            if chance > 0:
                yield Cohort(level, size, dlts, triggers), chance


def check_truth(
    rule: Rule, true_dlt: Sequence[float], trigger_without_dlt: float | Sequence[float]
) -> tuple[float, ...]:
    """The trigger probability of every level; InputError with everything wrong with the probabilities."""
    problems = []
    if len(true_dlt) != rule.levels:
        what = f"{len(true_dlt)} true DLT probabilities for {rule.levels} levels"
        problems.append(Problem(what, "give one per level, the lowest first"))
    if isinstance(trigger_without_dlt, int | float):
        by_level = [float(trigger_without_dlt)] * len(true_dlt)
    else:
        by_level = list(trigger_without_dlt)
    if len(by_level) != len(true_dlt):
        what = f"{len(by_level)} trigger probabilities for {len(true_dlt)} levels"
        problems.append(Problem(what, "give one, or one per level"))
        by_level = [0.0] * len(true_dlt)
    triggers = [p if level in rule.trigger_levels else 0.0 for level, p in enumerate(by_level, start=1)]
    for level, (dlt, trigger) in enumerate(zip(true_dlt, triggers, strict=True), start=1):
        if not 0 <= dlt <= 1 or not 0 <= trigger <= 1:
            what = f"level {level}: {dlt:g} and {trigger:g} are not both probabilities"
            problems.append(Problem(what, "write 0 to 1"))
        elif dlt + trigger > 1 + 1e-12:
            both = f"P(DLT) {dlt:g} and P(trigger without DLT) {trigger:g}"
            what = f"level {level}: {both} add up to more than 1"
            problems.append(Problem(what, "a patient has one or the other: lower one of them"))
    if problems:
        raise InputError(problems)
    return tuple(triggers)
