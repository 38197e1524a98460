"""CAR-T cells whose expansion the tumour drives, and the tumour: three forms of one file.

Chaudhury A, Zhu X, Chu L et al., Chimeric antigen receptor T cell therapies: a review of cellular kinetic-pharmacodynamic
modeling approaches, J Clin Pharmacol 2020;60 Suppl 1:S147, doi 10.1002/jcph.1691. Equations and values as in BioModels
(CC0): `form="ec50"` (the default) is BIOMD0000001025, `form="first_order"` MODEL2109110005, `form="lotka_volterra"`
BIOMD0000001024. E expanding and P persisting CAR-T, U tumour, all in cells/uL:

    ec50            E' = on rho E U/(EC50_rho + E + U) - off (kE + kEP) E,     P' = off (kEP E - beta P)
                    U' = F g U ln(Umax/U)/ln Umax - d E U/(EC50_d + E + U)
    first_order     E' = on rho E - off (kE + kEP) E,   P as above,   U' = F g U ln(Umax/U)/ln Umax - d E U
    lotka_volterra  E' = rho E U - kE E,   U' = g U - d E U

F = 1/(1 + (Ucrit/U)^3): the tumour does not come back from below Ucrit. Until day tmax cells expand (on = 1, off = 0),
then they contract. Here a gate of width s stands for that switch, and counts from day 0, the day of the infusion.

The values are examples of the paper's figures, fitted to nobody. Each begins with 10 cells/uL; here a dose spread over
the blood does. In `first_order` the tumour starts at 900 where Umax is 100: so in that file. Between-subject and prior SDs
are guesses.
"""

import jax
import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

_EC50 = "BIOMD0000001025 (Chaudhury 2020); sd a guess"
_FIRST = "MODEL2109110005 (Chaudhury 2020); sd a guess"
_LV = "BIOMD0000001024 (Chaudhury 2020); sd a guess"

BLOOD = {
    "blood_volume": Parameter(5.0, "L", LogNormal(5.0, 0.1), source="a guess: so that 5e7 cells are 10 cells/uL", guess=True),
}  # fmt: skip

GATE = {
    "tmax": Parameter(9.3, "day", LogNormal(9.3, 0.4), sd=0.3, source="BIOMD0000001025 and MODEL2109110005 (Chaudhury 2020); sd a guess"),
    "s": Parameter(0.05, "day", LogNormal(0.05, 0.5), source="a guess: the switch is sharp there", guess=True),
}  # fmt: skip

EC50 = {
    "rho": Parameter(8.8, "cells/uL/day", LogNormal(8.8, 0.7), sd=0.5, source=_EC50),
    "EC50_rho": Parameter(1.0, "cells/uL", LogNormal(1.0, 1.0), source=_EC50),
    "kE": Parameter(0.16, "1/day", LogNormal(0.16, 0.5), sd=0.3, source=_EC50),
    "kEP": Parameter(0.0012, "1/day", LogNormal(0.0012, 1.0), sd=0.5, source=_EC50),
    "beta": Parameter(0.0032, "1/day", LogNormal(0.0032, 0.7), sd=0.5, source=_EC50),
    "g": Parameter(0.2, "1/day", LogNormal(0.2, 0.5), sd=0.3, source=_EC50),
    "d": Parameter(0.35, "1/day", LogNormal(0.35, 0.7), sd=0.5, source=_EC50),
    "EC50_d": Parameter(10.0, "cells/uL", LogNormal(10.0, 1.0), source=_EC50),
    "Ucrit": Parameter(0.1, "cells/uL", LogNormal(0.1, 1.0), source=_EC50),
    "Umax": Parameter(1000.0, "cells/uL", LogNormal(1000.0, 0.5), source=_EC50),
    "U0": Parameter(900.0, "cells/uL", LogNormal(900.0, 1.0), sd=0.7, source=_EC50),
    **GATE,
    **BLOOD,
}  # fmt: skip

FIRST_ORDER = {
    "rho": Parameter(1.0, "1/day", LogNormal(1.0, 0.5), sd=0.2, source=_FIRST),
    "kE": Parameter(0.16, "1/day", LogNormal(0.16, 0.5), sd=0.3, source=_FIRST),
    "kEP": Parameter(0.0012, "1/day", LogNormal(0.0012, 1.0), sd=0.5, source=_FIRST),
    "beta": Parameter(0.0032, "1/day", LogNormal(0.0032, 0.7), sd=0.5, source=_FIRST),
    "g": Parameter(0.3, "1/day", LogNormal(0.3, 0.5), sd=0.3, source=_FIRST),
    "d": Parameter(0.0007, "uL/cells/day", LogNormal(0.0007, 0.7), sd=0.5, source=_FIRST),
    "Ucrit": Parameter(0.1, "cells/uL", LogNormal(0.1, 1.0), source=_FIRST),
    "Umax": Parameter(100.0, "cells/uL", LogNormal(100.0, 0.5), source=_FIRST),
    "U0": Parameter(900.0, "cells/uL", LogNormal(900.0, 1.0), sd=0.7, source=_FIRST),
    **GATE,
    **BLOOD,
}  # fmt: skip

