"""The process that a worker keeps: it takes the tasks of a batch, one after another.

It is loaded once for all of them. A task is run by the same function as its command, and what it prints goes
to its log. A task belongs to the process that holds its lock, so any number of workers on any hosts may share
a batch.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import jax
import typer

from kinetics.batch import (
    AGAIN,
    REFUSED,
    STOPPED,
    UNWRITABLE,
    Attempts,
    BatchFolder,
    Task,
    claimed,
    job_of_slurm,
)
from kinetics.cli.assess import sbc
from kinetics.cli.console import print_result
from kinetics.cli.design_trials import design_trials
from kinetics.cli.fit import fit_to
from kinetics.cli.protocol import design_exact
from kinetics.cli.simulate import simulate
from kinetics.errors import KineticsError, Stopped
from kinetics.files import write_atomic
from kinetics.inference import split_host, unfinished, use_compile_cache
from kinetics.plan import read_plan

__all__ = ["main", "serve"]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of a disk: no other task would fare better on it
_MOST = 50  # tasks of one process: what they leave behind in memory goes with it
_LOGGED = ("SLURM_", "XLA_", "JAX_", "OMP_", "KINETICS_", "CUDA_VISIBLE")  # of the environment, in logs


class _Signals:
    """SIGTERM and SIGUSR1 end a task at once, unless the fit under way heeds them itself."""

    def __init__(self) -> None:
        self.received = ""
        self.in_task = False
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        first = not self.received
        self.received = signal.Signals(number).name
        if first and self.in_task:
            raise Stopped(f"{self.received}: stopped")

    @contextmanager
    def task(self) -> Iterator[None]:
        """Within it a signal raises Stopped."""
        self.in_task = True
        try:
            yield
        finally:
            self.in_task = False


def main() -> int:
    """Work on the batch that the command line names, and return the exit code."""
    path, key, token = sys.argv[1:]
    signals = _Signals()
    folder = BatchFolder(Path(path))
    parent = os.getppid()
    worker = {
        "key": key,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": job_of_slurm() or None,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        problem = _refusal(folder, token)
        write_atomic(
            folder.path / "workers" / f"{key}.json", json.dumps({**worker, "problem": problem}) + "\n"
        )
    except (OSError, KineticsError) as error:
        problem = (
            f"{socket.gethostname()}: {error}; the batch folder has to be on a file system all nodes write to"
        )
    if problem:
        print(problem, file=sys.stderr)
        return REFUSED
    use_compile_cache()
    try:
        return serve(folder, worker, signals, lambda: os.getppid() != parent)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        print(f"{error.filename or folder.path}: {error.strerror}", file=sys.stderr)
        return UNWRITABLE


def _refusal(folder: BatchFolder, token: str) -> str:
    """Why this process cannot work here; "" where it can."""
    host = socket.gethostname()
    if folder.content["token"] != token:
        return (
            f"{host}: {folder.path} is another folder here; put the batch on a file system that all nodes see"
        )
    if os.environ.get("KINETICS_BATCH_GPU") == "1" and jax.default_backend() == "cpu":
        return f"{host}: jax sees no GPU; say [slurm] gpus = 0, or install the extra `cuda` there"
    return ""


def serve(
    folder: BatchFolder, worker: Mapping[str, Any], signals: _Signals, orphaned: Callable[[], bool]
) -> int:
    """Take every task that can be taken, and return an exit code.

    A task that failed is tried again after the others. `orphaned` says whether the worker has died. The exit
    code is 0 where no task is left, AGAIN where another process has to take the rest, STOPPED after a signal.
    OSError where the disk is full or may no longer be written; the task under way is then stopped, and has
    not failed.
    """
    remaining = list(folder.tasks)
    devices = 0  # of this process; jax fixes them with the first task
    done = 0
    while True:
        began = False
        left_over = False
        for task in list(remaining):
            if signals.received or orphaned():
                return STOPPED
            with claimed(folder.task_folder(task)) as attempts:
                if attempts is None:  # another process works on it
                    continue
                _close_dead_attempt(folder, task, attempts)
                if attempts.state(folder.retries) in ("finished", "failed"):
                    remaining.remove(task)
                    continue
                if devices not in (0, task.devices) or done == _MOST:
                    left_over = True
                    continue
                if not devices:
                    devices = task.devices
                    split_host(devices)
                began = True
                done += 1
                (folder.path / "workers" / f"{worker['key']}.claims").touch()
                _attempt(folder, task, attempts, worker, signals)
        if not began:
            return AGAIN if left_over else 0


def _close_dead_attempt(folder: BatchFolder, task: Task, attempts: Attempts) -> None:
    """Record how an attempt ended whose process died: stopped if it had been told to stop, else killed."""
    attempt = attempts.open
    if attempt is None:
        return
    if attempts.finished:
        attempts.end("finished")
    elif (folder.path / "workers" / f"{attempt['worker']}.stopping").exists():
        attempts.end("stopped", message="killed while it stopped", progress=_progress(task))
    else:
        attempts.end("killed", message=f"its process on {attempt['host']} was killed (out of memory?)")


def _attempt(
    folder: BatchFolder, task: Task, attempts: Attempts, worker: Mapping[str, Any], signals: _Signals
) -> None:
    """Try a task once, and record how it ended."""
    number = attempts.begin(
        {"worker": worker["key"], "host": worker["host"], "pid": os.getpid(), "job": worker["job"]}
    )
    result = None
    outcome = "failed"
    message = ""
    no_space = None
    with _log(folder.task_folder(task) / f"attempt-{number}.log", task):
        try:
            with signals.task():
                result = _result(task)
            outcome = "finished"
        except Stopped as stopped:
            outcome = "stopped"
            message = str(stopped)
            if not signals.received:  # a fit heeds signals itself
                signals.received = message.partition(":")[0]
        except (KineticsError, typer.BadParameter) as error:
            message = str(error)
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            if error.errno in _NO_SPACE:
                outcome = "stopped"
                no_space = error
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        if message:
            with suppress(OSError):  # of a full disk; the attempt holds the message too
                print(message, file=sys.stderr, flush=True)
    if result is not None:
        write_atomic(folder.task_folder(task) / "result.json", json.dumps(result) + "\n")
    attempts.end(outcome, message=message, progress=_progress(task))
    if no_space is not None:
        raise no_space


def _progress(task: Task) -> int | None:
    """When the newest checkpoint of a task was written, in nanoseconds; None where there is none."""
    place = Path(task.arguments.get("out", ""))
    checkpoint = place / "ranks.csv"
    if task.kind == "fit":
        checkpoint = unfinished(place / task.name) / "state.npz"
    return checkpoint.stat().st_mtime_ns if checkpoint.exists() else None


def _result(task: Task) -> dict[str, Any]:
    """What the task's command prints with --json.

    An exit code of 1 beside a result is a finding, not a failure.
    """
    stdout = StringIO()
    with redirect_stdout(stdout):
        try:
            _COMMANDS[task.kind](task.arguments)
        except typer.Exit:
            if not stdout.getvalue().strip():
                raise
    return json.loads(stdout.getvalue().strip().splitlines()[-1])


def _fit(arguments: Mapping[str, Any]) -> None:
    plan = read_plan(arguments["plan"])
    result, text = fit_to(plan, Path(arguments["out"]) / plan.name, resume=True)
    print_result(result, text, True)


def _sbc(arguments: Mapping[str, Any]) -> None:
    sbc(**{**arguments, "out": Path(arguments["out"])}, as_json=True)


def _design(arguments: Mapping[str, Any]) -> None:
    if "trials" in arguments:
        design_trials(**arguments, as_json=True)
    else:
        design_exact(**arguments, as_json=True)


def _simulate(arguments: Mapping[str, Any]) -> None:
    paths = {key: Path(value) for key, value in arguments.items() if key in ("out", "regimen")}
    simulate(**{**arguments, **paths}, as_json=True)


_COMMANDS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "fit": _fit,
    "sbc": _sbc,
    "design": _design,
    "simulate": _simulate,
}


@contextmanager
def _log(file: Path, task: Task) -> Iterator[None]:
    """Within it everything printed goes to the file, what libraries print too."""
    environment = sorted((name, value) for name, value in os.environ.items() if name.startswith(_LOGGED))
    head = [
        f"$ {task.command}",
        f"host {socket.gethostname()}, process {os.getpid()}, {sys.executable}",
        *(f"{name}={value}" for name, value in environment),
    ]
    with file.open("a", encoding="utf-8") as log:
        print(*head, sep="\n", file=log, flush=True)
        saved = {stream: os.dup(stream.fileno()) for stream in (sys.stdout, sys.stderr)}
        try:
            for stream in saved:
                stream.flush()
                os.dup2(log.fileno(), stream.fileno())
            yield
        finally:
            for stream, handle in saved.items():
                with suppress(OSError):  # of a full disk
                    stream.flush()
                os.dup2(handle, stream.fileno())
                os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
