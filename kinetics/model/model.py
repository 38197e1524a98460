"""A model: states, parameters with unit, prior and source, how doses enter, what an assay would see.

A model file is read top to bottom: docstring, STATES, PARAMETERS, the equations, OUTPUTS, MODEL.
`load_model("stein_2019")` is the library's; `load_model("models/mine.py")` is yours.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from kinetics.arguments import require
from kinetics.content import run_source
from kinetics.errors import ModelError, Problem, did_you_mean
from kinetics.library import names
from kinetics.model.priors import HalfNormal, Link, LogNormal, Prior, describe
from kinetics.model.time_unit import TIME_UNITS, day_equations, other_time_unit
from kinetics.model.trust import ModelFile, model_file, run_here
from kinetics.regimen import Doses
from kinetics.units import UnitError, dimension

__all__ = [
    "Balance",
    "Derived",
    "Model",
    "Output",
    "Parameter",
    "State",
    "allowed",
    "library_models",
    "load_file",
    "load_model",
]


DOSE_UNITS = ("cells", "mg", "count")  # what a study's doses are converted to


@dataclass(frozen=True)
class State:
    """One state: what it counts, in which unit and where in the body.

    `scale` is the size below which its value no longer matters, in the state's unit: an ODE solver's absolute
    tolerance is its `atol` times this. Keep it far below what an assay can see.

    >>> kn.State("CAR-T", unit="cells", site="blood", scale=1.0).site
    'blood'
    """

    label: str
    unit: str
    site: str
    scale: float = 1.0


@dataclass(frozen=True)
class Parameter:
    """One parameter: typical value, unit, prior of the population value, between-subject SD, source.

    `sd` is the standard deviation of the random effect on the scale of the prior's link (log for a
    LogNormal); None means that subjects do not differ unless a plan says so. `sd_prior` defaults to
    LogNormal(sd, 0.5): centred on the published SD and kept off zero. `guess` marks a design guess. A
    parameter that is `held` keeps its value unless a plan names it under `priors` or `vary`, because the
    model's data seldom tell it.

    >>> kn.Parameter(0.2, "1/day", kn.LogNormal(0.2, 0.5), sd=0.3, source="a guess", guess=True).omega_prior
    LogNormal(median=0.3, sd=0.5, link='log')
    """

    value: float
    unit: str
    prior: Prior
    sd: float | None = None
    source: str = ""
    guess: bool = False
    sd_prior: Prior | None = None
    held: bool = False

    @property
    def omega_prior(self) -> Prior:
        """The prior of the between-subject SD; HalfNormal(0.5) where none was published."""
        if self.sd_prior is not None:
            return self.sd_prior
        return LogNormal(self.sd, 0.5) if self.sd else HalfNormal(0.5)


@dataclass(frozen=True)
class Output:
    """What an assay would see: `value(y, p)`, a function of the states and parameters, in `unit`.

    `label` is its title on a figure.

    >>> kn.Output(lambda y, p: 2.0 * y["blood"], "copies/ug DNA", "CAR transgene").value({"blood": 10.0}, {})
    20.0
    """

    value: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
    unit: str
    label: str


@dataclass(frozen=True)
class Derived:
    """A quantity computed from one subject's parameters: `value(p)`, in `unit` (a doubling time, say).

    `label` is its title in a table.

    >>> kn.Derived(lambda p: 1 / p["rate"], "day", "mean life").value({"rate": 0.5})
    2.0
    """

    value: Callable[[Mapping[str, Any]], Any]
    unit: str
    label: str


@dataclass(frozen=True)
class Balance:
    """A law the model claims: with the parameters in `without` at 0, nothing is made or lost.

    Then `total(y, p)` (in the unit of the doses) changes only by what is dosed. Tests check this.

    >>> balance = kn.Balance(lambda y, p: y["blood"] + y["liver"], without=("growth",))
    >>> balance.total({"blood": 3.0, "liver": 4.0}, {})
    7.0
    """

    total: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A frozen model of one subject, in closed form or as differential equations; p is a mapping of scalars.

    Closed form: `solution(t, p, doses)` gives {state: (record,)} at times t (record,) [day]; doses is one
    subject's `Doses`.

    Equations: `vector_field(t, y, p)` gives {state: change per day} from t [day] and scalars y. `initial(p)`
    gives the states at day 0, before any dose (0 where not named). `dosing` says how a unit of dose enters
    the states: {route: lambda p: {state: state units per cell or mg}}. Its keys are a route ("iv") or a
    product's route ("car_nk/hepatic_artery"), which takes precedence. `lag` gives, by the same keys, the days
    by which a dose is late. `typical_dose` [dose_unit] is a dose that the equations were written for. `stiff`
    chooses an implicit method. `linear` claims that doses superpose; `balance` claims that mass is kept.
    `dose_units` gives the unit of products that are not dosed in `dose_unit` ({"tocilizumab": "mg",
    "lymphodepletion": "count"}). `sites` maps a product and a site to the output, in cells, that is the
    product's cells there: {"car_nk": {"blood": "nk_blood", "liver": "nk_liver"}}.

    `time_unit` is the unit of time in which the equations are written: "day", or "h" for a model with rates
    per hour. Its parameters and derived quantities keep that unit, and so do a fit's estimates of them. The
    equations, the solution and the lags are converted to days here, because studies, doses and curves are in
    days. `written_in` says which unit it was.

    >>> model = kn.load_model("ogasawara_2021").with_prior_set("solid_tumour")
    >>> list(model.outputs), model.unit_of("car_t"), round(model.typical()["half_life_contraction"], 1)
    (['copies', 'cells'], 'cells', 5.0)
    >>> model.as_dict()["parameters"]["cmax"]["unit"]
    'copies/ug DNA'
    """

    states: Mapping[str, State]
    parameters: Mapping[str, Parameter]
    outputs: Mapping[str, Output]
    solution: Callable[..., Mapping[str, Any]] | None = None
    derived: Mapping[str, Derived] = field(default_factory=dict)
    prior_sets: Mapping[str, Mapping[str, Parameter]] = field(default_factory=dict)
    dose_unit: str = "cells"
    dose_units: Mapping[str, str] = field(default_factory=dict)
    typical_dose: float | None = None
    vector_field: Callable[..., Mapping[str, Any]] | None = None
    initial: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    dosing: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = field(default_factory=dict)
    lag: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    sites: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stiff: bool = False
    linear: bool = False
    balance: Balance | None = None
    name: str = ""
    doc: str = ""
    path: str = ""
    sha256: str = ""
    file_sha256: str = ""
    joined: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    written_in: str = "day"
    time_unit: InitVar[str] = "day"  # `replace` hands on "day", so that nothing is converted twice

    def __post_init__(self, time_unit: str) -> None:
        if time_unit == "day":
            return
        object.__setattr__(self, "written_in", time_unit)
        if time_unit not in TIME_UNITS:  # `_problems` names it
            return
        equations = day_equations(time_unit, self.solution, self.vector_field, self.lag)
        object.__setattr__(self, "solution", equations.solution)
        object.__setattr__(self, "vector_field", equations.vector_field)
        object.__setattr__(self, "lag", equations.lag)

    def with_prior_set(self, name: str | None) -> Model:
        """The model with the parameters of a named prior set replaced; ModelError for an unknown name."""
        if name is None:
            return self
        if name not in self.prior_sets:
            what = f"model {self.name} has no prior set {name!r}"
            remedy = did_you_mean(name, self.prior_sets) if self.prior_sets else "it has none"
            raise ModelError(Problem(what, remedy, file=self.path))
        return replace(self, parameters={**self.parameters, **self.prior_sets[name]})

    def unit_of(self, product: str) -> str:
        """The unit in which doses of a product enter."""
        return self.dose_units.get(product, self.dose_unit)

    def typical(self) -> dict[str, float]:
        """The typical value of every parameter."""
        return {name: p.value for name, p in self.parameters.items()}

    def as_dict(self) -> dict[str, Any]:
        """The model's card as plain values, for `--json`."""
        return {
            "name": self.name,
            "doc": self.doc,
            "dose_unit": self.dose_unit,
            "time_unit": self.written_in,
            "sha256": self.sha256,
            "states": {k: vars(s) for k, s in self.states.items()},
            "outputs": {k: {"label": o.label, "unit": o.unit} for k, o in self.outputs.items()},
            "derived": {k: {"label": d.label, "unit": d.unit} for k, d in self.derived.items()},
            "parameters": {k: _card_row(p) for k, p in self.parameters.items()},
            "prior_sets": {
                label: {k: _card_row(p) for k, p in parameters.items()}
                for label, parameters in self.prior_sets.items()
            },
        }

    def __str__(self) -> str:
        lines = [self.name, "", self.doc.strip(), ""]
        if self.written_in != "day":
            lines += [f"Time: the equations are written per {self.written_in}, and solved in days.", ""]
        lines += ["Outputs"]
        lines += [f"  {k:<20} {o.label} [{o.unit}]" for k, o in self.outputs.items()]
        lines += ["Parameters"]
        for k, p in self.parameters.items():
            row = _card_row(p)
            guess = "  GUESS" if p.guess else ""
            lines.append(
                f"  {k:<20} {p.value:g} {p.unit}; prior {row['prior']}; sd {row['sd']}; {p.source}{guess}"
            )
        return "\n".join(lines)


