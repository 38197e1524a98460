"""Problem B of the peers' benchmark: Stein's closed form, 90 patients x 12 times, 553 parameters."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import kinetics as kn
from kinetics.plan.binding import BoundFit, FitData, bind
from kinetics.plan.plan import plan_of

__all__ = ["OFFSET_NAMES", "ORDER", "bound_problem_b", "log_density_of", "sites_of_point"]

ORDER = ("tmax", "foldx", "cmax", "alpha", "beta", "fb")  # the problem's parameter order
OFFSET_NAMES = ("omega", "sigma")


def bound_problem_b(source: Path, folder: Path) -> BoundFit:
    """The problem as a study in `folder`, bound with the problem's priors."""
    problem = json.loads((source / "problem_b.json").read_text())
    folder.mkdir()
    n, times = problem["N"], problem["t_obs"]
    ids = [f"{i + 1:03d}" for i in range(n)]
    pd.DataFrame({"subject": ids}).to_csv(folder / "subjects.csv", index=False)
    doses = pd.DataFrame({"subject": ids, "time": 0, "product": "car_t", "route": "iv", "cells": 1})
    doses.to_csv(folder / "doses.csv", index=False)
    lloq = float(np.exp(problem["log_lloq"]))
    rows = [
        (s, t, "copies", lloq if c else np.exp(y), "left" if c else "none")
        for s, ys, cs in zip(ids, problem["log_c"], problem["cens"], strict=True)
        for t, y, c in zip(times, ys, cs, strict=True)
    ]
    columns = ["subject", "time", "analyte", "value", "censored"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "observations.csv", index=False)
    (folder / "dictionary.toml").write_text(
        'title = "problem B"\nsource = "simulated"\nlicence = "CC0-1.0"\nsynthetic = true\n'
        '[analytes.copies]\nlabel = "copies"\nassay = "qpcr"\nsite = "blood"\nunit = "copies/ug DNA"\n'
        '[columns.doses]\ntime = { unit = "day" }\n[columns.observations]\ntime = { unit = "day" }\n'
    )
    half = {"distribution": "HalfNormal", "scale": 1.0}
    mu = dict(zip(ORDER, problem["prior_mu"], strict=True))
    priors: dict[str, Any] = {k: {"median": float(np.exp(m)), "sd": 0.5} for k, m in mu.items() if k != "fb"}
    fb = float(1 / (1 + np.exp(-mu["fb"])))
    priors["fb"] = {"distribution": "LogitNormal", "median": fb, "sd": 0.5}
    plan = plan_of(
        {
            "model": "stein_2019",
            "data": "-",
            "observe": {"copies": {"sigma_scale": 1.0}},
            "vary": list(ORDER),
            "priors": priors,
            "omega": dict.fromkeys(ORDER, half),
        }
    )
    return bind(plan, study=kn.read_study(folder))


def sites_of_point(point: list[float], subjects: int) -> dict[str, np.ndarray]:
    """Unconstrained, under our names, a reference point (mu, log omega, log sigma, z by column)."""
    x = np.asarray(point)
    z = x[13:].reshape(len(ORDER), subjects)
    sites = {f"{k}_pop": x[i] for i, k in enumerate(ORDER)}
    sites |= {f"omega_{k}": x[6 + i] for i, k in enumerate(ORDER)}
    return sites | {"sigma_copies": x[12]} | {f"eta_{k}": z[i] for i, k in enumerate(ORDER)}


def log_density_of(bound: BoundFit, x: dict[str, jax.Array], data: FitData) -> jax.Array:
    """Log density of a reference point: that of its sites, and the log of the volume of the map to them."""
    sites, volume = dict(x), jnp.zeros(())
    for k, v in x.items():
        if k == "fb_pop":
            sites[k], volume = jax.nn.sigmoid(v), volume + jax.nn.log_sigmoid(v) + jax.nn.log_sigmoid(-v)
        elif not k.startswith("eta_"):
            sites[k], volume = jnp.exp(v), volume + v
    return bound.log_density(sites, data) + volume
