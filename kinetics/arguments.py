"""What a function is called with: `require` says where a name, a path or nothing stands for what it holds.

A function that takes a Study, a Fit, a Protocol, a Model, a plan or a regimen begins with one call of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args

from kinetics.errors import InputError, Problem

__all__ = ["require"]

_READERS = {  # class -> what reads it from a name or a path
    "Fit": "kn.load_fit",
    "FitPlan": "kn.read_plan",
    "Model": "kn.load_model",
    "Protocol": "kn.read_protocol",
    "Regimen": "kn.read_regimen",
    "Study": "kn.read_study",
}
_MAKERS = {"Check": "kn.check"}  # class -> what makes it of something that was read
_PARTS = {("Fit", "Study"): "study", ("Fit", "Model"): "model"}  # (given, wanted) -> the attribute


def require(**arguments: tuple[object, type[Any] | UnionType]) -> None:
    """Require each argument, given as `name=(value, class)`, to be of its class or of one of a union.

    InputError has a Problem for each that is not, with the line to write.

    >>> from kinetics.arguments import require
    >>> try:
    ...     require(study=("theophylline", kn.Study))
    ... except kn.errors.InputError as error:
    ...     print(error)
    `study` is the text 'theophylline', not a Study; read it first: kn.read_study('theophylline')
    """
    problems = list(_problems(arguments))
    if problems:
        raise InputError(problems)


def _problems(arguments: dict[str, tuple[object, type[Any] | UnionType]]) -> Iterator[Problem]:
    """A Problem for every argument that is not of its class."""
    for name, (value, kind) in arguments.items():
        if not isinstance(value, kind):
            kinds = _classes(kind)
            yield Problem(f"`{name}` is {_shown(value)}, not {_listed(kinds)}", _remedy(value, kinds))


def _classes(kind: type[Any] | UnionType) -> list[type[Any]]:
    """The classes of a union, without None."""
    parts = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return [part for part in parts if part is not NoneType]


def _shown(value: object) -> str:
    """What was given: the text or the path itself, and of anything else the class."""
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, Path):
        return f"the path {str(value)!r}"
    return "None" if value is None else _with_article(type(value).__name__)


def _listed(kinds: list[type[Any]]) -> str:
    """The classes that are taken, as `a Model, a name or a path`."""
    nouns = [_with_article(kind.__name__) for kind in kinds if not issubclass(kind, str | Path)]
    if str in kinds:
        nouns += ["a name", "a path"]
    elif Path in kinds:
        nouns.append("a path")
    return " or ".join([", ".join(nouns[:-1]), nouns[-1]]) if len(nouns) > 1 else nouns[0]


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeio" else f"a {noun}"


def _remedy(value: object, kinds: list[type[Any]]) -> str:
    """The line to write in place of `value`."""
    given = type(value).__name__
    names = [kind.__name__ for kind in kinds]
    for name in names:
        if (given, name) in _PARTS:
            return f"a {given} holds it: give its `.{_PARTS[given, name]}`"
    readers = [_READERS[name] for name in names if name in _READERS]
    if str in kinds:
        ways = ["a name", "a path", *(f"what {reader}(...) returns" for reader in readers)]
        remedy = f"give {', '.join(ways[:-1])} or {ways[-1]}"
        return f"{remedy}; a {given} has been read already" if given in _READERS and not readers else remedy
    if readers and isinstance(value, str | Path):
        return f"read it first: {' or '.join(f'{reader}({str(value)!r})' for reader in readers)}"
    makers = readers or [_MAKERS[name] for name in names if name in _MAKERS]
    if makers:
        return f"give what {' or '.join(f'{maker}(...)' for maker in makers)} returns"
    return f"give {_listed(kinds)}"
