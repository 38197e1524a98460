"""A PEtab problem of one condition as a model file, a study folder and a plan.

PEtab (version 1) has one vector of parameters and no random effects: the study has one subject and the plan
no parameter that varies. What a plan cannot say is refused by name: several conditions or problems,
preequilibration, steady states, Laplace noise and priors, noise that is another formula.
"""

from __future__ import annotations

import csv
import importlib
import io
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from kinetics.arguments import require
from kinetics.errors import InputError, Problem
from kinetics.files import not_readable, write_atomic
from kinetics.formats.files import write_files
from kinetics.model import load_model
from kinetics.plan import bind, plan_of
from kinetics.sbml import import_sbml, open_model, read_sbml
from kinetics.study import read_study

__all__ = ["ImportedProblem", "import_petab"]

_NEEDS_YAML = "install pyyaml: the extra `sbml` of this package has it"
_REMEDY = "write this part by hand, or leave it out of the problem"
_HELD = 0.01  # SD of the log of a residual SD that the problem gives as a number
_RANGE = 4.0  # the bounds of a parameter without a prior are taken for its 95 % range: a guess
_PLACEHOLDER = re.compile(r"\b(observable|noise)Parameter(\d+)_(\w+)\b")
_NAME = re.compile(r"[a-z][a-z0-9_]*")

Row = Mapping[str, str]


@dataclass(frozen=True)
class ImportedProblem:
    """The files that were written, the observables and estimated parameters, and notes for whoever fits.

    >>> from pathlib import Path
    >>> from kinetics.formats import ImportedProblem
    >>> places = Path("models/a.py"), Path("data/a"), Path("fits/a.toml")
    >>> ImportedProblem(*places, observables=("x",), estimated=("k",), notes=()).observables
    ('x',)
    """

    model: Path
    data: Path
    plan: Path
    observables: tuple[str, ...]
    estimated: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"written: {path}" for path in (self.model, self.data, self.plan)]
        lines.append(f"{len(self.observables)} observables, {len(self.estimated)} estimated parameters")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, f"next: kinetics fit {self.plan}"])


@dataclass(frozen=True)
class _Tables:
    """The rows of a problem's tables, with the file that each is of."""

    sbml: Path
    condition: Row
    observables: list[Row]
    measurements: list[Row]
    parameters: dict[str, Row]
    files: dict[str, str]