def _card_row(p: Parameter) -> dict[str, Any]:
    """One parameter as a model's card shows it."""
    return {
        "value": p.value,
        "unit": p.unit,
        "prior": describe(p.prior),
        "sd": p.sd,
        "source": p.source,
        "guess": p.guess,
    }


def library_models() -> list[str]:
    """The names of the library's models.

    >>> "stein_2019" in kn.model.library_models()
    True
    """
    return names("models")


def load_model(reference: str | Path, **options: Any) -> Model:
    """Load a model: a bare name from the library, or a path (with a slash or suffix) to your file.

    `reference` is the name or the path. The same file content gives the same object, so compiled code is
    reused. `options` go to the file's own `build`, where it has one (`load_model("tumour_growth_inhibition",
    form="claret")`). ModelError names every fault: no MODEL, an unknown unit or option, a missing source, a
    value outside its prior's support, a misspelt state or parameter in the equations or outputs.

    >>> list(kn.load_model("tumour_growth_inhibition", form="claret").states)
    ['TS']
    """
    require(reference=(reference, str | Path))
    return load_file(model_file(reference), options)


def load_file(file: ModelFile, options: Mapping[str, Any]) -> Model:
    """The model of a file that was read, with the `options` of its own `build`; errors as of `load_model`."""
    hashable = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    run_here.add(file.sha256)
    return _load(file.path, file.source, tuple(sorted(hashable.items())))


