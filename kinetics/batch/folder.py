"""A batch on disk, on a file system that every worker sees; everything in it appears whole or not at all.

runs/NAME.batch/tasks.json       the tasks, how often they are tried, and a token that says which folder this is
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
    """A batch's folder. BatchError where there is none, or it is damaged."""

    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
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
        return [
            Task(
                **{
                    **{k: v for k, v in t.items() if k != "sha256"},
                    "resample": None if t["resample"] is None else Resample(**t["resample"]),
                }
            )
            for t in self.content["tasks"]
        ]

    @property
    def retries(self) -> int:
        return int(self.content["retries"])

    def task_folder(self, task: Task) -> Path:
        return self.path / "tasks" / task.name

    def attempts(self, task: Task) -> Attempts:
        return Attempts(self.task_folder(task))

    def result(self, task: Task) -> dict[str, Any]:
        return json.loads((self.task_folder(task) / "result.json").read_text(encoding="utf-8"))

    def workers(self) -> list[dict[str, Any]]:
        """What every worker process said of itself, the last to begin last."""
        found = [json.loads(p.read_text(encoding="utf-8")) for p in (self.path / "workers").glob("*.json")]
        return sorted(found, key=lambda worker: worker["started"])

    def jobs(self) -> list[dict[str, Any]]:
        """The Slurm jobs that were submitted."""
        file = self.path / "jobs.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def note_job(self, job: Mapping[str, Any]) -> None:
        write_atomic(self.path / "jobs.json", json.dumps([*self.jobs(), dict(job)], indent=1) + "\n")


def write_batch(path: Path, tasks: Sequence[Task], retries: int) -> BatchFolder:
    """Write what a batch's tasks need, or add to it. PlanError where a task of that name was another."""
    old = (
        BatchFolder(path).content
        if (path / "tasks.json").exists()
        else {"token": uuid.uuid4().hex, "tasks": []}
    )
    then = {t["name"]: t["sha256"] for t in old["tasks"]}
    changed = [t.name for t in tasks if then.get(t.name, t.sha256) != t.sha256]
    if changed:
        remedy = "name it otherwise, or remove the batch folder to begin anew"
        raise PlanError(
            [
                Problem("this task was another when the batch began", remedy, file=str(path), value=name)
                for name in changed
            ]
        )
    _resamples(tasks)
    for task in tasks:
        file = path / "fits" / f"{task.name}.toml"
        if task.plan is not None and not file.exists():
            write_atomic(file, tomli_w.dumps(dict(task.plan)))
    listed = [{**asdict(task), "sha256": task.sha256} for task in tasks]
    content = {"token": old["token"], "retries": retries, "tasks": listed}
    write_atomic(path / "tasks.json", json.dumps(content, indent=1) + "\n")
    return BatchFolder(path)


def _resamples(tasks: Iterable[Task]) -> None:
    """Write the resampled studies that are not there yet; PlanError with every problem."""
    studies: dict[str, Study] = {}
    problems: dict[Problem, None] = {}
    for r in {t.resample.folder: t.resample for t in tasks if t.resample is not None}.values():
        if Path(r.folder).exists() or any(p.file == r.data for p in problems):
            continue
        try:
            study = studies.get(r.data) or studies.setdefault(r.data, read_study(r.data))
            write_resample(study, Path(r.folder), seed=r.seed, number=r.number, within=r.within)
        except PlanError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise PlanError(problems)
