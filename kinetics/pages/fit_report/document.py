"""The report of a fit as one HTML file: the data, the fit, its results, and whether its numbers may be used.

The file is complete: it holds scripts, style and figures and loads nothing from a network. Every missing
number is an em dash with a footnote that says why.
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

from kinetics.arguments import require
from kinetics.checks import Check, estimates, parameter_table, vpc
from kinetics.decision import exposures_of_table
from kinetics.exposures import exposure_summary
from kinetics.inference import Fit
from kinetics.pages.fit_report.assessment import assessment_section, covariate_section
from kinetics.pages.fit_report.organs import biodistribution_section
from kinetics.pages.fit_report.outcomes import outcome_section
from kinetics.pages.fit_report.summaries import dose_summary, glance_of
from kinetics.pages.fit_report.words import (
    assay_words,
    cycle_words,
    place_words,
    product_words,
    site_words,
    unit_words,
)
from kinetics.pages.page import Section, Table, add_figure, write_page
from kinetics.plan import BoundAssay
from kinetics.plot import (
    analyte_text,
    dose_exposure_figures,
    number_text,
    parameter_words,
    plot_individual_fits,
    plot_persistence,
    plot_population,
    plot_prior_posterior,
    plot_vpc,
    population_curves,
)
from kinetics.prediction import (
    DRAWS,
    common_days,
    curve_times,
    individual_curves,
    keep_curves,
    record_times,
)

__all__ = ["cautions", "has_log_axis", "report", "solve_once"]

PANELS = 24  # subjects in one grid of fits
MOST_PANELS = 96  # subjects in all grids
_LINEAR = ("additive", "proportional", "combined")  # likelihoods with an error on the linear scale
_KINDS = (  # kinds of parameter, in the order of the table
    "population",
    "derived",
    "covariate effect",
    "between-subject SD",
    "residual SD",
    "assay scale",
    "residual correlation",
    "shrinkage of effects",
    "median time to the event",
    "shape of the hazard",
    "log hazard ratio",
    "log odds ratio",
    "cut between grades",
)
_NAMED = 6  # parameters that a caution names
_IN_SHORT = (
    "population",
    "derived",
    "covariate effect",
    "residual correlation",
    "log hazard ratio",
    "log odds ratio",
)
_EXPOSURE = {  # column -> (heading, unit, in which {u} stands for the unit of the analyte)
    "cmax": ("Cmax", "{u}"),
    "tmax": ("Tmax", "day"),
    "auc_last": ("AUC to Tlast", "day·{u}"),
    "clast": ("Clast", "{u}"),
    "tlast": ("Tlast", "day"),
    "half_life": ("Half-life", "day"),
    "fold_expansion": ("Fold expansion", ""),
}


def report(
    fit: Fit,
    check: Check,
    nca_table: DataFrame | None = None,
    exposure_table: DataFrame | None = None,
    *,
    to: str | Path,
    draws: int = DRAWS,
    replicates: int = 500,
    seed: int | None = None,
    single_file: bool = True,
) -> Path:
    """Write the report of a fit to the file `to`, whole or not at all; return its path.

    `check` is what `kinetics.check` returns for the `fit`, `nca_table` the table of `kinetics.nca` and
    `exposure_table` that of `kinetics.exposure` (or its summary); None leaves the section out. Curves are
    computed from `draws` of the posterior, and `replicates` studies are simulated for each visual predictive
    check; `seed` (default: the plan's) fixes both. A `single_file` can be mailed as it is; else the page
    loads plotly.js from a file beside it, which reports of one folder share.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> kn.report(fit, kn.check(fit), to="report.html", draws=10, replicates=20).name
    'report.html'
    """
    require(fit=(fit, Fit), check=(check, Check))
    if seed is None:
        seed = fit.bound.plan.seed
    solve_once(fit, draws=draws)
    parameters = parameter_table(fit)
    log = partial(has_log_axis, fit)
    first_check = vpc(fit, fit.bound.assays[0].analyte, n=replicates, seed=seed)
    sections = [
        _data_section(fit),
        _individual_section(fit, draws),
        _population_section(fit, draws, seed),
        _vpc_section(fit, replicates, seed),
        assessment_section(fit, replicates=replicates, seed=seed, log=log),
        _parameter_section(fit, parameters),
    ]
    if "estimates" in fit.posterior:
        sections.append(_estimates_section(fit))
    if fit.bound.hierarchy.effects:
        sections.append(covariate_section(fit))
    if fit.bound.events or fit.bound.grades:
        sections.append(outcome_section(fit, draws=draws))
    if nca_table is not None:
        sections.append(_nca_section(fit, nca_table))
    if exposure_table is not None:
        sections.append(_exposure_section(fit, exposure_table))
    if fit.model.sites:
        sections.append(biodistribution_section(fit, draws=draws))
    sections.append(_check_section(fit, check))
    sections.append(_provenance_section(fit))
    return write_page(
        "report.html",
        to,
        single_file=single_file,
        synthetic=fit.study.synthetic,
        fit=fit,
        study=fit.study,
        check=check,
        failures=[_failure(fit, row) for row in check.rows[~check.rows["ok"]].to_dict("records")],
        glance=glance_of(fit, parameters, first_check, exposure_table, log=log),
        cautions=list(cautions(fit, parameters)),
        sections=sections,
    )


def solve_once(fit: Fit, *, draws: int = DRAWS) -> None:
    """Solve the curves of the fit's own subjects on the days of every question of the report, and keep them.

    The check, the exposures, the residuals and the figures are then answered from them.
    """
    records = np.asarray(fit.bound.data.observations.time, float)
    keep_curves(fit, [common_days(fit), record_times(fit), records], draws=draws)


def _drawn_days(fit: Fit, *, points: int = 100) -> np.ndarray:
    """About `points` of the days on which a subject's curve is solved, from its first record to its last."""
    solved = common_days(fit)
    if fit.model.vector_field is None:
        return curve_times(fit, points=points)
    rows = []
    for days, wanted in zip(solved, curve_times(fit, points=points), strict=True):
        places = np.minimum(np.searchsorted(days, wanted), len(days) - 1)
        rows.append(np.unique(days[places]))
    width = max(map(len, rows))
    return np.array([np.pad(days, (0, width - len(days)), mode="edge") for days in rows])


def cautions(fit: Fit, parameters: DataFrame) -> Iterator[str]:
    """What to keep in mind even where every check passes."""
    if fit.caution:
        yield f"These are not draws of NUTS. {fit.caution[0].upper()}{fit.caution[1:]}."
    if fit.study.synthetic:
        yield "The data are synthetic: they were simulated, and no patient stands behind any number here."
    rows = [row for row in parameters.to_dict("records") if row["kind"] == "population"]
    guesses = [row["parameter"] for row in rows if row["guess"]]
    if guesses:
        yield f"Priors that are design guesses, not published values: {_listed(fit, guesses)}."
    weak = [row["parameter"] for row in rows if row["contraction"] < 0.3]
    if weak:
        yield f"Numbers that come mostly from the prior (learnt below 30 %): {_listed(fit, weak)}."
    if fit.bound.held:
        guesses = [name for name in fit.bound.held if fit.model.parameters[name].guess]
        others = [name for name in fit.bound.held if name not in guesses]
        if guesses:
            yield f"Held at design guesses, so in no interval: {_listed(fit, guesses)}."
        if others:
            yield f"Held at the model's published values, so in no interval: {_listed(fit, others)}."
    if fit.bound.unused:
        yield f"Fixed, because no observed output depends on it: {_listed(fit, fit.bound.unused)}."


def _listed(fit: Fit, names: Iterable[str]) -> str:
    """Parameters in words, separated by semicolons."""
    words = [parameter_words(fit.model, name) for name in names]
    if len(words) > _NAMED + 2:
        more = len(words) - _NAMED
        words = [*words[:_NAMED], f"and {more} more, all named under Parameters"]
    return "; ".join([*words[:1], *(f"{w[0].lower()}{w[1:]}" if w[1:2].islower() else w for w in words[1:])])


def _failure(fit: Fit, row: Mapping[Any, Any]) -> str:
    """One sentence on a failed check, with what to try."""
    where = f" ({place_words(fit, str(row['where']))})" if row["where"] else ""
    value = number_text(row["value"], 4, trim=True)
    return f"{row['check']}: {value}, wanted {row['threshold']}{where}; {row['what_to_try']}"


def _data_section(fit: Fit) -> Section:
    """The section on the study: its size and source, a table of the analytes, and their records."""
    study = fit.study
    summary = study.summary()
    first, last = summary["time_span_days"]
    products = ", ".join(product_words(product) for product in summary["products"])
    routes = ", ".join(route.replace("_", " ") for route in summary["routes"])
    section = Section("data", "Data")
    section.words.append(
        f"{summary['subjects']} subjects, {summary['doses']} doses of {products} by {routes}, "
        f"{summary['observations']} records from day {first:g} to day {last:g}. "
        f"Source: {study.dictionary.source} ({study.dictionary.licence})."
    )
    if study.dictionary.note:
        section.words.append(study.dictionary.note)
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
        site = analyte["site"].replace("_", " ")
        texts = [analyte["label"], assay_words(analyte["assay"]), site, unit_words(analyte["unit"])]
        row = [table.cell(text) for text in texts]
        if analyte["lloq"] is None:
            row.append(table.cell(None, "the study states no LLOQ for this analyte"))
        else:
            row.append(table.cell(number_text(analyte["lloq"], trim=True)))
        row += [table.cell(analyte[k]) for k in ("subjects", "records", "below_lloq", "below_lloq_percent")]
        table.rows.append(row)
    section.tables.append(table)
    for assay in fit.bound.assays:
        add_figure(
            section, plot_persistence(study, assay.analyte, log=None if has_log_axis(fit, assay) else False)
        )
    return section


def _individual_section(fit: Fit, draws: int) -> Section:
    """The section with the fit of each subject, in grids of panels."""
    curves = individual_curves(fit, _drawn_days(fit), draws=draws)
    subjects = fit.bound.subjects[:MOST_PANELS]
    words = [f"{min(draws, fit.draws):,} of {fit.draws:,} draws of the posterior stand behind each curve."]
    if len(subjects) < len(fit.bound.subjects):
        omitted = len(fit.bound.subjects) - len(subjects)
        words.append(f"{omitted} more subjects are not drawn here; `plot_individual_fits` draws any of them.")
    section = Section("fits", "The fit of each subject", words)
    for assay in fit.bound.assays:
        log = has_log_axis(fit, assay)
        for start in range(0, len(subjects), PANELS):
            grid = subjects[start : start + PANELS]
            figure = plot_individual_fits(fit, assay.analyte, curves=curves, subjects=grid, log=log)
            add_figure(section, figure)
    return section


def _population_section(fit: Fit, draws: int, seed: int) -> Section:
    section = Section("population", "A typical patient and new patients")
    section.words.append(
        f"{draws:,} draws of the posterior stand behind each band; for each there are two new patients."
    )
    curves = population_curves(fit, draws=draws, patients=2, points=100, seed=seed)
    for assay in fit.bound.assays:
        log = has_log_axis(fit, assay)
        add_figure(section, plot_population(fit, assay.analyte, curves=curves, log=log))
    return section


def _vpc_section(fit: Fit, replicates: int, seed: int) -> Section:
    section = Section("vpc", "Visual predictive check")
    for assay in fit.bound.assays:
        checked = vpc(fit, assay.analyte, n=replicates, seed=seed)
        add_figure(section, plot_vpc(fit, checked, log=has_log_axis(fit, assay)))
    return section


def _parameter_section(fit: Fit, parameters: DataFrame) -> Section:
    """The section on the parameters: a table of all, and the prior and posterior of the population values."""
    words = [f"What the {len(fit.bound.subjects)} patients taught us, and what the prior said."]
    section = Section("parameters", "Parameters", words)
    rows = sorted(parameters.to_dict("records"), key=lambda row: [*_KINDS, row["kind"]].index(row["kind"]))
    heads = ["Typical patient", "Unit", "Median (90\N{NO-BREAK SPACE}% interval)", "Prior", "Learnt"]
    heads += ["CV between patients", "Source"]
    short = Table("What was learnt", heads, [False, False, True, False, True, True, False], data=parameters)
    short.rows = [_short_row(fit, short, row) for row in rows if row["kind"] in _IN_SHORT]
    section.tables.append(short)
    heads = [
        "Parameter",
        "Name",
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
    numeric = [False] * 3 + [True] * 2 + [False] + [True] * 6 + [False] * 2
    table = Table("Every parameter with its diagnostics", heads, numeric, folded=True, data=parameters)
    table.rows = [_parameter_row(fit, table, row) for row in rows]
    section.tables.append(table)
    if fit.bound.held:
        section.tables.append(_held_table(fit))
    add_figure(section, plot_prior_posterior(fit))
    return section


def _held_table(fit: Fit) -> Table:
    """The parameters that the fit holds: their values, and where these come from."""
    heads = ["Parameter", "Name", "Value", "Unit", "Source"]
    table = Table("Held values, in no interval", heads, [False] * 2 + [True] + [False] * 2, folded=True)
    fixed = fit.bound.hierarchy.fixed
    for name in fit.bound.held:
        parameter = fit.model.parameters[name]
        value = float(fixed.get(name, parameter.value))
        source = parameter.source
        if value != parameter.value:
            source = f"the plan {fit.name}"
        table.rows.append(
            [
                table.cell(parameter_words(fit.model, name)),
                table.cell(name, mark="code"),
                table.cell(number_text(value, trim=True)),
                table.cell(unit_words(parameter.unit)),
                table.cell(source, mark="guess" if parameter.guess else ""),
            ]
        )
    return table


def _estimates_section(fit: Fit) -> Section:
    """The section on the estimates at the maximum, with their standard errors."""
    at_maximum = estimates(fit)
    section = Section("estimates", "Estimates at the maximum", str(at_maximum).split("\n")[:2])
    heads = ["Parameter", "Estimate", "SE", "RSE (%)", "95 % interval", "Shrinkage (%)"]
    table = Table(
        "SE by the delta method; shrinkage 1 - SD(EBE)/omega", heads, [False, *[True] * 3, False, True]
    )
    for row in at_maximum.table.to_dict("records"):
        reason = str(row["held"]) or "no standard error"
        cells = [table.cell(site_words(fit, row["site"])), table.cell(row["estimate"])]
        cells += [table.number(row, column, reason) for column in ("se", "rse_percent")]
        if pd.isna(row["lower"]):
            cells.append(table.cell(np.nan, reason))
        else:
            cells.append(table.cell(f"{number_text(row['lower'])} to {number_text(row['upper'])}"))
        cells.append(table.number(row, "shrinkage_percent", "not a between-subject SD"))
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _reasons(row: Mapping[Any, Any]) -> dict[str, str]:
    """Why numbers of a parameter may be missing, by column of `kinetics.parameter_table`."""
    derived = row["kind"] == "derived"
    reasons: dict[str, str]
    if derived:
        reasons = dict.fromkeys(row, "computed from the sampled parameters: see theirs")
    elif row["kind"] != "population":
        reasons = dict.fromkeys(("cv_percent", "shrinkage"), "not a population value")
    elif pd.isna(row["omega"]):
        reasons = dict.fromkeys(("cv_percent", "shrinkage"), "does not vary between subjects in this fit")
    else:
        reasons = {"cv_percent": "an SD on the logit or linear scale has no CV: see its spread"}
    if row["method"] != "nuts":
        no_chains = f"independent draws, not chains ({row['method']})"
        reasons |= dict.fromkeys(("r_hat", "ess_bulk", "ess_tail"), no_chains)
        if not derived:
            reasons["contraction"] = "no prior was used (laplace)"
    return reasons


def _short_row(fit: Fit, table: Table, row: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """The cells of one parameter in the table that fits the page."""
    reasons = _reasons(row)
    if pd.isna(row["contraction"]):
        learnt = table.cell(np.nan, reasons.get("contraction", "not computed"))
    else:
        share = float(np.clip(row["contraction"], 0, 1))
        learnt = table.cell(f"{100 * share:.0f} %") | {"share": share}
    if pd.isna(row["cv_percent"]):
        cv = table.cell(np.nan, reasons.get("cv_percent", "not computed"))
    else:
        cv = table.cell(f"{row['cv_percent']:.0f} %")
    prior = table.cell(row["prior"])
    if row["kind"] == "derived":
        prior = table.cell(np.nan, reasons["prior"])
    source = str(row["source"])
    return [
        table.cell(site_words(fit, row["site"]).removesuffix(", typical patient")),
        table.cell(unit_words(row["unit"])),
        table.interval(row["median"], row["lower"], row["upper"]),
        prior,
        learnt,
        cv,
        table.cell(source, mark="guess" if row["guess"] else ""),
    ]


def _parameter_row(fit: Fit, table: Table, row: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """The cells of one parameter."""
    reasons = _reasons(row)

    def number(column: str) -> dict[str, Any]:
        return table.number(row, column, reasons.get(column, "one chain"))

    contraction = number("contraction")
    if not pd.isna(row["contraction"]):
        contraction["share"] = float(np.clip(row["contraction"], 0, 1))
    r_hat = number("r_hat")
    if not pd.isna(row["r_hat"]):
        r_hat["text"] = f"{row['r_hat']:.3f}"
    prior = table.cell(row["prior"])
    source = str(row["source"])
    if row["kind"] == "derived":
        prior = table.cell(np.nan, reasons["prior"])
        source = f"{row['prior']}; {row['source']}"
    mark = ""
    if row["guess"]:
        source += " (GUESS)"
        mark = "guess"
    return [
        table.cell(site_words(fit, row["site"])),
        table.cell(row["site"], mark="code"),
        table.cell(unit_words(row["unit"])),
        number("median"),
        table.cell(f"{number_text(row['lower'])} to {number_text(row['upper'])}"),
        prior,
        contraction,
        number("cv_percent"),
        number("shrinkage"),
        r_hat,
        number("ess_bulk"),
        number("ess_tail"),
        table.cell(row["kind"]),
        table.cell(source, mark=mark),
    ]


def _nca_section(fit: Fit, nca_table: DataFrame) -> Section:
    """The section on the exposures computed from the records alone.

    For each analyte a summary by dose, then the rows of the subjects.
    """
    section = Section("nca", "Noncompartmental analysis")
    labels = ["subject", "product", "cycle", "n_records", "n_blq"]
    heads = ["Subject", "Product", "Cycle", "Records", "Below LLOQ"]
    areas = [c for c in nca_table.columns if c.startswith("auc_") and c[4:5].isdigit() and c.endswith("d")]
    listings = []
    for caption, unit, rows in _by_analyte(fit, nca_table):
        exposure_heads = _exposure_heads(rows.columns, areas, unit)
        section.tables.append(dose_summary(fit, rows, exposure_heads, caption))
        numeric = [False] * 3 + [True] * (2 + len(exposure_heads))
        table = Table(f"Every subject: {caption}", [*heads, *exposure_heads.values()], numeric)
        table.folded = True
        table.data = rows
        for row in rows.to_dict("records"):
            row |= {"product": product_words(str(row["product"])), "cycle": cycle_words(row["cycle"])}
            cells = [table.cell(row[c]) for c in labels if c in row]
            bounds = str(row.get("lower_bound", "")).split(",")
            for column in exposure_heads:
                value = f"≥ {number_text(row[column])}" if column in bounds else row[column]
                cells.append(table.cell(value, _reason(row, column)))
            table.rows.append(cells)
        listings.append(table)
    section.tables += listings
    return section


def _exposure_section(fit: Fit, exposure_table: DataFrame) -> Section:
    """The section on the exposures of the fitted curves: a summary by dose, then every subject.

    A table of draws is also drawn against dose; of its summary there are only the tables of each analyte.
    """
    section = Section("exposure", "Exposure")
    summary = exposure_table
    if "draw" in exposure_table:
        summary = exposure_summary(exposure_table)
        section.words.append(
            f"{exposure_table['draw'].nunique():,} of {fit.draws:,} draws of the posterior stand behind each "
            "number. The summaries by dose are over the subjects' medians."
        )
        figures = dose_exposure_figures(fit.study, exposures_of_table(exposure_table), fit=fit)
        for figure in figures.values():
            if isinstance(figure, Figure):
                add_figure(section, figure)
    quantities = list(dict.fromkeys(summary["quantity"]))
    areas = [q for q in quantities if q.startswith("auc_") and q[4:5].isdigit()]
    order = {subject: k for k, subject in enumerate(fit.bound.subjects)}
    listings = []
    for caption, unit, rows in _by_analyte(fit, summary):
        heads = _exposure_heads(quantities, areas, unit)
        keys = ["analyte", "cycle", "subject"]
        medians = rows.pivot(index=keys, columns="quantity", values="median").reset_index()
        section.tables.append(dose_summary(fit, medians, heads, caption))
        table = Table(
            f"Every subject: {caption}",
            ["Subject", "Cycle", *heads.values()],
            [False] * 2 + [True] * len(heads),
        )
        table.folded = True
        table.data = rows
        intervals = {(r["subject"], r["cycle"], r["quantity"]): r for r in rows.to_dict("records")}
        courses = {(subject, cycle) for subject, cycle, _ in intervals}
        for subject, cycle in sorted(courses, key=lambda course: (order.get(course[0], -1), course[1])):
            cells = [table.cell(subject), table.cell(cycle_words(cycle))]
            cells += [_interval(table, intervals.get((subject, cycle, quantity))) for quantity in heads]
            table.rows.append(cells)
        listings.append(table)
    section.tables += listings
    return section


def _interval(table: Table, row: Mapping[Any, Any] | None) -> dict[str, Any]:
    """The cell of a posterior median with its interval; a row without one gives a reason."""
    if row is None or pd.isna(row["median"]):
        return table.cell(np.nan, "no posterior draw has this quantity (the curve never has it)")
    return table.cell(
        f"{number_text(row['median'])} ({number_text(row['lower'])} to {number_text(row['upper'])})"
    )


def _check_section(fit: Fit, check: Check) -> Section:
    """The section on the checks: the value and threshold of each, and what to try if it fails."""
    section = Section("checks", "Checks")
    heads = ["Check", "Verdict", "Value", "Wanted", "Where", "What to try if it fails"]
    table = Table("May these numbers be used?", heads, [False, False, True, True, False, False])
    for row in check.rows.to_dict("records"):
        cells = [table.cell(row["check"])]
        if row["ok"]:
            cells.append(table.cell("pass", mark="pass"))
        else:
            cells.append(table.cell("FAIL", mark="fail"))
        if pd.isna(row["value"]):
            cells.append(table.cell(row["value"], str(row.get("where", ""))))
        else:
            cells.append(table.cell(number_text(row["value"], 4, trim=True)))
        cells.append(table.cell(row["threshold"]))
        cells.append(table.cell(place_words(fit, str(row["where"]))))
        cells.append(table.cell("" if row["ok"] else row["what_to_try"]))
        table.rows.append(cells)
    section.tables.append(table)
    return section


def _provenance_section(fit: Fit) -> Section:
    """The section on where the numbers come from: inputs, code, versions and machine."""
    section = Section("provenance", "Provenance")
    table = Table("Inputs, code, versions and machine", ["What", "Value"], [False, False], folded=True)
    for name, value in _flat(fit.provenance):
        table.rows.append([table.cell(name), table.cell(value, mark="code")])
    section.tables.append(table)
    return section


def has_log_axis(fit: Fit, assay: BoundAssay) -> bool:
    """Whether an analyte has a log axis: always for cells, otherwise where its error is on the log scale."""
    return fit.model.dose_unit == "cells" or assay.likelihood not in _LINEAR


def _by_analyte(fit: Fit, table: DataFrame) -> Iterator[tuple[str, str, DataFrame]]:
    """The caption, unit and rows of each analyte, in the order of the study."""
    for name, analyte in fit.study.analytes.items():
        rows = DataFrame(table[table["analyte"] == name])
        if len(rows):
            yield analyte_text(analyte), unit_words(analyte.unit), rows


def _exposure_heads(columns: Iterable[str], areas: Sequence[str], unit: str) -> dict[str, str]:
    """The headings with units of the exposures that the table has, by column; areas follow Tmax."""
    names = dict(_EXPOSURE)
    for area in areas:
        start, end = area.removeprefix("auc_").removesuffix("d").split("_")
        names[area] = (f"AUC {start}–{end} d", "day·{u}")
    present = set(columns)
    heads = {}
    for column in dict.fromkeys(["cmax", "tmax", *areas, *names]):
        if column in present:
            name, unit_pattern = names[column]
            column_unit = unit_pattern.format(u=unit).removesuffix("·")
            heads[column] = f"{name} ({column_unit})" if column_unit else name
    return heads


def _reason(row: Mapping[Any, Any], column: str) -> str:
    """The recorded reason of a number; a missing number has one in any case."""
    reason = str(row.get(f"{column}_reason") or "")
    if not reason and pd.isna(row[column]):
        return "no reason was recorded"
    return reason


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested mappings as (path, text)."""
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value)) or "none"
        else:
            yield name, str(value)