def import_petab(
    file: str | Path,
    *,
    name: str | None = None,
    to: str | Path = ".",
    time_unit: str | None = None,
    synthetic: bool = False,
    force: bool = False,
) -> ImportedProblem:
    """Write the PEtab problem of the YAML `file` as models/NAME.py, data/NAME and fits/NAME.toml below `to`.

    `name` is that of the file by default. `time_unit` is that of an SBML file that declares none; `synthetic`
    says that the measurements were simulated. InputError lists everything that cannot be said here, by its
    name in the problem; nothing is written then. Needs python-libsbml and pyyaml.

    >>> try:
    ...     kn.formats.import_petab("nothing.yaml")
    ... except kn.errors.InputError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    require(file=(file, str | Path), to=(to, str | Path))
    source = Path(file)
    folder = Path(to)
    tables = _read(source)
    title = name or re.sub(r"\W", "_", source.stem.lower())
    places = {kind: folder / kind / tail for kind, tail in _tails(title).items()}
    problems = []
    if not _NAME.fullmatch(title):
        problems.append(Problem(f"{title!r} is not a name", "choose another (--name)"))
    if not force:
        problems += [
            Problem("already there", "name another (--name), or use --force", file=str(place))
            for place in places.values()
            if place.exists()
        ]
    reading = _Reading(tables)
    problems += reading.problems
    if problems:
        raise InputError(problems)
    with TemporaryDirectory(prefix="kinetics-petab-") as scratch:
        whole = _written(Path(scratch), title, reading, source, time_unit=time_unit, synthetic=synthetic)
        _keep(places, whole, force=force)
    notes = [*reading.notes, "bounds are not carried; a parameter without a prior has them as its 95 % range"]
    return ImportedProblem(
        model=places["models"],
        data=places["data"],
        plan=places["fits"],
        observables=tuple(reading.names.values()),
        estimated=tuple(sorted(reading.estimated)),
        notes=tuple(notes),
    )


def _keep(places: Mapping[str, Path], whole: Mapping[str, Any], *, force: bool) -> None:
    """Write the three in their places; where one cannot be written, what was new of the others is removed."""
    new = [place for place in places.values() if not place.exists()]
    try:
        write_atomic(places["models"], whole["model"])
        write_files(places["data"], whole["study"], force=force)
        write_atomic(places["fits"], whole["plan"])
    except OSError:
        for place in new:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        raise


def _tails(name: str) -> dict[str, str]:
    return {"models": f"{name}.py", "data": name, "fits": f"{name}.toml"}


# --- the tables --------------------------------------------------------------------------------------------


def _read(source: Path) -> _Tables:
    """The tables that the YAML file names; InputError where there is not one of each."""
    reason = not_readable(source)
    if reason:
        raise InputError(Problem(reason, "name the YAML file of a PEtab problem", file=str(source)))
    try:
        yaml = importlib.import_module("yaml")
    except ImportError as error:
        raise InputError(Problem("a PEtab problem needs pyyaml", _NEEDS_YAML, file=str(source))) from error
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(Problem("not a YAML file", "mend it", file=str(source))) from error
    if not isinstance(content, dict) or str(content.get("format_version")) not in ("1", "1.0", "1.0.0"):
        what = "not a PEtab problem of format_version 1"
        raise InputError(Problem(what, "name the YAML file of a PEtab 1 problem", file=str(source)))
    listed = content.get("problems")
    if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], dict):
        raise InputError(Problem("not one problem", "split the file: one problem each", file=str(source)))
    parts = {**listed[0], "parameter_files": [content.get("parameter_file")]}
    files: dict[str, Path] = {}
    problems = []
    for key in ("sbml", "condition", "observable", "measurement", "parameter"):
        named = parts.get(f"{key}_files")
        if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
            problems.append(Problem(f"{key}_files does not name one file", "name one", file=str(source)))
            continue
        files[key] = source.parent / named[0]
        reason = not_readable(files[key])
        if reason:
            problems.append(Problem(reason, f"mend {key}_files of {source.name}", file=str(files[key])))
    if problems:
        raise InputError(problems)
    rows = {key: _rows(files[key]) for key in ("condition", "observable", "measurement", "parameter")}
    if len(rows["condition"]) != 1:
        what = f"{len(rows['condition'])} conditions: they would be pooled as one subject"
        raise InputError(
            Problem(what, "keep one condition and its measurements", file=str(files["condition"]))
        )
    names = [row.get("parameterId", "") for row in rows["parameter"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = f"two rows of one parameter: {', '.join(twice)}"
        raise InputError(Problem(what, "keep one", file=str(files["parameter"]), column="parameterId"))
    return _Tables(
        sbml=files["sbml"],
        condition=rows["condition"][0],
        observables=rows["observable"],
        measurements=rows["measurement"],
        parameters={row.get("parameterId", ""): row for row in rows["parameter"]},
        files={key: str(path) for key, path in files.items()},
    )


def _rows(path: Path) -> list[Row]:
    """The rows of a table, every cell as text without blanks around it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(Problem("not UTF-8", "save the file as UTF-8", file=str(path))) from error
    reader = csv.DictReader(io.StringIO(text), delimiter="\t")
    try:
        return [{str(k): (v or "").strip() for k, v in row.items() if k} for row in reader]
    except csv.Error as error:
        what = f"not a table of tab-separated values: {error}"
        raise InputError(Problem(what, "save the file again", file=str(path))) from error


