"""A level for each subject, measured with normal noise: the posterior is known exactly.

y_ij = level + omega eta_i + noise, with omega and the noise known.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from pandas import DataFrame

from kinetics.inference.fitting import Fit
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from tests.support.fits import written_posterior

__all__ = ["CENTRE", "EACH", "NOISE", "OMEGA", "PEOPLE", "SD", "level_fit", "values"]

PEOPLE = 7
EACH = 6  # records of a subject
OMEGA = 0.8
NOISE = 0.5
CENTRE = 5.0  # of the prior of the level
SD = 2.0  # of the prior of the level
MODEL = '''"""A level for each subject, and a parameter that no record can see. Made up for a test."""

from kinetics import Model, Normal, Output, Parameter, State

STATES = {"blood": State("drug", "mg/L", site="serum")}
PARAMETERS = {
    "level": Parameter(5.0, "mg/L", Normal(5.0, 2.0), sd=0.8, source="made up"),
    "idle": Parameter(0.0, "1", Normal(0.0, 1.0), source="made up"),
}


def solution(t, p, doses):
    return {"blood": p["level"] + 1e-12 * p["idle"] + 0.0 * t}


OUTPUTS = {"blood": Output(lambda y, p: y["blood"], "mg/L", "in serum")}
MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, dose_unit="mg")
'''
DICTIONARY = """
title = "A level"
source = "tests/support/normal_levels.py"
licence = "CC0-1.0"
synthetic = true
[analytes.drug]
label = "Drug"
assay = "immunoassay"
site = "serum"
unit = "mg/L"
[columns.doses]
time = { unit = "day" }
amount = { unit = "mg" }
[columns.observations]
time = { unit = "day" }
"""


@cache
def folder() -> Path:
    """The study and its model; the third subject lies 2.5 SDs away."""
    to = Path(mkdtemp(prefix="level-"))
    (to / "dictionary.toml").write_text(DICTIONARY)
    (to / "level.py").write_text(MODEL)
    rng = np.random.default_rng(2)
    eta = np.where(np.arange(PEOPLE) == 2, 2.5, rng.standard_normal(PEOPLE))
    names = [f"A{i}" for i in range(PEOPLE)]
    DataFrame({"subject": names}).to_csv(to / "subjects.csv", index=False)
    doses = DataFrame({"subject": names, "time": 0.0, "amount": 1.0, "product": "drug", "route": "oral"})
    doses.to_csv(to / "doses.csv", index=False)
    rows = [
        (s, float(day), "drug", 5.5 + OMEGA * e + NOISE * rng.standard_normal())
        for s, e in zip(names, eta, strict=True)
        for day in range(1, EACH + 1)
    ]
    table = DataFrame(rows, columns=["subject", "time", "analyte", "value"])
    table.to_csv(to / "observations.csv", index=False)
    return to


@cache
def level_fit(*, varies: bool = True, centre: float = CENTRE, draws: int = 4000) -> Fit:
    """The exact posterior; `centre` is that of the prior of the level."""
    content: dict[str, Any] = {
        "model": str(folder() / "level.py"), "data": str(folder()), "vary": ["level"] if varies else [],
        "name": "varies" if varies else "alike", "observe": {"drug": {"likelihood": "additive"}},
        "priors": {"level": {"distribution": "Normal", "mean": centre, "sd": SD}},
    }  # fmt: skip
    bound = bind(plan_of(content))
    y = values(bound)
    design = np.hstack([np.ones((len(y), 1)), OMEGA * varies * np.repeat(np.eye(PEOPLE), EACH, axis=0)])
    precision = design.T @ design / NOISE**2 + np.diag([1 / SD**2, *np.ones(PEOPLE)])
    mean = np.linalg.solve(precision, design.T @ y / NOISE**2 + np.array([centre / SD**2, *np.zeros(PEOPLE)]))
    rng = np.random.default_rng(5)
    u = rng.multivariate_normal(mean, np.linalg.inv(precision), size=draws)
    ones = np.ones(draws)
    sites = {"level_pop": u[:, 0], "idle_pop": rng.standard_normal(draws), "sigma_add_drug": NOISE * ones}
    if varies:
        sites |= {"omega_level": OMEGA * ones, "eta_level": u[:, 1:]}
    return written_posterior(bound, sites)


def values(bound: Any) -> np.ndarray:
    """The records, subject by subject in the order of time."""
    return bound.study.observations.sort_values(["subject", "time"], kind="stable")["value"].to_numpy(float)
