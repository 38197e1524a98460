"""Bi-exponential decline from the start of treatment: viral load under therapy, or any fall in two phases.

Wu H & Ding AA, Biometrics 1999;55:410 (ACTG 315, HIV RNA by PCR). Typical values are rounded from that paper's
setting by eye and serve as prior medians only (a guess). The start of treatment is the (only) dose record;
its amount has no meaning.

    y = p1 exp(-lambda1 t) + p2 exp(-lambda2 t)
"""

import jax.numpy as jnp

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {"virus": State("HIV RNA", "copies/mL", site="plasma")}

PARAMETERS = {
    "p1": Parameter(1e5, "copies/mL", LogNormal(1e5, 1.5), sd=1.0, source="a guess", guess=True),
    "lambda1": Parameter(0.4, "1/day", LogNormal(0.4, 0.7), sd=0.3, source="a guess", guess=True),
    "p2": Parameter(1e3, "copies/mL", LogNormal(1e3, 1.5), sd=1.0, source="a guess", guess=True),
    "lambda2": Parameter(0.04, "1/day", LogNormal(0.04, 0.7), sd=0.3, source="a guess", guess=True),
}


def solution(t, p, doses):
    """Copies/mL at times t (record,), from the first dose record on."""
    tau = t - doses.time[0]
    y = p["p1"] * jnp.exp(-p["lambda1"] * tau) + p["p2"] * jnp.exp(-p["lambda2"] * tau)
    return {"virus": jnp.where(tau >= 0, y, 0.0)}


OUTPUTS = {"virus": Output(lambda y, p: y["virus"], "copies/mL", "HIV RNA in plasma")}

DERIVED = {
    "half_life_fast": Derived(lambda p: jnp.log(2) / p["lambda1"], "day", "half-life of the first phase"),
    "half_life_slow": Derived(lambda p: jnp.log(2) / p["lambda2"], "day", "half-life of the second phase"),
}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, derived=DERIVED)
