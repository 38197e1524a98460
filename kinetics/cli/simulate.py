"""What `kinetics simulate` does: reads its options, writes chunks as they come, and sums up what it wrote.

A file appears under its name when all of it is there: it is written beside it under another name and renamed
at the end. Memory is that of one chunk and of the first `_SHOWN` rows, from which the summary and the plot
are made.
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
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.exposures import site_shares
from kinetics.files import whole_file
from kinetics.inference import load_fit, use_compile_cache
from kinetics.library import is_bare
from kinetics.pages import organ_figures
from kinetics.plot import plot_simulation, refuse_figures, save_figure, save_figures
from kinetics.prediction import (
    ParameterSource,
    Simulation,
    curve_bands,
    gave_up_text,
    peak_table,
    simulate_chunks,
    simulation,
)
from kinetics.regimen import read_regimen

__all__ = ["Files", "Simulated", "days_of", "simulate", "simulate_to", "simulation_from", "table_file"]

_SHOWN = 1_000_000  # rows
_FORMATS = (".csv", ".parquet")
_ORGANS = ("organ_stack", "body_map")

Append = Callable[[DataFrame], None]


@dataclass(frozen=True)
class Files:
    """Where the results go; without `out` and with `stdout` the curves are CSV on stdout."""

    out: Path | None = None
    parameters: Path | None = None
    plot: Path | None = None
    organs: Path | None = None
    organs_as: str = "html"
    stdout: bool = False

    @property
    def written(self) -> list[str]:
        drawn = [self.organs / f"{name}.{self.organs_as}" for name in _ORGANS] if self.organs else []
        return [str(path) for path in (self.out, self.parameters, self.plot, *drawn) if path is not None]


@dataclass(frozen=True)
class Simulated:
    """What was simulated: the answer for `--json`, the same for a reader, and if every patient was solved."""

    answer: Mapping[str, Any]
    text: str
    whole: bool


@dataclass
class _Shown:
    """The first rows, and whom the solver gave up on."""

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
    regimen: Annotated[Path | None, typer.Option(help="A TOML of [[dose]] tables.")] = None,
    study: Annotated[
        str | None, typer.Option(help="A study whose subjects' doses are taken in turn.")
    ] = None,
    products: Annotated[str | None, typer.Option(help="Only these products, as car_nk,car_t.")] = None,
    weight: Annotated[float | None, typer.Option(help="kg, for doses per kg.  [default: 70]")] = None,
    patients: Annotated[int | None, typer.Option(min=1, help="[default: 1 if typical, else 100]")] = None,
    times: Annotated[str, typer.Option(help="Days: start:stop:step, or a list with commas.")] = "0:90:1",
    outputs: Annotated[str | None, typer.Option(help="Names with commas; default all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
    rtol: Annotated[float | None, typer.Option(min=1e-14, max=0.1, help="Error of a step.")] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Half the memory; about 5 digits.")] = False,
    chunk: Annotated[int, typer.Option(min=1, help="Patients solved at once.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="Curves, .csv or .parquet.")] = None,
    parameters: Annotated[Path | None, typer.Option(help="Who they are, .csv or .parquet.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Median and bands: .html, .svg, .pdf or .png.")] = None,
    organs: Annotated[Path | None, typer.Option(help="Folder for an organ stack and a body map.")] = None,
    plots_as: Annotated[str, typer.Option(help="Of these: html, svg, pdf or png.")] = "html",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Curves of virtual patients; CSV on stdout when piped, else a summary. Exit 1 if the solver gave up.

    Example: `kinetics simulate stein_2019 --from prior --patients 1000 --out curves.csv --plot curves.html`
    """
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
    )
    piped = out is None and not as_json and not sys.stdout.isatty()
    done = simulate_to(prepared, Files(out, parameters, plot, organs, plots_as, stdout=piped), chunk=chunk)
    if not piped:
        print_result(dict(done.answer), done.text, as_json)
    if not done.whole:
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
) -> Simulation:
    """The simulation that the options of the command line ask for."""
    if weight is not None and study is not None:
        raise typer.BadParameter("a study brings its own weights", param_hint="'--weight'")
    days = days_of(times)
    given = dict(_value(text) for text in values)
    parameters = _source(source)
    prepared = simulation(
        model,
        None if regimen is None else read_regimen(regimen),
        study=study,
        parameters=parameters,
        prior_set=prior_set,
        patients=(1 if source == "typical" else 100) if patients is None else patients,
        times=days,
        weight_kg=70.0 if weight is None else weight,
        outputs=_names(outputs),
        products=_names(products),
        set=given,
        seed=seed,
    )
    changes: dict[str, Any] = {} if rtol is None else {"rtol": rtol}
    changes |= {"precision": "float32"} if float32 else {}
    return replace(prepared, solver=replace(prepared.solver, **changes))


