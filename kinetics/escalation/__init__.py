"""Dose rules: from the cohorts treated so far to the next level, with the clause that says so. No jax.

What rules take and answer:
- `history`: cohorts, the counts of a level, decisions, the `Rule` protocol.
- `whole_cohorts`: a rule of cohorts asked between patients.
- `next_cohorts`: dose-transition tables and decision trees.
- `orders`: whether a rule's answer depends on the order of the patients.
- `backfill`: which lower levels may take more patients.

The rules, one per file:
- `three_plus_three`, `crmpack`: 3+3 in three codings, and crmPack's.
- `titration`, `published_simon_1997`, `published_md_anderson`: accelerated titration before a cohort rule.
- `boin`, `tite_boin`, `boin12`, `pkboin12`, `tite_pkboin12`: the Bayesian optimal interval designs.
- `i3_plus_3`, `mtpi2`, `keyboard`: rules of an interval around the target; `by_interval` is what they share.
- `crm`, `blrm`: model-based rules.
- `joint/`: the joint model of DLT and response, and the rule that decides by it.

What a rule does in the long run:
- `enumeration`: exact operating characteristics.
- `simulation`, `response_simulation`, `exposure_simulation`: by simulated trials.
- `calendar`: simulated trials in calendar time.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "Backfill",
    "Blrm",
    "Boin",
    "Boin12",
    "Branch",
    "Calendar",
    "CalendarTrial",
    "Cohort",
    "Crm",
    "CrmPackThreePlusThree",
    "Decision",
    "Exposure",
    "ExposureEvidence",
    "ExposureTrial",
    "ExposureTruth",
    "I3Plus3",
    "Joint",
    "JointDecision",
    "JointPosterior",
    "JointPrior",
    "Keyboard",
    "ModelExposures",
    "Mtpi2",
    "OpenLevel",
    "OperatingCharacteristics",
    "PkBoin12",
    "RawExposures",
    "ResponseCharacteristics",
    "Rule",
    "Seen",
    "ThreePlusThree",
    "TiteBoin",
    "TitePkBoin12",
    "Titration",
    "Utilities",
    "WholeCohorts",
    "asked_patient_by_patient",
    "calendar_trials",
    "cohorts_of",
    "decision_table",
    "exposure_trials",
    "indifference_skeleton",
    "joint_posterior",
    "korn_1994",
    "md_anderson",
    "operating_characteristics",
    "response_characteristics",
    "simon_1997",
    "simulated_characteristics",
    "storer_1989",
    "transition_table",
    "transitions",
]
