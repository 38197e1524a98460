"""A block of trials of one design under one truth: what a process of the bench computes at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.decision.designs import DESIGNS, DOSES, LIMIT
from bench.decision.spoiled import spoiled_patients, spoiled_truth
from kinetics.decision.simulated.comparison import measured
from kinetics.decision.simulated.patients import patients_of
from kinetics.decision.simulated.truths import random_truth, scenarios

__all__ = ["BLOCK", "SCENARIOS", "block_of_trials"]

BLOCK = 50  # trials
SCENARIOS = scenarios(DOSES, LIMIT)


def block_of_trials(design: str, truth: str, first: int, seed: int, spoiling: str = "") -> pd.DataFrame:
    """One row a trial: truth, design, trial, level, how well it went, and what the design said.

    `spoiling` names what is wrong with the data, "" for nothing.
    """
    cases = {scenario.name: scenario for scenario in SCENARIOS}
    rows = []
    for trial in range(first, first + BLOCK):
        case = cases[truth] if truth in cases else random_truth(trial, seed, DOSES, LIMIT)
        case = spoiled_truth(case, spoiling, trial)
        patients = spoiled_patients(patients_of(case, trial, seed), spoiling, trial, seed)
        outcome = DESIGNS[design](patients)
        above = np.array(case.dlt) > LIMIT
        well = measured(case, outcome)
        rows.append(
            {
                "truth": truth,
                "design": design,
                "trial": trial,
                "level": outcome.level,
                "patients": sum(outcome.patients),
                **well,
                "p_best": " ".join(f"{p:.4f}" for p in outcome.p_best) or None,
                "is_best": " ".join(str(int(i == case.best)) for i in range(1, len(above) + 1)),
                "p_over": " ".join(f"{p:.4f}" for p in outcome.p_over) or None,
                "is_over": " ".join(str(int(x)) for x in above),
            }
        )
    return pd.DataFrame(rows)
