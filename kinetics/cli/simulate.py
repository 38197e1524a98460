"""The command `kinetics simulate`: read its options, write chunks as they come, and sum up.

A file appears under its name only when it is complete: it is written beside it under another name and renamed
at the end. The memory needed is that of one chunk and of the first `_SHOWN` rows, from which the summary and
the plot are made.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.cli.console import print_result
from kinetics.cli.options import Json, Plain, RegimenFile, SingleFile, Trust
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.exposures import site_shares
from kinetics.files import whole_file
from kinetics.inference import load_fit, use_compile_cache, use_cores
from kinetics.library import is_bare
from kinetics.pages import organ_figures
from kinetics.plot import caption_file, plot_simulation, refuse_figures, save_figure, save_figures
from kinetics.prediction import (
    ParameterSource,
    Simulation,
    curve_bands,
    days_of_text,
    gave_up_text,
    peak_table,
    simulate_chunks,
    simulation,
)
from kinetics.regimen import read_regimen
from kinetics.streams import LARGEST_SEED
from kinetics.study import read_study

__all__ = ["Files", "Simulated", "days_of", "simulate", "simulate_to", "simulation_from", "table_file"]

_SHOWN = 1_000_000  # rows kept for the summary and the plot
_FORMATS = (".csv", ".parquet")
_CELL_UNITS = ("copies/ug DNA", "cells/uL")  # whose LLOQ is that of the assay, whatever the cells are
_ORGANS = ("organ_stack", "body_map")

Append = Callable[[DataFrame], None]


@dataclass(frozen=True)
class Files:
    """Where the results go. Without `out` and with `stdout` the curves are CSV on stdout.

    `plain` figures have their captions in text files beside them.
    """

    out: Path | None = None
    parameters: Path | None = None
    plot: Path | None = None
    organs: Path | None = None
    organs_as: str = "html"
    single_file: bool = False
    plain: bool = False
    stdout: bool = False

    @property
    def figures(self) -> list[Path]:
        """The paths of the figures."""
        figures = [] if self.plot is None else [self.plot]
        if self.organs is not None:
            figures += [self.organs / f"{name}.{self.organs_as}" for name in _ORGANS]
        return figures

    @property
    def written(self) -> list[str]:
        """The paths of all files."""
        captions = map(caption_file, self.figures) if self.plain else ()
        paths = (self.out, self.parameters, *self.figures, *captions)
        return [str(path) for path in paths if path is not None]


@dataclass(frozen=True)
class Simulated:
    """What was simulated.

    answer: the result for `--json`. text: the same for a reader. whole: whether every patient was solved.
    """

    answer: Mapping[str, Any]
    text: str
    whole: bool


@dataclass
class _FirstRows:
    """The first rows of the curves, and the patients whom the solver gave up on, each with the day."""

    parts: list[DataFrame] = field(default_factory=list)
    rows: int = 0
    gave_up: dict[int, float] = field(default_factory=dict)

    def add(self, curves: DataFrame) -> None:
        if self.rows < _SHOWN:
            self.parts.append(curves)
            self.rows += len(curves)


def simulate(
    model: Annotated[str, typer.Argument(help="A model's name or file.")],
    source: Annotated[
        str, typer.Option("--from", help="Parameters: typical, prior, or a run folder, runs/NAME.")
    ] = "typical",
    prior_set: Annotated[
        str | None, typer.Option(help="A prior set of the model, as solid_tumour; not with a run folder.")
    ] = None,
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE; repeat it.")] = None,
    regimen: RegimenFile = None,
    study: Annotated[
        str | None, typer.Option(help="A study whose subjects' doses are taken in turn.")
    ] = None,
    products: Annotated[str | None, typer.Option(help="Only these products, as car_nk,car_t.")] = None,
    weight: Annotated[
        float | None, typer.Option(help="Body weight in kg, for doses per kg.  [default: 70]")
    ] = None,
    patients: Annotated[
        int | None, typer.Option(min=1, max=100_000_000, help="[default: 1 if typical, else 100]")
    ] = None,
    times: Annotated[str, typer.Option(help="Days: start:stop:step, or a list with commas.")] = "0:90:1",
    outputs: Annotated[str | None, typer.Option(help="Names with commas; default all.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of every random number.")] = 0,
    rtol: Annotated[
        float | None, typer.Option(min=1e-14, max=0.1, help="Relative error of a solver step.")
    ] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Half the memory; about 5 digits.")] = False,
    chunk: Annotated[int, typer.Option(min=1, max=1_000_000, help="Patients solved at once.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="Write the curves: .csv or .parquet.")] = None,
    parameters: Annotated[
        Path | None, typer.Option(help="Write the patients' parameters: .csv or .parquet.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Median and bands: .html, .svg, .pdf or .png.")] = None,
    organs: Annotated[Path | None, typer.Option(help="Folder for an organ stack and a body map.")] = None,
    plots_as: Annotated[str, typer.Option(help="Format of --organs: html, svg, pdf or png.")] = "html",
    lloq: Annotated[
        str | None,
        typer.Option(
            help="Where --plot ends: copies=50,cells=0.5.  [default: of --study, by its name or unit]",
            show_default=False,
        ),
    ] = None,
    single_file: SingleFile = False,
    plain: Plain = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Simulate virtual patients under any regimen.

    Prints a CSV where the output is piped, else a summary. Exit 1 if the solver gave up.

    Example: `kinetics simulate stein_2019 --from prior --patients 1000 --out curves.csv --plot curves.html`
    """
    use_cores()
    use_compile_cache()
    prepared = simulation_from(
        model,
        source=source,
        prior_set=prior_set,
        values=values or [],
        regimen=regimen,
        study=study,
        weight=weight,
        patients=patients,
        times=times,
        outputs=outputs,
        products=products,
        seed=seed,
        rtol=rtol,
        float32=float32,
        trust=trust,
    )
    piped = out is None and not as_json and not sys.stdout.isatty()
    files = Files(
        out=out,
        parameters=parameters,
        plot=plot,
        organs=organs,
        organs_as=plots_as,
        single_file=single_file,
        plain=plain,
        stdout=piped,
    )
    if lloq is not None and plot is None:
        raise PlanError(
            Problem("--lloq without --plot", "it is where the figure ends: name one, or leave it out")
        )
    limits = _lloq_of_study(prepared, study) | _lloq_of_text(prepared, lloq)
    simulated = simulate_to(prepared, files, chunk=chunk, lloq=limits)
    if not piped:
        print_result(dict(simulated.answer), simulated.text, as_json)
    if not simulated.whole:
        raise typer.Exit(1)


