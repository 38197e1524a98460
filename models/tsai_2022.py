"""Where CAR-T cells go in a mouse with a liver tumour: blood, lung, liver, gut, spleen, tumour, by route of the dose.

Tsai CH et al., J Pharmacokinet Pharmacodyn 2022;49:525, doi 10.1007/s10928-022-09818-8. Mice, human T cells; the organs
are fitted to radiolabelled T cells (Khot 2019, flows and volumes of Shah & Betts 2012), the tumour is a simulation with
the killing and division fitted in the pleural model (tsai_2022_pleural). Values: Table S3 as read in nlmixr2lib.

States are cells: a, v arterial and venous blood; v_ and i_ blood and interstitium of lung, liver, gut, spleen, others
and tumour; ln lymph nodes; U tumour cells; X CAR-T cells bound to one. With c_x = x/volume, V the tumour's volume (15 %
blood, 20 % interstitium), qT = qHA+qPG+qPS and lT its blood and lymph flow, and LL the liver's lymph less lT:

    a' = Q c_vl - (QHA+QG+QS+QO) c_a
    v' = (QO-LO) c_vO + QOUT c_vL + (qT-lT) c_vT + LLY c_ln - (Q+LP) c_v
    v_x' = inflow - J_x v_x - outflow;  i_x' = J_x v_x - L_x c_ix/R_x (lung: - kel il)
    ln' = sum of L_x c_ix/R_x - LLY c_ln
    vT' = qHA c_a + qPG c_vG + qPS c_vS - JT vT - (qT-lT) c_vT
    iT' = JT vT - lT c_iT/RL - bind + (koff + kkill + kpro/(1+U/ki)) X;  bind = kon iT (U-X)/(volume of iT)
    U' = kg (U-X) - kkill X;  X' = bind - (koff+kkill) X

U = u0, no cells at day 0. A dose enters v (iv), vT (hepatic artery, super-selective), or vT and the liver's blood by
portal flow (portal vein). Changed here: hours are days; V is that of U + 1 cells, for a tumour that is gone would be
divided by; kon is per cell (1e6 /M/s times 1e4 antigens), qT one parameter with the paper's split over its three vessels,
of none of which a tumour takes more than 0.9. Physiology is constant, what the paper estimates or assumes of the tumour and of the cells is a parameter. The paper
has no between-subject variability (pooled fit): every sd is a guess.

`load_model("tsai_2022", species="human")`, or `options = { species = "human" }` in a plan, is a design and no
publication: the same equations in a man of 70 kg, physiology of the BayesPBPK-tutorial, each organ's extraction as in
the mouse times `passage`, whose prior is wide; tumour flow by the artery; a hepatic-artery dose shared by liver and
tumour as they share its flow. Cell rates are those seen in patients (Singh 2021, Stein 2019).
"""

from typing import NamedTuple

import jax.numpy as jnp

from kinetics import Balance, Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

H = 24.0  # the paper's flows and rates are per hour
CELL, BLOOD_PART, INTERSTITIAL_PART = 518.3e-12, 0.15, 0.20  # mL per tumour cell (Phillips 2012); parts of V


class Body(NamedTuple):
    """Volumes mL, flows mL/day (l_: lymph), passage from blood into tissue 1/day (j_), retention (r_).

    Organs: p lung, l liver, g gut, s spleen, o others, t tumour; ha hepatic artery.
    """

    q: float
    v_a: float
    v_v: float
    l_p: float
    v_vp: float
    v_ip: float
    j_p: float
    l_y: float
    v_ln: float
    q_ha: float
    l_liver: float
    v_vl: float
    v_il: float
    j_l: float
    r_l: float
    q_g: float
    l_g: float
    v_vg: float
    v_ig: float
    j_g: float
    q_s: float
    l_s: float
    v_vs: float
    v_is: float
    j_s: float
    r_s: float
    q_o: float
    l_o: float
    v_vo: float
    v_io: float
    j_o: float
    j_t: float
    l_t: float

    @property
    def l_l(self) -> float:
        """Lymph that is left to the normal liver."""
        return self.l_liver - self.l_t


