"""`make audit` never takes "not audited" for "nothing found"."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.audit import LIST, known_weaknesses, pins

ROOT = Path(__file__).parents[2]

LOOKED_UP = '{"dependencies": [{"name": "numpy", "version": "2.0.0", "vulns": []}]}'
SKIPPED = '{"dependencies": [{"name": "numpy", "skip_reason": "not found"}]}'
WEAK = '{"dependencies": [{"name": "numpy", "version": "2.0.0", "vulns": [{"id": "PYSEC-1"}]}]}'
AUDITORS = {  # the pin, what stands in for uv, the exit code of make, and what is printed
    "clean": ("numpy==2.0.0", f"echo '{LOOKED_UP}' > build/audit.json", 0, "no known weakness"),
    "weak": ("numpy==2.0.0", f"echo '{WEAK}' > build/audit.json; exit 1", 2, "numpy 2.0.0: PYSEC-1"),
    "out of reach": ("numpy==2.0.0", "echo offline >&2; exit 1", 2, "NOT audited"),
    "no report": ("numpy==2.0.0", "exit 0", 2, "NOT audited"),
    "nothing looked up": ("numpy==2.0.0", f"echo '{SKIPPED}' > build/audit.json", 2, "NOT audited"),
    "on the list": ("certifi==2026.10.18", "exit 0", 2, "GHSA-6q48-6c7w-9gw2, fixed in 2026.10.19"),
}


@pytest.mark.parametrize("case", AUDITORS)
def test_an_audit_says_what_it_did(tmp_path: Path, case: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is absent")
    pin, does, code, says = AUDITORS[case]
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "constraints.txt").write_text(f"{pin}\n")
    support = tmp_path / "tests" / "support"
    support.mkdir(parents=True)
    for name in ("audit.py", "known_weaknesses.toml"):
        shutil.copy(ROOT / "tests" / "support" / name, support)
    executable(tmp_path / "bin" / "uv", f'[ "$1" = --version ] && exit 0\n{does}\n')
    executable(tmp_path / ".venv" / "bin" / "python", f'exec {shlex.quote(sys.executable)} "$@"\n')
    (tmp_path / ".venv" / ".installed").touch()
    result = subprocess.run(
        ["make", "audit", f"PYTHON={sys.executable}", "VENV=.venv"],
        cwd=tmp_path,
        env=outside_of_make() | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert says in result.stdout + result.stderr


def outside_of_make() -> dict[str, str]:
    """The environment without what `make test VENV=...` hands down: it would overrule the make under test."""
    handed_down = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"}
    return {name: value for name, value in os.environ.items() if name not in handed_down}


def executable(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}")
    file.chmod(0o755)


def test_no_pin_has_a_known_weakness() -> None:
    known = tomllib.loads(LIST.read_text())
    pinned = list(pins((ROOT / "constraints.txt").read_text()))
    assert {"certifi", "starlette", "jinja2"} <= {name for name, _ in pinned}
    assert known_weaknesses(pinned, known["fixed_in"]) == []
    assert known_weaknesses([("starlette", "1.0.0")], known["fixed_in"]) == [
        "starlette 1.0.0: CVE-2026-48710, fixed in 1.0.1"
    ]
