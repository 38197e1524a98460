"""One fit as data: what a fits/*.toml holds, checked before anything runs.

Every key of the TOML is a keyword of `kinetics.fit`; an unknown key is an error with the nearest match.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from kinetics.distributions import Correlation, HalfNormal, LogitNormal, LogNormal, Normal, Prior
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.library import ROOT
from kinetics.residual import DNA_UG, FAMILIES
from kinetics.solve import Solver

Method = Literal["nuts", "map", "laplace", "vi"]

__all__ = [
    "Allometry",
    "Correlated",
    "Covariate",
    "Effects",
    "Expect",
    "FitPlan",
    "Method",
    "Mixture",
    "Observe",
    "PriorSpec",
    "Sampler",
    "ShrinkageSpec",
    "SolverSpec",
    "find_plan",
    "plan_sha256",
    "read_plan",
]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriorSpec(_Spec):
    """A prior in a TOML: `{ median = 2000, sd = 1.3 }` (LogNormal unless `distribution` says otherwise)."""

    distribution: Literal["LogNormal", "LogitNormal", "Normal", "HalfNormal"] = "LogNormal"
    median: float | None = None
    mean: float | None = None
    sd: float | None = Field(None, gt=0)
    scale: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> PriorSpec:
        needs = {"Normal": ("mean", "sd"), "HalfNormal": ("scale",)}.get(self.distribution, ("median", "sd"))
        given = {k for k in ("median", "mean", "sd", "scale") if getattr(self, k) is not None}
        if given != set(needs):
            raise ValueError(f"{self.distribution} takes {' and '.join(needs)}")
        if self.distribution == "LogNormal" and self.median is not None and self.median <= 0:
            raise ValueError("the median of a LogNormal is above 0")
        if self.distribution == "LogitNormal" and self.median is not None and not 0 < self.median < 1:
            raise ValueError("the median of a LogitNormal lies between 0 and 1")
        return self

    def prior(self) -> Prior:
        if self.distribution == "HalfNormal":
            return HalfNormal(self.scale or 1.0)
        if self.distribution == "Normal":
            return Normal(self.mean or 0.0, self.sd or 1.0)
        kind = LogNormal if self.distribution == "LogNormal" else LogitNormal
        return kind(self.median or 1.0, self.sd or 1.0)


def _of_a_deviation(spec: PriorSpec) -> PriorSpec:
    if spec.distribution not in ("LogNormal", "HalfNormal"):
        raise ValueError(
            f"a standard deviation is above 0; a {spec.distribution} is not: LogNormal or HalfNormal"
        )
    return spec


class Observe(_Spec):
    """How one analyte is seen: which model output, which residual error, what happens below the LLOQ."""

    output: str | None = None
    likelihood: str = "lognormal"
    below_lloq: Literal["censor", "drop"] = "censor"
    sigma_scale: float = Field(1.0, gt=0, description="scale of the HalfNormal prior of the residual SD")
    sigma: PriorSpec | None = Field(None, description="prior of the residual SD (log or relative scale)")
    nu: float = Field(4.0, gt=2, description="degrees of freedom of student_t")
    dna_ug: float | None = Field(
        None, gt=0, description=f"DNA in a reaction of lognormal_poisson [ug]; default {DNA_UG}"
    )
    scale: PriorSpec | None = Field(None, description="LogNormal prior of the factor on what the assay reads")
    nucleated_cells: str | None = Field(
        None, description="counts that qPCR of an output in cells/uL is diluted by: `row`, or an analyte"
    )
    vcn: PriorSpec | PositiveFloat | None = Field(None, description="vector copies of a CAR+ cell")

    @field_validator("likelihood")
    @classmethod
    def _known(cls, likelihood: str) -> str:
        if likelihood not in FAMILIES:
            raise ValueError(f"unknown likelihood {likelihood!r}; {did_you_mean(likelihood, FAMILIES)}")
        return likelihood

    @field_validator("sigma")
    @classmethod
    def _positive(cls, sigma: PriorSpec | None) -> PriorSpec | None:
        return None if sigma is None else _of_a_deviation(sigma)

    @field_validator("scale", "vcn")
    @classmethod
    def _factor(cls, factor: PriorSpec | float | None) -> PriorSpec | float | None:
        if isinstance(factor, PriorSpec) and factor.distribution != "LogNormal":
            raise ValueError(f"a factor has a LogNormal prior, not a {factor.distribution}")
        return factor

    @model_validator(mode="after")
    def _used(self) -> Observe:
        if self.sigma is not None and "sigma" not in FAMILIES[self.likelihood]:
            raise ValueError(f"{self.likelihood} error has no relative `sigma`; use `sigma_scale`")
        if self.dna_ug is not None and self.likelihood != "lognormal_poisson":
            raise ValueError(f"{self.likelihood} error counts no molecules: `dna_ug` is lognormal_poisson's")
        if (self.vcn is None) != (self.nucleated_cells is None):
            raise ValueError(
                "`nucleated_cells` and `vcn` go together: copies are VCN x cells / nucleated cells"
            )
        return self


class Correlated(_Spec):
    """Two analytes whose log residuals are correlated where both were recorded at one time (one blood draw).

    `concentration` is that of the correlation's prior (`kinetics.distributions.Correlation`).
    """

    analytes: tuple[str, str]
    concentration: float = Field(1.0, ge=1)

    @field_validator("analytes")
    @classmethod
    def _two(cls, analytes: tuple[str, str]) -> tuple[str, str]:
        if analytes[0] == analytes[1]:
            raise ValueError(f"name two analytes; {analytes[0]!r} is correlated with itself")
        return analytes

    def prior(self) -> Correlation:
        return Correlation(self.concentration)


class Covariate(_Spec):
    """A covariate on a parameter, linear on its link scale: beta (x - centre), or beta log(x/centre)."""

    covariate: str
    form: Literal["linear", "power"] = "linear"
    centre: float | None = Field(None, description="default: the median of the subjects")
    sd: float | None = Field(
        None,
        gt=0,
        description="SD of the Normal(0, sd) prior of beta; default 0.5, or shrunk where that is asked",
    )


class ShrinkageSpec(_Spec):
    """The prior that covariate effects share (`kinetics.shrinkage`); one with an `sd` keeps its own."""

    prior: Literal["horseshoe", "normal"]
    expected: float | None = Field(
        None, gt=0, description="horseshoe: how many effects are believed to matter"
    )
    slab_sd: float = Field(
        0.5,
        gt=0,
        description="the largest effects believable (link scale); of normal, the scale of the common SD",
    )
    parameters: tuple[str, ...] | None = Field(None, min_length=1, description="default: all with covariates")

    @model_validator(mode="after")
    def _complete(self) -> ShrinkageSpec:
        if self.prior == "horseshoe" and self.expected is None:
            raise ValueError("a horseshoe takes `expected`, how many effects are believed to matter")
        if self.prior == "normal" and self.expected is not None:
            raise ValueError("`expected` is the horseshoe's; a normal has one common SD, of scale `slab_sd`")
        return self


class Allometry(_Spec):
    """A fixed power of body weight: theta_i = theta_pop (weight_kg/reference)^exponent."""

    exponent: float
    reference: float = Field(70.0, gt=0)


class Sampler(_Spec):
    """NUTS (Hoffman & Gelman 2014): draws and warm-up per chain.

    The other methods give chains x draws independent draws, and look for their maximum from `starts` places.
    """

    kind: Literal["NUTS"] = "NUTS"
    chains: int = Field(4, ge=1)
    warmup: int = Field(1000, ge=10)
    draws: int = Field(1000, ge=10)
    thin: int = Field(1, ge=1, description="iterations for each draw kept")
    target_accept: float = Field(0.9, gt=0, lt=1)
    max_tree_depth: int = Field(10, ge=1, le=15)
    start: Literal["laplace", "vi", "prior"] = Field(
        "laplace", description="where chains begin and how z is laid out"
    )
    starts: int | None = Field(
        None, ge=1, description="of a search for a maximum; default 1, others where it fails"
    )
    chunk: int = Field(100, ge=1, description="iterations between two reports of progress")

    @field_validator("kind", mode="before")
    @classmethod
    def _of_chains(cls, kind: object) -> object:
        if isinstance(kind, str) and kind.lower() in get_args(Method)[1:]:
            raise ValueError(
                f'the method is a key of the plan, not of its sampler: method = "{kind.lower()}"'
            )
        return kind.upper() if isinstance(kind, str) else kind


class Expect(_Spec):
    """What a correct run must give: the posterior median within a tolerance."""

    median: float
    within: float = Field(gt=0)


class SolverSpec(_Spec):
    """How a model's equations are integrated (`kinetics.solve.Solver`); closed forms ignore it."""

    rtol: float = Field(1e-6, gt=0, lt=0.1, description="error of a step relative to each state")
    atol: float = Field(1e-6, gt=0, description="and absolute, times each state's scale")
    max_steps: int = Field(2000, ge=10, description="of one subject")
    method: Literal["auto", "explicit", "stiff"] = "auto"

    def solver(self) -> Solver:
        return Solver(rtol=self.rtol, atol=self.atol, most=self.max_steps, method=self.method)