@lru_cache(maxsize=256)
def _load(path: Path, source: bytes, options: tuple[tuple[str, Any], ...]) -> Model:
    """The checked model of a file's content and options."""
    file_sha = hashlib.sha256(source).hexdigest()
    sha = file_sha
    try:
        module = run_source(path, f"kinetics_model_{path.stem}_{sha[:12]}", source)
    except (Exception, SystemExit) as error:
        what = f"the file does not run: {type(error).__name__}: {error}"
        raise ModelError(Problem(what, "run it with python to see the trace", file=str(path))) from error
    model = _built(module, dict(options), str(path)) if options else getattr(module, "MODEL", None)
    if not isinstance(model, Model):
        remedy = "end it with `MODEL = Model(...)`"
        raise ModelError(Problem("no MODEL at the end of the file", remedy, file=str(path)))
    if model.joined or options:
        sha = hashlib.sha256(repr((sha, model.joined, options)).encode()).hexdigest()
    model = replace(
        model,
        name=path.stem,
        doc=module.__doc__ or "",
        path=str(path),
        sha256=sha,
        file_sha256=file_sha,
        options=dict(options),
    )
    problems = [Problem(what, remedy, file=model.path) for what, remedy in _problems(model)]
    if problems:
        raise ModelError(problems)
    return model


