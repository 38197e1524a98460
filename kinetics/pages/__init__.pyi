from .decision import recommendation_page as recommendation_page
from .fit_report.document import report as report, solve_once as solve_once
from .fit_report.organs import organ_figures as organ_figures
from .page import Section as Section, Table as Table, write_page as write_page
