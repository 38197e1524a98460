"""CAR-T cells that divide where they meet B cells, and the IL-6, IL-10 and IFN-gamma that they release (CTL019, CLL).

Hardiansyah D, Ng CM, Clin Transl Sci 2019;12:343, doi 10.1111/cts.12636 (PMC6662387). Two adults with chronic
lymphocytic leukaemia (UPN1 and UPN3 of Kalos 2011), each fitted alone. Values: supplement, Tables S1 and S2, as read in
the public extraction nlmixr2lib. UPN1 is the default (high burden, 1.1e9 cells); the prior set `upn3` is the other
(low burden, 1.4e7 cells). Both were given 10, 30 and 60 % of the dose on days 0, 1 and 2.

B CLL cells in blood; E, M effector and memory cells in blood, Et, Mt in tissue, all in 1e9 cells.

    f = B/(B+H); inhibited = AG + (1-AG) BG/(IL10+BG)
    B'  = (RB-DB-kbc E) B
    E'  = (re B - de - KIN - ae (1-f)) E + KOUT Et + AM f M;        Et' = KIN E - KOUT Et
    M'  = (rm - dm - KIN - AM f) M + KOUT Mt + ae (1-f) E;          Mt' = KIN M - KOUT Mt
    IL6' = D6 (b6-IL6) + p6 B E;  IL10' = D10 (b10-IL10) + p10 B E;  IFN' = DG (bg-IFN) + pg B E inhibited

B = b0, cytokines at rest, no cells at day 0; a dose enters E. Of the paper, corrected: equation 7 prints ae M as the gain
of M, which would leave M at 0 for ever; Figure 1a has ae E. H is 1e5 numerically in units of 1e9 cells, which only then
gives Figure 1b. Changed here: p6, p10 and pg are in ug/L, a thousand times Table S2's numbers (in pg/uL per 1e15 cells2).
The paper has no between-subject variability: the SDs are |ln(UPN1/UPN3)|/sqrt 2, the SD that two patients give, or 0.3
if that is less, and so guesses. Parameters are what the paper estimates, the burden, the baselines, and what sets the
last slope of memory (rm, dm); the other constants of Table S1 are fixed, as in the paper.
"""

import jax.numpy as jnp

from kinetics import Balance, Derived, LogNormal, Model, Output, Parameter, State

D6, D10, DG = 3.96, 4.68, 1.51  # 1/day, loss of IL-6, IL-10, IFN-gamma: Table S1
AG, BG = 0.59, 650.0  # IL-10's hold on IFN-gamma: the part that stays, and pg/mL at half: Table S1
RB, DB = 0.0093, 0.0076  # 1/day, birth and death of CLL cells: Table S1
KIN, KOUT = 76.78, 1.84  # 1/day, blood to tissue and back: Table S1
AM = 1.0  # 1/day, memory to effector: Table S1
H = 1e5  # 1e9 cells: Table S1 (see above)
PG_PER_UG = 1e3  # pg/mL in 1 ug/L

STATES = {
    "B": State("CLL cells", "1e9 cells", site="blood", scale=1e-3),
    "E": State("effector CAR-T cells", "1e9 cells", site="blood", scale=1e-6),
    "Et": State("effector CAR-T cells", "1e9 cells", site="tissue", scale=1e-6),
    "M": State("memory CAR-T cells", "1e9 cells", site="blood", scale=1e-6),
    "Mt": State("memory CAR-T cells", "1e9 cells", site="tissue", scale=1e-6),
    "IL6": State("IL-6", "pg/mL", site="blood", scale=0.1),
    "IL10": State("IL-10", "pg/mL", site="blood", scale=0.1),
    "IFN": State("IFN-gamma", "pg/mL", site="blood", scale=0.1),
}

