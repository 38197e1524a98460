"""The dose that follows: exposures by level, exposure-response, utility, the next and the recommended
level.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = [
    "CohortRates",
    "Exnex",
    "ExnexPrior",
    "ExpansionCharacteristics",
    "ExpansionDesign",
    "ExposureResponse",
    "Exposures",
    "NextDose",
    "Recommendation",
    "Slope",
    "Target",
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
    "proportionality_table",
    "recommend",
]
