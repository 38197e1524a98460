"""One fit as data: what a fits/*.toml holds, checked before anything runs.

Every key of the TOML is a keyword of `kinetics.fit`; an unknown key is an error with the nearest match.
`FitPlan` holds the checked values, `FitKeys` the types that `kinetics.fit` accepts for them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict

from pydantic import Field, ValidationError, field_validator

from kinetics.arguments import require
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.files import not_a_name
from kinetics.library import find, is_bare, names
from kinetics.plan.outcome_tables import Graded, TimeToEvent
from kinetics.plan.tables import (
    Allometry,
    Correlated,
    Covariate,
    Effects,
    Expect,
    HoldOut,
    Method,
    Mixture,
    Observe,
    PriorSpec,
    Sampler,
    ShrinkageSpec,
    SolverSpec,
    of_a_deviation,
)
from kinetics.streams import LARGEST_SEED
from kinetics.toml import Spec, problems_of, read_toml

__all__ = ["FitKeys", "FitPlan", "Method", "find_plan", "plan_of", "plan_sha256", "read_plan"]


class FitPlan(Spec):
    """One fit. `model` and `data` are library names or paths; the fields describe the rest.

    PlanError lists every problem of the keywords.

    >>> observe = {"theophylline": {"likelihood": "additive"}}
    >>> plan = kn.FitPlan(model="one_compartment_oral", data="theophylline", observe=observe, method="map")
    >>> plan.resolved()["observe"]["theophylline"]
    {'likelihood': 'additive', 'below_lloq': 'censor', 'sigma_scale': 1.0, 'nu': 4.0}
    """

    model: str = Field(description="the model: a name in the library, or the path of a model file")
    data: str = Field(description="the study: a name in the library, or the path of its folder or file")
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="seed of every random number of the fit")
    method: Method = Field(
        default="nuts", description="how the posterior or its maximum is computed; case does not matter"
    )
    prior_set: str | None = Field(
        default=None,
        description="name of one of the model's alternative sets of priors; default: its own priors",
    )
    options: dict[str, bool | str | tuple[str, ...]] = Field(
        default={}, description="arguments of the model file's own `build`; default: none"
    )
    hold_out: HoldOut | None = Field(
        default=None,
        description="subjects kept out of the fit, for `kinetics predict`; default: every subject is fitted",
    )
    products: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="the products whose doses count; default: every product"
    )
    vary: tuple[str, ...] | None = Field(
        default=None,
        description="parameters that vary between subjects; default: every parameter with a published SD "
        "that the model does not hold",
    )
    mixture: Mixture | None = Field(
        default=None, description="two classes of subjects; default: one class of subjects"
    )
    effects: Effects = Field(
        default_factory=Effects,
        description="how random effects are distributed and sampled; default: independent and normal",
    )
    fixed: dict[str, float] = Field(
        default={},
        description="parameters held at a value, in the parameter's unit; default: none but the model's own",
    )
    observe: dict[str, Observe] = Field(
        min_length=1, description="the analytes that the fit uses, each with how it is observed"
    )
    correlated: Correlated | None = Field(
        default=None,
        description="two analytes with correlated residuals; default: every record's error is independent",
    )
    time_to_event: dict[str, TimeToEvent] = Field(
        default={},
        description="times to an event whose hazard follows an output, each with a name; default: none",
    )
    graded: dict[str, Graded] = Field(
        default={}, description="grades over time that follow an output, each with a name; default: none"
    )
    covariates: dict[str, tuple[Covariate, ...]] = Field(
        default={}, description="parameters with covariates, each with a list of them; default: none"
    )
    shrinkage: ShrinkageSpec | None = Field(
        default=None,
        description="the prior that covariate effects share; default: every effect has its own prior",
    )
    allometry: dict[str, Allometry] = Field(
        default={},
        description="parameters in proportion to a power of body weight or another covariate; default: none",
    )
    priors: dict[str, PriorSpec] = Field(
        default={},
        description="priors of population values, in place of the model's; in the parameter's unit",
    )
    omega: dict[str, PriorSpec] = Field(
        default={}, description="priors of between-subject SDs (link scale), in place of the model's"
    )
    gamma: dict[str, PriorSpec] = Field(
        default={},
        description="parameters that vary between cycles, each with the prior of that SD (link scale)",
    )
    sampler: Sampler = Field(
        default_factory=Sampler,
        description="chains, warm-up, draws and where they begin; default: 4 chains of 1000 draws",
    )
    solver: SolverSpec = Field(
        default_factory=SolverSpec,
        description="how the model's equations are integrated; closed forms ignore it",
    )
    expect: dict[str, Expect] = Field(
        default={}, description="posterior medians that a correct run must give; default: none is checked"
    )
    name: str = Field(
        default="", description="name of the fit and of its run folder; default: the TOML's, or model__study"
    )

    @field_validator("method", mode="before")
    @classmethod
    def _lower(cls, method: object) -> object:
        return method.lower() if isinstance(method, str) else method

    @field_validator("omega", "gamma")
    @classmethod
    def _positive(cls, sds: dict[str, PriorSpec]) -> dict[str, PriorSpec]:
        return {name: of_a_deviation(spec) for name, spec in sds.items()}

    @field_validator("name")
    @classmethod
    def _folder(cls, name: str) -> str:
        fault = not_a_name(name) if name else ""
        if fault:
            raise ValueError(f"a name is that of one folder in --out, and {fault}")
        return name

    @field_validator("vary", "products")
    @classmethod
    def _each_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if (names or ()).count(name) > 1:
                raise ValueError(f"{name!r} is there twice; name it once")
        return names

    def resolved(self) -> dict[str, Any]:
        """Return the plan as plain values, without those that say nothing.

        Left out are None, empty tables, and the method if it is NUTS.
        """
        values = _prune(self.model_dump(mode="json"))
        return {k: v for k, v in values.items() if (k, v) != ("method", "nuts")}


Names = list[str] | tuple[str, ...]  # not any sequence: a str is one too
Table = Mapping[str, object]  # a table of the TOML as plain values; its keys are checked when the fit begins


class FitKeys(TypedDict, total=False):
    """The keywords of `kinetics.fit`: every key of `FitPlan` but `model`, with the types that it accepts.

    Editors complete them and type checkers refuse a misspelt one. A table is written as a mapping, or as its
    class (`Observe`, `Sampler` ...). The fields of `FitPlan` say what each key means, its unit and its
    default.

    >>> keys: kn.plan.FitKeys = {"observe": {"theophylline": {"likelihood": "additive"}}, "method": "map"}
    >>> kn.FitPlan(model="one_compartment_oral", data="theophylline", **keys).method
    'map'
    """

    data: str
    seed: int
    method: Method
    prior_set: str | None
    options: Mapping[str, bool | str | Names]
    hold_out: HoldOut | Table | None
    products: Names | None
    vary: Names | None
    mixture: Mixture | Table | None
    effects: Effects | Table
    fixed: Mapping[str, float]
    observe: Mapping[str, Observe | Table]
    correlated: Correlated | Table | None
    time_to_event: Mapping[str, TimeToEvent | Table]
    graded: Mapping[str, Graded | Table]
    covariates: Mapping[str, Sequence[Covariate | Table]]
    shrinkage: ShrinkageSpec | Table | None
    allometry: Mapping[str, Allometry | Table]
    priors: Mapping[str, PriorSpec | Table]
    omega: Mapping[str, PriorSpec | Table]
    gamma: Mapping[str, PriorSpec | Table]
    sampler: Sampler | Table
    solver: SolverSpec | Table
    expect: Mapping[str, Expect | Table]
    name: str


def plan_sha256(plan: FitPlan) -> str:
    """SHA-256 of everything that a plan says."""
    return hashlib.sha256(json.dumps(plan.resolved(), sort_keys=True).encode()).hexdigest()


def _prune(value: Any) -> Any:
    """Drop None and empty tables from plain values, at every depth."""
    if isinstance(value, dict):
        return {k: _prune(v) for k, v in value.items() if v is not None and v != {}}
    return [_prune(v) for v in value] if isinstance(value, list) else value


def _no_plan(text: str, path: Path) -> Problem:
    """The Problem of a plan that is not there: of the library by its name, of the user's by its path."""
    if is_bare(text):
        return Problem(f"no fit {text!r}", did_you_mean(text, names("fits")))
    beside = [file.name for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    remedy = did_you_mean(path.name, beside) if beside else "check the path"
    library_name = get_close_matches(path.stem, names("fits"), n=1, cutoff=0.6)
    if library_name:
        remedy = f"did you mean 'fits/{library_name[0]}.toml' of the library?"
    return Problem("no such file", remedy, file=text)


def find_plan(source: str | Path) -> Path:
    """Return the path of a fit's TOML; PlanError if there is none.

    A bare name is looked up in the library; a path is the user's own file.
    """
    require(source=(source, str | Path))
    text = str(source)
    path = find("fits", text).path
    if not os.path.lexists(path):
        raise PlanError(_no_plan(text, path))
    return path


def read_plan(source: str | Path) -> FitPlan:
    """Read a fits/*.toml; model and data paths in it are relative to the study root (the parent of fits/).

    PlanError lists everything wrong with it.

    >>> plan = kn.read_plan("ogasawara_2021__synthetic_cart_12")
    >>> plan.model, plan.seed, list(plan.observe), plan.sampler.target_accept
    ('ogasawara_2021', 20250101, ['car_copies', 'car_cells'], 0.99)
    """
    path = find_plan(source)
    content = read_toml(path, PlanError)
    content.setdefault("name", path.stem)
    for key in ("model", "data"):
        if isinstance(content.get(key), str):
            content[key] = _from_root(content[key], path.resolve().parent.parent)
    return plan_of(content, file=str(path))


def _from_root(reference: str, root: Path) -> str:
    """Return a bare name or an absolute path as it is, and any other path as one below `root`."""
    if is_bare(reference) or Path(reference).is_absolute():
        return reference
    return str(root / reference)


def plan_of(content: Mapping[str, Any], *, file: str = "") -> FitPlan:
    """Return a checked FitPlan from plain values; PlanError lists every problem.

    `file` is the name that the problems show.
    """
    try:
        return FitPlan.model_validate(dict(content))
    except ValidationError as error:
        raise PlanError(problems_of(error, file, FitPlan)) from error
