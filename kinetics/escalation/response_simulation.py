"""Operating characteristics of rules that look at responses, by simulated trials.

Common random numbers: patient i of trial t has the same two uniform numbers whatever the rule and the truth,
one for the DLT and one for the response. So two rules, or two truths, differ by themselves and not by luck.
DLT and response are independent given the level.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from kinetics.errors import InputError, Problem
from kinetics.escalation.enumeration import OperatingCharacteristics, State, check_truth, next_state, summed
from kinetics.escalation.history import Cohort, Rule

__all__ = ["ResponseCharacteristics", "response_characteristics"]

BLOCK = 64  # patients whose numbers are drawn at once: more than most trials have


@dataclass(frozen=True)
class ResponseCharacteristics:
    """What a rule that looks at responses does in the long run, estimated from `trials` trials.

    `doses` holds the characteristics of dose and DLT; its `p_mtd` is P(OBD). `responses` is the expected
    number of responses by level, `true_response` the true probabilities.

    >>> from kinetics.escalation import Boin12, response_characteristics
    >>> result = response_characteristics(Boin12(levels=2), [0.05, 0.1], [0.1, 0.5], trials=50, seed=1)
    >>> len(result.p_obd), len(result.error), result.doses.max_n <= 36
    (3, 3, True)
    """

    doses: OperatingCharacteristics
    true_response: tuple[float, ...]
    responses: tuple[float, ...]
    trials: int
    seed: int

    @property
    def p_obd(self) -> tuple[float, ...]:
        """P(no OBD), then P(OBD) of each level."""
        return self.doses.p_mtd

    @property
    def error(self) -> tuple[float, ...]:
        """The simulation's standard error of each probability of `p_obd`."""
        return tuple(sqrt(p * (1 - p) / self.trials) for p in self.p_obd)


def response_characteristics(
    rule: Rule,
    true_dlt: Sequence[float],
    true_response: Sequence[float],
    *,
    trials: int = 10_000,
    seed: int = 0,
) -> ResponseCharacteristics:
    """What a rule does in `trials` trials if these are the true probabilities; the seed fixes all of it.

    Every patient is evaluable for DLT and response before the next decision. InputError for values that are
    not probabilities.

    >>> from kinetics.escalation import Boin12, response_characteristics
    >>> result = response_characteristics(Boin12(levels=2), [0.05, 0.1], [0.1, 0.5], trials=50, seed=1)
    >>> result.p_obd.index(max(result.p_obd))
    2
    """
    triggers = check_truth(rule, true_dlt, 0.0)
    _check(true_dlt, true_response, trials)
    ended = _ended(rule, true_dlt, true_response, trials, seed)
    reached = [(state, mtd, count / trials) for (state, mtd), count in ended.items()]
    responses = [0.0] * rule.levels
    for state, _, share in reached:
        for c in state:
            responses[c.level - 1] += share * c.responses
    doses = summed(reached, tuple(true_dlt), triggers)
    return ResponseCharacteristics(doses, tuple(true_response), tuple(responses), trials, seed)


def _ended(
    rule: Rule, dlt: Sequence[float], response: Sequence[float], trials: int, seed: int
) -> Counter[tuple[State, int]]:
    """How many trials end in each (final state, level found there). Trials in one state are decided once."""
    numbers = _Numbers(trials, seed)
    ended = Counter[tuple[State, int]]()
    running: dict[State, np.ndarray] = {(): np.arange(trials)}  # state -> the numbers of the trials in it
    while running:
        later: dict[State, list[np.ndarray]] = defaultdict(list)
        for state, in_state in running.items():
            decision = rule.decide(state)
            if decision.mtd is not None:
                ended[state, decision.mtd] += len(in_state)
                continue
            level = decision.level or 0
            size = decision.size
            if level == 0 or size == 0:
                what = f"the rule neither treats nor stops: {decision.why}"
                raise InputError(Problem(what, "correct the rule"))
            treated = sum(c.evaluable for c in state)
            drawn = numbers.of_trials(in_state, treated, size)
            events = drawn < (dlt[level - 1], response[level - 1])  # trial x patient x (DLT, response)
            counts = np.column_stack([events.sum(axis=1), events.all(axis=2).sum(axis=1)])
            outcomes, outcome_of = np.unique(counts, axis=0, return_inverse=True)
            for i, (dlts, responses, both) in enumerate(outcomes.tolist()):
                cohort = Cohort(level, size, dlts, responses=responses, dlts_with_response=both)
                later[next_state(rule, state, cohort)].append(in_state[outcome_of.reshape(-1) == i])
        running = {state: np.concatenate(parts) for state, parts in later.items()}
    return ended


class _Numbers:
    """The uniform numbers of every trial's patients, drawn in blocks as trials grow."""

    def __init__(self, trials: int, seed: int) -> None:
        self.trials = trials
        self.seed = seed
        self.blocks = np.empty((trials, 0, 2))

    def of_trials(self, trials: np.ndarray, first: int, size: int) -> np.ndarray:
        """The numbers of `size` patients from `first` on: trial x patient x (DLT, response)."""
        while self.blocks.shape[1] < first + size:
            rng = np.random.default_rng([self.seed, self.blocks.shape[1]])
            self.blocks = np.concatenate([self.blocks, rng.random((self.trials, BLOCK, 2))], axis=1)
        return self.blocks[trials, first : first + size]


def _check(true_dlt: Sequence[float], true_response: Sequence[float], trials: int) -> None:
    """InputError with everything wrong with the response probabilities and the number of trials."""
    problems = []
    if len(true_response) != len(true_dlt):
        what = f"{len(true_response)} true response probabilities for {len(true_dlt)} levels"
        problems.append(Problem(what, "give one per level, the lowest first"))
    if wrong := [p for p in true_response if not 0 <= p <= 1]:
        problems.append(Problem(f"a true response probability of {wrong[0]:g}", "write 0 to 1"))
    if trials < 1:
        problems.append(Problem(f"{trials} trials", "simulate at least 1"))
    if problems:
        raise InputError(problems)
