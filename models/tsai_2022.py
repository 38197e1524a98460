"""Where CAR-T cells go in a mouse with a liver tumour: blood, lung, liver, gut, spleen, tumour, by route of the dose.

Tsai CH et al., J Pharmacokinet Pharmacodyn 2022;49:525, doi 10.1007/s10928-022-09818-8. Mice, human T cells; the organs
are fitted to radiolabelled T cells (Khot 2019, flows and volumes of Shah & Betts 2012), the tumour is a simulation with
the killing and division fitted in the pleural model (tsai_2022_pleural). Values: Table S3 as read in nlmixr2lib.

States are cells: a, v arterial and venous blood; v_ and i_ blood and interstitium of lung, liver, gut, spleen, others
and tumour; ln lymph nodes; U tumour cells; X CAR-T cells bound to one. With c_x = x/volume, V the tumour's volume (15 %
blood, 20 % interstitium), qT = qHA+qPG+qPS and lT its blood and lymph flow, and LL the liver's lymph less lT:

    a' = Q c_vl - (QHA+QG+QS+QO) c_a
    v' = (QO-LO) c_vO + QOUT c_vL + (qT-lT) c_vT + LLY c_ln - (Q+LP) c_v
    v_x' = inflow - J_x v_x - outflow;  i_x' = J_x v_x - L_x c_ix/R_x (lung: - kel il)
    ln' = sum of L_x c_ix/R_x - LLY c_ln
    vT' = qHA c_a + qPG c_vG + qPS c_vS - JT vT - (qT-lT) c_vT
    iT' = JT vT - lT c_iT/RL - bind + (koff + kkill + kpro/(1+U/ki)) X;  bind = kon iT (U-X)/(volume of iT)
    U' = kg (U-X) - kkill X;  X' = bind - (koff+kkill) X

U = u0, no cells at day 0. A dose enters v (iv), vT (hepatic artery, super-selective), or vT and the liver's blood by
portal flow (portal vein). Changed here: hours are days; V is that of U + 1 cells, for a tumour that is gone would be
divided by; kon is per cell (1e6 /M/s times 1e4 antigens), qT one parameter with the paper's split over its three vessels.
Physiology is constant, what the paper estimates or assumes of the tumour and of the cells is a parameter. The paper
has no between-subject variability (pooled fit): every sd is a guess.
"""

import jax.numpy as jnp

from kinetics import Balance, Derived, LogNormal, Model, Output, Parameter, State

H = 24.0  # the paper's flows and rates are per hour
# Volumes mL, flows mL/h (lymph L), passage J 1/h, retention R: Table S3; J, R of Khot 2019, others of Shah & Betts 2012
Q, VA, VV = 678.0 * H, 0.8585, 0.8585  # cardiac output; arterial and venous blood
LP, VVP, VIP, JP = 0.746 * H, 0.0536, 0.0384, 1843.0 * H  # lung
LLY, VLN = 1.65 * H, 0.113  # all lymph; lymph nodes
QHA, LLIVER, VVL, VIL, JL, RL = 18.7 * H, 0.1874 * H, 0.298, 0.385, 126.9 * H, 2.5  # liver (QHA: hepatic artery)
QG, LG, VVG, VIG, JG = 137.0 * H, 0.1508 * H, 0.03019, 0.1815, 18.1 * H  # gut
QS, LS, VVS, VIS, JS, RS = 14.88 * H, 0.01636 * H, 0.028, 0.0254, 114.0 * H, 9.8  # spleen
QO, LO, VVO, VIO, JO = 507.42 * H, 0.549 * H, 1.076, 4.278, 16.7 * H  # other tissues; JO by the paper's equation 1
JT = 126.9 * H  # tumour: as liver, assumed (Table S3)
HA_PART, PG_PART, PS_PART = 2.0 / 18, 14.5 / 18, 1.5 / 18  # of qT: hepatic artery, portal from gut, from spleen
LT = (0.004 + 0.032) * H  # tumour lymph: assumed (Table S3)
LL = LLIVER - LT  # what is left to the normal liver
CELL, BLOOD_PART, INTERSTITIAL_PART = 518.3e-12, 0.15, 0.20  # mL per tumour cell (Phillips 2012); parts of V

CELLS = 1e3  # fewer do not matter (doses are 1e5 and more)

