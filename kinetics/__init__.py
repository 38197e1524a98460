"""Cellular kinetics of CAR-NK and CAR-T cells: a study in, a fitted model and its exposure out.

Importing this package turns on jax's 64-bit mode: a likelihood of LLOQ tails and eight-decade curves is not
safe in 32 bits.
"""

import jax as _jax

_jax.config.update("jax_enable_x64", True)

from kinetics.bind import bind  # noqa: E402
from kinetics.biodistribution import (  # noqa: E402
    biodistribution,
    biodistribution_summary,
    site_curves,
    site_shares,
)
from kinetics.check import Check, check  # noqa: E402
from kinetics.compare import Comparison, compare  # noqa: E402
from kinetics.compose import compose, prefixed  # noqa: E402
from kinetics.decision_models import Target  # noqa: E402
from kinetics.distributions import HalfNormal, LogitNormal, LogNormal, Normal  # noqa: E402
from kinetics.dose_exposure import Exposures, exposures_as_dosed, exposures_at_levels  # noqa: E402
from kinetics.dose_proportionality import (  # noqa: E402
    exposures_by_power_model,
    exposures_from_samples,
    proportionality_table,
)
from kinetics.errors import (  # noqa: E402
    BatchError,
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
from kinetics.estimates import Estimates, estimates  # noqa: E402
from kinetics.exnex import Exnex, ExnexPrior, exnex, exnex_prior  # noqa: E402
from kinetics.expansion import CohortRates, ExpansionDesign, design_of, expansion  # noqa: E402
from kinetics.expansion_characteristics import ExpansionCharacteristics, expansion_characteristics  # noqa: E402
from kinetics.exposure import exposure, exposure_summary  # noqa: E402
from kinetics.exposure_response import ExposureResponse, Slope, exposure_response  # noqa: E402
from kinetics.fit import Fit, fit, load_fit, resume  # noqa: E402
from kinetics.formats import Exported, export, write_study  # noqa: E402
from kinetics.gof import GoodnessOfFit, gof  # noqa: E402
from kinetics.kaplan_meier import KaplanMeier, kaplan_meier  # noqa: E402
from kinetics.laws import check_laws  # noqa: E402
from kinetics.loo import Loo, loo  # noqa: E402
from kinetics.model import Balance, Derived, Model, Output, Parameter, State, library_models, load_model  # noqa: E402
from kinetics.nca import nca, nca_summary, to_pptestcd  # noqa: E402
from kinetics.nca_rules import NCARules  # noqa: E402
from kinetics.next_dose import NextDose, next_dose  # noqa: E402
from kinetics.outcomes import subject_outcomes  # noqa: E402
from kinetics.plan import FitPlan, read_plan  # noqa: E402
from kinetics.predictive_check import predictive_check  # noqa: E402
from kinetics.protocol import Lint, Protocol, lint, read_protocol, rule_of  # noqa: E402
from kinetics.recommend import Recommendation, recommend  # noqa: E402
from kinetics.regimen import Regimen, doses_for  # noqa: E402
from kinetics.regimen_file import read_regimen  # noqa: E402
from kinetics.report import report  # noqa: E402
from kinetics.report_recommendation import recommendation_page  # noqa: E402
from kinetics.sampling_design import Added, design_information, most_informative  # noqa: E402
from kinetics.sbc import sbc  # noqa: E402
from kinetics.sensitivity import Sensitivity, prior_posterior_overlap, sensitivity  # noqa: E402
from kinetics.simulate import simulate  # noqa: E402
from kinetics.study import Study, read_study, validate_study  # noqa: E402
from kinetics.subgroups import Subgroups, subgroups  # noqa: E402
from kinetics.summary import parameter_table  # noqa: E402
from kinetics.time_to_event import survival_times  # noqa: E402
from kinetics.tornado import Tornado, tornado  # noqa: E402
from kinetics.vpc import Vpc, stratified_vpc, vpc  # noqa: E402

__all__ = [
    "Added",
    "Balance",
    "BatchError",
    "Check",
    "CheckError",
    "CohortRates",
    "Comparison",
    "Derived",
    "Estimates",
    "Exnex",
    "ExnexPrior",
    "ExpansionCharacteristics",
    "ExpansionDesign",
    "Exported",
    "ExposureResponse",
    "Exposures",
    "Fit",
    "FitError",
    "FitPlan",
    "GoodnessOfFit",
    "HalfNormal",
    "InputError",
    "KaplanMeier",
    "KineticsError",
    "KineticsWarning",
    "Lint",
    "LogNormal",
    "LogitNormal",
    "Loo",
    "Model",
    "ModelError",
    "NCARules",
    "NextDose",
    "Normal",
    "Output",
    "Parameter",
    "PlanError",
    "Problem",
    "Protocol",
    "Recommendation",
    "Regimen",
    "Sensitivity",
    "Slope",
    "State",
    "Study",
    "StudyError",
    "Subgroups",
    "Target",
    "Tornado",
    "Vpc",
    "bind",
    "biodistribution",
    "biodistribution_summary",
    "check",
    "check_laws",
    "compare",
    "compose",
    "design_information",
    "design_of",
    "doses_for",
    "estimates",
    "exnex",
    "exnex_prior",
    "expansion",
    "expansion_characteristics",
    "export",
    "exposure",
    "exposure_response",
    "exposure_summary",
    "exposures_as_dosed",
    "exposures_at_levels",
    "exposures_by_power_model",
    "exposures_from_samples",
    "fit",
    "gof",
    "kaplan_meier",
    "library_models",
    "lint",
    "load_fit",
    "load_model",
    "loo",
    "most_informative",
    "nca",
    "nca_summary",
    "next_dose",
    "parameter_table",
    "predictive_check",
    "prefixed",
    "prior_posterior_overlap",
    "proportionality_table",
    "read_plan",
    "read_protocol",
    "read_regimen",
    "read_study",
    "recommend",
    "recommendation_page",
    "report",
    "resume",
    "rule_of",
    "sbc",
    "sensitivity",
    "simulate",
    "site_curves",
    "site_shares",
    "stratified_vpc",
    "subgroups",
    "subject_outcomes",
    "survival_times",
    "to_pptestcd",
    "tornado",
    "validate_study",
    "vpc",
    "write_study",
]