def simulation_from(
    model: str,
    *,
    source: str,
    prior_set: str | None = None,
    values: Sequence[str],
    regimen: Path | None,
    study: str | None,
    weight: float | None,
    patients: int | None,
    times: str,
    outputs: str | None,
    products: str | None,
    seed: int,
    rtol: float | None,
    float32: bool,
    trust: bool = False,
) -> Simulation:
    """The simulation that the options of the command line ask for."""
    if weight is not None and study is not None:
        raise typer.BadParameter("a study brings its own weights", param_hint="'--weight'")
    if patients is None:
        patients = 1 if source == "typical" else 100
    prepared = simulation(
        model,
        None if regimen is None else read_regimen(regimen),
        times=days_of(times),
        set=dict(_name_and_value(text) for text in values),
        parameters=_parameter_source(source, trust=trust),
        study=study,
        prior_set=prior_set,
        patients=patients,
        weight_kg=70.0 if weight is None else weight,
        outputs=_names(outputs),
        products=_names(products),
        seed=seed,
    )
    solver = prepared.solver
    if rtol is not None:
        solver = replace(solver, rtol=rtol)
    if float32:
        solver = replace(solver, precision="float32")
    return replace(prepared, solver=solver)


def days_of(text: str) -> np.ndarray:
    """The days of `0:90:1` (start:stop:step, the stop included) or `0,1,7,28`. BadParameter otherwise."""
    try:
        return days_of_text(text)
    except PlanError as error:
        raise typer.BadParameter(error.problems[0].what, param_hint="'--times'") from error


def _name_and_value(text: str) -> tuple[str, float]:
    """The two of `NAME=VALUE`; BadParameter for anything else."""
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no name=value with a number", param_hint="'--set'") from error


