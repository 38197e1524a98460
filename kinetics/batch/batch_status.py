"""How far a batch is: its tasks by state, failures grouped by cause, and what keeps workers from working."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
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
    """How far a batch is.

    tasks: a row per task (task, kind, state, attempts, failures, seconds, host, said). causes: failures by
    cause. refusals: why workers refused to work. queue: workers in Slurm's queue by state. silent: why Slurm
    gives no answer, else "".
    """

    folder: Path
    tasks: DataFrame
    causes: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    queue: dict[str, int] = field(default_factory=dict)
    silent: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks in each state."""
        counter = Counter(self.tasks["state"])
        return {state: counter[state] for state in _STATES}

    @property
    def done(self) -> bool:
        """Whether every task is finished."""
        return self.counts["finished"] == len(self.tasks)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
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
        """One line, as `12/40 finished, 2 running`."""
        rest = [f"{n} {state}" for state, n in self.counts.items() if n and state != "finished"]
        return ", ".join([f"{self.counts['finished']}/{len(self.tasks)} finished", *rest])

    def __str__(self) -> str:
        lines = [f"{self.folder.name}: {self.line()}", self._table_of_kinds()]
        under_way = self.tasks[self.tasks["state"].isin(["running", "stopped", "lost"])]
        if len(under_way):
            shown = DataFrame(under_way[["task", "state", "attempts", "host", "said"]])
            lines += ["", table_text(shown.head(20))]
        for cause in self.causes:
            names = ", ".join(cause["tasks"][:5])
            if len(cause["tasks"]) > 5:
                names += " ..."
            lines += [
                "",
                f"{len(cause['tasks'])} failed: {cause['cause']}",
                f"  {names}",
                f"  log: {cause['log']}",
            ]
        lines += [f"a worker refused to work: {line}" for line in self.refusals]
        if self.queue:
            lines.append("Slurm: " + ", ".join(f"{n} workers {state}" for state, n in self.queue.items()))
        elif self.silent:
            lines.append(self.silent)
        elif not self.done and not self.counts["running"]:
            failed_only = self.counts["failed"] == len(self.tasks) - self.counts["finished"]
            if failed_only:
                remedy = "`kinetics batch retry` tries what failed again"
            else:
                remedy = "the same `kinetics batch PLAN.toml` goes on"
            lines.append(f"nothing is at work; {remedy}")
        return "\n".join(lines)

    def _table_of_kinds(self) -> str:
        """How many tasks of each kind are in each state, as text."""
        counts = self.tasks.groupby("kind", sort=False)["state"].value_counts().unstack(fill_value=0)
        states = [state for state in _STATES if state in counts.columns]
        return table_text(DataFrame(counts.reindex(columns=states).reset_index()))


def status(folder: BatchFolder, *, ask_slurm: bool = True) -> Status:
    """Read the state of a batch from its folder, and from Slurm where it has jobs there.

    BatchError where the folder is no batch.
    """
    rows = []
    failed = defaultdict(list)  # cause -> the tasks that failed for it
    for task in folder.tasks:
        attempts = folder.attempts(task)
        state = attempts.state(folder.retries)
        last = attempts.last
        log = folder.task_folder(task) / f"attempt-{last.get('number', 1)}.log"
        message = str(last.get("message", ""))
        if state == "failed":
            failed[_cause(message)].append((task.name, message, str(log)))
        if state == "running":
            line = _last_line(log)
        else:
            line = message.splitlines()[0] if message else ""
        rows.append(
            {
                "task": task.name,
                "kind": task.kind,
                "state": state,
                "attempts": len(attempts.all),
                "failures": max(attempts.failures, 0),
                "seconds": _seconds(last),
                "host": last.get("host", ""),
                "said": line,
            }
        )

    causes = []
    for group in sorted(failed.values(), key=len, reverse=True):
        _, message, log = group[0]
        causes.append({"cause": message, "tasks": [name for name, *_ in group], "log": log})

    queue = {}
    silent = ""
    unended = any(row["state"] not in ("finished", "failed") for row in rows)
    if ask_slurm and unended and folder.jobs():
        try:
            queue = in_queue(folder)
        except BatchError as error:
            silent = str(error)
    return Status(
        folder.path,
        tasks=DataFrame(rows),
        causes=causes,
        refusals=_refusals(folder),
        queue=queue,
        silent=silent,
    )


def forgive(folder: BatchFolder) -> list[str]:
    """Let every failed task be tried again, as often as at first, and return their names."""
    names = []
    for task in folder.tasks:
        with claimed(folder.task_folder(task)) as attempts:
            if attempts is not None and attempts.state(folder.retries) == "failed":
                attempts.forgive()
                names.append(task.name)
    return names


def _cause(message: str) -> str:
    """A message without what differs between tasks of one cause: numbers and paths."""
    text = " ".join(message.split())
    text = re.sub(r"(?:[\w.~-]*/)+[\w.-]+", "<path>", text)
    return re.sub(r"\b[\w.+-]*\d[\w.+-]*", "<n>", text)[:200]


def _refusals(folder: BatchFolder) -> list[str]:
    """What kept workers from working since the last one that worked began, each problem once."""
    workers = folder.workers()
    latest = max((worker["started"] for worker in workers if not worker["problem"]), default="")
    problems = [w["problem"] for w in workers if w["problem"] and w["started"] >= latest]
    return list(dict.fromkeys(problems))


def _seconds(attempt: dict[str, Any]) -> float | None:
    """How long an attempt took; None where it has not ended."""
    if "ended" not in attempt:
        return None
    began = datetime.fromisoformat(attempt["started"])
    ended = datetime.fromisoformat(attempt["ended"])
    return round((ended - began).total_seconds(), 1)


def _last_line(log: Path) -> str:
    """The last line of a log that is not blank, at most 100 characters; "" without one."""
    if not log.exists():
        return ""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:100] if lines else ""
