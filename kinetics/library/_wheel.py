"""What of models/, fits/ and data/ is packed when the distribution is built: the build hook of hatchling.

A file is packed when it is a model, a fit, or belongs to a data set that has a dictionary, and git tracks it.
An editable install packs nothing: it reads the checkout.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["LibraryHook"]

TABLES = ("subjects", "doses", "observations", "events", "responses", "event_table")
OTHERS = ("dictionary.toml", "make.py", "fetch.toml", "convert.py", "LICENSE", "README.md")
DATA_FILES = {*OTHERS, *(f"{table}.csv" for table in TABLES)}


class LibraryHook(BuildHookInterface):
    """Adds the library's content to a wheel (under kinetics/library/) and to an sdist (where it lies)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to add; hatchling calls this before it packs."""
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
    """The files that may be packed, by place and name."""
    yield from root.glob("models/*.py")
    yield from root.glob("fits/*.toml")
    yield from root.glob("fits/*.sbc.json")
    yield from root.glob("data/*/protocol.toml")
    for dictionary in root.glob("data/*/dictionary.toml"):
        yield from (file for file in dictionary.parent.iterdir() if file.name in DATA_FILES)


def _tracked(root: Path) -> set[str] | None:
    """The files that git tracks; None outside a checkout, as in an unpacked sdist."""
    if not (root / ".git").exists():
        return None
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        raise RuntimeError(f"git must say which files may be packed, and it failed: {listing.stderr.strip()}")
    return set(listing.stdout.split("\0"))
