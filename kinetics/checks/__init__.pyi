from .calibration.calibration import (
    Calibration as Calibration,
    calibration_card as calibration_card,
    record_calibration as record_calibration,
)
from .calibration.ranks import WRONG as WRONG, Replicated as Replicated, sbc as sbc
from .calibration.uniformity import counts_below as counts_below
from .comparison import Comparison as Comparison, compare as compare
from .covariate_effects import RELEVANT as RELEVANT, Subgroups as Subgroups, subgroups as subgroups
from .event_survival import event_data as event_data, predicted_survival as predicted_survival
from .goodness_of_fit import GoodnessOfFit as GoodnessOfFit, gof as gof
from .grade_shares import bound_grades_of as bound_grades_of, predicted_grades as predicted_grades
from .leave_one_out import By as By, Loo as Loo, loo as loo
from .maximum_estimates import Estimates as Estimates, estimates as estimates
from .outcome_ratios import hazard_ratios as hazard_ratios, odds_ratios as odds_ratios
from .parameters import parameter_table as parameter_table
from .prior_sensitivity import (
    Sensitivity as Sensitivity,
    prior_posterior_overlap as prior_posterior_overlap,
    sensitivity as sensitivity,
)
from .replicated_statistics import predictive_check as predictive_check
from .verdict import Check as Check, check as check
from .visual_check import Vpc as Vpc, stratified_vpc as stratified_vpc, vpc as vpc
