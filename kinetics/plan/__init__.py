"""One fit as data: a TOML read, checked, and bound to its model and study."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = [
    "Allometry",
    "Correlated",
    "Covariate",
    "Effects",
    "Expect",
    "FitPlan",
    "ImagingSpec",
    "Mixture",
    "Observe",
    "PriorSpec",
    "Sampler",
    "ShrinkageSpec",
    "SolverSpec",
    "bind",
    "read_plan",
]
