"""Checks before anything runs: the folder can be written and locked, models and data load, memory suffices.

A problem of one task does not keep the others from running: it is reported now, and the task is tried all the
same. Each worker checks on its own node that the folder is the same one and that jax sees a GPU.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetics.batch.grid import Task
from kinetics.batch.spec import SlurmSpec
from kinetics.errors import InputError, KineticsError, Problem
from kinetics.inference import load_fit
from kinetics.plan import BoundFit, bind, plan_of
from kinetics.prediction import days_of_text, simulation
from kinetics.regimen import read_regimen

__all__ = ["Preflight", "memory_mb", "preflight", "writable"]

PROCESS_MB = 900  # measured: 0.85 GB for the smallest fit, jax and its compiled programs, x86-64, jax 0.10.2
COPIES = 6  # of the draws at the end of a fit: chunks, joined, container, tables, NetCDF; a guess


@dataclass(frozen=True)
class Preflight:
    """What the checks say.

    tasks: those that cannot run as they are, name -> problem. memory_mb: the memory a worker needs, in MB.
    """

    tasks: dict[str, str]
    memory_mb: int


def writable(folder: Path) -> list[Problem]:
    """Make the batch's folder, and return what keeps it from being used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        remedy = "choose another `out`, on a file system with locks that all nodes share"
        what = f"cannot be written and locked: {os.strerror(error.errno or 0)}"
        return [Problem(what, remedy, file=str(folder))]
    return []


def preflight(tasks: Sequence[Task], slurm: SlurmSpec | None, file: str = "") -> Preflight:
    """Bind every fit to its model and study, and estimate the memory that a worker needs.

    Fits that differ in nothing but seed and resample are bound once. InputError where `slurm` asks for too
    little memory; problems of tasks are returned, not raised.
    """
    problems: dict[str, str] = {}
    bound: dict[str, tuple[str, int]] = {}  # content of a plan -> problem, memory
    for task in tasks:
        if task.kind == "simulate":
            arguments = {k: v for k, v in task.arguments.items() if k not in ("seed", "out")}
            key = json.dumps(arguments, sort_keys=True)
            if key not in bound:
                bound[key] = _simulation_problem(arguments), PROCESS_MB
            if bound[key][0]:
                problems[task.name] = bound[key][0]
        if task.plan is None:
            continue
        content = {key: value for key, value in task.plan.items() if key not in ("seed", "name")}
        if task.resample is not None:
            content["data"] = task.resample.data
        key = json.dumps(content, sort_keys=True)
        if key not in bound:
            bound[key] = _problem_and_memory({**content, "name": task.name})
        problem, _ = bound[key]
        if problem:
            problems[task.name] = problem
    need = max((memory for _, memory in bound.values()), default=PROCESS_MB)
    if slurm is not None and _megabytes(slurm.memory) < need:
        what = f"slurm.memory = {slurm.memory!r}, and a fit is estimated to need {need} MB"
        raise InputError(Problem(what, f'write memory = "{need}M" or more', file=file))
    return Preflight(problems, need)


def _problem_and_memory(content: dict[str, object]) -> tuple[str, int]:
    """What keeps a plan from being bound ("" if nothing), and the memory of its fit in MB."""
    try:
        return "", memory_mb(bind(plan_of(content)))
    except (KineticsError, OSError) as error:
        return str(error), PROCESS_MB


def _simulation_problem(arguments: Mapping[str, Any]) -> str:
    """What keeps a simulation from beginning; "" if nothing does. Nothing is solved."""
    source = arguments["source"]
    pairs = [text.split("=", 1) for text in arguments.get("values", [])]
    try:
        simulation(
            arguments["model"],
            read_regimen(arguments["regimen"]) if "regimen" in arguments else None,
            study=arguments.get("study"),
            parameters=source if source in ("typical", "prior") else load_fit(source),
            set={name: float(value) for name, value in pairs},
            times=days_of_text(arguments["times"]),
            weight_kg=arguments.get("weight", 70.0),
            outputs=_words(arguments.get("outputs")),
            products=_words(arguments.get("products")),
        )
    except (KineticsError, OSError) as error:
        return str(error)
    return ""


def _words(text: str | None) -> list[str] | None:
    """Names with commas as a list; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def memory_mb(bound: BoundFit) -> int:
    """The memory that a fit's process needs in MB, estimated: itself, and draws of sites and parameters."""
    sampler = bound.plan.sampler
    subjects = len(bound.subjects)
    numbers = len(bound.priors()) + 3 * subjects * len(bound.parameters)
    return int(PROCESS_MB + COPIES * 8 * sampler.chains * sampler.draws * numbers / 1e6)


def _megabytes(text: str) -> float:
    """A size such as `4G` in megabytes, as Slurm reads it."""
    factor = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}
    return float(text.rstrip("KMGT")) * factor.get(text[-1], 1.0)
