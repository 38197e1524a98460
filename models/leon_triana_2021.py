"""CAR-T cells that live on leukaemia and on healthy B cells, with the B cells' return (B-cell leukaemia).

Leon-Triana O, Sabir S, Calvo GF et al., CAR T cell therapy in B-cell acute lymphoblastic leukaemia: insights from
mathematical models, Commun Nonlinear Sci Numer Simul 2021;94:105570. Equations and values as in BioModels BIOMD0000001012
(CC0), in cells of the whole body. C CAR-T, L leukaemic, B healthy B cells; I immature B cells, constant:

    C' = rhoC (L + B) C + rhoC beta I/(1 + C/C50) - C/tauC,    rhoC = k alpha
    L' = rhoL L - alpha L C,                                   L(0) = L0
    B' = I/(tauI (1 + C/C50)) - alpha B C - B/tauB,            B(0) = B0

A dose enters C; there it is 1e7 on day 0. What immature B cells add to C does not depend on C: as in that file.
The values are typical ones of the paper, fitted to nobody: between-subject and prior SDs are guesses.
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {
    "C": State("CAR-T cells", "cells", site="body", scale=1e2),
    "L": State("leukaemic cells", "cells", site="body", scale=1e2),
    "B": State("healthy B cells", "cells", site="body", scale=1e2),
}

_VALUE = "BIOMD0000001012 (Leon-Triana 2021); sd a guess"

PARAMETERS = {
    "alpha": Parameter(4.5e-11, "1/cells/day", LogNormal(4.5e-11, 0.7), sd=0.5, source=_VALUE),
    "k": Parameter(0.25, "1", LogNormal(0.25, 0.7), sd=0.5, source="BIOMD0000001012 (Leon-Triana 2021): rho_C is 0.25 alpha; sd a guess"),
    "beta": Parameter(0.1, "1", LogNormal(0.1, 0.7), source=_VALUE),
    "tauC": Parameter(14.0, "day", LogNormal(14.0, 0.5), sd=0.3, source=_VALUE),
    "rhoL": Parameter(1 / 30, "1/day", LogNormal(1 / 30, 0.5), sd=0.3, source=_VALUE),
    "tauB": Parameter(60.0, "day", LogNormal(60.0, 0.3), source=_VALUE),
    "tauI": Parameter(6.0, "day", LogNormal(6.0, 0.3), source=_VALUE),
    "I": Parameter(1e7, "cells", LogNormal(1e7, 1.0), sd=0.5, source=_VALUE),
    "C50": Parameter(1e9, "cells", LogNormal(1e9, 1.0), source=_VALUE),
    "L0": Parameter(5e10, "cells", LogNormal(5e10, 1.0), sd=1.0, source=_VALUE),
    "B0": Parameter(2.5e10, "cells", LogNormal(2.5e10, 0.7), sd=0.5, source=_VALUE),
}  # fmt: skip

DOSING = {"iv": lambda p: {"C": 1.0}}


def initial(p):
    return {"L": p["L0"], "B": p["B0"]}


def vector_field(t, y, p):
    growth = p["k"] * p["alpha"]
    free = 1 / (1 + y["C"] / p["C50"])
    return {
        "C": growth * (y["L"] + y["B"]) * y["C"] + growth * p["beta"] * p["I"] * free - y["C"] / p["tauC"],
        "L": p["rhoL"] * y["L"] - p["alpha"] * y["L"] * y["C"],
        "B": p["I"] / p["tauI"] * free - p["alpha"] * y["B"] * y["C"] - y["B"] / p["tauB"],
    }


OUTPUTS = {
    "cells": Output(lambda y, p: y["C"], "cells", "CAR-T in the body"),
    "leukaemia": Output(lambda y, p: y["L"], "cells", "leukaemic cells"),
    "b_cells": Output(lambda y, p: y["B"], "cells", "healthy B cells"),
}

DERIVED = {
    "half_life_contraction": Derived(lambda p: jnp.log(2) * p["tauC"], "day", "half-life of CAR-T without targets"),
    "leukaemia_doubling": Derived(lambda p: jnp.log(2) / p["rhoL"], "day", "leukaemia doubling time untreated"),
    "cells_to_hold_leukaemia": Derived(lambda p: p["rhoL"] / p["alpha"], "cells", "CAR-T that hold the leukaemia"),
    "targets_to_expand": Derived(lambda p: 1 / (p["tauC"] * p["k"] * p["alpha"]), "cells", "L + B from which CAR-T expand"),
}  # fmt: skip

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, vector_field=vector_field, initial=initial, dosing=DOSING,
    typical_dose=1e7,
)  # fmt: skip
