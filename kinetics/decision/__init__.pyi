from .level_exposures import (
    exposures_as_dosed as exposures_as_dosed,
    exposures_at_levels as exposures_at_levels,
)
from .next_level import (
    AT_EXPOSURES as AT_EXPOSURES,
    AT_RESPONSES as AT_RESPONSES,
    NextDose as NextDose,
    next_dose as next_dose,
)
from .outcome_regressions import GUESS as GUESS, Target as Target, regressions as regressions
from .phase_ib.borrowing import (
    Exnex as Exnex,
    ExnexPrior as ExnexPrior,
    exnex as exnex,
    exnex_prior as exnex_prior,
)
from .phase_ib.characteristics import (
    ExpansionCharacteristics as ExpansionCharacteristics,
    expansion_characteristics as expansion_characteristics,
)
from .phase_ib.cohorts import (
    CohortRates as CohortRates,
    ExpansionDesign as ExpansionDesign,
    design_of as design_of,
    expansion as expansion,
)
from .phase_ib.two_stage import TwoStages as TwoStages, two_stages as two_stages
from .power_model import (
    counted_analytes as counted_analytes,
    exposures_by_power_model as exposures_by_power_model,
    exposures_from_samples as exposures_from_samples,
    levels_of as levels_of,
    power_curve as power_curve,
    proportionality_table as proportionality_table,
    usable_exposures as usable_exposures,
)
from .quantities import (
    Exposures as Exposures,
    Quantity as Quantity,
    exposures_of_table as exposures_of_table,
)
from .recommendation import Recommendation as Recommendation, recommend as recommend
from .regression import (
    ExposureResponse as ExposureResponse,
    Slope as Slope,
    exposure_response as exposure_response,
)
from .seen_patients import patients_seen as patients_seen
from .simulated.comparison import (
    MEAN_S as MEAN_S,
    RANDOM as RANDOM,
    ComparedDesigns as ComparedDesigns,
    compare_designs as compare_designs,
)
from .simulated.designs import setting_of as setting_of
from .simulated.truths import Truth as Truth, middle_level as middle_level, truth_problems as truth_problems
from .trials_of_a_fit import chances_from_fit as chances_from_fit, virtual_trials as virtual_trials
from .trials_simulated import (
    MONTH as MONTH,
    SimulatedTrials as SimulatedTrials,
    simulate_calendar as simulate_calendar,
    simulate_exposures as simulate_exposures,
)
from .wording import percent as percent
