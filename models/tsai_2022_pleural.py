"""CAR-T cells in a mouse with a pleural tumour, given into a vein or into the pleural space.

Tsai CH et al., J Pharmacokinet Pharmacodyn 2022;49:525, doi 10.1007/s10928-022-09818-8. Mice with mesothelioma,
anti-mesothelin CAR-T cells; pooled fit to the bioluminescence of Adusumilli 2014. Values: Tables 1, S2 and S4 as read
in the public extraction nlmixr2lib. The parent of tsai_2022, which has the organs and the liver tumour.

States are cells: a, v arterial and venous blood; v_ and i_ blood and interstitium of lung and of all other tissues; ln
lymph nodes; p free CAR-T cells in the pleural space; U tumour cells; X CAR-T cells bound to one. With c_x = x/volume:

    a' = Q c_vP - Q c_a;  v' = (Q-LO) c_vO + LLY c_ln - (Q+LP) c_v
    vP' = (Q+LP) c_v - JP vP - Q c_vP;  iP' = JP vP - (LP-LPS) c_iP - (kel + jps) iP
    vO' = Q c_a - JO vO - (Q-LO) c_vO;  iO' = JO vO - LO c_iO
    ln' = (LP-LPS) c_iP + LPS c_p/rps + LO c_iO - LLY c_ln;  c_p = p/(VPS + 518.3e-12 U/0.8)
    p' = jps iP - LPS c_p/rps - bind + (koff + kkill + kpro/(1+U/ki)) X;  bind = kon c_p (U-X)
    U' = kg (U-X) - kkill X;  X' = bind - (koff+kkill) X

U = u0, no cells at day 0; a dose enters v (iv) or p (intrapleural). Changed here: hours are days, and kon is per cell
(1e6 /M/s times 1e4 antigens). The paper sees light: 0.311398 photons/s per CAR-T cell, 1 per tumour cell plus 754,800;
the outputs are the cells. Physiology is constant; what the paper estimates or assumes of the tumour and of the cells is
a parameter. The paper has no between-subject variability (pooled fit): every sd is a guess.
"""

import jax.numpy as jnp

from kinetics import Balance, Derived, LogNormal, Model, Output, Parameter, State

H = 24.0  # the paper's flows and rates are per hour
# Volumes mL, flows mL/h (lymph L), passage J 1/h: Table S2; J of Khot 2019, others of Shah & Betts 2012
Q, VA, VV = 678.0 * H, 0.8585, 0.8585  # cardiac output; arterial and venous blood
LP, VVP, VIP, JP = 0.746 * H, 0.0536, 0.0384, 1843.0 * H  # lung
LO, VVO, VIO, JO = 0.904 * H, 1.432, 4.870, 41.4 * H  # other tissues; JO by the paper's equation 1
LLY, VLN = 1.65 * H, 0.113  # all lymph; lymph nodes
LPS, VPS = 0.033 * H, 0.00728  # pleural space: lymph (Miserocchi 1997), volume (Noppen 2000)
CELL, INTERSTITIAL_PART = 518.3e-12, 0.20  # mL per tumour cell (Phillips 2012); part of the tumour's volume

CELLS = 1e3  # fewer do not matter (doses are 1e5 and more)

STATES = {
    "a": State("CAR-T cells", "cells", site="arterial blood", scale=CELLS),
    "v": State("CAR-T cells", "cells", site="venous blood", scale=CELLS),
    "vP": State("CAR-T cells", "cells", site="lung blood", scale=CELLS),
    "iP": State("CAR-T cells", "cells", site="lung interstitium", scale=CELLS),
    "vO": State("CAR-T cells", "cells", site="blood of other tissues", scale=CELLS),
    "iO": State("CAR-T cells", "cells", site="interstitium of other tissues", scale=CELLS),
    "ln": State("CAR-T cells", "cells", site="lymph nodes", scale=CELLS),
    "p": State("free CAR-T cells", "cells", site="pleural space", scale=CELLS),
    "U": State("tumour cells", "cells", site="pleural space", scale=CELLS),
    "X": State("CAR-T cells bound to a tumour cell", "cells", site="pleural space", scale=CELLS),
}

