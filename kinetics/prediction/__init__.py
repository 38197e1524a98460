"""What a model or a fit predicts: curves, replicated records, new patients, and which samples tell most."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["Added", "design_information", "most_informative", "simulate"]
