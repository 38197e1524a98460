"""Workers on Slurm: one job array, submitted by submitit; nothing has to stay alive on the login node.

What submitit pickles is the worker's command, a list of words. The signal before the time limit has to be
SIGURG: submitit kills the command it runs at the signal that it itself asks Slurm to send, it dies of
SIGUSR1, and SIGTERM makes srun end the step. A process ignores SIGURG unless it asks for it, as the worker
does.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from signal import SIGURG
from typing import Any

from kinetics.batch.folder import BatchFolder
from kinetics.batch.local import worker_command
from kinetics.batch.spec import SlurmSpec, minutes_of
from kinetics.errors import BatchError

__all__ = ["in_queue", "require_slurm", "submit"]


def require_slurm() -> Any:
    """The module submitit. BatchError where it or Slurm is missing."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise BatchError("no sbatch here: run this where Slurm is, or say --on local")
    try:
        return import_module("submitit")
    except ImportError:
        raise BatchError("Slurm needs submitit: pip install 'cellkinetics[cluster]'") from None


def submit(folder: BatchFolder, spec: SlurmSpec, cache: Path, workers: int) -> list[str]:
    """Submit an array of workers and return the names of its elements. BatchError where Slurm refuses it."""
    submitit = require_slurm()
    command = worker_command(folder, threads=spec.cpus, cache=cache, gpu=spec.gpus > 0)
    executor = submitit.SlurmExecutor(folder=folder.path / "jobs")
    requeue = "requeue" if spec.requeue else "no-requeue"
    parameters = {
        "job_name": folder.path.stem,
        "partition": spec.partition,
        "time": minutes_of(spec.time),
        "mem": spec.memory,
        "cpus_per_task": spec.cpus,
        "ntasks_per_node": 1,
        "gpus_per_node": spec.gpus or None,
        "account": spec.account,
        "array_parallelism": workers,
        "wckey": None,
        "setup": [*spec.setup, f"export KINETICS_BATCH_REQUEUE={int(spec.requeue)}"],
        "additional_parameters": {requeue: True, "signal": f"{int(SIGURG)}@{spec.warning}", **spec.options},
    }
    try:
        executor.update_parameters(**{key: value for key, value in parameters.items() if value is not None})
        run_worker = submitit.helpers.CommandFunction([*command, "--number"])  # and the number of each
        jobs = executor.map_array(run_worker, range(workers))
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError, OSError) as error:
        raise BatchError(f"Slurm does not take the job: {_last_line(str(error))}") from error
    names = [str(job.job_id) for job in jobs]
    folder.note_job({"submitted": datetime.now(UTC).isoformat(timespec="seconds"), "workers": names})
    return names


def in_queue(folder: BatchFolder) -> dict[str, int]:
    """How many of the batch's workers Slurm has in each state, as `{"RUNNING": 2}`; empty if none is left.

    BatchError where Slurm does not answer.
    """
    names = {name for job in folder.jobs() for name in job["workers"]}
    if not names:
        return {}
    command = ["squeue", "--noheader", "--array", "--me", "--format=%i %T"]
    try:
        squeue = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise BatchError(f"Slurm does not say what it runs: {_last_line(reason)}") from error
    states = dict(line.split() for line in squeue.stdout.splitlines() if line.strip())
    return dict(Counter(state for name, state in states.items() if name in names))


def _last_line(text: str) -> str:
    """The last line that is not blank, or that there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
