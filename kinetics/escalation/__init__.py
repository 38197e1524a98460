"""Dose rules: from the cohorts treated so far to the next level, with the clause that says so. No jax.

One rule a file. Each has `decide(history)`; `operating_characteristics` tells exactly what a rule does in the long
run, `response_characteristics` by simulation where it looks at responses, `transition_table` what it would say after
the next cohorts.
"""

from kinetics.escalation.backfill import Backfill, OpenLevel
from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12, Utilities
from kinetics.escalation.calendar import Calendar, CalendarTrial, calendar_trials
from kinetics.escalation.crm import Crm, indifference_skeleton
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.enumeration import OperatingCharacteristics, operating_characteristics
from kinetics.escalation.exposure_simulation import ExposureTrial, ExposureTruth, exposure_trials
from kinetics.escalation.history import Cohort, Decision, Rule
from kinetics.escalation.md_anderson import md_anderson
from kinetics.escalation.pkboin12 import Exposures, ModelExposures, PkBoin12, RawExposures
from kinetics.escalation.response_simulation import ResponseCharacteristics, response_characteristics
from kinetics.escalation.simon_1997 import simon_1997
from kinetics.escalation.simulation import simulated_characteristics
from kinetics.escalation.three_plus_three import ThreePlusThree, korn_1994, storer_1989
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.titration import Titration
from kinetics.escalation.transitions import Branch, transition_table, transitions
from kinetics.escalation.whole_cohorts import WholeCohorts, asked_patient_by_patient, cohorts_of

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
    "ExposureTrial",
    "ExposureTruth",
    "Exposures",
    "ModelExposures",
    "OpenLevel",
    "OperatingCharacteristics",
    "PkBoin12",
    "RawExposures",
    "ResponseCharacteristics",
    "Rule",
    "ThreePlusThree",
    "TiteBoin",
    "Titration",
    "Utilities",
    "WholeCohorts",
    "asked_patient_by_patient",
    "calendar_trials",
    "cohorts_of",
    "exposure_trials",
    "indifference_skeleton",
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
