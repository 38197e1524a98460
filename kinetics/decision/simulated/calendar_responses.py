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

from kinetics.escalation import Cohort, Decision, Joint, WholeCohorts

__all__ = ["responding"]

DRAWN = 1_000  # patients of a trial whose responses are drawn: more than any trial has


@dataclass(frozen=True)
class _Remembering(Joint):
    """The joint rule, which looks at counts alone, with its decisions kept."""

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts."""
        return _decision(self, tuple(sorted(history, key=astuple)))


@lru_cache(maxsize=20_000)
def _decision(rule: _Remembering, history: tuple[Cohort, ...]) -> Decision:
    """The decision after these cohorts, in whatever order they came."""
    return Joint.decide(rule, history)


@dataclass(frozen=True)
class _Responding(WholeCohorts):
    """The joint rule asked at any time, with the responses of one simulated trial.

    A patient at a level responds where the patient's number is below the level's true P(response).
    """

    true_response: tuple[float, ...] = ()
    numbers: tuple[float, ...] = ()

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these patients, in the order in which they were treated."""
        return super().decide(
            [self._with_response(c, u) for c, u in zip(history, self.numbers, strict=False)]
        )

    def _with_response(self, patient: Cohort, number: float) -> Cohort:
        if patient.pending:
            return replace(patient, response_pending=1)
        response = int(number < self.true_response[patient.level - 1])
        return replace(patient, responses=response, dlts_with_response=response * patient.dlts)


def responding(rule: Joint, true_response: Sequence[float], trial: int, seed: int) -> WholeCohorts:
    """The rule as trial `trial` of a seed asks it, its patients responding as is true of their level."""
    remembering = _Remembering(**{f.name: getattr(rule, f.name) for f in fields(rule)})
    numbers = np.random.default_rng([seed, 3000, trial]).random(DRAWN)
    return _Responding(remembering, tuple(true_response), tuple(numbers.tolist()))
