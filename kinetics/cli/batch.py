"""The command `kinetics batch`: write what tasks need, start workers, report progress, collect results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from kinetics.cli.options import Json
from kinetics.errors import BatchError, InputError, PlanError, Problem, did_you_mean
from kinetics.inference import compile_cache

__all__ = ["batch"]

_VERBS = ("run", "status", "retry", "collect")
_PLACES = ("local", "slurm")
_FRUITLESS = 3  # submissions in a row after which no task was begun


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
    as_json: Json = False,
) -> None:
    """Run many fits, calibrations, designs or simulations, here or on Slurm.

    Exit 1 if a task failed.

    The same command goes on where it was stopped and does nothing that is done. `status` says how far it is,
    `retry` tries failed tasks again, `collect` writes one table of all parameters and checks and a page.
    Example: `kinetics batch PLAN.toml --on slurm`, then `kinetics batch status PLAN.toml`
    """
    if on not in _PLACES:
        raise PlanError(Problem(f"no place {on!r} to run on", did_you_mean(on, _PLACES)))
    verb, source = _verb_and_plan(words)
    plan, path = read_batch(source)
    if verb == "status":
        progress = status(BatchFolder(path))
        print_result(progress.as_dict(), str(progress), as_json)
        return
    if verb == "collect":
        collected = collect(BatchFolder(path), loo=loo)
        print_result(collected.as_dict(), str(collected), as_json)
        return

    # check before anything is written
    if on == "slurm":
        require_slurm()
    tasks = tasks_of(plan, Path(source).resolve().parent, path, file=source)
    checked = preflight(tasks, plan.slurm if on == "slurm" else None, source)
    if len(checked.tasks) == len(tasks) and not (path / "tasks.json").exists():
        remedy = "mend the PLAN, or what it names"
        raise PlanError(
            Problem(f"no task can run: {problem}", remedy, file=source)
            for problem in dict.fromkeys(checked.tasks.values())
        )
    with _no_empty_folders(path):
        problems = writable(path)
        if problems:
            raise InputError(problems)
        folder = write_batch(path, tasks, plan.retries)
    for line in _preflight_lines(checked, len(tasks)):
        print(line, file=sys.stderr)
    if verb == "retry":
        print(f"{len(forgive(folder))} failed tasks are tried again", file=sys.stderr)
    jobs = _work(folder, plan, on, wait)
    progress = status(folder)
    text = str(progress)
    if jobs:
        text = f"submitted: {', '.join(jobs)}\n{text}"
    print_result(
        progress.as_dict() | {"on": on, "submitted": jobs, "preflight": checked.tasks}, text, as_json
    )
    unfinished = not progress.done
    if progress.counts["failed"] or (unfinished and (progress.refusals or on == "local")):
        raise typer.Exit(1)


@contextmanager
def _no_empty_folders(path: Path) -> Iterator[None]:
    """Remove the batch's folder, and those above it that this command made, where the block fails before it
    wrote anything.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a folder that holds something stays
            for folder in made:
                folder.rmdir()
        raise


def _verb_and_plan(words: list[str]) -> tuple[str, str]:
    """What to do with which PLAN; PlanError where the words do not say it."""
    verb = "run" if len(words) == 1 else words[0]
    if verb not in _VERBS or len(words) > 2:
        what = f"`kinetics batch {' '.join(words)}`: {verb!r} is nothing to do"
        raise PlanError(Problem(what, did_you_mean(verb, _VERBS)))
    return verb, words[-1]


def _preflight_lines(checked: Preflight, tasks: int) -> list[str]:
    """What the pre-flight checks say, with tasks that have the same problem in one line."""
    lines = [f"{tasks} tasks; a worker needs about {checked.memory_mb} MB"]
    if not checked.tasks:
        return lines
    lines.append(f"{len(checked.tasks)} of them cannot run as they are, and will be reported:")
    by_problem: dict[str, list[str]] = {}
    for name, problem in checked.tasks.items():
        by_problem.setdefault(problem, []).append(name)
    for problem, names in by_problem.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"  {names[0]}{more}: {problem}")
    return lines


def _work(folder: BatchFolder, plan: BatchPlan, on: str, wait: bool) -> list[str]:
    """Have the tasks worked on, and return the Slurm jobs that were submitted."""
    chosen = plan.compile_cache
    cache = compile_cache() if chosen is None else Path(chosen).expanduser().resolve()
    if on == "local":
        run_here(folder, plan.local, cache, _Reporter(folder))
        return []
    jobs = _submit_missing(folder, plan, cache)
    if wait:
        jobs = [*jobs, *_stay(folder, plan, cache)]
    return jobs


def _stay(folder: BatchFolder, plan: BatchPlan, cache: Path) -> list[str]:
    """Stay until nothing is left to do, submit workers again where all were lost, and return their jobs."""
    jobs: list[str] = []
    report = _Reporter(folder)
    fruitless = 0
    attempts_then = -1
    while not _is_over(folder):
        sleep(2.0)
        report()
        try:
            resubmitted = _submit_missing(folder, plan, cache, again=True)
        except BatchError as error:  # the controller may be away
            print(error, file=sys.stderr)
            continue
        if resubmitted:
            attempts = sum(len(folder.attempts(task).all) for task in folder.tasks)
            fruitless = fruitless + 1 if attempts == attempts_then else 0
            attempts_then = attempts
            jobs += resubmitted
        if fruitless == _FRUITLESS:
            raise BatchError(
                f"workers were submitted {_FRUITLESS} times and none began a task; see {folder.path / 'jobs'}"
            )
    return jobs


def _is_over(folder: BatchFolder) -> bool:
    """Whether nothing is left that a worker could do, or workers refuse to work."""
    progress = status(folder, ask_slurm=False)
    ended = progress.counts["finished"] + progress.counts["failed"]
    return ended == len(progress.tasks) or bool(progress.refusals)


def _submit_missing(folder: BatchFolder, plan: BatchPlan, cache: Path, *, again: bool = False) -> list[str]:
    """Submit the workers that should be in the queue and are not, at most one per task that is left.

    With `again` only where the queue has none of them.
    """
    progress = status(folder, ask_slurm=False)
    left = len(progress.tasks) - progress.counts["finished"] - progress.counts["failed"]
    queued = sum(in_queue(folder).values())
    if queued and not again:
        print(f"{queued} workers are in the queue already", file=sys.stderr)
    workers = min(plan.slurm.workers, left) - queued
    if workers <= 0 or (again and queued):
        return []
    return submit(folder, plan.slurm, cache, workers)


class _Reporter:
    """Prints a line of progress on stderr whenever a task is over, and at least once a minute."""

    def __init__(self, folder: BatchFolder) -> None:
        self.folder = folder
        self.last_line = ""
        self.printed_at = 0.0

    def __call__(self) -> None:
        line = status(self.folder, ask_slurm=False).line()
        if line != self.last_line or monotonic() - self.printed_at > 60.0:
            self.last_line = line
            self.printed_at = monotonic()
            print(line, file=sys.stderr, flush=True)
