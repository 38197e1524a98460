"""A block of trials of one design under one truth: what a process of the bench computes at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.decision.designs import DESIGNS
from bench.decision.patients import patients_of
from bench.decision.truths import LIMIT, SCENARIOS, random_truth

__all__ = ["BLOCK", "block_of_trials"]

BLOCK = 50  # trials


def block_of_trials(design: str, truth: str, first: int, seed: int) -> pd.DataFrame:
    """One row a trial: truth, design, trial, level, right, lost, over, patients, and what the design said."""
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    rows = []
    for trial in range(first, first + BLOCK):
        case = scenarios[truth] if truth in scenarios else random_truth(trial, seed)
        outcome = DESIGNS[design](patients_of(case, trial, seed))
        above = np.array(case.dlt) > LIMIT
        rows.append(
            {
                "truth": truth,
                "design": design,
                "trial": trial,
                "level": outcome.level,
                "best": case.best,
                "right": int(outcome.level == case.best),
                "lost": round(case.lost(outcome.level), 4),
                "over": int(outcome.level > 0 and above[outcome.level - 1]),
                "patients": sum(outcome.patients),
                "above": sum(n for n, is_above in zip(outcome.patients, above, strict=True) if is_above),
                "dlts_above": sum(n for n, is_above in zip(outcome.dlts, above, strict=True) if is_above),
                "p_best": " ".join(f"{p:.4f}" for p in outcome.p_best) or None,
                "is_best": " ".join(str(int(i == case.best)) for i in range(1, len(above) + 1)),
                "p_over": " ".join(f"{p:.4f}" for p in outcome.p_over) or None,
                "is_over": " ".join(str(int(x)) for x in above),
            }
        )
    return pd.DataFrame(rows)
