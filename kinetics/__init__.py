"""Cellular kinetics of CAR-NK and CAR-T cells: a study in, a fitted model and its exposure out.

The names below load when they are first used. jax runs in its 64-bit mode, because a likelihood with LLOQ
tails and curves over eight decades is not safe in 32 bits.
"""

import importlib
import os
import sys
from typing import Any

import lazy_loader

if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
else:
    os.environ["JAX_ENABLE_X64"] = "true"  # read when jax is imported

_load, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Load a name of the root; an AttributeError says in which sub-package a name is that is not here."""
    if name in __all__ or name.startswith("_"):
        return _load(name)
    homes = [layer for layer in _LAYERS if name in importlib.import_module(f"{__name__}.{layer}").__all__]
    if homes:
        raise AttributeError(f"kinetics has no {name!r} at its root: it is kinetics.{homes[0]}.{name}")
    return _load(name)


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

_LAYERS = __all__[__all__.index("errors") :]