@dataclass
class _Reading:
    """What the tables come to: names of observables, formulas, likelihoods, priors; and what is refused."""

    tables: _Tables
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # observable -> its analyte
    formulas: dict[str, str] = field(default_factory=dict)  # observable -> its formula
    observe: dict[str, dict[str, Any]] = field(default_factory=dict)  # analyte -> its table in the plan
    numbers: dict[str, float] = field(default_factory=dict)  # parameter of the table -> its value
    priors: dict[str, dict[str, Any]] = field(default_factory=dict)
    residual: set[str] = field(default_factory=set)  # parameters that are residual SDs

    def __post_init__(self) -> None:
        for row, number in self._numbered(list(self.tables.parameters.values())):
            self._parameter(row, number)
        for row, number in self._numbered(self.tables.observables):
            self._observable(row, number)
        for row, number in self._numbered(self.tables.measurements):
            self._measurement(row, number)

    @property
    def estimated(self) -> set[str]:
        """The parameters of the table that are estimated, residual SDs left out."""
        return set(self.priors) - self.residual

    @staticmethod
    def _numbered(rows: Sequence[Row]) -> Iterator[tuple[Row, int]]:
        return ((row, number) for number, row in enumerate(rows, start=2))

    def _refuse(self, table: str, row: int, what: str, column: str = "") -> None:
        place = {"file": self.tables.files[table], "row": row, "column": column or None}
        self.problems.append(Problem(what, _REMEDY, **place))  # pyright: ignore

    def _number(self, table: str, row: Row, number: int, column: str) -> float:
        try:
            value = float(row.get(column, ""))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self._refuse(table, number, f"{row.get(column, '')!r} is not a finite number", column)
        return value

    def _parameter(self, row: Row, number: int) -> None:
        name = row.get("parameterId", "")
        if not name.isidentifier():
            self._refuse("parameter", number, f"{name!r} is not an id", "parameterId")
            return
        self.numbers[name] = self._number("parameter", row, number, "nominalValue")
        if row.get("estimate") not in ("0", "1"):
            self._refuse("parameter", number, "neither 0 nor 1", "estimate")
        if row.get("estimate") == "1":
            prior = self._prior(row, number)
            if prior is not None:
                self.priors[name] = prior

    def _prior(self, row: Row, number: int) -> dict[str, Any] | None:
        """The prior of an estimated parameter as a table of a plan."""
        scale = row.get("parameterScale", "lin")
        per_unit = {"lin": 1.0, "log": 1.0, "log10": math.log(10)}.get(scale)
        if per_unit is None:
            self._refuse("parameter", number, f"a scale {scale!r}", "parameterScale")
            return None
        kind = row.get("objectivePriorType", "")
        if kind in ("", "uniform", "parameterScaleUniform"):
            return self._of_bounds(row, number)
        texts = row.get("objectivePriorParameters", "").split(";")
        try:
            mean, sd = (float(text) for text in texts)
        except ValueError:
            self._refuse("parameter", number, "not two numbers", "objectivePriorParameters")
            return None
        if kind == "normal" or (kind == "parameterScaleNormal" and scale == "lin"):
            if self.numbers[row["parameterId"]] > 0:
                what = "a normal prior of a value above 0, whose prior is lognormal in a model file"
                self._refuse("parameter", number, what, "objectivePriorType")
            return {"distribution": "Normal", "mean": mean, "sd": sd}
        if kind == "logNormal":
            return {"distribution": "LogNormal", "median": math.exp(mean), "sd": sd}
        if kind == "parameterScaleNormal":
            return {"distribution": "LogNormal", "median": math.exp(mean * per_unit), "sd": sd * per_unit}
        self._refuse("parameter", number, f"a prior {kind}", "objectivePriorType")
        return None

    def _of_bounds(self, row: Row, number: int) -> dict[str, Any] | None:
        low = self._number("parameter", row, number, "lowerBound")
        high = self._number("parameter", row, number, "upperBound")
        if not low < high:
            self._refuse("parameter", number, "the lower bound is not below the upper", "lowerBound")
            return None
        if low > 0:
            width = math.log(high / low) / _RANGE
            return {"distribution": "LogNormal", "median": math.sqrt(low) * math.sqrt(high), "sd": width}
        start = self.numbers[row["parameterId"]]
        if start > 0:  # a lower bound of 0 has no logarithm: the start is the middle, the upper bound its end
            width = 2 * math.log(max(high / start, 2.0)) / _RANGE
            return {"distribution": "LogNormal", "median": start, "sd": width}
        return {"distribution": "Normal", "mean": (low + high) / 2, "sd": (high - low) / _RANGE}

    def _observable(self, row: Row, number: int) -> None:
        name = row.get("observableId", "")
        analyte = name.lower()
        if not name.isidentifier() or not _NAME.fullmatch(analyte) or analyte in self.names.values():
            self._refuse("observable", number, f"{name!r} is no name of an analyte", "observableId")
            return
        formula = self._filled(row, number, "observableFormula", name)
        noise = self._filled(row, number, "noiseFormula", name)
        if formula is None or noise is None:
            return
        if row.get("noiseDistribution", "normal") not in ("", "normal"):
            self._refuse("observable", number, f"noise {row['noiseDistribution']}", "noiseDistribution")
        transformation = row.get("observableTransformation", "lin") or "lin"
        sigma = noise
        family = {"lin": "additive", "log": "lognormal", "log10": "lognormal"}.get(transformation)
        if family == "additive" and (relative := _relative(noise, formula)):
            sigma = relative
            family = "proportional"
        spec = self._residual(sigma, math.log(10) if transformation == "log10" else 1.0)
        if family is None or spec is None:
            column = "noiseFormula" if family else "observableTransformation"
            self._refuse("observable", number, f"{row.get(column)!r} has no place in a plan", column)
            return
        self.names[name] = analyte
        self.formulas[name] = formula
        key = "sigma_add" if family == "additive" else "sigma"
        self.observe[analyte] = {"output": name, "likelihood": family, key: spec}

    def _filled(self, row: Row, number: int, column: str, name: str) -> str | None:
        """A formula with the placeholders of its observable filled in; None where rows differ."""
        text = row.get(column, "")
        for kind, place, of in _PLACEHOLDER.findall(text):
            cells = {
                r.get(f"{kind}Parameters", "")
                for r in self.tables.measurements
                if r.get("observableId") == name
            }
            values = cells.pop().split(";") if len(cells) == 1 else []
            if of != name or int(place) > len(values) or not values[int(place) - 1]:
                self._refuse(
                    "observable", number, f"{kind}Parameter{place}_{of} differs between rows", column
                )
                return None
            text = text.replace(f"{kind}Parameter{place}_{of}", values[int(place) - 1])
        if not text:
            self._refuse("observable", number, "the formula is missing", column)
            return None
        return text

    def _residual(self, sigma: str, factor: float) -> dict[str, Any] | None:
        """The prior of a residual SD: a number or a parameter of the table, times a factor of its scale."""
        if sigma in self.priors and self.priors[sigma]["distribution"] == "LogNormal":
            self.residual.add(sigma)
            prior = self.priors[sigma]
            return {**prior, "median": prior["median"] * factor}
        value = self.numbers.get(sigma, math.nan) if sigma not in self.priors else math.nan
        with suppress(ValueError):
            value = float(sigma)
        if not (math.isfinite(value) and value > 0):
            return None
        if sigma in self.numbers:
            self.residual.add(sigma)
        self.notes.append(f"a residual SD of {value:g} is held by a prior of {100 * _HELD:g} %")
        return {"distribution": "LogNormal", "median": value * factor, "sd": _HELD}

    def _measurement(self, row: Row, number: int) -> None:
        if row.get("preequilibrationConditionId"):
            self._refuse("measurement", number, "preequilibration", "preequilibrationConditionId")
        if row.get("simulationConditionId") != self.tables.condition.get("conditionId"):
            self._refuse("measurement", number, "not of the condition", "simulationConditionId")
        known = {o.get("observableId") for o in self.tables.observables}
        if row.get("observableId") not in known:
            self._refuse("measurement", number, "no such observable", "observableId")
        self._number("measurement", row, number, "time")
        self._number("measurement", row, number, "measurement")


