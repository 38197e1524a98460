"""The command line: the same verbs as the Python API. Results on stdout, progress and errors on stderr.

Exit codes: 0 fine, 1 bad input or a failed check, 2 wrong usage. `--json` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from kinetics.checks import calibration_card, check as run_check
from kinetics.cli.assess import compare, subgroups
from kinetics.cli.astct import astct
from kinetics.cli.batch import batch
from kinetics.cli.calibrate import sbc
from kinetics.cli.console import print_result
from kinetics.cli.design import design, lint
from kinetics.cli.design_sampling import design_sampling
from kinetics.cli.expansion import expansion_cohorts
from kinetics.cli.explore import explore
from kinetics.cli.export import convert, export, validate
from kinetics.cli.exposure import exposure, nca
from kinetics.cli.fit import fit_to, overridden, resume_to
from kinetics.cli.new_study import new_study
from kinetics.cli.next_level import next_dose
from kinetics.cli.recist import recist
from kinetics.cli.recommend import recommend_dose
from kinetics.cli.response import response
from kinetics.cli.simulate import simulate
from kinetics.cli.tornado import tornado
from kinetics.errors import InputError, KineticsError, Stopped
from kinetics.exposures import NCARules, exposure as run_exposure, nca as run_nca
from kinetics.inference import load_fit
from kinetics.model import library_models, load_model
from kinetics.pages import report as write_report
from kinetics.plan import read_plan
from kinetics.solve import check_laws

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Cellular kinetics: studies in, fitted models, exposure and reports out.",
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Run = Annotated[Path, typer.Argument(help="A run folder, runs/NAME.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="A model's name or file.")] = None, as_json: Json = False
) -> None:
    """List the library's models, or show one model's card.

    Example: `kinetics models stein_2019`
    """
    if name is None:
        cards = {n: load_model(n).doc.strip().splitlines()[0] for n in library_models()}
        print_result({"models": cards}, "\n".join(f"{n:<24} {line}" for n, line in cards.items()), as_json)
    else:
        model = load_model(name)
        calibrated = calibration_card(model.name, model.sha256)
        card = "\n".join(
            [str(model), *(["Calibration"] if calibrated else []), *(f"  {x}" for x in calibrated)]
        )
        print_result(model.as_dict() | {"calibration": calibrated}, card, as_json)


app.command()(validate)
app.command()(convert)
app.command()(export)
app.command()(compare)
app.command()(subgroups)
app.command("design-sampling")(design_sampling)
app.command()(sbc)
app.command()(batch)
app.command()(nca)
app.command()(exposure)
app.command()(simulate)
app.command()(tornado)
app.command()(lint)
app.command()(design)
app.command("next")(next_dose)
app.command()(response)
app.command()(astct)
app.command()(recist)
app.command("recommend")(recommend_dose)
app.command("expansion")(expansion_cohorts)
app.command()(explore)


@app.command("check-model")
def check_model(
    model: Annotated[str, typer.Argument(help="A model's file, or a name of the library.")],
    dose: Annotated[
        float | None, typer.Option(help="Cells or mg; default: the model's typical dose.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Try every law on a model: doses, infusions, batches, mass, convergence, gradient. Exit 1 if one is
    broken.

    Example: `kinetics check-model models/mine.py --dose 1e8`
    """
    found = check_laws(load_model(model), amount=dose)
    broken = [law for law in found if law.ok is False]
    said = {True: "ok  ", False: "FAIL", None: "-   "}
    rows = [f"  {said[law.ok]} {law.name:<34} {law.detail}" for law in found]
    verdict = f"{len(broken)} laws broken" if broken else "every law that applies holds"
    print_result(
        {"ok": not broken, "laws": [vars(law) for law in found]}, "\n".join([*rows, verdict]), as_json
    )
    if broken:
        raise typer.Exit(1)


@app.command()
def fit(
    plan: Annotated[str, typer.Argument(help="A fits/NAME.toml, or a library fit's name.")],
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    draws: Annotated[int | None, typer.Option(help="Draws per chain.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Warm-up iterations per chain.")] = None,
    chains: Annotated[int | None, typer.Option(help="Chains.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random number.")] = None,
    method: Annotated[str | None, typer.Option(help="nuts, map, laplace (FOCE-I, no priors) or vi.")] = None,
    starts: Annotated[int | None, typer.Option(min=1, help="Places a maximum is sought from.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Begin, go on, or sum up what is finished: whichever it is.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit a model to a study and write a run folder, runs/NAME, or runs/NAME-METHOD for another --method.

    Example: `kinetics fit fits/ogasawara_2021__synthetic_cart_12.toml --method laplace`
    """
    chosen = overridden(
        read_plan(plan), draws=draws, warmup=warmup, chains=chains, seed=seed, method=method, starts=starts
    )
    print_result(*fit_to(chosen, out / chosen.name, force=force, resume=resume), as_json)


@app.command()
def resume(
    run: Run,
    draws: Annotated[int | None, typer.Option(help="Take a finished run to this many draws a chain.")] = None,
    as_json: Json = False,
) -> None:
    """Go on with a fit that was stopped, or take more draws of a finished one.

    Example: `kinetics resume runs/ogasawara_2021__synthetic_cart_12 --draws 2000`
    """
    print_result(*resume_to(run, draws), as_json)


@app.command()
def check(run: Run, as_json: Json = False) -> None:
    """May these numbers be used? Exit 1 with reasons if not.

    Example: `kinetics check runs/ogasawara_2021__synthetic_cart_12`
    """
    verdict = run_check(load_fit(run))
    print_result(verdict.as_dict(), str(verdict), as_json)
    if not verdict.ok:
        raise typer.Exit(1)


@app.command()
def report(run: Run, as_json: Json = False) -> None:
    """Write runs/NAME/report.html: data, fits, VPC, parameters, NCA, checks, provenance; works offline.

    Example: `kinetics report runs/ogasawara_2021__synthetic_cart_12`
    """
    done = load_fit(run)
    path = write_report(
        done,
        run_check(done),
        run_nca(done.study, rules=NCARules.car_t()),
        run_exposure(done, draws=500),
        to=run / "report.html",
    )
    print_result({"report": str(path)}, f"written: {path}", as_json)


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="The folder to make.")], as_json: Json = False) -> None:
    """Make a study folder laid out like the library, with a working example.

    Example: `kinetics new my-study`
    """
    made = new_study(folder)
    print_result(
        {"study": str(made)}, f"made: {made}\nnext: cd {made} && kinetics fit fits/example.toml", as_json
    )


def main() -> None:
    """Run the command line; every error of this package becomes a message and exit code 1."""
    try:
        app()
    except InputError as error:
        _fail(str(error), [p.as_dict() for p in error.problems])
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        raise SystemExit(75) from None
    except KineticsError as error:
        _fail(str(error), [])
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}; choose another place, or mend its permissions", [])


def _fail(message: str, problems: list[dict[str, object]]) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "problems": problems}))
    print(message, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
