"""A model's states and outputs at every record of all subjects at once, with exact gradients."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["check_laws"]
