"""The parameter table: what the subjects taught about each parameter, beside its prior.

Contraction is 1 - Var(posterior)/Var(prior) on the link scale: 0 means that the value comes from the prior, 1
that it comes from the data (Schad et al. 2021). Shrinkage is 1 - SD(posterior means of eta): 0 means that the
subjects' own values come from their data, 1 that they all equal the population value (Savic & Karlsson 2009,
doi 10.1208/s12248-009-9133-0). Pooling is 1 - Var(posterior means of the random effects) / mean over draws of
their variance between subjects: 0 where each subject has a value of its own, 1 where all have the population
value (Gelman & Pardoe 2006).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from arviz_stats import ess, rhat  # pyright: ignore[reportPrivateImportUsage]
from pandas import DataFrame

from kinetics.arguments import require
from kinetics.inference import Fit
from kinetics.model import HalfNormal, Prior, describe
from kinetics.population import Hierarchy, ScaleMixture
from kinetics.solve import derived

__all__ = ["diagnostics", "parameter_table", "shared_priors"]

INTERVAL = (0.05, 0.95)  # the quantiles at the ends of every credible interval shown: 90 %


def diagnostics(fit: Fit) -> DataFrame:
    """R-hat, bulk and tail ESS of every sampled scalar and shrunk effect.

    Columns: site, subject ("" for a value of the population), r_hat, ess_bulk, ess_tail; the last three are
    NaN where the draws are not of chains.
    """
    h = fit.bound.hierarchy
    sites = [*fit.bound.priors(), *(e.site for e in h.shrunk), *(f"eta_{k}" for k in h.vary)]
    data = fit.posterior["posterior"].dataset[sites]
    if fit.method == "nuts":
        numbers = {
            "r_hat": rhat(data),
            "ess_bulk": ess(data, method="bulk"),
            "ess_tail": ess(data, method="tail"),
        }
    else:
        numbers = dict.fromkeys(("r_hat", "ess_bulk", "ess_tail"), data.mean(("chain", "draw")) * np.nan)
    rows = []
    for site in sites:
        values = {k: np.atleast_1d(number[site].to_numpy()) for k, number in numbers.items()}
        subjects = fit.bound.subjects if data[site].ndim == 3 else [""]
        for i, subject in enumerate(subjects):
            rows.append({"site": site, "subject": subject, **{k: float(v[i]) for k, v in values.items()}})
    return DataFrame(rows)


def parameter_table(fit: Fit) -> DataFrame:
    """One row for each population site: kind, unit, median, 90 % interval, diagnostics, prior, contraction.

    Rows of varying parameters also have `cv_percent` (between-subject CV, for log-scale parameters), `omega`
    (median SD), `shrinkage` and `pooling`. `source` and `guess` come from the model file. Effects that share
    a prior follow, with the kind `covariate effect`, then the model's derived quantities at the population
    values, with the kind `derived`. `method` says how the draws were made (`Fit.caution`); a fit by laplace
    has no prior, and no contraction.

    >>> table = kn.parameter_table(kn.load_fit("runs/theophylline"))
    >>> table[["site", "kind", "unit", "prior"]].head(3)
         site        kind   unit                           prior
    0  ka_pop  population  1/day   LogNormal(median 38.23, sd 1)
    1  ke_pop  population  1/day  LogNormal(median 2.0615, sd 1)
    2  cl_pop  population  L/day  LogNormal(median 0.9521, sd 1)
    """
    require(fit=(fit, Fit))
    table = diagnostics(fit)
    diagnostics_of_site = table[table["subject"] == ""].set_index("site")
    sites = fit.sites()
    priors = fit.bound.priors() | shared_priors(fit.bound.hierarchy)
    without_prior = fit.method == "laplace"
    rows = []
    for site, prior in priors.items():
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
                "contraction": np.nan if without_prior else _contraction(prior, sites[site]),
                **{k: float(diagnostics_of_site.loc[site, k]) for k in ("r_hat", "ess_bulk", "ess_tail")},  # pyright: ignore
                "prior": "not used" if without_prior else _described(prior),
                **_source(fit, site),
                "method": fit.method,
            }
        )
    return DataFrame(rows + _derived(fit, sites))


def shared_priors(h: Hierarchy) -> dict[str, ScaleMixture]:
    """Site of every shrunk effect (its beta) -> its marginal prior."""
    if not h.shrinkage:
        return {}
    return {e.site: h.shrinkage.marginal(e.parameter) for e in h.shrunk}


def _described(prior: Prior | ScaleMixture) -> str:
    """A prior as the table shows it."""
    if isinstance(prior, ScaleMixture):
        return f"shared, 90 % between ±{prior.quantile(INTERVAL[1]):.2g}"
    return describe(prior)


def _derived(fit: Fit, sites: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Rows of the model's derived quantities (half-lives, doubling time ...) at the population values."""
    h = fit.bound.hierarchy
    theta = {}
    for name in fit.model.parameters:
        theta[name] = np.full(fit.draws, float(h.fixed[name])) if name in h.fixed else sites[f"{name}_pop"]
    rows = []
    for name, values in derived(fit.model, theta).items():
        low, median, high = np.quantile(np.asarray(values), [INTERVAL[0], 0.5, INTERVAL[1]])
        quantity = fit.model.derived[name]
        rows.append(
            {
                "site": name,
                "parameter": name,
                "kind": "derived",
                "unit": quantity.unit,
                "median": median,
                "lower": low,
                "upper": high,
                "sd": float(np.std(values)),
                "prior": quantity.label,
                "source": fit.model.name,
                "guess": False,
                "method": fit.method,
            }
        )
    return rows


