"""Who gets how many cells, when and by which route; and the dense arrays of doses that a solver takes."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["Regimen", "doses_for", "read_regimen"]
