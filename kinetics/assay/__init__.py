"""What an assay reads of an output: residual errors, records below the LLOQ, qPCR, scans, correlated
draws.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = []
