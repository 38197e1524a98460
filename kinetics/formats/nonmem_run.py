"""A run as NONMEM-like tables: raw estimates (.ext), individual effects (.phi), and which THETA is which.

Layout as NONMEM 7.5 writes it (seen in pharmpy's example pheno.ext and pheno.phi; meanings of the negative
iterations: NONMEM 7 guide, section on the raw output file): -1000000000 the final values, -1000000001 their
standard errors (1E+10 of a fixed one), -1000000004 OMEGA and SIGMA as standard deviations and correlations,
-1000000006 whether fixed. By NUTS and VI the values are posterior medians, the errors posterior standard
deviations, and there is no objective: NaN. OMEGA is of the random effects, on the link scale; SIGMA of the
residual standard deviations.
"""

from __future__ import annotations

import math
import re

import numpy as np
from pandas import DataFrame

from kinetics.formats.nonmem_data import nonmem_ids
from kinetics.formats.run_tables import Population, population_of, random_effects
from kinetics.inference import Fit

__all__ = ["nonmem_run_files", "nonmem_run_tables"]

FIXED_SE = 1e10  # NONMEM's standard error of what was not estimated


def nonmem_run_files(fit: Fit) -> dict[str, str | bytes]:
    """File name -> content: NAME.ext, NAME.phi, NAME.names.csv."""
    ext, phi, names = nonmem_run_tables(fit)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", fit.name)
    title = _title(fit)
    return {
        f"{name}.ext": _table(f"{title}: Goal Function={_goal(fit)}: {_PROBLEM}", ext, "ITERATION"),
        f"{name}.phi": _table(f"{title}: {_PROBLEM}", phi, "SUBJECT_NO"),
        f"{name}.names.csv": names.to_csv(index=False, lineterminator="\n"),
    }


def nonmem_run_tables(fit: Fit) -> tuple[DataFrame, DataFrame, DataFrame]:
    """The raw estimates, the individual effects, and the names: column, site, meaning."""
    population = population_of(fit)
    table = population.table.set_index("site")
    effects = list(fit.bound.hierarchy.vary)
    residual = [s for s in table.index if _is_residual(fit, s)]
    inner = {f"omega_{k}" for k in fit.bound.hierarchy.omega} | {
        f"gamma_{k}" for k in fit.bound.hierarchy.gamma
    }
    inner |= {s for s in table.index if s.startswith("corr_")}
    thetas = [s for s in table.index if s not in inner and s not in residual]
    names = [(f"THETA{i}", site, "population value") for i, site in enumerate(thetas, start=1)]
    rows = {code: {} for code in (-1000000000, -1000000001, -1000000004, -1000000006)}
    for column, site, _ in names:
        _put(rows, column, table, site)
        rows[-1000000004][column] = 0.0
    for i, site in enumerate(residual, start=1):
        for j in range(1, i):
            _put_square(rows, f"SIGMA({i},{j})", table, None)
        _put_square(rows, f"SIGMA({i},{i})", table, site)
        names.append((f"SIGMA({i},{i})", site, "residual SD, squared"))
    omegas = _omegas(fit, table, rows, effects)
    objective = population.maximum.ofv if population.maximum is not None else np.nan
    ext = DataFrame([{"ITERATION": code, **values} for code, values in rows.items()])
    ext["OBJ"] = [objective, 0.0, 0.0, 0.0]
    phi = _phi(fit, population, effects)
    return ext, phi, DataFrame(names + omegas, columns=["column", "site", "meaning"])


def _is_residual(fit: Fit, site: str) -> bool:
    """Whether a site is a residual standard deviation of an assay."""
    return any(
        site in (f"sigma_{a.analyte}", f"sigma_add_{a.analyte}") and site in a.priors
        for a in fit.bound.assays
    )


def _put(rows: dict[int, dict[str, float]], column: str, table: DataFrame, site: str) -> None:
    """A value, its spread and whether it is fixed."""
    held = bool(table.loc[site, "held"])
    spread = float(table.loc[site, "spread"])  # pyright: ignore[reportArgumentType]
    rows[-1000000000][column] = float(table.loc[site, "value"])  # pyright: ignore[reportArgumentType]
    rows[-1000000001][column] = spread if np.isfinite(spread) else FIXED_SE
    rows[-1000000006][column] = float(held or not np.isfinite(spread))


