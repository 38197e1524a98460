from .dose_rule import RULES as RULES, assumed as assumed, rule_of as rule_of
from .protocol import (
    Lint as Lint,
    find_protocol as find_protocol,
    lint as lint,
    read_protocol as read_protocol,
    settled as settled,
)
from .tables import (
    Assessments as Assessments,
    Censoring as Censoring,
    DltRule as DltRule,
    Dosing as Dosing,
    Endpoint as Endpoint,
    Escalation as Escalation,
    Evaluability as Evaluability,
    Expansion as Expansion,
    ExpansionCohort as ExpansionCohort,
    Interim as Interim,
    MtdRule as MtdRule,
    Point as Point,
    Protocol as Protocol,
    Resumed as Resumed,
    Size as Size,
    Statement as Statement,
    StoppingClause as StoppingClause,
    TitrationRule as TitrationRule,
    Trigger as Trigger,
)
