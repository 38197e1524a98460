"""Make the synthetic CAR-NK study of this folder: python data/synthetic_carnk_12/make.py

SYNTHETIC: no patient stands behind any row. Twelve virtual patients are given 1e9 and 2e9 CAR-NK by the
hepatic artery on days 0 and 1 (the description of NCT07021534) after lymphodepletion. Cells and IL-15 are
drawn from models/nk_persistence.py at its typical values. The same seed gives the same files.
"""

from pathlib import Path

import jax
import numpy as np
import pandas as pd

from kinetics import load_model
from kinetics.regimen import pad_doses
from kinetics.solve import solve

HERE = Path(__file__).parent
SEED = 15
CELLS = {0: 1e9, 1: 2e9}  # by day: registry NCT07021534, description
VARY = {"d0": 0.3, "rK": 0.3, "blood_share": 0.5}  # SD on the link scale, guesses of the model file
SIGMA = {"car_copies": 0.5, "il15": 0.25}  # SD on log, guesses
LLOQ = {"car_copies": 50.0, "il15": 1.0}
DAYS = {"car_copies": [-1, 0.2, 1.2, 2, 4, 7, 10, 14, 21, 28], "il15": [0, 2, 4, 7, 10, 14, 21]}
MISSED = 0.05


def doses(subjects: list[str], rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        {
            "subject": s,
            "time": day,
            "product": "car_nk",
            "route": "hepatic_artery",
            "cells": cells * (1.0 if rng.random() > 0.08 else 0.8),  # infused is not always planned
            "duration": round(rng.uniform(0.3, 0.6), 2),
            "cycle": 1,
        }
        for s in subjects
        for day, cells in CELLS.items()
    ]
    return pd.DataFrame(rows)


def observations(subjects: list[str], given: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    model, n = load_model("nk_persistence"), len(subjects)
    theta = {}
    for name, p in model.parameters.items():
        eta = VARY.get(name, 0.0) * rng.standard_normal(n)
        if p.prior.link == "logit":
            theta[name] = 1 / (1 + np.exp(-(np.log(p.value / (1 - p.value)) + eta)))
        else:
            theta[name] = p.value * np.exp(eta)
    amounts = given.assign(amount=given["cells"], duration=given["duration"] / 24)
    padded = pad_doses(amounts, subjects, tuple(model.dosing))
    rows = []
    for analyte, output in (("car_copies", "copies"), ("il15", "il15")):
        planned = np.array(DAYS[analyte], float)
        time = planned + np.where(planned > 2, rng.normal(0, 0.08, (n, len(planned))), 0.0)
        truth = np.asarray(solve(model, time, theta, padded, [output])[output])
        value = truth * np.exp(SIGMA[analyte] * rng.standard_normal(truth.shape))
        for i, j in zip(*np.nonzero(rng.random(truth.shape) > MISSED), strict=True):
            below = value[i, j] < LLOQ[analyte]
            rows.append(
                {
                    "subject": subjects[i],
                    "time": round(float(time[i, j]), 2),
                    "analyte": analyte,
                    "value": LLOQ[analyte] if below else float(f"{value[i, j]:.4g}"),
                    "censored": "left" if below else "none",
                }
            )
    return pd.DataFrame(rows).sort_values(["subject", "time"], kind="stable")


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(SEED)
    names = [f"N{i:02d}" for i in range(1, 13)]
    table = pd.DataFrame({"subject": names, "weight_kg": np.round(rng.normal(65, 11, 12), 1)})
    given = doses(names, rng)
    seen = observations(names, given, rng)
    for name, frame in (("subjects", table), ("doses", given), ("observations", seen)):
        frame.to_csv(HERE / f"{name}.csv", index=False)
    print(seen.groupby("analyte")["censored"].value_counts().to_dict())


if __name__ == "__main__":
    main()
