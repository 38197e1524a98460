"""A model of cells in blood and liver whose areas are known in closed form, and a dictionary of its study."""

from __future__ import annotations

__all__ = ["TWO_SITES", "TWO_SITES_DICTIONARY"]

# Blood -> liver at a, liver -> nowhere at b; hepatic artery: a share F stays in the liver. Areas are in
# closed form.
TWO_SITES = '''"""Two sites, linear. A guess, 2026."""
from kinetics import LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {k: State("CAR-NK", "cells", k, scale=1e-3) for k in ("blood", "liver")}
PARAMETERS = {
    "a": Parameter(2.0, "1/day", LogNormal(2.0, 0.3), source="a guess", guess=True),
    "b": Parameter(0.5, "1/day", LogNormal(0.5, 0.3), source="a guess", guess=True),
    "F": Parameter(0.7, "1", LogitNormal(0.7, 0.3), source="a guess", guess=True),
}
MODEL = Model(
    STATES, PARAMETERS, {
        "cells": Output(lambda y, p: y["blood"] / 5e6, "cells/uL", "blood"),
        "blood": Output(lambda y, p: y["blood"], "cells", "blood"),
        "liver": Output(lambda y, p: y["liver"], "cells", "liver"),
    },
    vector_field=lambda t, y, p: {
        "blood": -p["a"] * y["blood"],
        "liver": p["a"] * y["blood"] - p["b"] * y["liver"],
    },
    dosing={
        "iv": lambda p: {"blood": 1.0},
        "hepatic_artery": lambda p: {"liver": p["F"], "blood": 1 - p["F"]},
    },
    sites={"car_nk": {"blood": "blood", "liver": "liver", "tumour": "liver"}},
)
'''
TWO_SITES_DICTIONARY = """title = "two sites"
source = "tests"
licence = "CC0-1.0"
synthetic = true
[analytes.flow]
label = "CAR-NK"
assay = "flow"
site = "blood"
unit = "cells/uL"
lloq = 0.01
[columns.doses]
time = { unit = "day" }
[columns.observations]
time = { unit = "day" }
"""
