"""One compartment, intravenous bolus or zero-order infusion: phenobarbital in neonates and its like.

Grasela & Donn, Dev Pharmacol Ther 1985;8:374. 59 neonates. Typical values: NONMEM's FOCE-I answer for those
data, clearance 4.69555e-3 L/h/kg and volume 0.984258 L/kg, here per day; both are per kg of body weight, so a
plan gives `allometry` for cl and v (exponent 1, reference 1 kg). Prior SDs are wide on purpose (a guess).

    C = sum_j D_j/v exp(-k tau) for a bolus; for an infusion of duration T, the same averaged over T
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {"concentration": State("drug", "mg/L", site="plasma")}

PARAMETERS = {
    "cl": Parameter(0.112693, "L/day", LogNormal(0.112693, 1.0), sd=0.17132, source="24 x 4.69555e-3: NONMEM pheno_real; sd sqrt(2.93508e-2)"),
    "v": Parameter(0.984258, "L", LogNormal(0.984258, 1.0), sd=0.16705, source="NONMEM pheno_real; sd sqrt(2.79060e-2)"),
}  # fmt: skip


def solution(t, p, doses):
    """mg/L at times t (record,), summed over the doses (dose,)."""
    tau = t[:, None] - doses.time
    k = p["cl"] / p["v"]
    inside = jnp.clip(tau, 0.0, doses.duration)
    after = jnp.maximum(tau - doses.duration, 0.0)
    infusion = doses.duration > 0
    duration = jnp.where(infusion, doses.duration, 1.0)
    entered = jnp.where(infusion, -jnp.expm1(-k * inside) / (k * duration), 1.0)
    return {
        "concentration": jnp.sum(
            jnp.where(tau >= 0, doses.amount / p["v"] * entered * jnp.exp(-k * after), 0.0), axis=1
        )
    }


OUTPUTS = {"concentration": Output(lambda y, p: y["concentration"], "mg/L", "concentration in plasma")}

DERIVED = {"half_life": Derived(lambda p: jnp.log(2) * p["v"] / p["cl"], "day", "elimination half-life")}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED, dose_unit="mg", linear=True)
