"""The tasks of a batch: every combination its tables ask for, each with a name and what its command is
told.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from kinetics.batch.bootstrap import resample_name
from kinetics.batch.spec import BatchPlan, DesignGrid, FitGrid, SbcGrid, SimulateGrid
from kinetics.errors import PlanError, Problem
from kinetics.library import is_bare
from kinetics.plan import FitPlan, plan_of, read_plan

__all__ = ["AXES", "Resample", "Task", "tasks_of"]

AXES = ("plan", "model", "data", "prior_set", "priors", "method", "seed", "resample")


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

    `arguments` are those of its command; `plan` is a fit's, as plain values. `devices` is how many devices of
    the host its process has to show. `axes` says where in the grid it is.
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
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def command(self) -> str:
        """What a user would type for it."""
        words = ["kinetics", self.kind]
        for key, value in self.arguments.items():
            if key in _POSITIONAL:
                words.insert(2, str(value))
            else:
                option = {"source": "--from", "values": "--set"}.get(key, "--" + key.replace("_", "-"))
                many = value if isinstance(value, list) else [value]
                words += [option] if value is True else [w for v in many for w in (option, str(v))]
        return shlex.join(words)


_POSITIONAL = ("plan", "protocol", "model")


def tasks_of(plan: BatchPlan, root: Path, folder: Path) -> list[Task]:
    """Every task of a batch whose PLAN lies in `root`; PlanError lists every problem."""
    problems: list[Problem] = []
    tasks: list[Task] = []
    for kind, make in (("fit", _fits), ("sbc", _sbcs), ("design", _designs), ("simulate", _simulations)):
        for number, grid in enumerate(getattr(plan, kind), start=1):
            try:
                tasks += make(grid, root, folder)
            except PlanError as error:
                problems += [Problem(f"[[{kind}]] {number}: {p}", "see there") for p in error.problems]
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            remedy = 'give the tables different `name = "..."`; it is put before the names of their tasks'
            problems.append(Problem(f"{count} tasks are called {name}", remedy))
    if problems:
        raise PlanError(problems)
    return tasks


def _path(reference: str, root: Path) -> str:
    """A bare name stays; a path becomes absolute, for tasks run elsewhere."""
    if is_bare(reference):
        return reference
    return str((root / reference).resolve())


def _plan(reference: str, root: Path) -> FitPlan:
    path = root / reference
    return read_plan(path if path.is_file() else reference)


def _fits(grid: FitGrid, root: Path, folder: Path) -> Iterator[Task]:
    problems: list[Problem] = []
    priors = {
        name: {k: s.model_dump(exclude_none=True) for k, s in t.items()} for name, t in grid.priors.items()
    }
    axes = {
        "model": [_path(m, root) for m in grid.model or ()],
        "data": [_path(d, root) for d in grid.data or ()],
        "prior_set": list(grid.prior_set or ()),
        "priors": list(priors),
        "method": list(grid.method or ()),
        "seed": list(grid.seed or ()),
    }
    asked = {name: values for name, values in axes.items() if values}
    for reference in grid.plan:
        base = _plan(reference, root)
        for values in product(*asked.values()):
            changes = dict(zip(asked, values, strict=True))
            for resample in range(1 + (grid.bootstrap.resamples if grid.bootstrap else 0)):
                try:
                    yield _fit(grid, base, changes, priors, resample, asked, folder)
                except PlanError as error:
                    problems += error.problems
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))


def _fit(
    grid: FitGrid,
    base: FitPlan,
    changes: Mapping[str, Any],
    priors: Mapping[str, Any],
    number: int,
    asked: Mapping[str, list[Any]],
    folder: Path,
) -> Task:
    content = base.resolved() | dict(changes)
    if "priors" in changes:
        content["priors"] = {**base.resolved().get("priors", {}), **priors[changes["priors"]]}
    content["sampler"] = {**content.get("sampler", {}), **grid.sampler}
    resample = None
    if number and grid.bootstrap is not None:
        drawn = grid.bootstrap
        data = str(folder / "data" / resample_name(content["data"], drawn.seed, number, drawn.within))
        resample = Resample(content["data"], drawn.seed, number, drawn.within, data)
        content["data"] = data
    if number or set(changes) - {"seed"}:
        content.pop("expect", None)  # what the plan's own fit has to give
    name = _name(grid, base, changes, asked, number)
    plan = plan_of(content | {"name": name}, file=name)
    axes = {
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
    chains = plan.sampler.chains if plan.method == "nuts" else 1
    return Task(name, "fit", axes, arguments, chains, plan.resolved(), resample)


def _name(
    grid: FitGrid, base: FitPlan, changes: Mapping[str, Any], asked: Mapping[str, list[Any]], number: int
) -> str:
    """The plan's name, or model and data where they vary; then whatever else does."""
    parts = [base.name] if len(grid.plan) > 1 or not {"model", "data"} & set(changes) else []
    parts += [Path(changes[key]).stem for key in ("model", "data") if key in changes]
    varies = [key for key in ("prior_set", "priors", "method", "seed") if len(asked.get(key, ())) > 1]
    parts += [f"{key if key == 'seed' else ''}{changes[key]}" for key in varies]
    parts += [f"boot{number:04d}"] if number else []
    return "__".join([grid.name, *parts] if grid.name else parts)


