"""A model analysis report: what the locked plan asked for, what was run, and every departure between the two.

The elements of the assessment are those of `analysis_plan`. The report is one HTML file, a Word document with
the same sections, and a PDF that a browser on this machine prints of the HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.arguments import require
from kinetics.checks import (
    By,
    GoodnessOfFit,
    Loo,
    check,
    compare,
    estimates,
    gof,
    loo,
    parameter_table,
    sensitivity,
    vpc,
)
from kinetics.errors import InputError
from kinetics.files import write_atomic
from kinetics.inference import Fit
from kinetics.pages import (
    Section,
    Table,
    add_figure,
    cautions,
    has_log_axis,
    page_text,
    place_words,
    site_words,
)
from kinetics.plot import number_text, plot_individual_predictions, plot_vpc, printed_page, unit_text
from kinetics.submission.analysis_plan import AnalysisPlan, read_analysis_plan
from kinetics.submission.criteria import CriterionOutcome, criterion_outcomes
from kinetics.submission.departures import Deviation, deviations, planned_fit_of
from kinetics.submission.plan_document import BASIS, assessment_table, table_of, versions_table
from kinetics.submission.plan_lock import PlanLock, read_lock
from kinetics.submission.word_document import word_document

__all__ = ["AnalysisReport", "analysis_report"]

PANELS = 24  # subjects in one grid of panels
# draws of each chain and points of each subject's integral in the sensitivity to priors: a closed form is
# evaluated in microseconds, equations take a thousand times longer
_CLOSED_FORM = (500, 256)
_EQUATIONS = (60, 64)
NAME = "analysis_report"


@dataclass(frozen=True)
class AnalysisReport:
    """A report that was written: its files, what of it is missing, and what it says.

    files: HTML, DOCX, and PDF where a browser printed it. notes: what is missing, and why. outcomes: every
    planned criterion with its outcome. deviations: every departure from the locked plan.

    >>> kn.submission.AnalysisReport((), ("no PDF",), (), ()).notes
    ('no PDF',)
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    outcomes: tuple[CriterionOutcome, ...]
    deviations: tuple[Deviation, ...]