PARAMETERS = {
    "re": Parameter(16.16, "1/day/1e9 cells", LogNormal(16.16, 0.3), sd=0.3, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "de": Parameter(23.04, "1/day", LogNormal(23.04, 1.0), sd=2.0, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "ae": Parameter(0.024, "1/day", LogNormal(0.024, 1.0), sd=1.1, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "kbc": Parameter(0.19, "1/day/1e9 cells", LogNormal(0.19, 1.0), sd=1.7, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "rm": Parameter(0.0509, "1/day", LogNormal(0.0509, 0.3), sd=None, source="Hardiansyah 2019 Table S1, fixed"),
    "dm": Parameter(0.408, "1/day", LogNormal(0.408, 0.3), sd=0.3, source="Hardiansyah 2019 Table S1, fixed; sd a guess"),
    "p6": Parameter(1.8, "ug/L/day/1e9 cells/1e9 cells", LogNormal(1.8, 1.0), sd=0.85, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "p10": Parameter(0.7, "ug/L/day/1e9 cells/1e9 cells", LogNormal(0.7, 1.0), sd=2.3, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "pg": Parameter(0.3, "ug/L/day/1e9 cells/1e9 cells", LogNormal(0.3, 1.0), sd=2.1, source="Hardiansyah 2019 Table S2, UPN1; sd a guess"),
    "b0": Parameter(4.14, "1e9 cells", LogNormal(4.14, 1.0), sd=1.1, source="Hardiansyah 2019 Figure 2 legend, UPN1; sd a guess"),
    "b6": Parameter(1.7, "pg/mL", LogNormal(1.7, 0.5), sd=0.4, source="Hardiansyah 2019 Figure 1b, UPN1, digitised to 30 %; sd a guess"),
    "b10": Parameter(4.5, "pg/mL", LogNormal(4.5, 0.5), sd=1.6, source="Hardiansyah 2019 Figure 1b, UPN1, digitised to 30 %; sd a guess"),
    "bg": Parameter(2.3, "pg/mL", LogNormal(2.3, 0.5), sd=0.3, source="Hardiansyah 2019 Figure 1b, UPN1, digitised to 30 %; sd a guess"),
}  # fmt: skip

PRIOR_SETS = {
    "upn3": {
        "re": Parameter(14.40, "1/day/1e9 cells", LogNormal(14.40, 0.3), sd=0.3, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "de": Parameter(1.44, "1/day", LogNormal(1.44, 1.0), sd=2.0, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "ae": Parameter(0.12, "1/day", LogNormal(0.12, 1.0), sd=1.1, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "kbc": Parameter(2.21, "1/day/1e9 cells", LogNormal(2.21, 1.0), sd=1.7, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "p6": Parameter(6.0, "ug/L/day/1e9 cells/1e9 cells", LogNormal(6.0, 1.0), sd=0.85, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "p10": Parameter(17.0, "ug/L/day/1e9 cells/1e9 cells", LogNormal(17.0, 1.0), sd=2.3, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "pg": Parameter(6.0, "ug/L/day/1e9 cells/1e9 cells", LogNormal(6.0, 1.0), sd=2.1, source="Hardiansyah 2019 Table S2, UPN3; sd a guess"),
        "b0": Parameter(0.93, "1e9 cells", LogNormal(0.93, 1.0), sd=1.1, source="Hardiansyah 2019 Figure 2 legend, UPN3; sd a guess"),
        "b6": Parameter(1.0, "pg/mL", LogNormal(1.0, 0.5), sd=0.4, source="Hardiansyah 2019 Figure 1b, UPN3, digitised to 30 %; sd a guess"),
        "b10": Parameter(0.5, "pg/mL", LogNormal(0.5, 0.5), sd=1.6, source="Hardiansyah 2019 Figure 1b, UPN3, digitised to 30 %; sd a guess"),
        "bg": Parameter(1.7, "pg/mL", LogNormal(1.7, 0.5), sd=0.3, source="Hardiansyah 2019 Figure 1b, UPN3, digitised to 30 %; sd a guess"),
    },
}  # fmt: skip

DOSING = {"iv": lambda p: {"E": 1e-9}}  # 1e9 cells per cell


def initial(p):
    return {"B": p["b0"], "IL6": p["b6"], "IL10": p["b10"], "IFN": p["bg"]}


def vector_field(t, y, p):
    f = y["B"] / (y["B"] + H)
    met = PG_PER_UG * y["B"] * y["E"]
    inhibited = AG + (1 - AG) * BG / (y["IL10"] + BG)
    to_memory, to_effector = p["ae"] * (1 - f) * y["E"], AM * f * y["M"]
    out_e, out_m = KIN * y["E"] - KOUT * y["Et"], KIN * y["M"] - KOUT * y["Mt"]
    return {
        "B": (RB - DB - p["kbc"] * y["E"]) * y["B"],
        "E": (p["re"] * y["B"] - p["de"]) * y["E"] - out_e - to_memory + to_effector,
        "Et": out_e,
        "M": (p["rm"] - p["dm"]) * y["M"] - out_m + to_memory - to_effector,
        "Mt": out_m,
        "IL6": D6 * (p["b6"] - y["IL6"]) + p["p6"] * met,
        "IL10": D10 * (p["b10"] - y["IL10"]) + p["p10"] * met,
        "IFN": DG * (p["bg"] - y["IFN"]) + p["pg"] * met * inhibited,
    }


OUTPUTS = {
    "car_t": Output(lambda y, p: y["E"] + y["M"], "1e9 cells", "CAR-T cells in all blood"),
    "il6": Output(lambda y, p: y["IL6"], "pg/mL", "IL-6"),
    "il10": Output(lambda y, p: y["IL10"], "pg/mL", "IL-10"),
    "ifng": Output(lambda y, p: y["IFN"], "pg/mL", "IFN-gamma"),
    "b_cells": Output(lambda y, p: y["B"], "1e9 cells", "CLL cells in all blood"),
}

DERIVED = {
    "half_life_persistence": Derived(
        lambda p: jnp.log(2) * (1 + KIN / KOUT) / (p["dm"] - p["rm"]), "day", "half-life of memory cells, blood and tissue"
    ),
}  # fmt: skip

BALANCE = Balance(
    lambda y, p: 1e9 * (y["E"] + y["Et"] + y["M"] + y["Mt"]), without=("re", "de", "rm", "dm")
)

MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, prior_sets=PRIOR_SETS, dosing=DOSING, vector_field=vector_field,
    initial=initial, stiff=True, balance=BALANCE, typical_dose=1.1e9,
)  # fmt: skip
