"""Whether the numbers of a fit may be used, and which of several fits to prefer.

- `verdict`: `check`, every check of a fit with its threshold and what to try.
- `parameters`: the parameter table and its diagnostics.
- `maximum_estimates`: estimates and standard errors of a fit by `laplace` or `map`.
- `goodness_of_fit`: predictions and residuals record by record (iwres, npde).
- `visual_check`: visual predictive checks (VPC), also by covariate and prediction-corrected.
- `replicated_statistics`: statistics of the study beside those of replicated studies.
- `log_likelihoods`: log-likelihoods of records and of subjects, which the next three use.
- `leave_one_out`: how well a fit predicts a record or a subject that it has not seen.
- `comparison`: which of several fits predicts best.
- `prior_sensitivity`: how far the prior moves each number.
- `event_survival`: predicted survival, and the times to events beside it.
- `grade_shares`: predicted and seen shares of grades by day.
- `outcome_ratios`: hazard ratios of events and odds ratios of grades.
- `covariate_effects`: what covariate effects show, and what they cannot show.
- `calibration`: whether a fit recovers known truths (SBC).
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "Check",
    "Comparison",
    "Estimates",
    "GoodnessOfFit",
    "Loo",
    "Sensitivity",
    "Subgroups",
    "Vpc",
    "check",
    "compare",
    "estimates",
    "gof",
    "hazard_ratios",
    "loo",
    "odds_ratios",
    "parameter_table",
    "predicted_grades",
    "predicted_survival",
    "predictive_check",
    "prior_posterior_overlap",
    "sbc",
    "sensitivity",
    "stratified_vpc",
    "subgroups",
    "vpc",
]
