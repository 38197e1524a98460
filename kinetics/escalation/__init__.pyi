from .backfill import Backfill as Backfill, OpenLevel as OpenLevel
from .blrm import Blrm as Blrm
from .boin import Boin as Boin, lambdas as lambdas
from .boin12 import Boin12 as Boin12, Utilities as Utilities
from .by_interval import HALF_WIDTH as HALF_WIDTH, decision_table as decision_table
from .calendar import Calendar as Calendar, CalendarTrial as CalendarTrial, calendar_trials as calendar_trials
from .crm import TOXIC as TOXIC, Crm as Crm, indifference_skeleton as indifference_skeleton
from .crmpack import CrmPackThreePlusThree as CrmPackThreePlusThree
from .enumeration import (
    OperatingCharacteristics as OperatingCharacteristics,
    operating_characteristics as operating_characteristics,
)
from .exposure_simulation import (
    ExposureTrial as ExposureTrial,
    ExposureTruth as ExposureTruth,
    exposure_trials as exposure_trials,
)
from .history import Cohort as Cohort, Decision as Decision, Rule as Rule
from .i3_plus_3 import I3Plus3 as I3Plus3
from .joint.patients import (
    Exposure as Exposure,
    Seen as Seen,
    patients_of_cohorts as patients_of_cohorts,
)
from .joint.posterior import (
    NEAR as NEAR,
    JointPosterior as JointPosterior,
    joint_posterior as joint_posterior,
)
from .joint.prior import JointPrior as JointPrior
from .joint.rule import Joint as Joint, JointDecision as JointDecision
from .keyboard import Keyboard as Keyboard
from .mtpi2 import Mtpi2 as Mtpi2
from .next_cohorts import Branch as Branch, transition_table as transition_table, transitions as transitions
from .orders import answers_of_orders as answers_of_orders, order_matters as order_matters
from .pkboin12 import (
    EXPOSURE_CLAUSE as EXPOSURE_CLAUSE,
    ExposureEvidence as ExposureEvidence,
    ModelExposures as ModelExposures,
    PkBoin12 as PkBoin12,
    RawExposures as RawExposures,
)
from .published_md_anderson import md_anderson as md_anderson
from .published_simon_1997 import simon_1997 as simon_1997
from .response_simulation import (
    ResponseCharacteristics as ResponseCharacteristics,
    response_characteristics as response_characteristics,
)
from .simulation import simulated_characteristics as simulated_characteristics
from .three_plus_three import (
    ThreePlusThree as ThreePlusThree,
    korn_1994 as korn_1994,
    storer_1989 as storer_1989,
)
from .tite_boin import TiteBoin as TiteBoin
from .tite_pkboin12 import TitePkBoin12 as TitePkBoin12
from .titration import Titration as Titration
from .whole_cohorts import (
    WholeCohorts as WholeCohorts,
    asked_patient_by_patient as asked_patient_by_patient,
    cohorts_of as cohorts_of,
)
