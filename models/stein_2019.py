"""Expansion, contraction and persistence of CAR-T transgene in blood, closed form (tisagenlecleucel).

Stein AM et al., CPT Pharmacometrics Syst Pharmacol 2019;8:285, doi 10.1002/psp4.12388. 90 children and
young adults with B-ALL, qPCR. Random effects are standard deviations of the log (Monolix); with n = 90 the
RSEs of Table 1 (7.9-9.5 %) exclude variances, whose smallest possible RSE would be 14.9 %.

    rho = ln(foldx)/tmax, R0 = cmax/foldx
    t < tmax:  f = R0 exp(rho t)
    t >= tmax: f = cmax [(1-fb) exp(-alpha (t-tmax)) + fb exp(-beta (t-tmax))]

Changed here: a course given as several infusions is the sum of f(t - t_j), each weighted by its share of the
course's cells; a new course adds a new curve. The comedication multipliers of rho (tocilizumab 1.2, steroid
1.0) are left out. Prior SDs: the typical values carry the paper's medians, widened to SD 0.5 on the log
scale because another product in another disease is a wider population than the paper's (a guess).
"""

import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {"copies": State("CAR transgene", "copies/ug DNA", site="blood")}

PARAMETERS = {
    "foldx": Parameter(3900.0, "1", LogNormal(3900.0, 1.0), sd=2.4, source="Stein 2019 Table 1"),
    "tmax": Parameter(9.3, "day", LogNormal(9.3, 0.5), sd=0.38, source="Stein 2019 Table 1"),
    "cmax": Parameter(24000.0, "copies/ug DNA", LogNormal(24000.0, 1.0), sd=0.65, source="Stein 2019 Table 1"),
    "alpha": Parameter(0.16, "1/day", LogNormal(0.16, 0.5), sd=0.91, source="Stein 2019 Table 1"),
    "fb": Parameter(0.0079, "1", LogitNormal(0.0079, 0.5), sd=0.80, source="Stein 2019 Table 1"),
    "beta": Parameter(0.0032, "1/day", LogNormal(0.0032, 0.5), sd=0.86, source="Stein 2019 Table 1"),
}

PRIOR_SETS = {
    "solid_tumour": {
        "cmax": Parameter(
            2000.0, "copies/ug DNA", LogNormal(2000.0, 1.3), sd=1.3, guess=True,
            source="a guess: expansion is slower in solid tumours (Liu C 2021, doi 10.1002/cpt.2040)",
        ),
    },
}


def solution(t, p, doses):
    """Copies/ug DNA at times t (record,), summed over the infusions (dose,); the rise and the contraction share an exponential."""
    tau = t[:, None] - doses.time
    after = tau - p["tmax"]
    rising = after < 0
    fast = jnp.exp(after * jnp.where(rising, jnp.log(p["foldx"]) / p["tmax"], -p["alpha"]))
    slow = jnp.exp(-p["beta"] * jnp.maximum(after, 0.0))
    curve = jnp.where(rising, fast, fast + p["fb"] * (slow - fast))
    return {"copies": p["cmax"] * jnp.sum(jnp.where(tau >= 0, doses.share * curve, 0.0), axis=1)}


OUTPUTS = {"copies": Output(lambda y, p: y["copies"], "copies/ug DNA", "CAR transgene in blood (qPCR)")}

DERIVED = {
    "doubling_time": Derived(lambda p: jnp.log(2) * p["tmax"] / jnp.log(p["foldx"]), "day", "doubling time"),
    "half_life_contraction": Derived(lambda p: jnp.log(2) / p["alpha"], "day", "half-life of contraction"),
    "half_life_persistence": Derived(lambda p: jnp.log(2) / p["beta"], "day", "half-life of persistence"),
}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED, prior_sets=PRIOR_SETS)
