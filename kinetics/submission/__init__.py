"""The documents of a submission: the plan under lock, the report of what was done, the tree of files.

analysis_plan: a map.toml: question, context of use, risk, models, technical criteria, decision rules.
plan_lock: the plan under lock, with a hash and a time; a later change is a numbered amendment.
plan_document: the plan as a page.
criteria: the outcome of every technical criterion in a run.
report_against_plan: the report of a run against its plan: HTML, DOCX and PDF.
word_document: its sections as DOCX.
tlg: tables, listings and graphs of an NCA under the codes of the TLG catalogue: CSV, RTF and DOCX.
rich_text: sections as RTF.
transport_file: SAS transport files, version 5, read back before they are kept.
datasets: the data sets of a submission, and which records the fit used.
key_table: the key numbers, and their recomputation from the data sets alone.
manifest: the hash of every file, and whether a tree still fits it.
tree: the m5 tree of files.
departures: where the runs depart from the locked plan.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "AnalysisPlan",
    "AnalysisReport",
    "Change",
    "CriterionOutcome",
    "Deviation",
    "LockedVersion",
    "PlanLock",
    "PlannedModel",
    "Submission",
    "TlgInputs",
    "TransportTable",
    "Verification",
    "analysis_report",
    "criterion_outcomes",
    "deviations",
    "lock_file",
    "lock_plan",
    "plan_page",
    "read_analysis_plan",
    "read_lock",
    "read_transport",
    "transport_bytes",
    "verify",
    "write_tlg",
    "write_tree",
]
