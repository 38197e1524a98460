"""Population values, random effects and predictions of a run, for its Monolix-like and NONMEM-like files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pandas import DataFrame, concat

import kinetics.checks as checks
import kinetics.inference as inference

__all__ = ["MAXIMA", "Population", "individual_values", "population_of", "predictions_of", "random_effects"]

MAXIMA = ("laplace", "map")  # the methods whose result is a maximum, with standard errors


@dataclass(frozen=True)
class Population:
    """The population values of a run: `table` has the columns site, value, spread, cv_percent and held.

    A value that was held fixed has held True and spread NaN. By NUTS and VI a value is the posterior median
    and its spread the posterior SD, both from `parameter_table`; by laplace and map they are the estimate and
    its standard error, from `estimates`, which `maximum` keeps. `note` says which of these the values are.
    """

    table: DataFrame
    maximum: checks.Estimates | None
    note: str


def population_of(fit: inference.Fit) -> Population:
    """The population values of a run, in the order of its parameter table; fixed parameters come last."""
    hierarchy = fit.bound.hierarchy
    summary = checks.parameter_table(fit)
    summary = summary[summary["kind"] != "derived"].set_index("site")
    table = DataFrame({"value": summary["median"], "spread": summary["sd"], "cv_percent": np.nan})
    maximum = None
    note = "posterior median and standard deviation"

    # by laplace and map, the estimates and their standard errors instead
    if fit.method in MAXIMA:
        maximum = checks.estimates(fit)
        estimated = maximum.table.set_index("site")
        shared = [site for site in table.index if site in estimated.index]
        table.loc[shared, "value"] = estimated.loc[shared, "estimate"]
        table.loc[shared, "spread"] = estimated.loc[shared, "se"]
        if fit.method == "laplace":
            note = "maximum of the likelihood (no priors) and standard error"
        else:
            note = "maximum of the posterior and standard error"

    # the CV of lognormal parameters
    for name in hierarchy.omega:
        site = f"omega_{name}"
        if site in table.index and hierarchy.priors[name].link == "log":
            omega = float(table["value"][site])
            table.loc[site, "cv_percent"] = 100 * np.sqrt(np.expm1(omega**2))

    # the values that were held fixed
    fixed = {f"{name}_pop": float(value) for name, value in hierarchy.fixed.items()}
    held = DataFrame({"value": fixed})
    held = held.reindex([site for site in fixed if site not in table.index])
    table = concat([table.assign(held=False), held.assign(spread=np.nan, cv_percent=np.nan, held=True)])
    return Population(table.rename_axis("site").reset_index(), maximum, note)


def random_effects(fit: inference.Fit) -> dict[str, np.ndarray]:
    """Name -> draws (draw, subject) of the random effect on the link scale: its SD times eta."""
    sites = fit.sites()
    hierarchy = fit.bound.hierarchy
    return {name: sites[hierarchy.sd_site(name)][:, None] * sites[f"eta_{name}"] for name in hierarchy.vary}


def individual_values(fit: inference.Fit) -> dict[str, np.ndarray]:
    """Parameter -> draws (draw, subject) of every subject's value."""
    return fit.theta()


def predictions_of(fit: inference.Fit) -> dict[str, DataFrame]:
    """Analyte -> the table that `gof` makes of its records."""
    table = checks.gof(fit).table
    return {str(name): rows.reset_index(drop=True) for name, rows in table.groupby("analyte", sort=False)}
