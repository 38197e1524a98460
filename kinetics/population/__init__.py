"""Who differs from whom: random effects, covariate effects and the priors that they share."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = []
