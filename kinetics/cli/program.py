"""The group of all commands. It imports a command's module when that command is run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand

from kinetics.cli.command_list import COMMANDS
from kinetics.cli.groups import Group

__all__ = ["Program"]


class _Commands(dict[str, Any]):
    """Name -> command. Each is made, and its module imported, when it is first asked for."""

    def __missing__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        self[name] = _command(name)
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The command of that name, or `default`."""
        return self[name] if name in COMMANDS else default

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def keys(self) -> Any:
        """The names, in the order of the help."""
        return COMMANDS.keys()

    def values(self) -> Any:
        """Every command."""
        return [self[name] for name in COMMANDS]

    def items(self) -> Any:
        """Every name with its command."""
        return [(name, self[name]) for name in COMMANDS]


def _command(name: str) -> Any:
    """The command of a name, from its module."""
    entry = COMMANDS[name]
    content = getattr(import_module(f"kinetics.cli.{entry.module}"), entry.function)
    if isinstance(content, typer.Typer):
        return typer.main.get_command(content)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    alone.command(name)(content)
    return typer.main.get_command(alone)


class Program(Group):
    """The commands of `kinetics`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()
        self._only_listed = False

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; while the help is printed, its name and summary alone."""
        if not self._only_listed or cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        entry = COMMANDS[cmd_name]
        return TyperCommand(cmd_name, help=entry.summary, rich_help_panel=entry.panel)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, from the list of commands alone."""
        self._only_listed = True
        super().format_help(ctx, formatter)
        self._only_listed = False