def _names(text: str | None) -> list[str] | None:
    """Names with commas as a list; None, which means all, stays None."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def _parameter_source(source: str, *, trust: bool) -> ParameterSource:
    """`typical`, `prior`, or the fit of a run folder."""
    if source == "typical" or source == "prior":
        return source
    if is_bare(source) and not os.path.isdir(source):
        what = f"{source!r}: {did_you_mean(source, ['typical', 'prior'])} A run folder is runs/NAME"
        raise typer.BadParameter(what, param_hint="'--from'")
    return load_fit(source, trust=trust)


def simulate_to(
    simulation: Simulation, files: Files, *, chunk: int, lloq: Mapping[str, float] | None = None
) -> Simulated:
    """Simulate, write chunks as they come, and sum up. Notes and progress go to stderr."""
    _refuse(files, simulation)
    for note in simulation.notes:
        print(note, file=sys.stderr)
    first = _FirstRows()
    with ExitStack() as stack:
        append_curves: Append | None = _Stdout() if files.stdout else None
        if files.out is not None:
            append_curves = stack.enter_context(table_file(files.out))
        append_parameters: Append | None = None
        if files.parameters is not None:
            append_parameters = stack.enter_context(table_file(files.parameters))
        for part in _with_progress(simulate_chunks(simulation, chunk), simulation.patients, chunk):
            if append_curves is not None:
                append_curves(part.curves)
            if append_parameters is not None:
                append_parameters(part.parameters)
            first.add(part.curves)
            first.gave_up.update(part.gave_up)
        curves = pd.concat(first.parts, ignore_index=True)
        # within the stack: the tables appear only if the figures could be drawn
        if files.plot is not None:
            save_figure(_figure(simulation, curves, lloq or {}), files.plot, plain=files.plain)
        if files.organs is not None:
            shares = site_shares(simulation.model, curves)
            source = _source_text(simulation)
            figures = organ_figures(simulation.model, shares, synthetic=simulation.synthetic, source=source)
            save_figures(
                files.organs,
                figures,
                files.organs_as,
                single_file=files.single_file,
                plain=files.plain,
            )
    if first.gave_up:
        print(gave_up_text(first.gave_up, simulation.patients), file=sys.stderr)
    return _summed(simulation, curves, first.gave_up, files)


def _refuse(files: Files, simulation: Simulation) -> None:
    """Refuse, before anything is solved, formats that cannot be written and two results for one file."""
    refuse_figures(files.figures, plain=files.plain)
    problems = list(_problems(files, simulation))
    if problems:
        raise PlanError(problems)


def _problems(files: Files, simulation: Simulation) -> Iterator[Problem]:
    """What keeps the files from being written."""
    if files.organs is not None and not simulation.model.sites:
        what = f"model {simulation.model.name} does not say which outputs are cells at a site"
        yield Problem(what, "leave --organs out, or give the model sites (Model.sites)")
    for path in (files.out, files.parameters):
        if path is None:
            continue
        if path.suffix not in _FORMATS:
            yield Problem(f"{path} ends in none of {', '.join(_FORMATS)}", "name a .csv or a .parquet")
        if path.suffix == ".parquet" and not _pyarrow():
            remedy = "pip install 'cellkinetics[parquet]', or name a .csv"
            yield Problem(f"{path}: parquet needs pyarrow, which is not installed", remedy)
    if len({os.path.abspath(name) for name in files.written}) < len(files.written):
        yield Problem("two results for one file", "name a file for each")


def _pyarrow() -> Any:
    """`pyarrow.parquet`, or None where it is not installed."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        return None


def _with_progress(parts: Iterator[Any], patients: int, chunk: int) -> Iterator[Any]:
    """The parts, with a line of progress on stderr every few seconds."""
    began = perf_counter()
    printed = began
    for number, part in enumerate(parts, start=1):
        now = perf_counter()
        if now - printed > 5.0 and number * chunk < patients:
            printed = now
            print(f"{number * chunk} of {patients} patients, {now - began:.0f} s", file=sys.stderr)
        yield part


@contextmanager
def table_file(path: Path) -> Iterator[Append]:
    """A function that adds rows to a CSV or parquet file. The file appears when all rows are written."""
    opened = _parquet if path.suffix == ".parquet" else _csv
    with whole_file(path) as partial, opened(partial) as append:
        yield append


