"""A folder of files, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kinetics.errors import InputError, Problem

__all__ = ["write_files"]


def write_files(folder: Path, files: Mapping[str, str | bytes], *, force: bool = False) -> Path:
    """Write `files` (path inside the folder -> content) by temporary name and rename.

    InputError if the folder is there and not `force`; with it the old one is replaced.
    """
    if folder.exists() and not force:
        what, remedy = (
            "something is there already",
            "choose another name with --out, or replace it with --force",
        )
        raise InputError(Problem(what, remedy, file=str(folder)))
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.chmod(0o755)
        old = None
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            os.replace(folder, old / folder.name)
        try:
            os.replace(partial, folder)
        except BaseException:
            if old is not None:
                os.replace(old / folder.name, folder)
            raise
        finally:
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder
