"""Commands of the command line, run in this process, and the files that they leave."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import typer.main

from kinetics.cli import main as cli

__all__ = ["COMMANDS", "CommandResult", "call", "file_contents"]

COMMANDS = sorted(typer.main.get_command(cli.app).commands)  # pyright: ignore


class CommandResult(NamedTuple):
    """The exit code of a command and the text it wrote to stdout and stderr."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout; NaN and Infinity are refused."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        (line,) = self.out.splitlines()
        return json.loads(line, parse_constant=refuse)


def call(*arguments: object) -> CommandResult:
    """`kinetics ARGUMENTS` in this process, through `main`."""
    out = io.StringIO()
    err = io.StringIO()
    code = 0
    with (
        patch.object(sys, "argv", ["kinetics", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return CommandResult(code, out.getvalue(), err.getvalue())


def file_contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below `folder`, by its path relative to the folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
