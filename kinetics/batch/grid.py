"""The tasks of a batch: every combination that its tables ask for.

Each has a name, the arguments of its command, and its place in the grid.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from kinetics.batch.bootstrap import resample_name
from kinetics.batch.spec import BatchPlan, DesignGrid, FitGrid, SbcGrid, SimulateGrid
from kinetics.decision import AT_RESPONSES
from kinetics.errors import InputError, PlanError, Problem
from kinetics.files import not_a_name
from kinetics.library import is_bare
from kinetics.plan import FitPlan, plan_of, read_plan
from kinetics.prediction import days_of_text
from kinetics.protocol import read_protocol, rule_of, settled

__all__ = ["AXES", "Resample", "Task", "tasks_of"]

AXES = ("plan", "model", "data", "prior_set", "priors", "method", "seed", "resample")
MOST_TASKS = 200_000
_POSITIONAL = ("plan", "protocol", "model")
_OPTIONS = {"source": "--from", "values": "--set"}  # where an option has another name than its argument


@dataclass(frozen=True)
class Resample:
    """A resampled study that has to be written: `data` resampled, draw `number` of `seed`, into `folder`."""

    data: str
    seed: int
    number: int
    within: str | None
    folder: str


@dataclass(frozen=True)
class Task:
    """One fit, calibration, design or simulation.

    arguments: those of its command. plan: a fit's plan as plain values. devices: how many devices of the host
    its process has to show. axes: where in the grid it is.
    """

    name: str
    kind: str
    axes: Mapping[str, Any]
    arguments: Mapping[str, Any]
    devices: int = 1
    plan: Mapping[str, Any] | None = None
    resample: Resample | None = field(default=None)

    @property
    def sha256(self) -> str:
        """The hash of everything in the task."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def command(self) -> str:
        """The command that a user would type for the task."""
        words = ["kinetics", self.kind]
        if self.kind == "design" and "trials" in self.arguments:
            words.append("trials")
        words += [str(value) for key, value in self.arguments.items() if key in _POSITIONAL]
        for key, value in self.arguments.items():
            if key in _POSITIONAL:
                continue
            option = _OPTIONS.get(key, "--" + key.replace("_", "-"))
            if value is True:
                words.append(option)
                continue
            for one in value if isinstance(value, list) else [value]:
                words += [option, str(one)]
        return shlex.join(words)


def tasks_of(plan: BatchPlan, root: Path, folder: Path, *, file: str = "") -> list[Task]:
    """Every task of a batch whose PLAN, `file`, lies in `root`. PlanError lists every problem."""
    problems: list[Problem] = []
    tasks: list[Task] = []
    for kind, tasks_of_grid in (
        ("fit", _fits),
        ("sbc", _sbcs),
        ("design", _designs),
        ("simulate", _simulations),
    ):
        for number, grid in enumerate(getattr(plan, kind), start=1):
            try:
                tasks += tasks_of_grid(grid, root, folder)
            except InputError as error:
                problems += [
                    Problem(f"[[{kind}]] {number}: {p}", "see there", file=file) for p in error.problems
                ]
    for name, count in Counter(task.name for task in tasks).items():
        fault = not_a_name(name)
        if fault:
            what = f"{name!r} is no name of a task: {fault}"
            remedy = "correct `name`, the names of [fit.priors], or the file's name"
            problems.append(Problem(what, remedy, file=file))
        if count > 1:
            remedy = 'give the tables different `name = "..."`; it is put before the names of their tasks'
            problems.append(Problem(f"{count} tasks are called {name}", remedy, file=file))
    if problems:
        raise PlanError(problems)
    return tasks


def _path(reference: str, root: Path) -> str:
    """The reference as an absolute path, for tasks run elsewhere; a bare name stays as it is."""
    if is_bare(reference):
        return reference
    return str((root / reference).resolve())


def _plan(reference: str, root: Path) -> FitPlan:
    """The plan of a file relative to `root`, or of a bare name."""
    path = root / reference
    return read_plan(path if os.path.isfile(path) else reference)


