"""A protocol.toml that settles another one: `extends = "NAME"` and the keys that it adds or changes.

A registry text is kept as it is, with its statements and its silence, and a second file settles what it
leaves open. Tables are joined key by key; a list or a single value takes the place of the other file's. A
`value` never takes over the `because` of another value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.library import find, names
from kinetics.toml import read_toml

__all__ = ["protocol_content", "protocol_file", "protocol_files"]

EXTENDS = "extends"


def protocol_file(reference: str, folder: Path = Path()) -> Path:
    """The file of a protocol: a file or folder of that name in `folder`, or else the library's.

    PlanError where there is no such file.
    """
    path = folder / reference
    if not os.path.lexists(path):
        path = find("protocols", reference).path
    if os.path.isdir(path):
        path = path / "protocol.toml"
    if not os.path.lexists(path):
        remedy = did_you_mean(reference, names("protocols"))
        raise PlanError(Problem(f"no protocol {reference!r}", remedy, file=reference))
    return path


def protocol_files(path: Path) -> list[Path]:
    """The file, the one that it extends, and so on. PlanError where they extend each other in a circle."""
    files = [path]
    while True:
        base = read_toml(files[-1], PlanError).get(EXTENDS)
        if base is None:
            return files
        if not isinstance(base, str):
            what = f"{EXTENDS} = {base!r} is no name of a protocol"
            raise PlanError(Problem(what, "write the name or the path in quotes", file=str(files[-1])))
        file = protocol_file(base, files[-1].parent)
        if file.resolve() in [other.resolve() for other in files]:
            circle = " extends ".join(map(str, [*files, file]))
            raise PlanError(Problem(f"protocols in a circle: {circle}", "take one `extends` out"))
        files.append(file)


def protocol_content(path: Path) -> dict[str, Any]:
    """The content of a protocol.toml, joined to that of the files that it extends."""
    content: dict[str, Any] = {}
    for file in reversed(protocol_files(path)):
        own = read_toml(file, PlanError)
        own.pop(EXTENDS, None)
        content = _joined(content, own)
    return content


def _joined(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables key by key, the second being the stronger."""
    joined = dict(base)
    if "value" in own:
        joined.pop("because", None)
    for key, value in own.items():
        both_are_tables = isinstance(joined.get(key), Mapping) and isinstance(value, Mapping)
        joined[key] = _joined(joined[key], value) if both_are_tables else value
    return joined
