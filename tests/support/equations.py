"""A small model file given by equations, and the keys of a plan for it."""

EQUATIONS = '''"""One compartment, oral, as equations. Made up for a test."""

import jax.numpy as jnp

from kinetics import LogNormal, Model, Output, Parameter, State

STATES = {"gut": State("drug", "mg", "gut"), "body": State("drug", "mg", "serum")}
PARAMETERS = {
    "ka": Parameter(38.23, "1/day", LogNormal(38.23, 1.0), sd=0.6436, source="as one_compartment_oral"),
    "ke": Parameter(2.0615, "1/day", LogNormal(2.0615, 1.0), source="as one_compartment_oral"),
    "cl": Parameter(0.9521, "L/day", LogNormal(0.9521, 1.0), sd=0.1669, source="as one_compartment_oral"),
    "blow": Parameter(1e-6, "1/day", LogNormal(1e-6, 0.1), source="made up: the body's content squared"),
    "idle": Parameter(1.0, "1/day", LogNormal(1.0, 0.1), source="made up: feeds a state that nobody sees"),
}
STATES["unseen"] = State("nothing", "mg", "nowhere")


def vector_field(t, y, p):
    gut = p["ka"] * y["gut"]
    body = gut - p["ke"] * y["body"] + p["blow"] * jnp.where(y["body"] > 100, y["body"] ** 2, 0.0)
    return {"gut": -gut, "body": body, "unseen": -p["idle"] * y["unseen"]}


OUTPUTS = {"concentration": Output(lambda y, p: y["body"] * p["ke"] / p["cl"], "mg/L", "serum")}
DOSING = {"oral": lambda p: {"gut": 1.0}}
MODEL = Model(STATES, PARAMETERS, OUTPUTS, vector_field=vector_field, dosing=DOSING, dose_unit="mg")
'''
KEYS = {
    "data": "theophylline",
    "observe": {"theophylline": {"likelihood": "additive"}},
    "allometry": {"cl": {"exponent": 1.0, "reference": 1.0}},
    "vary": ["ka", "cl"],
}
