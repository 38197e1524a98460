"""CAR-NK by hepatic artery, then CAR-T iv: lung, blood, liver, liver tumour and rest of the body, 20 states. A design.

Design of this project, no publication: exchange between blood and organs after Hardiansyah & Ng 2019 (CTS 12:343),
memory, effectors and burst after Kirouac 2023 (Nat Biotech 41:1606), first pass and physiology after Tsai 2022 (JPKPD
49:525), contraction after Stein 2019 (CPT:PSP 8:285). Human first-pass retention, tumour uptake and every NKG2D value
are guesses and say so. Population meant: liver metastases, 70 kg unless the plan scales `blood_volume`.

K: CAR-NK; a: CAR-T able to divide; b: CAR-T effectors after the burst; M: memory. P lung depot, B blood, L liver,
U liver tumour, S rest. h = x/(EC15+x), x = max(IL15-b15, 0); A = U/(U+U50); gK = rK h - dK0 - drej sigm((t-trej)/2):

    KP' = -kPB KP + gK KP                 KB' = kPB KP + kout (KL+KS) + kUB KU - (kBL+kBS+kBU) KB + gK KB
    KL' = kBL KB - kout KL + gK KL        KU' = kBU KB - kUB KU + gK KU         KS' = kBS KB - kout KS + gK KS
    a: the same with death d1; in the tumour - uE A aU, in the rest - uH h aS (division: a becomes b)
    b: no lung; death d2 + kEM; bU gains 2^N uE A aU, bS gains 2^NH uH h aS
    M' = kEM (bB+bL+bU+bS) - dM M
    fT = (aU+bU)/(theta U+aU+bU+1), fK = KU/(theta U+KU+1)

The tumour U is the block `tumour_growth_inhibition`, killed at the rate L (kapT fT + kapK fK); IL-6, IFN-gamma and CRP
are the block `cytokine_crs`, driven by the flux L U (kapT fT + wK kapK fK).

Doses: iv: fP to the lung depot, the rest to blood. Hepatic artery: a share F stays in the liver, of it phiU in the
tumour, phiU = vU TN/(vU TN+V_LI) at the baseline tumour volume vU = U0/rho; 1-F goes on as an iv dose. A dose of
product lymphodepletion (amount 1) raises IL-15 by delta15. Days are study days: trej counts from day 0.
"""

import jax
import jax.numpy as jnp

from kinetics import (
    Balance,
    Derived,
    LogitNormal,
    LogNormal,
    Model,
    Normal,
    Output,
    Parameter,
    State,
    compose,
    load_model,
)

V_LI = 1730.0  # liver volume, mL (BayesPBPK-tutorial, 70 kg)
HEPATIC_ARTERY, LIVER = 0.065, 0.255  # shares of cardiac output (BayesPBPK-tutorial, 70 kg)
K15, B15 = 0.35, 5.0  # IL-15: 1/day; pg/mL: guesses
SREJ = 2.0  # days over which host rejection sets in, a guess
GENOMES = 151515.0  # diploid genomes per ug DNA: 1e6/6.6
HEPATOCYTES = 2.1e11  # nucleated cells of a liver of 1.73 L at 1.2e8 per mL, a guess

_CELLS = {
    "KP": ("CAR-NK", "lung"), "KB": ("CAR-NK", "blood"), "KL": ("CAR-NK", "liver"), "KU": ("CAR-NK", "liver tumour"),
    "KS": ("CAR-NK", "rest"), "aP": ("CAR-T", "lung"), "aB": ("CAR-T", "blood"), "aL": ("CAR-T", "liver"),
    "aU": ("CAR-T", "liver tumour"), "aS": ("CAR-T", "rest"), "bB": ("CAR-T effectors", "blood"),
    "bL": ("CAR-T effectors", "liver"), "bU": ("CAR-T effectors", "liver tumour"), "bS": ("CAR-T effectors", "rest"),
    "M": ("CAR-T memory", "whole body"),
}  # fmt: skip

STATES = {
    **{k: State(label, "cells", site, scale=1e7) for k, (label, site) in _CELLS.items()},
    "IL15": State("IL-15", "pg/mL", site="serum"),
}

