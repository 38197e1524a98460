"""Cellular kinetics of CAR-NK and CAR-T cells: a study in, a fitted model and its exposure out.

Importing this package turns on jax's 64-bit mode: a likelihood of LLOQ tails and eight-decade curves is not
safe in 32 bits.
"""

import jax as _jax

_jax.config.update("jax_enable_x64", True)

from kinetics.bind import bind  # noqa: E402
from kinetics.check import Check, check  # noqa: E402
from kinetics.distributions import HalfNormal, LogitNormal, LogNormal, Normal  # noqa: E402
from kinetics.errors import (  # noqa: E402
    CheckError,
    FitError,
    InputError,
    KineticsError,
    KineticsWarning,
    ModelError,
    PlanError,
    Problem,
    StudyError,
)
from kinetics.exposure import exposure, exposure_summary  # noqa: E402
from kinetics.fit import Fit, fit, load_fit  # noqa: E402
from kinetics.model import Balance, Derived, Model, Output, Parameter, State, library_models, load_model  # noqa: E402
from kinetics.nca import nca, nca_summary, to_pptestcd  # noqa: E402
from kinetics.nca_rules import NCARules  # noqa: E402
from kinetics.plan import FitPlan, read_plan  # noqa: E402
from kinetics.regimen import Regimen, doses_for  # noqa: E402
from kinetics.regimen_file import read_regimen  # noqa: E402
from kinetics.report import report  # noqa: E402
from kinetics.sbc import sbc  # noqa: E402
from kinetics.simulate import simulate  # noqa: E402
from kinetics.study import Study, read_study, validate_study  # noqa: E402
from kinetics.summary import parameter_table  # noqa: E402

__all__ = [
    "Balance",
    "Check",
    "CheckError",
    "Derived",
    "Fit",
    "FitError",
    "FitPlan",
    "HalfNormal",
    "InputError",
    "KineticsError",
    "KineticsWarning",
    "LogNormal",
    "LogitNormal",
    "Model",
    "ModelError",
    "NCARules",
    "Normal",
    "Output",
    "Parameter",
    "PlanError",
    "Problem",
    "Regimen",
    "State",
    "Study",
    "StudyError",
    "bind",
    "check",
    "doses_for",
    "exposure",
    "exposure_summary",
    "fit",
    "library_models",
    "load_fit",
    "load_model",
    "nca",
    "nca_summary",
    "parameter_table",
    "read_plan",
    "read_regimen",
    "read_study",
    "report",
    "sbc",
    "simulate",
    "to_pptestcd",
    "validate_study",
]
