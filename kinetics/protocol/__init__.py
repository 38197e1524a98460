"""A trial's protocol as data, which of its points are open, and the rule that it names.

- `grading_systems`: the scales of adverse events, each with its source.
- `response_criteria`: the criteria of a response: ordered categories, and what each counts as.
- `products_and_routes`: what may be the name of a product, a route and the clock of the DLT window.
- `level_regimens`: levels with a name, of one number or of several infusions.
- `statements`: a point: what a text says of it, and the value that settles it.
- `design_constants`: the rule that finds the dose, and its constants.
- `expansion_cohorts`: the cohorts of phase IB, and looks before their end.
- `tables`: the other tables of a protocol.toml, each checked by itself, and the whole.
- `infusion_plan`: the infusions that a protocol plans at a level.
- `assigned_levels`: the level that a cell of subjects.csv names.
- `arms`: the protocol of one arm, and the subjects in it.
- `points`: the points that a protocol must settle, and values that contradict each other.
- `extending`: a protocol that settles another one.
- `protocol`: find, read and lint a protocol.
- `dose_rule`: the dose rule of a protocol, and what that rule assumes.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "GRADING_SYSTEMS",
    "RESPONSE_CRITERIA",
    "Arms",
    "Assessments",
    "Censoring",
    "Design",
    "DltRule",
    "Dosing",
    "Endpoint",
    "Escalation",
    "Evaluability",
    "Expansion",
    "ExpansionCohort",
    "GradingSystem",
    "Infusions",
    "Interim",
    "InterimLook",
    "Level",
    "Lint",
    "Lymphodepletion",
    "MtdRule",
    "Point",
    "Protocol",
    "Repeat",
    "ResponseCriteria",
    "Resumed",
    "Size",
    "Statement",
    "StoppingClause",
    "TitrationRule",
    "Trigger",
    "assumed",
    "lint",
    "protocol_of_arm",
    "read_protocol",
    "rule_name",
    "rule_of",
    "stated",
]
