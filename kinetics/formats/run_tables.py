"""Population values, random effects and predictions of a run, as the Monolix-like and NONMEM-like files
need them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pandas import DataFrame, concat

from kinetics.checks import Estimates, estimates, gof, parameter_table
from kinetics.inference import Fit

__all__ = ["Population", "individual_values", "population_of", "predictions_of", "random_effects"]

MAXIMA = ("laplace", "map")


@dataclass(frozen=True)
class Population:
    """table: site, value, spread, cv_percent; held values have spread NaN and held True. maximum: of laplace
    or map.

    By NUTS and VI a value is the posterior median and its spread the posterior SD, both `parameter_table`'s;
    by laplace and map the estimate and its standard error, `estimates`'.
    """

    table: DataFrame
    maximum: Estimates | None
    note: str


def population_of(fit: Fit) -> Population:
    """The population values of a run, in the order of its parameter table; fixed parameters after their
    like.
    """
    summary = parameter_table(fit)
    summary = summary[summary["kind"] != "derived"].set_index("site")
    table = DataFrame({"value": summary["median"], "spread": summary["sd"], "cv_percent": np.nan})
    maximum = None
    note = "posterior median and standard deviation"
    if fit.method in MAXIMA:
        maximum = estimates(fit)
        found = maximum.table.set_index("site")
        shared = [site for site in table.index if site in found.index]
        table.loc[shared, "value"] = found.loc[shared, "estimate"]
        table.loc[shared, "spread"] = found.loc[shared, "se"]
        note = (
            "maximum of the likelihood (no priors)" if fit.method == "laplace" else "maximum of the posterior"
        )
        note += " and standard error"
    for name in fit.bound.hierarchy.omega:
        site = f"omega_{name}"
        if site in table.index and fit.bound.hierarchy.priors[name].link == "log":
            omega = float(table["value"][site])
            table.loc[site, "cv_percent"] = 100 * np.sqrt(np.expm1(omega**2))
    held = DataFrame({"value": {f"{k}_pop": float(v) for k, v in fit.bound.hierarchy.fixed.items()}})
    held = held.reindex([f"{k}_pop" for k in fit.bound.hierarchy.fixed if f"{k}_pop" not in table.index])
    table = concat([table.assign(held=False), held.assign(spread=np.nan, cv_percent=np.nan, held=True)])
    return Population(table.rename_axis("site").reset_index(), maximum, note)


def random_effects(fit: Fit) -> dict[str, np.ndarray]:
    """Effect -> draws (draw, subject) of the random effect on the link scale: its standard deviation times
    eta.
    """
    sites = fit.sites()
    h = fit.bound.hierarchy
    return {k: sites[h.sd_site(k)][:, None] * sites[f"eta_{k}"] for k in h.vary}


def individual_values(fit: Fit) -> dict[str, np.ndarray]:
    """Parameter -> draws (draw, subject) of every subject's own value."""
    return fit.theta()


def predictions_of(fit: Fit) -> dict[str, DataFrame]:
    """Analyte -> `gof`'s table of its records."""
    table = gof(fit).table
    return {str(name): own.reset_index(drop=True) for name, own in table.groupby("analyte", sort=False)}
