"""The commands about exposure: `kinetics nca` of samples, `exposure` of a fit, and `tornado`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pandas import DataFrame
from plotly.graph_objects import Figure

import kinetics.exposures as exposures
import kinetics.inference as inference
import kinetics.model as model_library
import kinetics.pages as pages
import kinetics.plot as plot
from kinetics.cli.console import print_result
from kinetics.cli.nca_tables import (
    levels_by,
    nca_csv,
    nca_notes,
    nca_rows_text,
    nca_summary_table,
    nca_summary_text,
)
from kinetics.cli.options import (
    CycleColumn,
    DroppedColumns,
    FigureFormat,
    Figures,
    Force,
    Json,
    Plain,
    RegimenFile,
    RunFolder,
    SingleFile,
    TableDose,
    TableLloq,
    TableRoute,
    TableTime,
    TableValue,
    Trust,
    WeightColumn,
    table_options,
)
from kinetics.cli.study import NCA_RULES
from kinetics.decision import Exposures, exposures_of_table
from kinetics.errors import InputError, Problem, StudyError, did_you_mean
from kinetics.exposures import NCARules, nca as run_nca
from kinetics.files import write_atomic
from kinetics.prediction import DRAWS, common_days, keep_curves
from kinetics.printing import records, table_text
from kinetics.regimen import read_regimen
from kinetics.spreadsheets import csv_text
from kinetics.study import Study, read_study
from kinetics.submission import TLG as CODES, TlgInputs, write_tlg

__all__ = ["exposure", "nca", "tornado"]

_EXPOSURE_SHOWN = ["cmax", "tmax", "auc_0_28d", "half_life", "tlast"]
_TORNADO_SHOWN = ["parameter", "unit", "low", "high", "at_low", "at_high", "swing", "scale", "guess"]

Product = Annotated[
    str | None,
    typer.Option(
        help="Figures of dose: only subjects who had this product; of samples, from its first infusion."
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        help="Column of subjects.csv with the dose of the figures.  [default: dose_level; of the cells of "
        "another product what was given of it]",
        show_default=False,
    ),
]


def nca(
    study: Annotated[
        str, typer.Argument(help="A study's name or folder, or a table with what it leaves out.")
    ],
    analyte: Annotated[str | None, typer.Option(help="One analyte; default all.")] = None,
    rules: Annotated[str, typer.Option(help="BLQ rules: car_t, pknca or winnonlin.")] = "car_t",
    out: Annotated[
        Path | None, typer.Option(help="Write each subject's rows as CSV, with reasons; of --tlg the folder.")
    ] = None,
    tlg: Annotated[
        str | None,
        typer.Option(help=f"Write tables under the codes of the TLG catalogue instead: {', '.join(CODES)}."),
    ] = None,
    force: Force = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="Print each subject's rows, not their summary.")
    ] = False,
    plots: Figures = None,
    plots_as: FigureFormat = "html",
    single_file: SingleFile = False,
    plain: Plain = False,
    by: Annotated[
        str | None,
        typer.Option(help="What the summary and the figures of dose group by; default the dose level."),
    ] = None,
    product: Product = None,
    time_unit: TableTime = None,
    dose_unit: TableDose = None,
    value_unit: TableValue = None,
    route: TableRoute = None,
    weight_column: WeightColumn = None,
    cycle_column: CycleColumn = None,
    drop: DroppedColumns = None,
    lloq: TableLloq = None,
    as_json: Json = False,
) -> None:
    """Compute Cmax, Tmax, AUC and half-life from the samples (NCA).

    AUC is that of days 0 to 28. A missing number has its reason.

    Prints a summary by analyte, cycle and dose level; each subject's rows go to --out, and --json has both.
    --plots draws every subject's samples, and exposure against dose with a power model. --tlg writes tables
    and listings as CSV, RTF and DOCX, named as aNCA's readers know them.
    Example: `kinetics nca synthetic_cart_12 --analyte car_copies --out nca.csv --plots figures`
    """
    options = read_options(locals())
    if rules not in NCA_RULES:
        raise typer.BadParameter(f"{rules!r}: choose car_t, pknca or winnonlin")
    plot.refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"], plain=plain)
    data = read_study(study, **options)
    nca_rules = NCA_RULES[rules]()
    table = run_nca(data, analyte=analyte, rules=nca_rules)
    label, groups = levels_by(data, by)
    if tlg is not None:
        codes = [code.strip().lower() for code in tlg.split(",") if code.strip()]
        inputs = TlgInputs(data, groups, label, nca_rules, analyte)
        lines = write_tlg(inputs, codes, out or Path(f"{data.name}-tlg"), force=force)
        kind = "SYNTHETIC DATA  " if data.synthetic else ""
        print_result({"lines": lines}, "\n".join([f"{kind}{data.name}", *lines]), as_json)
        return
    summary = nca_summary_table(table, groups, nca_rules)
    kind = "SYNTHETIC DATA  " if data.synthetic else ""
    lines = [f"{kind}{data.name}: {len(data.subjects)} subjects", nca_summary_text(data, summary, label)]
    if rows:
        lines = [nca_rows_text(table)]
    lines += nca_notes(data, table, written=out is not None)
    if out is not None:
        lines.append(f"written: {write_atomic(out, nca_csv(table))}")
    if plots is not None:
        figures = _figures_of_samples(data, analyte, nca_rules, by, product)
        lines += plot.save_figures(plots, figures, plots_as, single_file=single_file, plain=plain)
    answer = {"rows": records(table), "by": label, "summary": records(summary)}
    print_result(answer, "\n".join(lines), as_json)


def read_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a single table among the arguments of a command whose analyte and product choose too.

    They describe the table only where the unit of its values is said beside them.
    """
    options = table_options(arguments)
    if "value_unit" not in options:
        options.pop("analyte", None)
        options.pop("product", None)
    return options


