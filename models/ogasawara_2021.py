"""Lag, expansion, contraction and persistence of CAR-T cells in blood, closed form (lisocabtagene maraleucel).

Ogasawara K et al., Clin Pharmacokinet 2021;60:1621 (PMC8613160). 261 adults with large B-cell lymphoma, qPCR.
The typical values are the abstract's; the between-subject SDs and Cmax are not in it and are guesses.

    tlag = lag_fraction tmax, rho = ln 2/doubling_time, R0 = cmax exp(-rho (tmax-tlag))
    t < tlag:         f = R0
    tlag <= t < tmax: f = R0 exp(rho (t-tlag))
    t >= tmax:        f = cmax [(1-fb) 2^(-(t-tmax)/half_life_contraction) + fb 2^(-(t-tmax)/half_life_persistence)]

Changed here: the lag is a fraction of Tmax (3.27 of 9.29 d), so that no subject's lag can outlast its Tmax, and
`tlag` is derived. A course given as several infusions is the sum of f(t - t_j), each weighted by its share of the
course's cells; a new course adds a new curve. A second output, cells/uL, is copies * 6.6e-6 * (nucleated
cells per uL)/VCN with that ratio constant per subject. Prior SDs on typical values are widened from the
published confidence intervals for transfer to other products (a guess).
"""

import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {"copies": State("CAR transgene", "copies/ug DNA", site="blood")}

PARAMETERS = {
    "lag_fraction": Parameter(0.352, "1", LogitNormal(0.352, 0.6), sd=0.6, source="Ogasawara 2021 abstract: Tlag 3.27 d (2.71-3.97) of Tmax 9.29 d; sd a guess"),
    "doubling_time": Parameter(0.755, "day", LogNormal(0.755, 0.4), sd=0.2, source="Ogasawara 2021 abstract (0.667-0.821); sd a guess"),
    "tmax": Parameter(9.29, "day", LogNormal(9.29, 0.4), sd=0.3, source="Ogasawara 2021 abstract (8.81-9.70); sd a guess"),
    "cmax": Parameter(24000.0, "copies/ug DNA", LogNormal(24000.0, 1.0), sd=1.0, source="a guess: the order of the product label's median", guess=True),
    "half_life_contraction": Parameter(5.00, "day", LogNormal(5.00, 0.5), sd=0.6, source="Ogasawara 2021 abstract (4.15-5.90); sd a guess"),
    "fb": Parameter(0.0079, "1", LogitNormal(0.0079, 1.0), sd=0.80, source="Stein 2019 Table 1 (not in the abstract)"),
    "half_life_persistence": Parameter(352.0, "day", LogNormal(352.0, 0.5), sd=0.9, source="Ogasawara 2021 abstract (241-647); sd a guess"),
    "nucleated_per_vcn": Parameter(1000.0, "cells/uL", LogNormal(1000.0, 1.0), sd=0.4, source="a guess: a low leukocyte count after lymphodepletion over VCN 1 (golden T9 uses 1000)", guess=True),
}  # fmt: skip

PRIOR_SETS = {
    "solid_tumour": {
        "cmax": Parameter(
            2000.0, "copies/ug DNA", LogNormal(2000.0, 1.3), sd=1.3, guess=True,
            source="a guess: expansion is slower in solid tumours (Liu C 2021, doi 10.1002/cpt.2040)",
        ),
    },
}  # fmt: skip

UG_PER_GENOME = 6.6e-6  # ug DNA of one diploid nucleus: 6.6 pg (golden T9: 151,515 genomes per ug)


def solution(t, p, doses):
    """Copies/ug DNA at times t (record,), summed over the infusions (dose,)."""
    tau = t[:, None] - doses.time
    after = jnp.maximum(tau - p["tmax"], (p["lag_fraction"] - 1) * p["tmax"])  # the lag holds the first value
    rising = after < 0
    fast = jnp.exp2(after * jnp.where(rising, 1 / p["doubling_time"], -1 / p["half_life_contraction"]))
    slow = jnp.exp2(-jnp.maximum(after, 0.0) / p["half_life_persistence"])
    curve = jnp.where(rising, fast, fast + p["fb"] * (slow - fast))
    return {"copies": p["cmax"] * jnp.sum(jnp.where(tau >= 0, doses.share * curve, 0.0), axis=1)}


OUTPUTS = {
    "copies": Output(lambda y, p: y["copies"], "copies/ug DNA", "CAR transgene in blood (qPCR)"),
    "cells": Output(
        lambda y, p: y["copies"] * UG_PER_GENOME * p["nucleated_per_vcn"], "cells/uL", "CAR+ cells in blood (flow)"
    ),
}  # fmt: skip

DERIVED = {
    "tlag": Derived(lambda p: p["lag_fraction"] * p["tmax"], "day", "lag before expansion"),
    "expansion_rate": Derived(lambda p: jnp.log(2) / p["doubling_time"], "1/day", "expansion rate rho"),
    "fold_expansion": Derived(
        lambda p: jnp.exp2((1 - p["lag_fraction"]) * p["tmax"] / p["doubling_time"]), "1", "fold expansion"
    ),
    "alpha": Derived(lambda p: jnp.log(2) / p["half_life_contraction"], "1/day", "contraction rate"),
}  # fmt: skip

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED, prior_sets=PRIOR_SETS)
