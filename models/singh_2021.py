"""Antigen binding drives expansion and killing in marrow; blood, M-protein, sBCMA (idecabtagene vicleucel).

Singh AP et al., CPT Pharmacometrics Syst Pharmacol 2021;10:362, doi 10.1002/psp4.12598 (PMC8099446). 33 adults with
multiple myeloma (CRB-401), qPCR of blood: the clinical model, its mean curves. Values: Table 1 and the authors' Monolix
code (supplement) as read in the public extraction nlmixr2lib; its omegas are SDs of the log.

Eb, Mb effector and memory cells in blood; Et, Mt in marrow; c complexes/L of marrow; U tumour cells/L of marrow.

    Ct = (Et+Mt)/VT; expand = kexp c/(ec50 Ct + c); kill = kkill c/(KC50 U + c)
    Eb' = k21 Et - (k12+kel_e) Eb;           Mb' = k21 Mt - (k12+kel_m) Mb
    Et' = k12 Eb - k21 Et + (expand-rm) Et;  Mt' = k12 Mb - k21 Mt + rm Et
    c' = KON (Ct CARS - c)(U ANTIGENS - c) - KOFF c;  U' = (kg-kill) U
    Mp' = PM u0 (U/u0)^gamma_m - KM Mp;  sB' = PB u0 (U/u0)^gamma_b - KB sB

U = u0, Mp and sB at rest, no cells at day 0; a dose enters Eb. Changed here: the paper starts Et at 1e-6 cells/L, lest
it divide by zero; those cells would be 4e7 by day 28 without any dose, so here Et starts at 0 and the two ratios are
guarded by one complex per litre. The tumour's part in the biomarkers is held above 1e-12 of u0 (far below one cell).
TransC (0.002 copies/ug per cell/L) is written as nucleated cells per VCN, 1/(6.6e-6 x 2000), as in ogasawara_2021.
What the paper fixes and no clinical data inform (volumes, affinity, antigen counts, biomarker turnover) is constant.
Prior SDs on typical values are widened from Table 1's standard errors for transfer to other products (a guess).
"""

import jax.numpy as jnp

from kinetics import Balance, Derived, LogNormal, Model, Output, Parameter, State

VB, VT = 5.0, 3.65  # L of blood, of marrow: Table 1, fixed
KON = 7.103e4 * 86400 / 6.023e23  # L/day per complex: 7.1e4 /M/s, Table 1, fixed (the code's digits)
KOFF = 2.385e-3 * 86400  # 1/day: 2.39e-3 /s, Table 1, fixed (the code's digits)
CARS, ANTIGENS = 15000.0, 12590.0  # CARs per CAR-T cell, BCMA per myeloma cell: Table 1, fixed
KC50 = 2.24  # complexes per tumour cell at half of the largest killing: Table 1, fixed from cell culture
PM, KM = 12.1e-12, 0.117  # M-protein: g/day per cell (12.1 pg), 1/day: Table 1, fixed
PB, KB = 0.175e-6, 0.7  # sBCMA: ng/mL per day per cell/L (0.175 pg/cell/day), 1/day: Table 1, fixed
UG_PER_GENOME = 6.6e-6  # ug DNA of one diploid nucleus: 6.6 pg

STATES = {
    "Eb": State("effector CAR-T cells", "cells", site="blood", scale=1e3),
    "Mb": State("memory CAR-T cells", "cells", site="blood", scale=1.0),
    "Et": State("effector CAR-T cells", "cells", site="marrow", scale=1e3),
    "Mt": State("memory CAR-T cells", "cells", site="marrow", scale=1.0),
    "c": State("CAR-BCMA complexes", "count/L", site="marrow", scale=1e6),
    "U": State("myeloma cells", "cells/L", site="marrow"),
    "Mp": State("M-protein", "g/L", site="serum", scale=1e-3),
    "sB": State("soluble BCMA", "ng/mL", site="serum", scale=1e-1),
}

