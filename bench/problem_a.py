"""Problem A of the peers' benchmark: 24 patients, 4 states, 14 samples, 4 doses, 184 unconstrained
parameters.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import kinetics as kn
from bench.problem_a_model import CELLS_PER_DOSE_UNIT
from kinetics.plan.binding import BoundFit, FitData, bind
from kinetics.plan.plan import plan_of

__all__ = ["MODEL_FILE", "ORDER", "bound_problem_a", "log_density_of", "sites_of_point"]

MODEL_FILE = Path(__file__).with_name("problem_a_model.py")
ORDER = ("rho", "dE", "r", "dM", "kill", "kp", "T0")  # the problem's parameter order


def bound_problem_a(source: Path, folder: Path, *, copies: int = 1, **solver: Any) -> BoundFit:
    """The problem as a study in `folder`, its patients `copies` times, bound with the problem's priors."""
    problem = json.loads((source / "problem_a.json").read_text())
    folder.mkdir()
    n, lloq = problem["N"], float(np.exp(problem["log_lloq"]))
    ids = [f"{i + 1:05d}" for i in range(n * copies)]
    pd.DataFrame({"subject": ids}).to_csv(folder / "subjects.csv", index=False)
    doses = [
        (s, t, "car_t", "iv", CELLS_PER_DOSE_UNIT * problem["dose"][i % n])
        for i, s in enumerate(ids)
        for t in problem["t_dose"]
    ]
    names = ["subject", "time", "product", "route", "cells"]
    pd.DataFrame(doses, columns=names).to_csv(folder / "doses.csv", index=False)
    rows = []
    for i, s in enumerate(ids):
        for j, t in enumerate(problem["t_obs"]):
            below = problem["cens"][i % n][j]
            value = lloq if below else np.exp(problem["log_q"][i % n][j])
            rows.append((s, t, "cells", value, "left" if below else "none"))
            rows.append((s, t, "cytokine", np.exp(problem["log_c"][i % n][j]), "none"))
    names = ["subject", "time", "analyte", "value", "censored"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "observations.csv", index=False)
    (folder / "dictionary.toml").write_text(
        'title = "problem A"\nsource = "simulated"\nlicence = "CC0-1.0"\nsynthetic = true\n'
        '[analytes.cells]\nlabel = "cells"\nassay = "flow"\nsite = "blood"\nunit = "cells/uL"\n'
        '[analytes.cytokine]\nlabel = "cytokine"\nassay = "elisa"\nsite = "blood"\nunit = "pg/mL"\n'
        '[columns.doses]\ntime = { unit = "day" }\n[columns.observations]\ntime = { unit = "day" }\n'
    )
    half = {"distribution": "HalfNormal", "scale": 0.5}
    seen = {"likelihood": "additive_on_log", "sigma_scale": 0.5}
    plan = plan_of(
        {
            "model": str(MODEL_FILE),
            "data": "-",
            "vary": list(ORDER),
            "omega": dict.fromkeys(ORDER, half),
            "observe": {"cells": {**seen, "output": "cells"}, "cytokine": {**seen, "output": "cytokine"}},
            "priors": {
                k: {"median": float(np.exp(m)), "sd": 0.5}
                for k, m in zip(ORDER, problem["prior_mu"], strict=True)
            },
            "solver": solver,
        }
    )
    return bind(plan, study=kn.read_study(folder))


def sites_of_point(point: list[float], subjects: int) -> dict[str, np.ndarray]:
    """Unconstrained, under our names, a reference point (mu, log omega, log sigmas, x by patient)."""
    x = np.asarray(point)
    z = x[16:].reshape(subjects, len(ORDER)).T
    sites = {f"{k}_pop": x[i] for i, k in enumerate(ORDER)}
    sites |= {f"omega_{k}": x[7 + i] for i, k in enumerate(ORDER)}
    sites |= {"sigma_cells": x[14], "sigma_cytokine": x[15]}
    return sites | {f"eta_{k}": z[i] for i, k in enumerate(ORDER)}


def log_density_of(bound: BoundFit, x: dict[str, jax.Array], data: FitData) -> jax.Array:
    """Log density of a reference point: that of its sites, and the log of the volume by which exp
    stretches them.
    """
    logs = {k: v for k, v in x.items() if not k.startswith("eta_")}
    return bound.log_density(x | {k: jnp.exp(v) for k, v in logs.items()}, data) + sum(logs.values())
