"""The block `cytokine_crs`, for IL-6 and for IFN-gamma, on CAR-T cells in blood that meet antigen; closed form.

A design [D], not a published model. Cells: Ogasawara K et al., Clin Pharmacokinet 2021;60:1621 (see
`ogasawara_2021`), here in cells/uL. Cytokines: the block's turnover with the losses of Hardiansyah D, Ng CM, Clin
Transl Sci 2019;12:343 (PMC6662387), Table S1, each on a kill flux of its own, driven by the cells in two parts.

    tlag = lag_fraction tmet, tmax = tmet + overshoot, tsat = tmet - plateau (tmet-tlag), rho = ln 2/doubling_time
    cells N/cmax = exp(-rho (tmax-tlag)) up to tlag, exp(-rho (tmax-t)) up to tmax, then
                   (1-fb) 2^(-(t-tmax)/half_life_contraction) + fb 2^(-(t-tmax)/half_life_persistence)
    burst B      = exp(-rho (tsat-tlag)) up to tlag, exp(-rho (tsat-t)) up to tsat, 1 up to tmet, then
                   2^(-(t-tmet)/half_life), half_life: release_half_life, for IFN-gamma times ifn_gamma_half_life_ratio
    C' = loss (baseline - C) + loss released [(1-lasting) B + lasting N/cmax],  C(0) = baseline
         (the block's per_kill R with R/height = [..] and released = per_kill height/loss)

The burst is release by the first antigen: it grows with the cells, may saturate while they go on to grow, and dies away
when that antigen runs out on day tmet. The cells go on to divide for `overshoot` days. The lasting part follows the
cells, which meet antigen that stays or comes back. `released` is the level that the release at its height would hold;
it is the patient's, by antigen and by what a cell releases, which no data here tell apart. How fast antigen runs out is
the patient's too, one half-life for both cytokines. Each has its own released, loss and baseline, and IFN-gamma a
plateau; rho, tlag and tmet are the cells'. A course given as several infusions is the sum of their curves, each
weighted by its share of the course's cells, as in `ogasawara_2021`.
What tocilizumab or steroids change is not told apart. All between-subject SDs are guesses.
"""

import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {
    "cells": State("CAR+ T cells", "cells/uL", site="blood"),
    "il6": State("IL-6", "pg/mL", site="serum"),
    "ifn_gamma": State("IFN-gamma", "pg/mL", site="serum"),
}

PARAMETERS = {
    "lag_fraction": Parameter(0.41, "1", LogitNormal(0.41, 0.6), source="Ogasawara 2021 abstract: Tlag 3.27 d (2.71-3.97), here of tmet 8 d"),
    "doubling_time": Parameter(0.755, "day", LogNormal(0.755, 0.4), sd=0.2, source="Ogasawara 2021 abstract (0.667-0.821); sd a guess"),
    "tmet": Parameter(8.0, "day", LogNormal(8.0, 0.4), sd=0.3, source="a guess: cytokines peak a day or two before the cells", guess=True),
    "overshoot": Parameter(1.5, "day", LogNormal(1.5, 0.6), sd=0.5, source="a guess: with tmet near the Tmax 9.29 d (8.81-9.70) of Ogasawara 2021", guess=True),
    "cmax": Parameter(158.0, "cells/uL", LogNormal(158.0, 1.5), sd=1.5, source="a guess: 24000 copies/ug DNA, the order of the product label's median, at 1000 nucleated cells/uL", guess=True),
    "half_life_contraction": Parameter(5.00, "day", LogNormal(5.00, 0.5), sd=0.6, source="Ogasawara 2021 abstract (4.15-5.90); sd a guess"),
    "fb": Parameter(0.0079, "1", LogitNormal(0.0079, 1.0), source="Stein 2019 Table 1"),
    "half_life_persistence": Parameter(352.0, "day", LogNormal(352.0, 0.5), source="Ogasawara 2021 abstract (241-647)"),
    "lasting": Parameter(0.05, "1", LogitNormal(0.05, 1.5), sd=1.0, source="a guess", guess=True),
    "release_half_life": Parameter(1.0, "day", LogNormal(1.0, 0.7), sd=0.5, source="a guess: cytokines fall within days of their peak", guess=True),
    "il6_baseline": Parameter(4.0, "pg/mL", LogNormal(4.0, 1.0), sd=0.7, source="a guess: between 1.7 pg/mL (Hardiansyah 2019 Figure 1b) and 7.9 pg/mL (Hornik 2019)", guess=True),
    "il6_released": Parameter(100.0, "pg/mL", LogNormal(100.0, 1.5), sd=1.5, source="a guess: peaks of 10 to 1000 pg/mL", guess=True),
    "il6_loss": Parameter(3.96, "1/day", LogNormal(3.96, 0.3), source="Hardiansyah 2019 Table S1, fixed there; prior sd a guess"),
    "ifn_gamma_baseline": Parameter(10.0, "pg/mL", LogNormal(10.0, 1.0), sd=0.7, source="a guess: above 2.3 pg/mL (Hardiansyah 2019 Figure 1b), after lymphodepletion", guess=True),
    "ifn_gamma_released": Parameter(500.0, "pg/mL", LogNormal(500.0, 1.5), sd=1.5, source="a guess: peaks of 100 to 3000 pg/mL", guess=True),
    "ifn_gamma_plateau": Parameter(0.2, "1", LogitNormal(0.2, 1.0), source="a guess: release saturates a day or less before antigen runs out", guess=True),
    "ifn_gamma_half_life_ratio": Parameter(1.0, "1", LogNormal(1.0, 0.5), source="a guess: both cytokines follow the same antigen", guess=True),
    "ifn_gamma_loss": Parameter(1.51, "1/day", LogNormal(1.51, 0.3), source="Hardiansyah 2019 Table S1, fixed there; prior sd a guess"),
}  # fmt: skip


