"""A plan fitted: NUTS, Laplace, MAP or variational, resumable, in a run folder."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["Fit", "fit", "load_fit", "resume"]
