from .decision import recommendation_page as recommendation_page
from .fit_report.document import (
    cautions as cautions,
    has_log_axis as has_log_axis,
    report as report,
    solve_once as solve_once,
)
from .fit_report.organs import organ_figures as organ_figures
from .fit_report.words import place_words as place_words, site_words as site_words
from .page import (
    Section as Section,
    Table as Table,
    add_figure as add_figure,
    page_text as page_text,
    write_page as write_page,
)