class Effects(_Spec):
    """The random effects of the parameters that vary: independent and normal, unless said otherwise here."""

    correlated: tuple[tuple[str, ...], ...] = Field((), description="blocks of parameters, each LKJ")
    concentration: float = Field(2.0, gt=0, description="of the LKJ prior of a block; 1 is uniform")
    tails: dict[str, float] = Field({}, description="Student-t parameters: their degrees of freedom")
    centred: tuple[str, ...] = Field((), description="sampled as each subject's own value")
    non_centred: tuple[str, ...] = Field((), description="as deviations in SDs; the others as their data ask")

    @field_validator("tails")
    @classmethod
    def _heavy(cls, tails: dict[str, float]) -> dict[str, float]:
        if any(nu <= 2 for nu in tails.values()):
            raise ValueError("degrees of freedom are above 2, or the between-subject SD has no meaning")
        return tails


class Mixture(_Spec):
    """Two classes of subjects: in the second, `shifts` (link scale) are added to parameters."""

    shifts: dict[str, PriorSpec] = Field(min_length=1)
    probability: PriorSpec = Field(
        default_factory=lambda: PriorSpec.model_validate(
            {"distribution": "LogitNormal", "median": 0.2, "sd": 1.0}
        ),
        description="of the second class",
    )

    @model_validator(mode="after")
    def _scales(self) -> Mixture:
        if any(spec.distribution != "Normal" for spec in self.shifts.values()):
            raise ValueError("a shift may be of either sign: give it a Normal (mean, sd)")
        if self.probability.distribution != "LogitNormal":
            raise ValueError("a probability lies between 0 and 1: give it a LogitNormal (median, sd)")
        return self


