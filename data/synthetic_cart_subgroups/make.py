"""Make the synthetic CAR-T study of this folder: python data/synthetic_cart_subgroups/make.py

SYNTHETIC: no patient stands behind any row. Twenty-four virtual patients with the baseline covariates that
NCT07021534 names for its subgroups (histology, NKG2D ligand, prior regimens, tumour burden, tumour marker,
neutrophils to lymphocytes, metastatic sites), six at each dose level, one cycle of two infusions. Kinetics
are drawn from models/ogasawara_2021.py. One covariate matters: Cmax goes with tumour burden to a power. The
tumour marker goes with the burden and has no effect of its own. The same seed gives the same files.
"""

from pathlib import Path

import jax
import numpy as np
import pandas as pd

from kinetics import load_model
from kinetics.regimen import pad_doses
from kinetics.solve import solve

HERE = Path(__file__).parent
SEED = 20260301
SUBJECTS = 24
LEVELS = [1.5e7, 3e7, 5e7, 7e7]  # cells/kg per infusion: registry NCT07021534, arm text
TRUTH = {"cmax": 4500.0, "fb": 0.015}  # population values; the rest as in the model file
OMEGA = {"cmax": 0.5, "tmax": 0.25, "half_life_contraction": 0.5, "fb": 0.8}  # the others do not vary
BURDEN_EFFECT = 1.4  # exponent of Cmax on (burden / 80 mm), a guess: antigen drives expansion
DOSE_EFFECT = 0.3  # exponent of Cmax on dose, a guess
SIGMA = 0.4  # SD on log
LLOQ = 50.0
DAYS = [1, 2, 4, 7, 9, 11, 14, 18, 21, 28, 42, 56]
MISSED = 0.05


def subjects(rng: np.random.Generator) -> pd.DataFrame:
    n = SUBJECTS
    size = rng.standard_normal(n)
    marker = 0.5 * size + np.sqrt(0.75) * rng.standard_normal(n)
    ligand = 100 / (1 + np.exp(-(0.6 + 1.1 * rng.standard_normal(n))))
    return pd.DataFrame(
        {
            "subject": [f"G{i:02d}" for i in range(1, n + 1)],
            "weight_kg": np.round(rng.normal(65, 11, n), 1),
            "tumour": rng.permutation(["colorectal"] * 13 + ["gastric"] * 7 + ["oesophageal"] * 4),
            "ligand_percent": np.round(ligand, 0),
            "prior_regimens": 2 + rng.poisson(1.2, n),
            "burden_mm": np.round(80 * np.exp(0.5 * size), 0),
            "cea": np.round(20 * np.exp(1.3 * marker), 1),
            "nlr": np.round(3.5 * np.exp(0.5 * rng.standard_normal(n)), 1),
            "metastases": rng.permutation(["liver"] * 15 + ["liver_and_other"] * 9),
            "dose_level": np.repeat(LEVELS, n // 4),
        }
    )


def doses(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        {
            "subject": s.subject,
            "time": float(day),
            "product": "car_t",
            "route": "iv",
            "cells_per_kg": s.dose_level,
            "duration": round(rng.uniform(0.25, 0.75), 2),
            "cycle": 1,
        }
        for s in table.itertuples()
        for day in (0, 1)
    ]
    return pd.DataFrame(rows)


def individual_parameters(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    theta = {}
    for name, parameter in load_model("ogasawara_2021").parameters.items():
        value, eta = TRUTH.get(name, parameter.value), OMEGA.get(name, 0.0) * rng.standard_normal(len(table))
        if parameter.prior.link == "logit":
            theta[name] = 1 / (1 + np.exp(-(np.log(value / (1 - value)) + eta)))
        else:
            theta[name] = value * np.exp(eta)
    theta["cmax"] *= (table["dose_level"].to_numpy() / 3e7) ** DOSE_EFFECT
    theta["cmax"] *= (table["burden_mm"].to_numpy() / 80) ** BURDEN_EFFECT
    return theta


def observations(table: pd.DataFrame, given: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    amounts = given.assign(amount=given["cells_per_kg"], duration=given["duration"] / 24)
    padded, theta = pad_doses(amounts, list(table["subject"])), individual_parameters(table, rng)
    planned = np.array(DAYS)
    time = planned + np.where(planned > 2, rng.normal(0, 0.08, (len(table), len(DAYS))), 0.05)
    truth = np.asarray(solve(load_model("ogasawara_2021"), time, theta, padded, ["copies"])["copies"])
    value = truth * np.exp(SIGMA * rng.standard_normal(truth.shape))
    rows = [
        {
            "subject": table["subject"][i],
            "time": round(float(time[i, j]), 2),
            "analyte": "car_copies",
            "value": LLOQ if value[i, j] < LLOQ else float(f"{value[i, j]:.4g}"),
            "censored": "left" if value[i, j] < LLOQ else "none",
        }
        for i, j in zip(*np.nonzero(rng.random(truth.shape) > MISSED), strict=True)
    ]
    return pd.DataFrame(rows).sort_values(["subject", "time"], kind="stable")


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(SEED)
    table = subjects(rng)
    given = doses(table, rng)
    seen = observations(table, given, rng)
    for name, frame in (("subjects", table), ("doses", given), ("observations", seen)):
        frame.to_csv(HERE / f"{name}.csv", index=False)
    print(f"{len(seen)} records, {100 * (seen['censored'] == 'left').mean():.1f} % below the LLOQ")


if __name__ == "__main__":
    main()
