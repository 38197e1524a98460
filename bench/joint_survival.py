"""Is the effect of exposure on survival found again?
`python -m bench.joint_survival [trials] [folder] [processes] [first seed]`

SYNTHETIC trials of 60 patients: CAR-T copies by the closed form `ogasawara_2021`, sampled on planned days up
to the event, and an event whose hazard follows the true curve. Two links: the running peak and the current
value, each with a hazard ratio of 0.45 per ten-fold, and the running peak with no effect at all. Events are
drawn on a grid of 0.05 days from the link's definition in numpy, not by the code that fits them.

Each trial is fitted jointly (`time_to_event`, method laplace), and by the analysis that is usually done: a
Weibull regression on the highest copies that were measured in the patient, as if they had been known on day
0. Who has the event early was sampled less and has not expanded yet, so a low peak is blamed for what it
follows from. Counted are the bias and how often the 90 % interval holds the truth, with their Monte Carlo
errors. What is done is kept, a file a trial, so a stopped run goes on.
"""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import norm

import kinetics as kn
from kinetics.content import run_source
from kinetics.files import write_atomic
from kinetics.plan import plan_of
from kinetics.study import Study, read_study

MADE = Path(__file__).parents[1] / "data" / "synthetic_cart_survival_60"
SCRIPT = run_source(MADE / "make.py", "make_survival_trial")
CASES = tuple(SCRIPT.SLOPES)
FIRST = 1000  # the trials' seeds from here on, by default
Z90 = norm.ppf(0.95)


def link_of(case: str) -> str:
    return case.partition(",")[0]


def made(case: str, seed: int, folder: Path) -> Study:
    """A trial of this case and seed, written to `folder` and read."""
    shutil.copy(MADE / "dictionary.toml", folder)
    SCRIPT.make_trial(case, seed, folder)
    return read_study(folder)


def plan(case: str) -> dict[str, Any]:
    """The joint plan: what does not vary between patients of the trial is held at its value."""
    estimated = ("cmax", "half_life_contraction")
    typical = kn.load_model("ogasawara_2021").typical()
    return {
        "model": "ogasawara_2021",
        "data": "trial",
        "name": "joint",
        "method": "laplace",
        "vary": list(SCRIPT.SPREAD),
        "fixed": {k: float(v) for k, v in typical.items() if k not in estimated and k != "nucleated_per_vcn"},
        "observe": {"car_copies": {"output": "copies"}},
        "time_to_event": {
            "pfs": {
                "time": "pfs_days",
                "event": "pfs_event",
                "output": "copies",
                "link": link_of(case),
                "reference": SCRIPT.REFERENCE,
                "floor": SCRIPT.LLOQ,
            }
        },
        "sampler": {"chains": 1, "draws": 10, "starts": 1},
    }


def truth(case: str) -> dict[str, float]:
    """Site -> the value that a trial is made from."""
    typical = kn.load_model("ogasawara_2021").typical()
    values = {f"{k}_pop": float(typical[k]) for k in SCRIPT.SPREAD} | {
        f"omega_{k}": v for k, v in SCRIPT.SPREAD.items()
    }
    values |= {"sigma_car_copies": SCRIPT.SIGMA, "median_pfs": SCRIPT.MEDIAN, "shape_pfs": SCRIPT.SHAPE}
    return values | {"slope_pfs": SCRIPT.SLOPES[case]}


def joint(case: str, study: Study) -> list[dict[str, Any]]:
    """Estimate and 90 % interval of every site of the joint fit."""
    table = kn.checks.estimates(kn.fit(plan_of(plan(case)), study)).table
    rows = []
    for row in table.to_dict("records"):
        logged = row["site"] != "slope_pfs"
        middle = np.log(row["estimate"]) if logged else row["estimate"]
        half = 0.5 * (
            (np.log(row["upper"]) - np.log(row["lower"])) if logged else row["upper"] - row["lower"]
        )
        half *= Z90 / norm.ppf(0.975)
        ends = np.array([middle - half, middle + half])
        lower, upper = np.exp(ends) if logged else ends
        rows.append(
            {
                "analysis": "joint",
                "site": row["site"],
                "estimate": row["estimate"],
                "lower": lower,
                "upper": upper,
            }
        )
    return rows


