"""The face of a package: names that load when they are first used, and help with a name that is not there.

`attach` uses lazy_loader, which reads from `__init__.pyi` in which module each name lies.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import lazy_loader

__all__ = ["attach"]

_ROOT = Path(__file__).parent


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package's `__init__.py`: `attach(__name__, __file__)`.

    A name of the stub is loaded. For any other the AttributeError says in which package it is, or which name
    is near. `dir` lists what is in `__all__`.
    """
    load, _, _ = lazy_loader.attach_stub(package, file)

    def load_name(name: str) -> Any:
        try:
            return load(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            message = f"{package} has no {name!r}; {_remedy(name, package)}"
            raise AttributeError(message, name=name, obj=sys.modules[package]) from None

    def list_names() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return load_name, list_names


def _remedy(name: str, package: str) -> str:
    """Where the name is, or the nearest name that there is."""
    homes = _homes()
    if name in homes:
        return f"it is {homes[name]}.{name}"
    near = get_close_matches(name, homes, n=1, cutoff=0.6)
    if near:
        return f"did you mean {homes[near[0]]}.{near[0]}?"
    return f"dir({package}) lists what there is"


@cache
def _homes() -> dict[str, str]:
    """Public name -> the package whose `__all__` has it, the root before the layers."""
    homes: dict[str, str] = {}
    for file in [_ROOT / "__init__.py", *sorted(_ROOT.glob("*/__init__.py"))]:
        package = "kinetics" if file.parent == _ROOT else f"kinetics.{file.parent.name}"
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and target.id == "__all__" and value is not None:
                for public in ast.literal_eval(value):
                    homes.setdefault(public, package)
    return homes
