"""Problem A of the peers' benchmark: effector and memory cells, tumour and a cytokine
(shared/bench/README.md).

Simulated data; values are the centres of that problem's priors or its fixed constants.

    act = E T/(h+T);  E' = rho act - (dE+r) E;  M' = r E - dM M;  T' = g T (1-T/K) - kill E T/(s+T)
    C' = kp act - kC (C-C0);  E = M = 0, T = T0, C = C0 at day 0; a bolus enters E
"""

from kinetics.model.model import Model, Output, Parameter, State
from kinetics.model.priors import LogNormal

H, G, K, S, KC, C0 = 500.0, 0.04, 5000.0, 300.0, 2.0, 4.0  # shared/bench/README.md, fixed

STATES = {
    "E": State("effector cells", "cells/uL", site="blood"),
    "M": State("memory cells", "cells/uL", site="blood"),
    "T": State("tumour burden", "1", site="tumour"),
    "C": State("cytokine", "pg/mL", site="blood"),
}


def _prior(value, unit):
    return Parameter(
        value, unit, LogNormal(value, 0.5), sd=0.3, source="shared/bench/problem_a.json: prior_mu"
    )


PARAMETERS = {
    "rho": _prior(0.99, "1/day"),
    "dE": _prior(0.16, "1/day"),
    "r": _prior(0.0078, "1/day"),
    "dM": _prior(0.0032, "1/day"),
    "kill": _prior(1.0, "1/day"),
    "kp": _prior(1.0, "1/day"),
    "T0": _prior(1000.0, "1"),
}

CELLS_PER_DOSE_UNIT = 1e6  # the problem's doses have no unit; as cells they are of a size that is given
DOSING = {"iv": lambda p: {"E": 1 / CELLS_PER_DOSE_UNIT}}


def initial(p):
    return {"T": p["T0"], "C": C0}


def vector_field(t, y, p):
    act = y["E"] * y["T"] / (H + y["T"])
    return {
        "E": p["rho"] * act - (p["dE"] + p["r"]) * y["E"],
        "M": p["r"] * y["E"] - p["dM"] * y["M"],
        "T": G * y["T"] * (1 - y["T"] / K) - p["kill"] * y["E"] * y["T"] / (S + y["T"]),
        "C": p["kp"] * act - KC * (y["C"] - C0),
    }


OUTPUTS = {
    "cells": Output(lambda y, p: y["E"] + y["M"], "cells/uL", "CAR+ cells"),
    "cytokine": Output(lambda y, p: y["C"], "pg/mL", "cytokine"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, vector_field=vector_field, initial=initial, dosing=DOSING, typical_dose=10.0
)
