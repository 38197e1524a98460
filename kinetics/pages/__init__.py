"""Reports as single HTML pages: a fit's and a dose decision's.

page: sections, tables and figures, and the page that a template makes of them
fit_report: the report of a fit
decision: the page of a dose decision
templates: the HTML and CSS of both
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["recommendation_page", "report"]
