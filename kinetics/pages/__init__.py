"""Reports as single HTML pages: a fit's and a dose decision's."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["recommendation_page", "report"]
