"""Effector and memory CAR-T cells against a tumour, in mice (CARTmath).

Barros LRC et al., Cancers 2021;13:2941, doi 10.3390/cancers13122941. Immunodeficient mice with HDLM-2 (Hodgkin
lymphoma) and CAR-T against CD123, or with Raji (Burkitt lymphoma) and CAR-T against CD19. Values as in tmglncc/CARTmath
(HDLM-2) and BioModels BIOMD0000001020 (Raji). Cells in the mouse; CT effectors, CM memory, T tumour:

    CT' = (phi - rho) CT + theta T CM - alpha T CT
    CM' = eps CT - theta T CM - mu CM
    T'  = r T (1 - b T) - gamma T CT,   T(0) = T0;  a dose enters CT

The defaults are HDLM-2 (dose 2e6 on day 42); the prior set `raji` has a dose of 1e7 on day 7. Where theta T is large,
memory cells last seconds, so the equations are stiff.

Changed here: the paper sets a population below 1e-6 cells to 0; here it stays what it is, and below 1 reads as none. In
Raji b is 0 in the paper, 1e-20 here: neither is seen before 1e18 cells. No variability between mice is published; sd on
T0 alone is a guess, as are all prior SDs.
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {
    "CT": State("effector CAR-T", "cells", site="mouse"),
    "CM": State("memory CAR-T", "cells", site="mouse"),
    "T": State("tumour cells", "cells", site="mouse"),
}

_HDLM2 = "Barros 2021, HDLM2+CAR123"
_RAJI = "Barros 2021, RAJI+CAR19 (BIOMD0000001020)"

PARAMETERS = {
    "phi": Parameter(0.265, "1/day", LogNormal(0.265, 0.5), source=_HDLM2),
    "rho": Parameter(0.350, "1/day", LogNormal(0.350, 0.5), source=_HDLM2),
    "theta": Parameter(6e-6, "1/cells/day", LogNormal(6e-6, 1.0), source=_HDLM2),
    "alpha": Parameter(4.5e-8, "1/cells/day", LogNormal(4.5e-8, 1.0), source=_HDLM2),
    "eps": Parameter(0.150, "1/day", LogNormal(0.150, 0.5), source=_HDLM2),
    "mu": Parameter(5e-3, "1/day", LogNormal(5e-3, 1.0), source=_HDLM2),
    "r": Parameter(5.650026e-2, "1/day", LogNormal(5.650026e-2, 0.5), source=_HDLM2),
    "b": Parameter(1.404029e-12, "1/cells", LogNormal(1.404029e-12, 1.0), source=_HDLM2),
    "gamma": Parameter(3.715843e-6, "1/cells/day", LogNormal(3.715843e-6, 1.0), source=_HDLM2),
    "T0": Parameter(2e6, "cells", LogNormal(2e6, 0.3), sd=0.3, source=f"{_HDLM2}: inoculum; sd a guess"),
}  # fmt: skip

PRIOR_SETS = {
    "raji": {
        "phi": Parameter(0.83, "1/day", LogNormal(0.83, 0.5), source=_RAJI),
        "rho": Parameter(0.8300536, "1/day", LogNormal(0.8300536, 0.5), source=_RAJI),
        "theta": Parameter(2.3e-4, "1/cells/day", LogNormal(2.3e-4, 1.0), source=_RAJI),
        "alpha": Parameter(1.248506e-8, "1/cells/day", LogNormal(1.248506e-8, 1.0), source=f"{_RAJI}: 1.461699e-8 for Raji-IDO, 1.261662e-8 with its inhibitor"),
        "eps": Parameter(1.59795, "1/day", LogNormal(1.59795, 0.5), source=_RAJI),
        "mu": Parameter(6.89e-7, "1/day", LogNormal(6.89e-7, 1.0), source=_RAJI),
        "r": Parameter(0.5071721, "1/day", LogNormal(0.5071721, 0.5), source=_RAJI),
        "b": Parameter(1e-20, "1/cells", LogNormal(1e-20, 1.0), source=f"{_RAJI}: 0 there"),
        "gamma": Parameter(3.365388e-8, "1/cells/day", LogNormal(3.365388e-8, 1.0), source=_RAJI),
        "T0": Parameter(3e6, "cells", LogNormal(3e6, 0.3), sd=0.3, source=f"{_RAJI}: inoculum; sd a guess"),
    },
}  # fmt: skip

DOSING = {"iv": lambda p: {"CT": 1.0}}


def initial(p):
    return {"T": p["T0"]}


def vector_field(t, y, p):
    recalled = p["theta"] * y["T"] * y["CM"]
    return {
        "CT": (p["phi"] - p["rho"] - p["alpha"] * y["T"]) * y["CT"] + recalled,
        "CM": p["eps"] * y["CT"] - recalled - p["mu"] * y["CM"],
        "T": p["r"] * y["T"] * (1 - p["b"] * y["T"]) - p["gamma"] * y["T"] * y["CT"],
    }


OUTPUTS = {
    "cells": Output(lambda y, p: y["CT"] + y["CM"], "cells", "CAR-T in the mouse"),
    "effector": Output(lambda y, p: y["CT"], "cells", "effector CAR-T in the mouse"),
    "memory": Output(lambda y, p: y["CM"], "cells", "memory CAR-T in the mouse"),
    "tumour": Output(lambda y, p: y["T"], "cells", "tumour cells"),
}

DERIVED = {
    "tumour_doubling": Derived(lambda p: jnp.log(2) / p["r"], "day", "tumour doubling time untreated"),
    "half_life_memory": Derived(lambda p: jnp.log(2) / p["mu"], "day", "half-life of memory without tumour"),
    "effectors_to_hold_tumour": Derived(lambda p: p["r"] / p["gamma"], "cells", "effectors that hold a small tumour"),
}  # fmt: skip

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, vector_field=vector_field,
    initial=initial, dosing=DOSING, stiff=True, typical_dose=2e6,
)  # fmt: skip
