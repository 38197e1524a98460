"""A run as NONMEM-like tables: raw estimates (.ext), individual effects (.phi), and the names of its THETAs.

The layout is that of NONMEM 7.5 (from pharmpy's example pheno.ext and pheno.phi; the meanings of the negative
iterations are from the NONMEM 7 guide, section on the raw output file): -1000000000 has the final values,
-1000000001 their standard errors (1E+10 for a fixed value), -1000000004 OMEGA and SIGMA as standard
deviations and correlations, -1000000006 whether a value is fixed. For a run by NUTS or VI the values are
posterior medians, their errors are posterior standard deviations, and the objective is NaN, because there is
none. OMEGA has the variances of the random effects, on the link scale; SIGMA those of the residuals.
"""

from __future__ import annotations

import math
import re

import numpy as np
from pandas import DataFrame

import kinetics.inference as inference
from kinetics.formats.nonmem_data import nonmem_ids
from kinetics.formats.run_tables import MAXIMA, Population, population_of, random_effects
from kinetics.spreadsheets import csv_text

__all__ = ["nonmem_run_files", "nonmem_run_tables"]

FIXED_SE = 1e10  # NONMEM's standard error of what was not estimated

# iterations of an .ext file that are summaries
_FINAL = -1000000000
_STANDARD_ERROR = -1000000001
_SD_AND_CORRELATION = -1000000004
_FIXED = -1000000006

_PROBLEM = "Problem=1 Subproblem=0 Superproblem1=0 Iteration1=0 Superproblem2=0 Iteration2=0"

Rows = dict[int, dict[str, float]]  # iteration -> column -> value


def nonmem_run_files(fit: inference.Fit) -> dict[str, str | bytes]:
    """File name -> content: NAME.ext, NAME.phi, NAME.names.csv."""
    ext, phi, names = nonmem_run_tables(fit)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", fit.name)
    title = _title(fit)
    return {
        f"{name}.ext": _table(f"{title}: Goal Function={_goal(fit)}: {_PROBLEM}", ext, "ITERATION"),
        f"{name}.phi": _table(f"{title}: {_PROBLEM}", phi, "SUBJECT_NO"),
        f"{name}.names.csv": csv_text(names, f"{name}.names.csv"),
    }


