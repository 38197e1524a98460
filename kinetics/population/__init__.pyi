from .hierarchy import (
    Effect as Effect,
    Hierarchy as Hierarchy,
    centres as centres,
    class_log_joint as class_log_joint,
    correlate as correlate,
    drawn_effects as drawn_effects,
    effects_log_prob as effects_log_prob,
    individual as individual,
    shift_of as shift_of,
)
from .shrinkage import GLOBAL as GLOBAL, ScaleMixture as ScaleMixture, Shrinkage as Shrinkage
from .subject_factor import conditional as conditional, solved as solved
