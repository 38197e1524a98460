"""Operating characteristics by simulated trials, for rules with too many histories to enumerate.

Trials in the same state are decided once and drawn together, so 200,000 trials of a 3+3 take a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from kinetics.escalation.enumeration import OperatingCharacteristics, State, check_truth, next_state, summed
from kinetics.escalation.history import Cohort, Rule

__all__ = ["simulated_characteristics"]


def simulated_characteristics(
    rule: Rule,
    true_dlt: Sequence[float],
    *,
    trigger_without_dlt: float | Sequence[float] = 0.0,
    trials: int = 10_000,
    seed: int = 0,
) -> OperatingCharacteristics:
    """The same as `operating_characteristics`, with shares of `trials` in place of probabilities.

    The seed fixes all of it.

    >>> from kinetics.escalation import Boin, simulated_characteristics
    >>> result = simulated_characteristics(Boin(levels=3, target=0.3), [0.05, 0.3, 0.5], trials=50, seed=1)
    >>> result.p_mtd.index(max(result.p_mtd))  # the level found most often
    2
    """
    triggers = check_truth(rule, true_dlt, trigger_without_dlt)
    rng = np.random.default_rng(seed)
    running: dict[State, int] = {(): trials}  # state -> trials in it
    done: dict[tuple[State, int], int] = defaultdict(int)  # (final state, MTD) -> trials that ended so
    while running:
        later: dict[State, int] = defaultdict(int)
        for state, count in running.items():
            decision = rule.decide(state)
            if decision.mtd is not None:
                done[state, decision.mtd] += count
                continue
            level = decision.level or 1
            dlt = true_dlt[level - 1]
            trigger = triggers[level - 1] if decision.titrating else 0.0
            chances = (dlt, trigger, max(0.0, 1 - dlt - trigger))
            drawn = rng.multinomial(decision.size, chances, size=count)
            outcomes, repeats = np.unique(drawn, axis=0, return_counts=True)
            for (dlts, with_trigger, _), repeat in zip(outcomes, repeats, strict=True):
                cohort = Cohort(level, decision.size, int(dlts), int(with_trigger))
                later[next_state(rule, state, cohort)] += int(repeat)
        running = later
    reached = [(state, mtd, count / trials) for (state, mtd), count in done.items()]
    return summed(reached, tuple(true_dlt), triggers)
