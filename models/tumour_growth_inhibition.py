"""Tumour size under treatment: killed by cells, after Claret, or after Stein and Fojo. Three forms of one file.

`form="kill"` (the default) and `form="claret"` are blocks: they join a kinetics model through `kill_rate` or `exposure`
(`kinetics.compose`) and stand alone with a constant. Growth prior of `kill`: liver metastases of colorectal cancer
double in 155 (overt) or 86 d (occult): Finlay IG et al., Br J Surg 1988;75:641.

    kill        U' = (kg - kill_rate) U                              TS = TS0 (U/U0)^(1/3)       [cells; mm]
    claret      TS' = KL TS - KD exp(-lambda t) exposure TS          Claret L et al., J Clin Oncol 2009;27:4103
    stein_fojo  TS = TS0 [exp(-d t) + exp(g t) - 1]                  Stein WD et al., Oncologist 2008;13:1046

TS is a sum of lesion diameters, t counts from day 0. No estimate of Claret's parameters for liver metastases was found
(those that circulate for colorectal cancer are placeholders): its values are guesses. Stein and Fojo's are of
prostate-specific antigen, medians 10^-2.5 and 10^-1.7 a day, and wide here.
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

TS0 = Parameter(100.0, "mm", LogNormal(100.0, 0.5), sd=0.4, source="a guess: sum of diameters at baseline; give it from imaging", guess=True)  # fmt: skip

KILL = {
    "kg": Parameter(0.006, "1/day", LogNormal(0.006, 0.5), source="Finlay 1988: liver metastases double in 155 or 86 d; sd a guess"),
    "kill_rate": Parameter(0.004, "1/day", LogNormal(0.004, 1.0), source="a guess; a kinetics model takes its place", guess=True, held=True),
    "U0": Parameter(1e11, "cells", LogNormal(1e11, 1.0), source="a guess: about 100 mL of metastases; give it from imaging", guess=True),
    "TS0": TS0,
}  # fmt: skip

CLARET = {
    "KL": Parameter(0.002, "1/day", LogNormal(0.002, 0.7), sd=0.5, source="a guess: a third of Finlay 1988's growth, for a diameter", guess=True),
    "KD": Parameter(0.001, "1/day", LogNormal(0.001, 1.0), sd=0.7, source="a guess, per unit of exposure", guess=True),
    "resistance": Parameter(0.01, "1/day", LogNormal(0.01, 1.0), source="a guess: lambda, by which the effect is lost", guess=True),
    "exposure": Parameter(10.0, "cells/uL", LogNormal(10.0, 1.0), source="a guess; a kinetics model takes its place", guess=True, held=True),
    "TS0": TS0,
}  # fmt: skip

STEIN_FOJO = {
    "g": Parameter(0.0032, "1/day", LogNormal(0.0032, 1.0), sd=0.7, source="Stein 2008: 10^-2.5 (prostate, PSA); sd a guess"),
    "d": Parameter(0.020, "1/day", LogNormal(0.020, 1.0), sd=0.7, source="Stein 2008: 10^-1.7 (prostate, PSA); sd a guess"),
    "TS0": TS0,
}  # fmt: skip


def _kill():
    return Model(
        {"U": State("tumour cells", "cells", "liver tumour", scale=1e7)},
        KILL,
        {"lesions": Output(lambda y, p: p["TS0"] * jnp.cbrt(y["U"] / p["U0"]), "mm", "sum of lesion diameters")},
        derived={"tumour_doubling": Derived(lambda p: jnp.log(2) / p["kg"], "day", "tumour doubling time untreated")},
        vector_field=lambda t, y, p: {"U": (p["kg"] - p["kill_rate"]) * y["U"]},
        initial=lambda p: {"U": p["U0"]},
        name="tumour_growth_inhibition",
    )


def _claret():
    def field(t, y, p):
        killed = p["KD"] * jnp.exp(-p["resistance"] * t) * p["exposure"]
        return {"TS": (p["KL"] - killed) * y["TS"]}

    return Model(
        {"TS": State("sum of lesion diameters", "mm", "liver tumour", scale=1e-2)},
        CLARET,
        {"lesions": Output(lambda y, p: y["TS"], "mm", "sum of lesion diameters")},
        vector_field=field,
        initial=lambda p: {"TS": p["TS0"]},
        name="tumour_growth_inhibition",
    )


def _stein_fojo():
    def solution(t, p, doses):
        return {"TS": p["TS0"] * (jnp.exp(-p["d"] * t) + jnp.exp(p["g"] * t) - 1.0)}

    return Model(
        {"TS": State("sum of lesion diameters", "mm", "liver tumour")},
        STEIN_FOJO,
        {"lesions": Output(lambda y, p: y["TS"], "mm", "sum of lesion diameters")},
        solution,
        derived={
            "nadir": Derived(
                lambda p: jnp.log(p["d"] / p["g"]) / (p["d"] + p["g"]), "day", "day of the smallest sum (d above g)"
            ),
        },
    )


def build(form="kill"):
    """The model in one of its three forms."""
    forms = {"kill": _kill, "claret": _claret, "stein_fojo": _stein_fojo}
    if form not in forms:
        raise ValueError(f"no form {form!r}; there are {', '.join(forms)}")
    return forms[form]()


MODEL = build()
