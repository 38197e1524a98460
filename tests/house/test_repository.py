"""The repository tracks nothing large, no package registry by name, and no lock but names and versions."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
        f"{file.relative_to(ROOT)} names {host}: leave the registry to the settings of the machine"
        for file in git_files()
        for host in hosts
        if host.encode() in file.read_bytes()
    ]
    assert not named, "\n".join(named)


def test_no_tracked_file_is_large():
    large = [
        f"{file.relative_to(ROOT)} has {file.stat().st_size} bytes, over {LARGEST_FILE}: keep it elsewhere"
        for file in git_files()
        if file.stat().st_size > LARGEST_FILE
    ]
    assert not large, "\n".join(large)


def test_constraints_are_names_and_versions_only():
    assert not any(file.name == "uv.lock" for file in git_files())
    for number, line in enumerate((ROOT / "constraints.txt").read_text().splitlines(), start=1):
        is_pin = "==" in line and not any(word in line for word in ("http", "#", "--", "@"))
        assert is_pin, f"constraints.txt:{number} is no name==version: make it by `make constraints`"
