"""The command line of assessment: `kinetics compare`, `kinetics subgroups`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinetics.checks import compare as run_compare, subgroups as run_subgroups
from kinetics.cli.console import print_result
from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic
from kinetics.inference import load_fit, use_compile_cache
from kinetics.plot import plot_forest, refuse_figures, save_figure

__all__ = ["compare", "subgroups"]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders, runs/A runs/B.")],
    by: Annotated[str, typer.Option(help="Leave out one observation, or one subject.")] = "observation",
    draws: Annotated[
        int | None, typer.Option(min=100, help="Draws a chain; default all, by subject 500.")
    ] = None,
    points: Annotated[int, typer.Option(min=16, help="By subject: points of the integral.")] = 256,
    out: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Which fit of the same data predicts best: leave-one-out differences, weights, parameters side by side.

    By observation it asks about another sample of a known patient, by subject about a new patient.
    Example: `kinetics compare runs/A runs/B --by subject --out compare.csv`
    """
    use_compile_cache()
    names = _names(runs)
    found = run_compare(
        {name: load_fit(run) for name, run in zip(names, runs, strict=True)},
        by,  # pyright: ignore[reportArgumentType]  # compare says what is possible
        draws=draws,
        points=points,
    )
    if out is not None:
        write_atomic(out, found.table.to_csv(index=False))
    print_result(found.as_dict(), str(found) + (f"\nwritten: {out}" if out else ""), as_json)


def subgroups(
    run: Annotated[Path, typer.Argument(help="A run folder, runs/NAME, of a fit with covariates.")],
    out: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write the forest plot: .html, .svg, .pdf or .png.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """What the covariates of a fit show, and what so few subjects cannot show: ratios, intervals, a sentence
    each.

    Example: `kinetics subgroups runs/NAME --out subgroups.csv --plot forest.html`
    """
    refuse_figures([] if plot is None else [plot])
    done = load_fit(run)
    found = run_subgroups(done)
    written = [] if out is None else [write_atomic(out, found.table.to_csv(index=False))]
    written += [] if plot is None else [save_figure(plot_forest(done, found), plot)]
    said = "".join(f"\nwritten: {path}" for path in written)
    print_result(found.as_dict(), f"{found}{said}", as_json)


def _names(runs: list[Path]) -> list[str]:
    """The folders' names, or their whole paths where two share one."""
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError(Problem("one run folder is given twice", "give different ones"))
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
