"""Lag, distribution, expansion, contraction and persistence of CAR-T cells in blood, with smooth gates. A design.

The four phases are those of Liu C et al., Clin Pharmacol Ther 2021, doi 10.1002/cpt.2040 (218 patients, 7 trials,
qPCR), whose parameter table was not available; the equations are this project's. Times and half-lives are those of
Ogasawara 2021 (Clin Pharmacokinet 60:1621), the memory share that of Stein 2019 (CPT:PSP 8:285, doi
10.1002/psp4.12388). E expanding, M persisting copies; on = sigm((t-tlag)/s), off = sigm((t-tmax)/s),
tlag = lag_fraction tmax, rho = ln 2/doubling_time, alpha and beta the rates of the two half-lives:

    E' = -k_d (1-on) E + rho on (1-off) E/(1 + E/K_sat) - alpha off E
    M' = fb (alpha-beta) off E - beta M,   y = E + M

A dose enters E: C0 [copies/ug DNA] = dose/(blood_volume 1e6) / (6.6e-6 nucleated_per_vcn), so the level follows
the dose until K_sat bends it. With k_d -> 0, K_sat -> infinity and s -> 0 this is ogasawara_2021; without the lag too,
stein_2019.

The gates count from day 0, which must be the day of the course's first infusion; a second course needs its own fit.
Left out: the delay of E on its way to M. All prior SDs are guesses.
"""

import jax
import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

UG_PER_GENOME = 6.6e-6  # ug DNA of one diploid nucleus: 6.6 pg (golden T9: 151,515 genomes per ug)

STATES = {
    "E": State("CAR transgene, expanding cells", "copies/ug DNA", site="blood", scale=1e-2),
    "M": State("CAR transgene, persisting cells", "copies/ug DNA", site="blood", scale=1e-2),
}

PARAMETERS = {
    "k_d": Parameter(1.0, "1/day", LogNormal(1.0, 0.5), sd=0.3, source="a guess: half-life of the infused cells in blood 0.3-0.7 d", guess=True),
    "lag_fraction": Parameter(0.352, "1", LogitNormal(0.352, 0.6), sd=0.6, source="Ogasawara 2021 abstract: Tlag 3.27 d (2.71-3.97) of Tmax 9.29 d; sd a guess"),
    "doubling_time": Parameter(0.755, "day", LogNormal(0.755, 0.4), sd=0.2, source="Ogasawara 2021 abstract (0.667-0.821); sd a guess"),
    "tmax": Parameter(9.29, "day", LogNormal(9.29, 0.4), sd=0.3, source="Ogasawara 2021 abstract (8.81-9.70); sd a guess"),
    "s": Parameter(0.25, "day", LogNormal(0.25, 0.5), source="a guess: how sharp the gates are", guess=True),
    "K_sat": Parameter(100000.0, "copies/ug DNA", LogNormal(100000.0, 1.0), sd=1.0, source="a guess: above most peaks", guess=True),
    "half_life_contraction": Parameter(5.00, "day", LogNormal(5.00, 0.5), sd=0.6, source="Ogasawara 2021 abstract (4.15-5.90); sd a guess"),
    "fb": Parameter(0.0079, "1", LogitNormal(0.0079, 1.0), sd=0.80, source="Stein 2019 Table 1"),
    "half_life_persistence": Parameter(352.0, "day", LogNormal(352.0, 0.5), sd=0.9, source="Ogasawara 2021 abstract (241-647); sd a guess"),
    "blood_volume": Parameter(5.67, "L", LogNormal(5.67, 0.1), source="BayesPBPK-tutorial, 70 kg: 1.89 + 3.78 L (2023); sd a guess"),
    "nucleated_per_vcn": Parameter(1000.0, "cells/uL", LogNormal(1000.0, 1.0), sd=0.4, source="a guess: a low leukocyte count after lymphodepletion over VCN 1 (golden T9 uses 1000)", guess=True),
}  # fmt: skip


def _copies_per_cell(p):
    return 1 / (p["blood_volume"] * 1e6 * UG_PER_GENOME * p["nucleated_per_vcn"])


DOSING = {"iv": lambda p: {"E": _copies_per_cell(p)}}


def vector_field(t, y, p):
    on = jax.nn.sigmoid((t - p["lag_fraction"] * p["tmax"]) / p["s"])
    off = jax.nn.sigmoid((t - p["tmax"]) / p["s"])
    rho, alpha, beta = (
        jnp.log(2) / p[k] for k in ("doubling_time", "half_life_contraction", "half_life_persistence")
    )
    growth = rho * on * (1 - off) / (1 + y["E"] / p["K_sat"])
    return {
        "E": (growth - p["k_d"] * (1 - on) - alpha * off) * y["E"],
        "M": p["fb"] * (alpha - beta) * off * y["E"] - beta * y["M"],
    }


OUTPUTS = {
    "copies": Output(lambda y, p: y["E"] + y["M"], "copies/ug DNA", "CAR transgene in blood (qPCR)"),
    "cells": Output(
        lambda y, p: (y["E"] + y["M"]) * UG_PER_GENOME * p["nucleated_per_vcn"], "cells/uL",
        "CAR+ cells in blood (flow)",
    ),
}  # fmt: skip

DERIVED = {
    "tlag": Derived(lambda p: p["lag_fraction"] * p["tmax"], "day", "lag before expansion"),
    "expansion_rate": Derived(lambda p: jnp.log(2) / p["doubling_time"], "1/day", "expansion rate rho"),
    "alpha": Derived(lambda p: jnp.log(2) / p["half_life_contraction"], "1/day", "contraction rate"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, vector_field=vector_field, dosing=DOSING, typical_dose=1e8,
)  # fmt: skip