def nonmem_run_tables(fit: inference.Fit) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Three tables: the raw estimates, the individual effects, and the names (column, site, meaning)."""
    population = population_of(fit)
    table = population.table.set_index("site")
    hierarchy = fit.bound.hierarchy
    effects = list(hierarchy.vary)

    # sort the sites into residual SDs, SDs and correlations of random effects, and THETAs
    residual = [site for site in table.index if _is_residual(fit, site)]
    random = {f"omega_{name}" for name in hierarchy.omega}
    random |= {f"gamma_{name}" for name in hierarchy.gamma}
    random |= {site for site in table.index if site.startswith("corr_")}
    thetas = [site for site in table.index if site not in random and site not in residual]

    # fill the columns of the raw estimates: THETAs, then SIGMA, then OMEGA
    names = [(f"THETA{i}", site, "population value") for i, site in enumerate(thetas, start=1)]
    rows: Rows = {iteration: {} for iteration in (_FINAL, _STANDARD_ERROR, _SD_AND_CORRELATION, _FIXED)}
    for column, site, _ in names:
        _put_value(rows, column, table, site)
        rows[_SD_AND_CORRELATION][column] = 0.0
    for i, site in enumerate(residual, start=1):
        for j in range(1, i):
            _put_zero(rows, f"SIGMA({i},{j})")
        _put_variance(rows, f"SIGMA({i},{i})", table, site)
        names.append((f"SIGMA({i},{i})", site, "residual SD, squared"))
    names += _put_omega(rows, fit, table, effects)

    ext = DataFrame([{"ITERATION": iteration, **values} for iteration, values in rows.items()])
    objective = population.maximum.ofv if population.maximum is not None else np.nan
    ext["OBJ"] = [objective, 0.0, 0.0, 0.0]
    phi = _phi(fit, population, effects)
    return ext, phi, DataFrame(names, columns=["column", "site", "meaning"])


def _is_residual(fit: inference.Fit, site: str) -> bool:
    """Whether a site is a residual standard deviation of an assay."""
    return any(
        site in (f"sigma_{a.analyte}", f"sigma_add_{a.analyte}") and site in a.priors
        for a in fit.bound.assays
    )


def _put_value(rows: Rows, column: str, table: DataFrame, site: str) -> None:
    """Put a value, its error and whether it is fixed into a column of `rows`."""
    held = bool(table.loc[site, "held"])
    spread = _number(table, site, "spread")
    rows[_FINAL][column] = _number(table, site, "value")
    rows[_STANDARD_ERROR][column] = spread if np.isfinite(spread) else FIXED_SE
    rows[_FIXED][column] = float(held or not np.isfinite(spread))


def _put_variance(rows: Rows, column: str, table: DataFrame, site: str) -> None:
    """Put the variance that belongs to a standard deviation; its error is by the delta method."""
    sd = _number(table, site, "value")
    spread = _number(table, site, "spread")
    estimated = np.isfinite(spread)
    rows[_FINAL][column] = sd**2
    rows[_STANDARD_ERROR][column] = 2 * sd * spread if estimated else FIXED_SE
    rows[_SD_AND_CORRELATION][column] = sd
    rows[_FIXED][column] = float(not estimated)


def _put_zero(rows: Rows, column: str) -> None:
    """Put a covariance that is fixed at zero."""
    rows[_FINAL][column] = 0.0
    rows[_STANDARD_ERROR][column] = FIXED_SE
    rows[_SD_AND_CORRELATION][column] = 0.0
    rows[_FIXED][column] = 1.0


def _put_omega(
    rows: Rows, fit: inference.Fit, table: DataFrame, effects: list[str]
) -> list[tuple[str, str, str]]:
    """Put the lower triangle of OMEGA, row by row, and return its names (column, site, meaning).

    A covariance is the correlation times both standard deviations; its error takes these as fixed.
    """
    hierarchy = fit.bound.hierarchy
    names = []
    for i, later in enumerate(effects):
        for j, earlier in enumerate(effects[: i + 1]):
            column = f"OMEGA({i + 1},{j + 1})"
            if i == j:
                site = hierarchy.sd_site(later)
                _put_variance(rows, column, table, site)
                names.append((column, site, f"variance of eta_{later}: ETA({i + 1})"))
                continue
            sites = (f"corr_{earlier}_{later}", f"corr_{later}_{earlier}")
            pair = next((site for site in sites if site in table.index), None)
            if pair is None:
                _put_zero(rows, column)
                continue
            sds = [_number(table, hierarchy.sd_site(name), "value") for name in (earlier, later)]
            product = math.prod(sds)
            correlation = _number(table, pair, "value")
            rows[_FINAL][column] = correlation * product
            rows[_STANDARD_ERROR][column] = _number(table, pair, "spread") * product
            rows[_SD_AND_CORRELATION][column] = correlation
            rows[_FIXED][column] = 0.0
            names.append((column, pair, "covariance"))
    return names


def _number(table: DataFrame, site: str, column: str) -> float:
    return float(table.loc[site, column])  # pyright: ignore[reportArgumentType]


def _phi(fit: inference.Fit, population: Population, effects: list[str]) -> DataFrame:
    """Columns SUBJECT_NO, ID, ETA(i), ETC(i,j), OBJ: one row per subject.

    ETA is the mean of a random effect (for laplace and map its mode), ETC the covariance of two, OBJ is NaN.
    """
    draws = random_effects(fit)
    ids = nonmem_ids(fit.study)
    columns: dict[str, object] = {
        "SUBJECT_NO": np.arange(1, len(fit.bound.subjects) + 1),
        "ID": [ids[s] for s in fit.bound.subjects],
    }
    for i, name in enumerate(effects, start=1):
        if population.maximum is None:
            columns[f"ETA({i})"] = draws[name].mean(axis=0)
        else:
            sd = population.table.set_index("site")["value"][fit.bound.hierarchy.sd_site(name)]
            columns[f"ETA({i})"] = sd * population.maximum.ebes[f"eta_{name}"].to_numpy()
    deviations = {name: draws[name] - draws[name].mean(axis=0) for name in effects}
    for i, later in enumerate(effects):
        for j, earlier in enumerate(effects[: i + 1]):
            columns[f"ETC({i + 1},{j + 1})"] = (deviations[later] * deviations[earlier]).mean(axis=0)
    return DataFrame(columns | {"OBJ": np.nan})


def _title(fit: inference.Fit) -> str:
    """TABLE NO. 1 and the method, marked where the data are synthetic."""
    methods = {
        "nuts": "NUTS Bayesian Analysis (posterior medians)",
        "vi": "Variational Bayes (posterior medians)",
        "laplace": "First Order Conditional Estimation with Interaction (Laplace)",
        "map": "Maximum a Posteriori (random effects integrated by Laplace)",
    }
    label = " [SYNTHETIC data]" if fit.study.synthetic else ""
    return f"TABLE NO.     1: {methods[fit.method]}{label}"


def _goal(fit: inference.Fit) -> str:
    """The kind of objective, as the title of an .ext table names it."""
    if fit.method in MAXIMA:
        return "MINIMUM VALUE OF OBJECTIVE FUNCTION"
    return "NONE (POSTERIOR)"


def _table(title: str, table: DataFrame, count_column: str) -> str:
    """A NONMEM table: a title, a header, and columns 13 wide with six digits; OBJ is wider.

    The count column (ITERATION or SUBJECT_NO) and ID are whole numbers.
    """
    lines = [title, " " + "".join(f"{name:<13}" for name in table.columns).rstrip()]
    for row in table.to_dict("records"):
        cells = []
        for name, value in row.items():
            if name in (count_column, "ID"):
                cells.append(f"{int(value):>12d}")
            elif name == "OBJ":
                cells.append(f"{value:>18.13f}")
            else:
                cells.append(f"{value:>12.5E}")
        lines.append(" " + " ".join(cells))
    return "\n".join(lines) + "\n"
