"""Figures (Plotly), one to a file; each says its units, its data's hash, and if the data are synthetic."""

from kinetics.plot.biodistribution import plot_biodistribution
from kinetics.plot.body_map import plot_body_map
from kinetics.plot.dose_decision import plot_dose_decision
from kinetics.plot.dose_exposure import plot_dose_exposure
from kinetics.plot.expansion import plot_expansion
from kinetics.plot.export import save_figure
from kinetics.plot.exposure_response import plot_exposure_response
from kinetics.plot.forest import plot_forest
from kinetics.plot.gof import plot_gof
from kinetics.plot.individual_fits import plot_individual_fits
from kinetics.plot.kaplan_meier import plot_kaplan_meier
from kinetics.plot.loo import plot_pareto_k
from kinetics.plot.organ_stack import plot_organ_stack
from kinetics.plot.persistence import plot_persistence
from kinetics.plot.population import plot_population, population_curves
from kinetics.plot.prior_posterior import plot_prior_posterior
from kinetics.plot.random_effects import plot_eta_covariates, plot_etas
from kinetics.plot.sbc import plot_sbc
from kinetics.plot.simulation import plot_simulation
from kinetics.plot.spider import plot_spider
from kinetics.plot.swimmer import plot_swimmer
from kinetics.plot.tornado import plot_tornado
from kinetics.plot.vpc import plot_vpc
from kinetics.plot.waterfall import plot_waterfall

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
