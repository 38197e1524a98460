"""Two processes at the same place at the same moment: one is refused or they share, and nothing is mixed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from kinetics.batch.folder import BatchFolder
from tests.support.commands import file_contents
from tests.support.faults import command, left_by_writers, posterior, write_fit

pytestmark = pytest.mark.slow


def both(*words: str, folder: Path) -> tuple[list[int], list[str]]:
    """The exit codes and last lines of a command that two processes run at once, in order of the codes."""
    processes: list[subprocess.Popen[str]] = [command(*words, folder=folder) for _ in range(2)]
    texts = [process.communicate(timeout=900)[0].strip() for process in processes]
    ended = sorted(
        (process.returncode, text.splitlines()[-1]) for process, text in zip(processes, texts, strict=True)
    )
    return [code for code, _ in ended], [line for _, line in ended]


def test_of_two_fits_into_one_run_one_is_refused_and_the_other_is_whole(tmp_path: Path, undisturbed: Path):
    write_fit(tmp_path)
    _, lines = both("fit", "fits/a.toml", folder=tmp_path)
    written = [line for line in lines if line == "written: runs/a"]
    refused = [
        line for line in lines if "runs/a" in line and ("is fitting into it" in line or "exists" in line)
    ]
    assert (len(written), len(refused)) == (1, 1), lines
    found = posterior(tmp_path / "runs" / "a")
    assert all(np.array_equal(values, found[name]) for name, values in posterior(undisturbed).items())
    assert left_by_writers(tmp_path) == []
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_of_two_exports_into_one_folder_one_is_refused_and_the_other_is_whole(
    tmp_path: Path, undisturbed: Path
):
    words = ("export", str(undisturbed), "--as", "monolix,nonmem,excel", "--out", "out")
    codes, lines = both(*words, folder=tmp_path)
    assert codes == [0, 1], lines
    assert lines[1].startswith("out: ")
    once = command(*words[:-1], "alone", folder=tmp_path)
    text, _ = once.communicate(timeout=600)
    assert once.returncode == 0, text
    assert sorted(file_contents(tmp_path / "out")) == sorted(file_contents(tmp_path / "alone"))
    assert left_by_writers(tmp_path) == []


def test_two_exports_that_both_may_replace_a_folder_leave_one_of_them_whole(
    tmp_path: Path, undisturbed: Path
):
    words = ("export", str(undisturbed), "--as", "nonmem", "--out", "out", "--force")
    first = command(*words, folder=tmp_path)
    text, _ = first.communicate(timeout=600)
    assert first.returncode == 0, text
    before = file_contents(tmp_path / "out")
    codes, lines = both(*words, folder=tmp_path)
    assert codes[0] == 0, lines
    assert file_contents(tmp_path / "out") == before
    assert left_by_writers(tmp_path) == []


def test_two_tables_into_one_file_leave_one_of_them_whole(tmp_path: Path):
    codes, lines = both("nca", "synthetic_cart_12", "--out", "nca.csv", folder=tmp_path)
    assert codes == [0, 0], lines
    once = command("nca", "synthetic_cart_12", "--out", "alone.csv", folder=tmp_path)
    text, _ = once.communicate(timeout=600)
    assert once.returncode == 0, text
    assert (tmp_path / "nca.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert left_by_writers(tmp_path) == []


def test_two_commands_on_one_batch_share_its_tasks(tmp_path: Path):
    write_fit(tmp_path)
    plan = '[[fit]]\nplan = "fits/a.toml"\nseed = [7, 8, 9]\n[local]\nworkers = 1\n'
    (tmp_path / "b.toml").write_text(plan, encoding="utf-8")
    processes = [command("batch", "b.toml", folder=tmp_path) for _ in range(2)]
    texts = [process.communicate(timeout=900)[0] for process in processes]
    batch = BatchFolder(tmp_path / "runs" / "b.batch")
    for task in batch.tasks:
        attempts = batch.attempts(task)
        assert attempts.finished, texts
        assert [attempt["outcome"] for attempt in attempts.all] == ["finished"]
    assert 0 in [process.returncode for process in processes], texts
    assert left_by_writers(batch.path) == []
