"""A block of trials of one design under one truth: what a process of the bench computes at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.pk_designs.designs import DESIGNS
from bench.pk_designs.patients import patients_of
from bench.pk_designs.truths import SCENARIOS, TARGET, random_truth

__all__ = ["BLOCK", "block_of_trials"]

BLOCK = 100  # trials
MARGIN = 0.05  # a level of P(DLT) above target + MARGIN is too toxic


def block_of_trials(design: str, truth: str, first: int, seed: int, count: int = BLOCK) -> pd.DataFrame:
    """One row a trial: truth, design, trial, level, answer (the right level), right, patients, dlts, above.

    `above`: patients at levels whose P(DLT) is more than 5 points above the target.
    """
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    rows = []
    for trial in range(first, first + count):
        case = scenarios[truth] if truth in scenarios else random_truth(trial, seed)
        outcome = DESIGNS[design](patients_of(case, trial, seed))
        toxic = np.array(case.dlt) > TARGET + MARGIN
        rows.append(
            {
                "truth": truth,
                "design": design,
                "trial": trial,
                "level": outcome.level,
                "answer": case.right,
                "right": int(outcome.level == case.right),
                "patients": sum(outcome.patients),
                "dlts": sum(outcome.dlts),
                "above": int(np.array(outcome.patients)[toxic].sum()),
            }
        )
    return pd.DataFrame(rows)
