"""Workers on this machine: as many as its cores allow, each on cores of its own, started again if it dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from kinetics.batch import worker
from kinetics.batch.folder import BatchFolder
from kinetics.batch.spec import LocalSpec
from kinetics.errors import BatchError, Stopped

__all__ = ["cores_of", "run_here", "worker_command"]

_RESTARTS = 100  # of one worker that dies
_PROBE = 65_536  # bytes written to learn whether anything can be


def worker_command(folder: BatchFolder, *, threads: int, cache: Path, gpu: bool = False) -> list[str]:
    """The command of one worker, the same on this machine and on a node."""
    command = [sys.executable, "-I", "-S", str(Path(worker.__file__).resolve()), str(folder.path)]
    command += ["--token", folder.content["token"], "--threads", str(threads), "--cache", str(cache)]
    if gpu:
        command.append("--gpu")
    return command


def cores_of(spec: LocalSpec) -> list[list[int]]:
    """The cores of each worker. More workers than there are cores share them."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    firsts = range(0, len(cores) - spec.threads + 1, spec.threads)
    slots = [cores[first : first + spec.threads] for first in firsts] or [cores]
    workers = len(slots) if spec.workers is None else spec.workers
    return [slots[i % len(slots)] for i in range(workers)]


def run_here(folder: BatchFolder, spec: LocalSpec, cache: Path, report: Callable[[], None]) -> None:
    """Work until nothing more can be done, and call `report` every few seconds.

    Stopped where SIGTERM, SIGUSR1 or Ctrl-C ended it. BatchError where the disk is full or may no longer be
    written.
    """
    command = worker_command(folder, threads=spec.threads, cache=cache)
    running: dict[int, subprocess.Popen[bytes]] = {}
    with _passed_on(running) as received:

        def keep_running(number: int, cores: list[int]) -> int:
            """Run a worker, start it again each time it dies, and return its last exit code."""
            code = 1
            for _ in range(_RESTARTS):
                cpus = ["--cpus", ",".join(map(str, cores))] if cores else []
                log = folder.path / "workers" / f"local-{number}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                with log.open("ab") as file:
                    running[number] = subprocess.Popen(
                        [*command, *cpus],
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=file,
                        start_new_session=True,
                    )
                    if received:  # a signal between two workers, which reached neither
                        running[number].send_signal(signal.SIGTERM)
                    code = running[number].wait()
                    if code in (0, 1, worker.UNWRITABLE) or received:
                        return code
            return code

        slots = cores_of(spec)
        with ThreadPoolExecutor(len(slots)) as pool:
            futures = [pool.submit(keep_running, number, cores) for number, cores in enumerate(slots)]
            while not all(future.done() for future in futures):
                under_way = next((future for future in futures if not future.done()), None)
                if under_way is not None:
                    with suppress(TimeoutError):
                        under_way.result(timeout=2.0)
                report()
            codes = [future.result() for future in futures]
    if received:
        raise Stopped(f"{signal.Signals(received[0]).name}: stopped; the same command goes on")
    if worker.UNWRITABLE in codes:
        raise BatchError(f"{folder.path}: {_unwritable(folder.path)}: the same command goes on")


def _unwritable(folder: Path) -> str:
    """Why a worker could write no more into a folder, and what to do."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE))
    except OSError as error:
        if error.errno == errno.EROFS:
            return "nothing may be written on this disk any more; have it mounted for writing"
    return "the disk is full; make space"


@contextmanager
def _passed_on(running: dict[int, subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """The signals received, each passed on to the workers as SIGTERM."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        for process in list(running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    former = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
