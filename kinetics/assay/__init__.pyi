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
from .ordinal import (
    GradeRecords as GradeRecords,
    grade_information as grade_information,
    grade_log_likelihood as grade_log_likelihood,
    grade_records as grade_records,
    probability_of_at_least as probability_of_at_least,
)
from .output_links import (
    LINKS as LINKS,
    OutputLink as OutputLink,
    link_values as link_values,
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
    Baseline as Baseline,
    EventTimes as EventTimes,
    event_information as event_information,
    event_log_likelihood as event_log_likelihood,
    event_times as event_times,
    expected_events as expected_events,
)
