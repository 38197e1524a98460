"""A model file of gut and blood with a saturable loss: equations that other programs can be given."""

EQUATIONS = '''"""Gut and blood, with a saturable loss. An example: every number is a guess."""

import jax.numpy as jnp

from kinetics import LogNormal, LogitNormal, Model, Output, Parameter, State

STATES = {"gut": State("drug", "mg", site="gut"), "blood": State("drug", "mg", site="blood")}
PARAMETERS = {
    "ka": Parameter(30.0, "1/day", LogNormal(30.0, 1.0), sd=0.5, source="a guess", guess=True),
    "most": Parameter(600.0, "mg/day", LogNormal(600.0, 1.0), sd=0.2, source="a guess", guess=True),
    "half": Parameter(200.0, "mg", LogNormal(200.0, 1.0), source="a guess", guess=True),
    "share": Parameter(0.8, "1", LogitNormal(0.8, 0.5), sd=0.3, source="a guess", guess=True),
    "volume": Parameter(30.0, "L", LogNormal(30.0, 1.0), source="a guess", guess=True),
}


def vector_field(t, y, p):
    taken = p["ka"] * y["gut"]
    lost = jnp.where(y["blood"] > 0, p["most"] * y["blood"] / (p["half"] + jnp.maximum(y["blood"], 0.0)), 0.0)
    return {"gut": -taken, "blood": taken - lost}


MODEL = Model(
    STATES,
    PARAMETERS,
    {"concentration": Output(lambda y, p: y["blood"] / p["volume"], "mg/L", "drug in serum")},
    vector_field=vector_field,
    dosing={"oral": lambda p: {"gut": p["share"]}},
    dose_unit="mg",
)
'''