LOTKA_VOLTERRA = {
    "rho": Parameter(0.0018, "uL/cells/day", LogNormal(0.0018, 0.7), sd=0.5, source=_LV),
    "kE": Parameter(0.16, "1/day", LogNormal(0.16, 0.5), sd=0.3, source=_LV),
    "g": Parameter(0.15, "1/day", LogNormal(0.15, 0.5), sd=0.3, source=_LV),
    "d": Parameter(0.00015, "uL/cells/day", LogNormal(0.00015, 0.7), sd=0.5, source=_LV),
    "U0": Parameter(900.0, "cells/uL", LogNormal(900.0, 1.0), sd=0.7, source=_LV),
    **BLOOD,
}  # fmt: skip

E = State("expanding CAR-T", "cells/uL", site="blood", scale=1e-4)
P = State("persisting CAR-T", "cells/uL", site="blood", scale=1e-4)
U = State("tumour cells", "cells/uL", site="blood", scale=1e-4)

DOSING = {"iv": lambda p: {"E": 1 / (p["blood_volume"] * 1e6)}}
TUMOUR = Output(lambda y, p: y["U"], "cells/uL", "tumour cells in blood")


def initial(p):
    return {"U": p["U0"]}


def _contracting(t, p):
    """The share of the switch that is past: 0 before tmax, 1 after it."""
    return jax.nn.sigmoid((t - p["tmax"]) / p["s"])


def _growth(y, p):
    """Gompertz growth that stops below Ucrit; so far below it that nothing grows, U may be 0."""
    u = jnp.maximum(y["U"], 1e-9 * p["Ucrit"])
    cure = 1 / (1 + (p["Ucrit"] / u) ** 3)
    return cure * p["g"] * u * jnp.log(p["Umax"] / u) / jnp.log(p["Umax"])


def _two_phases(parameters, expansion, killing):
    def field(t, y, p):
        off = _contracting(t, p)
        return {
            "E": (1 - off) * expansion(y, p) - off * (p["kE"] + p["kEP"]) * y["E"],
            "P": off * (p["kEP"] * y["E"] - p["beta"] * y["P"]),
            "U": _growth(y, p) - killing(y, p),
        }

    return Model(
        {"E": E, "P": P, "U": U},
        parameters,
        {"cells": Output(lambda y, p: y["E"] + y["P"], "cells/uL", "CAR-T in blood (flow)"), "tumour": TUMOUR},
        derived={
            "half_life_contraction": Derived(lambda p: jnp.log(2) / (p["kE"] + p["kEP"]), "day", "half-life in contraction"),
            "half_life_persistence": Derived(lambda p: jnp.log(2) / p["beta"], "day", "half-life of persisting CAR-T"),
        },
        vector_field=field,
        initial=initial,
        dosing=DOSING,
        typical_dose=5e7,
        name="chaudhury_2020",
    )


def _ec50():
    return _two_phases(
        EC50,
        lambda y, p: p["rho"] * y["E"] * y["U"] / (p["EC50_rho"] + y["E"] + y["U"]),
        lambda y, p: p["d"] * y["E"] * y["U"] / (p["EC50_d"] + y["E"] + y["U"]),
    )


def _first_order():
    return _two_phases(FIRST_ORDER, lambda y, p: p["rho"] * y["E"], lambda y, p: p["d"] * y["E"] * y["U"])


def _lotka_volterra():
    def field(t, y, p):
        met = y["E"] * y["U"]
        return {"E": p["rho"] * met - p["kE"] * y["E"], "U": p["g"] * y["U"] - p["d"] * met}

    return Model(
        {"E": E, "U": U},
        LOTKA_VOLTERRA,
        {"cells": Output(lambda y, p: y["E"], "cells/uL", "CAR-T in blood (flow)"), "tumour": TUMOUR},
        derived={
            "half_life": Derived(lambda p: jnp.log(2) / p["kE"], "day", "half-life of CAR-T without tumour"),
            "cells_to_hold_tumour": Derived(
                lambda p: p["g"] / p["d"], "cells/uL", "CAR-T that hold the tumour"
            ),
        },
        vector_field=field,
        initial=initial,
        dosing=DOSING,
        typical_dose=5e7,
        name="chaudhury_2020",
    )


def build(form="ec50"):
    """The model in one of its three forms."""
    forms = {"ec50": _ec50, "first_order": _first_order, "lotka_volterra": _lotka_volterra}
    if form not in forms:
        raise ValueError(f"no form {form!r}; there are {', '.join(forms)}")
    return forms[form]()


MODEL = build()
