"""Lag, four transit compartments, then fast and slow decline, closed form (ciltacabtagene autoleucel).

Structure: Wu LS et al., Clin Transl Sci 2022;15:3000, doi 10.1111/cts.13421 (adults with multiple myeloma,
qPCR). Its parameter values were not available; the typical values here are calibrated to the NCA means of
CARTITUDE-1 (97 patients: Cmax 48,692, AUC0-28d 504,496 copies/ug x day, half-life 23.5 d), and the
between-subject SDs are guesses except that of `input` (geometric SD of Cmax in the same table).

A unit input enters the first of four transit compartments after the lag; each empties at ktr; the outflow of
the fourth, f1 to A1 and 1-f1 to A2, which decline at k1 and k2. y = input (A1 + A2). With tau = t - t_j - tlag

    A(k) = e^(-k tau) (ktr tau)^4 g((ktr-k) tau),  g(z) = [1 - e^-z (1 + z + z^2/2 + z^3/6)]/z^4

Changed here: a course given as several infusions is the sum of the curves, each weighted by its share of the
course's cells; a new course adds a new curve.
"""

import jax.numpy as jnp

from kinetics import Derived, LogitNormal, LogNormal, Model, Output, Parameter, State

STATES = {"copies": State("CAR transgene", "copies/ug DNA", site="blood")}

PARAMETERS = {
    "tlag": Parameter(5.0, "day", LogNormal(5.0, 0.4), sd=0.3, source="calibrated to CARTITUDE-1 NCA means; sd a guess", guess=True),
    "ktr": Parameter(0.798, "1/day", LogNormal(0.798, 0.4), sd=0.3, source="calibrated to CARTITUDE-1 NCA means; sd a guess", guess=True),
    "k1": Parameter(0.58, "1/day", LogNormal(0.58, 0.5), sd=0.5, source="calibrated to CARTITUDE-1 NCA means; sd a guess", guess=True),
    "k2": Parameter(0.029496, "1/day", LogNormal(0.029496, 0.5), sd=0.5, source="ln2/23.5 d: half-life of CARTITUDE-1 (jnjmedicalconnect); sd a guess"),
    "f1": Parameter(0.858, "1", LogitNormal(0.858, 0.5), sd=0.5, source="calibrated to CARTITUDE-1 NCA means; sd a guess", guess=True),
    "input": Parameter(156910.0, "copies/ug DNA", LogNormal(156910.0, 1.0), sd=0.521, source="calibrated; sd = omega of CARTITUDE-1 Cmax", guess=True),
}  # fmt: skip

PRIOR_SETS = {
    "solid_tumour": {
        "input": Parameter(
            13000.0, "copies/ug DNA", LogNormal(13000.0, 1.3), sd=1.3, guess=True,
            source="a guess: one twelfth, as Cmax 24,000 to 2,000 in the Stein form",
        ),
    },
}  # fmt: skip


def remainder(z):
    """g(z) above; its series about 0 where the closed form would cancel."""
    small = jnp.abs(z) < 0.5
    x = jnp.where(small, 1.0, z)
    closed = (1 - jnp.exp(-x) * (1 + x + x**2 / 2 + x**3 / 6)) / x**4
    s = jnp.where(small, z, 0.0)
    series = 1 + s / 12
    for n in range(11, 4, -1):  # e^-z sum z^j/(j+4)!
        series = 1 + s / n * series
    return jnp.where(small, jnp.exp(-s) * series / 24, closed)


def solution(t, p, doses):
    """Copies/ug DNA at times t (record,), summed over the infusions (dose,)."""
    tau = jnp.maximum(t[:, None] - doses.time - p["tlag"], 0.0)
    passed = (p["ktr"] * tau) ** 4

    def compartment(k):
        slow = jnp.minimum(k, p["ktr"])  # the factor e^(-slow tau) is common; no overflow whichever is faster
        z = jnp.abs(p["ktr"] - k) * tau
        faster_exit = (p["ktr"] < k) * 1.0
        return jnp.exp(-slow * tau) * passed * jnp.where(faster_exit > 0, reflected(z), remainder(z))

    y = p["f1"] * compartment(p["k1"]) + (1 - p["f1"]) * compartment(p["k2"])
    return {"copies": p["input"] * jnp.sum(doses.share * y, axis=1)}


def reflected(z):
    """e^-z g(-z) for z >= 0, where ktr < k."""
    small = z < 0.5
    x = jnp.where(small, 1.0, z)
    closed = (jnp.exp(-x) - (1 - x + x**2 / 2 - x**3 / 6)) / x**4
    s = jnp.where(small, z, 0.0)
    return jnp.where(small, jnp.exp(-s) * remainder(-s), closed)


OUTPUTS = {"copies": Output(lambda y, p: y["copies"], "copies/ug DNA", "CAR transgene in blood (qPCR)")}

DERIVED = {
    "half_life_contraction": Derived(lambda p: jnp.log(2) / p["k1"], "day", "half-life of contraction"),
    "half_life_persistence": Derived(lambda p: jnp.log(2) / p["k2"], "day", "half-life of persistence"),
}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED, prior_sets=PRIOR_SETS)
