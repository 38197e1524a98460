"""The commands that assess fits: `kinetics report`, `compare`, `subgroups` and `sbc`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kinetics.checks import (
    WRONG,
    Replicated,
    check as run_check,
    compare as run_compare,
    record_calibration,
    sbc as run_sbc,
    subgroups as run_subgroups,
)
from kinetics.cli.console import print_result
from kinetics.cli.options import Json, Plain, PlanName, RunFolder, TableOut, Trust
from kinetics.errors import InputError, PlanError, Problem, did_you_mean
from kinetics.exposures import NCARules, exposure as run_exposure, nca as run_nca
from kinetics.files import write_atomic
from kinetics.inference import Fit, load_fit, use_compile_cache, use_cores
from kinetics.pages import report as write_report, solve_once
from kinetics.plan import find_plan, read_plan
from kinetics.plot import caption_file, plot_forest, plot_sbc, refuse_figures, save_figure
from kinetics.spreadsheets import csv_text
from kinetics.streams import LARGEST_SEED
from kinetics.submission import analysis_report, read_calibration

__all__ = ["compare", "report", "sbc", "subgroups"]


def report(
    run: RunFolder,
    m15: Annotated[
        Path | None, typer.Option(help="Report against this locked map.toml: HTML, DOCX and PDF.")
    ] = None,
    also: Annotated[
        list[Path] | None, typer.Option(help="--m15: another run that was made; repeat it for each.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="--m15: summary.json of `kinetics sbc`, where the plan asks for it.")
    ] = None,
    single_file: Annotated[
        bool,
        typer.Option(
            "--single-file/--shared-plotly",
            help="One file that can be mailed, or plotly.js (4.6 MB) in a file beside it.",
        ),
    ] = True,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Write the report of a fit, one HTML file that works offline.

    It has data, fits, VPC, parameters, NCA, checks and provenance: runs/NAME/report.html.

    With --m15 it writes runs/NAME/analysis_report.html, .docx and .pdf instead: every planned criterion with
    its outcome, and every deviation from the plan that `kinetics map lock` locked.
    Example: `kinetics report runs/ogasawara_2021__synthetic_cart_12`, or with a plan `--m15 map.toml`
    """
    if m15 is None and (also or calibration is not None):
        raise InputError(
            Problem("--also and --calibration are of a report against a plan", "add --m15 MAP.toml")
        )
    use_cores()
    use_compile_cache()
    fit = load_fit(run, trust=trust)
    solve_once(fit)
    if m15 is not None:
        _report_against_plan(
            fit,
            m15,
            run,
            others=[load_fit(other, trust=trust) for other in also or []],
            calibration=None if calibration is None else read_calibration(calibration),
            as_json=as_json,
        )
        return
    dosed = not fit.study.doses.empty  # exposures count time from a dose
    path = write_report(
        fit,
        run_check(fit),
        run_nca(fit.study, rules=NCARules.car_t()) if dosed else None,
        run_exposure(fit) if dosed else None,
        to=run / "report.html",
        single_file=single_file,
    )
    print_result({"report": str(path)}, f"written: {path}", as_json)


def _report_against_plan(
    fit: Fit,
    plan: Path,
    run: Path,
    *,
    others: list[Fit],
    calibration: dict[str, Any] | None,
    as_json: bool,
) -> None:
    """Write the report against a locked plan into the run's folder, and say what it came to."""
    written = analysis_report(fit, plan, to=run, others=others, calibration=calibration)
    result = {
        "reports": [str(path) for path in written.files],
        "notes": list(written.notes),
        "criteria": [outcome._asdict() for outcome in written.outcomes],
        "deviations": [deviation._asdict() for deviation in written.deviations],
    }
    lines = [f"{o.outcome:<9} {o.criterion}: {o.value} (wanted {o.wanted})" for o in written.outcomes]
    lines += [f"deviation {d.subject}: {d.planned} -> {d.done}" for d in written.deviations]
    if not written.deviations:
        lines.append("no deviation from the locked plan")
    lines += [*written.notes, *(f"written: {path}" for path in written.files)]
    print_result(result, "\n".join(lines), as_json)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders, runs/A runs/B.")],
    by: Annotated[str, typer.Option(help="Leave out one observation, or one subject.")] = "observation",
    draws: Annotated[
        int | None, typer.Option(min=100, help="Draws a chain; default all, by subject 500.")
    ] = None,
    points: Annotated[
        int, typer.Option(min=16, max=100_000, help="By subject: points of the integral.")
    ] = 256,
    out: TableOut = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare fits of the same data: which one predicts best.

    Prints leave-one-out differences, weights, and the parameters side by side.

    By observation it asks about another sample of a known patient, by subject about a new patient.
    Example: `kinetics compare runs/A runs/B --by subject --out compare.csv`
    """
    use_cores()
    use_compile_cache()
    names = _names(runs)
    comparison = run_compare(
        {name: load_fit(run, trust=trust) for name, run in zip(names, runs, strict=True)},
        by,  # pyright: ignore[reportArgumentType]  # compare refuses any other word
        draws=draws,
        points=points,
    )
    text = str(comparison)
    if out is not None:
        write_atomic(out, csv_text(comparison.table, str(out)))
        text += f"\nwritten: {out}"
    print_result(comparison.as_dict(), text, as_json)


def _names(runs: list[Path]) -> list[str]:
    """The names of the folders, or their whole paths where two share a name."""
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError(Problem("one run folder is given twice", "give different ones"))
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def subgroups(
    run: Annotated[Path, typer.Argument(help="A run folder, runs/NAME, of a fit with covariates.")],
    out: TableOut = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write the forest plot: .html, .svg, .pdf or .png.")
    ] = None,
    plain: Plain = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show the covariate effects of a fit, and what so few patients cannot show.

    Each effect is a ratio with its interval and a sentence.

    Example: `kinetics subgroups runs/NAME --out subgroups.csv --plot forest.html`
    """
    refuse_figures([] if plot is None else [plot], plain=plain)
    fit = load_fit(run, trust=trust)
    effects = run_subgroups(fit)
    lines = [str(effects)]
    if out is not None:
        lines.append(f"written: {write_atomic(out, csv_text(effects.table, str(out)))}")
    if plot is not None:
        lines.append(f"written: {save_figure(plot_forest(fit, effects), plot, plain=plain)}")
        if plain:
            lines.append(f"written: {caption_file(plot)}")
    print_result(effects.as_dict(), "\n".join(lines), as_json)


