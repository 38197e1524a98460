"""What `kinetics batch` does: write what tasks need, start workers, say how far they are, collect what
they found.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated

import typer

from kinetics.batch import (
    BatchFolder,
    BatchPlan,
    Preflight,
    collect,
    forgive,
    in_queue,
    preflight,
    read_batch,
    require_slurm,
    run_here,
    status,
    submit,
    tasks_of,
    writable,
    write_batch,
)
from kinetics.cli.console import print_result
from kinetics.errors import BatchError, InputError, PlanError, Problem, did_you_mean
from kinetics.inference import compile_cache

__all__ = ["batch"]

_VERBS = ("run", "status", "retry", "collect")
_WHERE = ("local", "slurm")
_IDLE = 3


def batch(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[status|retry|collect] PLAN.toml", help="A batch, and what to do with it."),
    ],
    on: Annotated[str, typer.Option(help="Where workers run: local or slurm.")] = "local",
    wait: Annotated[
        bool, typer.Option("--wait", help="With slurm: stay, and submit workers again that were lost.")
    ] = False,
    loo: Annotated[
        bool, typer.Option("--loo", help="collect: compare fits of the same data by leave-one-out too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Many fits, calibrations, designs and simulations: on this machine, or on Slurm. Exit 1 if a task
    failed.

    The same command goes on where it was stopped and does nothing that is done. `status` says how far it is,
    `retry` tries failed tasks again, `collect` writes one table of all parameters and checks and a page.
    Example: `kinetics batch PLAN.toml --on slurm`, then `kinetics batch status PLAN.toml`
    """
    verb, source = _understood(words, on)
    plan, path = read_batch(source)
    if verb == "status":
        found = status(BatchFolder(path))
        return print_result(found.as_dict(), str(found), as_json)
    if verb == "collect":
        collected = collect(BatchFolder(path), loo=loo)
        return print_result(collected.as_dict(), str(collected), as_json)
    if on == "slurm":
        require_slurm()
    if problems := writable(path):
        raise InputError(problems)
    tasks = tasks_of(plan, Path(source).resolve().parent, path)
    ready = preflight(tasks, plan.slurm if on == "slurm" else None, source)
    folder = write_batch(path, tasks, plan.retries)
    for line in _said(ready, len(tasks)):
        print(line, file=sys.stderr)
    if verb == "retry":
        again = forgive(folder)
        print(f"{len(again)} failed tasks are tried again", file=sys.stderr)
    jobs = _work(folder, plan, on, wait)
    found = status(folder)
    result = found.as_dict() | {"on": on, "submitted": jobs, "preflight": ready.tasks}
    submitted = f"submitted: {', '.join(jobs)}\n" if jobs else ""
    print_result(result, f"{submitted}{found}", as_json)
    if found.counts["failed"] or (found.refusals and not found.done) or (on == "local" and not found.done):
        raise typer.Exit(1)


def _understood(words: list[str], on: str) -> tuple[str, str]:
    """What to do with which PLAN."""
    if on not in _WHERE:
        raise PlanError(Problem(f"no place {on!r} to run on", did_you_mean(on, _WHERE)))
    verb, source = ("run", words[0]) if len(words) == 1 else (words[0], words[-1])
    if verb not in _VERBS or len(words) > 2:
        raise PlanError(
            Problem(
                f"`kinetics batch {' '.join(words)}`: {verb!r} is nothing to do", did_you_mean(verb, _VERBS)
            )
        )
    return verb, source


def _said(ready: Preflight, tasks: int) -> list[str]:
    """What the pre-flight found, for stderr."""
    lines = [f"{tasks} tasks; a worker needs about {ready.memory_mb} MB"]
    if ready.tasks:
        lines.append(f"{len(ready.tasks)} of them cannot run as they are, and will be reported:")
        by_problem: dict[str, list[str]] = {}
        for name, problem in ready.tasks.items():
            by_problem.setdefault(problem, []).append(name)
        for problem, names in by_problem.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"  {names[0]}{more}: {problem}")
    return lines


def _work(folder: BatchFolder, plan: BatchPlan, on: str, wait: bool) -> list[str]:
    """Have the tasks worked on; returns the Slurm jobs submitted."""
    cache = compile_cache() if plan.compile_cache is None else Path(plan.compile_cache).expanduser().resolve()
    if on == "local":
        run_here(folder, plan.local, cache, _Reporter(folder))
        return []
    jobs = _submitted(folder, plan, cache)
    return [*jobs, *_watched(folder, plan, cache)] if wait else jobs


def _watched(folder: BatchFolder, plan: BatchPlan, cache: Path) -> list[str]:
    """Stay until nothing is left to do, and submit workers again where all were lost."""
    jobs: list[str] = []
    report = _Reporter(folder)
    idle = 0
    begun = -1
    while not _over(folder):
        sleep(2.0)
        report()
        try:
            again = _submitted(folder, plan, cache, again=True)
        except BatchError as error:  # the controller may be away
            print(error, file=sys.stderr)
            continue
        if again:
            now = sum(len(folder.attempts(task).all) for task in folder.tasks)
            idle = idle + 1 if now == begun else 0
            begun = now
            jobs += again
        if idle == _IDLE:
            raise BatchError(
                f"workers were submitted {_IDLE} times and none began a task; see {folder.path / 'jobs'}"
            )
    return jobs


def _over(folder: BatchFolder) -> bool:
    """Whether nothing is left that a worker could do, or workers refuse."""
    found = status(folder, ask_slurm=False)
    return found.counts["finished"] + found.counts["failed"] == len(found.tasks) or bool(found.refusals)


def _submitted(folder: BatchFolder, plan: BatchPlan, cache: Path, *, again: bool = False) -> list[str]:
    """Submit as many workers as there should be and are not in the queue, but not more than tasks that are
    left.
    """
    found = status(folder, ask_slurm=False)
    left = len(found.tasks) - found.counts["finished"] - found.counts["failed"]
    queued = sum(in_queue(folder).values())
    if queued and not again:
        print(f"{queued} workers are in the queue already", file=sys.stderr)
    workers = min(plan.slurm.workers, left) - queued
    if workers <= 0 or (again and queued):
        return []
    return submit(folder, plan.slurm, cache, workers)


class _Reporter:
    """A line on stderr whenever a task is over, and at least once a minute."""

    def __init__(self, folder: BatchFolder) -> None:
        self.folder = folder
        self.said = ""
        self.at = 0.0

    def __call__(self) -> None:
        line = status(self.folder, ask_slurm=False).line()
        if line != self.said or monotonic() - self.at > 60.0:
            self.said, self.at = line, monotonic()
            print(line, file=sys.stderr, flush=True)
