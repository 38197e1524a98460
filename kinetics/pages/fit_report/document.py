"""One HTML file of a fit: the data, the fit, what it teaches, and whether its numbers may be used.

The file needs nothing else: scripts, style and figures are in it, and it loads nothing from a network. Every
missing number is an em dash whose footnote says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.checks import Check, estimates, parameter_table, vpc
from kinetics.decision import exposures_of_table
from kinetics.exposures import exposure_summary
from kinetics.inference import Fit
from kinetics.pages.fit_report.assessment import assessment_section, covariate_section
from kinetics.pages.fit_report.organs import biodistribution_section
from kinetics.pages.page import Section, Table, add_figure, write_page
from kinetics.plan import BoundAssay
from kinetics.plot import (
    analyte_text,
    dose_exposure_figures,
    number_text,
    plot_individual_fits,
    plot_persistence,
    plot_population,
    plot_prior_posterior,
    plot_vpc,
    population_curves,
    unit_text,
)
from kinetics.prediction import individual_curves

__all__ = ["report"]

# subjects in one grid of fits, and in all
PANELS = 24
MOST_PANELS = 96
_LINEAR = ("additive", "proportional", "combined")  # likelihoods
_KINDS = (
    "population",
    "derived",
    "covariate effect",
    "between-subject SD",
    "residual SD",
    "assay scale",
    "residual correlation",
    "shrinkage of effects",
)
_EXPOSURE = {  # column -> (heading, unit: {u} is the analyte's)
    "cmax": ("Cmax", "{u}"), "tmax": ("Tmax", "day"), "auc_last": ("AUC to Tlast", "day·{u}"),
    "clast": ("Clast", "{u}"), "tlast": ("Tlast", "day"), "half_life": ("Half-life", "day"),
    "fold_expansion": ("Fold expansion", ""),
}  # fmt: skip


def report(
    fit: Fit,
    check: Check,
    nca_table: DataFrame | None = None,
    exposure_table: DataFrame | None = None,
    *,
    to: str | Path,
    draws: int = 400,
    replicates: int = 500,
    seed: int | None = None,
) -> Path:
    """Write the report of a fit to the file `to`, whole or not at all; returns its path.

    `nca_table` of `kinetics.nca`, `exposure_table` of `kinetics.exposure` (or its summary); None leaves the
    section out. `draws` are used for curves, `replicates` simulated for each visual predictive check;
    `seed` (default: the plan's) fixes both.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> kn.report(fit, kn.check(fit), to="report.html", draws=10, replicates=20).name
    'report.html'
    """
    seed = fit.bound.plan.seed if seed is None else seed
    parameters = parameter_table(fit)
    sections = [
        _data_section(fit),
        _individual_section(fit, draws),
        _population_section(fit, draws, seed),
        _vpc_section(fit, replicates, seed),
        assessment_section(fit, replicates=replicates, seed=seed, log=partial(_log, fit)),
        _parameter_section(fit, parameters),
        *([_estimates_section(fit)] if "estimates" in fit.posterior else []),
        *([covariate_section(fit)] if fit.bound.hierarchy.effects else []),
        *([_nca_section(fit, nca_table)] if nca_table is not None else []),
        *([_exposure_section(fit, exposure_table)] if exposure_table is not None else []),
        *([biodistribution_section(fit)] if fit.model.sites else []),
        _check_section(check),
        _provenance_section(fit),
    ]
    return write_page(
        "report.html",
        to,
        synthetic=fit.study.synthetic,
        fit=fit,
        study=fit.study,
        check=check,
        cautions=list(_cautions(fit, parameters)),
        sections=sections,
    )


def _cautions(fit: Fit, parameters: DataFrame) -> Iterator[str]:
    """What to keep in mind even where every check passes."""
    if fit.caution:
        yield f"These are not draws of NUTS. {fit.caution[0].upper()}{fit.caution[1:]}."
    if fit.study.synthetic:
        yield "The data are synthetic: they were simulated, and no patient stands behind any number here."
    rows = [row for row in parameters.to_dict("records") if row["kind"] == "population"]
    guesses = [row["parameter"] for row in rows if row["guess"]]
    if guesses:
        yield f"Priors that are design guesses, not published values: {', '.join(guesses)}."
    weak = [row["site"] for row in rows if row["contraction"] < 0.3]
    if weak:
        yield f"Numbers that are mostly the prior's (contraction below 30 %): {', '.join(weak)}."
    if fit.bound.held:
        guessed = [k for k in fit.bound.held if fit.model.parameters[k].guess]
        design = f"; of them design guesses: {', '.join(guessed)}" if guessed else ""
        held = f"Held at the model's values, so in no interval: {', '.join(fit.bound.held)}"
        yield f"{held}{design}."
    if fit.bound.unused:
        yield f"Parameters that no observed output depends on, and so fixed: {', '.join(fit.bound.unused)}."


def _data_section(fit: Fit) -> Section:
    study = fit.study
    summary = fit.study.summary()
    first, last = summary["time_span_days"]
    said = f"{summary['subjects']} subjects, {summary['doses']} doses of {', '.join(summary['products'])} by "
    said += f"{', '.join(r.replace('_', ' ') for r in summary['routes'])}, {summary['observations']} records "
    said += (
        f"from day {first:g} to day {last:g}. Source: {study.dictionary.source} ({study.dictionary.licence})."
    )
    section = Section("data", "Data", [said, *([study.dictionary.note] if study.dictionary.note else [])])
    heads = [
        "Analyte",
        "Assay",
        "Site",
        "Unit",
        "LLOQ",
        "Subjects",
        "Records",
        "Below LLOQ",
        "Below LLOQ (%)",
    ]
    table = Table("What was measured", heads, [False] * 4 + [True] * 5)
    for analyte in summary["analytes"].values():
        lloq = analyte["lloq"]
        cells = [
            analyte["label"],
            analyte["assay"],
            analyte["site"].replace("_", " "),
            unit_text(analyte["unit"]),
        ]
        row = [table.cell(v) for v in cells]
        why = "" if lloq is not None else "the study states no LLOQ for this analyte"
        row.append(table.cell(lloq if lloq is None else number_text(lloq, trim=True), why))
        row += [table.cell(analyte[k]) for k in ("subjects", "records", "below_lloq", "below_lloq_percent")]
        table.rows.append(row)
    section.tables.append(table)
    for assay in fit.bound.assays:
        add_figure(section, plot_persistence(study, assay.analyte, log=_log(fit, assay)))
    return section


def _individual_section(fit: Fit, draws: int) -> Section:
    curves = individual_curves(fit, draws=draws)
    subjects = fit.bound.subjects[:MOST_PANELS]
    words = []
    if len(subjects) < len(fit.bound.subjects):
        left = len(fit.bound.subjects) - len(subjects)
        words.append(f"{left} more subjects are not drawn here; `plot_individual_fits` draws any of them.")
    section = Section("fits", "The fit of each subject", words)
    for assay in fit.bound.assays:
        for start in range(0, len(subjects), PANELS):
            page = subjects[start : start + PANELS]
            log = _log(fit, assay)
            figure = plot_individual_fits(fit, assay.analyte, curves=curves, subjects=page, log=log)
            add_figure(section, figure)
    return section


def _population_section(fit: Fit, draws: int, seed: int) -> Section:
    section = Section("population", "A typical patient and new patients")
    curves = population_curves(fit, draws=draws, seed=seed)
    for assay in fit.bound.assays:
        add_figure(section, plot_population(fit, assay.analyte, curves=curves, log=_log(fit, assay)))
    return section


def _vpc_section(fit: Fit, replicates: int, seed: int) -> Section:
    section = Section("vpc", "Visual predictive check")
    for assay in fit.bound.assays:
        checked = vpc(fit, assay.analyte, n=replicates, seed=seed)
        add_figure(section, plot_vpc(fit, checked, log=_log(fit, assay)))
    return section


def _parameter_section(fit: Fit, parameters: DataFrame) -> Section:
    people = len(fit.bound.subjects)
    words = [f"What the {people} patients taught us, and what the prior said."]
    section = Section("parameters", "Parameters", words)
    heads = [
        "Parameter",
        "Unit",
        "Median",
        "90 % interval",
        "Prior",
        "Contraction",
        "Between-subject CV (%)",
        "Shrinkage",
        "R-hat",
        "ESS bulk",
        "ESS tail",
        "Kind",
        "Source of the prior",
    ]
    table = Table("Population values", heads, [False] * 2 + [True] * 2 + [False] + [True] * 6 + [False] * 2)
    rows = sorted(parameters.to_dict("records"), key=lambda row: [*_KINDS, row["kind"]].index(row["kind"]))
    table.rows = [_parameter_row(table, row) for row in rows]
    section.tables.append(table)
    add_figure(section, plot_prior_posterior(fit))
    return section


def _estimates_section(fit: Fit) -> Section:
    found = estimates(fit)
    head, *rest = str(found).split("\n")[:2]
    section = Section("estimates", "Estimates at the maximum", [head, *rest])
    heads = ["Parameter", "Estimate", "SE", "RSE (%)", "95 % interval", "Shrinkage (%)"]
    table = Table(
        "SE by the delta method; shrinkage 1 - SD(EBE)/omega", heads, [False, *[True] * 3, False, True]
    )
    for row in found.table.to_dict("records"):
        why = str(row["held"]) or "no standard error"
        numbers = [table.cell(row[k], why if pd.isna(row[k]) else "") for k in ("se", "rse_percent")]
        ends = f"{number_text(row['lower'])} to {number_text(row['upper'])}"
        interval = table.cell(np.nan, why) if pd.isna(row["lower"]) else table.cell(ends)
        share = table.cell(
            row["shrinkage_percent"], "not a between-subject SD" if pd.isna(row["shrinkage_percent"]) else ""
        )
        table.rows.append([table.cell(row["site"]), table.cell(row["estimate"]), *numbers, interval, share])
    section.tables.append(table)
    return section


def _parameter_row(table: Table, row: Mapping[Any, Any]) -> list[dict[str, Any]]:
    between = ("cv_percent", "shrinkage")
    derived = row["kind"] == "derived"
    why = {"cv_percent": "an SD on the logit or linear scale has no CV: see its omega"}
    if derived:
        why = dict.fromkeys(row, "computed from the sampled parameters: see theirs")
    elif row["kind"] != "population":
        why = dict.fromkeys(between, "not a population value")
    elif pd.isna(row["omega"]):
        why = dict.fromkeys(between, "does not vary between subjects in this fit")

    if row["method"] != "nuts":
        why |= dict.fromkeys(
            ("r_hat", "ess_bulk", "ess_tail"), f"independent draws, not chains ({row['method']})"
        )
        why |= {} if derived else {"contraction": "no prior was used (laplace)"}

    def number(key: str) -> dict[str, Any]:
        return table.cell(row[key], why.get(key, "one chain") if pd.isna(row[key]) else "")

    contraction = number("contraction")
    r_hat = number("r_hat")
    guess = bool(row["guess"])
    source = f"{row['prior']}; {row['source']}" if derived else str(row["source"])
    if not pd.isna(row["contraction"]):
        contraction["share"] = float(np.clip(row["contraction"], 0, 1))
    if not pd.isna(row["r_hat"]):
        r_hat["text"] = f"{row['r_hat']:.3f}"
    return [
        table.cell(row["site"]),
        table.cell(unit_text(row["unit"]) or "1"),
        number("median"),
        table.cell(f"{number_text(row['lower'])} to {number_text(row['upper'])}"),
        table.cell(np.nan, why["prior"]) if derived else table.cell(row["prior"]),
        contraction,
        number("cv_percent"),
        number("shrinkage"),
        r_hat,
        number("ess_bulk"),
        number("ess_tail"),
        table.cell(row["kind"]),
        table.cell(source + " (GUESS)" * guess, mark="guess" if guess else ""),
    ]


def _nca_section(fit: Fit, nca_table: DataFrame) -> Section:
    section = Section("nca", "Noncompartmental analysis")
    labels = ["subject", "product", "cycle", "n_records", "n_blq"]
    heads = ["Subject", "Product", "Cycle", "Records", "Below LLOQ"]
    areas = [c for c in nca_table.columns if c.startswith("auc_") and c[4:5].isdigit() and c.endswith("d")]
    for caption, unit, own in _by_analyte(fit, nca_table):
        named = _exposure_heads(own.columns, areas, unit)
        numeric = [False] * 3 + [True] * (2 + len(named))
        table = Table(caption, [*heads, *named.values()], numeric)
        for row in own.to_dict("records"):
            cells = [table.cell(row[c]) for c in labels if c in row]
            cells += [table.cell(row[c], _reason(row, c)) for c in named]
            table.rows.append(cells)
        section.tables.append(table)
    return section


def _exposure_section(fit: Fit, exposure_table: DataFrame) -> Section:
    section = Section("exposure", "Exposure")
    if "draw" in exposure_table:
        figures = dose_exposure_figures(fit.study, exposures_of_table(exposure_table), fit=fit)
        for figure in figures.values():
            if isinstance(figure, Figure):
                add_figure(section, figure)
    summary = exposure_summary(exposure_table) if "draw" in exposure_table else exposure_table
    quantities = list(dict.fromkeys(summary["quantity"]))
    areas = [q for q in quantities if q.startswith("auc_") and q[4:5].isdigit()]
    for caption, unit, own in _by_analyte(fit, summary):
        named = _exposure_heads(quantities, areas, unit)
        table = Table(caption, ["Subject", "Cycle", *named.values()], [False] * 2 + [True] * len(named))
        numbers = {(r["subject"], r["cycle"], r["quantity"]): r for r in own.to_dict("records")}
        order = {subject: k for k, subject in enumerate(fit.bound.subjects)}
        pairs = {(s, c) for s, c, _ in numbers}
        for subject, cycle in sorted(pairs, key=lambda pair: (order.get(pair[0], -1), pair[1])):
            found = [numbers.get((subject, cycle, q)) for q in named]
            cells = [_interval(table, r) for r in found]
            table.rows.append([table.cell(subject), table.cell(cycle), *cells])
        section.tables.append(table)
    return section


def _interval(table: Table, row: Mapping[Any, Any] | None) -> dict[str, Any]:
    if row is None or pd.isna(row["median"]):
        return table.cell(np.nan, "no posterior draw has this quantity (the curve never has it)")
    return table.cell(
        f"{number_text(row['median'])} ({number_text(row['lower'])} to {number_text(row['upper'])})"
    )


def _check_section(check: Check) -> Section:
    section = Section("checks", "Checks")
    heads = ["Check", "Verdict", "Value", "Wanted", "Where", "What to try if it fails"]
    table = Table("May these numbers be used?", heads, [False, False, True, True, False, False])
    for row in check.rows.to_dict("records"):
        ok = bool(row["ok"])
        cells = [
            table.cell(row["check"]),
            table.cell("pass" if ok else "FAIL", mark="pass" if ok else "fail"),
        ]
        value = row["value"] if pd.isna(row["value"]) else number_text(row["value"], 4, trim=True)
        cells.append(table.cell(value, str(row.get("where", "")) if pd.isna(row["value"]) else ""))
        cells += [table.cell(row.get(k, "")) for k in ("threshold", "where", "what_to_try")]
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _provenance_section(fit: Fit) -> Section:
    section = Section("provenance", "Provenance")
    table = Table("Inputs, code, versions and machine", ["What", "Value"], [False, False])
    for name, value in _flat(fit.provenance):
        table.rows.append([table.cell(name), table.cell(value, mark="code")])
    section.tables.append(table)
    return section


def _log(fit: Fit, assay: BoundAssay) -> bool:
    """Whether an analyte has a log axis: always for cells, else where its error is on the log scale."""
    return fit.model.dose_unit == "cells" or assay.likelihood not in _LINEAR


def _by_analyte(fit: Fit, table: DataFrame) -> Iterator[tuple[str, str, DataFrame]]:
    """Caption, unit and rows of each analyte, in the study's order."""
    for name, analyte in fit.study.analytes.items():
        own = DataFrame(table[table["analyte"] == name])
        unit = unit_text(analyte.unit)
        if len(own):
            yield analyte_text(analyte), unit, own


def _exposure_heads(columns: Iterable[str], areas: Sequence[str], unit: str) -> dict[str, str]:
    """Column -> heading with its unit, of the exposure numbers that the table has."""
    names = dict(_EXPOSURE)
    for area in areas:
        start, end = area.removeprefix("auc_").removesuffix("d").split("_")
        names[area] = (f"AUC {start}–{end} d", "day·{u}")
    order = ["cmax", "tmax", *areas, *(k for k in names if k not in ("cmax", "tmax", *areas))]
    present = [k for k in order if k in set(columns)]
    units = {k: names[k][1].format(u=unit) for k in present}
    return {k: f"{names[k][0]} ({units[k]})" if units[k] else names[k][0] for k in present}


def _reason(row: Mapping[Any, Any], column: str) -> str:
    reason = str(row.get(f"{column}_reason") or "")
    return reason or ("no reason was recorded" if pd.isna(row[column]) else "")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        else:
            yield (
                name,
                ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value),
            )
