"""Are a trial's parameters found again? `python -m bench.recovery [trials] [folder] [processes]`

Trials as data/nkg2d_phase1_synthetic is made, each with a seed of its own, from the model of 20 states; each
is fitted by the shipped plan of that model with nothing held but what the model holds: every spread that was
made is estimated. Counted is how often the 90 % interval of what is estimated (contraction above a half)
holds the value it was made from. By `map`: the maximum with the random effects integrated by Laplace's
method, and its covariance; chains would take hours. What is done is kept, a file a trial, so a stopped run
goes on.
"""

import json
import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

import kinetics as kn
from kinetics.content import run_source
from kinetics.files import write_atomic
from kinetics.plan.plan import plan_of, read_plan

ROOT = Path(__file__).parents[1]
PLAN = ROOT / "fits" / "nkg2d_nk_t_livermet__nkg2d_phase1_synthetic.toml"
MADE = ROOT / "data" / "nkg2d_phase1_synthetic"
FIRST = 1000  # the trials' seeds from here on
ESTIMATED = 0.5  # of a prior's variance, at least, is gone


def script() -> Any:
    return run_source(MADE / "make.py", "make_trial")


def truth() -> dict[str, float]:
    """Site -> the value that every trial is made from."""
    made, model = script(), kn.load_model("nkg2d_nk_t_livermet", drugs=True)
    values = {f"{k}_pop": float(v) for k, v in model.typical().items()}
    # Of a patient with what allometry refers to: 100 mL of tumour of 1e9 cells/mL, lesions of 100 mm, ligand
    # 1, 70 kg.
    values |= {"U0_pop": 1e11, "TS0_pop": 100.0, "ligand_pop": 1.0, "blood_volume_pop": 5.67}
    values |= {f"omega_{k}": v for k, v in made.SPREAD.items()}
    return values | {f"sigma_{k}": v for k, v in made.SIGMA.items()}


def nothing_held() -> dict[str, Any]:
    """The shipped plan with all estimated but what the model itself holds, and every spread that was made."""
    shipped, made = read_plan(PLAN).resolved(), script().SPREAD
    omega = shipped["omega"] | {"uE": shipped["omega"]["kg"]}
    return shipped | {"fixed": {}, "vary": list(made), "omega": omega, "name": "again"}


def fitted(seed: int, folder: Path) -> pd.DataFrame:
    """The parameter table of the trial of this seed, made and fitted in `folder`."""
    study = folder / f"trial_{seed}"
    study.mkdir(parents=True, exist_ok=True)
    for file in ("dictionary.toml", "protocol.toml"):
        shutil.copy(MADE / file, study)
    script().main(study, seed)
    return kn.parameter_table(
        kn.fit(plan_of(nothing_held()), study, method="map", announce=lambda line: print(line, flush=True))
    )


def counted(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """A row a site: how often its interval held the truth, and how much of the prior's variance was gone."""
    known = truth()
    rows = pd.concat(tables)
    rows = rows[rows["site"].isin(list(known))].assign(truth=lambda t: t["site"].map(known))
    rows["held"] = rows["truth"].between(rows["lower"], rows["upper"])
    by_site = rows.groupby("site", sort=False)
    return by_site.agg(
        truth=("truth", "first"),
        median=("median", "median"),
        held=("held", "sum"),
        trials=("held", "size"),
        contraction=("contraction", "median"),
    )


def kept(seed: int, folder: Path) -> None:
    """Make and fit this trial; its parameters are in the folder's file of the seed."""
    write_atomic(folder / f"{seed}.csv", fitted(seed, folder).to_csv(index=False))


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "runs" / "recovery"
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if processes > 1:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    seeds = range(FIRST, FIRST + trials)
    left = [seed for seed in seeds if not (folder / f"{seed}.csv").exists()]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        list(pool.map(kept, left, repeat(folder)))
    tables = [pd.read_csv(folder / f"{seed}.csv") for seed in seeds]
    found = counted(tables)
    print(found.to_string(float_format="{:.3g}".format), flush=True)
    estimated = found[found["contraction"] > ESTIMATED]
    facts = {
        "trials": trials,
        "method": "map",
        "estimated": len(estimated),
        "intervals": int(estimated["trials"].sum()),
        "held": int(estimated["held"].sum()),
        "sites": found.round(4).reset_index().to_dict("records"),
    }
    write_atomic(ROOT / "bench" / "recovery.json", json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
