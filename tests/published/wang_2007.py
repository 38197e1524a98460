"""The one-parameter decay of Wang Y, J Pharmacokinet Pharmacodyn 2007;34:575 (Table 1: 10 subjects, 20
numbers).

y = 10 exp(-k t), k_i = 0.5 exp(eta_i), Var(eta) = 0.04; proportional or additive error of variance 0.1.
Values fixed as in the paper. Time is in days here as everywhere; the paper's unit does not matter.
"""

import jax.numpy as jnp

from kinetics.model.model import Model, Output, Parameter, State
from kinetics.model.priors import LogNormal

STATES = {"concentration": State("drug", "mg/L", site="plasma")}

PARAMETERS = {"k": Parameter(0.5, "1/day", LogNormal(0.5, 1.0), sd=0.2, source="Wang 2007 (variance 0.04)")}


def solution(t, p, doses):
    """mg/L at times t (record,)."""
    return {"concentration": 10.0 * jnp.exp(-p["k"] * t)}


OUTPUTS = {"concentration": Output(lambda y, p: y["concentration"], "mg/L", "concentration")}

MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, dose_unit="mg")
