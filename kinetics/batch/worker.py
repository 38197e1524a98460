"""The program of one worker: it keeps a process at work on the tasks of a batch, and replaces it if it dies.

`kinetics batch` on this machine, or Slurm on a node, runs it as a script: `python worker.py FOLDER ...`. The
worker imports nothing from the package, so it starts at once and costs nothing while it waits. Its process,
`kinetics.cli.batch_process`, has jax and the package loaded and takes one task after another.

The worker passes SIGTERM, SIGUSR1, SIGINT and SIGURG (see `slurm`) to the process as SIGTERM, and the running
task writes its checkpoint. Under Slurm the job then goes back into the queue, unless it was cancelled or
Slurm requeues it. Exit codes: 0 no task is left, 75 stopped, 78 nothing more can be written, 1 no process can
work here (workers/*.json says why).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["AGAIN", "REFUSED", "STOPPED", "UNWRITABLE", "job_of_slurm", "main"]

# exit codes of the process
STOPPED = 75  # by a signal
AGAIN = 76  # another process has to take the remaining tasks
REFUSED = 77  # no process can work here
UNWRITABLE = 78  # the disk is full or may no longer be written
_BARREN = 3  # the worker gives up after this many deaths in a row without a task begun


def main() -> int:
    """Run the worker and return its exit code."""
    arguments = _arguments()
    folder = Path(arguments.folder)
    key = f"{socket.gethostname()}-{os.getpid()}-{int(time.time())}"
    if arguments.cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in arguments.cpus.split(",")})
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGURG):
        signal.signal(number, lambda n, _: received.append(n))
    code = _keep_at_work(folder, key, _environment(arguments), arguments.token, received)
    if received and code not in (0, 1, UNWRITABLE):
        code = STOPPED
        _requeue()
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A worker of `kinetics batch`.")
    parser.add_argument("folder")
    parser.add_argument(
        "--token", required=True, help="the token in tasks.json, by which the folder is recognised"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpus", default="", help="the cores to run on, separated by commas")
    parser.add_argument("--gpu", action="store_true", help="jax has to see a GPU")
    parser.add_argument(
        "--cache", default="", help="folder of the compile cache; it has a folder for each kind of processor"
    )
    parser.add_argument("--number", default="", help="the number of the worker in its array")
    return parser.parse_args()


def _environment(arguments: argparse.Namespace) -> dict[str, str]:
    """The environment of the process.

    It sets the number of threads, has jax keep every compiled program, however quickly it was compiled, and
    shares one cache among all workers on the same kind of processor.
    """
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(arguments.threads)
    if arguments.threads == 1 and "xla_cpu_multi_thread_eigen" not in environment.get("XLA_FLAGS", ""):
        flags = f"{environment.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        environment["XLA_FLAGS"] = flags.strip()
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    if arguments.cache:
        environment["KINETICS_COMPILE_CACHE"] = str(Path(arguments.cache) / _processor())
    environment["KINETICS_BATCH_GPU"] = str(int(arguments.gpu))
    return environment


def _processor() -> str:
    """A name for the processor's features; a program compiled for others may not run on it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    features = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return f"{os.uname().machine}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def _keep_at_work(
    folder: Path, key: str, environment: dict[str, str], token: str, received: list[int]
) -> int:
    """Keep a process at work until no task is left, it is stopped, or none can work; return the exit code."""
    command = [sys.executable, "-P", "-m", "kinetics.cli.batch_process", str(folder), key, token]
    claims = folder / "workers" / f"{key}.claims"
    barren = 0
    while True:
        before = _modified(claims)
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        code = _wait(process, folder / "workers" / f"{key}.stopping", received)
        if received or code in (0, STOPPED, UNWRITABLE):
            return code
        if code == REFUSED:
            return 1
        if code != AGAIN:
            barren = 0 if _modified(claims) != before else barren + 1
            print(f"the process of {key} died ({code}); another takes its place", file=sys.stderr, flush=True)
            if barren == _BARREN:
                _give_up(folder, key, code)
                return 1


def _wait(process: subprocess.Popen[bytes], stopping: Path, received: list[int]) -> int:
    """Wait for the process and return its exit code.

    After a signal the process gets SIGTERM every two seconds, because it may just have begun another task.
    """
    signalled = 0.0
    while (code := process.poll()) is None:
        if received and time.monotonic() - signalled > 2.0:
            if not signalled:
                _touch(stopping)
            signalled = time.monotonic()
            process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    return code


def job_of_slurm() -> str:
    """The Slurm job that this process runs in; "" outside Slurm.

    Within an array it is ARRAY_ELEMENT, which means this element alone. The plain number of the first element
    would mean the whole array.
    """
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID", "")


def _give_up(folder: Path, key: str, code: int) -> None:
    """Record in the worker's file that no process can work here, and which log says why."""
    host = socket.gethostname()
    job = job_of_slurm()
    where = f"jobs/*_log.err of Slurm's job {job}" if job else "workers/local-*.log"
    problem = (
        f"{host}: the process died {_BARREN} times before it took a task (exit code {code}); see {where}"
    )
    record = {
        "key": key,
        "host": host,
        "job": job,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "problem": problem,
    }
    partial = folder / "workers" / f".{key}"
    try:
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(folder / "workers" / f"{key}.json")
    except OSError as error:
        print(f"{problem}; {error}", file=sys.stderr, flush=True)


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr, flush=True)


def _modified(path: Path) -> int:
    """When a file was last modified, in nanoseconds; 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _requeue() -> None:
    """Put the Slurm job back into the queue if it still runs.

    A job that still runs was stopped by its time limit. In every other case Slurm cancels or requeues the job
    without our help.
    """
    job = job_of_slurm()
    if not job or os.environ.get("KINETICS_BATCH_REQUEUE") != "1":
        return
    for _ in range(30):  # the controller may be away
        show = ["scontrol", "show", "job", job, "-o"]
        scontrol = subprocess.run(show, capture_output=True, text=True, check=False)
        if scontrol.returncode == 0:
            if "JobState=RUNNING" in scontrol.stdout:
                subprocess.run(["scontrol", "requeue", job], check=False)
            return
        time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())