# Table S3; J and R of Khot 2019, others of Shah & Betts 2012; j_o by the paper's equation 1; tumour: as liver, assumed
MOUSE = Body(
    q=678.0 * H, v_a=0.8585, v_v=0.8585, l_p=0.746 * H, v_vp=0.0536, v_ip=0.0384, j_p=1843.0 * H,
    l_y=1.65 * H, v_ln=0.113,
    q_ha=18.7 * H, l_liver=0.1874 * H, v_vl=0.298, v_il=0.385, j_l=126.9 * H, r_l=2.5,
    q_g=137.0 * H, l_g=0.1508 * H, v_vg=0.03019, v_ig=0.1815, j_g=18.1 * H,
    q_s=14.88 * H, l_s=0.01636 * H, v_vs=0.028, v_is=0.0254, j_s=114.0 * H, r_s=9.8,
    q_o=507.42 * H, l_o=0.549 * H, v_vo=1.076, v_io=4.278, j_o=16.7 * H,
    j_t=126.9 * H, l_t=(0.004 + 0.032) * H,
)  # fmt: skip


def _human() -> Body:
    """A man of 70 kg: flows and volumes of the BayesPBPK-tutorial; the parts of an organ, and what each extracts of the
    cells that pass it, as in the mouse (a guess).
    """
    m, q = MOUSE, 350e3 * H  # cardiac output 187 WT^0.81 mL/min (BayesPBPK-tutorial)
    q_ha, q_g, q_s = (
        0.065 * q,
        0.16 * q,
        0.03 * q,
    )  # artery; gut, pancreas and stomach; spleen (BayesPBPK-tutorial)
    q_o, q_liver, q_liver_m = q - q_ha - q_g - q_s, q_ha + q_g + q_s, m.q_ha + m.q_g + m.q_s
    # organ volumes mL: BayesPBPK-tutorial, others of 70 kg a guess; those of the mouse (Shah & Betts 2012): a guess
    organs = {
        "p": (506.0, 0.204),
        "l": (1730.0, 1.93),
        "g": (966.0, 0.728),
        "s": (173.0, 0.127),
        "o": (60e3, 22.0),
    }
    flows = {
        "p": (q, m.q),
        "l": (q_liver, q_liver_m),
        "g": (q_g, m.q_g),
        "s": (q_s, m.q_s),
        "o": (q_o, m.q_o),
    }
    blood = {k: human / mouse * getattr(m, f"v_v{k}") for k, (human, mouse) in organs.items()}
    tissue = {k: human / mouse * getattr(m, f"v_i{k}") for k, (human, mouse) in organs.items()}
    lymph = {k: human / mouse for k, (human, mouse) in flows.items()}  # the mouse's part of the flow
    passage = {
        k: getattr(m, f"j_{k}") * (flows[k][0] / blood[k]) / (flows[k][1] / getattr(m, f"v_v{k}"))
        for k in flows
    }  # the same J v/(Q + J v)
    drained = {"p": m.l_p, "l": m.l_liver, "g": m.l_g, "s": m.l_s, "o": m.l_o}
    drained = {k: flow * lymph[k] for k, flow in drained.items()}
    return Body(
        q=q, v_a=1890.0, v_v=3780.0, l_p=drained["p"], v_vp=blood["p"], v_ip=tissue["p"], j_p=passage["p"],
        l_y=sum(drained.values()), v_ln=274.0,  # lymph nodes: a guess
        q_ha=q_ha, l_liver=drained["l"], v_vl=blood["l"], v_il=tissue["l"], j_l=passage["l"], r_l=m.r_l,
        q_g=q_g, l_g=drained["g"], v_vg=blood["g"], v_ig=tissue["g"], j_g=passage["g"],
        q_s=q_s, l_s=drained["s"], v_vs=blood["s"], v_is=tissue["s"], j_s=passage["s"], r_s=m.r_s,
        q_o=q_o, l_o=drained["o"], v_vo=blood["o"], v_io=tissue["o"], j_o=passage["o"],
        j_t=passage["l"], l_t=0.002 * 3500.0 * H,  # as liver; the mouse's part of the tumour's flow
    )  # fmt: skip


MOST = 0.9  # of a vessel's blood that a tumour may take: a guess, far above what either body typically gives it
CELLS = 1e3  # fewer do not matter (doses are 1e5 and more)

