"""The command `kinetics plot`: persistence curves of a study and the points drawn in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.cli.exposure import read_options
from kinetics.cli.options import (
    CycleColumn,
    DroppedColumns,
    Json,
    Plain,
    TableDose,
    TableLloq,
    TableProduct,
    TableRoute,
    TableTime,
    TableValue,
    WeightColumn,
)
from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic
from kinetics.plot import caption_file, persistence_points, plot_persistence, refuse_figures, save_figure
from kinetics.spreadsheets import csv_text
from kinetics.study import read_study

__all__ = ["plot"]


def plot(
    study: Annotated[
        str, typer.Argument(help="A study's name or folder, or a table with what it leaves out.")
    ],
    analyte: Annotated[str | None, typer.Option(help="One analyte; default all, a figure each.")] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Colours: level, dose, product, crs, a covariate; default a menu (--facet: the first)."
        ),
    ] = None,
    facet: Annotated[
        str | None,
        typer.Option(
            help="A panel for each: as --by, or subject; none for one panel.  [default: the dose, of two "
            "products; else none]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="FILE.html, .svg, .pdf or .png; or a folder.  [default: NAME-plots]", show_default=False
        ),
    ] = None,
    linear: Annotated[
        bool | None,
        typer.Option(
            "--linear/--log",
            help="The axis of values.  [default: log; of tumour sizes linear]",
            show_default=False,
        ),
    ] = None,
    plain: Plain = False,
    time_unit: TableTime = None,
    dose_unit: TableDose = None,
    value_unit: TableValue = None,
    route: TableRoute = None,
    product: TableProduct = None,
    weight_column: WeightColumn = None,
    cycle_column: CycleColumn = None,
    drop: DroppedColumns = None,
    lloq: TableLloq = None,
    as_json: Json = False,
) -> None:
    """Draw every patient's records over time, by dose, product or covariate.

    A CSV of the drawn points is written beside each figure.

    Example: `kinetics plot synthetic_cart_12 --analyte car_copies --facet dose_level --out persistence.html`
    """
    is_file = out is not None and out.suffix != "" and not os.path.isdir(out)
    if out is not None and is_file:
        refuse_figures([out], plain=plain)
    data = read_study(study, **read_options(locals()))
    analytes = list(data.analytes) if analyte is None else [analyte]
    folder = Path(f"{data.name}-plots") if out is None else out
    files = {name: folder / f"persistence_{name}.html" for name in analytes}
    if out is not None and is_file:
        if len(analytes) > 1:
            what = f"{len(analytes)} analytes and one file"
            remedy = f"choose one (--analyte {analytes[0]}), or name a folder: --out {out.with_suffix('')}"
            raise InputError(Problem(what, remedy, value=str(out)))
        files = {analytes[0]: out}
    refuse_figures(files.values(), plain=plain)
    # Every figure is made before any is written: an unknown group or analyte leaves no files.
    log = None if linear is None else not linear
    figures = {name: plot_persistence(data, name, by=by, facet=facet, log=log) for name in analytes}
    written = []
    for name, figure in figures.items():
        points = persistence_points(data, name, by=by, facet=facet, log=log)
        written.append(str(save_figure(figure, files[name], plain=plain)))
        if plain:
            written.append(str(caption_file(files[name])))
        csv = files[name].with_name(f"{files[name].stem}_points.csv")  # FILE.csv may be the study itself
        written.append(str(write_atomic(csv, csv_text(points, str(csv)))))
    label = "SYNTHETIC DATA  " if data.synthetic else ""
    lines = [f"{label}{data.name}: {', '.join(analytes)}", *(f"written: {path}" for path in written)]
    answer = {"study": data.name, "synthetic": data.synthetic, "analytes": analytes, "files": written}
    print_result(answer, "\n".join(lines), as_json)
