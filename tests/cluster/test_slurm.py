"""Batches on a real Slurm that loses workers, nodes and its controller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinetics.batch.attempts import Attempts
from kinetics.inference.fitting import fit, load_fit
from tests.cluster.sandbox import Sandbox, until
from tests.support.fits import posterior_arrays

pytestmark = pytest.mark.cluster

GRID = """
retries = 3
[[fit]]
plan = "fits/tiny.toml"
seed = 1000
name = "long"
sampler = { draws = 2000, chunk = 40 }
[[fit]]
plan = "fits/tiny.toml"
seed = SEEDS
[local]
workers = 2
[slurm]
workers = 2
partition = "main"
memory = "3G"
time = "00:20:00"
""".replace("SEEDS", str(list(range(1, 40))))


def kinetics(slurm: Sandbox, folder: Path, *words: str, code: int | None = 0) -> dict[str, Any]:
    """What `kinetics batch ... --json` says."""
    command = [sys.executable, "-m", "kinetics.cli", "batch", *words, "--json"]
    done = subprocess.run(
        command, cwd=folder, env=slurm.environment, capture_output=True, text=True, timeout=300
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


class Batch:
    """The tasks of a batch, read off its folder as they go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def names(self) -> list[str]:
        return [t["name"] for t in json.loads((self.folder / "tasks.json").read_text())["tasks"]]

    def attempts(self, name: str) -> Attempts:
        return Attempts(self.folder / "tasks" / name)

    def running(self) -> list[tuple[str, dict[str, Any]]]:
        found = [(name, self.attempts(name).open) for name in self.names]
        return [(name, attempt) for name, attempt in found if attempt is not None]

    def finished(self) -> int:
        return sum(self.attempts(name).finished for name in self.names)

    def outcomes(self) -> dict[str, list[str]]:
        return {name: [a.get("outcome", "open") for a in self.attempts(name).all] for name in self.names}


def node_of(slurm: Sandbox, job: str) -> str:
    lines = slurm.ask("squeue", "--noheader", "--array", "--format=%i %N").splitlines()
    return dict(line.split() for line in lines if len(line.split()) == 2).get(job, "")


def kill_one(batch: Batch, killed: list[str]) -> None:
    """The process of a task that is running and was not killed before."""

    def victim() -> bool:
        for name, attempt in batch.running():
            if name not in killed:
                os.kill(attempt["pid"], signal.SIGKILL)
                killed.append(name)
                return True
        return False

    until(victim, 60, "a task to kill")


def test_forty_fits_survive_kills_preemption_a_lost_node_and_a_new_controller(
    slurm: Sandbox, folder: Path
) -> None:
    (folder / "grid.toml").write_text(GRID)
    said = kinetics(slurm, folder, "grid.toml", "--on", "slurm")
    assert len(said["submitted"]) == 2
    batch = Batch(folder / "runs" / "grid.batch")
    # One job is preempted in the middle of a fit, and requeued.
    state = batch.folder / "runs" / "long__tiny.unfinished" / "state.npz"
    until(state.exists, 120, "a checkpoint of the long fit")
    job = batch.running()[0][1]["job"]
    wrapped = [
        "--partition=high",
        f"--nodelist={node_of(slurm, job)}",
        "--output=/dev/null",
        "--wrap=sleep 1",
    ]
    assert "Submitted" in slurm.ask("sbatch", *wrapped)
    until(lambda: "stopped" in batch.outcomes()["long__tiny"], 60, "the preempted fit's stop")
    # Three tasks are killed.
    killed: list[str] = ["long__tiny"]
    for _ in range(3):
        kill_one(batch, killed)
    # The controller is restarted.
    slurm.stop_controller()
    assert kinetics(slurm, folder, "status", "grid.toml")["slurm_problem"]
    slurm.start_controller()
    # A worker's node goes down, and comes back.
    until(lambda: len(batch.running()) == 2, 90, "two workers at work")
    lost = node_of(slurm, batch.running()[-1][1]["job"])
    slurm.kill_node(lost)
    until(lambda: any(s.startswith("down") for s in slurm.states()), 60, "a node that is down")
    slurm.start_node(lost)
    until(lambda: batch.finished() == 40, 400, "40 fits")
    outcomes = batch.outcomes()
    assert all(o.count("finished") == 1 for o in outcomes.values())
    assert all(outcomes[name][0] == "killed" for name in killed[1:])
    assert sum(o.count("killed") for o in outcomes.values()) == 4  # three and the lost node's
    assert outcomes["long__tiny"] == ["stopped", "finished"]
    log = (batch.folder / "tasks" / "long__tiny" / "attempt-2.log").read_text()
    assert "going on after" in log
    for name in [*killed[:3], "tiny__seed39"]:
        there = load_fit(batch.folder / "runs" / name)
        here = posterior_arrays(fit(batch.folder / "fits" / f"{name}.toml"))
        assert all(np.array_equal(here[k], v) for k, v in posterior_arrays(there).items())
    # The same PLAN on this machine: nothing is left to do.
    again = kinetics(slurm, folder, "grid.toml", "--on", "local")
    assert again["done"]
    assert batch.outcomes() == outcomes