class FitPlan(_Spec):
    """One fit. `model` and `data` are library names or paths; see the fields for the rest."""

    model: str
    data: str
    seed: int = 0
    method: Method = Field("nuts", description="how the posterior or the maximum is found")
    prior_set: str | None = None
    products: tuple[str, ...] | None = Field(None, min_length=1, description="default: every product")
    vary: tuple[str, ...] | None = Field(None, description="default: every parameter with a published SD")
    mixture: Mixture | None = Field(None, description="default: one class of subjects")
    effects: Effects = Field(default_factory=lambda: Effects.model_validate({}))
    fixed: dict[str, float] = {}
    observe: dict[str, Observe] = Field(min_length=1)
    correlated: Correlated | None = Field(None, description="default: every record's error is its own")
    covariates: dict[str, tuple[Covariate, ...]] = {}
    shrinkage: ShrinkageSpec | None = Field(None, description="default: every effect has its own prior")
    allometry: dict[str, Allometry] = {}
    priors: dict[str, PriorSpec] = {}
    omega: dict[str, PriorSpec] = {}
    gamma: dict[str, PriorSpec] = Field({}, description="who varies between cycles, and the prior of its SD")
    sampler: Sampler = Field(default_factory=lambda: Sampler.model_validate({}))
    solver: SolverSpec = Field(default_factory=lambda: SolverSpec.model_validate({}))
    expect: dict[str, Expect] = {}
    name: str = ""

    @field_validator("method", mode="before")
    @classmethod
    def _lower(cls, method: object) -> object:
        return method.lower() if isinstance(method, str) else method

    @field_validator("omega", "gamma")
    @classmethod
    def _positive(cls, sds: dict[str, PriorSpec]) -> dict[str, PriorSpec]:
        return {name: _of_a_deviation(spec) for name, spec in sds.items()}

    @field_validator("name")
    @classmethod
    def _folder(cls, name: str) -> str:
        if set(name) & {"/", "\\"} or name in (".", ".."):
            raise ValueError("a name is that of one folder in --out: no slash, not `..`")
        return name

    def resolved(self) -> dict[str, Any]:
        """The plan as plain values without those that say nothing (None, empty tables, the method if NUTS)."""
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
    bare = "/" not in text and not text.endswith(".toml")
    path = ROOT / "fits" / f"{text}.toml" if bare else Path(text)
    if not path.is_file() and text.startswith(
        "fits/"
    ):  # the README's `fits/NAME.toml`, outside a checkout too
        path = ROOT / text
    if not path.is_file():
        known = sorted(p.stem for p in (ROOT / "fits").glob("*.toml"))
        remedy = did_you_mean(Path(text).stem, known) if known else "check the path"
        raise PlanError(Problem(f"no fit {text!r}", remedy, file=text))
    return path


