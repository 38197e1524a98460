"""Figures (Plotly), one to a file; each says its units, its data's hash, and if the data are synthetic."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = [
    "plot_biodistribution",
    "plot_body_map",
    "plot_dose_decision",
    "plot_dose_exposure",
    "plot_eta_covariates",
    "plot_etas",
    "plot_expansion",
    "plot_exposure_response",
    "plot_forest",
    "plot_gof",
    "plot_individual_fits",
    "plot_kaplan_meier",
    "plot_organ_stack",
    "plot_pareto_k",
    "plot_persistence",
    "plot_population",
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