_HN = "Hardiansyah 2019 table S1; sd a guess"
_K23 = "order of Kirouac 2023's medians; a guess here"
_STEIN = "Stein 2019 Table 1; sd a guess"
_GUESS = "a guess"


def _guessed(source):
    """Whether the value itself is a guess, and not only the SD of its prior."""
    return "guess" in source.replace("sd a guess", "")


def _log(value, unit, sd, source, vary=None):
    return Parameter(value, unit, LogNormal(value, sd), sd=vary, source=source, guess=_guessed(source))


def _logit(value, sd, source):
    return Parameter(value, "1", LogitNormal(value, sd), source=source, guess=_guessed(source))


def _held(value, unit, source):
    return Parameter(value, unit, LogNormal(value, 0.3), source=source, guess=_guessed(source), held=True)


PARAMETERS = {
    "blood_volume": _log(5.67, "L", 0.1, "a guess: 70 kg, the adult of the BayesPBPK-tutorial (1.89 + 3.78 L)"),
    "kin": _log(77.0, "1/day", 0.3, _HN),
    "kout": _log(1.84, "1/day", 0.3, _HN),
    "phiL": _logit(0.35, 0.5, "a guess; Tsai 2022 gives .60 in mice"),
    "kPB": _log(6.0, "1/day", 0.5, _GUESS),
    "fP": _logit(0.6, 0.7, "a guess: iv cells lodge in the lung first (Matera 2006, J Transl Med 4:49)"),
    "F_NK": _logit(0.7, 0.6, "a guess: liver and spleen after intra-arterial cells (Matera 2006)"),
    "F_T": _logit(0.3, 0.6, _GUESS),
    "TN": _log(3.0, "1", 0.4, "a guess: tumour to liver arterial perfusion 2-6"),
    "rho": _held(1e9, "cells/mL", "a guess: tumour cells in a mL"),
    "QU": _held(0.432, "L/day/mL", "a guess: tumour blood flow per mL of tumour"),
    "EU_NK": _log(0.05, "1", 1.0, _GUESS),
    "EU_T": _log(0.05, "1", 1.0, _GUESS),
    "kUB": _log(0.3, "1/day", 0.7, _GUESS),
    "rK": _log(0.35, "1/day", 0.6, _GUESS),
    "EC15": _log(20.0, "pg/mL", 0.5, _GUESS),
    "dK0": _log(0.25, "1/day", 0.4, _GUESS, vary=0.3),
    "drej": _log(0.25, "1/day", 0.6, _GUESS),
    "trej": _log(14.0, "day", 0.25, "a guess: host lymphocytes come back at about two weeks"),
    "uE": _log(1.0, "1/day", 0.4, _K23),
    "N": Parameter(5.0, "1", Normal(5.0, 1.0), sd=0.5, source=_K23, guess=True),
    "U50": _log(2e10, "cells", 0.5, _GUESS),
    "uH": _log(0.3, "1/day", 0.5, _GUESS),
    "NH": Parameter(4.0, "1", Normal(4.0, 1.0), source=_GUESS, guess=True),
    "d1": _log(0.05, "1/day", 0.5, _GUESS),
    "d2": _log(0.16, "1/day", 0.5, _STEIN, vary=0.3),
    "kEM": _log(0.00124, "1/day", 0.5, "Stein 2019 Table 1: FB (alpha-beta); sd a guess"),
    "dM": _log(0.0032, "1/day", 0.5, _STEIN),
    "kapT": _log(0.10, "1/day", 0.8, _GUESS),
    "kapK": _log(0.05, "1/day", 0.8, _GUESS),
    "theta": _log(0.1, "1", 0.8, "a guess: effector to target ratio"),
    "ligand": _log(1.0, "1", 0.5, "a guess: NKG2D ligand score of the tumour, 0-1.5"),
    "wK": _log(0.2, "1", 0.5, "a guess: NK cells release less IL-6"),
    "delta15": _log(40.0, "pg/mL", 0.5, _GUESS),
    "VCN_NK": _log(2.0, "1", 0.5, "a guess: vector copies per cell 1-4"),
    "VCN_T": _log(2.0, "1", 0.5, "a guess: vector copies per cell 1-4"),
    "nucleated": _log(3000.0, "cells/uL", 0.5, "a guess: nucleated cells of the extracted blood"),
}  # fmt: skip


