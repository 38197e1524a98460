"""The sections of the report on whether the model is right and on what its covariates show."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from kinetics.checks import gof, loo, predictive_check, subgroups
from kinetics.inference import Fit
from kinetics.pages.page import Section, Table, add_figure
from kinetics.plan import BoundAssay
from kinetics.plot import number_text, plot_eta_covariates, plot_forest, plot_gof, plot_pareto_k, unit_text

__all__ = ["assessment_section", "covariate_section"]


PER_CHAIN = 250  # draws of a chain by which records are left out


def assessment_section(fit: Fit, *, replicates: int, seed: int, log: Callable[[BoundAssay], bool]) -> Section:
    """The section that assesses the model.

    It has the residuals of every analyte, the statistics of replicated studies, Pareto k of every record, and
    random effects against covariates. `log` says which analytes have a log axis.
    """
    section = Section("assessment", "Is the model right?")
    checked = gof(fit, replicates=replicates, seed=seed)
    left_out = loo(fit, draws=PER_CHAIN)
    section.words.append(
        f"Leaving out one record at a time: elpd {left_out.elpd:.1f} (SE {left_out.se:.1f}), "
        f"effective parameters {left_out.p_loo:.1f}. {left_out.advice}{'.' if left_out.advice else ''}"
    )
    section.tables.append(_residual_table(fit, checked.tests))
    section.tables.append(_statistic_table(fit, predictive_check(fit, n=replicates, seed=seed)))
    for assay in fit.bound.assays:
        add_figure(section, plot_gof(fit, checked, assay.analyte, log=log(assay)))
    add_figure(section, plot_pareto_k(fit, left_out))
    if fit.bound.hierarchy.vary and (fit.study.covariates or "weight_kg" in fit.study.subjects):
        add_figure(section, plot_eta_covariates(fit))
    return section


def covariate_section(fit: Fit) -> Section:
    """The section on the covariates: a forest of their effects, and what the data can show of each."""
    effects = subgroups(fit)
    section = Section("covariates", "Covariates and subgroups", [effects.statement])
    if (effects.table["scale"] != "difference").any():
        add_figure(section, plot_forest(fit, effects))
    heads = [
        "Parameter",
        "Effect",
        "Step",
        "Subjects",
        "Scale",
        "Median",
        "90 % interval",
        "P (above 1, or 0)",
        "P (outside 0.8 to 1.25)",
        "Prior, 90 %",
        "Contraction",
        "Says",
    ]
    numeric = [False] * 3 + [True, False] + [True] * 4 + [False, True, False]
    table = Table("What the covariates show", heads, numeric)
    for row in effects.table.to_dict("records"):
        posterior = f"{number_text(row['lower'])} to {number_text(row['upper'])}"
        prior = f"{number_text(row['prior_lower'])} to {number_text(row['prior_upper'])}"
        cells = [table.cell(row[k]) for k in ("parameter", "effect", "per", "n", "scale", "estimate")]
        cells += [table.cell(posterior), table.cell(row["p_above"])]
        cells.append(table.number(row, "p_relevant", "a difference has no such range"))
        cells += [table.cell(prior), table.cell(row["contraction"]), table.cell(row["says"])]
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _residual_table(fit: Fit, tests: pd.DataFrame) -> Table:
    """The mean, SD and tests of each kind of residual of each analyte."""
    heads = [
        "Analyte",
        "Residual",
        "Records",
        "Mean",
        "SD",
        "p (mean 0)",
        "p (SD 1)",
        "p (normal)",
        "Verdict",
    ]
    table = Table("Residuals", heads, [False] * 2 + [True] * 6 + [False])
    for row in tests.to_dict("records"):
        cells = [table.cell(fit.study.analytes[row["analyte"]].label), table.cell(row["residual"])]
        cells.append(table.cell(int(row["n"])))
        columns = ("mean", "sd", "p_mean", "p_variance", "p_normal")
        cells += [table.number(row, c, "fewer than four residuals, or all the same") for c in columns]
        table.rows.append([*cells, table.cell(row["verdict"])])
    return table


def _statistic_table(fit: Fit, statistics: pd.DataFrame) -> Table:
    """The statistics of the study among those of its replicates."""
    heads = ["Analyte", "Statistic", "Unit", "Observed", "Median", "5 %", "95 %", "p", "Verdict"]
    table = Table("The study and its replicates", heads, [False] * 3 + [True] * 5 + [False])
    reason = "nothing is detectable, in the study or in every replicate"
    for row in statistics.to_dict("records"):
        cells = [table.cell(fit.study.analytes[row["analyte"]].label), table.cell(row["statistic"])]
        cells.append(table.cell(unit_text(row["unit"]) or "1"))
        cells += [table.number(row, c, reason) for c in ("observed", "median", "lower", "upper", "p")]
        mark = {"like": "pass", "unlike": "fail"}.get(row["verdict"], "")
        table.rows.append([*cells, table.cell(row["verdict"], mark=mark)])
    return table