PARAMETERS = {
    "kexp": Parameter(1.73, "1/day", LogNormal(1.73, 0.3), sd=0.22, source="Singh 2021 Table 1"),
    "ec50": Parameter(10.0, "count/cells", LogNormal(10.0, 0.5), sd=None, source="Singh 2021 Table 1: complexes per CAR-T cell at half of kexp"),
    "rm": Parameter(2e-5, "1/day", LogNormal(2e-5, 1.0), sd=None, source="Singh 2021 Table 1 (RSE 66 %); its omega 4e-5 was not estimated"),
    "kel_e": Parameter(113.0, "1/day", LogNormal(113.0, 0.5), sd=0.5, source="Singh 2021 Table 1; sd the supplement's assumption"),
    "kel_m": Parameter(0.219, "1/day", LogNormal(0.219, 0.5), sd=0.5, source="Singh 2021 Table 1; sd the supplement's assumption"),
    "k12": Parameter(1.71, "1/day", LogNormal(1.71, 0.5), sd=0.5, source="Singh 2021 Table 1; sd the supplement's assumption"),
    "k21": Parameter(0.176, "1/day", LogNormal(0.176, 0.5), sd=0.5, source="Singh 2021 Table 1; sd the supplement's assumption"),
    "kkill": Parameter(0.343, "1/day", LogNormal(0.343, 0.5), sd=0.50, source="Singh 2021 Table 1"),
    "kg": Parameter(0.008, "1/day", LogNormal(0.008, 0.5), sd=0.5, source="Singh 2021 Table 1, fixed; sd a guess"),
    "u0": Parameter(2.5e9, "cells/L", LogNormal(2.5e9, 0.8), sd=0.8, source="Singh 2021 Monolix code, fixed; sd a guess: its 0.2-5-fold sweep is two SDs"),
    "gamma_m": Parameter(0.215, "1", LogNormal(0.215, 0.3), sd=0.21, source="Singh 2021 Table 1"),
    "gamma_b": Parameter(1.0, "1", LogNormal(1.0, 0.5), sd=1.0, source="Singh 2021 Table 1: typical value fixed, omega estimated"),
    "nucleated_per_vcn": Parameter(75.757576, "cells/uL", LogNormal(75.757576, 1.0), sd=0.4, source="Singh 2021 Table 1: TransC 0.002, fixed; sd a guess"),
}  # fmt: skip

DOSING = {"iv": lambda p: {"Eb": 1.0}}


def initial(p):
    return {"U": p["u0"], "Mp": PM * p["u0"] / KM, "sB": PB * p["u0"] / KB}


def vector_field(t, y, p):
    cart = (y["Et"] + y["Mt"]) / VT
    c, u = jnp.maximum(y["c"], 0.0), jnp.maximum(y["U"], 0.0)
    expand = p["kexp"] * c / (p["ec50"] * jnp.maximum(cart, 0.0) + c + 1.0)
    kill = p["kkill"] * c / (KC50 * u + c + 1.0)
    burden = jnp.maximum(y["U"] / p["u0"], 1e-12)
    return {
        "Eb": p["k21"] * y["Et"] - (p["k12"] + p["kel_e"]) * y["Eb"],
        "Mb": p["k21"] * y["Mt"] - (p["k12"] + p["kel_m"]) * y["Mb"],
        "Et": p["k12"] * y["Eb"] - p["k21"] * y["Et"] + (expand - p["rm"]) * y["Et"],
        "Mt": p["k12"] * y["Mb"] - p["k21"] * y["Mt"] + p["rm"] * y["Et"],
        "c": KON * (cart * CARS - y["c"]) * (y["U"] * ANTIGENS - y["c"]) - KOFF * y["c"],
        "U": (p["kg"] - kill) * y["U"],
        "Mp": PM * p["u0"] * burden ** p["gamma_m"] - KM * y["Mp"],
        "sB": PB * p["u0"] * burden ** p["gamma_b"] - KB * y["sB"],
    }


def blood(y):
    """CAR+ cells per uL of blood."""
    return (y["Eb"] + y["Mb"]) / (VB * 1e6)


OUTPUTS = {
    "copies": Output(
        lambda y, p: blood(y) / (UG_PER_GENOME * p["nucleated_per_vcn"]), "copies/ug DNA", "CAR transgene in blood (qPCR)"
    ),
    "cells": Output(lambda y, p: blood(y), "cells/uL", "CAR+ cells in blood (flow)"),
    "m_protein": Output(lambda y, p: y["Mp"], "g/L", "serum M-protein"),
    "sbcma": Output(lambda y, p: y["sB"], "ng/mL", "soluble BCMA"),
    "tumour": Output(lambda y, p: y["U"], "cells/L", "myeloma cells in marrow"),
}  # fmt: skip

DERIVED = {
    "half_life_memory": Derived(lambda p: memory_half_life(p), "day", "half-life of memory cells, blood and marrow together"),
    "tumour_doubling_time": Derived(lambda p: jnp.log(2) / p["kg"], "day", "doubling time of the untreated tumour"),
}  # fmt: skip


def memory_half_life(p):
    """Slow eigenvalue of the two-compartment exchange with loss from blood."""
    total = p["k12"] + p["k21"] + p["kel_m"]
    fast = 0.5 * (total + jnp.sqrt(total**2 - 4 * p["k21"] * p["kel_m"]))
    return jnp.log(2) * fast / (p["k21"] * p["kel_m"])


BALANCE = Balance(lambda y, p: y["Eb"] + y["Mb"] + y["Et"] + y["Mt"], without=("kexp", "kel_e", "kel_m"))

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, dosing=DOSING, vector_field=vector_field, initial=initial,
    stiff=True, balance=BALANCE, typical_dose=450e6,
)  # fmt: skip