STATES = {
    "a": State("CAR-T cells", "cells", site="arterial blood", scale=CELLS),
    "v": State("CAR-T cells", "cells", site="venous blood", scale=CELLS),
    "vP": State("CAR-T cells", "cells", site="lung blood", scale=CELLS),
    "iP": State("CAR-T cells", "cells", site="lung interstitium", scale=CELLS),
    "vL": State("CAR-T cells", "cells", site="liver blood", scale=CELLS),
    "iL": State("CAR-T cells", "cells", site="liver interstitium", scale=CELLS),
    "vG": State("CAR-T cells", "cells", site="gut blood", scale=CELLS),
    "iG": State("CAR-T cells", "cells", site="gut interstitium", scale=CELLS),
    "vS": State("CAR-T cells", "cells", site="spleen blood", scale=CELLS),
    "iS": State("CAR-T cells", "cells", site="spleen interstitium", scale=CELLS),
    "vO": State("CAR-T cells", "cells", site="blood of other tissues", scale=CELLS),
    "iO": State("CAR-T cells", "cells", site="interstitium of other tissues", scale=CELLS),
    "ln": State("CAR-T cells", "cells", site="lymph nodes", scale=CELLS),
    "vT": State("CAR-T cells", "cells", site="tumour blood", scale=CELLS),
    "iT": State("free CAR-T cells", "cells", site="tumour interstitium", scale=CELLS),
    "U": State("tumour cells", "cells", site="liver tumour", scale=CELLS),
    "X": State("CAR-T cells bound to a tumour cell", "cells", site="liver tumour", scale=CELLS),
}

PARAMETERS = {
    "kel": Parameter(20.16, "1/day", LogNormal(20.16, 0.5), sd=0.3, source="24 x 0.84 /h: Tsai 2022 Table S3 (Zhu 1996), fixed; sd a guess"),
    "kon": Parameter(1.434706e-6, "mL/cells/day", LogNormal(1.434706e-6, 1.0), sd=None, source="1e6 /M/s x 1e4 antigens per cell: Tsai 2022 Table S3, fixed"),
    "koff": Parameter(1.644e-6, "1/day", LogNormal(1.644e-6, 0.5), sd=None, source="24 x 6.85e-8 /h: Tsai 2022 Table 1 (pleural fit)"),
    "kkill": Parameter(3.5184, "1/day", LogNormal(3.5184, 0.5), sd=0.5, source="24 x 2 x 0.0733 /h: Tsai 2022 Methods, twice the pleural fit; sd a guess"),
    "kpro": Parameter(2.76, "1/day", LogNormal(2.76, 0.5), sd=0.3, source="24 x 0.115 /h: Tsai 2022 Table 1 (pleural fit); sd a guess"),
    "ki": Parameter(3.84e7, "cells", LogNormal(3.84e7, 0.5), sd=None, source="Tsai 2022 Table 1 (pleural fit)"),
    "kg": Parameter(0.0924, "1/day", LogNormal(0.0924, 0.5), sd=0.3, source="24 x 0.00385 /h: Tsai 2022 Table 1 (pleural fit); sd a guess"),
    "u0": Parameter(2.5e8, "cells", LogNormal(2.5e8, 1.0), sd=0.5, source="Tsai 2022 Table S3, assumed; sd a guess"),
    "qT": Parameter(432.0, "mL/day", LogNormal(432.0, 0.5), sd=0.5, source="24 x 18 mL/h: Tsai 2022 Table S3, assumed (a tenth of hepatic flow); sd a guess"),
}  # fmt: skip


def to_tumour(p):
    """The part of a portal dose that the tumour's share of portal flow takes."""
    return (PG_PART + PS_PART) * p["qT"] / (QG - LG + QS - LS)


DOSING = {
    "iv": lambda p: {"v": 1.0},
    "hepatic_artery": lambda p: {"vT": 1.0},
    "portal_vein": lambda p: {"vT": to_tumour(p), "vL": 1.0 - to_tumour(p)},
}


def initial(p):
    return {"U": p["u0"]}


def volume(u):
    """mL of a tumour of `u` cells."""
    return CELL * (jnp.maximum(u, 0.0) + 1.0) / (1.0 - BLOOD_PART - INTERSTITIAL_PART)


