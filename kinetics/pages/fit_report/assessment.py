"""The sections of the report on whether the model is right and on what its covariates show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from kinetics.checks import gof, loo, predictive_check, subgroups
from kinetics.inference import Fit
from kinetics.pages.fit_report.words import covariate_words, unit_words
from kinetics.pages.page import Section, Table, add_figure, p_text
from kinetics.plan import BoundAssay
from kinetics.plot import (
    number_text,
    parameter_words,
    plot_eta_covariates,
    plot_forest,
    plot_gof,
    plot_pareto_k,
)

__all__ = ["assessment_section", "covariate_section"]


_RESIDUALS = {"npde": "against new patients (npde)", "iwres": "against the subject’s own curve (iwres)"}
_STATISTICS = {
    "median cmax": "Median peak",
    "90th percentile of cmax": "90th percentile of peaks",
    "SD of log cmax": "SD of the log of peaks",
    "median tmax": "Median time to peak",
    "median last detectable": "Median day last detected",
    "mean below LLOQ": "Mean share below LLOQ",
    "subjects never detectable": "Subjects never detected",
}
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
        f"Leaving out one record at a time ({left_out.draws:,} of {fit.draws:,} draws): "
        f"elpd {left_out.elpd:.1f} (SE {left_out.se:.1f}), effective parameters {left_out.p_loo:.1f}. "
        f"{left_out.advice}{'.' if left_out.advice else ''}"
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
    heads = ["On", "Effect of", "Step", "Subjects", "Median (90\N{NO-BREAK SPACE}% interval)", "Prior"]
    heads += ["Learnt", "What it says"]
    short = Table("What the covariates show", heads, [False] * 3 + [True] * 4 + [False], data=effects.table)
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
    table = Table("Every number of the covariates", heads, numeric, folded=True, data=effects.table)
    for row in effects.table.to_dict("records"):
        posterior = f"{number_text(row['lower'])} to {number_text(row['upper'])}"
        prior = f"{number_text(row['prior_lower'])} to {number_text(row['prior_upper'])}"
        on = parameter_words(fit.model, row["parameter"])
        effect = covariate_words(fit, row["covariate"])
        if row["level"]:
            effect += f": {row['level']} against {row['reference']}"
        share = float(np.clip(row["contraction"], 0, 1))
        cells = [short.cell(text) for text in (on, effect, row["per"], row["n"])]
        cells.append(short.interval(row["estimate"], row["lower"], row["upper"]))
        cells += [short.cell(prior), short.cell(f"{100 * share:.0f} %") | {"share": share}]
        short.rows.append([*cells, short.cell(row["says"])])
        cells = [
            table.cell(text) for text in (on, effect, row["per"], row["n"], row["scale"], row["estimate"])
        ]
        cells += [table.cell(posterior), table.cell(row["p_above"])]
        cells.append(table.number(row, "p_relevant", "a difference has no such range"))
        cells += [table.cell(prior), table.cell(row["contraction"]), table.cell(row["says"])]
        table.rows.append(cells)
    section.tables += [short, table]
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
        cells = [
            table.cell(fit.study.analytes[row["analyte"]].label),
            table.cell(_RESIDUALS[row["residual"]]),
        ]
        cells.append(table.cell(int(row["n"])))
        reason = "fewer than four residuals, or all the same"
        cells += [table.number(row, column, reason) for column in ("mean", "sd")]
        for column in ("p_mean", "p_variance", "p_normal"):
            missing = pd.isna(row[column])
            cells.append(table.cell(np.nan, reason) if missing else table.cell(p_text(row[column])))
        table.rows.append([*cells, table.cell(row["verdict"])])
    return table


def _statistic_table(fit: Fit, statistics: pd.DataFrame) -> Table:
    """The statistics of the study among those of its replicates."""
    heads = ["Analyte", "Statistic", "Unit", "Observed", "Median", "5 %", "95 %", "p", "Verdict"]
    table = Table("The study and its replicates", heads, [False] * 3 + [True] * 5 + [False])
    reason = "nothing is detectable, in the study or in every replicate"
    for row in statistics.to_dict("records"):
        cells = [
            table.cell(fit.study.analytes[row["analyte"]].label),
            table.cell(_STATISTICS.get(row["statistic"], row["statistic"])),
        ]
        cells.append(table.cell(unit_words(row["unit"])))
        cells += [table.number(row, c, reason) for c in ("observed", "median", "lower", "upper")]
        cells.append(table.number(row, "p", reason) if pd.isna(row["p"]) else table.cell(p_text(row["p"])))
        mark = {"like": "pass", "unlike": "fail"}.get(row["verdict"], "")
        table.rows.append([*cells, table.cell(row["verdict"], mark=mark)])
    return table
