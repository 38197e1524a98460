"""The documents of a submission: the plan under lock, the report of what was done, the tree of files.

analysis_plan: a map.toml: question, context of use, risk, models, technical criteria, decision rules.
plan_lock: the plan under lock, with a hash and a time; a later change is a numbered amendment.
plan_document: the plan as a page.
criteria: the outcome of every technical criterion in a run.
departures: where the runs depart from the locked plan.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "AnalysisPlan",
    "Change",
    "CriterionOutcome",
    "Deviation",
    "LockedVersion",
    "PlanLock",
    "PlannedModel",
    "changes_between",
    "criterion_outcomes",
    "deviations",
    "lock_file",
    "lock_plan",
    "plan_page",
    "read_analysis_plan",
    "read_lock",
]
