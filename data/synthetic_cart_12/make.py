"""Make the synthetic CAR-T study of this folder: python data/synthetic_cart_12/make.py

SYNTHETIC: no patient stands behind any row. Twelve virtual patients, three at each of the dose levels of
NCT07021534 (1.5e7, 3e7, 5e7, 7e7 cells/kg per infusion), two infusions on consecutive days per cycle and two
cycles two weeks apart. Kinetics are drawn from models/ogasawara_2021.py at the values below; samples follow a
phase I calendar with jittered actual times and missed visits. The same seed gives the same files.
"""

from pathlib import Path

import jax
import numpy as np
import pandas as pd

from kinetics import load_model
from kinetics.regimen import pad_doses
from kinetics.solve import solve

HERE = Path(__file__).parent
SEED = 7021534
LEVELS = [1.5e7, 3e7, 5e7, 7e7]  # cells/kg per infusion: registry NCT07021534, arm text
TRUTH = {  # population values the data are drawn from (design guesses; the rest as in the model file)
    "cmax": 4500.0,
    "fb": 0.015,
    "nucleated_per_vcn": 1500.0,
}
DOSE_EFFECT = 0.3  # exponent of Cmax on dose, a guess; the log-linear dose effect of Stein 2019 is 0.093
SIGMA = {"car_copies": 0.5, "car_cells": 0.4}  # SD on log
LLOQ = {"car_copies": 50.0, "car_cells": 0.5}
QPCR_DAYS = [-1, 1, 2, 4, 7, 10, 13.9, 16, 18, 21, 24, 28, 42, 56, 90]
FLOW_DAYS = [-1, 4, 7, 10, 13.9, 18, 21, 28, 56]
MISSED = 0.05


def subjects(rng: np.random.Generator) -> pd.DataFrame:
    n = 12
    level = np.repeat(LEVELS, n // 4)
    return pd.DataFrame(
        {
            "subject": [f"S{i:02d}" for i in range(1, n + 1)],
            "weight_kg": np.round(rng.normal(65, 11, n), 1),
            "age": rng.integers(38, 74, n),
            "sex": rng.choice(["female", "male"], n),
            "tumour": rng.choice(["colorectal", "gastric"], n, p=[0.75, 0.25]),
            "dose_level": level,
        }
    )


def doses(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for s in table.itertuples():
        for cycle, start in ((1, 0), (2, 14)):
            for day in (start, start + 1):
                shortfall = 1.0 if rng.random() > 0.08 else 0.8  # infused is not always planned
                rows.append(
                    {
                        "subject": s.subject,
                        "time": day if day in (0, 14) else round(day + rng.normal(0, 0.02), 3),
                        "product": "car_t",
                        "route": "iv",
                        "cells_per_kg": s.dose_level * shortfall,
                        "duration": round(rng.uniform(0.25, 0.75), 2),
                        "cycle": cycle,
                    }
                )
    return pd.DataFrame(rows)


def individual_parameters(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    model = load_model("ogasawara_2021")
    theta = {}
    for name, parameter in model.parameters.items():
        value, eta = TRUTH.get(name, parameter.value), rng.standard_normal(len(table)) * (parameter.sd or 0)
        if parameter.prior.link == "logit":
            theta[name] = 1 / (1 + np.exp(-(np.log(value / (1 - value)) + eta)))
        else:
            theta[name] = value * np.exp(eta)
    theta["cmax"] *= (table["dose_level"].to_numpy() / 3e7) ** DOSE_EFFECT
    return theta


def observations(table: pd.DataFrame, given: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    model = load_model("ogasawara_2021")
    theta = individual_parameters(table, rng)
    amounts = given.assign(amount=given["cells_per_kg"], duration=given["duration"] / 24)
    padded = pad_doses(amounts, list(table["subject"]))
    rows = []
    for analyte, output, days in (("car_copies", "copies", QPCR_DAYS), ("car_cells", "cells", FLOW_DAYS)):
        planned = np.array(days)
        time = planned + np.where(planned > 2, rng.normal(0, 0.08, (len(table), len(days))), 0.0)
        truth = np.asarray(solve(model, time, theta, padded, [output])[output])
        value = truth * np.exp(SIGMA[analyte] * rng.standard_normal(truth.shape))
        there = rng.random(truth.shape) > MISSED
        for i, j in zip(*np.nonzero(there), strict=True):
            below = value[i, j] < LLOQ[analyte]
            rows.append(
                {
                    "subject": table["subject"][i],
                    "time": round(float(time[i, j]), 2),
                    "analyte": analyte,
                    "value": LLOQ[analyte] if below else float(f"{value[i, j]:.4g}"),
                    "censored": "left" if below else "none",
                }
            )
    return pd.DataFrame(rows).sort_values(["subject", "time"], kind="stable")  # S01, S02 ... sort by name


def events(table: pd.DataFrame, seen: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    peak = seen[seen["analyte"] == "car_copies"].groupby("subject")["value"].max()
    rank = peak.rank(pct=True)
    rows = []
    for s in table["subject"]:
        grade = int(np.clip(np.round(2.6 * rank[s] - 0.9 + rng.normal(0, 0.4)), 0, 3))
        if grade:
            onset = round(float(rng.uniform(2, 9)), 1)
            rows.append(
                {"subject": s, "time": onset, "event": "crs", "grade": grade, "grading_system": "ASTCT"}
            )
    return pd.DataFrame(rows)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(SEED)
    table = subjects(rng)
    given = doses(table, rng)
    seen = observations(table, given, rng)
    happened = events(table, seen, rng)
    worst = happened.groupby("subject")["grade"].max()
    table["crs_grade"] = table["subject"].map(worst).fillna(0).astype(int)
    for name, frame in (("subjects", table), ("doses", given), ("observations", seen), ("events", happened)):
        frame.to_csv(HERE / f"{name}.csv", index=False)
    blq = (seen["censored"] == "left").groupby(seen["analyte"]).mean()
    print(
        seen.groupby("analyte").size().to_dict(),
        blq.round(3).to_dict(),
        round((seen["censored"] == "left").mean(), 3),
    )


if __name__ == "__main__":
    main()
