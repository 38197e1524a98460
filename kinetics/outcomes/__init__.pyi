from .adverse_event_counts import adverse_events as adverse_events
from .arm_studies import one_arm as one_arm
from .astct import RESOLVED_DAYS as RESOLVED_DAYS
from .by_criteria import (
    ResponseReading as ResponseReading,
    as_recist_scans as as_recist_scans,
    best_by_criteria as best_by_criteria,
    rates_by_criteria as rates_by_criteria,
    reading_of as reading_of,
)
from .by_subject import (
    known_responses as known_responses,
    response_days as response_days,
    response_follow_up as response_follow_up,
    subject_outcomes as subject_outcomes,
    worst_crs as worst_crs,
)
from .dlts import (
    Patient as Patient,
    Step as Step,
    UncountedDlt as UncountedDlt,
    dlt_table as dlt_table,
    history_of as history_of,
    patients_of as patients_of,
    replayed as replayed,
    uncounted_dlts as uncounted_dlts,
)
from .enrolment import ENROLLED_ON as ENROLLED_ON, ENROLMENT as ENROLMENT, enrolment_order as enrolment_order
from .event_names import event_name as event_name
from .lesion_size import (
    BASELINE as BASELINE,
    SIZE as SIZE,
    best_changes as best_changes,
    size_changes as size_changes,
)
from .lesions import (
    lesion_responses as lesion_responses,
    other_than_recorded as other_than_recorded,
    read_lesions as read_lesions,
)
from .proportions import clopper_pearson as clopper_pearson
from .received_dose import unlike_assigned as unlike_assigned
from .recist import RECIST_1_1 as RECIST_1_1, DiseaseAfterCr as DiseaseAfterCr
from .responses import (
    assessments_of as assessments_of,
    best_responses as best_responses,
    cell_products as cell_products,
    first_infusions as first_infusions,
    response_rates as response_rates,
)
from .signs import (
    astct_events as astct_events,
    astct_grades as astct_grades,
    disagreements as disagreements,
    not_compared as not_compared,
    read_signs as read_signs,
    unproven as unproven,
)
from .stagger import Stagger as Stagger, stagger_of as stagger_of
from .stopping import StoppingState as StoppingState, stopping_states as stopping_states
from .strata import strata_of as strata_of, strata_table as strata_table
from .survival import (
    ENDPOINTS as ENDPOINTS,
    SurvivalEndpoint as SurvivalEndpoint,
    survival_times as survival_times,
)
from .survival_curve import (
    EVERYONE as EVERYONE,
    PLATEAUS as PLATEAUS,
    KaplanMeier as KaplanMeier,
    Plateau as Plateau,
    kaplan_meier as kaplan_meier,
)
from .times_table import read_times as read_times
from .vital_status import DEATH as DEATH, STATUS_EVENTS as STATUS_EVENTS, follow_up as follow_up