def sbc(
    plan: PlanName,
    replicates: Annotated[int, typer.Option(min=1, max=100_000, help="Studies to draw and fit.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.  [default: sbc/NAME]")] = None,
    draws: Annotated[
        int,
        typer.Option(min=10, max=1_000_000, help="Draws of a chain; a chain that mixes badly takes more."),
    ] = 500,
    warmup: Annotated[int, typer.Option(min=10, max=1_000_000, help="Warm-up iterations.")] = 150,
    ranks: Annotated[int, typer.Option(min=1, max=1_000_000, help="Draws that are kept of a chain.")] = 100,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Seed of every random number; default: the plan's."),
    ] = None,
    wrong: Annotated[
        str | None, typer.Option(help="Fit wrongly on purpose: drop_blq. The check should then reject.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    at_once: Annotated[
        int, typer.Option(min=1, help="Replicates that are sampled as one, in step, on a device.")
    ] = 1,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the summary beside the plan, for the model's card.")
    ] = False,
    plain: Plain = False,
    as_json: Json = False,
) -> None:
    """Test whether a fit is calibrated, on studies simulated from its priors.

    Each of them is fitted. Exit 1 if the ranks are not uniform.

    The same command goes on where it was stopped.
    Example: `kinetics sbc fits/ogasawara_2021__synthetic_cart_12.toml --replicates 200 --out sbc/ogasawara`
    """
    fit_plan = read_plan(plan)
    if wrong is not None and wrong not in WRONG:
        raise PlanError(Problem(f"unknown wrong likelihood {wrong!r}", did_you_mean(wrong, WRONG)))
    name = fit_plan.name if wrong is None else f"{fit_plan.name}__{wrong}"
    folder = out or Path("sbc") / name
    refuse_figures([folder / "ranks.html"], plain=plain)
    use_compile_cache()
    calibration = run_sbc(
        fit_plan,
        replicates=replicates,
        draws=draws,
        warmup=warmup,
        ranks=ranks,
        seed=seed,
        wrong=wrong,
        folder=folder,
        jobs=jobs,
        at_once=at_once,
        report=_print_replicate,
    )
    summary = calibration.summary()
    written = [
        write_atomic(folder / "summary.json", json.dumps(summary, indent=2) + "\n"),
        save_figure(plot_sbc(calibration), folder / "ranks.html", plain=plain),
    ]
    if plain:
        written.append(caption_file(folder / "ranks.html"))
    if record:
        written.append(record_calibration(calibration, find_plan(plan)))
    paths = [str(path) for path in written]
    print_result(summary | {"written": paths}, f"{calibration}\n\nwritten: {', '.join(paths)}", as_json)
    if not calibration.uniform:
        raise typer.Exit(1)


def _print_replicate(replicate: Replicated) -> None:
    """Print one line of progress after a replicate."""
    r = replicate
    trouble = f", {r.divergences} divergences" if r.divergences else ""
    line = f"{r.done}/{r.total}  replicate {r.replicate}: {r.seconds:.1f} s, ESS {r.ess:.0f}{trouble}"
    print(line, file=sys.stderr, flush=True)