def initial(p):
    return {"IL15": B15}


def _iv(p, cells, share=1.0):
    return {f"{cells}P": share * p["fP"], f"{cells}B": share * (1 - p["fP"])}


def _hepatic_artery(p, cells, stays):
    perfused = p["U0"] / p["rho"] * p["TN"]
    tumour = perfused / (perfused + V_LI)
    return {f"{cells}U": stays * tumour, f"{cells}L": stays * (1 - tumour), **_iv(p, cells, 1 - stays)}


DOSING = {
    "car_nk/iv": lambda p: _iv(p, "K"),
    "car_nk/hepatic_artery": lambda p: _hepatic_artery(p, "K", p["F_NK"]),
    "car_t/iv": lambda p: _iv(p, "a"),
    "car_t/hepatic_artery": lambda p: _hepatic_artery(p, "a", p["F_T"]),
    "lymphodepletion/iv": lambda p: {"IL15": p["delta15"]},
}


def _exchange(y, p, cells, uptake, leave):
    """Blood-organ exchange of one kind of cell, and a loss or gain `leave` [1/day] that is the same everywhere."""
    to_liver, to_rest = p["kin"] * p["phiL"], p["kin"] * (1 - p["phiL"])
    to_tumour = p["QU"] * (y["U"] / p["rho"]) * uptake / p["blood_volume"]
    blood, liver, tumour, rest = (y[f"{cells}{site}"] for site in "BLUS")
    lung = y.get(f"{cells}P", 0.0)
    back = p["kPB"] * lung + p["kout"] * (liver + rest) + p["kUB"] * tumour
    slope = {
        f"{cells}B": back - (to_liver + to_rest + to_tumour - leave) * blood,
        f"{cells}L": to_liver * blood - (p["kout"] - leave) * liver,
        f"{cells}U": to_tumour * blood - (p["kUB"] - leave) * tumour,
        f"{cells}S": to_rest * blood - (p["kout"] - leave) * rest,
    }
    return slope | ({f"{cells}P": -(p["kPB"] - leave) * lung} if f"{cells}P" in y else {})


def vector_field(t, y, p):
    excess = jnp.maximum(y["IL15"] - B15, 0.0)
    h = excess / (p["EC15"] + excess)
    active = y["U"] / (y["U"] + p["U50"])
    nk_growth = p["rK"] * h - p["dK0"] - p["drej"] * jax.nn.sigmoid((t - p["trej"]) / SREJ)
    nk = _exchange(y, p, "K", p["EU_NK"], nk_growth)
    a = _exchange(y, p, "a", p["EU_T"], -p["d1"])
    b = _exchange(y, p, "b", p["EU_T"], -p["d2"] - p["kEM"])
    in_tumour, in_rest = p["uE"] * active * y["aU"], p["uH"] * h * y["aS"]
    a["aU"], a["aS"] = a["aU"] - in_tumour, a["aS"] - in_rest
    b["bU"], b["bS"] = b["bU"] + jnp.exp2(p["N"]) * in_tumour, b["bS"] + jnp.exp2(p["NH"]) * in_rest
    return {
        **nk, **a, **b,
        "M": p["kEM"] * (y["bB"] + y["bL"] + y["bU"] + y["bS"]) - p["dM"] * y["M"],
        "IL15": -K15 * (y["IL15"] - B15),
    }  # fmt: skip


def killing(y, p):
    """The tumour cells that one tumour cell loses a day to CAR-T, and to CAR-NK."""
    t_cells = y["aU"] + y["bU"]
    by_t = p["kapT"] * t_cells / (p["theta"] * y["U"] + t_cells + 1)
    by_nk = p["kapK"] * y["KU"] / (p["theta"] * y["U"] + y["KU"] + 1)
    return p["ligand"] * by_t, p["ligand"] * by_nk


def _flux(y, p):
    by_t, by_nk = killing(y, p)
    return (by_t + p["wK"] * by_nk) * y["U"]


LINKS = {"kill_rate": lambda y, p: sum(killing(y, p)), "kill_flux": _flux}


def _t_in_blood(y, p):
    return y["aB"] + y["bB"] + y["M"] * p["kout"] / (p["kout"] + p["kin"])