def _identity(fit: Fit, site: str) -> dict[str, str]:
    """The parameter, kind and unit of a site, from its name."""
    parameters = fit.model.parameters
    for event in fit.bound.events:
        if site in event.priors():
            return {"parameter": site, **_of_event(site, event.name)}
    for grades in fit.bound.grades:
        if site in grades.priors():
            kind = "cut between grades" if site.startswith(("cut1_", "gap")) else "log odds ratio"
            return {"parameter": site, "kind": kind, "unit": "1"}
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
    if site.startswith("genome_pg_"):
        return {"parameter": site, "kind": "DNA of a counted cell", "unit": "pg"}
    if site.startswith("vcn_"):
        return {"parameter": site, "kind": "vector copies per CAR+ cell", "unit": "1"}
    if fit.bound.pair is not None and site == fit.bound.pair.site:
        return {"parameter": site, "kind": "residual correlation", "unit": "1"}
    unit = "1"
    if site.startswith("sigma_add_"):
        unit = fit.study.analytes[site.removeprefix("sigma_add_")].unit
    return {"parameter": site, "kind": "residual SD", "unit": unit}


def _of_event(site: str, event: str) -> dict[str, str]:
    """The kind and unit of a site of a time to an event."""
    if site == f"median_{event}":
        return {"kind": "median time to the event", "unit": "day"}
    if site == f"shape_{event}":
        return {"kind": "shape of the hazard", "unit": "1"}
    return {"kind": "log hazard ratio", "unit": "1"}


def _between_subjects(fit: Fit, site: str, sites: dict[str, np.ndarray]) -> dict[str, float]:
    """omega, CV, shrinkage and pooling of a varying parameter's population site; NaN for other sites."""
    name = site[:-4]
    h = fit.bound.hierarchy
    if not site.endswith("_pop") or name not in h.omega:
        return {"omega": np.nan, "cv_percent": np.nan, "shrinkage": np.nan, "pooling": np.nan}
    omega = sites[f"omega_{name}"]
    cv_percent = np.nan
    if h.priors[name].link == "log":
        cv_percent = float(np.median(100 * np.sqrt(np.expm1(omega**2))))
    return {
        "omega": float(np.median(omega)),
        "cv_percent": cv_percent,
        "shrinkage": float(1 - np.std(sites[f"eta_{name}"].mean(axis=0))),
        "pooling": _pooling(omega[:, None] * sites[f"eta_{name}"]),
    }


def _pooling(effects: np.ndarray) -> float:
    """Gelman & Pardoe's pooling factor of random effects (draw, subject); NaN for one subject."""
    between = float(np.mean(np.var(effects, axis=1)))
    if between > 0:
        return float(1 - np.var(effects.mean(axis=0)) / between)
    return np.nan


def _contraction(prior: Prior | ScaleMixture, draws: np.ndarray) -> float:
    """1 - Var(posterior)/Var(prior) on the scale where the prior is normal, log for half-normal and
    half-Cauchy.
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
    """Where the prior of a population value comes from, and whether the model file calls it a guess."""
    name = site[:-4]
    if site.endswith("_pop") and name in fit.model.parameters:
        if name in fit.bound.plan.priors:
            return {"source": f"the plan {fit.name}", "guess": False}
        p = fit.model.parameters[name]
        return {"source": p.source, "guess": p.guess}
    return {"source": "", "guess": False}
