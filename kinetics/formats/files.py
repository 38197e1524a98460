"""A folder of files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kinetics.errors import InputError, Problem
from kinetics.files import whole_folder

__all__ = ["write_files"]


def write_files(folder: Path, files: Mapping[str, str | bytes], *, force: bool = False) -> Path:
    """Write `files` (path inside the folder -> content), all of them or none, and return the folder.

    InputError if the folder exists, unless `force` says to replace it.
    """
    if folder.exists() and not force:
        remedy = "choose another name with --out, or replace it with --force"
        raise InputError(Problem("something is there already", remedy, file=str(folder)))
    with whole_folder(folder, replace=force) as partial:
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
