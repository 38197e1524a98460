"""Forty patients simulated from the library model, and a fit whose posterior lies at the truth."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from pandas import DataFrame

from kinetics.inference.fitting import Fit
from kinetics.model.model import load_model
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from kinetics.solve.solving import solve
from tests.support.fits import written_posterior

__all__ = ["LLOQ", "PEOPLE", "SIGMA", "known_fit"]

LLOQ = 50.0  # copies/ug DNA
PEOPLE = 40
VISITS = [-1.0, 1, 3, 7, 10, 14, 15, 18, 21, 24, 28, 42, 60, 90]
SIGMA = 0.3
ETA = np.random.default_rng(3).standard_normal((8, PEOPLE))
DICTIONARY = f"""
title = "Forty simulated patients"
source = "tests/support/simulated_patients.py"
licence = "CC0-1.0"
synthetic = true
[analytes.copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = {LLOQ}
[columns.doses]
time = {{ unit = "day" }}
[columns.observations]
time = {{ unit = "day" }}
"""


@cache
def study_folder() -> Path:
    """Forty patients, two cycles, simulated from the library model at its typical values."""
    folder = Path(mkdtemp(prefix="known-")) / "known"
    folder.mkdir()
    (folder / "dictionary.toml").write_text(DICTIONARY)
    names = [f"P{i:02d}" for i in range(PEOPLE)]
    DataFrame({"subject": names}).to_csv(folder / "subjects.csv", index=False)
    doses = [(s, t, "car_t", "iv", 1e8, c) for s in names for t, c in ((0.0, 1), (14.0, 2))]
    header = ["subject", "time", "product", "route", "cells", "cycle"]
    DataFrame(doses, columns=header).to_csv(folder / "doses.csv", index=False)
    rng = np.random.default_rng(11)
    rows = [
        (s, t + (0 if t < 0 else rng.uniform(0, 0.2)), "copies", LLOQ, "left") for s in names for t in VISITS
    ]
    columns = ["subject", "time", "analyte", "value", "censored"]
    table = DataFrame(rows, columns=columns)
    table.to_csv(folder / "observations.csv", index=False)
    fit = known_fit(folder=folder)  # bound to records that are all below the LLOQ, to simulate the real ones
    theta = {k: v[0] for k, v in fit.theta().items()}
    times = fit.bound.data.observations.time
    f = np.asarray(solve(fit.model, times, theta, fit.bound.data.doses)["copies"])
    y = np.where(f > 0, f * np.exp(SIGMA * rng.standard_normal(f.shape)), 0.0).ravel()
    table["value"], table["censored"] = np.maximum(y, LLOQ), np.where(y < LLOQ, "left", "none")
    table.to_csv(folder / "observations.csv", index=False)
    return folder


@cache
def known_fit(*, folder: Path | None = None, cmax_factor: float = 1.0, draws: int = 40) -> Fit:
    """A posterior that sits on the truth, or off by a factor in Cmax: every draw is the same."""
    content = {"model": "ogasawara_2021", "data": str(folder or study_folder()), "name": "known", "seed": 1}
    bound = bind(plan_of(content | {"observe": {"copies": {}}}))
    model = load_model("ogasawara_2021")
    ones = np.ones(draws)
    sites: dict[str, np.ndarray] = {}
    for site, prior in bound.priors().items():
        name = site.removeprefix("omega_").removesuffix("_pop")
        value = SIGMA if site == "sigma_copies" else model.parameters[name].value
        value = model.parameters[name].sd if site.startswith("omega_") else value
        sites[site] = ones * float(value if value is not None else prior.median)
    sites["cmax_pop"] *= cmax_factor
    for row, name in enumerate(bound.hierarchy.vary):
        sites[f"eta_{name}"] = np.broadcast_to(ETA[row], (draws, PEOPLE))
    return written_posterior(bound, sites)