def _fits(grid: FitGrid, root: Path, folder: Path) -> Iterator[Task]:
    """The fits of a table, each with its resamples. PlanError at the end lists the problems of all plans."""
    problems: list[Problem] = []
    priors = {
        name: {key: prior.model_dump(exclude_none=True) for key, prior in table.items()}
        for name, table in grid.priors.items()
    }
    every_axis = {
        "model": [_path(model, root) for model in grid.model or ()],
        "data": [_path(data, root) for data in grid.data or ()],
        "prior_set": list(grid.prior_set or ()),
        "priors": list(priors),
        "method": list(grid.method or ()),
        "seed": list(grid.seed or ()),
    }
    axes = {key: values for key, values in every_axis.items() if values}
    resamples = 0 if grid.bootstrap is None else grid.bootstrap.resamples
    count = len(grid.plan) * math.prod(map(len, axes.values())) * (1 + resamples)
    if count > MOST_TASKS:
        what = f"{count} fits; a batch takes at most {MOST_TASKS} of one table"
        raise PlanError(Problem(what, "shorten the lists, or write several batches"))
    for reference in grid.plan:
        base = _plan(reference, root)
        for combination in product(*axes.values()):
            changes = dict(zip(axes, combination, strict=True))
            for number in range(1 + resamples):  # 0 is the study itself
                try:
                    yield _fit(grid, base, changes, priors=priors, number=number, axes=axes, folder=folder)
                except PlanError as error:
                    problems += error.problems
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))


def _fit(
    grid: FitGrid,
    base: FitPlan,
    changes: Mapping[str, Any],
    *,
    priors: Mapping[str, Any],
    number: int,
    axes: Mapping[str, list[Any]],
    folder: Path,
) -> Task:
    """One fit: the plan `base` with `changes`, on the study (number 0) or one of its resamples."""
    content = base.resolved() | dict(changes)
    if "priors" in changes:
        content["priors"] = {**base.resolved().get("priors", {}), **priors[changes["priors"]]}
    content["sampler"] = {**content.get("sampler", {}), **grid.sampler}
    resample = None
    if number and grid.bootstrap is not None:
        bootstrap = grid.bootstrap
        name = resample_name(content["data"], bootstrap.seed, number, bootstrap.within)
        resample = Resample(
            data=content["data"],
            seed=bootstrap.seed,
            number=number,
            within=bootstrap.within,
            folder=str(folder / "data" / name),
        )
        content["data"] = resample.folder
    if number or set(changes) - {"seed"}:
        content.pop("expect", None)  # it holds for the plan's own fit only
    name = _fit_name(grid, base, changes, axes, number)
    plan = plan_of(content | {"name": name}, file=name)
    place = {
        "plan": base.name,
        "model": Path(plan.model).stem,
        "prior_set": plan.prior_set,
        "data": Path(resample.data if resample else plan.data).stem,
        "priors": changes.get("priors"),
        "method": plan.method,
        "seed": plan.seed,
        "resample": number if grid.bootstrap else None,
    }
    arguments = {
        "plan": str(folder / "fits" / f"{name}.toml"),
        "out": str(folder / "runs"),
        "resume": True,
    }
    return Task(
        name,
        "fit",
        axes=place,
        arguments=arguments,
        devices=plan.sampler.chains if plan.method == "nuts" else 1,
        plan=plan.resolved(),
        resample=resample,
    )


def _fit_name(
    grid: FitGrid, base: FitPlan, changes: Mapping[str, Any], axes: Mapping[str, list[Any]], number: int
) -> str:
    """The plan's name, or model and data where they vary, and then every other axis that varies."""
    parts = []
    if len(grid.plan) > 1 or not {"model", "data"} & set(changes):
        parts.append(base.name)
    parts += [Path(changes[key]).stem for key in ("model", "data") if key in changes]
    for key in ("prior_set", "priors", "method", "seed"):
        if len(axes.get(key, ())) > 1:
            parts.append(f"seed{changes[key]}" if key == "seed" else str(changes[key]))
    if number:
        parts.append(f"boot{number:04d}")
    return _joined(grid.name, *parts)


def _sbcs(grid: SbcGrid, root: Path, folder: Path) -> Iterator[Task]:
    """A calibration of every plan and seed."""
    for reference in grid.plan:
        plan = _plan(reference, root)
        path = root / reference
        for seed in grid.seed or (None,):
            name = _joined(grid.name, "sbc", plan.name, grid.wrong, _numbered("seed", seed, grid.seed))
            arguments = {
                "plan": str(path.resolve()) if os.path.isfile(path) else reference,
                "replicates": grid.replicates,
                "draws": grid.draws,
                "warmup": grid.warmup,
                "ranks": grid.ranks,
                "seed": seed,
                "wrong": grid.wrong,
                "out": str(folder / "sbc" / name),
            }
            axes = {
                "plan": plan.name,
                "model": Path(plan.model).stem,
                "data": Path(plan.data).stem,
                "seed": plan.seed if seed is None else seed,
            }
            yield Task(name, "sbc", axes, _without_none(arguments))


