"""Fits that no sampler made: a posterior that is written down, in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from kinetics.inference.fitting import Fit, _datatree
from kinetics.inference.nuts import Draws
from kinetics.inference.run_folder import provenance_of
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of, read_plan
from kinetics.study.study import Study

__all__ = [
    "cart_fit",
    "oral_fit",
    "posterior_arrays",
    "prior_fit",
    "sampled_sites",
    "theophylline_fit",
    "written_posterior",
]


def written_posterior(bound: BoundFit, sites: Mapping[str, Any], *, chains: int = 2) -> Fit:
    """A Fit whose posterior is `sites` (draw, ...), split over the chains; no sampler runs."""
    split = {k: np.asarray(v).reshape(chains, -1, *np.shape(v)[1:]) for k, v in sites.items()}
    n = next(iter(split.values())).shape[1]
    rng = np.random.default_rng(0)
    stats = {
        "diverging": np.zeros((chains, n), bool),
        "n_steps": np.full((chains, n), 7),
        "tree_depth": np.full((chains, n), 3),
        "energy": rng.standard_normal((chains, n)),
        "energy_change": np.full((chains, n), 2.0),
        "acceptance_rate": np.full((chains, n), 0.9),
    }
    facts = {
        "started": "2025-01-01T00:00:00+00:00",
        "seconds": 0.0,
        "chains": "written",
        "unused_parameters": [],
    }
    return Fit(bound, _datatree(bound, Draws(split, stats, [])), provenance_of(bound.plan, bound, facts))


def prior_fit(plan: Any, *, study: Study | None = None, draws: int = 60) -> Fit:
    """A Fit whose posterior is a tenth as wide as its prior around the prior's median; etas are standard."""
    bound = bind(plan, study=study)
    rng = np.random.default_rng(1)
    sites: dict[str, np.ndarray] = {}
    for site, prior in bound.priors().items():
        centre = float(prior.median)
        width = 0.1 * rng.standard_normal(draws)
        sites[site] = centre + 0.1 * width if prior.link == "identity" else centre * np.exp(width)
    n = len(bound.subjects)
    for name in bound.hierarchy.vary:
        eta = 0.5 * rng.standard_normal((1, n)) + 0.1 * rng.standard_normal((draws, n))
        sites[f"eta_{name}"] = eta
    return written_posterior(bound, sites)


@cache
def cart_fit() -> Fit:
    """The demo's study and plan with a written posterior."""
    return prior_fit(read_plan("ogasawara_2021__synthetic_cart_12"))


@cache
def theophylline_fit() -> Fit:
    """An oral drug with an additive error and no LLOQ, with a written posterior."""
    plan = {"model": "one_compartment_oral", "data": "theophylline", "name": "theophylline"}
    return prior_fit(plan_of(plan | {"observe": {"theophylline": {"likelihood": "additive"}}}))


@cache
def oral_fit() -> Fit:
    """Sixty draws; only ka varies, and cl grows with body weight from 1 kg."""
    plan = {"model": "one_compartment_oral", "data": "theophylline", "name": "oral", "vary": ["ka"]}
    plan |= {"observe": {"theophylline": {"likelihood": "additive"}}}
    return prior_fit(plan_of(plan | {"allometry": {"cl": {"exponent": 1.0, "reference": 1.0}}}))


def sampled_sites(fit: Fit) -> dict[str, np.ndarray]:
    """The draws (draw, ...) of the population sites and the random effects, by site."""
    names = [*fit.bound.priors(), *(f"eta_{k}" for k in fit.bound.hierarchy.vary)]
    return {name: fit.sites()[name] for name in names}


def posterior_arrays(fit: Fit) -> Mapping[str, np.ndarray]:
    """Every array of the posterior and of the sampler's statistics, by name."""
    groups = ("posterior", "sample_stats")
    return {str(k): v.to_numpy() for g in groups for k, v in fit.posterior[g].dataset.data_vars.items()}