def _built(module: ModuleType, options: dict[str, Any], file: str) -> object:
    """What the file's `build` returns for the options; ModelError where it has none, or rejects them."""
    build = getattr(module, "build", None)
    if build is None:
        raise ModelError(Problem("the model has no options", "give it `def build(...) -> Model`", file=file))
    try:
        return build(**options)
    except (TypeError, ValueError) as error:
        raise ModelError(Problem(f"options: {error}", "see the model's build(...)", file=file)) from error


def _problems(model: Model) -> Iterator[tuple[str, str]]:
    """Everything wrong with a loaded model, as (what, remedy)."""
    if not model.doc.strip():
        yield "the file has no docstring", "say the paper, its DOI, the population and what you changed"
    for name, p in model.parameters.items():
        yield from _parameter_problems(model, name, p, where=f"parameter {name}")
    for label, parameters in model.prior_sets.items():
        for name, p in parameters.items():
            yield from _parameter_problems(model, name, p, where=f"parameter {name} of prior set {label}")
    for name, state in model.states.items():
        yield from _unit_problems(f"state {name}", state.unit)
    for name, output in model.outputs.items():
        yield from _unit_problems(f"output {name}", output.unit)
    for unit in (model.dose_unit, *model.dose_units.values()):
        if unit not in DOSE_UNITS:
            yield f"dose_unit {unit!r}", f"known: {', '.join(DOSE_UNITS)}"
    for product, by_site in model.sites.items():
        for site, output in by_site.items():
            if output not in model.outputs or model.outputs[output].unit != "cells":
                what = f"sites of {product}: {output} at {site} is no output in cells"
                yield what, f"outputs: {', '.join(model.outputs)}"
    yield from _time_problems(model)
    yield from _equation_problems(model)
    yield from _name_problems(model)


def _time_problems(model: Model) -> Iterator[tuple[str, str]]:
    """An unknown unit of time, and parameters or derived quantities in another than the equations have."""
    unit = model.written_in
    if unit not in TIME_UNITS:
        yield f"time_unit {unit!r}", f"known: {', '.join(TIME_UNITS)}"
        return
    quantities = {f"parameter {name}": p.unit for name, p in model.parameters.items()}
    for label, parameters in model.prior_sets.items():
        quantities |= {f"parameter {name} of prior set {label}": p.unit for name, p in parameters.items()}
    quantities |= {f"derived {name}": derived.unit for name, derived in model.derived.items()}
    for where, written in quantities.items():
        other = other_time_unit(written, unit)
        if other:
            what = f"{where} is in {written}, and the equations are in {unit}"
            yield what, f'give it in {unit}, or the whole file in {other}: Model(..., time_unit="{other}")'


def _parameter_problems(model: Model, name: str, p: Parameter, *, where: str) -> Iterator[tuple[str, str]]:
    """What is wrong with one parameter, of the model or of a prior set; `where` says which."""
    if name not in model.parameters:
        yield f"{where} is not a parameter", did_you_mean(name, model.parameters)
    if not p.source:
        yield f"{where} has no source", "name the paper and table, or say it is a guess"
    if not allowed(p.prior.link, p.value):
        yield f"{where} has the value {p.value}", f"give a value its {p.prior.link} link allows"
    if _prior_sd(p.prior) <= 0:
        yield f"{where} has a prior of sd {_prior_sd(p.prior):g}", "give the prior an sd above 0"
    yield from _unit_problems(where, p.unit)


def _equation_problems(model: Model) -> Iterator[tuple[str, str]]:
    """What is wrong with the solution or the equations, and with how doses enter."""
    if (model.solution is None) == (model.vector_field is None):
        yield "a model needs either a solution or a vector_field", "give Model(...) one of the two"
        return
    if model.solution is not None:
        for key in ("initial", "dosing", "lag", "sites"):
            if getattr(model, key):
                yield f"{key} is for a vector_field, not for a solution", "remove it"
        return
    for route in set(model.lag) - set(model.dosing):
        yield f"lag of {route}, which is not in dosing", did_you_mean(route, model.dosing)

    # Every function that gives states is tried at the typical parameters.
    rules = {f"dosing of {route}": rule for route, rule in model.dosing.items()}
    if model.initial is not None:
        rules["initial"] = model.initial
    for where, rule in rules.items():
        try:
            unknown = set(rule(model.typical())) - set(model.states)
        except Exception as error:
            yield f"{where} fails: {type(error).__name__}: {error}", "it gets the parameters p"
            continue
        for state in sorted(unknown):
            yield f"{where} names {state}, which is no state", f"the states are {', '.join(model.states)}"


