"""The program `kinetics`: its commands, and what becomes of an error.

A command prints its result on stdout, progress and errors on stderr; with `--json` the result is one JSON
object. Exit codes: 0 fine, 1 bad input or a failed check, 2 wrong usage, 75 stopped by a signal.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from kinetics.cli.program import Program
from kinetics.errors import InputError, KineticsError, Stopped

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Cellular kinetics: studies in, fitted models, exposure and reports out.",
)


def _print_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        print(f"kinetics {version('cellkinetics')}")
        raise typer.Exit


@app.callback()
def program(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Cellular kinetics: studies in, fitted models, exposure and reports out."""


def main() -> None:
    """Run the command line; every error of this package becomes a message and exit code 1."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's alarm of a slow compile; errors still raise
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
        _fail(_of_the_system(error), [])
    except MemoryError:
        _fail("not enough memory; ask for less at once (draws, patients, times), or use a larger machine", [])


def _of_the_system(error: OSError) -> str:
    """What the operating system refuses, as a message."""
    file = error.filename or "a file"
    if error.errno == errno.ENOSPC:
        return f"{file}: the disk is full; make space, or choose another place"
    if error.errno == errno.EDQUOT:
        return f"{file}: your quota of this disk is used up; make space, or choose another place"
    if error.errno == errno.EFBIG:
        return f"{file}: larger than a file may be here (ulimit -f); raise the limit, or choose another place"
    if error.errno == errno.EROFS:
        return f"{file}: nothing may be written on this disk (read-only); choose another place"
    if error.filename is None:
        return f"{error.strerror or error}; see the file or connection that the command uses"
    return f"{error.filename}: {error.strerror}; choose another place, or mend its permissions"


def _fail(message: str, problems: list[dict[str, object]]) -> None:
    """Print the message on stderr, and with `--json` on stdout too; exit with code 1."""
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "problems": problems}))
    print(message, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
