"""The command `kinetics predict`: new patients of a fit, from the population or after their first samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.cli.options import Force, Json, Plain, RunFolder, Trust
from kinetics.errors import InputError, Problem
from kinetics.files import whole_folder, write_atomic
from kinetics.inference import load_fit, use_compile_cache, use_cores
from kinetics.plot import plot_predicted_patients, plot_prediction_calibration, save_figure
from kinetics.prediction import Prediction, predict
from kinetics.printing import records, table_text
from kinetics.spreadsheets import csv_text
from kinetics.streams import LARGEST_SEED

__all__ = ["predict_patients"]


def predict_patients(
    run: RunFolder,
    study: Annotated[
        str | None,
        typer.Option(
            help="The new patients' study.  [default: those whom the plan's hold_out kept out of the fit]",
            show_default=False,
        ),
    ] = None,
    given: Annotated[
        float | None,
        typer.Option(help="Update each patient by its own records up to this study day.", show_default=False),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(help="Last study day of the bands.  [default: that of the records]", show_default=False),
    ] = None,
    draws: Annotated[int, typer.Option(min=50, max=100_000, help="Draws of each patient.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of every random number.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of tables and figures.  [default: RUN/predict-STUDY]")
    ] = None,
    force: Force = False,
    plain: Plain = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Predict new patients from a fit, updated by their first samples, and compare with their records.

    Example: `kinetics predict runs/NAME --study NEW --given 14`
    """
    use_cores()
    use_compile_cache()
    fit = load_fit(run, trust=trust)
    prediction = predict(fit, study, given=given, until=until, draws=draws, seed=seed)
    suffix = "" if given is None else f"-given-{given:g}"
    folder = out or run / f"predict-{prediction.study.name}{suffix}"
    if folder.exists() and not force:
        what = f"the folder {folder} exists"
        raise InputError(Problem(what, "--force replaces it, or --out names another", value=str(folder)))
    with whole_folder(folder, replace=force) as partial:
        _write(prediction, partial, plain=plain)
    answer = {
        "fit": fit.name,
        "study": prediction.study.name,
        "synthetic": prediction.study.synthetic,
        "patients": len(prediction.study.subject_ids),
        "given": given,
        "coverage": records(prediction.coverage()),
        "folder": str(folder),
    }
    print_result(answer, _text(prediction, folder), as_json)


def _write(prediction: Prediction, folder: Path, *, plain: bool) -> None:
    """Write the tables and the figures of a prediction."""
    tables = {"records": prediction.records, "bands": prediction.bands, "coverage": prediction.coverage()}
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        write_atomic(path, csv_text(table, str(path)))
    for analyte in dict.fromkeys(prediction.bands["analyte"]):
        figure = plot_predicted_patients(prediction, str(analyte))
        save_figure(figure, folder / f"patients_{analyte}.html", plain=plain)
    if len(prediction.records):
        save_figure(plot_prediction_calibration(prediction), folder / "calibration.html", plain=plain)


def _text(prediction: Prediction, folder: Path) -> str:
    """The coverage of a prediction in words and as a table."""
    fit = prediction.fit
    patients = len(prediction.study.subject_ids)
    source = "as patients of the population"
    if prediction.given is not None:
        updated = prediction.used["subject"].nunique()
        source = f"{updated} of them updated by {len(prediction.used)} records up to day {prediction.given:g}"
    label = "SYNTHETIC DATA  " if prediction.study.synthetic else ""
    lines = [f"{label}{patients} patients of {prediction.study.name} predicted by {fit.name}, {source}"]
    if fit.caution:
        lines.append(fit.caution)
    fitted = set(fit.bound.subjects) & set(prediction.study.subject_ids)
    if fitted and prediction.study.sha256 == fit.study.sha256:
        lines.append(
            f"{len(fitted)} of them were in the fit: that says how it describes them, not how it predicts"
        )
    if len(prediction.records):
        table = prediction.coverage()
        lines.append(table_text(table))
        lines.append("inside_50 and inside_90 are to be near 0.5 and 0.9, within twice their _se")
    else:
        lines.append("none of them has a record after that day yet, so nothing can be compared")
    lines.append(f"written: {folder}")
    return "\n".join(lines)
