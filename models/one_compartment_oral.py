"""One compartment with first-order absorption, parameters ka, ke, cl: the theophylline model of the textbooks.

Pinheiro & Bates 2000, Mixed-Effects Models in S and S-PLUS (SSfol). 12 adults, oral theophylline
(Boeckmann, Sheiner & Beal 1994). The typical values are the maximum-likelihood fit of nlme to those data:
lKe -2.4547, lKa 0.4657, lCl -3.2272 per hour and kg, here per day; clearance is per kg of body weight, so a
plan gives `allometry` for cl (exponent 1, reference 1 kg). Prior SDs are wide on purpose (a guess).

    C = sum_j D_j ke ka/(cl (ka-ke)) (exp(-ke (t-t_j)) - exp(-ka (t-t_j)))
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {"concentration": State("drug", "mg/L", site="serum")}

PARAMETERS = {
    "ka": Parameter(38.23, "1/day", LogNormal(38.23, 1.0), sd=0.6436, source="24 exp(0.4657): nlme ML fit of Theoph"),
    "ke": Parameter(2.0615, "1/day", LogNormal(2.0615, 1.0), sd=None, source="24 exp(-2.4547): nlme ML fit of Theoph"),
    "cl": Parameter(0.9521, "L/day", LogNormal(0.9521, 1.0), sd=0.1669, source="24 exp(-3.2272) per kg: nlme ML fit of Theoph"),
}  # fmt: skip


def solution(t, p, doses):
    """mg/L at times t (record,), summed over the doses (dose,); a dose over a duration enters the depot evenly."""
    tau = jnp.maximum(t[:, None] - doses.time, 0.0)
    gap = p["ka"] - p["ke"]
    equal = jnp.abs(gap) < 1e-8
    gap = jnp.where(equal, 1e-8, gap)
    at_once = jnp.exp(-p["ke"] * tau) * -jnp.expm1(-gap * tau) / gap

    inside = jnp.minimum(tau, doses.duration)
    after = jnp.maximum(tau - doses.duration, 0.0)

    def over_the_duration(rate):
        return jnp.exp(-rate * after) * -jnp.expm1(-rate * inside) / rate

    infusion = doses.duration > 0
    evenly = (over_the_duration(p["ke"]) - over_the_duration(p["ke"] + gap)) / gap
    absorbed = jnp.where(infusion, evenly / jnp.where(infusion, doses.duration, 1.0), at_once)
    return {"concentration": jnp.sum(doses.amount * p["ke"] * p["ka"] / p["cl"] * absorbed, axis=1)}


OUTPUTS = {"concentration": Output(lambda y, p: y["concentration"], "mg/L", "concentration in serum")}

DERIVED = {"half_life": Derived(lambda p: jnp.log(2) / p["ke"], "day", "elimination half-life")}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED, dose_unit="mg", linear=True)