def days_of(text: str) -> np.ndarray:
    """`0:90:1` (start:stop:step, the stop included) or `0,1,7,28`; BadParameter for anything else."""
    try:
        numbers = [float(part) for part in text.split(":" if ":" in text else ",")]
        if ":" not in text:
            return np.array(numbers)
        start, stop, step = numbers
        if not (np.isfinite(numbers).all() and step > 0 and stop >= start):
            raise ValueError
        return np.round(start + step * np.arange(np.floor((stop - start) / step + 1e-9) + 1), 12)
    except ValueError as error:
        what = f"{text!r} is neither start:stop:step with a step above 0, as 0:90:1, nor days, as 0,1,7,28"
        raise typer.BadParameter(what, param_hint="'--times'") from error


def _value(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no name=value with a number", param_hint="'--set'") from error


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _source(source: str) -> ParameterSource:
    if source == "typical" or source == "prior":
        return source
    if is_bare(source) and not Path(source).is_dir():
        what = f"{source!r}: {did_you_mean(source, ['typical', 'prior'])} A run folder is runs/NAME"
        raise typer.BadParameter(what, param_hint="'--from'")
    return load_fit(source)


def simulate_to(simulation: Simulation, files: Files, *, chunk: int) -> Simulated:
    """Simulate, write chunks as they come, and sum up; notes and progress go to stderr."""
    _refuse(files, simulation)
    for note in simulation.notes:
        print(note, file=sys.stderr)
    shown = _Shown()
    with ExitStack() as stack:
        out: Append | None = _Stdout() if files.stdout else None
        out = stack.enter_context(table_file(files.out)) if files.out is not None else out
        parameters = None if files.parameters is None else stack.enter_context(table_file(files.parameters))
        for part in _watched(simulate_chunks(simulation, chunk), simulation.patients, chunk):
            if out is not None:
                out(part.curves)
            if parameters is not None:
                parameters(part.parameters)
            shown.add(part.curves)
            shown.gave_up.update(part.gave_up)
        curves = pd.concat(shown.parts, ignore_index=True)
        if files.plot is not None:
            save_figure(_figure(simulation, curves), files.plot)
        if files.organs is not None:
            shares = site_shares(simulation.model, curves)
            source = _source_text(simulation)
            figures = organ_figures(simulation.model, shares, synthetic=simulation.synthetic, source=source)
            save_figures(files.organs, figures, files.organs_as)
    if shown.gave_up:
        print(gave_up_text(shown.gave_up, simulation.patients), file=sys.stderr)
    return _summed(simulation, curves, shown.gave_up, files)


def _refuse(files: Files, simulation: Simulation) -> None:
    """Before anything is solved: formats that cannot be written, and two results for one file."""
    refuse_figures(Path(name) for name in files.written if Path(name) not in (files.out, files.parameters))
    found = []
    if files.organs is not None and not simulation.model.sites:
        what = f"model {simulation.model.name} does not say which outputs are cells at a site"
        found.append(Problem(what, "leave --organs out, or give the model sites (Model.sites)"))
    for path in (files.out, files.parameters):
        if path is not None and path.suffix not in _FORMATS:
            found.append(
                Problem(f"{path} ends in none of {', '.join(_FORMATS)}", "name a .csv or a .parquet")
            )
        if path is not None and path.suffix == ".parquet" and not _pyarrow():
            remedy = "pip install 'cellkinetics[parquet]', or name a .csv"
            found.append(Problem(f"{path}: parquet needs pyarrow, which is not installed", remedy))
    if len({os.path.abspath(name) for name in files.written}) < len(files.written):
        found.append(Problem("two results for one file", "name a file for each"))
    if found:
        raise PlanError(found)


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        return None


def _watched(parts: Iterator[Any], patients: int, chunk: int) -> Iterator[Any]:
    """The parts, with a line on stderr every few seconds."""
    start = said = perf_counter()
    for number, part in enumerate(parts, start=1):
        if perf_counter() - said > 5.0 and number * chunk < patients:
            said = perf_counter()
            print(f"{number * chunk} of {patients} patients, {said - start:.0f} s", file=sys.stderr)
        yield part


@contextmanager
def table_file(path: Path) -> Iterator[Append]:
    """A function that adds rows to a CSV or parquet file, which is there when all rows are: or not at all."""
    table = _parquet if path.suffix == ".parquet" else _csv
    with whole_file(path) as partial, table(partial) as append:
        yield append


@contextmanager
def _csv(path: Path) -> Iterator[Append]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda table: table.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Append]:
    """One row group a chunk."""
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
    """CSV on stdout; a reader that has seen enough (`| head`) ends it without a word."""

    begun = False

    def __call__(self, table: DataFrame) -> None:
        try:
            table.to_csv(sys.stdout, index=False, header=not self.begun, lineterminator="\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        self.begun = True


def _figure(simulation: Simulation, curves: DataFrame) -> Figure:
    s = simulation
    shown = int(curves["patient"].nunique())
    notes = [f"{note[0].upper()}{note[1:]}." for note in s.notes]
    notes += [f"The first {shown:,} of {s.patients:,} patients."] if shown < s.patients else []
    given_at = np.asarray(s.doses.time)[np.asarray(s.doses.amount) > 0]
    doses = np.unique(given_at).tolist() if len(s.weights) == 1 else []
    return plot_simulation(
        curves,
        s.model,
        guesses=s.population.guesses,
        source=_source_text(s),
        notes=notes,
        doses=doses,
        synthetic=s.synthetic,
    )


def _source_text(s: Simulation) -> str:
    given = f" but for {', '.join(s.population.set_by_hand)}" if s.population.set_by_hand else ""
    return f"parameters: {s.population.source}{given}"


def _summed(
    simulation: Simulation, curves: DataFrame, gave_up: Mapping[int, float], files: Files
) -> Simulated:
    s = simulation
    table = peak_table(curves)
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
            "first": [{"patient": n, "day": day} for n, day in list(gave_up.items())[:10]],
        },
        "summary_of": shown,
        "summary": table.to_dict("records"),
        "rows": curve_bands(curves).to_dict("records"),
        "written": files.written,
    }
    label = "SYNTHETIC DATA  " if s.synthetic else ""
    who = "one patient" if s.patients == 1 else f"{s.patients} patients, median and 90 % interval"
    who += f" of the first {shown}" if shown < s.patients else ""
    lines = [f"{label}{s.model.name}: {who}"]
    lines.append(_read(table, many=s.patients > 1).to_string(index=False))
    if s.population.guesses:
        lines.append(f"design guesses: {', '.join(s.population.guesses)}")
    lines += [f"written: {name}" for name in files.written]
    return Simulated(answer, "\n".join(lines), not gave_up)


def _read(table: DataFrame, *, many: bool) -> DataFrame:
    """The summary as it is read: `12.3 (4.5 to 67)`, or the number alone for one patient."""

    def cell(row: Mapping[Any, Any], name: str) -> str:
        low = row[f"{name}_5"]
        high = row[f"{name}_95"]
        return f"{row[name]:.4g}" + (f" ({low:.3g} to {high:.3g})" if many else "")

    heads = {"peak": "peak", "peak_day": "day of the peak", "last": "at the end"}
    rows = [
        {"output": row["output"], "unit": row["unit"], **{head: cell(row, k) for k, head in heads.items()}}
        for row in table.to_dict("records")
    ]
    return DataFrame(rows, columns=["output", "unit", *heads.values()])