def naive(study: Study) -> dict[str, Any]:
    """The slope of a Weibull regression on the highest measured copies, as if known on day 0."""
    subjects = study.subjects
    copies = study.observed("car_copies")
    highest = copies.groupby("subject")["value"].max().reindex(subjects.index)
    x = np.log10(highest.fillna(SCRIPT.LLOQ).to_numpy() / SCRIPT.REFERENCE)
    end = subjects["pfs_days"].to_numpy(float)
    event = subjects["pfs_event"].to_numpy(float)

    def minus_log_likelihood(q: np.ndarray) -> float:
        shape = np.exp(q[1])
        log_rate = np.log(np.log(2.0)) - shape * q[0] + q[2] * x
        return -float(
            np.sum(event * (log_rate + q[1] + (shape - 1) * np.log(end)) - np.exp(log_rate) * end**shape)
        )

    fitted = minimize(
        minus_log_likelihood, [np.log(SCRIPT.MEDIAN), 0.0, 0.0], method="BFGS", options={"gtol": 1e-4}
    )
    slope = float(fitted.x[2])
    se = float(np.sqrt(fitted.hess_inv[2, 2]))
    return {
        "analysis": "naive",
        "site": "slope_pfs",
        "estimate": slope,
        "lower": slope - Z90 * se,
        "upper": slope + Z90 * se,
    }


def done(case: str, seed: int, folder: Path) -> pd.DataFrame:
    """The estimates of one trial, from its file where it has been fitted before."""
    trial = folder / f"{case.replace(', ', '_').replace(' ', '_')}_{seed}"
    file = trial / "estimates.csv"
    if not file.exists():
        trial.mkdir(parents=True, exist_ok=True)
        study = made(case, seed, trial)
        table = pd.DataFrame([*joint(case, study), naive(study)]).assign(case=case, seed=seed)
        write_atomic(file, table.to_csv(index=False))
    return pd.read_csv(file)


def counted(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """A row for each case, analysis and site: mean estimate, bias and coverage with their standard errors."""
    rows = pd.concat(tables)
    rows["truth"] = [
        truth(case).get(site, np.nan) for case, site in zip(rows["case"], rows["site"], strict=True)
    ]
    rows = rows[rows["truth"].notna() & rows["lower"].notna()]
    logged = rows["site"] != "slope_pfs"
    rows["error"] = np.where(
        logged,
        np.log(np.where(logged, rows["estimate"] / rows["truth"], 1.0)),
        rows["estimate"] - rows["truth"],
    )
    rows["held"] = rows["truth"].between(rows["lower"], rows["upper"])
    by = rows.groupby(["case", "analysis", "site"], sort=False)
    table = by.agg(
        truth=("truth", "first"), trials=("held", "size"), bias=("error", "mean"), held=("held", "mean")
    )
    table["bias_se"] = by["error"].std() / np.sqrt(table["trials"])
    table["held_se"] = np.sqrt(table["held"] * (1 - table["held"]) / table["trials"])
    return table.reset_index()


def main(trials: int, folder: Path, processes: int, first: int) -> None:
    cases = [case for _ in range(trials) for case in CASES]
    seeds = [first + k for k in range(trials) for _ in CASES]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        table = counted(list(pool.map(done, cases, seeds, repeat(folder))))
    print(table.round(3).to_string(index=False))
    rows = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]
    record = Path(__file__).with_suffix(".json")
    recorded = json.loads(record.read_text()) if record.exists() else {}
    recorded[f"seeds from {first}"] = {"trials": trials, "rows": rows}
    write_atomic(record, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        int(arguments[0]) if arguments else 100,
        Path(arguments[1]) if len(arguments) > 1 else Path("runs") / "joint_survival",
        int(arguments[2]) if len(arguments) > 2 else 2,
        int(arguments[3]) if len(arguments) > 3 else FIRST,
    )
