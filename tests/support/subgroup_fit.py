"""A fit of covariate effects whose posteriors are normal, and the table of its subgroups."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import norm

from kinetics.checks.covariate_effects import Subgroups, subgroups
from kinetics.inference.fitting import Fit
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of
from kinetics.population.shrinkage import GLOBAL
from tests.support.fits import written_posterior

__all__ = ["QUANTILES", "subgroup_fit", "subgroup_table"]

CMAX = [
    {"covariate": "age", "sd": 0.02},
    {"covariate": "sex", "sd": 0.5},
    {"covariate": "dose_level", "form": "power", "centre": 3e7, "sd": 0.5},
]
TMAX = [{"covariate": "weight_kg"}, {"covariate": "tumour"}]
QUANTILES = (np.arange(2000) + 0.5) / 2000


@cache
def subgroup_fit() -> Fit:
    """Effects on Cmax with priors of their own and normal posteriors; those on Tmax share a horseshoe."""
    content = {
        "model": "ogasawara_2021", "data": "synthetic_cart_12", "name": "known",
        "observe": {"car_copies": {}}, "covariates": {"cmax": CMAX, "tmax": TMAX},
        "shrinkage": {"prior": "horseshoe", "expected": 1},
    }  # fmt: skip
    bound = bind(plan_of(content))
    rng = np.random.default_rng(1)
    n = len(bound.subjects)
    sites = {k: np.full(2000, float(p.median)) for k, p in bound.priors().items()}
    sites |= {f"eta_{k}": np.zeros((2000, n)) for k in bound.hierarchy.vary}
    normal = norm.ppf(QUANTILES)
    sites["beta_cmax_age"] = 0.01 + 0.004 * normal
    sites["beta_cmax_sex_male"] = 0.1 + 0.3 * normal
    sites["beta_cmax_dose_level"] = 0.8 + 0.2 * normal
    for k in ("shrink_z_tmax_weight_kg", "shrink_z_tmax_tumour_gastric"):
        sites[k] = rng.standard_normal(2000)
    sites[GLOBAL] = bound.hierarchy.shrinkage.global_scale * np.abs(rng.standard_cauchy(2000))  # pyright: ignore
    return written_posterior(
        bound, {k: rng.permutation(v) if k == "beta_cmax_age" else v for k, v in sites.items()}
    )


@cache
def subgroup_table() -> Subgroups:
    """The subgroups of that fit."""
    return subgroups(subgroup_fit())
