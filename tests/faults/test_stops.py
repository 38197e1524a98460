"""Commands and workers that are killed or interrupted: nothing is lost, nothing is left, no bit differs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinetics.batch.batch_status import status
from kinetics.batch.folder import BatchFolder
from tests.support.commands import file_contents
from tests.support.faults import begun, command, left_by_writers, posterior, until, write_fit

pytestmark = pytest.mark.slow

KILLS = 20

BATCH = """
retries = 40
[[fit]]
plan = "fits/a.toml"
seed = [7, 8, 9]
sampler = { draws = 2000 }
[local]
workers = 2
"""


def batch_folder(folder: Path) -> BatchFolder:
    return BatchFolder(folder / "runs" / "b.batch")


def results(folder: Path) -> dict[str, Any]:
    """The draws and the result of every task of a batch, what tells the place or the time left out."""
    batch = batch_folder(folder)
    found: dict[str, Any] = {}
    for task in batch.tasks:
        result = {name: value for name, value in batch.result(task).items() if name != "run"}
        found[task.name] = (posterior(batch.path / "runs" / task.name), result)
    return found


def processes_of(batch: Path) -> list[int]:
    """The processes that have the batch's folder among the words of their command line, workers first."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if str(batch).encode() in words:
                found.append(int(folder.name))
    return sorted(found)


def progress(batch: Path) -> list[int]:
    """What changes while workers are under way: the times of the checkpoints, and the number of attempts."""
    times = [path.stat().st_mtime_ns for path in batch.glob("runs/*.unfinished/state.npz")]
    return [*times, len(list(batch.glob("tasks/*/attempt-*.log")))]


def wait_for_progress(process: subprocess.Popen[str], batch: Path) -> None:
    """Wait until a worker of the command is under way again, or the command has ended."""
    before = progress(batch)
    until(lambda: process.poll() is not None or progress(batch) != before, 300)


def kill_one(process: subprocess.Popen[str], batch: Path, rng: np.random.Generator) -> str:
    """Kill, at random, a worker, the process that it keeps, or the command with all of them."""
    others = processes_of(batch)
    if rng.random() < 0.25 or not others:
        process.kill()
        process.communicate()
        for pid in others:
            kill(pid)
        return "everything"
    kill(int(rng.choice(others)))
    return "one"


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_batch_whose_workers_are_killed_twenty_times_has_the_results_of_one_left_alone(tmp_path: Path):
    folders = [tmp_path / name for name in ("alone", "killed")]
    for folder in folders:
        write_fit(folder)
        (folder / "b.toml").write_text(BATCH, encoding="utf-8")
    alone = command("batch", "b.toml", folder=folders[0])
    text, _ = alone.communicate(timeout=900)
    assert alone.returncode == 0, text

    rng = np.random.default_rng(4)
    batch = (folders[1] / "runs" / "b.batch").resolve()
    process = command("batch", "b.toml", folder=folders[1])
    kills = 0
    while kills < KILLS:
        wait_for_progress(process, batch)
        time.sleep(rng.uniform(0, 1.0))
        if process.poll() is not None:
            break
        kind = kill_one(process, batch, rng)
        kills += 1
        if kind == "everything":
            process = command("batch", "b.toml", folder=folders[1])
    text, _ = process.communicate(timeout=900)
    assert kills == KILLS, f"it ended after {kills} kills:\n{text}"
    if process.returncode != 0:  # a worker that was killed three times before it took a task gives up
        process = command("batch", "b.toml", folder=folders[1])
        text, _ = process.communicate(timeout=900)
    assert process.returncode == 0, text
    assert status(batch_folder(folders[1])).counts["finished"] == 3
    assert (
        sum(len(batch_folder(folders[1]).attempts(task).all) for task in batch_folder(folders[1]).tasks) > 3
    )

    expected = results(folders[0])
    for name, (draws, result) in results(folders[1]).items():
        assert all(np.array_equal(values, draws[key]) for key, values in expected[name][0].items()), name
        assert result == expected[name][1]
    assert left_by_writers(batch) == []
    assert list(batch.glob("runs/*.unfinished")) == []
    assert processes_of(batch) == []


def test_ctrl_c_during_sampling_says_how_to_go_on_and_no_bit_differs(tmp_path: Path, undisturbed: Path):
    write_fit(tmp_path)
    run = tmp_path / "runs" / "a"
    process = command("fit", "fits/a.toml", folder=tmp_path)
    until(lambda: begun(run))
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 75, text
    assert text.strip().splitlines()[-1] == "SIGINT: stopped; go on with `kinetics resume runs/a`"
    assert [path.name for path in run.parent.iterdir()] == ["a.unfinished"]
    assert left_by_writers(tmp_path) == []

    process = command("resume", "runs/a", folder=tmp_path)
    text, _ = process.communicate(timeout=600)
    assert "written: runs/a" in text
    found = posterior(run)
    assert all(np.array_equal(values, found[name]) for name, values in posterior(undisturbed).items())
    assert [path.name for path in run.parent.iterdir()] == ["a"]


def test_ctrl_c_before_the_chains_have_a_start_leaves_nothing(tmp_path: Path):
    write_fit(tmp_path)
    process = command("fit", "fits/a.toml", folder=tmp_path)
    until(lambda: (tmp_path / "runs" / "a.unfinished" / "facts.json").exists())
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 75, text
    if "nothing was written" in text:
        assert not (tmp_path / "runs").exists()
    else:  # the start was sooner than the signal
        assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a.unfinished"]


@pytest.mark.parametrize("target", ["export", "report"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_export_or_report_that_is_ended_at_any_moment_leaves_nothing_half_written(
    tmp_path: Path, undisturbed: Path, target: str, number: signal.Signals
):
    words = [target, str(undisturbed)]
    if target == "export":
        words += ["--as", "monolix,nonmem,adpp,excel", "--out", "out", "--force"]
    else:
        words += ["--trust"]
    process = command(*words, folder=tmp_path)
    begin = time.monotonic()
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text
    seconds = time.monotonic() - begin
    folder = tmp_path if target == "export" else undisturbed
    whole = sorted(file_contents(folder))

    rng = np.random.default_rng(5)
    for _ in range(4):
        process = command(*words, folder=tmp_path)
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        process.send_signal(number)
        text, _ = process.communicate(timeout=600)
        assert process.returncode in (0, 130, -number), text
        assert "Traceback" not in text or process.returncode == 130
        if number != signal.SIGKILL:
            assert sorted(file_contents(folder)) == whole
    process = command(*words, folder=tmp_path)
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text
    assert sorted(file_contents(folder)) == whole
    assert left_by_writers(folder) == []
