"""Before anything runs: can the folder be written and locked, do models and data load, is the memory enough?

What is wrong with one task does not keep the others from running: it is said now, tried, and reported. Each
worker asks on its own node whether the folder is the same one, and jax whether there is a GPU.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinetics.batch.grid import Task
from kinetics.batch.spec import SlurmSpec
from kinetics.errors import InputError, KineticsError, Problem
from kinetics.plan import BoundFit, bind, plan_of

__all__ = ["Preflight", "memory_mb", "preflight", "writable"]

PROCESS_MB = 900  # measured: 0.85 GB for the smallest fit, jax and its compiled programs, x86-64, jax 0.10.2
COPIES = 6  # of the draws at the end of a fit: chunks, joined, container, tables, NetCDF; a guess


@dataclass(frozen=True)
class Preflight:
    """What was found: tasks that cannot run as they are (name -> problem), and the memory a worker needs,
    in MB.
    """

    tasks: dict[str, str]
    memory_mb: int


def writable(folder: Path) -> list[Problem]:
    """What keeps the batch's folder from being used; it is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        remedy = "choose another `out`, on a file system with locks that all nodes share"
        return [
            Problem(
                f"cannot be written and locked: {os.strerror(error.errno or 0)}", remedy, file=str(folder)
            )
        ]
    return []


def preflight(tasks: Sequence[Task], slurm: SlurmSpec | None, file: str = "") -> Preflight:
    """Bind every fit that differs in more than its seed and resample; problems are those of Slurm's memory
    alone.
    """
    said: dict[str, str] = {}
    found: dict[str, tuple[str, int]] = {}
    for task in tasks:
        if task.plan is None:
            continue
        content = {k: v for k, v in task.plan.items() if k not in ("seed", "name")}
        if task.resample is not None:
            content["data"] = task.resample.data
        key = json.dumps(content, sort_keys=True)
        if key not in found:
            found[key] = _tried({**content, "name": task.name})
        if found[key][0]:
            said[task.name] = found[key][0]
    need = max((memory for _, memory in found.values()), default=PROCESS_MB)
    if slurm is not None and _megabytes(slurm.memory) < need:
        what = f"slurm.memory = {slurm.memory!r}, and a fit is estimated to need {need} MB"
        raise InputError(Problem(what, f'write memory = "{need}M" or more', file=file))
    return Preflight(said, need)


def _tried(content: dict[str, object]) -> tuple[str, int]:
    try:
        return "", memory_mb(bind(plan_of(content)))
    except (KineticsError, OSError) as error:
        return str(error), PROCESS_MB


def memory_mb(bound: BoundFit) -> int:
    """What a fit's process is estimated to need: itself, and its draws of every site and subject's
    parameter.
    """
    sampler = bound.plan.sampler
    subjects = len(bound.subjects)
    numbers = len(bound.priors()) + 3 * subjects * len(bound.parameters)
    return int(PROCESS_MB + COPIES * 8 * sampler.chains * sampler.draws * numbers / 1e6)


def _megabytes(text: str) -> float:
    """`4G` in megabytes, as Slurm reads it."""
    factor = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}
    return float(text.rstrip("KMGT")) * factor.get(text[-1], 1.0)
