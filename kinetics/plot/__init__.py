"""Figures (Plotly), one to a file; each says its units, its data's hash, and if the data are synthetic.

What figures share:
    frame: palette, axes, numbers as text; title, labels and footer
    bands: a band or a curve over time
    records: the records of a study with their symbols, and lines at LLOQ and ULOQ
    many_points: which of very many points are drawn
    infusions: rows of symbols where infusions were given
    parameter_names: what the parameters of a model are called
    grouping: subjects grouped by dose level, CRS grade or a covariate
    export: a figure as HTML, SVG, PDF or PNG

A study and a fit:
    persistence: every subject's records over time
    individual_fits: a panel for each subject with its records and fitted curve
    individual_predictions: a panel for each subject with its records, IPRED and PRED
    population: a typical patient and new patients for each dosing regimen
    predicted_patients: a panel for each new patient with its predicted bands and records
    prediction_calibration: coverage of the bands of new patients
    prior_posterior: prior and posterior densities
    random_effects: histograms of random effects, and random effects against covariates
    simulation: simulated curves of virtual patients

Whether a fit may be used:
    vpc: visual predictive check
    gof: goodness of fit, residuals
    loo: Pareto k of left-out records
    forest: covariate effects
    event_survival: predicted survival over the Kaplan-Meier curve
    grades: predicted and seen shares of grades by day
    sbc: simulation-based calibration

Exposures and organs:
    product_dose: the dose against which an exposure is drawn
    dose_exposure: exposures against dose, with the power model
    tornado: which parameters move an exposure most
    biodistribution: cells in blood, liver and tumour over time
    organ_stack: shares of the organs over time; the frame of figures of organs
    body_map: shares of the organs drawn in a body

Outcomes and the dose decision:
    waterfall: best change of the sum of diameters
    spider: change of the sum of diameters over time
    swimmer: time on study with infusions and assessments
    kaplan_meier: survival curves with numbers at risk
    exposure_response: P(outcome) against exposure
    dose_decision: P(response), P(DLT), P(overdose) by level
    expansion: response rates of expansion cohorts
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "persistence_points",
    "plot_biodistribution",
    "plot_body_map",
    "plot_dose_decision",
    "plot_dose_exposure",
    "plot_eta_covariates",
    "plot_etas",
    "plot_event_survival",
    "plot_expansion",
    "plot_exposure_response",
    "plot_forest",
    "plot_gof",
    "plot_grades",
    "plot_individual_fits",
    "plot_individual_predictions",
    "plot_kaplan_meier",
    "plot_organ_stack",
    "plot_pareto_k",
    "plot_persistence",
    "plot_population",
    "plot_predicted_patients",
    "plot_prediction_calibration",
    "plot_prior_posterior",
    "plot_sbc",
    "plot_simulation",
    "plot_spider",
    "plot_swimmer",
    "plot_tornado",
    "plot_vpc",
    "plot_waterfall",
    "population_curves",
    "save_figure",
]
