"""Lynx and hare, 1900 to 1920 (posteriordb hudson_lynx_hare): predator and prey, with posteriordb's priors.

The reference posterior is 10,000 draws by Stan (posteriordb hudson_lynx_hare-lotka_volterra, BSD-3). Years
stand in place of days. The dose is invented and brings nothing, because a study has doses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from kinetics.model.model import Model, Output, Parameter, State
from kinetics.model.priors import LogNormal, Normal
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of
from kinetics.study.study import read_study

__all__ = ["REFERENCE_SITES", "lynx_and_hare"]

ANIMALS = ("hare", "lynx")
REFERENCE_SITES = {  # names in posteriordb -> sites here
    "theta[1]": "birth_pop",
    "theta[2]": "eaten_pop",
    "theta[3]": "death_pop",
    "theta[4]": "fed_pop",
    "z_init[1]": "hare0_pop",
    "z_init[2]": "lynx0_pop",
    "sigma[1]": "sigma_hare",
    "sigma[2]": "sigma_lynx",
}
PARAMETERS = {
    "birth": Parameter(1.0, "1/day", Normal(1.0, 0.5), source="posteriordb"),
    "eaten": Parameter(0.05, "1/day", Normal(0.05, 0.05), source="posteriordb"),
    "death": Parameter(1.0, "1/day", Normal(1.0, 0.5), source="posteriordb"),
    "fed": Parameter(0.05, "1/day", Normal(0.05, 0.05), source="posteriordb"),
    "hare0": Parameter(10.0, "cells", LogNormal(10.0, 1.0), source="posteriordb"),
    "lynx0": Parameter(10.0, "cells", LogNormal(10.0, 1.0), source="posteriordb"),
}
MODEL = Model(
    {k: State(k, "cells", "blood") for k in ANIMALS},
    PARAMETERS,
    {k: Output(lambda y, p, k=k: y[k], "cells", k) for k in ANIMALS},
    vector_field=lambda t, y, p: {
        "hare": (p["birth"] - p["eaten"] * y["lynx"]) * y["hare"],
        "lynx": (p["fed"] * y["hare"] - p["death"]) * y["lynx"],
    },
    initial=lambda p: {"hare": p["hare0"], "lynx": p["lynx0"]},
    dosing={"iv": lambda p: {"hare": 0.0}},
    dose_unit="cells",
    name="lynx_hare",
    sha256="lynx_hare",
)


def lynx_and_hare(source: Path, folder: Path, **keys: Any) -> BoundFit:
    """The plan bound: posteriordb's file `source` as a study in `folder`, `keys` added to the plan."""
    data = json.loads(source.read_text())
    values = [data["y_init"], *data["y"]]
    rows = [
        {"subject": "Hudson", "time": year, "analyte": animal, "value": value}
        for year, pair in zip([0, *data["ts"]], values, strict=True)
        for animal, value in zip(ANIMALS, pair, strict=True)
    ]
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(folder / "observations.csv", index=False)
    (folder / "subjects.csv").write_text("subject\nHudson\n")
    (folder / "doses.csv").write_text("subject,time,amount,product,route\nHudson,0,1,nothing,iv\n")
    analytes = "".join(
        f'\n[analytes.{k}]\nlabel = "{k}"\nassay = "pelts"\nsite = "blood"\nunit = "cells"\n' for k in ANIMALS
    )
    (folder / "dictionary.toml").write_text(
        'title = "Lynx and hare"\nsource = "posteriordb"\nlicence = "BSD-3"\nsynthetic = false\n'
        + analytes
        + '\n[columns.doses]\ntime = { unit = "day" }\namount = { unit = "cells" }\n'
        + '\n[columns.observations]\ntime = { unit = "day" }\n'
    )
    sigma = {"distribution": "LogNormal", "median": 0.36787944117144233, "sd": 1.0}  # log-median -1
    content = {
        "model": "lynx_hare",
        "data": "lynx_hare",
        "vary": [],
        "observe": {k: {"likelihood": "lognormal", "sigma": sigma} for k in ANIMALS},
        "seed": 1,
    }
    return bind(plan_of({**content, **keys}), study=read_study(folder), model=MODEL)