def _name_problems(model: Model) -> Iterator[tuple[str, str]]:
    """States and parameters that the equations, outputs or derived quantities read and the model has not.

    Every function is traced without numbers. Any fault of it but an unknown name is for the laws to find.
    """
    records = jax.ShapeDtypeStruct((3,), float)
    doses: Any = jax.ShapeDtypeStruct((2,), float)
    scalar = jax.ShapeDtypeStruct((), float)
    p = dict.fromkeys(model.parameters, scalar)
    y = dict.fromkeys(model.states, scalar if model.solution is None else records)
    functions: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    if model.vector_field is not None:
        functions["vector_field"] = (model.vector_field, (scalar, y, p))
    if model.solution is not None:
        functions["solution"] = (model.solution, (records, p, Doses(*[doses] * len(Doses._fields))))
    functions |= {f"output {name}": (output.value, (y, p)) for name, output in model.outputs.items()}
    functions |= {f"derived {name}": (derived.value, (p,)) for name, derived in model.derived.items()}
    for where, (function, arguments) in functions.items():
        try:
            result = _traced(function, arguments)
        except KeyError as error:
            name = str(error.args[0]) if error.args else ""
            yield f"{where} reads {name!r}, which it is not given", _right_name(model, name)
        except Exception:
            continue
        else:
            yield from _shape_problems(where, result, (3,) if model.solution is not None else ())


def _traced(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What a function returns for arguments that have a shape and no number."""
    results = []

    def keep(*values: Any) -> float:
        results.append(function(*values))
        return 0.0

    jax.eval_shape(keep, *arguments)
    return results[0]


def _shape_problems(where: str, result: Any, records: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """What a function of a model returns in another shape than `records`, () for one value; a derived
    quantity is one value always.
    """
    shape = () if where.startswith("derived") else records
    parts = {"": result}
    if where in ("vector_field", "solution"):
        parts = dict(result) if isinstance(result, Mapping) else {"all states": None}
    for name, part in parts.items():
        is_number = isinstance(part, float | int | np.number | jax.Array | np.ndarray)
        if not is_number or np.shape(part) != shape:
            of = f" for {name}" if name else ""
            returned = f"the shape {np.shape(part)}" if is_number else "no number"
            what = f"{where} returns {returned}{of}"
            yield what, "return one number for each record: elementwise operations on y, t and p alone"


def _right_name(model: Model, name: str) -> str:
    """The remedy for a name that is read in vain."""
    if name in model.states:
        return f"it is a state, y[{name!r}]: p holds the parameters"
    if name in model.parameters:
        return f"it is a parameter, p[{name!r}]: y holds the states"
    return did_you_mean(name, [*model.states, *model.parameters])


def allowed(link: Link, value: float) -> bool:
    """Whether a parameter with this link may have this value."""
    if not math.isfinite(value):
        return False
    if link == "log":
        return value > 0
    if link == "logit":
        return 0 < value < 1
    return True


def _prior_sd(prior: Prior) -> float:
    """The SD of a prior; the scale of a HalfNormal."""
    return prior.scale if isinstance(prior, HalfNormal) else prior.sd


def _unit_problems(where: str, unit: str) -> Iterator[tuple[str, str]]:
    """A unit must be one of kinetics.units, or a quotient of such units (`L/day`, `1/day`)."""
    try:
        dimension(unit)
    except UnitError as error:
        parts = unit.split("/")
        if len(parts) < 2 or not all(_is_unit(part) for part in parts):
            yield f"{where}: {error}", "use a unit of kinetics.units, or a quotient of them"


def _is_unit(unit: str) -> bool:
    try:
        return bool(dimension(unit))
    except UnitError:
        return False
