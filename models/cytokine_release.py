"""CAR-T cells in blood, and the IL-6 and IFN-gamma that they release while they meet antigen; closed form.

A design [D], not a published model. Cells: Ogasawara K et al., Clin Pharmacokinet 2021;60:1621 (see
`ogasawara_2021`), here in cells/uL. Cytokines: turnover with the losses of Hardiansyah D, Ng CM, Clin Transl Sci
2019;12:343 (PMC6662387), Table S1, and a release driven by the cells in two parts.

    tlag = lag_fraction tmax, tmet = tlag + met (tmax-tlag), rho = ln 2/doubling_time
    cells  N(t)/cmax = exp(-rho (tmax-tlag)) up to tlag, exp(rho (t-tmax)) up to tmax, then
                       (1-fb) 2^(-(t-tmax)/half_life_contraction) + fb 2^(-(t-tmax)/half_life_persistence)
    burst  B(t)      = exp(-rho (tmet-tlag)) up to tlag, exp(rho (t-tmet)) up to tmet, 2^(-(t-tmet)/half_life_burst) then
    C' = loss (baseline - C) + loss released (cmax/158)^power [(1-lasting) B(t) + lasting N(t)/cmax],  C(0) = baseline

The burst is release by the first antigen: it grows with the cells until that antigen runs out, at the share `met` of
their expansion, and then dies away. The lasting part follows the cells, which meet antigen that stays or comes back.
`released` is the level that the release at its height would hold. With `power` 0 that height is the antigen's, the same
however many cells there are; with 1 it is so much a cell. A course given as several infusions is the sum of their curves,
each weighted by its share of the course's cells, as in `ogasawara_2021`. Release after tocilizumab or steroids is not
told from other release. All between-subject SDs are guesses.
"""

import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Normal, Output, Parameter, State

CELLS = 158.0  # cells/uL at which `power` has no effect: cmax of ogasawara_2021 with its other ratio

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
    "met": Parameter(0.8, "1", LogitNormal(0.8, 1.0), source="a guess: antigen runs out shortly before the cells stop to expand", guess=True),
    "half_life_burst": Parameter(1.0, "day", LogNormal(1.0, 0.7), sd=0.5, source="a guess: cytokines fall within days of their peak", guess=True),
    "lasting": Parameter(0.05, "1", LogitNormal(0.05, 1.5), sd=1.0, source="a guess", guess=True),
    "il6_baseline": Parameter(4.0, "pg/mL", LogNormal(4.0, 1.0), sd=0.7, source="a guess: between 1.7 pg/mL (Hardiansyah 2019 Figure 1b) and 7.9 pg/mL (Hornik 2019)", guess=True),
    "il6_released": Parameter(100.0, "pg/mL", LogNormal(100.0, 1.5), sd=1.5, source="a guess: peaks of 10 to 1000 pg/mL", guess=True),
    "il6_loss": Parameter(3.96, "1/day", LogNormal(3.96, 0.2), source="Hardiansyah 2019 Table S1, fixed; prior sd a guess"),
    "il6_power": Parameter(0.5, "1", Normal(0.5, 0.5), source="a guess: between 0 and 1", guess=True),
    "ifn_gamma_baseline": Parameter(10.0, "pg/mL", LogNormal(10.0, 1.0), sd=0.7, source="a guess: above 2.3 pg/mL (Hardiansyah 2019 Figure 1b), after lymphodepletion", guess=True),
    "ifn_gamma_released": Parameter(500.0, "pg/mL", LogNormal(500.0, 1.5), sd=1.5, source="a guess: peaks of 100 to 3000 pg/mL", guess=True),
    "ifn_gamma_loss": Parameter(1.51, "1/day", LogNormal(1.51, 0.2), source="Hardiansyah 2019 Table S1, fixed; prior sd a guess"),
    "ifn_gamma_power": Parameter(0.5, "1", Normal(0.5, 0.5), source="a guess: between 0 and 1", guess=True),
}  # fmt: skip


def solution(t, p, doses):
    """Cells/uL and pg/mL at times t (record,), summed over the infusions (dose,)."""
    tau = t[:, None] - doses.time
    tlag, rho = p["lag_fraction"] * p["tmax"], jnp.log(2) / p["doubling_time"]
    growing = p["tmax"] - tlag
    alpha, beta, gone = (jnp.log(2) / p[f"half_life_{k}"] for k in ("contraction", "persistence", "burst"))
    falls = ((1 - p["fb"], alpha), (p["fb"], beta))

    def over_infusions(curve):
        return jnp.sum(jnp.where(tau >= 0, doses.share * curve, 0.0), axis=1)

    def cytokine(name):
        loss = p[f"{name}_loss"]
        burst = _held(tau, tlag, p["met"] * growing, rho, ((1.0, gone),), loss)
        lasting = _held(tau, tlag, growing, rho, falls, loss)
        level = p[f"{name}_released"] * (p["cmax"] / CELLS) ** p[f"{name}_power"]
        held = over_infusions((1 - p["lasting"]) * burst + p["lasting"] * lasting)
        return p[f"{name}_baseline"] + level * held

    grown, after = jnp.clip(tau - tlag, 0.0, growing), jnp.maximum(tau - p["tmax"], 0.0)
    fall = sum(share * jnp.exp(-rate * after) for share, rate in falls)
    cells = p["cmax"] * over_infusions(jnp.exp(rho * (grown - growing)) * fall)
    return {"cells": cells, "il6": cytokine("il6"), "ifn_gamma": cytokine("ifn_gamma")}


def _held(tau, lag, growing, rho, falls, loss):
    """What a release holds that is flat for `lag`, grows to 1 over `growing` and falls as the sum of share exp(-rate t)."""
    flat, grown = jnp.clip(tau, 0.0, lag), jnp.clip(tau - lag, 0.0, growing)
    after = jnp.maximum(tau - lag - growing, 0.0)
    from_flat = jnp.exp(-rho * growing - loss * jnp.maximum(tau - lag, 0.0)) * -jnp.expm1(-loss * flat)
    from_rise = jnp.exp(rho * (grown - growing) - loss * after) * -jnp.expm1(-(loss + rho) * grown)
    from_fall = sum(share * loss * _lost_after(after, rate, loss) for share, rate in falls)
    return from_flat + loss / (loss + rho) * from_rise + from_fall


def _lost_after(d, rate, loss):
    """exp(-rate t) through a loss, d days on: (exp(-rate d) - exp(-loss d))/(loss - rate); a series near loss = rate."""
    x = (loss - rate) * d
    near = jnp.abs(x) < 1e-3
    series = d * jnp.exp(-loss * d) * (1 + x * (1 / 2 + x * (1 / 6 + x / 24)))
    apart = (jnp.exp(-rate * d) - jnp.exp(-loss * d)) / jnp.where(near, 1.0, loss - rate)
    return jnp.where(near, series, apart)


OUTPUTS = {
    "cells": Output(lambda y, p: y["cells"], "cells/uL", "CAR+ T cells in blood (flow)"),
    "il6": Output(lambda y, p: y["il6"], "pg/mL", "IL-6"),
    "ifn_gamma": Output(lambda y, p: y["ifn_gamma"], "pg/mL", "IFN-gamma"),
}

DERIVED = {
    "tmet": Derived(
        lambda p: p["tmax"] * (p["lag_fraction"] + p["met"] * (1 - p["lag_fraction"])), "day", "day when the first antigen runs out"
    ),
}  # fmt: skip

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED)
