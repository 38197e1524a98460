"""Cmax, Tmax, AUC, half-life and persistence, of samples and of fits; where in the body the cells are."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = [
    "NCARules",
    "Tornado",
    "biodistribution",
    "biodistribution_summary",
    "exposure",
    "exposure_summary",
    "nca",
    "nca_summary",
    "site_curves",
    "site_shares",
    "to_pptestcd",
    "tornado",
]
