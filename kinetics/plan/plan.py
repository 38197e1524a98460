"""One fit as data: what a fits/*.toml holds, checked before anything runs.

Every key of the TOML is a keyword of `kinetics.fit`; an unknown key is an error with the nearest match.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.library import find, is_bare, names
from kinetics.plan.tables import (
    Allometry,
    Correlated,
    Covariate,
    Effects,
    Expect,
    Method,
    Mixture,
    Observe,
    PriorSpec,
    Sampler,
    ShrinkageSpec,
    SolverSpec,
    of_a_deviation,
)
from kinetics.toml import Spec, problem_of, read_toml

__all__ = ["FitPlan", "Method", "find_plan", "plan_of", "plan_sha256", "read_plan"]


class FitPlan(Spec):
    """One fit. `model` and `data` are library names or paths; see the fields for the rest.

    >>> observe = {"theophylline": {"likelihood": "additive"}}
    >>> plan = kn.FitPlan(model="one_compartment_oral", data="theophylline", observe=observe, method="map")
    >>> plan.resolved()["observe"]["theophylline"]
    {'likelihood': 'additive', 'below_lloq': 'censor', 'sigma_scale': 1.0, 'nu': 4.0}
    """

    model: str
    data: str
    seed: int = 0
    method: Method = Field("nuts", description="how the posterior or the maximum is found")
    prior_set: str | None = None
    options: dict[str, bool | str | tuple[str, ...]] = Field(
        {}, description="of the model file's own `build`"
    )
    products: tuple[str, ...] | None = Field(None, min_length=1, description="default: every product")
    vary: tuple[str, ...] | None = Field(None, description="default: every parameter with a published SD")
    mixture: Mixture | None = Field(None, description="default: one class of subjects")
    effects: Effects = Field(default_factory=lambda: Effects.model_validate({}))
    fixed: dict[str, float] = Field({})
    observe: dict[str, Observe] = Field(min_length=1)
    correlated: Correlated | None = Field(None, description="default: every record's error is its own")
    covariates: dict[str, tuple[Covariate, ...]] = Field({})
    shrinkage: ShrinkageSpec | None = Field(None, description="default: every effect has its own prior")
    allometry: dict[str, Allometry] = Field({})
    priors: dict[str, PriorSpec] = Field({})
    omega: dict[str, PriorSpec] = Field({})
    gamma: dict[str, PriorSpec] = Field({}, description="who varies between cycles, and the prior of its SD")
    sampler: Sampler = Field(default_factory=lambda: Sampler.model_validate({}))
    solver: SolverSpec = Field(default_factory=lambda: SolverSpec.model_validate({}))
    expect: dict[str, Expect] = Field({})
    name: str = ""

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
        if set(name) & {"/", "\\"} or name in (".", ".."):
            raise ValueError("a name is that of one folder in --out: no slash, not `..`")
        return name

    def resolved(self) -> dict[str, Any]:
        """The plan as plain values without those that say nothing (None, empty tables, the method if
        NUTS).
        """
        said = _prune(self.model_dump(mode="json"))
        return {k: v for k, v in said.items() if (k, v) != ("method", "nuts")}


def plan_sha256(plan: FitPlan) -> str:
    """SHA-256 of everything a plan says."""
    return hashlib.sha256(json.dumps(plan.resolved(), sort_keys=True).encode()).hexdigest()


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _prune(v) for k, v in value.items() if v is not None and v != {}}
    return [_prune(v) for v in value] if isinstance(value, list) else value


def find_plan(source: str | Path) -> Path:
    """The TOML of a fit: a bare name is the library's, a path is yours. PlanError if there is none."""
    text = str(source)
    path = find("fits", text).path
    if not path.is_file():
        library_fits = names("fits")
        remedy = did_you_mean(Path(text).stem, library_fits) if library_fits else "check the path"
        raise PlanError(Problem(f"no fit {text!r}", remedy, file=text))
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
    if is_bare(reference) or Path(reference).is_absolute():
        return reference
    return str(root / reference)


def plan_of(content: Mapping[str, Any], *, file: str = "") -> FitPlan:
    """A checked FitPlan from plain values; PlanError lists every problem."""
    try:
        return FitPlan.model_validate(dict(content))
    except ValidationError as error:
        raise PlanError([problem_of(e, file, FitPlan) for e in error.errors()]) from error