def _relative(noise: str, formula: str) -> str:
    """The factor of a noise that is a factor times the observable, "" where it is not."""
    parts = [part.strip() for part in noise.split("*")]
    if len(parts) == 2 and formula.strip() in parts:
        parts.remove(formula.strip())
        return parts[0]
    return ""


# --- what is written ---------------------------------------------------------------------------------------


def _written(
    scratch: Path, name: str, reading: _Reading, source: Path, *, time_unit: str | None, synthetic: bool
) -> dict[str, Any]:
    """The text of the model and of the plan, and the files of the study; they were bound to one another."""
    sbml = scratch / reading.tables.sbml.name
    sbml.write_text(_with_observables(reading), encoding="utf-8")
    model_file = scratch / f"{name}.py"
    import_sbml(sbml, model_file, time_unit=time_unit)
    days = read_sbml(sbml, time_unit=time_unit).days
    study = _study_files(reading, source, days, synthetic=synthetic)
    data = scratch / "data"
    data.mkdir()
    for tail, text in study.items():
        (data / tail).write_text(text, encoding="utf-8")
    model = load_model(model_file)
    held = {k: float(v) for k, v in model.typical().items() if k not in reading.estimated}
    unknown = sorted(reading.estimated - set(model.parameters))
    if unknown:
        what = f"estimated, and not a number of the model: {', '.join(unknown)}"
        raise InputError(Problem(what, _REMEDY, file=reading.tables.files["parameter"]))
    content: dict[str, Any] = {
        "model": f"models/{name}.py",
        "data": f"data/{name}",
        "vary": [],
        "fixed": held,
        "priors": {k: reading.priors[k] for k in sorted(reading.estimated)},
        "observe": reading.observe,
    }
    plan = plan_of({**content, "name": name}, file=str(source))
    bind(plan, study=read_study(data), model=model)
    return {"model": model_file.read_text(encoding="utf-8"), "study": study, "plan": tomli_w.dumps(content)}


