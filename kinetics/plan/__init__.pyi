from .binding import (
    KEPT_OUT as KEPT_OUT,
    BoundAssay as BoundAssay,
    BoundFit as BoundFit,
    FitData as FitData,
    Predictions as Predictions,
    bind as bind,
    describe_records as describe_records,
)
from .events import BoundEvent as BoundEvent, covariate_sum as covariate_sum
from .grades import BoundGrades as BoundGrades
from .new_subjects import bind_new_subjects as bind_new_subjects
from .outcome_tables import Graded as Graded, TimeToEvent as TimeToEvent
from .plan import (
    FitKeys as FitKeys,
    FitPlan as FitPlan,
    find_plan as find_plan,
    plan_of as plan_of,
    plan_sha256 as plan_sha256,
    read_plan as read_plan,
)
from .tables import (
    Allometry as Allometry,
    Correlated as Correlated,
    Covariate as Covariate,
    Effects as Effects,
    Expect as Expect,
    HoldOut as HoldOut,
    ImagingSpec as ImagingSpec,
    Method as Method,
    Mixture as Mixture,
    Observe as Observe,
    PriorSpec as PriorSpec,
    Sampler as Sampler,
    ShrinkageSpec as ShrinkageSpec,
    SolverSpec as SolverSpec,
)
