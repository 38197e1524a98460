"""Library data sets that may not be shipped: their raw files are fetched, checked, converted and cached.

The folder of such a data set in data/ holds dictionary.toml, fetch.toml (the raw files, their SHA-256 and
where they come from) and convert.py, whose `convert(raw, out)` writes the tables of a study. A raw file is
taken from $KINETICS_DATA_DIR/<folder> if it is there, else pooch downloads it from its address. Either way
the checksum must agree.
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

pooch.get_logger().setLevel("WARNING")  # below that it logs every copy
OURS = ("dictionary.toml", "fetch.toml", "convert.py")  # the files that ship; all others are fetched


def is_fetchable(folder: Path) -> bool:
    """Whether a library data set is fetched and converted rather than shipped."""
    return os.path.isfile(folder / "fetch.toml")


def cache_folder() -> Path:
    """The folder of converted data sets: $XDG_CACHE_HOME/cellkinetics/data."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cellkinetics" / "data"


def fetched(folder: Path) -> Path:
    """The folder of the converted study of a fetchable data set, which is made on first use.

    It lies in a cache under the hash of the shipped files. StudyError says which raw files are missing or
    wrong, or how the conversion fails.
    """
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
        if not target.is_dir():  # otherwise another process has made it meanwhile
            raise
    return target


def _raw_folder(target: Path) -> TemporaryDirectory[str]:
    """A folder beside `target` for the raw files, deleted at the end of its block."""
    return TemporaryDirectory(prefix=f".{target.name}.raw.", dir=target.parent, ignore_cleanup_errors=True)


def _gather(recipe: bytes, raw: Path) -> None:
    """Put every raw file into `raw`, its checksum verified. StudyError names all missing or wrong."""
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
    """Put one raw file into `raw`, from `local` or its address. ValueError or OSError where that fails."""
    checksum = f"sha256:{file['sha256']}"
    if local is not None and local.is_file():
        pooch.retrieve(str(local), checksum, fname=name, path=raw, downloader=_copy)  # pyright: ignore[reportArgumentType]
    elif "url" in file:
        pooch.retrieve(file["url"], checksum, fname=name, path=raw)
    else:
        raise ValueError("no local copy, and its publishers offer no address")


def _copy(source: str, target: str, pooch: object) -> None:
    """Copy a file of this machine: a downloader as pooch calls it."""
    shutil.copyfile(source, target)


def _convert(path: Path, source: bytes, raw: Path, made: Path) -> None:
    """Run convert.py, which reads the folder `raw` and writes tables to `made`. StudyError if it fails."""
    try:
        module = run_source(path, f"kinetics_convert_{path.parent.name}", source)
        module.convert(raw, made)
    except Exception as error:
        what = f"the conversion fails: {type(error).__name__}: {error}"
        remedy = "the raw files are not those it was written for"
        raise StudyError(Problem(what, remedy, file=str(path))) from error
