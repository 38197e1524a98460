"""How far a batch is: its tasks by state, failures grouped by cause, and what keeps workers from working."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pandas import DataFrame

from kinetics.batch.attempts import claimed
from kinetics.batch.folder import BatchFolder
from kinetics.batch.slurm import in_queue
from kinetics.errors import BatchError
from kinetics.printing import records, table_text

__all__ = ["Status", "forgive", "status"]

_STATES = ("finished", "running", "stopped", "lost", "waiting", "failed")


@dataclass(frozen=True)
class Status:
    """tasks: a row a task (task, kind, state, attempts, failures, seconds, host, said). causes: failures
    by cause.
    """

    folder: Path
    tasks: DataFrame
    causes: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    queue: dict[str, int] = field(default_factory=dict)
    silent: str = ""

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(self.tasks["state"])
        return {state: found[state] for state in _STATES}

    @property
    def done(self) -> bool:
        """Whether every task is finished."""
        return self.counts["finished"] == len(self.tasks)

    def as_dict(self) -> dict[str, Any]:
        return {
            "batch": str(self.folder),
            "done": self.done,
            "counts": self.counts,
            "slurm": self.queue,
            "slurm_problem": self.silent,
            "causes": self.causes,
            "workers_refused": self.refusals,
            "tasks": records(self.tasks),
        }

    def line(self) -> str:
        """`12/40 finished, 2 running`."""
        rest = [f"{n} {state}" for state, n in self.counts.items() if n and state != "finished"]
        return ", ".join([f"{self.counts['finished']}/{len(self.tasks)} finished", *rest])

    def __str__(self) -> str:
        lines = [f"{self.folder.name}: {self.line()}"]
        kinds = self.tasks.groupby("kind", sort=False)["state"].value_counts().unstack(fill_value=0)
        kinds = kinds.reindex(columns=[s for s in _STATES if s in kinds.columns]).reset_index()
        lines.append(table_text(DataFrame(kinds)))
        shown = self.tasks[self.tasks["state"].isin(["running", "stopped", "lost"])]
        if len(shown):
            lines += [
                "",
                table_text(DataFrame(shown[["task", "state", "attempts", "host", "said"]]).head(20)),
            ]
        for cause in self.causes:
            tasks = ", ".join(cause["tasks"][:5]) + (" ..." if len(cause["tasks"]) > 5 else "")
            lines += [
                "",
                f"{len(cause['tasks'])} failed: {cause['cause']}",
                f"  {tasks}",
                f"  log: {cause['log']}",
            ]
        lines += [f"a worker refused to work: {line}" for line in self.refusals]
        if self.queue:
            lines.append("Slurm: " + ", ".join(f"{n} workers {state}" for state, n in self.queue.items()))
        elif self.silent:
            lines.append(self.silent)
        if not self.done and not self.queue and not self.silent and not self.counts["running"]:
            failed = self.counts["failed"] == len(self.tasks) - self.counts["finished"]
            lines.append(
                "nothing is at work; "
                + (
                    "`kinetics batch retry` tries what failed again"
                    if failed
                    else "the same `kinetics batch PLAN.toml` goes on"
                )
            )
        return "\n".join(lines)


def status(folder: BatchFolder, *, ask_slurm: bool = True) -> Status:
    """Read a batch's state off its folder, and off Slurm where it has jobs there. BatchError where it is
    none.
    """
    rows = []
    failed = defaultdict(list)
    for task in folder.tasks:
        attempts = folder.attempts(task)
        state = attempts.state(folder.retries)
        last = attempts.last
        log = folder.task_folder(task) / f"attempt-{last.get('number', 1)}.log"
        message = str(last.get("message", ""))
        if state == "failed":
            failed[_cause(message)].append((task.name, message, str(log)))
        rows.append(
            {
                "task": task.name,
                "kind": task.kind,
                "state": state,
                "attempts": len(attempts.all),
                "failures": max(attempts.failures, 0),
                "seconds": _seconds(last),
                "host": last.get("host", ""),
                "said": _last_line(log) if state == "running" else message.splitlines()[0] if message else "",
            }
        )
    causes = [
        {"cause": group[0][1], "tasks": [name for name, *_ in group], "log": group[0][2]}
        for group in sorted(failed.values(), key=len, reverse=True)
    ]
    queue = {}
    silent = ""
    left = any(row["state"] not in ("finished", "failed") for row in rows)
    if ask_slurm and left and folder.jobs():
        try:
            queue = in_queue(folder)
        except BatchError as error:
            silent = str(error)
    return Status(folder.path, DataFrame(rows), causes, _refusals(folder), queue, silent)


def forgive(folder: BatchFolder) -> list[str]:
    """Let every failed task be tried again, as often as at first; returns their names."""
    names = []
    for task in folder.tasks:
        with claimed(folder.task_folder(task)) as attempts:
            if attempts is not None and attempts.state(folder.retries) == "failed":
                attempts.forgive()
                names.append(task.name)
    return names


def _cause(message: str) -> str:
    """A message without what differs between tasks of one cause: numbers and paths."""
    first = " ".join(message.split())
    first = re.sub(r"(?:[\w.~-]*/)+[\w.-]+", "<path>", first)
    return re.sub(r"\b[\w.+-]*\d[\w.+-]*", "<n>", first)[:200]


def _refusals(folder: BatchFolder) -> list[str]:
    """What kept the workers that began last from working, once each."""
    workers = folder.workers()
    latest = max((w["started"] for w in workers if not w["problem"]), default="")
    return list(dict.fromkeys(w["problem"] for w in workers if w["problem"] and w["started"] >= latest))


def _seconds(attempt: dict[str, Any]) -> float | None:
    if "ended" not in attempt:
        return None
    began, ended = (datetime.fromisoformat(attempt[k]) for k in ("started", "ended"))
    return round((ended - began).total_seconds(), 1)


def _last_line(log: Path) -> str:
    """The last that a running task said."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    said: Sequence[str] = [line for line in lines if line.strip()]
    return said[-1].strip()[:100] if said else ""
