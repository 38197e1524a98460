"""The repository holds nothing stray, and the root of the package exports exactly what is public."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

LARGEST_FILE = 1_000_000  # bytes


def git_files() -> list[Path]:
    """The files that git tracks, and those it would track if everything were added."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def submodules() -> list[str]:
    """The package's public modules, by dotted name."""
    import kinetics

    names = (info.name for info in pkgutil.walk_packages(kinetics.__path__, "kinetics."))
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def test_all_names_exactly_what_is_public():
    import kinetics

    def public(name: str) -> bool:
        value = getattr(kinetics, name)
        is_own_module = isinstance(value, ModuleType) and value.__name__.startswith("kinetics.")
        return not name.startswith("_") and (name in kinetics.__all__ or not is_own_module)

    assert sorted(kinetics.__all__) == sorted(name for name in dir(kinetics) if public(name))


def test_no_public_name_is_hidden_by_the_module_of_that_name():
    import kinetics

    before = {name: getattr(kinetics, name) for name in kinetics.__all__}
    for name in submodules():
        importlib.import_module(name)
    hidden = [name for name, value in before.items() if getattr(kinetics, name) is not value]
    assert hidden == []


def test_no_tracked_file_names_a_package_registry():
    parts = (
        ("py" + "pi", "org"),
        ("python" + "hosted", "org"),
        ("npm" + "js", "org"),
        ("npm" + "js", "com"),
        ("deb", "debian"),
    )
    hosts = [".".join(pair) for pair in parts]  # in pieces, for this file is tracked too
    named = [
        f"{file.relative_to(ROOT)} names {host}"
        for file in git_files()
        for host in hosts
        if host.encode() in file.read_bytes()
    ]
    assert named == []


def test_no_tracked_file_is_large():
    large = {str(file.relative_to(ROOT)): file.stat().st_size for file in git_files()}
    assert {name: size for name, size in large.items() if size > LARGEST_FILE} == {}


def test_constraints_are_names_and_versions_only():
    assert not any(file.name == "uv.lock" for file in git_files())
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert "==" in line
        assert not any(word in line for word in ("http", "#", "--", "@"))