def solution(t, p, doses):
    """Cells/uL and pg/mL at times t (record,), summed over the infusions (dose,)."""
    tau = t[:, None] - doses.time
    tlag, rho = p["lag_fraction"] * p["tmet"], jnp.log(2) / p["doubling_time"]
    meeting, growing = p["tmet"] - tlag, p["tmet"] + p["overshoot"] - tlag
    fb, rates = p["fb"], [jnp.log(2) / p[f"half_life_{k}"] for k in ("contraction", "persistence")]

    def over_infusions(curve):
        return jnp.sum(jnp.where(tau >= 0, doses.share * curve, 0.0), axis=-1)

    grown, after = jnp.clip(tau - tlag, 0.0, growing), jnp.maximum(tau - tlag - growing, 0.0)
    fall = (1 - fb) * jnp.exp(-rates[0] * after) + fb * jnp.exp(-rates[1] * after)
    cells = p["cmax"] * over_infusions(jnp.exp(rho * (grown - growing)) * fall)

    # Four releases in turn, each (record, dose): the bursts of IL-6 and IFN-gamma, then what lasts of them.
    loss = jnp.stack([p["il6_loss"], p["ifn_gamma_loss"]])
    gone = jnp.log(2) / p["release_half_life"] / jnp.stack([1.0, p["ifn_gamma_half_life_ratio"]])
    full = jnp.stack([jnp.zeros_like(meeting), p["ifn_gamma_plateau"] * meeting])
    phases = (jnp.concatenate([meeting - full, jnp.stack([growing, growing])]), jnp.concatenate([full, 0 * full]))
    first = (jnp.stack([1.0, 1.0, 1 - fb, 1 - fb]), jnp.concatenate([gone, jnp.stack([rates[0], rates[0]])]))
    second = (jnp.stack([0.0, 0.0, fb, fb]), jnp.stack([rates[1]] * 4))
    held = over_infusions(_held(tau, tlag, phases, rho, (first, second), jnp.concatenate([loss, loss])))
    base, released = (jnp.stack([p[f"{k}_{what}"] for k in ("il6", "ifn_gamma")]) for what in ("baseline", "released"))
    level = (1 - p["lasting"]) * held[:2] + p["lasting"] * held[2:]
    il6, ifn_gamma = base[:, None] + released[:, None] * level
    return {"cells": cells, "il6": il6, "ifn_gamma": ifn_gamma}


def _held(tau, flat, phases, rho, falls, loss):
    """The level that each release (release,) holds: flat, growing at rho to 1, at 1, for so many days; then falling.

    `falls`: (share, rate) of each exponential, (release,) both.
    """
    growing, full, loss = (x[:, None, None] for x in (*phases, loss))
    waited, grown = jnp.clip(tau, 0.0, flat), jnp.clip(tau - flat, 0.0, growing)
    stayed, after = jnp.clip(tau - flat - growing, 0.0, full), jnp.maximum(tau - flat - growing - full, 0.0)
    from_flat = jnp.exp(-rho * growing - loss * jnp.maximum(tau - flat, 0.0)) * -jnp.expm1(-loss * waited)
    grew = jnp.exp(rho * (grown - growing) - loss * (stayed + after)) * -jnp.expm1(-(loss + rho) * grown)
    from_full = jnp.exp(-loss * after) * -jnp.expm1(-loss * stayed)
    ends = [share[:, None, None] * _lost_after(after, rate[:, None, None], loss) for share, rate in falls]
    return from_flat + loss / (loss + rho) * grew + from_full + loss * sum(ends)


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
    "tlag": Derived(lambda p: p["lag_fraction"] * p["tmet"], "day", "lag before expansion"),
    "tmax": Derived(lambda p: p["tmet"] + p["overshoot"], "day", "day of the peak of the cells"),
}  # fmt: skip

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED)
