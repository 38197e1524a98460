"""IL-6, IFN-gamma, IL-10, CRP and ferritin that killing releases, and what tocilizumab and steroids change. A design.

A block: it joins a kinetics model through `kill_flux`, the tumour cells killed a day (`kinetics.compose`); alone, the
flux is a constant. Turnover with the losses of Hardiansyah D, Ng CM, Clin Transl Sci 2019;12:343, Table S1; the
steroid's effect after Hornik 2019 (IL-6 after cardiopulmonary bypass, methylprednisolone); tocilizumab's kinetics are
`moes_2022_tocilizumab`. What a killed cell releases, and every effect of tocilizumab, is a guess.

    IL6'  = il6_loss [baseline - (1-toci_il6 r) IL6] + (1-D) il6_per_kill R         R = kill_flux
    IFN', IL10' the same without tocilizumab
    CRP'  = crp_loss [baseline (1-toci_crp r) g(IL6)/g(il6_baseline) - CRP],  g = 1 + gain IL6/(half + IL6)
    ferritin' the same with its own gain and half, without tocilizumab
    r = c/(toci_ec50 + c) of tocilizumab c [mg/L];  D = s^2.53/(14^2.53 + s^2.53) of methylprednisolone s [ng/mL]

Serum IL-6 rises under tocilizumab, since its receptor no longer clears it, while CRP falls. Neither drug acts on the
cells here: tocilizumab did not slow expansion (Stein 2019, Ftoci 1.2). Steroid doses are mg of methylprednisolone.
`load_model("cytokine_crs", cytokines=("il6", "crp"), drugs=False)` leaves out what is not measured or not given.
"""

from dataclasses import replace

import jax.numpy as jnp

from kinetics import LogitNormal, LogNormal, Model, Output, Parameter, State, compose, load_model, prefixed

ALL = ("il6", "ifn_gamma", "il10", "crp", "ferritin")
STEROID_EC50, STEROID_HILL = 14.0, 2.53  # ng/mL, 1: Hornik 2019

_LABELS = {
    "il6": ("IL-6", "pg/mL"), "ifn_gamma": ("IFN-gamma", "pg/mL"), "il10": ("IL-10", "pg/mL"),
    "crp": ("C-reactive protein", "mg/L"), "ferritin": ("ferritin", "ug/L"),
}  # fmt: skip

# Losses and baselines are held: each is published or measured before treatment.
PARAMETERS = {
    "kill_flux": Parameter(1e8, "cells/day", LogNormal(1e8, 1.0), source="a guess: tumour cells killed a day; a kinetics model takes its place", guess=True, held=True),
    "release": Parameter(0.99, "1", LogitNormal(0.99, 0.1), source="a guess: share of release that a steroid leaves; `drugs` takes its place", guess=True, held=True),
    "il6_receptor": Parameter(0.99, "1", LogitNormal(0.99, 0.1), source="a guess: share of IL-6 clearance that tocilizumab leaves; `drugs` takes its place", guess=True, held=True),
    "crp_synthesis": Parameter(0.99, "1", LogitNormal(0.99, 0.1), source="a guess: share of CRP synthesis that tocilizumab leaves; `drugs` takes its place", guess=True, held=True),
    "il6_baseline": Parameter(5.0, "pg/mL", LogNormal(5.0, 0.5), source="a guess: between 1.7 (Hardiansyah 2019) and 7.9 pg/mL (Hornik 2019)", guess=True, held=True),
    "il6_loss": Parameter(3.96, "1/day", LogNormal(3.96, 0.3), source="Hardiansyah 2019 Table S1, fixed there; prior sd a guess", held=True),
    "il6_per_kill": Parameter(3e-7, "pg/mL", LogNormal(3e-7, 1.0), sd=0.5, source="a guess: per killed cell", guess=True),
    "ifn_gamma_baseline": Parameter(2.0, "pg/mL", LogNormal(2.0, 0.5), source="a guess: 2.3 pg/mL in Hardiansyah 2019", guess=True, held=True),
    "ifn_gamma_loss": Parameter(1.51, "1/day", LogNormal(1.51, 0.3), source="Hardiansyah 2019 Table S1, fixed there; prior sd a guess", held=True),
    "ifn_gamma_per_kill": Parameter(8e-8, "pg/mL", LogNormal(8e-8, 1.0), source="a guess: per killed cell", guess=True),
    "il10_baseline": Parameter(4.5, "pg/mL", LogNormal(4.5, 0.5), source="Hardiansyah 2019 Figure 1b, read off to 30 %", held=True),
    "il10_loss": Parameter(4.68, "1/day", LogNormal(4.68, 0.3), source="Hardiansyah 2019 Table S1, fixed there; prior sd a guess", held=True),
    "il10_per_kill": Parameter(1e-7, "pg/mL", LogNormal(1e-7, 1.0), source="a guess: a third of IL-6, as in Hardiansyah 2019 UPN1", guess=True),
    "crp_baseline": Parameter(5.0, "mg/L", LogNormal(5.0, 0.5), source="a guess", guess=True, held=True),
    "crp_loss": Parameter(0.87, "1/day", LogNormal(0.87, 0.3), source="a guess: half-life 19 h", guess=True, held=True),
    "crp_gain": Parameter(40.0, "1", LogNormal(40.0, 0.5), source="a guess", guess=True, held=True),
    "crp_half": Parameter(100.0, "pg/mL", LogNormal(100.0, 0.5), source="a guess: of IL-6", guess=True, held=True),
    "ferritin_baseline": Parameter(300.0, "ug/L", LogNormal(300.0, 0.5), source="a guess", guess=True, held=True),
    "ferritin_loss": Parameter(0.55, "1/day", LogNormal(0.55, 0.3), source="a guess: half-life 30 h", guess=True, held=True),
    "ferritin_gain": Parameter(20.0, "1", LogNormal(20.0, 0.5), source="a guess", guess=True),
    "ferritin_half": Parameter(300.0, "pg/mL", LogNormal(300.0, 0.5), source="a guess: of IL-6", guess=True, held=True),
}  # fmt: skip