def _sbcs(grid: SbcGrid, root: Path, folder: Path) -> Iterator[Task]:
    for reference in grid.plan:
        plan = _plan(reference, root)
        path = root / reference
        for seed in grid.seed or (None,):
            name = _joined(grid.name, "sbc", plan.name, grid.wrong, _nth("seed", seed, grid.seed))
            arguments = {
                "plan": str(path.resolve()) if path.is_file() else reference,
                "replicates": grid.replicates,
                "draws": grid.draws,
                "warmup": grid.warmup,
                "ranks": grid.ranks,
                "seed": seed,
                "wrong": grid.wrong,
                "out": str(folder / "sbc" / name),
            }
            axes = {"plan": plan.name, "model": Path(plan.model).stem, "data": Path(plan.data).stem}
            axes |= {"seed": plan.seed if seed is None else seed}
            yield Task(name, "sbc", axes, _given(arguments))


def _designs(grid: DesignGrid, root: Path, folder: Path) -> Iterator[Task]:
    for protocol, rule, (number, truth) in product(
        grid.protocol, grid.rule, enumerate(grid.true_dlt, start=1)
    ):
        stem = Path(protocol).parent.name if protocol.endswith("protocol.toml") else Path(protocol).stem
        name = _joined(grid.name, "design", stem, rule, _nth("truth", number, grid.true_dlt))
        arguments = {
            "protocol": _path(protocol, root),
            "rule": rule,
            "true_dlt": _commas(truth),
            "target": grid.target,
            "trigger_without_dlt": _commas(grid.trigger_without_dlt),
            "true_response": _commas(grid.true_response) or None,
            "trials": grid.trials,
            "seed": grid.seed,
        }
        yield Task(name, "design", {"plan": stem, "priors": rule, "seed": grid.seed}, _given(arguments))


def _simulations(grid: SimulateGrid, root: Path, folder: Path) -> Iterator[Task]:
    for model, seed in product(grid.model, grid.seed):
        name = _joined(grid.name, "simulate", Path(model).stem, _nth("seed", seed, grid.seed))
        known = grid.source in ("typical", "prior")
        arguments = {
            "model": _path(model, root),
            "source": grid.source if known else str((root / grid.source).resolve()),
            "regimen": None if grid.regimen is None else str((root / grid.regimen).resolve()),
            "study": None if grid.study is None else _path(grid.study, root),
            "weight": grid.weight,
            "patients": grid.patients,
            "times": grid.times,
            "outputs": grid.outputs,
            "products": grid.products,
            "values": [f"{k}={v!r}" for k, v in grid.set.items()] or None,
            "seed": seed,
            "out": str(folder / "simulations" / f"{name}.csv"),
        }
        yield Task(name, "simulate", {"model": Path(model).stem, "seed": seed}, _given(arguments))


def _joined(*parts: str | None) -> str:
    return "__".join(part for part in parts if part)


def _nth(word: str, value: object, of: tuple[Any, ...] | None) -> str | None:
    return f"{word}{value}" if of is not None and len(of) > 1 else None


def _commas(values: tuple[float, ...]) -> str:
    return ",".join(f"{v:g}" for v in values)


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in arguments.items() if v is not None}
