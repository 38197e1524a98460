"""Library data sets that are not ours to ship: raw files found or fetched, checked, converted, cached.

Such a folder of data/ holds dictionary.toml, fetch.toml (the raw files, their SHA-256, where they come from)
and convert.py (`convert(raw, out)` writes our tables). Raw files are taken from $KINETICS_DATA_DIR/<folder>
if they are there, else from their address by pooch; either way the checksum must agree.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pooch

from kinetics.content import run_source
from kinetics.errors import Problem, StudyError
from kinetics.files import whole_folder
from kinetics.toml import parse_toml

__all__ = ["cache_folder", "fetched", "is_fetchable"]

pooch.get_logger().setLevel("WARNING")  # it would tell every copy
OURS = ("dictionary.toml", "fetch.toml", "convert.py")


def is_fetchable(folder: Path) -> bool:
    """Whether a library data set is fetched and converted rather than shipped."""
    return (folder / "fetch.toml").is_file()


def cache_folder() -> Path:
    """Where converted data sets are kept: $XDG_CACHE_HOME/cellkinetics/data."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cellkinetics" / "data"


def fetched(folder: Path) -> Path:
    """The converted study of a fetchable data set, made on first use; StudyError says what is missing."""
    ours = {name: (folder / name).read_bytes() for name in OURS}
    digest = hashlib.sha256(b"".join(ours.values())).hexdigest()
    target = cache_folder() / digest[:16] / folder.name
    if target.is_dir():
        return target
    try:
        with whole_folder(target) as made, _raw_folder(target) as raw:
            _gather(ours["fetch.toml"], Path(raw))
            (made / "dictionary.toml").write_bytes(ours["dictionary.toml"])
            _convert(folder / "convert.py", ours["convert.py"], Path(raw), made)
    except OSError:
        if not target.is_dir():  # else another process has made the same
            raise
    return target


def _raw_folder(target: Path) -> TemporaryDirectory[str]:
    """A folder beside `target` for the raw files, gone at the end of its block."""
    return TemporaryDirectory(prefix=f".{target.name}.raw.", dir=target.parent, ignore_cleanup_errors=True)


def _gather(recipe: bytes, raw: Path) -> None:
    """Every raw file into `raw`, its checksum verified; all that are missing or wrong are named at once."""
    spec = parse_toml(recipe.decode("utf-8-sig"), StudyError, file="fetch.toml")
    root = os.environ.get("KINETICS_DATA_DIR")
    problems = []
    for name, file in spec["files"].items():
        local = Path(root) / spec["folder"] / name if root else None
        try:
            _take(name, file, local, raw)
        except (ValueError, OSError) as error:
            what = f"the raw file is not to be had: {str(error).splitlines()[0]}"
            remedy = (
                f"set KINETICS_DATA_DIR to the folder that holds {spec['folder']}/{name}; {spec['origin']}"
            )
            problems.append(Problem(what, remedy, file=name))
    if problems:
        raise StudyError(problems)


def _take(name: str, file: dict[str, Any], local: Path | None, raw: Path) -> None:
    checksum = f"sha256:{file['sha256']}"
    if local is not None and local.is_file():
        pooch.retrieve(str(local), checksum, fname=name, path=raw, downloader=_copy)  # pyright: ignore[reportArgumentType]
    elif "url" in file:
        pooch.retrieve(file["url"], checksum, fname=name, path=raw)
    else:
        raise ValueError("no local copy, and its publishers offer no address")


def _copy(source: str, target: str, pooch: object) -> None:
    """A pooch downloader for a file that is here already."""
    shutil.copyfile(source, target)


def _convert(path: Path, source: bytes, raw: Path, made: Path) -> None:
    try:
        module = run_source(path, f"kinetics_convert_{path.parent.name}", source)
        module.convert(raw, made)
    except Exception as error:
        what = f"the conversion fails: {type(error).__name__}: {error}"
        raise StudyError(
            Problem(what, "the raw files are not those it was written for", file=str(path))
        ) from error
