"""A study and a fit small enough to calibrate in seconds: every subject has one level, seen with additive
error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinetics.plan.plan import FitPlan, plan_of

__all__ = ["SUBJECTS", "TIMES", "level_plan"]

SUBJECTS, TIMES = 5, (1.0, 2.0, 3.0, 4.0)

MODEL = '''"""A level, the same at all times."""

import jax.numpy as jnp

from kinetics import Model, Normal, Output, Parameter, State

STATES = {"level": State("level", "pg/mL", site="blood")}
PARAMETERS = {"level": Parameter(10.0, "pg/mL", Normal(10.0, 3.0), sd=1.0, source="a toy")}


def solution(t, p, doses):
    """The level at times t (record,)."""
    return {"level": p["level"] + 0.0 * t}


OUTPUTS = {"level": Output(lambda y, p: y["level"], "pg/mL", "level in blood")}
MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution)
'''

DICTIONARY = """title = "SYNTHETIC levels"
source = "tests/support/toy_level.py"
licence = "CC0-1.0"
synthetic = true

[analytes.level]
label = "Level"
assay = "elisa"
site = "blood"
unit = "pg/mL"
lloq = {lloq}

[columns.subjects]
weight_kg = {{ unit = "kg" }}

[columns.doses]
time = {{ unit = "day" }}
duration = {{ unit = "h" }}

[columns.observations]
time = {{ unit = "day" }}
"""


def level_plan(folder: Path, *, lloq: float = 8.0, rows: str = "", **keys: Any) -> FitPlan:
    """The plan of the toy, written into `folder`; `rows` replaces the observations (CSV without its
    header).
    """
    subjects = [f"S{i}" for i in range(1, SUBJECTS + 1)]
    seen = rows or "".join(f"{s},{t},level,11.0,none,,\n" for s in subjects for t in TIMES)
    tables = {
        "subjects": "subject,weight_kg\n" + "".join(f"{s},70\n" for s in subjects),
        "doses": "subject,time,product,route,cells,duration\n"
        + "".join(f"{s},0,car_t,iv,1e8,0\n" for s in subjects),
        "observations": "subject,time,analyte,value,censored,limit,uloq\n" + seen,
    }
    data = folder / "data" / "toy"
    data.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (data / f"{name}.csv").write_text(text)
    (data / "dictionary.toml").write_text(DICTIONARY.format(lloq=lloq))
    model = folder / "level.py"
    model.write_text(MODEL)
    content: dict[str, Any] = {
        "model": str(model),
        "data": str(data),
        "name": "toy",
        "observe": {"level": {"likelihood": "additive", "sigma_scale": 2.0}},
        "seed": 1,
    }
    return plan_of(content | keys)