@contextmanager
def _csv(path: Path) -> Iterator[Append]:
    """A function that adds rows to a CSV file, the first time with the header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda table: table.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Append]:
    """A function that adds rows to a parquet file, one row group a chunk."""
    parquet = _pyarrow()
    arrow = importlib.import_module("pyarrow")
    with ExitStack() as stack:
        writers: list[Any] = []

        def append(table: DataFrame) -> None:
            rows = arrow.Table.from_pandas(table, preserve_index=False)
            if not writers:
                writers.append(stack.enter_context(parquet.ParquetWriter(path, rows.schema)))
            writers[0].write_table(rows)

        yield append


class _Stdout:
    """CSV on stdout. A reader that closes the pipe early (`| head`) ends the program silently."""

    begun = False

    def __call__(self, table: DataFrame) -> None:
        try:
            table.to_csv(sys.stdout, index=False, header=not self.begun, lineterminator="\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        self.begun = True


def _lloq_of_study(simulation: Simulation, study: str | None) -> dict[str, float]:
    """The LLOQ of each output that a study measures: of the analyte of its name, else of its cells or copies.

    Two analytes of one unit with different limits say nothing of an output that has neither's name.
    """
    if study is None:
        return {}
    analytes = read_study(study).analytes
    limits: dict[str, float] = {}
    for name in simulation.outputs:
        unit = simulation.model.outputs[name].unit
        if name in analytes and analytes[name].unit == unit and analytes[name].lloq:
            limits[name] = float(analytes[name].lloq or 0)
        elif unit in _CELL_UNITS:
            alike = {a.lloq for a in analytes.values() if a.unit == unit and a.lloq and a.site == "blood"}
            if len(alike) == 1:
                limits[name] = float(alike.pop() or 0)
    return limits


def _lloq_of_text(simulation: Simulation, text: str | None) -> dict[str, float]:
    """The limits of `copies=50,cells=0.5`; PlanError with all that is wrong with them."""
    limits: dict[str, float] = {}
    problems = []
    for part in (text or "").split(",") if text is not None else ():
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = 0.0
        if not 0 < limits[name] < np.inf:
            problems.append(Problem(f"--lloq {part!r} is no limit above 0", "write copies=50,cells=0.5"))
        elif name not in simulation.outputs:
            remedy = did_you_mean(name, simulation.outputs)
            problems.append(Problem(f"--lloq {name}: the simulation has no such output", remedy))
    if problems:
        raise PlanError(problems)
    return limits


def _figure(simulation: Simulation, curves: DataFrame, lloq: Mapping[str, float]) -> Figure:
    """The curves with their bands; the notes below say what they stand on."""
    s = simulation
    shown = int(curves["patient"].nunique())
    notes = [f"{note[0].upper()}{note[1:]}." for note in s.notes]
    if shown < s.patients:
        notes.append(f"The first {shown:,} of {s.patients:,} patients.")
    dose_days = []
    if len(s.weights) == 1:  # everybody has the same doses
        times = np.asarray(s.doses.time)
        dose_days = np.unique(times[np.asarray(s.doses.amount) > 0]).tolist()
    return plot_simulation(
        curves,
        s.model,
        guesses=s.population.guesses,
        source=_source_text(s),
        notes=notes,
        doses=dose_days,
        synthetic=s.synthetic,
        lloq=lloq,
    )


def _source_text(simulation: Simulation) -> str:
    """Where the parameters come from, and which were set by hand."""
    population = simulation.population
    by_hand = f" but for {', '.join(population.set_by_hand)}" if population.set_by_hand else ""
    return f"parameters: {population.source}{by_hand}"


def _summed(
    simulation: Simulation, curves: DataFrame, gave_up: Mapping[int, float], files: Files
) -> Simulated:
    """The summary of the first rows: peaks, bands, guesses, and what was written."""
    s = simulation
    peaks = peak_table(curves)
    shown = int(curves["patient"].nunique())
    answer = {
        "model": s.model.name,
        "sha256": s.model.sha256,
        "parameters": s.population.source,
        "prior_set": s.prior_set,
        "set": {name: s.population.hierarchy.fixed[name] for name in s.population.set_by_hand},
        "guess": s.population.guesses,
        "synthetic": s.synthetic,
        "patients": s.patients,
        "seed": s.seed,
        "notes": list(s.notes),
        "gave_up": {
            "patients": len(gave_up),
            "first": [{"patient": number, "day": day} for number, day in list(gave_up.items())[:10]],
        },
        "summary_of": shown,
        "summary": peaks.to_dict("records"),
        "rows": curve_bands(curves).to_dict("records"),
        "written": files.written,
    }
    label = "SYNTHETIC DATA  " if s.synthetic else ""
    patients = "one patient" if s.patients == 1 else f"{s.patients} patients, median and 90 % interval"
    if shown < s.patients:
        patients += f" of the first {shown}"
    lines = [
        f"{label}{s.model.name}: {patients}",
        _peak_text(peaks, intervals=s.patients > 1).to_string(index=False),
    ]
    if s.population.guesses:
        lines.append(f"design guesses: {', '.join(s.population.guesses)}")
    lines += [f"written: {name}" for name in files.written]
    return Simulated(answer, "\n".join(lines), not gave_up)


def _peak_text(peaks: DataFrame, *, intervals: bool) -> DataFrame:
    """The table of peaks for a reader: `12.3 (4.5 to 67)`, or the number alone for one patient."""
    heads = {"peak": "peak", "peak_day": "day of the peak", "last": "at the end"}
    rows = []
    for row in peaks.to_dict("records"):
        cells = {"output": row["output"], "unit": row["unit"]}
        for name, head in heads.items():
            cells[head] = f"{row[name]:.4g}"
            if intervals:
                cells[head] += f" ({row[f'{name}_5']:.3g} to {row[f'{name}_95']:.3g})"
        rows.append(cells)
    return DataFrame(rows, columns=["output", "unit", *heads.values()])
