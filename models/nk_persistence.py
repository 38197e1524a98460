"""CAR-NK cells in blood after lymphodepletion: IL-15 feeds them, the returning host rejects them. A design.

Design of this project, no publication: no population model of CAR-NK kinetics with parameters is known. Facts behind
it: CAR-NK without their own IL-15 are found for 1-4 weeks after Flu/Cy and go faster once the host's lymphocytes
return (about day 14); those that make IL-15 persisted a year and more (Liu E, N Engl J Med 2020;382:545). Every value
but the blood volume is a guess and says so. Meant for patients after lymphodepletion, 70 kg unless the plan scales
`blood_volume`.

K CAR-NK in the body's exchanging pool, lung and liver the cells of a dose that lodge there first:

    IL15'  = -k15 (IL15 - b15),   IL15(0) = b15 + delta15;   x = max(IL15 - b15, 0),   h = x/(EC15 + x)
    lung'  = -k_lung lung,   liver' = -k_liver liver
    K'     = k_lung lung + k_liver liver + [rK h + rA (1 - sigm((t-tA)/srej)) - d0 - drej sigm((t-trej)/srej)] K

Doses: iv: f_lung to the lung, the rest to K. Hepatic artery: f_liver stays in the liver, the rest goes on as an iv
dose. Blood holds `blood_share` of K. Times are study days: lymphodepletion is over and IL-15 at its peak on day 0. rA
is growth on the product's own IL-15; its default is nothing to speak of, the prior set `armoured` switches it on.
"""

import jax
import jax.numpy as jnp

from kinetics import Balance, Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

UG_PER_GENOME = 6.6e-6  # ug DNA of one diploid nucleus: 6.6 pg (golden T9: 151,515 genomes per ug)

STATES = {
    "lung": State("CAR-NK", "cells", site="lung", scale=1e2),
    "liver": State("CAR-NK", "cells", site="liver", scale=1e2),
    "K": State("CAR-NK", "cells", site="body", scale=1e2),
    "IL15": State("IL-15", "pg/mL", site="serum", scale=1e-2),
}

PARAMETERS = {
    "d0": Parameter(0.25, "1/day", LogNormal(0.25, 0.385), sd=0.3, source="a guess (CV 40 %): half-life 2.8 d", guess=True),
    "drej": Parameter(0.25, "1/day", LogNormal(0.25, 0.555), sd=0.3, source="a guess (CV 60 %)", guess=True),
    "trej": Parameter(14.0, "day", LogNormal(14.0, 0.246), sd=0.2, source="a guess (CV 25 %): host lymphocytes come back at about two weeks", guess=True),
    "srej": Parameter(2.0, "day", LogNormal(2.0, 0.5), source="a guess", guess=True),
    "rK": Parameter(0.35, "1/day", LogNormal(0.35, 0.555), sd=0.3, source="a guess (CV 60 %)", guess=True),
    "rA": Parameter(1e-4, "1/day", LogNormal(1e-4, 0.5), source="a guess: no armour, but a log link needs a number; 0.1 % in two weeks", guess=True),
    "tA": Parameter(14.0, "day", LogNormal(14.0, 0.3), source="a guess: the armour feeds until about day 14", guess=True),
    "EC15": Parameter(20.0, "pg/mL", LogNormal(20.0, 0.5), source="a guess", guess=True),
    "b15": Parameter(5.0, "pg/mL", LogNormal(5.0, 0.5), source="a guess", guess=True),
    "delta15": Parameter(40.0, "pg/mL", LogNormal(40.0, 0.5), sd=0.4, source="a guess: 30-60 pg/mL after Flu/Cy", guess=True),
    "k15": Parameter(0.35, "1/day", LogNormal(0.35, 0.5), sd=0.3, source="a guess: falls over 1-2 weeks", guess=True),
    "k_lung": Parameter(6.0, "1/day", LogNormal(6.0, 0.5), source="a guess", guess=True),
    "f_lung": Parameter(0.6, "1", LogitNormal(0.6, 0.7), source="a guess: iv cells lodge in the lung first (Matera 2006, J Transl Med 4:49)", guess=True),
    "k_liver": Parameter(1.84, "1/day", LogNormal(1.84, 0.5), source="a guess: kout of Hardiansyah 2019, which is of CAR-T", guess=True),
    "f_liver": Parameter(0.7, "1", LogitNormal(0.7, 0.6), source="a guess: liver and spleen after intra-arterial cells (Matera 2006)", guess=True),
    "blood_volume": Parameter(5.67, "L", LogNormal(5.67, 0.1), source="BayesPBPK-tutorial, 70 kg: 1.89 + 3.78 L (2023); sd a guess"),
    "blood_share": Parameter(0.0233, "1", LogitNormal(0.0233, 1.0), sd=0.5, source="a guess: kout/(kin+kout) of Hardiansyah 2019, 1.84 and 77 /day, which is of CAR-T", guess=True),
    "nucleated_per_vcn": Parameter(1000.0, "cells/uL", LogNormal(1000.0, 1.0), sd=0.4, source="a guess: a low leukocyte count after lymphodepletion over VCN 1 (golden T9 uses 1000)", guess=True),
}  # fmt: skip

PRIOR_SETS = {
    "armoured": {
        "rA": Parameter(0.35, "1/day", LogNormal(0.35, 0.4), sd=0.3, source="a guess: .2-.5 per day for a construct with IL-15", guess=True),
    },
}  # fmt: skip


def _iv(p, share=1.0):
    return {"lung": share * p["f_lung"], "K": share * (1 - p["f_lung"])}


DOSING = {
    "iv": _iv,
    "hepatic_artery": lambda p: {"liver": p["f_liver"], **_iv(p, 1 - p["f_liver"])},
}


def initial(p):
    return {"IL15": p["b15"] + p["delta15"]}


def vector_field(t, y, p):
    excess = jnp.maximum(y["IL15"] - p["b15"], 0.0)
    fed = p["rK"] * excess / (p["EC15"] + excess) + p["rA"] * jax.nn.sigmoid((p["tA"] - t) / p["srej"])
    lost = p["d0"] + p["drej"] * jax.nn.sigmoid((t - p["trej"]) / p["srej"])
    from_lung, from_liver = p["k_lung"] * y["lung"], p["k_liver"] * y["liver"]
    return {
        "lung": -from_lung,
        "liver": -from_liver,
        "K": from_lung + from_liver + (fed - lost) * y["K"],
        "IL15": -p["k15"] * (y["IL15"] - p["b15"]),
    }


def _per_ul(y, p):
    return y["K"] * p["blood_share"] / (p["blood_volume"] * 1e6)


OUTPUTS = {
    "copies": Output(
        lambda y, p: _per_ul(y, p) / (UG_PER_GENOME * p["nucleated_per_vcn"]), "copies/ug DNA",
        "CAR transgene in blood (qPCR)",
    ),
    "cells": Output(_per_ul, "cells/uL", "CAR-NK in blood (flow)"),
    "il15": Output(lambda y, p: y["IL15"], "pg/mL", "IL-15"),
}  # fmt: skip

DERIVED = {
    "half_life": Derived(lambda p: jnp.log(2) / p["d0"], "day", "half-life without IL-15 or rejection"),
    "half_life_rejected": Derived(lambda p: jnp.log(2) / (p["d0"] + p["drej"]), "day", "half-life once rejected"),
}

BALANCE = Balance(lambda y, p: y["lung"] + y["liver"] + y["K"], without=("d0", "drej", "rK", "rA"))

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, vector_field=vector_field,
    initial=initial, dosing=DOSING, balance=BALANCE, typical_dose=2e9,
)  # fmt: skip
