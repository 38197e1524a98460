"""The build hook of hatchling: which files of models/, fits/ and data/ a distribution contains.

A file is packed if git tracks it and it is a model, a fit, or part of a data set that has a dictionary. An
editable install packs nothing, because it reads the checkout.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["LibraryHook"]

TABLES = ("subjects", "doses", "observations", "events", "responses", "event_table")
OTHERS = ("dictionary.toml", "map.toml", "make.py", "fetch.toml", "convert.py", "LICENSE", "README.md")
DATA_FILES = {*OTHERS, *(f"{table}.csv" for table in TABLES)}


class LibraryHook(BuildHookInterface):
    """Adds the library's content to a wheel, under kinetics/library/, and to an sdist, at its own path."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Register the files to add. Hatchling calls this before it packs."""
        if version == "editable":
            return
        root = Path(self.root)
        prefix = "kinetics/library/" if self.target_name == "wheel" else ""
        tracked = _tracked(root)
        for path in _content(root):
            file = path.relative_to(root).as_posix()
            if tracked is None or file in tracked:
                build_data["force_include"][str(path)] = f"{prefix}{file}"


def _content(root: Path) -> Iterator[Path]:
    """The files that may be packed, judged by folder and name."""
    yield from root.glob("models/*.py")
    yield from root.glob("fits/*.toml")
    yield from root.glob("fits/*.sbc.json")
    yield from root.glob("data/*/protocol.toml")
    for dictionary in root.glob("data/*/dictionary.toml"):
        yield from (file for file in dictionary.parent.iterdir() if file.name in DATA_FILES)


def _tracked(root: Path) -> set[str] | None:
    """The paths of the files that git tracks, or None outside a checkout, as in an unpacked sdist."""
    if not (root / ".git").exists():
        return None
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        raise RuntimeError(f"git must say which files may be packed, and it failed: {listing.stderr.strip()}")
    return set(listing.stdout.split("\0"))
