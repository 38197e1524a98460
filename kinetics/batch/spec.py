"""The PLAN.toml of a batch, checked before anything is written.

Every path in it is relative to the folder of the PLAN; a bare name is the library's, as everywhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from kinetics.errors import PlanError, Problem
from kinetics.files import not_a_name
from kinetics.plan import Method, PriorSpec
from kinetics.streams import LARGEST_SEED
from kinetics.toml import Spec, problems_of, read_toml

__all__ = [
    "BatchPlan",
    "Bootstrap",
    "DesignGrid",
    "FitGrid",
    "LocalSpec",
    "SbcGrid",
    "SimulateGrid",
    "SlurmSpec",
    "minutes_of",
    "read_batch",
]

T = TypeVar("T")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


# one value, or a list of them: an axis of the grid
Many = Annotated[tuple[T, ...], BeforeValidator(_as_tuple), Field(min_length=1)]

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Bootstrap(Spec):
    """Resamples of the study by subject, fitted beside the study itself."""

    resamples: int = Field(ge=1, le=100_000)
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    within: str | None = Field(None, description="a column of subjects.csv whose levels keep their numbers")


class FitGrid(Spec):
    """Fits: every combination of the keys that are lists. A key that is not here is the plan's."""

    plan: Many[str]
    model: Many[str] | None = None
    data: Many[str] | None = None
    prior_set: Many[str] | None = None
    priors: dict[str, dict[str, PriorSpec]] = Field(
        {}, description="named alternatives to the plan's [priors]"
    )
    method: Many[Method] | None = None
    seed: Many[Seed] | None = None
    bootstrap: Bootstrap | None = None
    sampler: dict[str, Any] = Field({}, description="of every fit, over the plan's")
    name: str = Field("", description="put before the name of each task")


class SbcGrid(Spec):
    """`kinetics sbc` of each plan and seed."""

    plan: Many[str]
    replicates: int = Field(200, ge=1, le=100_000)
    draws: int = Field(500, ge=10, le=1_000_000)
    warmup: int = Field(150, ge=10, le=1_000_000)
    ranks: int = Field(100, ge=1, le=1_000_000)
    seed: Many[Seed] | None = None
    wrong: Literal["drop_blq"] | None = None
    name: str = ""


class DesignGrid(Spec):
    """`kinetics design` of a protocol: a task each rule and truth.

    A rule that looks at responses (boin12) is simulated with `true_response`, `trials` and `seed`, as by
    `kinetics design trials`. Every other rule is enumerated.
    """

    protocol: Many[str]
    true_dlt: tuple[tuple[Probability, ...], ...] = Field(min_length=1)
    rule: Many[str] = ("protocol",)
    trigger_without_dlt: Many[Probability] = (0.0,)
    target: float | None = Field(None, gt=0, lt=1)
    true_response: tuple[Probability, ...] = ()
    trials: int = Field(10_000, ge=1, le=10_000_000)
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    name: str = ""


class SimulateGrid(Spec):
    """`kinetics simulate` of each model and seed. `from` is typical, prior, or a run folder."""

    model: Many[str]
    source: str = Field("typical", alias="from")
    regimen: str | None = None
    study: str | None = None
    weight: float | None = Field(None, gt=0)
    patients: int | None = Field(None, ge=1, le=100_000_000)
    times: str = "0:90:1"
    outputs: str | None = None
    products: str | None = None
    set: dict[str, float] = Field({})
    seed: Many[Seed] = (0,)
    name: str = ""


class LocalSpec(Spec):
    """Workers on this machine: by default as many as its cores hold with `threads` cores each."""

    workers: int | None = Field(None, ge=1)
    threads: int = Field(1, ge=1, description="cores of each worker")


class SlurmSpec(Spec):
    """Workers on Slurm: an array of `workers` elements, each of which takes tasks until none is left."""

    workers: int = Field(
        10, ge=1, le=1000, description="the size of the job array; Slurm's usual limit is 1000"
    )
    partition: str | None = None
    time: str = Field(
        "01:00:00", description="time of a worker, days-hours:minutes:seconds; it is requeued when over"
    )
    memory: str = Field(
        "4G", pattern=r"^\d+[KMGT]?$", description="memory of a worker, as '4G'; a number alone is megabytes"
    )
    cpus: int = Field(1, ge=1)
    gpus: int = Field(0, ge=0)
    requeue: bool = True
    warning: int = Field(120, ge=5, description="seconds before the time limit at which a worker stops")
    account: str | None = None
    setup: tuple[str, ...] = Field(
        (), description="lines of the job script before the worker, as `module load ...`"
    )
    options: dict[str, str | int | bool] = Field(
        {}, description="other options of sbatch, without their dashes"
    )

    @field_validator("time")
    @classmethod
    def _time(cls, text: str) -> str:
        minutes_of(text)
        return text


class BatchPlan(Spec):
    """A batch: its tasks, how often a failed one is tried again, and where workers run."""

    name: str = ""
    out: str = Field("runs", description="the batch folder is OUT/NAME.batch")
    retries: int = Field(2, ge=0, le=1000, description="a task is tried once and this often again")
    compile_cache: str | None = Field(None, description="default: the user's, which `kinetics fit` has too")
    fit: tuple[FitGrid, ...] = ()
    sbc: tuple[SbcGrid, ...] = ()
    design: tuple[DesignGrid, ...] = ()
    simulate: tuple[SimulateGrid, ...] = ()
    local: LocalSpec = Field(default_factory=lambda: LocalSpec.model_validate({}))
    slurm: SlurmSpec = Field(default_factory=lambda: SlurmSpec.model_validate({}))

    @field_validator("name")
    @classmethod
    def _folder(cls, name: str) -> str:
        fault = not_a_name(name) if name else ""
        if fault:
            raise ValueError(f"a name is that of one folder in `out`, and {fault}")
        return name

    @model_validator(mode="after")
    def _something(self) -> BatchPlan:
        if not (self.fit or self.sbc or self.design or self.simulate):
            raise ValueError("no tasks; add a [[fit]], [[sbc]], [[design]] or [[simulate]] table")
        return self


def read_batch(source: str | Path) -> tuple[BatchPlan, Path]:
    """Read a PLAN.toml, and return the batch and its folder, OUT/NAME.batch beside the file.

    PlanError lists every problem.
    """
    path = Path(source)
    if not os.path.lexists(path):
        raise PlanError(
            Problem("no such file", "name a PLAN.toml; docs/how_to/batch.md shows one", file=str(source))
        )
    content = {"name": path.stem, **read_toml(path, PlanError)}
    try:
        plan = BatchPlan.model_validate(content)
    except ValidationError as error:
        raise PlanError(problems_of(error, str(path), BatchPlan)) from error
    return plan, (path.resolve().parent / plan.out / f"{plan.name}.batch").resolve()


def minutes_of(text: str) -> int:
    """The minutes of a time as Slurm writes it: `90`, `30:00`, `2:00:00`, `1-12`, `1-12:30:00`.

    Rounded up, at least 1. ValueError for anything else.
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    words = [days, *parts] if dash else parts
    if not all(word.isdigit() for word in words) or len(parts) > 3:
        raise ValueError(f"{text!r} is no time; write hours:minutes:seconds, or days-hours:minutes:seconds")
    numbers = [int(part) for part in parts]
    if not dash and len(numbers) < 3:  # minutes or minutes:seconds
        numbers = [0, *numbers]
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return max(1, int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0))
