"""What blood, a biopsy and scans tell of where the cells go: `python -m tests.bench.identifiability [folder]`

The synthetic trial fitted three times by `map`, with what its shipped plan holds of biodistribution free under the
model's own priors: blood alone; with the tumour biopsies of data/nkg2d_phase1_synthetic; with SYNTHETIC scans of
In-111-labelled CAR-NK too (liver and tumour, 20 % error, the same virtual patients, the model of 20 states). Written to
bench/identifiability.json: of each parameter the prior's and the posterior's 90 % interval, and the contraction of its
variance.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

import kinetics as kn
from kinetics.distributions import LogitNormal, LogNormal
from kinetics.plan import plan_of, read_plan
from kinetics.run import write_atomic
from tests.bench.recovery import MADE, PLAN, ROOT, script

FREE = ("F_NK", "phiL", "EU_NK", "EU_T", "kUB", "TN")
SCANS = {"liver_scan": "nk_liver", "tumour_scan": "nk_tumour"}
DAYS = (0.1, 0.9, 1.1, 2.0, 4.0)  # both CAR-NK doses are labelled; In-111 can be seen for days
ERROR = 0.2
BIOPSY = {"tumour_biopsy": {"output": "tumour_biopsy"}}
LABEL = {"product": "car_nk", "isotope": "In-111", "decay_corrected": True}
SEED = 20261127


def scanned(folder: Path) -> None:
    """The trial's study in `folder`, with scans of its virtual patients."""
    shutil.copytree(MADE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    made, truths = script(), np.random.default_rng(script().SEED)
    jax.config.update("jax_enable_x64", True)
    table = made.subjects(truths)
    made.doses(table, truths)  # drawn in this order there
    theta = made.parameters(table, truths)
    given, seen = (pd.read_csv(folder / f"{k}.csv") for k in ("doses", "observations"))
    found = made.solved(table, given, theta, np.tile(DAYS, (len(table), 1)))
    cells = given[given["product"] == "car_nk"]
    rng, rows = np.random.default_rng(SEED), []
    for i, subject in enumerate(table["subject"]):
        own = cells[cells["subject"] == subject]
        for j, day in enumerate(DAYS):
            injected = float(own.loc[own["time"] <= day, "cells"].sum())
            for analyte, output in SCANS.items():
                share = 100 * found[output][i, j] / injected * np.exp(ERROR * rng.standard_normal())
                rows.append((subject, day, analyte, float(f"{share:.4g}"), "none"))
    scans = pd.DataFrame(rows, columns=["subject", "time", "analyte", "value", "censored"])
    both = pd.concat([seen, scans]).sort_values(["subject", "time"], kind="stable")
    both.to_csv(folder / "observations.csv", index=False)
    with (folder / "dictionary.toml").open("r+") as file:
        text = file.read()
        tables = "".join(
            f'[analytes.{k}]\nlabel = "{k}"\nassay = "imaging"\nsite = "liver"\nunit = "%"\n\n' for k in SCANS
        )
        file.seek(0)
        file.write(text.replace("[columns.subjects]", f"{tables}[columns.subjects]"))


def sets() -> dict[str, dict[str, Any]]:
    """Name of the data -> what is observed beside the shipped plan's analytes."""
    scans = {k: {"output": v, "imaging": LABEL} for k, v in SCANS.items()}
    return {"blood": {}, "with biopsies": BIOPSY, "with biopsies and scans": BIOPSY | scans}


def fitted(name: str, extra: dict[str, Any], study: Path) -> pd.DataFrame:
    shipped = read_plan(PLAN).resolved()
    model = kn.load_model(shipped["model"], **shipped["options"])
    free = {k: prior(model.parameters[k]) for k in FREE}
    changed = {
        "observe": shipped["observe"] | extra,
        "priors": shipped.get("priors", {}) | free,
        "name": "told",
    }
    fit = kn.fit(
        plan_of(shipped | changed), study, method="map", announce=lambda line: print(line, flush=True)
    )
    table = kn.parameter_table(fit)
    table = table[table["site"].isin([f"{k}_pop" for k in FREE])]
    kept = table[["site", "median", "lower", "upper", "contraction", "prior", "source"]]
    return kept.assign(
        data=name, truth=[model.parameters[s.removesuffix("_pop")].value for s in kept["site"]]
    )


def prior(parameter: kn.Parameter) -> dict[str, Any]:
    """A model's prior as a plan writes it: that the plan names it frees the parameter."""
    kind = parameter.prior
    assert isinstance(kind, LogNormal | LogitNormal)
    return {"distribution": type(kind).__name__, "median": kind.median, "sd": kind.sd}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "identifiability"
    folder.mkdir(parents=True, exist_ok=True)
    study = folder / "study"
    shutil.rmtree(study, ignore_errors=True)
    scanned(study)
    tables = []
    for name, extra in sets().items():
        kept = folder / f"{name.replace(' ', '_')}.csv"
        if not kept.exists():
            write_atomic(kept, fitted(name, extra, study).to_csv(index=False))
        tables.append(pd.read_csv(kept))
        print(tables[-1].to_string(), flush=True)
    facts = {"synthetic": True, "method": "map", "rows": pd.concat(tables).round(4).to_dict("records")}
    write_atomic(ROOT / "bench" / "identifiability.json", json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
