"""CAR-T cells in blood, and IL-6 and IFN-gamma that each rise and fall by themselves; closed form.

A description [D] that knows no biology, to be beaten by `cytokine_release`: the cells are the same (Ogasawara K et al.,
Clin Pharmacokinet 2021;60:1621), each cytokine is an exponential rise to its own peak and an exponential fall over its
own baseline, with no link to the cells or to the other cytokine.

    cells       as in `cytokine_release`
    cytokine C(t) = baseline + height 2^((t-tmax)/doubling_time) up to its tmax, baseline + height 2^(-(t-tmax)/half_life) then

A course given as several infusions is the sum of their curves, each weighted by its share of the course's cells.
Typical values and between-subject SDs of the cytokines are guesses, where `cytokine_release` has the like the same.
"""

import jax.numpy as jnp

from kinetics import LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {
    "cells": State("CAR+ T cells", "cells/uL", site="blood"),
    "il6": State("IL-6", "pg/mL", site="serum"),
    "ifn_gamma": State("IFN-gamma", "pg/mL", site="serum"),
}

PARAMETERS = {
    "lag_fraction": Parameter(0.352, "1", LogitNormal(0.352, 0.6), source="Ogasawara 2021 abstract: Tlag 3.27 d (2.71-3.97) of Tmax 9.29 d"),
    "doubling_time": Parameter(0.755, "day", LogNormal(0.755, 0.4), sd=0.2, source="Ogasawara 2021 abstract (0.667-0.821); sd a guess"),
    "tmax": Parameter(9.29, "day", LogNormal(9.29, 0.4), sd=0.3, source="Ogasawara 2021 abstract (8.81-9.70); sd a guess"),
    "cmax": Parameter(158.0, "cells/uL", LogNormal(158.0, 1.5), sd=1.5, source="a guess: 24000 copies/ug DNA, the order of the product label's median, at 1000 nucleated cells/uL", guess=True),
    "half_life_contraction": Parameter(5.00, "day", LogNormal(5.00, 0.5), sd=0.6, source="Ogasawara 2021 abstract (4.15-5.90); sd a guess"),
    "fb": Parameter(0.0079, "1", LogitNormal(0.0079, 1.0), source="Stein 2019 Table 1"),
    "half_life_persistence": Parameter(352.0, "day", LogNormal(352.0, 0.5), source="Ogasawara 2021 abstract (241-647)"),
    "il6_baseline": Parameter(4.0, "pg/mL", LogNormal(4.0, 1.0), sd=0.7, source="a guess: between 1.7 pg/mL (Hardiansyah 2019 Figure 1b) and 7.9 pg/mL (Hornik 2019)", guess=True),
    "il6_height": Parameter(100.0, "pg/mL", LogNormal(100.0, 1.5), sd=1.5, source="a guess: peaks of 10 to 1000 pg/mL", guess=True),
    "il6_tmax": Parameter(9.29, "day", LogNormal(9.29, 0.4), sd=0.3, source="a guess: that of the cells", guess=True),
    "il6_doubling_time": Parameter(0.755, "day", LogNormal(0.755, 0.5), sd=0.3, source="a guess: that of the cells", guess=True),
    "il6_half_life": Parameter(1.0, "day", LogNormal(1.0, 0.7), sd=0.5, source="a guess: cytokines fall within days of their peak", guess=True),
    "ifn_gamma_baseline": Parameter(10.0, "pg/mL", LogNormal(10.0, 1.0), sd=0.7, source="a guess: above 2.3 pg/mL (Hardiansyah 2019 Figure 1b), after lymphodepletion", guess=True),
    "ifn_gamma_height": Parameter(500.0, "pg/mL", LogNormal(500.0, 1.5), sd=1.5, source="a guess: peaks of 100 to 3000 pg/mL", guess=True),
    "ifn_gamma_tmax": Parameter(9.29, "day", LogNormal(9.29, 0.4), sd=0.3, source="a guess: that of the cells", guess=True),
    "ifn_gamma_doubling_time": Parameter(0.755, "day", LogNormal(0.755, 0.5), sd=0.3, source="a guess: that of the cells", guess=True),
    "ifn_gamma_half_life": Parameter(1.0, "day", LogNormal(1.0, 0.7), sd=0.5, source="a guess: cytokines fall within days of their peak", guess=True),
}  # fmt: skip


def solution(t, p, doses):
    """Cells/uL and pg/mL at times t (record,), summed over the infusions (dose,)."""
    tau = t[:, None] - doses.time
    tlag = p["lag_fraction"] * p["tmax"]
    growing = p["tmax"] - tlag
    grown, after = jnp.clip(tau - tlag, 0.0, growing), jnp.maximum(tau - p["tmax"], 0.0)

    def over_infusions(curve):
        return jnp.sum(jnp.where(tau >= 0, doses.share * curve, 0.0), axis=1)

    def cytokine(name):
        away = tau - p[f"{name}_tmax"]
        doublings = jnp.minimum(away, 0.0) / p[f"{name}_doubling_time"]
        halvings = jnp.maximum(away, 0.0) / p[f"{name}_half_life"]
        return p[f"{name}_baseline"] + p[f"{name}_height"] * over_infusions(jnp.exp2(doublings - halvings))

    contraction = (1 - p["fb"]) * jnp.exp2(-after / p["half_life_contraction"])
    fall = contraction + p["fb"] * jnp.exp2(-after / p["half_life_persistence"])
    rise = jnp.exp2((grown - growing) / p["doubling_time"])
    cells = p["cmax"] * over_infusions(rise * fall)
    return {"cells": cells, "il6": cytokine("il6"), "ifn_gamma": cytokine("ifn_gamma")}


OUTPUTS = {
    "cells": Output(lambda y, p: y["cells"], "cells/uL", "CAR+ T cells in blood (flow)"),
    "il6": Output(lambda y, p: y["il6"], "pg/mL", "IL-6"),
    "ifn_gamma": Output(lambda y, p: y["ifn_gamma"], "pg/mL", "IFN-gamma"),
}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution)
