"""Cellular kinetics of CAR-NK and CAR-T cells: a study in, a fitted model and its exposure out.

The names below load when they are first used. jax runs in its 64-bit mode, because a likelihood with LLOQ
tails and curves over eight decades is not safe in 32 bits.
"""

import os
import sys

from kinetics.faces import attach

if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
else:
    os.environ["JAX_ENABLE_X64"] = "true"  # read when jax is imported

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    # errors
    "KineticsError",
    "KineticsWarning",
    "Problem",
    # study
    "Study",
    "read_study",
    "validate_study",
    # regimen
    "Regimen",
    "read_regimen",
    # model
    "Balance",
    "Derived",
    "HalfNormal",
    "LogNormal",
    "LogitNormal",
    "Model",
    "Normal",
    "Output",
    "Parameter",
    "State",
    "compose",
    "prefixed",
    "load_model",
    # plan
    "FitPlan",
    "read_plan",
    # inference
    "Fit",
    "fit",
    "load_fit",
    "resume",
    # prediction
    "simulate",
    # checks
    "Check",
    "check",
    "compare",
    "loo",
    "parameter_table",
    "vpc",
    # exposures
    "NCARules",
    "exposure",
    "nca",
    "biodistribution",
    "tornado",
    # protocol
    "Protocol",
    "lint",
    "read_protocol",
    # decision
    "next_dose",
    "recommend",
    # formats
    "export",
    # pages
    "report",
    # the sub-packages, in the order in which data flows
    "errors",
    "study",
    "regimen",
    "model",
    "solve",
    "assay",
    "population",
    "plan",
    "inference",
    "prediction",
    "checks",
    "exposures",
    "escalation",
    "protocol",
    "outcomes",
    "decision",
    "formats",
    "plot",
    "pages",
    "explore",
    "batch",
]
