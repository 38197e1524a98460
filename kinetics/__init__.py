"""Cellular kinetics of CAR-NK and CAR-T cells: a study in, a fitted model and its exposure out.

to read      import_study, read_study, validate_study, load_model, read_regimen, read_plan, read_protocol
to fit       fit, resume, load_fit
to check     check, parameter_table, vpc, loo, compare
to measure   nca, exposure, biodistribution, tornado, simulate
to decide    lint, next_dose, recommend
to hand on   report, export

`help(kn.fit)` explains one of them, and `dir(kn)` lists all names and the packages with the rest (`kn.plot`,
`kn.outcomes`). Names load when they are first used. jax runs in its 64-bit mode, because a likelihood with
LLOQ tails and curves over eight decades is not safe in 32 bits.
"""

import os
import sys
from typing import Any

from kinetics.faces import attach

if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
else:
    os.environ["JAX_ENABLE_X64"] = "true"  # read when jax is imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's alarm of a slow compile; errors still raise

_load_name, __dir__ = attach(__name__, __file__)


def __getattr__(name: str) -> Any:
    """A name of the package, loaded when it is first used, and the installed version as `__version__`."""
    if name == "__version__":
        from importlib.metadata import version

        return version("cellkinetics")
    return _load_name(name)


__all__ = [
    # errors
    "KineticsError",
    "KineticsWarning",
    "Problem",
    # study
    "Study",
    "read_study",
    "validate_study",
    # lab_sheet
    "import_study",
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
    "lab_sheet",
    "regimen",
    "model",
    "sbml",
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
    "submission",
    "explore",
    "batch",
]
