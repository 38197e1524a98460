"""The dose that follows: exposures by level, exposure-response, utility, the next and the recommended level.

Which module to open for what, in the order in which they build on each other:

- `quantities`: exposures by name and subject, and what each is.
- `level_exposures`: exposures from a fit, of the subjects as dosed and of new patients at every level.
- `power_model`: the same without a fit, from samples and the power model of dose.
- `regression`: exposure-response, a proportional-odds regression that uses the uncertainty of exposures.
- `outcome_regressions`: those of a study's CRS, DLT and response, with their priors.
- `treated_so_far`: who counts, in which order, and which stopping clauses are met, before any rule is asked.
- `seen_patients`: what a study says of each patient, as the joint model takes it.
- `wording`: a recommendation in sentences.
- `recommendation`: the recommended dose with its reasons.
- `next_level`: the next dose of a running trial, by any rule.
- `trials_simulated`: whole trials simulated, in calendar time or with exposures.
- `simulated`: designs compared on the same simulated patients, with the truths and patients for it.
- `trials_of_a_fit`: the operating characteristics of a rule if patients are as a fit says.
- `phase_ib`: the expansion cohorts, their response rates, and go or no go; two-stage designs.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "CohortRates",
    "Exnex",
    "ExnexPrior",
    "ExpansionCharacteristics",
    "ExpansionDesign",
    "ExposureResponse",
    "Exposures",
    "NextDose",
    "Quantity",
    "Recommendation",
    "Slope",
    "Target",
    "TwoStages",
    "design_of",
    "exnex",
    "exnex_prior",
    "expansion",
    "expansion_characteristics",
    "exposure_response",
    "exposures_as_dosed",
    "exposures_at_levels",
    "exposures_by_power_model",
    "exposures_from_samples",
    "next_dose",
    "patients_seen",
    "proportionality_table",
    "recommend",
    "two_stages",
]
