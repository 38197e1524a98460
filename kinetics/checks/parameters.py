"""The parameter table: what the subjects taught us, and what the prior said.

Contraction is 1 - Var(posterior)/Var(prior) on the link scale: 0 means that the number is the prior's, 1 that
it is the data's (Schad et al. 2021). Shrinkage is 1 - SD(posterior means of eta): 0 means that the subjects'
own values are data-driven, 1 that they all sit on the population value (Savic & Karlsson 2009, doi
10.1208/s12248-009-9133-0). Pooling is 1 - Var(posterior means of the random effects) / mean over draws of their
variance between subjects: 0 where each subject's value is its own, 1 where all are the population's (Gelman &
Pardoe 2006).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from arviz_stats import ess, rhat  # pyright: ignore[reportPrivateImportUsage]
from pandas import DataFrame

from kinetics.inference import Fit
from kinetics.model import HalfNormal, Prior, describe
from kinetics.population import Hierarchy, ScaleMixture
from kinetics.solve import derived

__all__ = ["diagnostics", "parameter_table", "shared_priors"]

INTERVAL = (0.05, 0.95)  # of every credible interval shown: 90 %


def diagnostics(fit: Fit) -> DataFrame:
    """R-hat, bulk and tail ESS of every sampled scalar and shrunk effect: columns site, subject, r_hat,
    ess_bulk, ess_tail. NaN where the draws are not of chains.
    """
    h = fit.bound.hierarchy
    sites = [*fit.bound.priors(), *(e.site for e in h.shrunk), *(f"eta_{k}" for k in h.vary)]
    data = fit.posterior["posterior"].dataset[sites]
    if fit.method == "nuts":
        parts = {
            "r_hat": rhat(data),
            "ess_bulk": ess(data, method="bulk"),
            "ess_tail": ess(data, method="tail"),
        }
    else:
        parts = dict.fromkeys(("r_hat", "ess_bulk", "ess_tail"), data.mean(("chain", "draw")) * np.nan)
    rows = []
    for site in sites:
        values = {k: np.atleast_1d(part[site].to_numpy()) for k, part in parts.items()}
        names = fit.bound.subjects if data[site].ndim == 3 else [""]
        rows += [
            {"site": site, "subject": s, **{k: float(v[i]) for k, v in values.items()}}
            for i, s in enumerate(names)
        ]
    return DataFrame(rows)


def parameter_table(fit: Fit) -> DataFrame:
    """One row a population site: kind, unit, median, 90 % interval, diagnostics, prior, contraction.

    Rows of varying parameters also carry `cv_percent` (between-subject CV, for log-scale parameters), `omega`
    (median SD), `shrinkage` and `pooling`. `source` and `guess` come from the model file. Effects that share
    a prior follow, kind `covariate effect`, then the model's derived quantities at the population values,
    `derived`. `method` says whose draws they are (`Fit.caution`); by laplace there is no prior, and no
    contraction from it.

    >>> table = kn.parameter_table(kn.load_fit("runs/theophylline"))
    >>> table[["site", "kind", "unit", "prior"]].head(3)
         site        kind   unit                           prior
    0  ka_pop  population  1/day   LogNormal(median 38.23, sd 1)
    1  ke_pop  population  1/day  LogNormal(median 2.0615, sd 1)
    2  cl_pop  population  L/day  LogNormal(median 0.9521, sd 1)
    """
    table = diagnostics(fit)
    checked = table[table["subject"] == ""].set_index("site")
    sites = fit.sites()
    priors = fit.bound.priors()
    alone = fit.method == "laplace"
    rows = []
    for site, prior in (priors | shared_priors(fit.bound.hierarchy)).items():
        low, median, high = np.quantile(sites[site], [INTERVAL[0], 0.5, INTERVAL[1]])
        rows.append(
            {
                "site": site,
                **_identity(fit, site),
                "median": median,
                "lower": low,
                "upper": high,
                "sd": float(np.std(sites[site])),
                **_between_subjects(fit, site, sites),
                "contraction": np.nan if alone else _contraction(prior, sites[site]),
                **{k: float(checked.loc[site, k]) for k in ("r_hat", "ess_bulk", "ess_tail")},  # pyright: ignore
                "prior": "not used" if alone else _described(prior),
                **_source(fit, site),
                "method": fit.method,
            }
        )
    return DataFrame(rows + _derived(fit, sites))


def shared_priors(h: Hierarchy) -> dict[str, ScaleMixture]:
    """The marginal prior of every shrunk effect, by the name of its beta."""
    return {e.site: h.shrinkage.marginal(e.parameter) for e in h.shrunk} if h.shrinkage else {}


def _described(prior: Prior | ScaleMixture) -> str:
    if isinstance(prior, ScaleMixture):
        return f"shared, 90 % between ±{prior.quantile(INTERVAL[1]):.2g}"
    return describe(prior)


def _derived(fit: Fit, sites: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Rows of the model's derived quantities (half-lives, doubling time ...) at the population values."""
    h = fit.bound.hierarchy
    n = np.ones(fit.draws)
    theta = {k: h.fixed[k] * n if k in h.fixed else sites[f"{k}_pop"] for k in fit.model.parameters}
    rows = []
    for name, values in derived(fit.model, theta).items():
        low, median, high = np.quantile(np.asarray(values), [INTERVAL[0], 0.5, INTERVAL[1]])
        d = fit.model.derived[name]
        identity = {"site": name, "parameter": name, "kind": "derived", "unit": d.unit}
        numbers = {"median": median, "lower": low, "upper": high, "sd": float(np.std(values))}
        rows.append(
            identity
            | numbers
            | {"prior": d.label, "source": fit.model.name, "guess": False, "method": fit.method}
        )
    return rows


