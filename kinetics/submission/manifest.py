"""The manifest of a submission tree: every file with its size and hash; and whether a tree still fits it.

manifest.json lists the files, manifest.sha256 holds the hash of manifest.json, in the form that `sha256sum
--check` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from kinetics.errors import InputError, Problem
from kinetics.submission.key_table import KEYS, NCA_RULE_SETS, key_table_of_files, table_differences

__all__ = ["DATASETS", "KEY_TABLE", "READING", "Verification", "manifest_files", "verify"]

ANALYSIS = "m5/datasets/poppk/analysis"
DATASETS = f"{ANALYSIS}/datasets"
PROGRAMS = f"{ANALYSIS}/programs"
KEY_TABLE = f"{ANALYSIS}/listings/key_table.txt"
READING = f"{PROGRAMS}/adppk_reading.txt"
_MANIFEST = "manifest.json"
_HASH = "manifest.sha256"


@dataclass(frozen=True)
class Verification:
    """What a check of a tree came to.

    files: files that the manifest lists. numbers: rows of the key table that were recomputed. problems: a
    sentence for each file that differs and each number that is not recomputed.

    >>> verification = kn.submission.Verification(12, 340, ())
    >>> verification.ok, verification.as_dict()["numbers"]
    (True, 340)
    """

    files: int
    numbers: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every file is as it was written and every number is recomputed."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for `--json`."""
        return {"ok": self.ok, "files": self.files, "numbers": self.numbers, "problems": list(self.problems)}

    def __str__(self) -> str:
        if self.ok:
            return f"{self.files} files are as written; {self.numbers} numbers of the key table recomputed"
        return "\n".join([f"{len(self.problems)} problems:", *(f"  {line}" for line in self.problems)])


def manifest_files(files: Mapping[str, bytes], facts: Mapping[str, Any]) -> dict[str, bytes]:
    """manifest.json and manifest.sha256 of `files` (path in the tree -> content); `facts` are added."""
    listed = {
        name: {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(files.items())
    }
    text = (json.dumps({**facts, "files": listed}, indent=2) + "\n").encode()
    return {_MANIFEST: text, _HASH: f"{sha256(text).hexdigest()}  {_MANIFEST}\n".encode()}


def verify(folder: str | Path) -> Verification:
    """Compare every file of the tree `folder` with its manifest, and recompute the key table from it alone.

    InputError where there is no manifest or it cannot be read. Nothing outside the tree is looked at, and no
    model is run.

    >>> try:
    ...     kn.submission.verify("nothing")
    ... except kn.errors.InputError as error:
    ...     print(error.problems[0].what)
    no manifest of a submission
    """
    root = Path(folder)
    file = root / _MANIFEST
    if not file.is_file():
        remedy = "name a folder that `kinetics submit` wrote"
        raise InputError(Problem("no manifest of a submission", remedy, file=str(file)))
    problems = list(_of_manifest(root))
    try:
        manifest = json.loads(file.read_bytes())
        listed = manifest["files"]
        rules = NCA_RULE_SETS[manifest["nca_rules"]]()
        hashes = {name: entry["sha256"] for name, entry in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(Problem(f"no manifest: {error}", "restore the file", file=str(file))) from error
    problems += _of_files(root, hashes)
    numbers = 0
    try:
        text = (root / KEY_TABLE).read_text(encoding="utf-8")
        words = dict.fromkeys(KEYS, str)
        stated = pd.read_csv(StringIO(text), dtype=words, keep_default_na=False, na_values={"value": [""]})
        recomputed = key_table_of_files(root / DATASETS, root / READING, rules)
        problems += [f"{KEY_TABLE}: {line}" for line in table_differences(stated, recomputed)]
        numbers = len(stated)
    except InputError as error:
        problems += [f"the key table cannot be recomputed: {problem}" for problem in error.problems]
    except (OSError, ValueError, KeyError) as error:
        problems.append(f"the key table cannot be recomputed: {error}")
    return Verification(len(hashes), numbers, tuple(problems))


def _of_manifest(root: Path) -> Iterator[str]:
    """Whether manifest.json is the one whose hash lies beside it."""
    file = root / _HASH
    if not file.is_file():
        yield f"{_HASH}: missing"
        return
    stated = file.read_bytes()
    if stated != f"{sha256((root / _MANIFEST).read_bytes()).hexdigest()}  {_MANIFEST}\n".encode():
        yield f"{_MANIFEST} or {_HASH}: changed, the one does not fit the other"


def _of_files(root: Path, hashes: Mapping[str, str]) -> Iterator[str]:
    """The files that are missing, changed, or not in the manifest."""
    for name, stated in hashes.items():
        path = root / name
        if not path.is_file():
            yield f"{name}: missing"
        elif sha256(path.read_bytes()).hexdigest() != stated:
            yield f"{name}: changed since it was written"
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_dir() and name not in hashes and name not in (_MANIFEST, _HASH):
            yield f"{name}: not in the manifest"
