"""The command reference, made from the typer app: what every command's --help says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from kinetics.cli.main import app

__all__ = ["command_page"]

HEAD = """# Commands

What `kinetics COMMAND --help` says. Every command takes `--json`: one JSON object on stdout, progress and
messages on stderr. Exit codes: 0 fine, 1 bad input or a failed check, 2 wrong usage; a fit that was told to
stop ends with 75.
"""


def command_page() -> str:
    """`commands.md`: one section a command, in the order of `kinetics --help`."""
    root: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in root.commands.items():
        parts += _command(f"kinetics {name}", command)
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    """Heading, help, usage and every argument and option; for a group, its commands too."""
    context = command.context_class(command, info_name=name)
    yield f"({name.replace(' ', '-')})=\n## {name.removeprefix('kinetics ')}\n"
    yield re.sub(r"\n+Example: ", "\n\nExample: ", (command.help or "").strip()) + "\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```console\n$ {name} {usage}\n```\n"
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    yield "| argument or option | what |\n|---|---|"
    for flags, meaning in filter(None, records):
        yield f"| `{_cell(flags)}` | {_cell(meaning).replace('<', '&lt;')} |"
    yield ""
    for subcommand_name, subcommand in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {subcommand_name}", subcommand)


def _cell(text: str) -> str:
    """Text that fits into a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
