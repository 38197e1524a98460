"""Dose rules: from the cohorts treated so far to the next level, with the clause that says so. No jax.

One rule a file. Each has `decide(history)`; `operating_characteristics` tells exactly what a rule does in the long
run, `transition_table` what it would say after the next cohorts.
"""

from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin
from kinetics.escalation.crm import Crm
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.enumeration import OperatingCharacteristics, operating_characteristics
from kinetics.escalation.history import Cohort, Decision, Rule
from kinetics.escalation.md_anderson import md_anderson
from kinetics.escalation.simon_1997 import simon_1997
from kinetics.escalation.simulation import simulated_characteristics
from kinetics.escalation.three_plus_three import ThreePlusThree, korn_1994, storer_1989
from kinetics.escalation.titration import Titration
from kinetics.escalation.transitions import transition_table

__all__ = [
    "Blrm",
    "Boin",
    "Cohort",
    "Crm",
    "CrmPackThreePlusThree",
    "Decision",
    "OperatingCharacteristics",
    "Rule",
    "ThreePlusThree",
    "Titration",
    "korn_1994",
    "md_anderson",
    "operating_characteristics",
    "simon_1997",
    "simulated_characteristics",
    "storer_1989",
    "transition_table",
]
