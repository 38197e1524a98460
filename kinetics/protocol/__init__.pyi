from .arms import arm_members as arm_members, protocol_of_arm as protocol_of_arm
from .assigned_levels import level_of as level_of, level_words as level_words
from .design_constants import Design as Design
from .dose_rule import (
    BOIN12 as BOIN12,
    CODINGS as CODINGS,
    RULES as RULES,
    assumed as assumed,
    rule_name as rule_name,
    rule_of as rule_of,
    stated as stated,
)
from .expansion_cohorts import (
    Expansion as Expansion,
    ExpansionCohort as ExpansionCohort,
    InterimLook as InterimLook,
)
from .extending import protocol_files as protocol_files
from .grading_systems import (
    GRADING_SYSTEMS as GRADING_SYSTEMS,
    GradingSystem as GradingSystem,
)
from .infusion_plan import (
    is_regimen as is_regimen,
    needed_infusions as needed_infusions,
    planned_infusions as planned_infusions,
)
from .level_regimens import Infusions as Infusions, Level as Level, Repeat as Repeat
from .products_and_routes import (
    ANY_INFUSION as ANY_INFUSION,
    LYMPHODEPLETION as LYMPHODEPLETION,
    clock_of as clock_of,
)
from .protocol import (
    Lint as Lint,
    find_protocol as find_protocol,
    lint as lint,
    read_protocol as read_protocol,
    settled as settled,
)
from .response_criteria import (
    RESPONSE_CRITERIA as RESPONSE_CRITERIA,
    CriteriaName as CriteriaName,
    ResponseCriteria as ResponseCriteria,
    criteria_of as criteria_of,
)
from .statements import Point as Point, Statement as Statement
from .tables import (
    Arms as Arms,
    Assessments as Assessments,
    Censoring as Censoring,
    DltRule as DltRule,
    Dosing as Dosing,
    Endpoint as Endpoint,
    Escalation as Escalation,
    Evaluability as Evaluability,
    Interim as Interim,
    Lymphodepletion as Lymphodepletion,
    MtdRule as MtdRule,
    Protocol as Protocol,
    Resumed as Resumed,
    Size as Size,
    StoppingClause as StoppingClause,
    TitrationRule as TitrationRule,
    Trigger as Trigger,
)