def _identity(fit: Fit, site: str) -> dict[str, str]:
    parameters = fit.model.parameters
    if site.endswith("_pop") and site[:-4] in parameters:
        return {"parameter": site[:-4], "kind": "population", "unit": parameters[site[:-4]].unit}
    if site.startswith("omega_"):
        return {"parameter": site[6:], "kind": "between-subject SD", "unit": "1"}
    if site.startswith("gamma_"):
        return {"parameter": site[6:], "kind": "between-cycle SD", "unit": "1"}
    if site == "prob_class":
        return {"parameter": site, "kind": "probability of the second class", "unit": "1"}
    if site.startswith("shift_"):
        return {"parameter": site[6:], "kind": "shift of the second class", "unit": "1"}
    if site.startswith("corr_"):
        return {"parameter": site[5:], "kind": "between-subject correlation", "unit": "1"}
    if site.startswith("beta_"):
        return {"parameter": site[5:], "kind": "covariate effect", "unit": "1"}
    if site.startswith("shrink_"):
        return {"parameter": site, "kind": "shrinkage of effects", "unit": "1"}
    if site.startswith("scale_"):
        return {"parameter": site, "kind": "assay scale", "unit": "1"}
    if site.startswith("vcn_"):
        return {"parameter": site, "kind": "vector copies per CAR+ cell", "unit": "1"}
    if fit.bound.pair is not None and site == fit.bound.pair.site:
        return {"parameter": site, "kind": "residual correlation", "unit": "1"}
    absolute = site.startswith("sigma_add_")
    analyte = site.removeprefix("sigma_add_").removeprefix("sigma_")
    unit = fit.study.analytes[analyte].unit if absolute else "1"
    return {"parameter": site, "kind": "residual SD", "unit": unit}


def _between_subjects(fit: Fit, site: str, sites: dict[str, np.ndarray]) -> dict[str, float]:
    name = site[:-4]
    h = fit.bound.hierarchy
    if not site.endswith("_pop") or name not in h.omega:
        return {"omega": np.nan, "cv_percent": np.nan, "shrinkage": np.nan, "pooling": np.nan}
    omega = sites[f"omega_{name}"]
    log = h.priors[name].link == "log"
    return {
        "omega": float(np.median(omega)),
        "cv_percent": float(np.median(100 * np.sqrt(np.expm1(omega**2)))) if log else np.nan,
        "shrinkage": float(1 - np.std(sites[f"eta_{name}"].mean(axis=0))),
        "pooling": _pooling(omega[:, None] * sites[f"eta_{name}"]),
    }


def _pooling(effects: np.ndarray) -> float:
    """Gelman & Pardoe's pooling factor of random effects (draw, subject); NaN for one subject."""
    between = float(np.mean(np.var(effects, axis=1)))
    return float(1 - np.var(effects.mean(axis=0)) / between) if between > 0 else np.nan


def _contraction(prior: Prior | ScaleMixture, draws: np.ndarray) -> float:
    """1 - Var(posterior)/Var(prior), on the scale where the prior is normal (log of a HalfNormal or
    HalfCauchy).
    """
    if isinstance(prior, ScaleMixture):
        return float(1 - np.var(draws) / prior.variance)
    if prior.link == "log":
        draws = np.log(draws)
    elif prior.link == "logit":
        draws = np.log(draws / (1 - draws))
    variance = np.pi**2 / 8 if isinstance(prior, HalfNormal) else prior.sd**2
    return float(1 - np.var(draws) / variance)


def _source(fit: Fit, site: str) -> dict[str, Any]:
    name = site[:-4]
    if site.endswith("_pop") and name in fit.model.parameters:
        if name in fit.bound.plan.priors:
            return {"source": f"the plan {fit.name}", "guess": False}
        p = fit.model.parameters[name]
        return {"source": p.source, "guess": p.guess}
    return {"source": "", "guess": False}