def vector_field(t, y, p):
    q_ha, q_pg, q_ps, q_t = HA_PART * p["qT"], PG_PART * p["qT"], PS_PART * p["qT"], p["qT"]
    v_tumour = volume(y["U"])
    c_a, c_v, c_p = y["a"] / VA, y["v"] / VV, y["vP"] / VVP
    c_l, c_g, c_s, c_o = y["vL"] / VVL, y["vG"] / VVG, y["vS"] / VVS, y["vO"] / VVO
    from_tumour = y["vT"] / (BLOOD_PART * v_tumour) * (q_t - LT)
    from_liver = c_l * (QHA - q_ha + QG - LG - q_pg + QS - LS - q_ps - LL)
    lymph_p, lymph_g, lymph_o = y["iP"] / VIP * LP, y["iG"] / VIG * LG, y["iO"] / VIO * LO
    lymph_l, lymph_s = y["iL"] / VIL * LL / RL, y["iS"] / VIS * LS / RS
    c_it = y["iT"] / (INTERSTITIAL_PART * v_tumour)
    lymph_t, lymph_all = c_it * LT / RL, y["ln"] / VLN * LLY
    bind = p["kon"] * c_it * (y["U"] - y["X"])
    divide = p["kpro"] / (1.0 + jnp.maximum(y["U"], 0.0) / p["ki"]) * y["X"]
    return {
        "a": c_p * Q - c_a * (QHA + QG + QS + QO),
        "v": c_o * (QO - LO) + lymph_all + from_liver + from_tumour - c_v * (Q + LP),
        "vP": c_v * (Q + LP) - JP * y["vP"] - c_p * Q,
        "iP": JP * y["vP"] - lymph_p - p["kel"] * y["iP"],
        "vL": c_a * (QHA - q_ha) + c_g * (QG - LG - q_pg) + c_s * (QS - LS - q_ps) - JL * y["vL"] - from_liver,
        "iL": JL * y["vL"] - lymph_l,
        "vG": c_a * QG - JG * y["vG"] - c_g * (QG - LG),
        "iG": JG * y["vG"] - lymph_g,
        "vS": c_a * QS - JS * y["vS"] - c_s * (QS - LS),
        "iS": JS * y["vS"] - lymph_s,
        "vO": c_a * QO - JO * y["vO"] - c_o * (QO - LO),
        "iO": JO * y["vO"] - lymph_o,
        "ln": lymph_p + lymph_g + lymph_s + lymph_l + lymph_t + lymph_o - lymph_all,
        "vT": c_a * q_ha + c_g * q_pg + c_s * q_ps - JT * y["vT"] - from_tumour,
        "iT": JT * y["vT"] - lymph_t - bind + (p["koff"] + p["kkill"]) * y["X"] + divide,
        "U": p["kg"] * (y["U"] - y["X"]) - p["kkill"] * y["X"],
        "X": bind - (p["koff"] + p["kkill"]) * y["X"],
    }  # fmt: skip


def total(y, p):
    """All CAR-T cells."""
    return sum(y[k] for k in STATES if k != "U")


OUTPUTS = {
    "cells": Output(lambda y, p: 1e-3 * y["v"] / VV, "cells/uL", "CAR-T cells in venous blood"),
    "blood": Output(lambda y, p: y["a"] + y["v"], "cells", "CAR-T cells in all blood"),
    "lung": Output(lambda y, p: y["vP"] + y["iP"], "cells", "CAR-T cells in lung"),
    "liver": Output(lambda y, p: y["vL"] + y["iL"], "cells", "CAR-T cells in normal liver"),
    "gut": Output(lambda y, p: y["vG"] + y["iG"], "cells", "CAR-T cells in gut"),
    "spleen": Output(lambda y, p: y["vS"] + y["iS"], "cells", "CAR-T cells in spleen"),
    "other": Output(lambda y, p: y["vO"] + y["iO"], "cells", "CAR-T cells in other tissues"),
    "lymph_nodes": Output(lambda y, p: y["ln"], "cells", "CAR-T cells in lymph nodes"),
    "tumour": Output(lambda y, p: y["vT"] + y["iT"] + y["X"], "cells", "CAR-T cells in tumour"),
    "car_t": Output(total, "cells", "all CAR-T cells"),
    "tumour_cells": Output(lambda y, p: y["U"], "cells", "tumour cells"),
    "tumour_volume": Output(lambda y, p: volume(y["U"]), "mL", "tumour volume"),
}

DERIVED = {
    "tumour_doubling_time": Derived(lambda p: jnp.log(2) / p["kg"], "day", "doubling time of the untreated tumour"),
    "portal_to_tumour": Derived(to_tumour, "1", "part of a portal dose that reaches the tumour first"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, dosing=DOSING, vector_field=vector_field, initial=initial,
    stiff=True, balance=Balance(total, without=("kel", "kpro")), typical_dose=3e6,
)  # fmt: skip