def _per_ul(cells, p):
    return cells / (p["blood_volume"] * 1e6)


def _share(cells, others):
    return cells / (cells + others)


OUTPUTS = {
    "copies": Output(
        lambda y, p: GENOMES / p["nucleated"] * _per_ul(p["VCN_NK"] * y["KB"] + p["VCN_T"] * _t_in_blood(y, p), p),
        "copies/ug DNA", "CAR transgene in blood (qPCR sees both products)",
    ),
    "transgenes": Output(
        lambda y, p: _per_ul(p["VCN_NK"] * y["KB"] + p["VCN_T"] * _t_in_blood(y, p), p),
        "cells/uL", "CAR transgenes in blood, both products, weighted by vector copies per cell",
    ),
    "nk_cells": Output(lambda y, p: _per_ul(y["KB"], p), "cells/uL", "CAR-NK in blood (flow, CD56+ CD3-)"),
    "t_cells": Output(lambda y, p: _per_ul(_t_in_blood(y, p), p), "cells/uL", "CAR-T in blood (flow, CD3+)"),
    "nk_blood": Output(lambda y, p: y["KB"], "cells", "CAR-NK in all blood"),
    "nk_lung": Output(lambda y, p: y["KP"], "cells", "CAR-NK in lung"),
    "nk_liver": Output(lambda y, p: y["KL"], "cells", "CAR-NK in liver"),
    "nk_tumour": Output(lambda y, p: y["KU"], "cells", "CAR-NK in liver tumour"),
    "nk_rest": Output(lambda y, p: y["KS"], "cells", "CAR-NK in the rest of the body"),
    "t_blood": Output(_t_in_blood, "cells", "CAR-T in all blood"),
    "t_lung": Output(lambda y, p: y["aP"], "cells", "CAR-T in lung"),
    "t_liver": Output(lambda y, p: y["aL"] + y["bL"], "cells", "CAR-T in liver, without memory"),
    "t_tumour": Output(lambda y, p: y["aU"] + y["bU"], "cells", "CAR-T in liver tumour"),
    "t_rest": Output(lambda y, p: y["aS"] + y["bS"], "cells", "CAR-T in the rest of the body, without memory"),
    "liver_biopsy": Output(
        lambda y, p: _share(y["KL"] + y["aL"] + y["bL"], HEPATOCYTES), "fraction", "CAR+ cells of a liver biopsy"
    ),
    "tumour_biopsy": Output(
        lambda y, p: _share(y["KU"] + y["aU"] + y["bU"], y["U"]), "fraction", "CAR+ cells of a tumour biopsy"
    ),
}  # fmt: skip

SITES = {
    "car_nk": {site: f"nk_{site}" for site in ("blood", "lung", "liver", "tumour", "rest")},
    "car_t": {site: f"t_{site}" for site in ("blood", "lung", "liver", "tumour", "rest")},
}

DERIVED = {
    "hepatic_artery_share": Derived(
        lambda p: HEPATIC_ARTERY / LIVER + 0.0 * p["F_NK"], "1", "share of the liver's blood that the artery brings"
    ),
    "nk_half_life": Derived(lambda p: jnp.log(2) / p["dK0"], "day", "CAR-NK half-life without IL-15 or rejection"),
    "t_half_life": Derived(lambda p: jnp.log(2) / p["d2"], "day", "half-life of CAR-T effectors"),
}

BALANCE = Balance(
    total=lambda y, p: sum(y[k] for k in STATES if k != "IL15"),
    without=("rK", "dK0", "drej", "uE", "uH", "d1", "d2", "kEM", "dM", "delta15"),
)

CELLS = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, vector_field=vector_field, initial=initial, dosing=DOSING,
    dose_units={"lymphodepletion": "count"}, sites=SITES, stiff=True, balance=BALANCE, typical_dose=1e9,
    name="nkg2d_nk_t_livermet",
)  # fmt: skip


def build(cytokines=("il6", "ifn_gamma", "crp"), drugs=False):
    """The cells with the tumour they kill and these cytokines; with tocilizumab and steroids if they are given."""
    tumour = load_model("tumour_growth_inhibition")
    return compose(CELLS, tumour, load_model("cytokine_crs", cytokines=cytokines, drugs=drugs), links=LINKS)


MODEL = build()
