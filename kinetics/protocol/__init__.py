"""A trial's protocol as data, which of its points are open, and the rule that it names.

- `tables`: the tables of a protocol.toml, each checked by itself.
- `points`: the points that a protocol must settle, and values that contradict each other.
- `protocol`: find, read and lint a protocol.
- `dose_rule`: the dose rule of a protocol, and what that rule assumes.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "Assessments",
    "Censoring",
    "DltRule",
    "Dosing",
    "Endpoint",
    "Escalation",
    "Evaluability",
    "Expansion",
    "ExpansionCohort",
    "Interim",
    "Lint",
    "MtdRule",
    "Point",
    "Protocol",
    "Resumed",
    "Size",
    "Statement",
    "StoppingClause",
    "TitrationRule",
    "Trigger",
    "lint",
    "read_protocol",
    "rule_of",
]
