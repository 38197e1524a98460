"""The command line of exposure: `kinetics nca` from samples, `kinetics exposure` from a fit, and their
figures.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.cli.console import print_result
from kinetics.cli.export import NCA_RULES
from kinetics.decision import Exposures, exposures_of_table
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.exposures import (
    NCARules,
    biodistribution,
    biodistribution_summary,
    exposure as run_exposure,
    exposure_summary,
    nca as run_nca,
    site_curves,
    site_shares,
)
from kinetics.files import write_atomic
from kinetics.inference import Fit, load_fit
from kinetics.pages import organ_figures
from kinetics.plot import (
    dose_exposure_figures,
    plot_biodistribution,
    plot_persistence,
    refuse_figures,
    save_figures,
)
from kinetics.printing import records, table_text
from kinetics.study import Study, read_study

__all__ = ["exposure", "nca"]

_SHOWN = ("analyte", "subject", "cycle", "cmax", "tmax", "auc_0_28d", "half_life", "tlast", "partial")

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Plots = Annotated[Path | None, typer.Option(help="Write the figures into this folder.")]
PlotsAs = Annotated[str, typer.Option(help="html, or for print svg, pdf or png.")]
Product = Annotated[
    str | None,
    typer.Option(help="Figures of dose: those who had this product; of samples, from its first infusion."),
]
By = Annotated[str, typer.Option(help="Column of subjects.csv that the figures of dose go by.")]


def nca(
    study: Annotated[str, typer.Argument(help="A study's name or folder.")],
    analyte: Annotated[str | None, typer.Option(help="One analyte; default all.")] = None,
    rules: Annotated[str, typer.Option(help="BLQ rules: car_t, pknca or winnonlin.")] = "car_t",
    out: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    plots: Plots = None,
    plots_as: PlotsAs = "html",
    by: By = "dose_level",
    product: Product = None,
    as_json: Json = False,
) -> None:
    """Cmax, Tmax, AUC0-28d, half-life ... by non-compartmental analysis, with a reason for each missing
    number.

    --plots draws every subject's samples, and exposure against dose with a power model.
    Example: `kinetics nca synthetic_cart_12 --analyte car_copies --out nca.csv --plots figures`
    """
    if rules not in NCA_RULES:
        raise typer.BadParameter(f"{rules!r}: choose car_t, pknca or winnonlin")
    refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"])
    read = read_study(study)
    table = run_nca(read, analyte=analyte, rules=NCA_RULES[rules]())
    text = table_text(table[[c for c in _SHOWN if c in table]])
    if out is None and table[["half_life", "auc_0_28d"]].isna().any(axis=None):
        text += "\nwhy a number is missing: the columns *_reason of --out nca.csv"
    written = [] if out is None else [f"written: {write_atomic(out, table.to_csv(index=False))}"]
    if plots is not None:
        figures = _figures_of_samples(read, analyte, NCA_RULES[rules](), by, product)
        written += save_figures(plots, figures, plots_as)
    print_result({"rows": records(table)}, "\n".join([text, *written]), as_json)


def _figures_of_samples(
    study: Study, analyte: str | None, rules: NCARules, by: str, product: str | None
) -> dict[str, Figure | str]:
    chosen = list(study.analytes) if analyte is None else [analyte]
    figures: dict[str, Figure | str] = {f"persistence_{a}": plot_persistence(study, a) for a in chosen}
    course = run_nca(study, analyte=analyte, rules=rules, by="course", products=product and [product])
    return figures | dose_exposure_figures(study, _of_those_who_had(study, product, course), by=by)


def _of_those_who_had(study: Study, product: str | None, table: DataFrame) -> Exposures:
    """The exposures of the whole course; with a product, of those to whom it was given."""
    given = study.doses if product is None else study.doses[study.doses["product"] == product]
    if not len(given):
        known = sorted(set(study.doses["product"]))
        raise StudyError(
            Problem(f"nobody had {product!r}", did_you_mean(str(product), known), file="doses.csv")
        )
    return exposures_of_table(DataFrame(table[table["subject"].isin(given["subject"])]))


def exposure(
    run: Annotated[Path, typer.Argument(help="A run folder, runs/NAME.")],
    out: Annotated[Path | None, typer.Option(help="Write every draw as CSV.")] = None,
    sites: Annotated[Path | None, typer.Option(help="Write every draw's site quantities as CSV.")] = None,
    draws: Annotated[int, typer.Option(help="Posterior draws to use, thinned evenly.")] = 1000,
    plots: Plots = None,
    plots_as: PlotsAs = "html",
    by: By = "dose_level",
    product: Product = None,
    as_json: Json = False,
) -> None:
    """The NCA columns from the fitted curves, per subject, cycle and posterior draw; where the cells are.

    A model that knows its organs adds, of 200 draws: liver and tumour against blood, what was retained, what
    the hepatic artery, the second cycle and lymphodepletion added. Prints medians and 90 % intervals. --plots
    draws exposure against dose with a power model, and of such a model its curves by site, organ stack and
    body map. Example: `kinetics exposure runs/NAME --out exposure.csv --sites sites.csv --plots figures`
    """
    refuse_figures([] if plots is None else [plots / f"figure.{plots_as}"])
    done = load_fit(run)
    if done.caution:
        print(f"note: {done.caution}", file=sys.stderr)
    table = run_exposure(done, draws=draws)
    summary = exposure_summary(table)
    if out is not None:
        write_atomic(out, table.to_csv(index=False))
    shown = summary[summary["quantity"].isin(["cmax", "tmax", "auc_0_28d", "half_life", "tlast"])]
    one = summary["cycle"].astype(str).isin(["1", "course"]).all()  # of one cycle the course says nothing new
    text = table_text(shown[shown["cycle"].astype(str) != "course"] if one else shown)
    found = {"rows": records(summary)}
    if done.model.sites or sites is not None:
        where = biodistribution(done, draws=min(draws, 200))
        if sites is not None:
            write_atomic(sites, where.to_csv(index=False))
        by_site = biodistribution_summary(where)
        text += f"\n\n{table_text(by_site[by_site['subject'] == 'median patient'].drop(columns='subject'))}"
        found |= {"sites": records(by_site)}
    written = (
        []
        if plots is None
        else save_figures(plots, _figures_of_fit(done, table, draws, by, product), plots_as)
    )
    print_result(found, "\n".join([text, *written]), as_json)


def _figures_of_fit(
    fit: Fit, table: DataFrame, draws: int, by: str, product: str | None
) -> dict[str, Figure | str]:
    figures = dose_exposure_figures(fit.study, _of_those_who_had(fit.study, product, table), by=by, fit=fit)
    if fit.model.sites:
        curves = site_curves(fit, draws=min(draws, 100))
        figures |= {"biodistribution": plot_biodistribution(fit, curves)}
        figures |= organ_figures(fit, site_shares(fit, draws=min(draws, 100)))
    return figures
