"""A batch on disk, on a file system that every worker sees; everything in it appears whole or not at all.

runs/NAME.batch/tasks.json       the tasks, how often they are tried, and the token of this folder
                fits/TASK.toml   the plan of each fit
                data/            resampled studies
                runs/TASK        the run folder of each fit; sbc/TASK, simulations/TASK.csv likewise
                tasks/TASK/      attempts, logs and result (kinetics.batch.attempts)
                workers/         who worked, on which host, and what kept one from working
                jobs/            scripts and logs of Slurm jobs; jobs.json: which were submitted
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w

from kinetics.batch.attempts import Attempts
from kinetics.batch.bootstrap import write_resample
from kinetics.batch.grid import Resample, Task
from kinetics.errors import BatchError, PlanError, Problem
from kinetics.files import write_atomic
from kinetics.study import Study, read_study

__all__ = ["BatchFolder", "write_batch"]


@dataclass(frozen=True)
class BatchFolder:
    """The folder of a batch. Reading raises BatchError where it is no batch, or is damaged."""

    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The content of tasks.json."""
        file = self.path / "tasks.json"
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BatchError(
                f"{self.path} is no batch yet; begin it with `kinetics batch PLAN.toml`"
            ) from None
        except (OSError, ValueError) as error:
            raise BatchError(f"{file} cannot be read ({error})") from error

    @cached_property
    def tasks(self) -> list[Task]:
        """The tasks, in the order of the PLAN."""
        tasks = []
        for fields in self.content["tasks"]:
            values = {key: value for key, value in fields.items() if key != "sha256"}
            if values["resample"] is not None:
                values["resample"] = Resample(**values["resample"])
            tasks.append(Task(**values))
        return tasks

    @property
    def retries(self) -> int:
        """How often a failed task is tried again."""
        return int(self.content["retries"])

    def task_folder(self, task: Task) -> Path:
        """The folder of a task's lock, attempts, logs and result."""
        return self.path / "tasks" / task.name

    def attempts(self, task: Task) -> Attempts:
        """The attempts at a task so far."""
        return Attempts(self.task_folder(task))

    def result(self, task: Task) -> dict[str, Any]:
        """The result of a finished task: what its command prints with --json."""
        return json.loads((self.task_folder(task) / "result.json").read_text(encoding="utf-8"))

    def workers(self) -> list[dict[str, Any]]:
        """The record of every worker process, the last to begin last."""
        files = (self.path / "workers").glob("*.json")
        workers = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return sorted(workers, key=lambda worker: worker["started"])

    def jobs(self) -> list[dict[str, Any]]:
        """The Slurm jobs that were submitted."""
        file = self.path / "jobs.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def note_job(self, job: Mapping[str, Any]) -> None:
        """Record that a Slurm job was submitted."""
        write_atomic(self.path / "jobs.json", json.dumps([*self.jobs(), dict(job)], indent=1) + "\n")


def write_batch(path: Path, tasks: Sequence[Task], retries: int) -> BatchFolder:
    """Write what the tasks of a batch need, or add to it. PlanError where a task of that name was another."""
    former: dict[str, Any] = {"token": uuid.uuid4().hex, "tasks": []}
    if (path / "tasks.json").exists():
        former = BatchFolder(path).content
    former_hashes = {fields["name"]: fields["sha256"] for fields in former["tasks"]}
    changed = [task.name for task in tasks if former_hashes.get(task.name, task.sha256) != task.sha256]
    if changed:
        remedy = "name it otherwise, or remove the batch folder to begin anew"
        raise PlanError(
            [
                Problem("this task was another when the batch began", remedy, file=str(path), value=name)
                for name in changed
            ]
        )
    _write_resamples(tasks)
    for task in tasks:
        file = path / "fits" / f"{task.name}.toml"
        if task.plan is not None and not file.exists():
            write_atomic(file, tomli_w.dumps(dict(task.plan)))
    listed = [{**asdict(task), "sha256": task.sha256} for task in tasks]
    content = {"token": former["token"], "retries": retries, "tasks": listed}
    write_atomic(path / "tasks.json", json.dumps(content, indent=1) + "\n")
    return BatchFolder(path)


def _write_resamples(tasks: Iterable[Task]) -> None:
    """Write the resampled studies that are not there yet. PlanError lists the problems of every study."""
    by_folder = {task.resample.folder: task.resample for task in tasks if task.resample is not None}
    studies: dict[str, Study] = {}
    problems: dict[Problem, None] = {}  # each once, in their order
    for resample in by_folder.values():
        folder = Path(resample.folder)
        if folder.exists() or any(problem.file == resample.data for problem in problems):
            continue
        try:
            if resample.data not in studies:
                studies[resample.data] = read_study(resample.data)
            study = studies[resample.data]
            write_resample(study, folder, seed=resample.seed, number=resample.number, within=resample.within)
        except PlanError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise PlanError(problems)