def _figures_of_samples(
    study: Study, analyte: str | None, rules: NCARules, by: str | None, product: str | None
) -> dict[str, Figure | str]:
    """The figures of `nca` by file name, or why one is not drawn."""
    analytes = list(study.analytes) if analyte is None else [analyte]
    figures: dict[str, Figure | str] = {f"persistence_{a}": plot.plot_persistence(study, a) for a in analytes}
    products = None if product is None else [product]
    course = run_nca(study, analyte=analyte, rules=rules, by="course", products=products)
    return figures | plot.dose_exposure_figures(study, _of_those_who_had(study, product, course), by=by)


def _of_those_who_had(study: Study, product: str | None, table: DataFrame) -> Exposures:
    """The exposures of the whole course; with a product, of the subjects to whom it was given."""
    doses = study.doses if product is None else study.doses[study.doses["product"] == product]
    if not len(doses):
        products = sorted(set(study.doses["product"]))
        raise StudyError(
            Problem(f"nobody had {product!r}", did_you_mean(str(product), products), file="doses.csv")
        )
    return exposures_of_table(DataFrame(table[table["subject"].isin(doses["subject"])]))


def exposure(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="Write every draw as CSV.")] = None,
    sites: Annotated[Path | None, typer.Option(help="Write every draw's site quantities as CSV.")] = None,
    draws: Annotated[int, typer.Option(help="Posterior draws to use, thinned evenly.")] = DRAWS,
    plots: Figures = None,
    plots_as: FigureFormat = "html",
    single_file: SingleFile = False,
    plain: Plain = False,
    by: By = None,
    product: Product = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compute Cmax, Tmax, AUC and half-life from a fit, with intervals.

    The columns are those of `kinetics nca`, for every subject, cycle and posterior draw.

    For a model that knows its organs it adds: liver and tumour against blood, what was
    retained, and what the hepatic artery, the second cycle and lymphodepletion added. Prints medians and 90 %
    intervals. --plots draws exposure against dose with a power model, and for such a model its curves by
    site, organ stack and body map.
    Example: `kinetics exposure runs/NAME --out exposure.csv --sites sites.csv --plots figures`
    """
    plot.refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"], plain=plain)
    inference.use_cores()
    inference.use_compile_cache()
    fit = inference.load_fit(run, trust=trust)
    if fit.caution:
        print(f"note: {fit.caution}", file=sys.stderr)
    keep_curves(fit, [common_days(fit)], draws=draws)
    table = exposures.exposure(fit, draws=draws)
    summary = exposures.exposure_summary(table)
    if out is not None:
        write_atomic(out, csv_text(table, str(out)))

    shown = summary[summary["quantity"].isin(_EXPOSURE_SHOWN)]
    one_cycle = summary["cycle"].astype(str).isin(["1", "course"]).all()
    if one_cycle:  # then the whole course says nothing new
        shown = shown[shown["cycle"].astype(str) != "course"]
    text = table_text(shown)
    answer = {"rows": records(summary)}

    if fit.model.sites or sites is not None:
        by_draw = exposures.biodistribution(fit, draws=draws)
        if sites is not None:
            write_atomic(sites, csv_text(by_draw, str(sites)))
        site_summary = exposures.biodistribution_summary(by_draw)
        median_patient = site_summary[site_summary["subject"] == "median patient"].drop(columns="subject")
        text += f"\n\n{table_text(median_patient)}"
        answer |= {"sites": records(site_summary)}

    lines = [text]
    if plots is not None:
        lines += plot.save_figures(
            plots,
            _figures_of_fit(fit, table, draws, by, product),
            plots_as,
            single_file=single_file,
            plain=plain,
        )
    print_result(answer, "\n".join(lines), as_json)


def _figures_of_fit(
    fit: inference.Fit, table: DataFrame, draws: int, by: str | None, product: str | None
) -> dict[str, Figure | str]:
    """The figures of `exposure` by file name, or why one is not drawn."""
    figures = plot.dose_exposure_figures(
        fit.study, _of_those_who_had(fit.study, product, table), by=by, fit=fit
    )
    if fit.model.sites:
        curves = exposures.site_curves(fit, draws=draws)
        figures |= {"biodistribution": plot.plot_biodistribution(fit, curves)}
        figures |= pages.organ_figures(fit, exposures.site_shares(fit, draws=draws))
    return figures


def tornado(
    model: Annotated[str, typer.Argument(help="A model's name or file, or a run folder, runs/NAME.")],
    quantity: Annotated[
        list[str] | None,
        typer.Option(help="What is moved, as copies_cmax; may be repeated. Default: the first AUC."),
    ] = None,
    prior_set: Annotated[
        str | None, typer.Option(help="A prior set of the model, as solid_tumour; not with a run folder.")
    ] = None,
    regimen: RegimenFile = None,
    window: Annotated[str, typer.Option(help="Study days of the quantities, start:stop.")] = "0:28",
    weight: Annotated[float, typer.Option(help="Body weight in kg, for doses per kg.")] = 70.0,
    level: Annotated[
        float, typer.Option(help="How much of a prior or posterior lies between its ends.")
    ] = 0.9,
    most: Annotated[int, typer.Option(min=1, help="Parameters shown.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Write every quantity and parameter as CSV.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write one figure a quantity into this folder.")] = None,
    plots_as: FigureFormat = "html",
    single_file: SingleFile = False,
    plain: Plain = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show which parameter moves an exposure most.

    Each parameter moves alone, from the 5 % to the 95 % point of its prior, or of a run's posterior.

    Example: `kinetics tornado stein_2019 --quantity copies_cmax --plots figures`
    """
    inference.use_cores()
    inference.use_compile_cache()
    plot.refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"], plain=plain)
    days = _window(window)
    source = (
        inference.load_fit(model, trust=trust) if os.path.isdir(model) else model_library.load_model(model)
    )
    doses = None if regimen is None else read_regimen(regimen)
    known = exposures.tornado_quantities(source, doses, window=days, weight_kg=weight)
    quantities = quantity or [next(name for name in known if "_auc_" in name)]
    unknown = [name for name in quantities if name not in known]
    if unknown:  # before anything is compiled or written
        raise InputError(
            [Problem(f"--quantity {q}: no such quantity", did_you_mean(q, known)) for q in unknown]
        )
    result = exposures.tornado(source, doses, window=days, weight_kg=weight, level=level, prior_set=prior_set)
    written = []
    if out is not None:
        written.append(f"written: {write_atomic(out, csv_text(result.table, str(out)))}")
    if plots is not None:
        figures = {f"tornado_{name}": plot.plot_tornado(result, name, most=most) for name in quantities}
        written += plot.save_figures(plots, figures, plots_as, single_file=single_file, plain=plain)
    answer = result.as_dict()
    rows: list[dict[str, Any]] = [row for row in answer["rows"] if row["quantity"] in quantities]
    text = "\n".join([*_tornado_lines(result, quantities, most), *written])
    print_result(answer | {"quantities": quantities, "rows": rows}, text, as_json)


def _window(text: str) -> tuple[float, float]:
    """The days of `start:stop`; BadParameter for anything else."""
    try:
        start, end = map(float, text.split(":"))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write start:stop, as 0:28", param_hint="'--window'") from None
    return start, end


def _tornado_lines(result: exposures.Tornado, quantities: list[str], most: int) -> list[str]:
    """A table for each quantity, the parameters that move it most first."""
    label = "SYNTHETIC DATA  " if result.synthetic else ""
    percent = f"{100 * result.level:g} %"
    lines = [
        f"{label}{result.model.name}: each parameter alone at the ends of its {percent} ({result.source})",
        *(f"{note[0].upper()}{note[1:]}." for note in result.notes),
    ]
    for name in quantities:
        table = result.of(name)
        middle = f"{table['at_middle'].iloc[0]:.4g}"
        if result.units[name] != "1":
            middle += f" {result.units[name]}"
        lines += ["", f"{name}, {middle} with all at the middle"]
        lines.append(table_text(table.head(most)[_TORNADO_SHOWN]))
    lines.append(f"\nquantities: {', '.join(result.units)}")
    return lines
