"""Memory, effector and exhausted CAR-T cells, switched by antigen (tisagenlecleucel, chronic lymphocytic leukaemia).

Kirouac DC et al., Nat Biotechnol 2023;41:1606, doi 10.1038/s41587-023-01687-x (author correction
s41587-023-01816-6). Mean curves of complete, partial and non-responders (Fraietta 2018), each fitted 12 times: 36
parameter sets. Equations and sets were read in the replication mstadt/CART2.

Tm memory, E1 and E2 effectors before and after N divisions, Tx exhausted, B tumour, Ba antigen (cells);
H(n) = Ba^n/(B50^n + Ba^n), s = f_max (1 - H(km)):

    Tm' = um s Tm - um (1-s) Tm - dm Tm + rm (1-H(kr)) E2
    E1' = 2 um (1-s) Tm - ue H(ke) E1 - de1 E1
    E2' = ue H(ke) E1 2^N - kex H(kx) E2 - de2 E2 - rm (1-H(kr)) E2
    Tx' = kex H(kx) E2 - dx Tx
    B'  = uB B (1 - B/Bmax) - k_kill B E2^kt/(TK50^kt + E2^kt),   Ba' = kb1 B - kb2 Ba,   B(0) = Ba(0) = B0

The parameters are one set of each class, not the medians parameter by parameter: with these a partial responder
expands no more than a non-responder (Cmax 7.6e5 cells; the median of the 12 curves is 3.7e7). The set is the one whose
Cmax, Tmax and AUC0-28d lie nearest to its class's medians, of those whose Bmax exceeds B0: CR set 7; prior sets
`partial_response` (set 6) and `no_response` (set 3). In 10 of 12 PR and 2 of 12 CR sets Bmax is below B0: there the
tumour falls without T cells. The 12 sets are fits of the same curve, so their spread says how badly the curve
determines a parameter; it widens the priors and is no between-subject SD, of which none is published.

Changed here: the paper's two dose depots empty within the hour (rates 1 + f_loss, 286-1001 per day, and the sum of the
fractions, 44-118 per day) and would make the equations stiff; here what reaches each state is added at once: of a dose
1/(1+f_loss) lives, shared out by the fractions. Over the 36 sets Cmax and AUC0-28d change by less than 1 %.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {
    "Tm": State("memory CAR-T", "cells", site="body", scale=1e2),
    "E1": State("effector CAR-T before division", "cells", site="body", scale=1e2),
    "E2": State("effector CAR-T", "cells", site="body", scale=1e2),
    "Tx": State("exhausted CAR-T", "cells", site="body", scale=1e2),
    "B": State("tumour", "cells", site="tumour", scale=1e2),
    "Ba": State("antigen", "cells", site="tumour", scale=1e2),
}

PARAMETERS = {
    "B50": Parameter(7.9448e9, "cells", LogNormal(7.9448e9, 1.7), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "uB": Parameter(0.05058, "1/day", LogNormal(0.05058, 0.3), source="Kirouac 2023, CR set 7; prior sd a guess"),
    "k_kill": Parameter(0.98303, "1/day", LogNormal(0.98303, 1.8), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "f_loss": Parameter(623.37, "1", LogNormal(623.37, 0.4), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "TK50": Parameter(1.0274e8, "cells", LogNormal(1.0274e8, 3.2), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "kt": Parameter(0.20439, "1", LogNormal(0.20439, 0.9), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "kb1": Parameter(0.9888, "1/day", LogNormal(0.9888, 1.8), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "kb2": Parameter(0.24488, "1/day", LogNormal(0.24488, 1.3), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "um": Parameter(0.13336, "1/day", LogNormal(0.13336, 2.7), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "km": Parameter(0.52463, "1", LogNormal(0.52463, 1.1), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "f_max": Parameter(0.97745, "1", LogitNormal(0.97745, 1.6), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "ke": Parameter(2.9532, "1", LogNormal(2.9532, 0.7), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "ue": Parameter(0.96974, "1/day", LogNormal(0.96974, 1.0), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "N": Parameter(4.8377, "1", LogNormal(4.8377, 0.3), source="Kirouac 2023, CR set 7; prior sd a guess"),
    "kex": Parameter(0.017681, "1/day", LogNormal(0.017681, 1.9), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "dm": Parameter(0.24175, "1/day", LogNormal(0.24175, 2.6), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "de1": Parameter(0.02648, "1/day", LogNormal(0.02648, 2.2), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "de2": Parameter(0.008804, "1/day", LogNormal(0.008804, 2.8), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "dx": Parameter(0.0013236, "1/day", LogNormal(0.0013236, 2.4), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "Bmax": Parameter(5.7607e11, "cells", LogNormal(5.7607e11, 3.1), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "kx": Parameter(0.2, "1", LogNormal(0.2, 1.1), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "rm": Parameter(1.0, "1/day", LogNormal(1.0, 0.7), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "kr": Parameter(2.9473, "1", LogNormal(2.9473, 0.8), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "fractionTm": Parameter(2.9743, "1/day", LogNormal(2.9743, 0.9), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "fractionTe1": Parameter(9.4197, "1/day", LogNormal(9.4197, 0.9), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "fractionTe2": Parameter(47.49, "1/day", LogNormal(47.49, 0.3), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "fractionTx": Parameter(29.245, "1/day", LogNormal(29.245, 0.7), source="Kirouac 2023, CR set 7; prior sd of the 36 sets"),
    "B0": Parameter(1e10, "cells", LogNormal(1e10, 1.0), sd=1.0, source="mstadt/CART2 2024: tumour and antigen at day 0 in its driver; sd a guess"),
}  # fmt: skip

PR_SET_6 = {
    "B50": 2.5322e9, "uB": 0.050504, "k_kill": 0.99892, "f_loss": 826.45, "TK50": 4.9994e7, "kt": 0.3063,
    "kb1": 0.69958, "kb2": 0.99895, "um": 0.2694, "km": 0.2, "f_max": 0.51165, "ke": 3.0, "ue": 0.76176,
    "N": 5.8243, "kex": 0.029013, "dm": 0.40584, "de1": 0.024918, "de2": 0.98547, "dx": 0.87406,
    "Bmax": 4.8462e11, "kx": 0.22391, "rm": 1.0, "kr": 2.9901, "fractionTm": 9.1124, "fractionTe1": 4.4592,
    "fractionTe2": 62.386, "fractionTx": 21.05,
}  # fmt: skip
NR_SET_3 = {
    "B50": 1e10, "uB": 0.050113, "k_kill": 0.39026, "f_loss": 994.88, "TK50": 2.7863e8, "kt": 1.741,
    "kb1": 0.53829, "kb2": 0.032427, "um": 0.001, "km": 0.37742, "f_max": 0.99, "ke": 1.0017,
    "ue": 0.082174, "N": 5.9888, "kex": 0.96878, "dm": 0.0010003, "de1": 0.0025107, "de2": 0.001,
    "dx": 0.05198, "Bmax": 1.6258e10, "kx": 2.7043, "rm": 0.54142, "kr": 2.9023, "fractionTm": 1.3712,
    "fractionTe1": 9.5822, "fractionTe2": 31.425, "fractionTx": 5.0664,
}  # fmt: skip


def _fitted(which, values):
    """Another set of Kirouac 2023; units and prior SDs as above."""
    found = {}
    for name, value in values.items():
        p = PARAMETERS[name]
        source = p.source.replace("CR set 7", which)
        found[name] = replace(p, value=value, prior=replace(p.prior, median=value), source=source)
    return found


PRIOR_SETS = {
    "partial_response": _fitted("PR set 6", PR_SET_6),
    "no_response": _fitted("NR set 3", NR_SET_3),
}

FRACTIONS = {"Tm": "fractionTm", "E1": "fractionTe1", "E2": "fractionTe2", "Tx": "fractionTx"}
FEW = 1e-6  # cells: below this a power of a cell count is held, so that its derivative stays finite


def _shared_out(p):
    total = sum(p[name] for name in FRACTIONS.values())
    return {state: p[name] / total / (1 + p["f_loss"]) for state, name in FRACTIONS.items()}


DOSING = {"iv": _shared_out}


def initial(p):
    return {"B": p["B0"], "Ba": p["B0"]}


def _hill(x, half, power):
    """x^power/(half^power + x^power)."""
    return jax.nn.sigmoid(power * jnp.log(jnp.maximum(x, FEW) / half))


def vector_field(t, y, p):
    def seen(power):
        return _hill(y["Ba"], p["B50"], power)

    renewed = p["f_max"] * (1 - seen(p["km"]))
    divided = p["um"] * (1 - renewed) * y["Tm"]
    activated = p["ue"] * seen(p["ke"]) * y["E1"]
    exhausted = p["kex"] * seen(p["kx"]) * y["E2"]
    returned = p["rm"] * (1 - seen(p["kr"])) * y["E2"]
    killed = p["k_kill"] * _hill(y["E2"], p["TK50"], p["kt"]) * y["B"]
    return {
        "Tm": p["um"] * renewed * y["Tm"] - divided - p["dm"] * y["Tm"] + returned,
        "E1": 2 * divided - activated - p["de1"] * y["E1"],
        "E2": jnp.exp2(p["N"]) * activated - exhausted - p["de2"] * y["E2"] - returned,
        "Tx": exhausted - p["dx"] * y["Tx"],
        "B": p["uB"] * y["B"] * (1 - y["B"] / p["Bmax"]) - killed,
        "Ba": p["kb1"] * y["B"] - p["kb2"] * y["Ba"],
    }


OUTPUTS = {
    "cells": Output(lambda y, p: y["Tm"] + y["E1"] + y["E2"] + y["Tx"], "cells", "CAR-T in the body"),
    "exhausted": Output(lambda y, p: y["Tx"], "cells", "exhausted CAR-T in the body"),
    "tumour": Output(lambda y, p: y["B"], "cells", "tumour cells"),
}

DERIVED = {
    "surviving_dose": Derived(lambda p: 1 / (1 + p["f_loss"]), "1", "share of the dose that lives"),
    "burst": Derived(lambda p: jnp.exp2(p["N"]), "1", "effectors from one activated cell"),
}

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, vector_field=vector_field,
    initial=initial, dosing=DOSING, typical_dose=1e8,
)  # fmt: skip