def read_plan(source: str | Path) -> FitPlan:
    """Read a fits/*.toml; model and data paths in it are relative to the study root (the parent of fits/)."""
    path = find_plan(source)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(Problem(f"not TOML: {error}", "mend the line named", file=str(path))) from error
    content.setdefault("name", path.stem)
    for key in ("model", "data"):
        if isinstance(content.get(key), str):
            content[key] = _from_root(content[key], path.resolve().parent.parent)
    return plan_of(content, file=str(path))


def _from_root(reference: str, root: Path) -> str:
    bare = "/" not in reference and not Path(reference).suffix
    return reference if bare or Path(reference).is_absolute() else str(root / reference)


def plan_of(content: Mapping[str, Any], *, file: str = "") -> FitPlan:
    """A checked FitPlan from plain values; PlanError lists every problem."""
    try:
        return FitPlan.model_validate(dict(content))
    except ValidationError as error:
        raise PlanError([_problem(e, file) for e in error.errors()]) from error


def _problem(error: Any, file: str) -> Problem:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        remedy = did_you_mean(key, _known_keys(error["loc"][:-1]))
        return Problem(f"unknown key {where!r}", remedy, file=file)
    if error["type"] == "missing":
        return Problem(f"missing key {where!r}", f"add `{where} = ...`", file=file)
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error["input"], dict) else repr(error["input"])
    return Problem(f"{where}: {message}" + (f" (given {given})" if given else ""), "mend this key", file=file)


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    """The keys of the table at `loc`: of the spec that the keys on the way to it are declared to hold."""
    spec, parts = FitPlan, iter(loc)
    for part in parts:
        field = spec.model_fields.get(str(part))
        spec = (_spec_in(field.annotation) if field is not None else None) or spec
        if field is not None and get_origin(field.annotation) is dict:
            next(parts, None)  # a name: of an analyte, a parameter
    return list(spec.model_fields)


def _spec_in(annotation: Any) -> type[_Spec] | None:
    """The spec inside an annotation such as `dict[str, tuple[Covariate, ...]]`."""
    if isinstance(annotation, type) and issubclass(annotation, _Spec):
        return annotation
    return next(filter(None, map(_spec_in, get_args(annotation))), None)
