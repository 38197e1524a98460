"""Make the synthetic CAR-T study of this folder: python data/synthetic_cart_survival_60/make.py

SYNTHETIC: no patient stands behind any row. Sixty virtual patients with one infusion of 1e8 CAR-T cells and
one event each (progression or death). Copies are those of models/ogasawara_2021.py; their peak and
contraction differ between patients. They are sampled on planned days up to the event. The hazard of the event
follows the true curve: the highest value up to now, with a hazard ratio of 0.45 (exp -0.8) per ten-fold.
Grades of CRS follow the copies of their day. The same seed gives the same files.

`make_trial` makes the other trials of bench/joint_survival.py too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from kinetics import load_model
from kinetics.files import write_atomic
from kinetics.regimen import pad_doses
from kinetics.solve import solve

HERE = Path(__file__).parent
SEED = 20261201
PATIENTS = 60
SAMPLED = (3.0, 7.0, 10.0, 14.0, 21.0, 28.0, 56.0, 90.0, 180.0)  # days
LLOQ = 50.0  # copies/ug DNA
CENSORED_ON = 365.0  # day
REFERENCE = 1e4  # copies/ug DNA at which the hazard is the baseline's
SLOPES = {
    "log_peak": -0.8,
    "log_current": -0.8,
    "log_peak, no effect": 0.0,
}  # case -> log hazard ratio per ten-fold
MEDIAN = 150.0  # days, at the reference
SHAPE = 1.0
SPREAD = {"cmax": 1.2, "half_life_contraction": 0.4}  # SDs between patients, of logs
SIGMA = 0.4  # SD on log
GRADED_ON = (1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 14.0, 17.0, 21.0, 28.0)  # days
GRADE_SLOPE = 1.5  # log odds ratio of a higher grade of CRS per ten-fold of the copies on that day
GRADE_CUTS = (0.5, 1.5, 2.5)  # of grades 1, 2 and 3: minus their log odds at the reference
STEP = 0.05  # days, of the grid on which the event is drawn


def make_trial(case: str, seed: int, folder: Path) -> None:
    """Write a trial of this case and seed; the link is the case's name up to a comma."""
    rng = np.random.default_rng([seed, list(SLOPES).index(case)])
    names = [f"P{i:02d}" for i in range(PATIENTS)]
    doses = pd.DataFrame({"subject": names, "time": 0.0, "product": "car_t", "route": "iv", "cells": 1e8})

    # everybody's true curve
    grid = np.arange(0.0, CENSORED_ON + 0.01, STEP)
    copies = true_copies(rng, grid, doses)

    # the event, by its cumulative hazard on the grid
    x = np.log10(np.maximum(copies, LLOQ) / REFERENCE)
    if case.partition(",")[0] == "log_peak":
        x = np.maximum.accumulate(x, axis=1)
    rate = np.log(2.0) * SHAPE / MEDIAN * (np.maximum(grid, 1e-9) / MEDIAN) ** (SHAPE - 1.0)
    hazard = rate * np.exp(SLOPES[case] * x)
    cumulative = np.cumsum(0.5 * (hazard[:, 1:] + hazard[:, :-1]) * STEP, axis=1)
    goal = rng.exponential(size=PATIENTS)
    times = np.array([np.interp(g, h, grid[1:], right=np.inf) for g, h in zip(goal, cumulative, strict=True)])
    end = np.maximum(np.minimum(times, CENSORED_ON).round(2), STEP)
    happened = (times < CENSORED_ON).astype(int)
    subjects = {"subject": names, "weight_kg": 70.0, "pfs_days": end, "pfs_event": happened}

    # the samples up to the event
    rows = []
    for i, name in enumerate(names):
        for day in SAMPLED:
            value = copies[i, round(day / STEP)] * np.exp(SIGMA * rng.standard_normal())
            if day <= end[i]:
                reported = (LLOQ, "left") if value < LLOQ else (float(f"{value:.4g}"), "none")
                rows.append((name, day, "car_copies", *reported))
    rows += daily_grades(np.random.default_rng([seed, list(SLOPES).index(case), 1]), names, copies, end)
    observations = pd.DataFrame(rows, columns=["subject", "time", "analyte", "value", "censored"])

    write_atomic(folder / "subjects.csv", pd.DataFrame(subjects).to_csv(index=False))
    write_atomic(folder / "doses.csv", doses.to_csv(index=False))
    write_atomic(folder / "observations.csv", observations.to_csv(index=False))


def daily_grades(
    rng: np.random.Generator, names: list[str], copies: np.ndarray, end: np.ndarray
) -> list[tuple[str, float, str, float, str]]:
    """Grades of CRS by proportional odds of the true copies (subject, day of the grid), up to the event."""
    rows = []
    for i, name in enumerate(names):
        for day in GRADED_ON:
            x = np.log10(max(copies[i, round(day / STEP)], LLOQ) / REFERENCE)
            at_least = 1.0 / (1.0 + np.exp(np.array(GRADE_CUTS) - GRADE_SLOPE * x))
            grade = float(np.sum(rng.random() < at_least))
            if day <= end[i]:
                rows.append((name, day, "crs_grade", grade, "none"))
    return rows


def true_copies(rng: np.random.Generator, grid: np.ndarray, doses: pd.DataFrame) -> np.ndarray:
    """Copies/ug DNA (subject, day) on the days `grid`, of patients with their own peak and contraction."""
    model = load_model("ogasawara_2021")
    theta = {name: np.full(PATIENTS, value) for name, value in model.typical().items()}
    theta |= {k: theta[k] * np.exp(sd * rng.standard_normal(PATIENTS)) for k, sd in SPREAD.items()}
    given = doses.rename(columns={"cells": "amount"}).assign(duration=0.0, cycle=1)
    padded = pad_doses(given, list(doses["subject"]))
    days = np.tile(grid, (PATIENTS, 1))
    return np.asarray(solve(model, days, theta, padded, ["copies"])["copies"])


if __name__ == "__main__":
    make_trial("log_peak", SEED, HERE)
