"""Responses for the joint rule in calendar time, which knows of no responses of its own.

Patient i of trial t has the same uniform number whatever the rule. A response is known when the patient's DLT
window ends, or with the DLT (OURS); before that it is awaited. Decisions are remembered by their counts,
because most trials pass through the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import lru_cache

import numpy as np

from kinetics.escalation import Cohort, Decision, Joint

__all__ = ["responding"]

DRAWN = 1_000  # patients of a trial whose responses are drawn: more than any trial has


@dataclass(frozen=True)
class _Responding(Joint):
    """The joint rule with the responses of one simulated trial.

    A patient at a level responds where the patient's number is below the level's true P(response).
    """

    true_response: tuple[float, ...] = ()
    numbers: tuple[float, ...] = ()

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these patients, in the order in which they were treated."""
        patients = [self._with_response(c, u) for c, u in zip(history, self.numbers, strict=False)]
        rule = Joint(**{field.name: getattr(self, field.name) for field in fields(Joint)})
        return _decision(rule, tuple(sorted(patients, key=astuple)))

    def _with_response(self, patient: Cohort, number: float) -> Cohort:
        if patient.pending:
            return replace(patient, response_pending=1)
        response = int(number < self.true_response[patient.level - 1])
        return replace(patient, responses=response, dlts_with_response=response * patient.dlts)


@lru_cache(maxsize=20_000)
def _decision(rule: Joint, history: tuple[Cohort, ...]) -> Decision:
    """The decision after these patients, whose order does not matter."""
    return rule.decide(history)


def responding(rule: Joint, true_response: Sequence[float], trial: int, seed: int) -> Joint:
    """The rule as trial `trial` of a seed asks it, its patients responding as is true of their level."""
    numbers = np.random.default_rng([seed, 3000, trial]).random(DRAWN)
    own = {field.name: getattr(rule, field.name) for field in fields(rule)}
    return _Responding(**own, true_response=tuple(true_response), numbers=tuple(numbers.tolist()))
