from .analysis_plan import (
    RISK as RISK,
    AnalysisPlan as AnalysisPlan,
    PlannedModel as PlannedModel,
    read_analysis_plan as read_analysis_plan,
)
from .criteria import CriterionOutcome as CriterionOutcome, criterion_outcomes as criterion_outcomes
from .departures import Deviation as Deviation, deviations as deviations
from .plan_lock import (
    Change as Change,
    LockedVersion as LockedVersion,
    PlanLock as PlanLock,
    changes_between as changes_between,
    lock_file as lock_file,
    lock_plan as lock_plan,
    read_lock as read_lock,
)
from .plan_document import plan_page as plan_page
