"""A model file before it runs: its path, its content, and whether it may be run unasked.

A model file is a program. The library's may be run, and so may one that the user names. A run folder or a
checkpoint names one too, and whoever wrote that folder chose it: it is run unasked only where its content is
known. Known are the files that this process has run, and those of the list that this user's fits keep in
`$XDG_STATE_HOME/cellkinetics/models` (by default `~/.local/state/cellkinetics/models`), one SHA-256 a line.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kinetics.errors import ModelError, Problem, did_you_mean
from kinetics.files import not_readable
from kinetics.library import ROOT, find, names

__all__ = ["ModelFile", "known_models", "model_file", "remember", "run_here"]

run_here: set[str] = set()  # the SHA-256 of every model file that this process has run


@dataclass(frozen=True)
class ModelFile:
    """The path of a model file and its content, read once: what was hashed is what runs."""

    path: Path
    source: bytes

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content."""
        return hashlib.sha256(self.source).hexdigest()

    @property
    def is_known(self) -> bool:
        """Whether the file is the library's, or its content has been run by this user."""
        return _is_shipped(self.path) or self.sha256 in run_here or self.sha256 in _listed()


def model_file(reference: str | Path) -> ModelFile:
    """The file of a model of the library, by its name, or of the user's, by its path; ModelError if there is
    none. Nothing is run.
    """
    text = str(reference)
    path, bare = find("models", text)
    if path.suffix != ".py":
        raise ModelError(Problem("a model is a .py file", "see a model of the library", file=str(path)))
    fault = not_readable(path)
    if fault == "no such file":
        if bare:
            raise ModelError(Problem(f"no model {text!r}", did_you_mean(text, names("models"))))
        beside = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
        remedy = did_you_mean(path.name, beside) if beside else "check the path"
        raise ModelError(Problem("no such model file", remedy, file=text))
    if fault:
        raise ModelError(Problem(fault, "name the model's .py file", file=str(path)))
    return ModelFile(path.resolve(), path.read_bytes())


def known_models() -> Path:
    """The list of the model files that this user's fits ran; it may not exist."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "cellkinetics" / "models"


def remember(path: Path, sha256: str) -> None:
    """Add the model file at `path`, by its SHA-256, to the list, unless it is the library's. A list that
    cannot be written stays as it is: the file is then asked about again.
    """
    if not sha256 or _is_shipped(path) or sha256 in _listed():
        return
    known = known_models()
    with suppress(OSError):
        known.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with known.open("a", encoding="utf-8") as hashes:
            hashes.write(f"{sha256}\n")


def _is_shipped(path: Path) -> bool:
    """Whether a model file is one of the library's."""
    return path.resolve().is_relative_to((ROOT / "models").resolve())


def _listed() -> list[str]:
    """The SHA-256 of every file of the list."""
    try:
        return known_models().read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []
