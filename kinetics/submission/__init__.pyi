from .analysis_plan import (
    AnalysisPlan as AnalysisPlan,
    PlannedModel as PlannedModel,
    read_analysis_plan as read_analysis_plan,
)
from .criteria import (
    CriterionOutcome as CriterionOutcome,
    criterion_outcomes as criterion_outcomes,
    read_calibration as read_calibration,
)
from .departures import Deviation as Deviation, deviations as deviations
from .key_table import NCA_RULE_SETS as NCA_RULE_SETS
from .manifest import Verification as Verification, verify as verify
from .plan_document import plan_page as plan_page
from .plan_lock import (
    Change as Change,
    LockedVersion as LockedVersion,
    PlanLock as PlanLock,
    lock_file as lock_file,
    lock_plan as lock_plan,
    read_lock as read_lock,
)
from .report_against_plan import AnalysisReport as AnalysisReport, analysis_report as analysis_report
from .tlg import TLG as TLG, TlgInputs as TlgInputs, write_tlg as write_tlg
from .transport_file import (
    TransportTable as TransportTable,
    read_transport as read_transport,
    transport_bytes as transport_bytes,
)
from .tree import Submission as Submission, write_tree as write_tree
