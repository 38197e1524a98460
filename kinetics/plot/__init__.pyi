from .bands import add_band as add_band, add_curve as add_curve
from .biodistribution import plot_biodistribution as plot_biodistribution
from .body_map import plot_body_map as plot_body_map
from .dose_decision import plot_dose_decision as plot_dose_decision
from .dose_exposure import (
    dose_exposure_figures as dose_exposure_figures,
    plot_dose_exposure as plot_dose_exposure,
)
from .event_survival import plot_event_survival as plot_event_survival
from .expansion import plot_expansion as plot_expansion
from .export import (
    FIGURE_CONFIG as FIGURE_CONFIG,
    can_draw as can_draw,
    caption_file as caption_file,
    figure_div as figure_div,
    plotly_script as plotly_script,
    printed_page as printed_page,
    refuse_figures as refuse_figures,
    save_figure as save_figure,
    save_figures as save_figures,
    shared_plotly as shared_plotly,
)
from .exposure_response import plot_exposure_response as plot_exposure_response
from .forest import plot_forest as plot_forest
from .frame import (
    GREY as GREY,
    INK as INK,
    PALETTE as PALETTE,
    analyte_label as analyte_label,
    analyte_text as analyte_text,
    analyte_title as analyte_title,
    dress as dress,
    finish as finish,
    log_range as log_range,
    number_text as number_text,
    product_name as product_name,
    time_title as time_title,
    unit_text as unit_text,
    value_axis as value_axis,
)
from .gof import plot_gof as plot_gof
from .grades import plot_grades as plot_grades
from .grouping import group_subjects as group_subjects, groupings as groupings
from .individual_fits import plot_individual_fits as plot_individual_fits
from .individual_predictions import plot_individual_predictions as plot_individual_predictions
from .kaplan_meier import plot_kaplan_meier as plot_kaplan_meier
from .loo import plot_pareto_k as plot_pareto_k
from .organ_stack import plot_organ_stack as plot_organ_stack
from .parameter_names import parameter_words as parameter_words
from .persistence import (
    add_groups as add_groups,
    persistence_points as persistence_points,
    plot_persistence as plot_persistence,
)
from .population import plot_population as plot_population, population_curves as population_curves
from .predicted_patients import plot_predicted_patients as plot_predicted_patients
from .prediction_calibration import plot_prediction_calibration as plot_prediction_calibration
from .prior_posterior import plot_prior_posterior as plot_prior_posterior
from .random_effects import plot_eta_covariates as plot_eta_covariates, plot_etas as plot_etas
from .records import (
    SYMBOLS as SYMBOLS,
    add_limits as add_limits,
    add_records as add_records,
    add_symbol_key as add_symbol_key,
    drawn_records as drawn_records,
    first_dose as first_dose,
    limit_lines as limit_lines,
    rows_where as rows_where,
    subject_lines as subject_lines,
    time_ends as time_ends,
    zero_note as zero_note,
)
from .sbc import plot_sbc as plot_sbc
from .simulation import plot_simulation as plot_simulation
from .spider import plot_spider as plot_spider
from .swimmer import plot_swimmer as plot_swimmer
from .tornado import plot_tornado as plot_tornado
from .vpc import plot_vpc as plot_vpc
from .waterfall import plot_waterfall as plot_waterfall
