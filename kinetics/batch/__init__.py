"""Many fits: a PLAN.toml says which, workers take them one after another, here or on Slurm."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = []
