"""CAR-T cells, leukaemia and its antigen-negative relapse (CD19 CAR-T, B-ALL).

Liu L, Ma C, Zhang Z, Chen W. Computational model of CAR T-cell immunotherapy dissects and predicts leukemia patient
responses at remission, resistance, and relapse. J Immunother Cancer 2022 (preprint doi 10.1101/2021.09.21.21263913).
Individual patients of several trials with B-ALL. Values are the two examples in Lunan12/CAR-T-model: a continuous
remission (the defaults) and a CD19-negative relapse (prior set `antigen_negative_relapse`). No population values.

The unit of the cells is not stated there (CAR-T below 0.2 are not detected): it is written 1 here. TN CAR-T before and
TA after activation, B antigen-positive and Bn antigen-negative leukaemia:

    TN' = -ka B/(B+KN) TN - lN TN
    TA' = (rT B/(B+Kr) - lT) TA + ka B/(B+KN) TN
    B'  = rB B (1 - B/nM) - eB B/(B+KB) TA,                 B(0) = B0
    Bn' = rn Bn (1 - Bn/nM) - eB/kb Bn/(Bn+KBn) TA,         Bn(0) = Bn0
    burden in % = 97.19 (B+Bn)/(1909 + B+Bn)

Changed here: the authors start from TN(0); here a dose of 1e8 cells (a guess: the doses are not given) brings that
many, another dose in proportion, on its day. Antigen loss during treatment (their km, 0 in their example) is left
out: the relapsing clone is there on day 0. In the remission Bn0 is 1e-6 instead of none, too few to be seen within half
a year, and rn, kb and KBn are those of the relapse. Between-subject and prior SDs are guesses.
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {
    "TN": State("CAR-T not yet activated", "1", site="blood", scale=1e-3),
    "TA": State("activated CAR-T", "1", site="blood", scale=1e-3),
    "B": State("antigen-positive leukaemia", "1", site="marrow", scale=1e-3),
    "Bn": State("antigen-negative leukaemia", "1", site="marrow", scale=1e-6),
}

_CR = "Lunan12/CAR-T-model 2022, Simulation_CR_PR_NR; sd a guess"
_NEG = "Lunan12/CAR-T-model 2022, Simulation_NegR; sd a guess"

PARAMETERS = {
    "rB": Parameter(0.069, "1/day", LogNormal(0.069, 0.5), sd=0.3, source=_CR),
    "nM": Parameter(2939.1, "1", LogNormal(2939.1, 0.5), sd=0.3, source=_CR),
    "eB": Parameter(22.72, "1/day", LogNormal(22.72, 0.7), sd=0.5, source=_CR),
    "KB": Parameter(5891.45, "1", LogNormal(5891.45, 0.7), sd=0.3, source=_CR),
    "ka": Parameter(0.65, "1/day", LogNormal(0.65, 0.7), sd=0.3, source=_CR),
    "KN": Parameter(1808.02, "1", LogNormal(1808.02, 0.7), sd=0.3, source=_CR),
    "rT": Parameter(1.62, "1/day", LogNormal(1.62, 0.5), sd=0.3, source=_CR),
    "Kr": Parameter(637.64, "1", LogNormal(637.64, 0.7), sd=0.3, source=_CR),
    "lT": Parameter(0.12, "1/day", LogNormal(0.12, 0.7), sd=0.5, source=_CR),
    "lN": Parameter(3e-5, "1/day", LogNormal(3e-5, 1.5), sd=0.5, source=_CR),
    "B0": Parameter(2200.24, "1", LogNormal(2200.24, 1.5), sd=1.0, source=_CR),
    "TN_per_cell": Parameter(16.46e-8, "1/cells", LogNormal(16.46e-8, 1.5), sd=1.0, source="TN(0) 16.46 of Lunan12/CAR-T-model 2022, at a dose of 1e8 that is a guess", guess=True),
    "rn": Parameter(0.1, "1/day", LogNormal(0.1, 0.5), sd=0.3, source=_NEG),
    "kb": Parameter(7.9, "1", LogNormal(7.9, 0.7), sd=0.5, source=_NEG),
    "KBn": Parameter(5956.03, "1", LogNormal(5956.03, 0.7), sd=0.3, source=_NEG),
    "Bn0": Parameter(1e-6, "1", LogNormal(1e-6, 2.0), sd=1.0, source="a guess: none, but a log link needs a number", guess=True),
}  # fmt: skip

PRIOR_SETS = {
    "antigen_negative_relapse": {
        "rB": Parameter(0.086, "1/day", LogNormal(0.086, 0.5), sd=0.3, source=_NEG),
        "nM": Parameter(19988.53, "1", LogNormal(19988.53, 0.5), sd=0.3, source=_NEG),
        "eB": Parameter(8.6, "1/day", LogNormal(8.6, 0.7), sd=0.5, source=_NEG),
        "KB": Parameter(794.99, "1", LogNormal(794.99, 0.7), sd=0.3, source=_NEG),
        "ka": Parameter(0.19, "1/day", LogNormal(0.19, 0.7), sd=0.3, source=_NEG),
        "KN": Parameter(93066.8, "1", LogNormal(93066.8, 0.7), sd=0.3, source=_NEG),
        "rT": Parameter(1.7, "1/day", LogNormal(1.7, 0.5), sd=0.3, source=_NEG),
        "Kr": Parameter(827.08, "1", LogNormal(827.08, 0.7), sd=0.3, source=_NEG),
        "lT": Parameter(0.04, "1/day", LogNormal(0.04, 0.7), sd=0.5, source=_NEG),
        "lN": Parameter(0.073, "1/day", LogNormal(0.073, 1.5), sd=0.5, source=_NEG),
        "B0": Parameter(17212.23022, "1", LogNormal(17212.23022, 1.5), sd=1.0, source=_NEG),
        "TN_per_cell": Parameter(0.3e-8, "1/cells", LogNormal(0.3e-8, 1.5), sd=1.0, source="TN(0) 0.3 of Lunan12/CAR-T-model 2022, at a dose of 1e8 that is a guess", guess=True),
        "Bn0": Parameter(19.89, "1", LogNormal(19.89, 2.0), sd=1.0, source=_NEG),
    },
}  # fmt: skip

DOSING = {"iv": lambda p: {"TN": p["TN_per_cell"]}}


def initial(p):
    return {"B": p["B0"], "Bn": p["Bn0"]}


def vector_field(t, y, p):
    b, bn, ta = y["B"], y["Bn"], y["TA"]
    activated = p["ka"] * b / (b + p["KN"]) * y["TN"]
    return {
        "TN": -activated - p["lN"] * y["TN"],
        "TA": (p["rT"] * b / (b + p["Kr"]) - p["lT"]) * ta + activated,
        "B": p["rB"] * b * (1 - b / p["nM"]) - p["eB"] * b / (b + p["KB"]) * ta,
        "Bn": p["rn"] * bn * (1 - bn / p["nM"]) - p["eB"] / p["kb"] * bn / (bn + p["KBn"]) * ta,
    }


def _burden(cells):
    return 97.19 * cells / (1909 + cells)


OUTPUTS = {
    "cells": Output(lambda y, p: y["TA"], "1", "activated CAR-T in blood, unit not stated"),
    "burden": Output(lambda y, p: _burden(y["B"] + y["Bn"]), "%", "leukaemia in marrow"),
}

DERIVED = {
    "half_life_contraction": Derived(lambda p: jnp.log(2) / p["lT"], "day", "half-life of CAR-T without leukaemia"),
    "leukaemia_doubling": Derived(lambda p: jnp.log(2) / p["rB"], "day", "leukaemia doubling time untreated"),
}  # fmt: skip

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, vector_field=vector_field,
    initial=initial, dosing=DOSING, typical_dose=1e8,
)  # fmt: skip
