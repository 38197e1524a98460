"""Files and folders written whole or not at all.

The content is written under a hidden name beside its destination, flushed to the disk, and renamed. Where
that fails or is interrupted, nothing of it is left and what was there before stays.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["whole_file", "whole_folder", "write_atomic"]


def write_atomic(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all and return its path.

    A file that is there is replaced. A string is written in UTF-8.
    """
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """An empty file to write into, which becomes `path` at the end of the block.

    Where the block fails, the file is removed. Missing parent folders are made, and a file that is there is
    replaced. The mode of the file is 0644.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _flush_to_disk(partial)
        partial.chmod(0o644)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder to write into, which becomes `folder` at the end of the block.

    Where the block fails, the folder is removed. Missing parent folders are made. With `replace`, whatever is
    there is replaced. Without it, FileExistsError is raised at the start of the block where something is
    there, and OSError at its end where another process has put something there meanwhile. The mode of the
    folder is 0755.
    """
    if folder.exists() and not replace:
        raise FileExistsError(errno.EEXIST, "something is there already", str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                _flush_to_disk(path)
        partial.chmod(0o755)
        if folder.exists() and replace:
            _exchange(partial, folder)
        else:
            os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _flush_to_disk(path: Path) -> None:
    """Have the operating system write a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder` and delete what was there; put it back where the renaming fails."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    old = aside / folder.name
    try:
        os.replace(folder, old)
        os.replace(partial, folder)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(folder):
            os.replace(old, folder)
        with suppress(OSError):  # where even putting it back failed, `aside` holds it and is kept
            aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)