STATES = {
    "a": State("CAR-T cells", "cells", site="arterial blood", scale=CELLS),
    "v": State("CAR-T cells", "cells", site="venous blood", scale=CELLS),
    "vP": State("CAR-T cells", "cells", site="lung blood", scale=CELLS),
    "iP": State("CAR-T cells", "cells", site="lung interstitium", scale=CELLS),
    "vL": State("CAR-T cells", "cells", site="liver blood", scale=CELLS),
    "iL": State("CAR-T cells", "cells", site="liver interstitium", scale=CELLS),
    "vG": State("CAR-T cells", "cells", site="gut blood", scale=CELLS),
    "iG": State("CAR-T cells", "cells", site="gut interstitium", scale=CELLS),
    "vS": State("CAR-T cells", "cells", site="spleen blood", scale=CELLS),
    "iS": State("CAR-T cells", "cells", site="spleen interstitium", scale=CELLS),
    "vO": State("CAR-T cells", "cells", site="blood of other tissues", scale=CELLS),
    "iO": State("CAR-T cells", "cells", site="interstitium of other tissues", scale=CELLS),
    "ln": State("CAR-T cells", "cells", site="lymph nodes", scale=CELLS),
    "vT": State("CAR-T cells", "cells", site="tumour blood", scale=CELLS),
    "iT": State("free CAR-T cells", "cells", site="tumour interstitium", scale=CELLS),
    "U": State("tumour cells", "cells", site="liver tumour", scale=CELLS),
    "X": State("CAR-T cells bound to a tumour cell", "cells", site="liver tumour", scale=CELLS),
}

MOUSE_PARAMETERS = {
    "kel": Parameter(20.16, "1/day", LogNormal(20.16, 0.5), sd=0.3, source="24 x 0.84 /h: Tsai 2022 Table S3 (Zhu 1996), fixed; sd a guess"),
    "kon": Parameter(1.434706e-6, "mL/cells/day", LogNormal(1.434706e-6, 1.0), sd=None, source="1e6 /M/s x 1e4 antigens per cell: Tsai 2022 Table S3, fixed"),
    "koff": Parameter(1.644e-6, "1/day", LogNormal(1.644e-6, 0.5), sd=None, source="24 x 6.85e-8 /h: Tsai 2022 Table 1 (pleural fit)"),
    "kkill": Parameter(3.5184, "1/day", LogNormal(3.5184, 0.5), sd=0.5, source="24 x 2 x 0.0733 /h: Tsai 2022 Methods, twice the pleural fit; sd a guess"),
    "kpro": Parameter(2.76, "1/day", LogNormal(2.76, 0.5), sd=0.3, source="24 x 0.115 /h: Tsai 2022 Table 1 (pleural fit); sd a guess"),
    "ki": Parameter(3.84e7, "cells", LogNormal(3.84e7, 0.5), sd=None, source="Tsai 2022 Table 1 (pleural fit)"),
    "kg": Parameter(0.0924, "1/day", LogNormal(0.0924, 0.5), sd=0.3, source="24 x 0.00385 /h: Tsai 2022 Table 1 (pleural fit); sd a guess"),
    "u0": Parameter(2.5e8, "cells", LogNormal(2.5e8, 1.0), sd=0.5, source="Tsai 2022 Table S3, assumed; sd a guess"),
    "qT": Parameter(432.0, "mL/day", LogNormal(432.0, 0.5), sd=0.5, source="24 x 18 mL/h: Tsai 2022 Table S3, assumed (a tenth of hepatic flow); sd a guess"),
}  # fmt: skip


HUMAN_PARAMETERS = {
    "kel": Parameter(20.16, "1/day", LogNormal(20.16, 1.0), source="a guess: the mouse's", guess=True),
    "kon": Parameter(1.434706e-6, "mL/cells/day", LogNormal(1.434706e-6, 1.5), source="a guess: the mouse model's", guess=True),
    "koff": Parameter(1.644e-6, "1/day", LogNormal(1.644e-6, 1.0), source="a guess: the mouse model's", guess=True, held=True),
    "kkill": Parameter(0.343, "1/day", LogNormal(0.343, 0.8), sd=0.5, source="Singh 2021: ide-cel in man; sd a guess"),
    "kpro": Parameter(0.889, "1/day", LogNormal(0.889, 0.7), sd=0.3, source="Stein 2019: ln(foldx)/Tmax; sd a guess"),
    "ki": Parameter(1.0e10, "cells", LogNormal(1.0e10, 1.5), source="a guess: a tenth of the tumour", guess=True),
    "kg": Parameter(0.006, "1/day", LogNormal(0.006, 0.5), sd=0.3, source="Finlay 1988: liver metastases double in 155 or 86 d; sd a guess"),
    "u0": Parameter(1.0e11, "cells", LogNormal(1.0e11, 1.0), sd=0.5, source="a guess: give it from imaging", guess=True),
    "qT": Parameter(8.4e4, "mL/day", LogNormal(8.4e4, 1.0), sd=0.5, source="a guess: 80 mL at three times the liver's arterial perfusion, and a tenth more by the portal vein", guess=True),
    "artery_part": Parameter(0.9, "1", LogitNormal(0.9, 1.0), source="a guess: metastases are fed by the artery", guess=True),
    "passage": Parameter(1.0, "1", LogNormal(1.0, 1.0), source="a guess: all J against the mouse's extraction; delivery differs up to 1e4-fold between mice and men (Brown 2021)", guess=True),
}  # fmt: skip


def initial(p):
    return {"U": p["u0"]}


def volume(u):
    """mL of a tumour of `u` cells."""
    return CELL * (jnp.maximum(u, 0.0) + 1.0) / (1.0 - BLOOD_PART - INTERSTITIAL_PART)


def total(y, p):
    """All CAR-T cells."""
    return sum(y[k] for k in STATES if k != "U")


def _tumour_flows(p, b):
    """Of the hepatic artery, of the gut's and of the spleen's portal blood: 2, 14.5 and 1.5 of 18 in the mouse.

    None takes more than `MOST` of what its vessel carries: a wide prior of qT would leave the liver less than nothing.
    """
    artery = p.get("artery_part", 2.0 / 18)
    gut = 14.5 / 16.0 * (1 - artery)
    wanted = (artery * p["qT"], gut * p["qT"], (1 - artery - gut) * p["qT"])
    carried = (b.q_ha, b.q_g - b.l_g, b.q_s - b.l_s)
    return tuple(jnp.minimum(q, MOST * vessel) for q, vessel in zip(wanted, carried, strict=True))


def _to_tumour(p, b):
    """The part of a portal dose that the tumour's share of portal flow takes."""
    _, gut, spleen = _tumour_flows(p, b)
    return (gut + spleen) / (b.q_g - b.l_g + b.q_s - b.l_s)


def _field(b):
    """The equations in one body."""

    def vector_field(t, y, p):
        q_ha, q_pg, q_ps = _tumour_flows(p, b)
        q_t, passes = q_ha + q_pg + q_ps, p.get("passage", 1.0)
        j_p, j_l, j_g, j_s, j_o, j_t = (passes * j for j in (b.j_p, b.j_l, b.j_g, b.j_s, b.j_o, b.j_t))
        v_tumour = volume(y["U"])
        c_a, c_v, c_p = y["a"] / b.v_a, y["v"] / b.v_v, y["vP"] / b.v_vp
        c_l, c_g, c_s, c_o = y["vL"] / b.v_vl, y["vG"] / b.v_vg, y["vS"] / b.v_vs, y["vO"] / b.v_vo
        from_tumour = y["vT"] / (BLOOD_PART * v_tumour) * (q_t - b.l_t)
        from_liver = c_l * (b.q_ha - q_ha + b.q_g - b.l_g - q_pg + b.q_s - b.l_s - q_ps - b.l_l)
        lymph_p, lymph_g, lymph_o = (
            y["iP"] / b.v_ip * b.l_p,
            y["iG"] / b.v_ig * b.l_g,
            y["iO"] / b.v_io * b.l_o,
        )
        lymph_l, lymph_s = y["iL"] / b.v_il * b.l_l / b.r_l, y["iS"] / b.v_is * b.l_s / b.r_s
        c_it = y["iT"] / (INTERSTITIAL_PART * v_tumour)
        lymph_t, lymph_all = c_it * b.l_t / b.r_l, y["ln"] / b.v_ln * b.l_y
        bind = p["kon"] * c_it * (y["U"] - y["X"])
        divide = p["kpro"] / (1.0 + jnp.maximum(y["U"], 0.0) / p["ki"]) * y["X"]
        return {
            "a": c_p * b.q - c_a * (b.q_ha + b.q_g + b.q_s + b.q_o),
            "v": c_o * (b.q_o - b.l_o) + lymph_all + from_liver + from_tumour - c_v * (b.q + b.l_p),
            "vP": c_v * (b.q + b.l_p) - j_p * y["vP"] - c_p * b.q,
            "iP": j_p * y["vP"] - lymph_p - p["kel"] * y["iP"],
            "vL": c_a * (b.q_ha - q_ha) + c_g * (b.q_g - b.l_g - q_pg) + c_s * (b.q_s - b.l_s - q_ps)
            - j_l * y["vL"] - from_liver,
            "iL": j_l * y["vL"] - lymph_l,
            "vG": c_a * b.q_g - j_g * y["vG"] - c_g * (b.q_g - b.l_g),
            "iG": j_g * y["vG"] - lymph_g,
            "vS": c_a * b.q_s - j_s * y["vS"] - c_s * (b.q_s - b.l_s),
            "iS": j_s * y["vS"] - lymph_s,
            "vO": c_a * b.q_o - j_o * y["vO"] - c_o * (b.q_o - b.l_o),
            "iO": j_o * y["vO"] - lymph_o,
            "ln": lymph_p + lymph_g + lymph_s + lymph_l + lymph_t + lymph_o - lymph_all,
            "vT": c_a * q_ha + c_g * q_pg + c_s * q_ps - j_t * y["vT"] - from_tumour,
            "iT": j_t * y["vT"] - lymph_t - bind + (p["koff"] + p["kkill"]) * y["X"] + divide,
            "U": p["kg"] * (y["U"] - y["X"]) - p["kkill"] * y["X"],
            "X": bind - (p["koff"] + p["kkill"]) * y["X"],
        }  # fmt: skip

    return vector_field