def _with_observables(reading: _Reading) -> str:
    """The SBML file with the values of the problem, and with every observable as an assigned variable."""
    document, model = open_model(reading.tables.sbml)
    libsbml = importlib.import_module("libsbml")
    problems = []
    values = {k: v for k, v in reading.numbers.items() if k not in reading.residual}
    for column, cell in reading.tables.condition.items():
        if column not in ("conditionId", "conditionName") and cell:
            try:
                values[column] = float(cell)
            except ValueError:
                what = f"condition: {column} is {cell!r}, not a number"
                problems.append(Problem(what, _REMEDY, file=reading.tables.files["condition"], row=2))
    for name, value in values.items():
        if not _set_value(model, name, value):
            problems.append(Problem(f"{name} is given a value, and a rule gives it another", _REMEDY))
    for name, formula in reading.formulas.items():
        tree = libsbml.parseL3Formula(formula)
        if tree is None:
            what = f"observable {name}: {formula!r} is not a formula"
            problems.append(Problem(what, _REMEDY, file=reading.tables.files["observable"]))
            continue
        if model.getElementBySId(name) is not None:
            what = f"observable {name} has the name of something in the model"
            problems.append(Problem(what, "rename it", file=reading.tables.files["observable"]))
            continue
        _add_parameter(model, name, 0.0, constant=False)
        rule = model.createAssignmentRule()
        rule.setVariable(name)
        rule.setMath(tree)
    if problems:
        raise InputError(problems)
    return str(libsbml.writeSBMLToString(document))


def _set_value(model: Any, name: str, value: float) -> bool:
    """Give a parameter, species or compartment a value, or add a parameter; False where a rule gives it."""
    if model.getRule(name) is not None and model.getRule(name).isAssignment():
        return False
    if model.getInitialAssignment(name) is not None:
        model.removeInitialAssignment(name)
    species = model.getSpecies(name)
    if species is not None and species.getHasOnlySubstanceUnits():
        species.unsetInitialConcentration()
        species.setInitialAmount(value)
    elif species is not None:
        species.unsetInitialAmount()
        species.setInitialConcentration(value)
    elif model.getParameter(name) is not None:
        model.getParameter(name).setValue(value)
    elif model.getCompartment(name) is not None:
        model.getCompartment(name).setSize(value)
    else:
        _add_parameter(model, name, value, constant=True)
    return True


def _add_parameter(model: Any, name: str, value: float, *, constant: bool) -> None:
    parameter = model.createParameter()
    parameter.setId(name)
    parameter.setValue(value)
    parameter.setConstant(constant)


def _study_files(reading: _Reading, source: Path, days: float, *, synthetic: bool) -> dict[str, str]:
    """The study folder of the one condition: its records, with times in days."""
    subject = reading.tables.condition.get("conditionId") or "1"
    labels = {o.get("observableId"): o.get("observableName", "") for o in reading.tables.observables}
    dictionary = {
        "title": f"Measurements of the PEtab problem {source.name}",
        "source": source.name,
        "licence": "not stated in the problem",
        "synthetic": synthetic,
        "without_doses": True,
        "analytes": {
            analyte: {
                "label": labels.get(name) or name,
                "assay": "not_stated",
                "site": "not_stated",
                "unit": "1",
            }
            for name, analyte in reading.names.items()
        },
        "columns": {"observations": {"time": {"unit": "day"}}},
    }
    rows = [["subject", "time", "analyte", "value", "censored"]]
    for row in sorted(reading.tables.measurements, key=lambda row: float(row["time"])):
        time = repr(float(row["time"]) * days)
        analyte = reading.names[row["observableId"]]
        rows.append([subject, time, analyte, repr(float(row["measurement"])), "none"])
    return {
        "dictionary.toml": tomli_w.dumps(dictionary),
        "subjects.csv": f"subject\n{subject}\n",
        "observations.csv": "".join(",".join(row) + "\n" for row in rows),
    }
