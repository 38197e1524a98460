"""Whether the numbers of a fit may be used, and which of several fits to prefer."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

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
    "loo",
    "parameter_table",
    "predictive_check",
    "prior_posterior_overlap",
    "sbc",
    "sensitivity",
    "stratified_vpc",
    "subgroups",
    "vpc",
]
