"""The command reference, made from the typer app: what every command's --help says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from kinetics.cli.main import app

__all__ = ["command_page"]


def command_page() -> str:
    """`commands.md`: one section a command, in the order of `kinetics --help`."""
    parts = [
        "# Commands\n",
        "What `kinetics COMMAND --help` says. Every command takes `--json`: one JSON object on",
    ]
    parts += [
        "stdout, progress and messages on stderr. Exit codes: 0 fine, 1 bad input or a failed check, 2 wrong"
    ]
    parts += ["usage; a fit that was told to stop ends with 75.\n"]
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        parts += _command(f"kinetics {name}", command)
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    """Heading, help, usage and every argument and option; of a group, its commands too."""
    context = command.context_class(command, info_name=name)
    yield f"({name.replace(' ', '-')})=\n## {name.removeprefix('kinetics ')}\n"
    yield re.sub(r"\n+Example: ", "\n\nExample: ", (command.help or "").strip()) + "\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```console\n$ {name} {usage}\n```\n"
    rows = [record for p in command.get_params(context) if (record := p.get_help_record(context))]
    yield "| argument or option | what |\n|---|---|"
    for names, what in rows:
        yield f"| `{_cell(names)}` | {_cell(what).replace('<', '&lt;')} |"
    yield ""
    for inner, below in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {inner}", below)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
