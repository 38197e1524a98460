"""One worker: keeps a process at work on a batch's tasks, whatever becomes of that process.

Run by itself, `python worker.py FOLDER ...`, by `kinetics batch` on this machine or by Slurm on a node. It
imports nothing of the package, so it starts at once and costs nothing while it waits. The process it keeps,
`kinetics.cli.batch_process`, has jax and the package loaded and takes one task after another; where that one
dies, another takes its place.

SIGTERM, SIGUSR1, SIGINT and SIGURG (see `slurm`) are passed on as SIGTERM; the task under way writes its
checkpoint. Under Slurm the job is then put back into the queue, unless it was cancelled or Slurm does so
itself. Exit codes: 0 nothing left to do, 75 stopped, 1 the process cannot work here (workers/*.json says
why).
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

__all__ = ["AGAIN", "REFUSED", "STOPPED", "job_of_slurm", "main"]

# exit codes of the process; AGAIN: start another
STOPPED = 75
AGAIN = 76
REFUSED = 77
_BARREN = 3  # deaths in a row without a task begun


def main() -> int:
    given = _arguments()
    folder = Path(given.folder)
    key = f"{socket.gethostname()}-{os.getpid()}-{int(time.time())}"
    if given.cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in given.cpus.split(",")})
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGURG):
        signal.signal(number, lambda n, _: received.append(n))
    code = _kept_at_work(folder, key, _environment(given), given.token, received)
    if received and code not in (0, 1):
        code = STOPPED
        _requeue()
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A worker of `kinetics batch`.")
    parser.add_argument("folder")
    parser.add_argument(
        "--token", required=True, help="what tasks.json says, where the folder is the same one"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpus", default="", help="the cores to stay on, with commas")
    parser.add_argument("--gpu", action="store_true", help="jax has to see a GPU")
    parser.add_argument(
        "--cache", default="", help="folder of the compile cache; a folder in it for each processor"
    )
    parser.add_argument("--number", default="", help="of the worker among its likes")
    return parser.parse_args()


def _environment(given: argparse.Namespace) -> dict[str, str]:
    """Threads as many as cores, every compiled program kept, one cache for all workers on such a
    processor.
    """
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(given.threads)
    if given.threads == 1 and "xla_cpu_multi_thread_eigen" not in environment.get("XLA_FLAGS", ""):
        flags = f"{environment.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        environment["XLA_FLAGS"] = flags.strip()
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    if given.cache:
        environment["KINETICS_COMPILE_CACHE"] = str(Path(given.cache) / _processor())
    environment["KINETICS_BATCH_GPU"] = str(int(given.gpu))
    return environment


def _processor() -> str:
    """A name for what the processor can do: a program compiled for one may not run on another."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))][:1]
    return f"{os.uname().machine}-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:8]}"


def _kept_at_work(
    folder: Path, key: str, environment: dict[str, str], token: str, received: list[int]
) -> int:
    command = [sys.executable, "-P", "-m", "kinetics.cli.batch_process", str(folder), key, token]
    claims = folder / "workers" / f"{key}.claims"
    barren = 0
    while True:
        before = _changed(claims)
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        code = _waited(process, folder / "workers" / f"{key}.stopping", received)
        if received:
            return code
        if code in (0, STOPPED):
            return code
        if code == REFUSED:
            return 1
        if code != AGAIN:
            barren = 0 if _changed(claims) != before else barren + 1
            print(f"the process of {key} died ({code}); another takes its place", file=sys.stderr, flush=True)
            if barren == _BARREN:
                _give_up(folder, key, code)
                return 1


def _waited(process: subprocess.Popen[bytes], stopping: Path, received: list[int]) -> int:
    """The exit code of the process. Told to stop, it is told again: it may have just begun another task."""
    told = 0.0
    while (code := process.poll()) is None:
        if received and time.monotonic() - told > 2.0:
            if not told:
                _touch(stopping)
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    return code


def job_of_slurm() -> str:
    """The Slurm job this is: of an array this element alone, for the first one's number is the whole
    array's too.
    """
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID", "")


def _give_up(folder: Path, key: str, code: int) -> None:
    """Say in the worker's file that nothing can be done here."""
    host = socket.gethostname()
    job = job_of_slurm()
    where = f"jobs/*_log.err of Slurm's job {job}" if job else "workers/local-*.log"
    problem = (
        f"{host}: the process died {_BARREN} times before it took a task (exit code {code}); see {where}"
    )
    said = {
        "key": key,
        "host": host,
        "job": job,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    }
    partial = folder / "workers" / f".{key}"
    try:
        partial.write_text(json.dumps({**said, "problem": problem}), encoding="utf-8")
        partial.replace(folder / "workers" / f"{key}.json")
    except OSError as error:
        print(f"{problem}; {error}", file=sys.stderr, flush=True)


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr, flush=True)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _requeue() -> None:
    """Put the Slurm job back into the queue if it runs: stopped by its time limit. Otherwise Slurm knows
    what to do.
    """
    job = job_of_slurm()
    if not job or os.environ.get("KINETICS_BATCH_REQUEUE") != "1":
        return
    for _ in range(30):  # the controller may be away
        show = ["scontrol", "show", "job", job, "-o"]
        said = subprocess.run(show, capture_output=True, text=True, check=False)
        if said.returncode == 0:
            if "JobState=RUNNING" in said.stdout:
                subprocess.run(["scontrol", "requeue", job], check=False)
            return
        time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())
