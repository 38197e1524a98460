"""The program `kinetics`: its commands, and what becomes of an error.

A command prints its result on stdout, progress and errors on stderr; with `--json` the result is one JSON
object. Exit codes: 0 fine, 1 bad input or a failed check, 2 wrong usage, 75 stopped by a signal.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

from kinetics.cli.assess import compare, report, sbc, subgroups
from kinetics.cli.batch import batch
from kinetics.cli.design_sampling import design_sampling
from kinetics.cli.expansion import expansion_cohorts
from kinetics.cli.explore import explore
from kinetics.cli.exposure import exposure, nca, tornado
from kinetics.cli.fit import check, fit_plan, resume_run
from kinetics.cli.groups import Group
from kinetics.cli.import_sheet import import_sheet
from kinetics.cli.models import check_model, models
from kinetics.cli.outcomes import astct, recist, response, survival
from kinetics.cli.plot import plot
from kinetics.cli.protocol import design, lint
from kinetics.cli.simulate import simulate
from kinetics.cli.study import convert, export, new, validate
from kinetics.cli.trial import next_dose, recommend_dose
from kinetics.errors import InputError, KineticsError, Stopped

__all__ = ["app", "main"]


class _InOrder(Group):
    """The commands in the order of `kinetics --help`. typer itself would put `design`, a group, first."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names = [name for name in self.commands if name != "design"]
        names.insert(names.index("lint") + 1, "design")
        self.commands = {name: self.commands[name] for name in names}


app = typer.Typer(
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Cellular kinetics: studies in, fitted models, exposure and reports out.",
)

app.command()(models)
app.command("import")(import_sheet)
app.command()(validate)
app.command()(convert)
app.command()(export)
app.command()(compare)
app.command()(subgroups)
app.command("design-sampling")(design_sampling)
app.command()(sbc)
app.command()(batch)
app.command()(nca)
app.command()(plot)
app.command()(exposure)
app.command()(simulate)
app.command()(tornado)
app.command()(lint)
app.add_typer(design)
app.command("next")(next_dose)
app.command()(response)
app.command()(survival)
app.command()(astct)
app.command()(recist)
app.command("recommend")(recommend_dose)
app.command("expansion")(expansion_cohorts)
app.command()(explore)
app.command("check-model")(check_model)
app.command("fit")(fit_plan)
app.command("resume")(resume_run)
app.command()(check)
app.command()(report)
app.command()(new)


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
    """Print the message on stderr, and with `--json` on stdout too; exit with code 1."""
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "problems": problems}))
    print(message, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
