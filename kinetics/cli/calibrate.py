"""What `kinetics sbc` does: replicates into a folder, a line of progress each, then the verdict and its
figure.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from kinetics.checks import WRONG, Calibration, Replicated, record_calibration, sbc as run_sbc
from kinetics.cli.console import print_result
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.files import write_atomic
from kinetics.inference import use_compile_cache
from kinetics.plan import find_plan, read_plan
from kinetics.plot import plot_sbc, save_figure

__all__ = ["sbc"]


def sbc(
    plan: Annotated[str, typer.Argument(help="A fits/NAME.toml, or a library fit's name.")],
    replicates: Annotated[int, typer.Option(min=1, help="Studies to draw and fit.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.  [default: sbc/NAME]")] = None,
    draws: Annotated[
        int, typer.Option(min=10, help="Draws of a chain; it goes on where it mixes badly.")
    ] = 500,
    warmup: Annotated[int, typer.Option(min=10, help="Warm-up iterations.")] = 150,
    ranks: Annotated[int, typer.Option(min=1, help="Draws that are kept of a chain.")] = 100,
    seed: Annotated[
        int | None, typer.Option(help="Seed of every random number; default: the plan's.")
    ] = None,
    wrong: Annotated[
        str | None, typer.Option(help="Fit wrongly on purpose: drop_blq. To be rejected.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    at_once: Annotated[
        int, typer.Option(min=1, help="Replicates that are sampled as one, in step, on a device.")
    ] = 1,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the summary beside the plan, for the model's card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Is a fit calibrated? Studies from its priors, fitted anew: exit 1 if ranks are not uniform.

    The same command goes on where it was stopped.
    Example: `kinetics sbc fits/ogasawara_2021__synthetic_cart_12.toml --replicates 200 --out sbc/ogasawara`
    """
    chosen = read_plan(plan)
    if wrong is not None and wrong not in WRONG:
        raise PlanError(Problem(f"unknown wrong likelihood {wrong!r}", did_you_mean(wrong, WRONG)))
    folder = out or Path("sbc") / (chosen.name + (f"__{wrong}" if wrong else ""))
    use_compile_cache()
    calibration = run_sbc(
        chosen,
        replicates=replicates,
        draws=draws,
        warmup=warmup,
        ranks=ranks,
        seed=seed,
        wrong=wrong,
        folder=folder,
        jobs=jobs,
        at_once=at_once,
        report=_say,
    )
    written = [*_write(calibration, folder)]
    if record:
        written.append(record_calibration(calibration, find_plan(plan)))
    paths = [str(path) for path in written]
    print_result(
        calibration.summary() | {"written": paths},
        f"{calibration}\n\nwritten: {', '.join(paths)}",
        as_json,
    )
    if not calibration.uniform:
        raise typer.Exit(1)


def _write(calibration: Calibration, folder: Path) -> tuple[Path, Path]:
    """The summary and the figure, into the folder."""
    return (
        write_atomic(folder / "summary.json", json.dumps(calibration.summary(), indent=2) + "\n"),
        save_figure(plot_sbc(calibration), folder / "ranks.html"),
    )


def _say(r: Replicated) -> None:
    trouble = f", {r.divergences} divergences" if r.divergences else ""
    line = f"{r.done}/{r.total}  replicate {r.replicate}: {r.seconds:.1f} s, ESS {r.ess:.0f}{trouble}"
    print(line, file=sys.stderr, flush=True)
