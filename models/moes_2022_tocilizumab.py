"""Tocilizumab, iv: one compartment, linear and saturable elimination. The drug given against cytokine release.

Moes 2022, population of critically ill adults with COVID-19; 8 mg/kg, at most 800 mg. Residual error there: 17.1 %
and 0.139 mg/L; clearance and volume were correlated (covariance 0.0355). What it does to IL-6 and CRP is not here.
Prior SDs are wide on purpose (a guess).

    A' = -(CL/V) A - Vmax C/(Km + C),   C = A/V
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {"drug": State("tocilizumab", "mg", site="plasma")}

PARAMETERS = {
    "cl": Parameter(0.725, "L/day", LogNormal(0.725, 0.5), sd=0.187, source="Moes 2022: CL; sd sqrt(0.0351)"),
    "v": Parameter(4.34, "L", LogNormal(4.34, 0.5), sd=0.207, source="Moes 2022: V; sd sqrt(0.043)"),
    "vmax": Parameter(4.19, "mg/day", LogNormal(4.19, 0.5), source="Moes 2022: Vmax"),
    "km": Parameter(0.22, "mg/L", LogNormal(0.22, 0.5), source="Moes 2022: Km"),
}

DOSING = {"iv": lambda p: {"drug": 1.0}}


def vector_field(t, y, p):
    concentration = y["drug"] / p["v"]
    return {
        "drug": -p["cl"] * concentration - p["vmax"] * concentration / (p["km"] + concentration),
    }


OUTPUTS = {"concentration": Output(lambda y, p: y["drug"] / p["v"], "mg/L", "tocilizumab in plasma")}

DERIVED = {
    "half_life": Derived(lambda p: jnp.log(2.0) * p["v"] / p["cl"], "day", "half-life of the linear elimination"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, vector_field=vector_field, dosing=DOSING, derived=DERIVED, dose_unit="mg",
    typical_dose=560.0,
)  # fmt: skip