DRUGS = {  # the steroid, and what tocilizumab does
    "steroid_half_life": Parameter(0.11, "day", LogNormal(0.11, 0.3), source="a guess: methylprednisolone, 2.6 h", guess=True, held=True),
    "steroid_volume": Parameter(84.0, "L", LogNormal(84.0, 0.3), source="a guess: methylprednisolone, 1.2 L/kg", guess=True, held=True),
    "toci_ec50": Parameter(1.0, "mg/L", LogNormal(1.0, 0.7), source="a guess", guess=True, held=True),
    "toci_il6": Parameter(0.6, "1", LogitNormal(0.6, 0.5), source="a guess: share of IL-6 clearance that its receptor does", guess=True, held=True),
    "toci_crp": Parameter(0.95, "1", LogitNormal(0.95, 0.5), source="a guess: share of CRP synthesis that IL-6 commands", guess=True, held=True),
}  # fmt: skip


def _inflamed(y, p, what):
    """How far IL-6 raises a protein of the liver, over its baseline."""
    gain, half = p[f"{what}_gain"], p[f"{what}_half"]
    rest = 1 + gain * p["il6_baseline"] / (half + p["il6_baseline"])
    return (1 + gain * y["il6"] / (half + y["il6"])) / rest


def _slopes(y, p):
    released = p["release"] * p["kill_flux"]
    for what in ("il6", "ifn_gamma", "il10"):
        if what in y:
            kept = p["il6_receptor"] if what == "il6" else 1.0
            turnover = p[f"{what}_loss"] * (p[f"{what}_baseline"] - kept * y[what])
            yield what, turnover + p[f"{what}_per_kill"] * released
    for what in ("crp", "ferritin"):
        if what in y:
            made = p["crp_synthesis"] if what == "crp" else 1.0
            yield what, p[f"{what}_loss"] * (made * p[f"{what}_baseline"] * _inflamed(y, p, what) - y[what])


def _proteins(cytokines):
    """The block without drugs, of these cytokines."""
    if unknown := set(cytokines) - set(ALL):
        raise ValueError(f"no cytokine {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    if {"crp", "ferritin"} & set(cytokines) and "il6" not in cytokines:
        raise ValueError("CRP and ferritin follow IL-6: add il6")
    whole = {"kill_flux", "release", "il6_receptor", "crp_synthesis"}
    return Model(
        {k: State(_LABELS[k][0], _LABELS[k][1], site="serum") for k in cytokines},
        {k: q for k, q in PARAMETERS.items() if k in whole or k.startswith(tuple(f"{c}_" for c in cytokines))},
        {k: Output(lambda y, p, k=k: y[k], _LABELS[k][1], _LABELS[k][0]) for k in cytokines},
        vector_field=lambda t, y, p: dict(_slopes({k: y[k] for k in cytokines}, p)),
        initial=lambda p: {k: p[f"{k}_baseline"] for k in cytokines},
        name="cytokine_crs",
    )


def _steroid():
    return Model(
        {"steroid": State("methylprednisolone", "mg", site="plasma", scale=1e-3)},
        DRUGS,
        {"steroid": Output(lambda y, p: y["steroid"] / p["steroid_volume"], "mg/L", "methylprednisolone in plasma")},
        vector_field=lambda t, y, p: {"steroid": -jnp.log(2.0) / p["steroid_half_life"] * y["steroid"]},
        dosing={"corticosteroid/iv": lambda p: {"steroid": 1.0}},
        dose_unit="mg",
        name="methylprednisolone",
    )


def _left_by_steroid(y, p):
    ng_per_ml = 1e3 * jnp.maximum(y["steroid"], 0.0) / p["steroid_volume"]
    effect = (ng_per_ml / STEROID_EC50) ** STEROID_HILL
    return 1 / (1 + effect)


def _bound(y, p):
    mg_per_l = jnp.maximum(y["tocilizumab_drug"], 0.0) / p["tocilizumab_v"]
    return mg_per_l / (p["toci_ec50"] + mg_per_l)


def build(cytokines=ALL, drugs=True):
    """The block of these cytokines, with tocilizumab and steroids or without."""
    proteins = _proteins(tuple(cytokines))
    if not drugs:
        return compose(proteins, links={k: lambda y, p: 1.0 for k in ("release", "il6_receptor", "crp_synthesis")})
    tocilizumab = prefixed(load_model("moes_2022_tocilizumab"), "tocilizumab", product="tocilizumab")
    links = {
        "release": _left_by_steroid,
        "il6_receptor": lambda y, p: 1 - p["toci_il6"] * _bound(y, p),
        "crp_synthesis": lambda y, p: 1 - p["toci_crp"] * _bound(y, p),
    }
    published = {k: replace(q, held=True) for k, q in tocilizumab.parameters.items()}
    return compose(proteins, tocilizumab, _steroid(), links=links, parameters=published)


MODEL = build()