PARAMETERS = {
    "kel": Parameter(20.16, "1/day", LogNormal(20.16, 0.5), sd=0.3, source="24 x 0.84 /h: Tsai 2022 Table S2 (Zhu 1996), fixed; sd a guess"),
    "jps": Parameter(2.856, "1/day", LogNormal(2.856, 0.5), sd=0.3, source="24 x 0.119 /h: Tsai 2022 Table 1 (RSE 26 %); sd a guess"),
    "rps": Parameter(2.88, "1", LogNormal(2.88, 0.5), sd=None, source="Tsai 2022 Table 1 (RSE 2.6 %)"),
    "kon": Parameter(1.434706e-6, "mL/cells/day", LogNormal(1.434706e-6, 1.0), sd=None, source="1e6 /M/s x 1e4 antigens per cell: Tsai 2022 Table S2, fixed"),
    "koff": Parameter(1.644e-6, "1/day", LogNormal(1.644e-6, 0.5), sd=None, source="24 x 6.85e-8 /h: Tsai 2022 Table 1 (RSE 3.7 %)"),
    "kkill": Parameter(1.7592, "1/day", LogNormal(1.7592, 0.5), sd=0.5, source="24 x 0.0733 /h: Tsai 2022 Table 1 (RSE 3.6 %); sd a guess"),
    "kpro": Parameter(2.76, "1/day", LogNormal(2.76, 0.5), sd=0.3, source="24 x 0.115 /h: Tsai 2022 Table 1 (RSE 15 %); sd a guess"),
    "ki": Parameter(3.84e7, "cells", LogNormal(3.84e7, 0.5), sd=None, source="Tsai 2022 Table 1 (RSE 15 %)"),
    "kg": Parameter(0.0924, "1/day", LogNormal(0.0924, 0.5), sd=0.3, source="24 x 0.00385 /h: Tsai 2022 Table 1 (RSE 8.2 %); sd a guess"),
    "u0": Parameter(1e8, "cells", LogNormal(1e8, 1.0), sd=0.5, source="Tsai 2022 Figure 4 (each arm of the fit has its own in Table S4); sd a guess"),
}  # fmt: skip

DOSING = {"iv": lambda p: {"v": 1.0}, "intrapleural": lambda p: {"p": 1.0}}


def initial(p):
    return {"U": p["u0"]}


def volume(u):
    """mL of the pleural space with a tumour of `u` cells."""
    return VPS + CELL * jnp.maximum(u, 0.0) / (1.0 - INTERSTITIAL_PART)


def vector_field(t, y, p):
    c_a, c_v, c_vp, c_vo = y["a"] / VA, y["v"] / VV, y["vP"] / VVP, y["vO"] / VVO
    c_p = y["p"] / volume(y["U"])
    lymph_lung, lymph_o, lymph_all = y["iP"] / VIP * (LP - LPS), y["iO"] / VIO * LO, y["ln"] / VLN * LLY
    lymph_p = c_p * LPS / p["rps"]
    bind = p["kon"] * c_p * (y["U"] - y["X"])
    divide = p["kpro"] / (1.0 + jnp.maximum(y["U"], 0.0) / p["ki"]) * y["X"]
    return {
        "a": c_vp * Q - c_a * Q,
        "v": c_vo * (Q - LO) + lymph_all - c_v * (Q + LP),
        "vP": c_v * (Q + LP) - JP * y["vP"] - c_vp * Q,
        "iP": JP * y["vP"] - lymph_lung - (p["kel"] + p["jps"]) * y["iP"],
        "vO": c_a * Q - JO * y["vO"] - c_vo * (Q - LO),
        "iO": JO * y["vO"] - lymph_o,
        "ln": lymph_lung + lymph_p + lymph_o - lymph_all,
        "p": p["jps"] * y["iP"] - lymph_p - bind + (p["koff"] + p["kkill"]) * y["X"] + divide,
        "U": p["kg"] * (y["U"] - y["X"]) - p["kkill"] * y["X"],
        "X": bind - (p["koff"] + p["kkill"]) * y["X"],
    }


def total(y, p):
    """All CAR-T cells."""
    return sum(y[k] for k in STATES if k != "U")


OUTPUTS = {
    "cells": Output(lambda y, p: 1e-3 * y["v"] / VV, "cells/uL", "CAR-T cells in venous blood"),
    "lung": Output(lambda y, p: 1e-3 * (y["vP"] + y["iP"]) / (VVP + VIP), "cells/uL", "CAR-T cells in lung"),
    "pleura": Output(
        lambda y, p: 1e-3 * (y["p"] + y["X"]) / volume(y["U"]), "cells/uL", "CAR-T cells in the pleural space"
    ),
    "car_t": Output(total, "cells", "all CAR-T cells"),
    "tumour_cells": Output(lambda y, p: y["U"], "cells", "tumour cells"),
}  # fmt: skip

DERIVED = {
    "tumour_doubling_time": Derived(lambda p: jnp.log(2) / p["kg"], "day", "doubling time of the untreated tumour"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, dosing=DOSING, vector_field=vector_field, initial=initial,
    stiff=True, balance=Balance(total, without=("kel", "kpro")), typical_dose=1e6,
)  # fmt: skip