def _put_square(rows: dict[int, dict[str, float]], column: str, table: DataFrame, site: str | None) -> None:
    """A variance out of a standard deviation, its error by the delta method; a zero, fixed, where there is
    none.
    """
    if site is None:
        values = {-1000000000: 0.0, -1000000001: FIXED_SE, -1000000004: 0.0, -1000000006: 1.0}
    else:
        sd, spread = (float(table.loc[site, c]) for c in ("value", "spread"))  # pyright: ignore[reportArgumentType]
        known = np.isfinite(spread)
        values = {
            -1000000000: sd**2,
            -1000000001: 2 * sd * spread if known else FIXED_SE,
            -1000000004: sd,
            -1000000006: float(not known),
        }
    for code, value in values.items():
        rows[code][column] = value


def _omegas(
    fit: Fit, table: DataFrame, rows: dict[int, dict[str, float]], effects: list[str]
) -> list[tuple[str, str, str]]:
    """The lower triangle of OMEGA, row by row; covariances out of correlations, their error at fixed SDs."""
    h = fit.bound.hierarchy
    names = []
    for i, later in enumerate(effects):
        for j, earlier in enumerate(effects[: i + 1]):
            column = f"OMEGA({i + 1},{j + 1})"
            pair = next(
                (s for s in (f"corr_{earlier}_{later}", f"corr_{later}_{earlier}") if s in table.index), None
            )
            if i == j:
                _put_square(rows, column, table, h.sd_site(later))
                names.append((column, h.sd_site(later), f"variance of eta_{later}: ETA({i + 1})"))
                continue
            _put_square(rows, column, table, None)
            if pair is not None:
                product = math.prod([float(table.loc[h.sd_site(k), "value"]) for k in (earlier, later)])  # pyright: ignore
                value, spread = (float(table.loc[pair, c]) for c in ("value", "spread"))  # pyright: ignore
                rows[-1000000000][column] = value * product
                rows[-1000000001][column] = spread * product
                rows[-1000000004][column] = value
                rows[-1000000006][column] = 0.0
                names.append((column, pair, "covariance"))
    return names


def _phi(fit: Fit, population: Population, effects: list[str]) -> DataFrame:
    """SUBJECT_NO, ID, ETA(i), ETC(i,j): mean (mode of a maximum) and covariance of each subject's random
    effects.
    """
    draws = random_effects(fit)
    ids = nonmem_ids(fit.study)
    columns: dict[str, object] = {
        "SUBJECT_NO": np.arange(1, len(fit.bound.subjects) + 1),
        "ID": [ids[s] for s in fit.bound.subjects],
    }
    for i, name in enumerate(effects, start=1):
        columns[f"ETA({i})"] = draws[name].mean(axis=0)
        if population.maximum is not None:
            sd = population.table.set_index("site")["value"][fit.bound.hierarchy.sd_site(name)]
            columns[f"ETA({i})"] = sd * population.maximum.ebes[f"eta_{name}"].to_numpy()
    for i, later in enumerate(effects):
        for j, earlier in enumerate(effects[: i + 1]):
            a, b = (draws[k] - draws[k].mean(axis=0) for k in (later, earlier))
            columns[f"ETC({i + 1},{j + 1})"] = (a * b).mean(axis=0)
    return DataFrame(columns | {"OBJ": np.nan})


_PROBLEM = "Problem=1 Subproblem=0 Superproblem1=0 Iteration1=0 Superproblem2=0 Iteration2=0"


def _title(fit: Fit) -> str:
    """TABLE NO. 1 and what was done: the method, and that the data are synthetic."""
    methods = {
        "nuts": "NUTS Bayesian Analysis (posterior medians)",
        "vi": "Variational Bayes (posterior medians)",
        "laplace": "First Order Conditional Estimation with Interaction (Laplace)",
        "map": "Maximum a Posteriori (random effects integrated by Laplace)",
    }
    label = " [SYNTHETIC data]" if fit.study.synthetic else ""
    return f"TABLE NO.     1: {methods[fit.method]}{label}"


def _goal(fit: Fit) -> str:
    return "MINIMUM VALUE OF OBJECTIVE FUNCTION" if fit.method in ("laplace", "map") else "NONE (POSTERIOR)"


def _table(title: str, table: DataFrame, first: str) -> str:
    """A NONMEM table: a title, a header, and columns 13 wide with six digits; counts as they are."""
    lines = [title, " " + "".join(f"{name:<13}" for name in table.columns).rstrip()]
    for row in table.to_dict("records"):
        cells = []
        for name, value in row.items():
            whole = name in (first, "ID")
            cells.append(
                f"{int(value):>12d}" if whole else f"{value:>18.13f}" if name == "OBJ" else f"{value:>12.5E}"
            )
        lines.append(" " + " ".join(cells))
    return "\n".join(lines) + "\n"
