"""CRP and IL-6 after CAR-T from one latent release, closed form: what the cells do where no cells were counted.

A description [D] for studies with daily CRP and IL-6 and no CAR+ counts. The release r(t) of an infusion rises and falls
exponentially about its peak; IL-6 and CRP are each lost at a constant rate and gained in proportion to it:

    r(t) = 2^((t-tpeak)/rise) from the infusion to tpeak, 2^(-(t-tpeak)/fall) then
    dIL6/dt = il6_loss (il6_baseline + il6_gain r - IL6),   dCRP/dt = crp_loss (crp_baseline + crp_gain r - CRP)

so that a gain is the level at which a release that stayed at its peak would end, over the baseline. Both are at baseline
until the infusion. CRP, made in the liver on the signal of IL-6, is not driven by IL-6 itself here: the two share the time
course of the release and may have correlated gains. Several infusions of a course add up by their share of its cells.

Pepys MB, Hirschfield GM, J Clin Invest 2003;111:1805 (CRP: half-life 19 h in all conditions, so that its production alone
sets its level). The loss of IL-6 is that of `cytokine_release`. Gains, baselines and times are guesses.
"""

import jax.numpy as jnp

from kinetics import LogNormal, Model, Output, Parameter, State

STATES = {
    "il6": State("IL-6", "pg/mL", site="serum"),
    "crp": State("CRP", "mg/L", site="serum"),
}

PARAMETERS = {
    "tpeak": Parameter(4.3, "day", LogNormal(4.3, 0.5), sd=0.5, source="a guess: CRS begins and peaks in the first week", guess=True),
    "rise": Parameter(0.8, "day", LogNormal(0.8, 0.5), sd=0.3, source="a guess: the doubling time of the cells", guess=True),
    "fall": Parameter(2.0, "day", LogNormal(2.0, 0.5), sd=0.5, source="a guess: CRS lasts for about a week", guess=True),
    "crp_baseline": Parameter(10.0, "mg/L", LogNormal(10.0, 1.0), sd=1.0, source="a guess: patients with lymphoma after lymphodepletion", guess=True),
    "crp_gain": Parameter(100.0, "mg/L", LogNormal(100.0, 1.0), sd=1.0, source="a guess: peaks of 20 to 300 mg/L", guess=True),
    "crp_loss": Parameter(0.876, "1/day", LogNormal(0.876, 0.1), held=True, source="Pepys & Hirschfield 2003: half-life 19 h"),
    "il6_baseline": Parameter(4.0, "pg/mL", LogNormal(4.0, 1.0), sd=0.7, source="a guess: between 1.7 pg/mL (Hardiansyah 2019 Figure 1b) and 7.9 pg/mL (Hornik 2019)", guess=True),
    "il6_gain": Parameter(100.0, "pg/mL", LogNormal(100.0, 1.5), sd=1.5, source="a guess: peaks of 10 to 1000 pg/mL", guess=True),
    "il6_loss": Parameter(3.96, "1/day", LogNormal(3.96, 0.3), held=True, source="Hardiansyah 2019 Table S1, as in `cytokine_release`; prior sd a guess"),
}  # fmt: skip


def solution(t, p, doses):
    """IL-6 [pg/mL] and CRP [mg/L] at times t (record,), summed over the infusions (dose,)."""
    tau = t[:, None] - doses.time
    grows = jnp.log(2) / p["rise"]
    falls = jnp.log(2) / p["fall"]
    before = jnp.clip(tau, 0.0, p["tpeak"])  # days of the rise so far
    after = jnp.maximum(tau - p["tpeak"], 0.0)  # days since the peak of the release

    def level(loss):
        """The level over the baseline of what a release of height 1 feeds and `loss` removes."""
        risen = jnp.exp(grows * (before - p["tpeak"])) - jnp.exp(-grows * p["tpeak"] - loss * before)
        at_peak = loss / (loss + grows) * risen
        x = (loss - falls) * after
        near = jnp.abs(x) < 1e-6
        mean = jnp.where(near, 1.0 - 0.5 * x, -jnp.expm1(-x) / jnp.where(near, 1.0, x))
        return at_peak * jnp.exp(-loss * after) + loss * after * jnp.exp(-falls * after) * mean

    def over_infusions(loss):
        return jnp.sum(jnp.where(tau >= 0, doses.share * level(loss), 0.0), axis=1)

    return {
        "il6": p["il6_baseline"] + p["il6_gain"] * over_infusions(p["il6_loss"]),
        "crp": p["crp_baseline"] + p["crp_gain"] * over_infusions(p["crp_loss"]),
    }


OUTPUTS = {
    "il6": Output(lambda y, p: y["il6"], "pg/mL", "IL-6"),
    "crp": Output(lambda y, p: y["crp"], "mg/L", "CRP"),
}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution)
