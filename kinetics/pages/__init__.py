"""Reports as single HTML pages: a fit's and a dose decision's.

page: sections, tables and figures, and the page that a template makes of them
fit_report: the report of a fit
decision: the page of a dose decision
templates: the HTML and CSS of both
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = ["recommendation_page", "report"]
