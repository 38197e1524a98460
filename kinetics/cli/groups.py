"""A group of commands in which an option that another command takes is not merely unknown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["Group"]

_MOST = 3  # commands named at most: an option that more of them take says nothing of what was meant


class Group(TyperGroup):
    """A group that, where a command has no such option, names the other commands that take it.

    An option that needs a value never takes another option for it: `--sites --trust` would write a file of
    the name --trust.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word, after its options were looked at."""
        name, command, words = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, TyperGroup):
            _refuse_swallowed(command, words)
        return name, command, words

    def invoke(self, ctx: Any) -> Any:
        """Run the command; the error of an unknown option ends with the commands that take it."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            option = getattr(error, "option_name", "")
            at = getattr(error, "ctx", None)
            if option and hasattr(error, "possibilities") and at is not None and at.parent is ctx:
                takers = list(_takers(self, _words(ctx), option))
                if 0 < len(takers) <= _MOST:
                    _say(error, f"No such option: {option}; {' or '.join(takers)} takes it")
            raise


def _refuse_swallowed(command: Any, words: list[str]) -> None:
    """Refuse an option without its value, which takes the next option of the command for it."""
    options = [p for p in command.params if p.param_type_name == "option"]
    known = {name for p in options for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    valued = {name for p in options if not p.is_flag and not p.count for name in p.opts}
    for word, following in pairwise(words):
        if word == "--":
            return
        if word in valued and following in known:
            raise typer.BadParameter(f"it needs a value, and {following} follows it", param_hint=word)


def _say(error: Any, message: str) -> None:
    """Replace the message of an error of an option."""
    error.message = message
    error.possibilities = ()


def _words(ctx: Any) -> str:
    """The words of a group's command line, `kinetics design`, by whatever name the program was called."""
    return "kinetics" if ctx.parent is None else f"{_words(ctx.parent)} {ctx.info_name}"


def _takers(group: TyperGroup, words: str, option: str) -> Iterator[str]:
    """The commands of a group, and of the groups in it, with that option or an argument of its name."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _takers(command, f"{words} {name}", option)
        for parameter in command.params:
            if option in parameter.opts:
                yield f"`{words} {name}`"
            elif option == f"--{parameter.name}" and parameter.param_type_name == "argument":
                yield f"`{words} {name}` (an argument, without dashes)"