def _designs(grid: DesignGrid, root: Path, folder: Path) -> Iterator[Task]:
    """A design of every protocol, rule and truth: simulated for rules that look at responses, else exact.

    PlanError for true responses that no rule looks at.
    """
    if grid.true_response and not set(grid.rule) & set(AT_RESPONSES):
        what = f"true_response, and {', '.join(grid.rule)} looks at no responses"
        raise PlanError(Problem(what, "leave true_response out, or add the rule boin12"))
    problems = [problem for name in grid.protocol for problem in _design_problems(grid, _path(name, root))]
    if problems:
        raise PlanError(problems)
    truths = enumerate(grid.true_dlt, start=1)
    for protocol, rule, (number, truth) in product(grid.protocol, grid.rule, truths):
        path = Path(protocol)
        stem = path.parent.name if protocol.endswith("protocol.toml") else path.stem
        name = _joined(grid.name, "design", stem, rule, _numbered("truth", number, grid.true_dlt))
        arguments = {
            "protocol": _path(protocol, root),
            "rule": rule,
            "true_dlt": _commas(truth),
            "target": grid.target,
            "trigger_without_dlt": _commas(grid.trigger_without_dlt),
        }
        if rule in AT_RESPONSES:
            arguments |= {
                "true_response": _commas(grid.true_response) or None,
                "trials": grid.trials,
                "seed": grid.seed,
            }
        axes = {"plan": stem, "priors": rule, "seed": grid.seed}
        yield Task(name, "design", axes, _without_none(arguments))


def _design_problems(grid: DesignGrid, reference: str) -> Iterator[Problem]:
    """What is wrong with the rules and the probabilities of a table for one protocol."""
    try:
        protocol = settled(read_protocol(reference), reference)
    except InputError as error:
        yield from error.problems
        return
    for rule in grid.rule:
        try:
            rule_of(protocol, rule, target=grid.target)
        except InputError as error:
            yield from error.problems
    levels = len(protocol.levels)
    lists = {f"true_dlt {number}": truth for number, truth in enumerate(grid.true_dlt, start=1)}
    if grid.true_response:
        lists["true_response"] = grid.true_response
    if len(grid.trigger_without_dlt) > 1:
        lists["trigger_without_dlt"] = grid.trigger_without_dlt
    for name, numbers in lists.items():
        if len(numbers) != levels:
            what = f"{name} has {len(numbers)} numbers, and {reference} has {levels} levels"
            yield Problem(what, "write one probability for each level")


def _simulations(grid: SimulateGrid, root: Path, folder: Path) -> Iterator[Task]:
    """A simulation of every model and seed."""
    source = grid.source
    days_of_text(grid.times)
    if source not in ("typical", "prior"):
        source = str((root / source).resolve())
    for model, seed in product(grid.model, grid.seed):
        name = _joined(grid.name, "simulate", Path(model).stem, _numbered("seed", seed, grid.seed))
        arguments = {
            "model": _path(model, root),
            "source": source,
            "regimen": None if grid.regimen is None else str((root / grid.regimen).resolve()),
            "study": None if grid.study is None else _path(grid.study, root),
            "weight": grid.weight,
            "patients": grid.patients,
            "times": grid.times,
            "outputs": grid.outputs,
            "products": grid.products,
            "values": [f"{key}={value!r}" for key, value in grid.set.items()] or None,
            "seed": seed,
            "out": str(folder / "simulations" / f"{name}.csv"),
        }
        yield Task(name, "simulate", {"model": Path(model).stem, "seed": seed}, _without_none(arguments))


def _joined(*parts: str | None) -> str:
    """The parts that are not empty, as the name of a task."""
    return "__".join(part for part in parts if part)


def _numbered(word: str, value: object, values: tuple[Any, ...] | None) -> str | None:
    """A part of a task's name, as `seed2`; None where there is one value only."""
    return f"{word}{value}" if values is not None and len(values) > 1 else None


def _commas(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _without_none(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if value is not None}
