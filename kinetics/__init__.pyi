from . import (
    assay as assay,
    batch as batch,
    checks as checks,
    decision as decision,
    errors as errors,
    escalation as escalation,
    explore as explore,
    exposures as exposures,
    formats as formats,
    inference as inference,
    lab_sheet as lab_sheet,
    model as model,
    outcomes as outcomes,
    pages as pages,
    plan as plan,
    plot as plot,
    population as population,
    prediction as prediction,
    protocol as protocol,
    regimen as regimen,
    sbml as sbml,
    solve as solve,
    study as study,
    submission as submission,
)
from .checks import (
    Check as Check,
    check as check,
    compare as compare,
    loo as loo,
    parameter_table as parameter_table,
    vpc as vpc,
)
from .decision import next_dose as next_dose, recommend as recommend
from .errors import KineticsError as KineticsError, KineticsWarning as KineticsWarning, Problem as Problem
from .exposures import (
    NCARules as NCARules,
    biodistribution as biodistribution,
    exposure as exposure,
    nca as nca,
    tornado as tornado,
)
from .formats import export as export
from .inference import Fit as Fit, fit as fit, load_fit as load_fit, resume as resume
from .lab_sheet import import_study as import_study
from .model import (
    Balance as Balance,
    Derived as Derived,
    HalfNormal as HalfNormal,
    LogitNormal as LogitNormal,
    LogNormal as LogNormal,
    Model as Model,
    Normal as Normal,
    Output as Output,
    Parameter as Parameter,
    State as State,
    compose as compose,
    load_model as load_model,
    prefixed as prefixed,
)
from .pages import report as report
from .plan import FitPlan as FitPlan, read_plan as read_plan
from .prediction import simulate as simulate
from .protocol import Protocol as Protocol, lint as lint, read_protocol as read_protocol
from .regimen import Regimen as Regimen, read_regimen as read_regimen
from .study import Study as Study, read_study as read_study, validate_study as validate_study

__version__: str
