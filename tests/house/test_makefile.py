"""`make audit` never takes "not audited" for "nothing found"."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

AUDITORS = {  # what stands in for uv, the exit code of make, and what is printed
    "clean": ("echo '[]' > build/audit.json", 0, "no known weakness"),
    "weak": ("echo '[1]' > build/audit.json; exit 1", 2, "known weaknesses"),
    "out of reach": ("echo offline >&2; exit 1", 2, "NOT audited"),
    "no report": ("exit 0", 2, "NOT audited"),
}


@pytest.mark.parametrize("case", AUDITORS)
def test_an_audit_says_what_it_did(tmp_path: Path, case: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is absent")
    does, code, says = AUDITORS[case]
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "constraints.txt").write_text("numpy==2.0.0\n")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{does}\n')
    uv.chmod(0o755)
    path = f"{uv.parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["make", "audit"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert says in result.stdout + result.stderr
