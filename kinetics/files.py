"""Files and folders written whole or not at all, and what stands where a file should.

The content is written under a hidden name beside its destination, flushed to the disk, and renamed. Where
that fails or is interrupted, nothing of it is left and what was there before stays. A process that was killed
leaves its hidden file or folder behind; the next that writes the same name on the same machine removes it.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

__all__ = ["not_a_name", "not_readable", "whole_file", "whole_folder", "write_atomic"]


def not_readable(path: Path) -> str:
    """Why `path` cannot be read as a file, in words; "" where it can.

    >>> from pathlib import Path
    >>> from kinetics.files import not_readable
    >>> not_readable(Path("nothing.csv")), not_readable(Path("/"))
    ('no such file', 'a folder, not a file')
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
        if path.is_symlink():
            return f"a link to {os.readlink(path)}, which is not there"
        return (
            "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror or error).lower()
        )
    except ValueError:  # a NUL in the name
        return "no name of a file"
    if stat.S_ISDIR(mode):
        return "a folder, not a file"
    if not stat.S_ISREG(mode):
        return f"{_SPECIAL.get(stat.S_IFMT(mode), 'a device')}, not a file"
    return "" if os.access(path, os.R_OK) else "a file that you may not read"


def not_a_name(name: str) -> str:
    """Why `name` cannot be that of one file or folder, in words; "" where it can.

    >>> from kinetics.files import not_a_name
    >>> not_a_name("nkg2d_blood-laplace"), not_a_name("runs/mine")
    ('', 'it has a slash in it')
    """
    if not name.strip() or name in (".", ".."):
        return f"{name!r} is none"
    if set(name) & {"/", "\\"}:
        return "it has a slash in it"
    if not name.isprintable():
        return "it has a line break or another control character in it"
    if len(name.encode(errors="replace")) > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} characters"
    return ""


_SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


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

    Where the block fails, the file is removed. Missing parent folders are made. A file that is there is
    replaced and keeps its mode; a new one has the mode that the umask leaves. An OSError of writing, as that
    of a full disk, has the name of `path`, never the hidden one.
    """
    partial = _partial(path)
    with _parents_of(path), _naming(path, partial):
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield partial
            _flush_to_disk(partial)
            _keep_mode(path, partial)
            os.replace(partial, path)
            _flush_to_disk(path.parent)
        except BaseException:
            with suppress(OSError):  # a disk on which nothing may be written has nothing to remove
                partial.unlink(missing_ok=True)
            raise


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder to write into, which becomes `folder` at the end of the block.

    Where the block fails, the folder is removed. Missing parent folders are made. With `replace`, whatever is
    there is replaced, and a folder keeps its mode. Without it, FileExistsError is raised at the start of the
    block where something is there, and OSError at its end where another process has put something there
    meanwhile. A new folder has the mode that the umask leaves. An OSError of writing, as that of a full disk,
    has the name of `folder` or of the file in it, never the hidden one.
    """
    if folder.exists() and not replace:
        raise FileExistsError(errno.EEXIST, "something is there already", str(folder))
    partial = _partial(folder)
    with _parents_of(folder), _naming(folder, partial):
        try:
            partial.mkdir()
            yield partial
            for path in [*partial.rglob("*"), partial]:
                _flush_to_disk(path)
            _keep_mode(folder, partial)
            if folder.exists() and replace:
                _exchange(partial, folder)
            else:
                os.replace(partial, folder)
            _flush_to_disk(folder.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def _parents_of(path: Path) -> Iterator[None]:
    """Make the missing folders above `path`, and remove those again that are empty where the block fails."""
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # a folder that holds something stays, and those above it
            for folder in missing:
                folder.rmdir()
        raise


@contextmanager
def _naming(path: Path, partial: Path) -> Iterator[None]:
    """Name `path` in an OSError of the block that is of writing: one that names no file, the hidden `partial`
    or a file in it, or the source of a copy beside its copy.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            written = error.filename if error.filename2 is None else error.filename2
            error.filename = _destination(written, path, partial)
            error.filename2 = None
        raise


def _destination(written: str | bytes | int | None, path: Path, partial: Path) -> str:
    """What the file `written`, named by an OSError, is to become: of the hidden `partial`, part of `path`."""
    if written is None or isinstance(written, int):
        return str(path)
    file = Path(os.fsdecode(written))
    if file.is_relative_to(partial):
        file = path / file.relative_to(partial)
    return str(file)


_LONGEST_NAME = 150  # characters of a name kept in a hidden one: file systems take 255 bytes


def _partial(path: Path) -> Path:
    """The hidden name under which this process writes `path`; those that dead processes left are removed."""
    machine = sha256(platform.node().encode()).hexdigest()[:8]
    name = path.name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    stale = re.compile(rf"\.{re.escape(name)}\.partial-{machine}-(\d+)-[0-9a-f]{{8}}")
    with suppress(OSError):
        for entry in list(path.parent.iterdir()):
            match = stale.fullmatch(entry.name)
            if match is not None and not _is_alive(int(match[1])):
                _remove(entry)
    return path.with_name(f".{name}.partial-{machine}-{os.getpid()}-{secrets.token_hex(4)}")


def _is_alive(process: int) -> bool:
    """Whether a process of this machine runs; true where that cannot be told."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file or a folder, where that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _keep_mode(former: Path, partial: Path) -> None:
    """Give `partial` the mode of the file or folder that it is about to replace, where there is one."""
    with suppress(OSError):
        partial.chmod(stat.S_IMODE(former.stat().st_mode))


def _flush_to_disk(path: Path) -> None:
    """Have the operating system write a file's content, or a folder's names, to the disk."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        if is_folder:  # a folder that may be written and not read
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError:
        if not is_folder:  # some file systems flush no folders
            raise
    finally:
        os.close(descriptor)


def _exchange(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder` and delete what was there; put it back where the renaming fails."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:_LONGEST_NAME]}.old.", dir=folder.parent))
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