def analysis_report(
    fit: Fit,
    map_file: str | Path,
    *,
    to: str | Path,
    others: Sequence[Fit] = (),
    calibration: Mapping[str, Any] | None = None,
    replicates: int = 300,
    seed: int | None = None,
) -> AnalysisReport:
    """Write the report of a run against its locked plan into the folder `to`: HTML, DOCX and PDF.

    `fit` is the primary run, `others` the runs made besides; `calibration` is the summary of `kinetics sbc`.
    `replicates` studies are simulated for residuals and visual predictive checks, by `seed` (default: the
    plan's). PlanError as of `read_analysis_plan` and `read_lock`. Without a browser there is no PDF, and the
    DOCX has no pictures; `notes` says so.

    >>> try:
    ...     kn.submission.analysis_report(kn.load_fit("runs/theophylline"), "nothing/map.toml", to="reports")
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    require(fit=(fit, Fit), map_file=(map_file, str | Path))
    plan = read_analysis_plan(map_file)
    lock = read_lock(map_file)
    checked = check(fit)
    leave_out = _once(loo)
    outcomes = criterion_outcomes(plan, fit, checked, calibration, leave_out=leave_out)
    departures = deviations(lock, map_file, [fit, *others], outcomes)
    seed = fit.bound.plan.seed if seed is None else seed
    residuals = gof(fit, replicates=replicates, seed=seed)
    figures = {
        "individual": list(_individual_figures(fit, residuals)),
        "vpc": [
            plot_vpc(fit, vpc(fit, assay.analyte, n=replicates, seed=seed), log=has_log_axis(fit, assay))
            for assay in fit.bound.assays
        ],
    }
    sections = [
        Section("m15", "Assessment", [BASIS], tables=[_filled(assessment_table(plan), outcomes)]),
        Section("criteria", "Planned criteria and their outcomes", tables=[_outcome_table(fit, outcomes)]),
        _deviation_section(lock, departures),
        _development_section(plan, lock, [fit, *others], leave_out),
        _data_section(fit),
        Section("parameter-values", "Parameters", tables=[_parameter_table(fit)]),
        Section("individual", "Observed, IPRED and PRED of each subject"),
        Section("vpc", "Visual predictive check"),
        _sensitivity_section(fit),
        _limit_section(fit, plan),
        Section("run", "Provenance", tables=[_provenance_table(fit)]),
    ]
    lead = [
        plan.question_of_interest,
        f"Fit {fit.name}, model {fit.model.name}, method {fit.method}, study {fit.study.name}.",
        *_verdict_lines(outcomes, departures),
    ]
    word = word_document(plan.title, lead, sections, figures, synthetic=fit.study.synthetic)
    for section in sections:
        for figure in figures.get(section.name, ()):
            add_figure(section, figure)
    page = _page(fit, plan, lock, sections, outcomes=outcomes, departures=departures)
    folder = Path(to)
    files = [write_atomic(folder / f"{NAME}.html", page), write_atomic(folder / f"{NAME}.docx", word)]
    notes = []
    pdf = printed_page(page)
    if pdf is None:
        notes.append(
            "no PDF, and no pictures in the DOCX: no Chrome or Chromium is on this machine "
            "(KINETICS_BROWSER may name one)"
        )
    else:
        files.append(write_atomic(folder / f"{NAME}.pdf", pdf))
    return AnalysisReport(tuple(files), tuple(notes), tuple(outcomes), tuple(departures))


def _page(
    fit: Fit,
    plan: AnalysisPlan,
    lock: PlanLock,
    sections: list[Section],
    *,
    outcomes: Sequence[CriterionOutcome],
    departures: Sequence[Deviation],
) -> str:
    """The report as HTML."""
    met = all(outcome.outcome == "met" for outcome in outcomes)
    title = "Every planned criterion is met" if met else "Not every planned criterion is met"
    return page_text(
        "submission.html",
        synthetic=fit.study.synthetic,
        cautions=list(cautions(fit, parameter_table(fit))),
        sections=sections,
        over="Model analysis report",
        heading=plan.title,
        lead=plan.question_of_interest,
        verdict={"ok": met, "title": title, "lines": _verdict_lines(outcomes, departures)},
        foot=f"Study {fit.study.name}, data {fit.study.sha256[:12]}, model {fit.model.name} "
        f"{fit.model.sha256[:12]}, plan version {lock.latest.number} {lock.latest.sha256[:12]}.",
    )


def _verdict_lines(outcomes: Sequence[CriterionOutcome], departures: Sequence[Deviation]) -> list[str]:
    """How many criteria are met, and how many departures there are."""
    counts = {word: sum(o.outcome == word for o in outcomes) for word in ("met", "not met", "not made")}
    criteria = ", ".join(f"{n} {word}" for word, n in counts.items())
    return [f"Planned criteria: {criteria}.", f"Deviations from the locked plan: {len(departures)}."]


def _filled(table: Table, outcomes: Sequence[CriterionOutcome]) -> Table:
    """The assessment with what became of each technical criterion."""
    words = [f"{o.criterion}: {o.outcome}{f' ({o.value})' if o.value else ''}" for o in outcomes]
    for row in table.rows:
        if row[0]["text"] == "Technical criteria":
            row[2] = table.cell("; ".join(words))
    return table


def _outcome_table(fit: Fit, outcomes: Sequence[CriterionOutcome]) -> Table:
    """Every planned criterion with its outcome."""
    heads = ["Criterion", "Wanted", "Value", "Outcome", "Where, or why not"]
    table = Table("Planned criteria", heads, [False] * 5)
    for o in outcomes:
        mark = "pass" if o.outcome == "met" else "fail"
        cells = [table.cell(text or None) for text in (o.criterion, o.wanted, o.value)]
        table.rows.append(
            [*cells, table.cell(o.outcome, mark=mark), table.cell(place_words(fit, o.where) or None)]
        )
    return table


def _deviation_section(lock: PlanLock, departures: Sequence[Deviation]) -> Section:
    """The versions of the plan, and every departure from it."""
    words = [
        "Found by comparing the locked plan with the run: the plan as it is now, the times, each run's plan, "
        "model file and code, and the criteria."
    ]
    if not departures:
        words.append("No deviation was found.")
    rows = [[d.subject, d.planned, d.done] for d in departures]
    tables = [versions_table(lock)]
    if rows:
        tables.append(table_of("Deviations", ["What", "Planned", "Done"], rows))
    return Section("deviations", "Deviations from the locked plan", words, tables=tables)


def _once(leave_out: Callable[[Fit, By], Loo]) -> Callable[[Fit, By], Loo]:
    """`leave_out`, which asks each fit only once for records and once for subjects."""
    known: dict[tuple[int, By], Loo] = {}

    def answer(fit: Fit, by: By) -> Loo:
        if (id(fit), by) not in known:
            known[id(fit), by] = leave_out(fit, by)
        return known[id(fit), by]

    return answer


def _development_section(
    plan: AnalysisPlan, lock: PlanLock, runs: Sequence[Fit], leave_out: Callable[[Fit, By], Loo]
) -> Section:
    """The runs in the order in which they began, with what each is for and how well it does."""
    reasons = {_stem(model.plan): model for model in plan.models}
    rows = []
    for run in sorted(runs, key=lambda run: str(run.provenance.get("started", ""))):
        planned = planned_fit_of(lock.latest.content, run)
        model = reasons.get(planned)
        ofv = number_text(estimates(run).ofv, 6) if "estimates" in run.posterior else ""
        left_out = leave_out(run, "observation")
        elpd = ""
        if math.isfinite(left_out.elpd):
            elpd = f"{left_out.elpd:.1f} (SE {left_out.se:.1f})"
        started = str(run.provenance.get("started", "not recorded"))
        role = "not planned" if not planned else "planned" if model is None else model.role
        why = "" if model is None else model.why
        verdict = "all checks pass" if check(run).ok else f"{len(check(run).failures)} checks fail"
        rows.append([started, run.name, run.model.name, run.method, role, why, ofv, elpd, verdict])
    heads = ["Began (UTC)", "Run", "Model", "Method", "Role", "Why", "OFV", "elpd", "Checks"]
    words = ["The runs that were handed to this report, in the order in which they began."]
    tables = [table_of("Model development", heads, rows)]
    if len(runs) > 1:
        try:
            comparison = compare(list(runs))
        except InputError as error:
            words.append(f"The runs are not compared: {error}.")
        else:
            tables.append(_comparison_table(comparison.table))
            words += comparison.advice
    return Section("development", "Model development", words, tables=tables)


def _stem(plan: str) -> str:
    """The name of a fit plan that a map names."""
    return Path(plan).stem if plan.endswith(".toml") else Path(plan).name


def _comparison_table(frame: DataFrame) -> Table:
    """The runs beside one another, the best prediction first."""
    columns = ["rank", "fit", "elpd", "se", "elpd_diff", "se_diff", "weight", "verdict"]
    heads = ["Rank", "Fit", "elpd", "SE", "Difference", "SE of the difference", "Weight", "Verdict"]
    table = Table("Prediction of left-out records", heads, [False] * len(columns))
    for row in frame[columns].to_dict("records"):
        table.rows.append([table.cell(None if pd.isna(row[c]) else row[c]) for c in columns])
    return table


def _data_section(fit: Fit) -> Section:
    """What was measured, and which of it the fit uses."""
    study = fit.study
    summary = study.summary()
    words = [
        f"{study.dictionary.title}. {summary['subjects']} subjects, {summary['doses']} doses, "
        f"{summary['observations']} records. Source: {study.dictionary.source}."
    ]
    words += [f"{name.replace('_', ' ')}: {value}." for name, value in study.notes.items()]
    observed = fit.bound.plan.observe
    rows = [
        [
            analyte["label"],
            unit_text(analyte["unit"]),
            str(analyte["records"]),
            str(analyte["below_lloq"]),
            "used" if name in observed else "kept, not used by the fit",
        ]
        for name, analyte in summary["analytes"].items()
    ]
    heads = ["Analyte", "Unit", "Records", "Below LLOQ", "In the fit"]
    return Section("records-used", "Data", words, tables=[table_of("Records", heads, rows)])


def _parameter_table(fit: Fit) -> Table:
    """Every parameter in words and by its name, with unit, value, interval and source."""
    heads = ["Parameter", "Name", "Kind", "Unit", "Median", "90 % interval", "Prior", "Source"]
    table = Table("Parameters", heads, [False, False, False, False, True, True, False, False])
    for row in parameter_table(fit).to_dict("records"):
        source = f"{row['source'] or ''}{' (GUESS)' if row['guess'] else ''}"
        interval = f"{number_text(row['lower'])} to {number_text(row['upper'])}"
        texts = [
            site_words(fit, row["site"]),
            row["site"],
            row["kind"],
            unit_text(row["unit"]) or "1",
            number_text(row["median"]),
            interval,
        ]
        table.rows.append([table.cell(text) for text in [*texts, str(row["prior"]), source or None]])
    return table


def _individual_figures(fit: Fit, residuals: GoodnessOfFit) -> Iterator[Figure]:
    """Grids of panels of every subject, for each analyte."""
    draw = partial(plot_individual_predictions, fit, residuals)
    for assay in fit.bound.assays:
        for start in range(0, len(fit.bound.subjects), PANELS):
            grid = fit.bound.subjects[start : start + PANELS]
            yield draw(assay.analyte, subjects=grid, log=has_log_axis(fit, assay))


def _sensitivity_section(fit: Fit) -> Section:
    """How far the parameters lean on their priors."""
    section = Section("sensitivity", "Sensitivity to the priors")
    if fit.method == "laplace":
        section.words.append("None: the method laplace uses no priors.")
        return section
    draws, points = _CLOSED_FORM if fit.model.vector_field is None else _EQUATIONS
    result = sensitivity(fit, draws=draws, points=points)
    section.words.append(
        f"From at most {draws} draws of each chain, with {points} points for the integral over each subject."
    )
    if result.advice:
        section.words.append(f"These may not be used: {result.advice}.")
    heads = ["Parameter", "All priors", "Own prior", "Data", "Overlap", "Contraction", "Verdict"]
    columns = ["prior", "own_prior", "likelihood", "overlap", "contraction", "verdict"]
    table = Table("Power scaling of the priors and of the data", heads, [False, *[True] * 5, False])
    for row in result.table.to_dict("records"):
        values = [None if pd.isna(row[c]) else row[c] for c in columns]
        table.rows.append([table.cell(site_words(fit, row["site"])), *map(table.cell, values)])
    section.tables.append(table)
    return section


def _limit_section(fit: Fit, plan: AnalysisPlan) -> Section:
    """What to keep in mind, and how the numbers become a decision."""
    lines = list(cautions(fit, parameter_table(fit))) or ["No caution follows from the run itself."]
    rules = [f"Decision rule: {rule}" for rule in plan.decision_rules]
    return Section("limits", "Limits and decision rules", [*lines, *rules])


def _provenance_table(fit: Fit) -> Table:
    """Hashes, versions, seed and times of the run."""
    rows = [[name, value] for name, value in _leaves(fit.provenance)]
    return table_of("Inputs, code and versions", ["What", "Value"], rows)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested mappings as (path, text); a long text is cut at 120 characters."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        else:
            text = str(value)
            yield name, text if len(text) <= 120 else f"{text[:117]}..."
