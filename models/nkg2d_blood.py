"""`nkg2d_nk_t_livermet` for studies that sample blood: blood follows the organs at once, and no equation is stiff.

A reduction of that design model: its parameters, its equations, three states fewer. Eliminated, by quasi-steady state
(singular perturbation in 1/kin), are the blood compartments of K, a and b. A cell leaves blood within 1/kin = 19
minutes (Hardiansyah & Ng 2019); organs give it back at kout = 1.84/d, the lung at kPB = 6/d, and all else is slower.
So xB' = 0 gives blood's share of each kind's pool X (blood, liver and rest together), and what is neither in blood nor
in liver is in the rest:

    xB = (kPB xP + kout X + kUB xU)/(kin + kout + kBU),  kBU = QU U/rho EU/V_B,    xS = X - xB - xL
    X' = xB' + xL' + xS'   of the full model's equations, in which the fast exchange cancels; all others as they are

A dose to blood is at once where its first pass takes it: liver, rest, and kBU/(kin+kBU) of it the tumour (at U0). The
error is of order (kPB, kout)/kin while a dose spreads, of order (growth or loss)/kin later, and the first hour after an
infusion is not described: tests/published/test_golden_nkg2d_blood.py measures it.

A study of blood cannot tell where the cells of the first hours are, nor how a tumour takes them up: phiL, F, fP, kPB,
TN, EU, kUB, theta, U50, uH and NH are held at that model's values, guesses among them. Give U0 and TS0 from imaging.
"""

from dataclasses import replace

from kinetics import Balance, Model, Output, State, load_model

HELD = (
    "blood_volume", "kin", "kout", "phiL", "kPB", "fP", "F_NK", "F_T", "TN", "EU_NK", "EU_T", "kUB", "U50", "uH", "NH",
    "theta", "rho", "QU", "rK", "EC15", "trej", "d1", "kEM", "dM", "kapK", "wK", "ligand", "U0", "TS0", "delta15",
    "VCN_NK", "VCN_T",
)  # fmt: skip
KINDS = {"K": "CAR-NK", "a": "CAR-T", "b": "CAR-T effectors"}
POOLS = {f"{k}X": State(label, "cells", "blood, liver and rest", scale=1e7) for k, label in KINDS.items()}


def _to_tumour(kind, cells, p):
    """kBU [1/day], from blood to a tumour of so many cells."""
    return p["QU"] * cells / p["rho"] * p["EU_NK" if kind == "K" else "EU_T"] / p["blood_volume"]


def _whole(y, p):
    """The full model's states on the slow manifold."""
    whole = {k: v for k, v in y.items() if k not in POOLS}
    for k in KINDS:
        pool, to_tumour = y[f"{k}X"], _to_tumour(k, y["U"], p)
        given = p["kPB"] * y.get(f"{k}P", 0.0) + p["kout"] * pool + p["kUB"] * y[f"{k}U"]
        blood = given / (p["kin"] + p["kout"] + to_tumour)
        whole |= {f"{k}B": blood, f"{k}S": pool - blood - y[f"{k}L"]}
    return whole


def _landed(shares, p):
    """The shares of a dose, those to blood where their first pass through the body takes them."""
    landed = dict(shares)
    for k in KINDS:
        if f"{k}B" in shares:
            blood, to_tumour = landed.pop(f"{k}B"), _to_tumour(k, p["U0"], p)
            kept = blood * p["kin"] / (p["kin"] + to_tumour)
            gains = {f"{k}L": p["phiL"] * kept, f"{k}S": (1 - p["phiL"]) * kept, f"{k}U": blood - kept}
            landed |= {site: landed.get(site, 0.0) + gain for site, gain in gains.items()}
    return landed


def _reduced(values):
    """Of the full model's states (or slopes, or doses), those of this one."""
    kept = {k: v for k, v in values.items() if k[1:] not in ("B", "S") or k[0] not in KINDS}
    sums = {f"{k}X": [values[f"{k}{site}"] for site in "BLS" if f"{k}{site}" in values] for k in KINDS}
    return kept | {k: sum(parts) for k, parts in sums.items() if parts}


def build(cytokines=("il6", "ifn_gamma", "crp"), drugs=False):
    """The reduction with these cytokines; with tocilizumab and steroids if they are given."""
    full = load_model("nkg2d_nk_t_livermet", cytokines=cytokines, drugs=drugs)
    gone = {f"{k}{site}" for k in KINDS for site in "BS"}
    law, field = full.balance, full.vector_field
    assert law is not None
    assert field is not None
    return Model(
        {k: s for k, s in full.states.items() if k not in gone} | POOLS,
        {k: replace(q, held=q.held or k in HELD) for k, q in full.parameters.items()},
        {k: Output(lambda y, p, v=o.value: v(_whole(y, p), p), o.unit, o.label) for k, o in full.outputs.items()},
        derived=full.derived,
        vector_field=lambda t, y, p: _reduced(field(t, _whole(y, p), p)),
        initial=full.initial,
        dosing={k: lambda p, enters=enters: _reduced(_landed(enters(p), p)) for k, enters in full.dosing.items()},
        dose_units=full.dose_units,
        sites=full.sites,
        typical_dose=full.typical_dose,
        balance=Balance(lambda y, p: law.total(_whole(y, p), p), law.without),
        joined=full.joined,
    )


MODEL = build()