def _dosing(b, selective):
    """`selective`: a hepatic-artery dose is all the tumour's; else liver and tumour share it as they share the flow."""

    def hepatic_artery(p):
        tumour = 1.0 if selective else _tumour_flows(p, b)[0] / b.q_ha
        return {"vT": tumour} if selective else {"vT": tumour, "vL": 1.0 - tumour}

    return {
        "iv": lambda p: {"v": 1.0},
        "hepatic_artery": hepatic_artery,
        "portal_vein": lambda p: {"vT": _to_tumour(p, b), "vL": 1.0 - _to_tumour(p, b)},
    }


def _outputs(b):
    return {
        "cells": Output(lambda y, p: 1e-3 * y["v"] / b.v_v, "cells/uL", "CAR-T cells in venous blood"),
        "blood": Output(lambda y, p: y["a"] + y["v"], "cells", "CAR-T cells in all blood"),
        "lung": Output(lambda y, p: y["vP"] + y["iP"], "cells", "CAR-T cells in lung"),
        "liver": Output(lambda y, p: y["vL"] + y["iL"], "cells", "CAR-T cells in normal liver"),
        "gut": Output(lambda y, p: y["vG"] + y["iG"], "cells", "CAR-T cells in gut"),
        "spleen": Output(lambda y, p: y["vS"] + y["iS"], "cells", "CAR-T cells in spleen"),
        "other": Output(lambda y, p: y["vO"] + y["iO"], "cells", "CAR-T cells in other tissues"),
        "lymph_nodes": Output(lambda y, p: y["ln"], "cells", "CAR-T cells in lymph nodes"),
        "tumour": Output(lambda y, p: y["vT"] + y["iT"] + y["X"], "cells", "CAR-T cells in tumour"),
        "car_t": Output(total, "cells", "all CAR-T cells"),
        "tumour_cells": Output(lambda y, p: y["U"], "cells", "tumour cells"),
        "tumour_volume": Output(lambda y, p: volume(y["U"]), "mL", "tumour volume"),
    }


SITES = {"car_t": {k: k for k in ("blood", "lung", "liver", "spleen", "tumour")}}


def build(species="mouse"):
    """The model of the paper, or its equations in a man of 70 kg with wide priors (a design)."""
    if species not in ("mouse", "human"):
        raise ValueError(f"no species {species!r}; there are mouse and human")
    mouse = species == "mouse"
    b = MOUSE if mouse else _human()
    derived = {
        "tumour_doubling_time": Derived(
            lambda p: jnp.log(2) / p["kg"], "day", "doubling time of the untreated tumour"
        ),
        "portal_to_tumour": Derived(
            lambda p: _to_tumour(p, b), "1", "part of a portal dose that reaches the tumour first"
        ),
    }
    return Model(
        STATES, MOUSE_PARAMETERS if mouse else HUMAN_PARAMETERS, _outputs(b), derived=derived,
        dosing=_dosing(b, selective=mouse), vector_field=_field(b), initial=initial, sites=SITES, stiff=True,
        balance=Balance(total, without=("kel", "kpro")), typical_dose=3e6 if mouse else 1e9,
    )  # fmt: skip


MODEL = build()
