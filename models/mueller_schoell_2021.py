"""Four CAR-T phenotypes that expand on the tumour and kill it, in blood (axicabtagene ciloleucel).

Mueller-Schoell A et al., Cancers 2021;13:2782, doi 10.3390/cancers13112782. 19 adults with large B-cell lymphoma,
flow cytometry by phenotype. Equations 5-11 and Table 1, read in nlmixr2lib's transcription.

TN naive, C central memory, EM effector memory, EFF effector [cells/uL]; B metabolic tumour volume [mL]; u = 1 cell/uL:

    V1   = V1_base asct_fold cd4_cd8^ratio_power
    TN'  = V1 B u TN/(KM1+TN) + (kp1 - k12 - ke1) TN
    C'   = V1 B u C/(KM1+C) + (kp2 - k23 - ke2) C + k12 TN
    EM'  = V1 B u EM/(KM1+EM) + (kp3 - k34 - ke3) EM + k23 C
    EFF' = k34 EM - ke4 EFF
    B'   = k5 (1 - B/K0) B - (V51 TN + V52 C + V53 EM + V54 EFF)/u B/(KM5+B),   B(0) = mtv

The paper has two classes of patients. The parameters are those of the reference class (probability 0.803); the prior
set `low_expansion` is the other (0.197), where the CD4/CD8 ratio has no effect and V1 no variability. An earlier
transplant multiplies V1 by 1 + 2.53: set asct_fold to 3.53. A parameter without an sd had no variability in the paper.

Changed here: the paper sets each phenotype to 0.1 cells/uL at day 0 whatever the dose; here a dose of 2e8 cells (the
most that the product's label allows) gives that, another dose in proportion, on the day it is given. Covariates are
parameters. Prior SDs are guesses, wide enough for other products.
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Normal, Output, Parameter, State

FULL_DOSE = 2e8  # cells that give `seed`: the label's 2e6/kg, at most 2e8; tying the seed to it is a guess

STATES = {
    "TN": State("naive CAR-T", "cells/uL", site="blood", scale=1e-3),
    "C": State("central memory CAR-T", "cells/uL", site="blood", scale=1e-3),
    "EM": State("effector memory CAR-T", "cells/uL", site="blood", scale=1e-3),
    "EFF": State("effector CAR-T", "cells/uL", site="blood", scale=1e-3),
    "B": State("metabolic tumour volume", "mL", site="tumour", scale=1e-3),
}

_TABLE = "Mueller-Schoell 2021 Table 1"

PARAMETERS = {
    "V1_base": Parameter(0.00846, "1/day/mL", LogNormal(0.00846, 1.0), sd=1.086, source=f"{_TABLE} (RSE 36 %), at 1 cell/uL; CV 150 %: sd = sqrt(ln(1+1.5^2))"),
    "asct_fold": Parameter(1.0, "1", LogNormal(1.0, 0.5), source=f"{_TABLE}: 1 without an earlier transplant, 1+2.53 (RSE 31 %) with"),
    "cd4_cd8": Parameter(1.0, "1", LogNormal(1.0, 1.4), sd=1.4, source=f"{_TABLE}: the effect's reference on day 7; sd a guess from the range .05-8.9 of 18 patients"),
    "ratio_power": Parameter(-0.385, "1", Normal(-0.385, 0.2), source=f"{_TABLE} (RSE 45 %)"),
    "KM1": Parameter(1.13, "cells/uL", LogNormal(1.13, 0.5), source=f"{_TABLE} (RSE 22 %)"),
    "kp1": Parameter(0.0005, "1/day", LogNormal(0.0005, 0.5), source=f"{_TABLE}, fixed there"),
    "kp2": Parameter(0.007, "1/day", LogNormal(0.007, 0.5), source=f"{_TABLE}, fixed there"),
    "kp3": Parameter(0.007, "1/day", LogNormal(0.007, 0.5), source=f"{_TABLE}, fixed there"),
    "k12": Parameter(0.140, "1/day", LogNormal(0.140, 0.5), source=f"{_TABLE} (RSE 9 %)"),
    "k23": Parameter(0.191, "1/day", LogNormal(0.191, 0.5), source=f"{_TABLE} (RSE 11 %)"),
    "k34": Parameter(0.355, "1/day", LogNormal(0.355, 0.5), source=f"{_TABLE} (RSE 13 %)"),
    "ke1": Parameter(0.0104, "1/day", LogNormal(0.0104, 0.5), source=f"{_TABLE}: .02 ke4, fixed there"),
    "ke2": Parameter(0.0104, "1/day", LogNormal(0.0104, 0.5), source=f"{_TABLE}: .02 ke4, fixed there"),
    "ke3": Parameter(0.0104, "1/day", LogNormal(0.0104, 0.5), source=f"{_TABLE}: .02 ke4, fixed there"),
    "ke4": Parameter(0.518, "1/day", LogNormal(0.518, 0.5), source=f"{_TABLE} (RSE 13 %)"),
    "V51": Parameter(2.57, "mL/day", LogNormal(2.57, 1.0), source=f"{_TABLE}, at 1 cell/uL, from V52 by in-vitro ratios"),
    "V52": Parameter(4.04, "mL/day", LogNormal(4.04, 1.0), sd=1.531, source=f"{_TABLE} (RSE 39 %), at 1 cell/uL; CV 307 %: sd = sqrt(ln(1+3.07^2))"),
    "V53": Parameter(3.78, "mL/day", LogNormal(3.78, 1.0), source=f"{_TABLE}, at 1 cell/uL, from V52 by in-vitro ratios"),
    "V54": Parameter(4.24, "mL/day", LogNormal(4.24, 1.0), source=f"{_TABLE}, at 1 cell/uL, from V52 by in-vitro ratios"),
    "KM5": Parameter(276.0, "mL", LogNormal(276.0, 0.5), source=f"{_TABLE} (RSE 33 %)"),
    "k5": Parameter(0.0023, "1/day", LogNormal(0.0023, 1.0), source=f"{_TABLE}, fixed there"),
    "K0": Parameter(5000.0, "mL", LogNormal(5000.0, 0.3), source=f"{_TABLE}, fixed there"),
    "mtv": Parameter(85.7, "mL", LogNormal(85.7, 2.0), sd=2.0, source="Mueller-Schoell 2021 Table S1, median; sd a guess from the range 2.54-3555 of 19 patients"),
    "seed": Parameter(0.1, "cells/uL", LogNormal(0.1, 1.0), source="Mueller-Schoell 2021 section 3.1.4: each phenotype at day 0"),
}  # fmt: skip

PRIOR_SETS = {
    "low_expansion": {
        "V1_base": Parameter(0.000700, "1/day/mL", LogNormal(0.000700, 1.0), source=f"{_TABLE} (RSE 17 %), at 1 cell/uL, no variability"),
        "ratio_power": Parameter(0.0, "1", Normal(0.0, 0.1), source="Mueller-Schoell 2021 equation 11: no effect in this class"),
    },
}  # fmt: skip


def _seeded(p):
    return {state: p["seed"] / FULL_DOSE for state in STATES if state != "B"}


DOSING = {"iv": _seeded}


def initial(p):
    return {"B": p["mtv"]}


def vector_field(t, y, p):
    v1 = p["V1_base"] * p["asct_fold"] * p["cd4_cd8"] ** p["ratio_power"] * y["B"]
    tn, c, em, eff = y["TN"], y["C"], y["EM"], y["EFF"]
    kill = p["V51"] * tn + p["V52"] * c + p["V53"] * em + p["V54"] * eff
    return {
        "TN": v1 * tn / (p["KM1"] + tn) + (p["kp1"] - p["k12"] - p["ke1"]) * tn,
        "C": v1 * c / (p["KM1"] + c) + (p["kp2"] - p["k23"] - p["ke2"]) * c + p["k12"] * tn,
        "EM": v1 * em / (p["KM1"] + em) + (p["kp3"] - p["k34"] - p["ke3"]) * em + p["k23"] * c,
        "EFF": p["k34"] * em - p["ke4"] * eff,
        "B": p["k5"] * (1 - y["B"] / p["K0"]) * y["B"] - kill * y["B"] / (p["KM5"] + y["B"]),
    }


OUTPUTS = {
    "cells": Output(lambda y, p: y["TN"] + y["C"] + y["EM"] + y["EFF"], "cells/uL", "CAR-T in blood (flow)"),
    "naive": Output(lambda y, p: y["TN"], "cells/uL", "naive CAR-T in blood"),
    "central_memory": Output(lambda y, p: y["C"], "cells/uL", "central memory CAR-T in blood"),
    "effector_memory": Output(lambda y, p: y["EM"], "cells/uL", "effector memory CAR-T in blood"),
    "effector": Output(lambda y, p: y["EFF"], "cells/uL", "effector CAR-T in blood"),
    "tumour": Output(lambda y, p: y["B"], "mL", "metabolic tumour volume"),
}

DERIVED = {
    "half_life_effector": Derived(lambda p: jnp.log(2) / p["ke4"], "day", "half-life of effector CAR-T"),
    "tumour_doubling": Derived(lambda p: jnp.log(2) / p["k5"], "day", "tumour doubling time, untreated and small"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, vector_field=vector_field,
    initial=initial, dosing=DOSING, typical_dose=FULL_DOSE,
)  # fmt: skip
