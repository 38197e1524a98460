"""What statisticians and pharmacometricians read: ADaM-shaped tables, Monolix- and NONMEM-like results,
workbooks.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["FORMATS", "Exported", "export", "unknown_formats", "write_study"]
