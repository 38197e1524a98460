from .correlated import (
    StandardisedRecords as StandardisedRecords,
    both_censored as both_censored,
    given_first as given_first,
)
from .likelihood import (
    AssayRecords as AssayRecords,
    Observations as Observations,
    log_likelihood as log_likelihood,
    pad_observations as pad_observations,
    recorded as recorded,
    standardise as standardise,
)
from .qpcr import NucleatedCounts as NucleatedCounts, nucleated_cells as nucleated_cells
from .residual import (
    DNA_UG as DNA_UG,
    FAMILIES as FAMILIES,
    LOG_FAMILIES as LOG_FAMILIES,
    NORMAL_ON_LOG as NORMAL_ON_LOG,
    TINY as TINY,
    location_scale as location_scale,
    log_between as log_between,
    normal_logcdf as normal_logcdf,
    residual_priors as residual_priors,
    simulate_residual as simulate_residual,
    student as student,
)
from .scan import Imaging as Imaging, imaging as imaging
from .time_to_event import (
    BASELINES as BASELINES,
    LINKS as LINKS,
    Baseline as Baseline,
    EventTimes as EventTimes,
    HazardLink as HazardLink,
    event_information as event_information,
    event_log_likelihood as event_log_likelihood,
    event_times as event_times,
    expected_events as expected_events,
    link_values as link_values,
)