SAME = """
retries = 1
[[fit]]
plan = "fits/tiny.toml"
data = "data/bad"
[[design]]
protocol = "nkg2d_phase1_synthetic"
true_dlt = [[0.05, 0.1, 0.2, 0.35], [0.1, 0.2, 0.3, 0.4]]
[local]
workers = 1
[slurm]
workers = 1
memory = "2G"
"""


def test_one_plan_runs_unchanged_here_and_on_slurm_and_what_fails_is_reported(
    slurm: Sandbox, folder: Path
) -> None:
    results = {}
    for place in ("local", "slurm"):
        (folder / place).mkdir()
        (folder / place / "fits").symlink_to(folder / "fits")
        (folder / place / "same.toml").write_text(SAME)
        found = kinetics(slurm, folder / place, "same.toml", "--on", place, "--wait", code=1)
        batch = Batch(folder / place / "runs" / "same.batch")
        assert batch.outcomes()["bad"] == ["failed", "failed"]
        assert found["counts"]["finished"] == 2
        cause = found["causes"][0]["cause"].replace(str(folder / place), "")
        results[place] = (
            cause,
            [
                json.loads((batch.folder / "tasks" / name / "result.json").read_text())
                for name in batch.names[1:]
            ],
        )
    assert results["local"] == results["slurm"]
    assert "data/bad" in results["slurm"][0]
    jobs = folder / "slurm" / "runs" / "same.batch" / "jobs"
    script = next(jobs.glob("*.sh")).read_text()
    assert "--requeue" in script
    log = (jobs.parent / "tasks" / "bad" / "attempt-1.log").read_text()
    assert "SLURM_JOB_ID=" in log
    # What failed is tried again when asked, and only that.
    kinetics(slurm, folder / "slurm", "retry", "same.toml", "--on", "slurm", "--wait", code=1)
    outcomes = Batch(jobs.parent).outcomes()
    assert outcomes["bad"] == ["failed"] * 4
    assert [o for name, o in outcomes.items() if name != "bad"] == [["finished"], ["finished"]]


def test_a_node_without_a_gpu_for_jax_says_so_and_charges_no_task(slurm: Sandbox, folder: Path) -> None:
    (folder / "gpu.toml").write_text(SAME.replace("workers = 1\nmemory", "workers = 1\ngpus = 1\nmemory"))
    found = kinetics(slurm, folder, "gpu.toml", "--on", "slurm", "--wait", code=1)
    assert "jax sees no GPU" in found["workers_refused"][0]
    assert found["counts"]["waiting"] == 3


@pytest.mark.slow  # Slurm's clock is one of minutes
def test_a_worker_at_its_time_limit_leaves_a_checkpoint_and_comes_back(slurm: Sandbox, folder: Path) -> None:
    text = GRID.replace("00:20:00", "00:03:00").replace(
        "workers = 2\npartition", "workers = 2\nwarning = 90\npartition"
    )
    few = text.replace(str(list(range(1, 40))), "[1]").replace("draws = 2000", "draws = 100000")
    (folder / "limit.toml").write_text(few)
    kinetics(slurm, folder, "limit.toml", "--on", "slurm")
    batch = Batch(folder / "runs" / "limit.batch")
    until(lambda: "stopped" in batch.outcomes()["long__tiny"], 200, "the time limit's warning")
    until(lambda: len(batch.attempts("long__tiny").all) == 2, 120, "the worker's return")
    first = batch.attempts("long__tiny").all[0]
    assert first["outcome"] == "stopped"
    assert batch.attempts("long__tiny").all[1]["pid"] != first["pid"]
    again = batch.folder / "tasks" / "long__tiny" / "attempt-2.log"
    until(lambda: "going on after" in again.read_text(), 120, "the fit's going on")
    slurm.ask("scancel", "--user=root")
    until(lambda: not slurm.ask("squeue", "--noheader").strip(), 60, "an empty queue")
    assert batch.finished() <= 1
