"""A group of commands in which an option that another command takes is not merely unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

__all__ = ["Group"]

_MOST = 3  # commands named at most: an option that more of them take says nothing of what was meant


class Group(TyperGroup):
    """A group that, where a command has no such option, names the other commands that take it."""

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
