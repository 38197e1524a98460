"""Tables of a study in, one checked `Study` out: NONMEM-like, ADaM-shaped, Excel, Parquet or the project's
own.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["Study", "read_study", "validate_study"]
