"""One subject of a plan as a PEtab problem: an SBML model, tables, and the YAML file that names them.

PEtab (version 1; Schmiester et al., PLoS Comput Biol 2021;17:e1008646) knows one vector of parameters and no
random effects, so a problem is one subject's: its doses, weight and records, with the population values as
start and, where PEtab has their form, as priors. What a control stream cannot carry, this cannot either
(`control_plan`). Censored records and doses after day 0 of equations are refused by name.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.formats.control_equations import (
    beginning,
    closed_form,
    dosed_fraction,
    observed_outputs,
    slopes,
)
from kinetics.formats.control_plan import ControlParameter, ControlPlan, ControlResidual, control_plan
from kinetics.formats.exporting import Exported
from kinetics.formats.files import write_files
from kinetics.formats.traced_formula import SBML, Translation
from kinetics.model import LogNormal, Normal
from kinetics.regimen import Doses

__all__ = ["NEEDS_LIBSBML", "export_petab"]

NEEDS_LIBSBML = "install python-libsbml: the extra `sbml` of this package has it"
_CONDITION = "all_records"
_FAR = 1e3  # a guess: the bounds of a search are this many times below and above the start
_SPAN = 10.0  # and this many prior SDs around the start of a parameter that may be negative
_SECONDS = 86400.0
NOTES = (
    "one subject: the spread between subjects is not in the problem",
    f"bounds are a guess: {_FAR:g} times below and above the start",
    "residual SDs and shares have no prior: PEtab has no half-normal and no logit-normal",
)


def export_petab(
    plan: str | Path, to: str | Path, *, subject: str | None = None, force: bool = False
) -> Exported:
    """Write one subject of the plan of a fits/*.toml as a PEtab problem into one new folder `to`.

    `subject` may be left out where the study has one. Times are in days. InputError lists what of the plan,
    the doses or the records a problem of PEtab cannot carry; nothing is written then. Needs python-libsbml.

    >>> from pathlib import Path
    >>> text = '''model = "one_compartment_oral"
    ... data = "theophylline"
    ... [observe.theophylline]
    ... likelihood = "additive"'''
    >>> _ = Path("oral.toml").write_text(text)
    >>> kn.formats.export_petab("oral.toml", "petab", subject="1").files[:2]
    ('oral.yaml', 'oral.xml')
    """
    content = control_plan(str(plan))
    name = _subject(content, subject)
    problems = [
        Problem(what, remedy, file=str(plan), subject=name) for what, remedy in _refusals(content, name)
    ]
    if problems:
        raise InputError(problems)
    parameters = _values(content, name)
    files = {
        f"{content.name}.yaml": _yaml(content.name),
        f"{content.name}.xml": _sbml(content, name, parameters),
        "conditions.tsv": _tsv(["conditionId", "conditionName"], [[_CONDITION, name]]),
        "observables.tsv": _observables(content),
        "measurements.tsv": _measurements(content, name),
        "parameters.tsv": _parameters(content),
    }
    return Exported(write_files(Path(to), dict(files), force=force), tuple(files), NOTES)


def _subject(plan: ControlPlan, subject: str | None) -> str:
    names = plan.study.subject_ids
    if subject is None and len(names) == 1:
        return names[0]
    if subject is None:
        remedy = f"choose one of {', '.join(names[:5])}{' ...' if len(names) > 5 else ''} (--subject)"
        raise InputError(
            Problem(f"a PEtab problem is of one subject, and the study has {len(names)}", remedy)
        )
    if subject not in names:
        raise InputError(Problem(f"no subject {subject!r} in the study", did_you_mean(subject, names)))
    return subject


def _refusals(plan: ControlPlan, subject: str) -> Iterator[tuple[str, str]]:
    """What of a subject's doses and records a problem of PEtab cannot carry."""
    doses = plan.study.doses
    own = doses[doses["subject"] == subject]
    if not plan.is_closed:
        if (own["time"] != 0).any() or len(own) > 1:
            yield "doses after day 0 need events", "fit the closed form, or write the events by hand"
        if (own["duration"] > 0).any():
            yield "an infusion into equations needs events", "write the events by hand"
    for residual in plan.residuals:
        records = plan.study.observed(residual.analyte)
        records = records[records["subject"] == subject]
        censored = int((records["censored"] != "none").sum())
        if censored:
            what = f"{censored} records of {residual.analyte} are censored, which PEtab has no word for"
            yield what, "choose a subject without them"
        if (records["time"] < 0).any():
            yield f"records of {residual.analyte} before day 0", "a PEtab problem begins at time 0"


def _values(plan: ControlPlan, subject: str) -> dict[str, str]:
    """The formula of every parameter of the model: its name, or its name with the subject's weight in it."""
    weight = float(plan.study.subjects.loc[subject, "weight_kg"])  # pyright: ignore
    texts = {}
    for parameter in plan.parameters:
        texts[parameter.name] = parameter.name
        if parameter.power is not None:
            factor = (weight / parameter.reference) ** parameter.power
            texts[parameter.name] = f"{factor!r}*{parameter.name}"
    return {name: f"({text})" if "*" in text else text for name, text in texts.items()}


# --- the model ---------------------------------------------------------------------------------------------


def _sbml(plan: ControlPlan, subject: str, values: Mapping[str, str]) -> str:
    """The model with the subject's doses, in days: states by rate rules, observed outputs by assignments."""
    try:
        libsbml = importlib.import_module("libsbml")
    except ImportError as error:
        raise InputError(Problem("a PEtab problem needs python-libsbml", NEEDS_LIBSBML)) from error
    document = libsbml.SBMLDocument(3, 1)
    model = document.createModel()
    model.setId(plan.name)
    day = model.createUnitDefinition()
    day.setId("day")
    unit = day.createUnit()
    unit.setKind(libsbml.UNIT_KIND_SECOND)
    unit.setExponent(1)
    unit.setScale(0)
    unit.setMultiplier(_SECONDS)
    model.setTimeUnits("day")
    writer = _Sbml(libsbml, model)
    for parameter in plan.parameters:
        writer.constant(parameter.name, parameter.start)
    for residual in plan.residuals:
        writer.constant(_sigma(residual), residual.start)
    doses = plan.study.doses
    own = doses[doses["subject"] == subject]
    if plan.is_closed:
        row = own.iloc[0]
        parts = {name: repr(float(row[column])) for name, column in _DOSE_COLUMNS.items()}
        dose = Doses(**parts, share="1", course="0", entry="0")  # pyright: ignore
        outputs = closed_form(plan, values, "time", dose, SBML)
    else:
        states = {name: name for name in plan.model.states}
        writer.states(
            states,
            slopes(plan, values, states, "time", SBML),
            _starts(plan, values, 0.0 if own.empty else float(own["amount"].iloc[0])),
        )
        outputs = observed_outputs(plan, values, states, SBML)
    writer.assignments(outputs)
    for residual in plan.residuals:
        writer.assigned(_output(residual), outputs.values[residual.output])
    return str(libsbml.writeSBMLToString(document))


_DOSE_COLUMNS = {"time": "time", "amount": "amount", "duration": "duration"}


def _starts(plan: ControlPlan, values: Mapping[str, str], amount: float) -> Translation:
    """The formula of every state on day 0, a bolus of that day included."""
    begin = beginning(plan, values, SBML)
    terms = {name: [text] for name, text in begin.values.items()}
    lines = list(begin.lines)
    if amount and plan.entry:
        fraction = dosed_fraction(plan, values, SBML)
        lines += fraction.lines
        for name, text in fraction.values.items():
            terms.setdefault(name, []).append(f"{amount!r}*({text})")
    return Translation(tuple(lines), {name: " + ".join(parts) for name, parts in terms.items()})


class _Sbml:
    """A model of SBML to which constants, states and assignments are added."""

    def __init__(self, libsbml: Any, model: Any) -> None:
        self.libsbml = libsbml
        self.model = model

    def _parameter(self, name: str, value: float, *, constant: bool) -> None:
        parameter = self.model.createParameter()
        parameter.setId(name)
        parameter.setValue(value)
        parameter.setConstant(constant)

    def _math(self, text: str) -> Any:
        tree = self.libsbml.parseL3Formula(text)
        if tree is None:
            raise AssertionError(f"not a formula of SBML: {text}: {self.libsbml.getLastParseL3Error()}")
        return tree

    def constant(self, name: str, value: float) -> None:
        self._parameter(name, value, constant=True)

    def assigned(self, name: str, text: str) -> None:
        self._parameter(name, 0.0, constant=False)
        rule = self.model.createAssignmentRule()
        rule.setVariable(name)
        rule.setMath(self._math(text))

    def assignments(self, translation: Translation) -> None:
        """The intermediate values of a translation."""
        for line in translation.lines:
            name, _, text = line.partition(" = ")
            self.assigned(name, text)

    def states(self, names: Mapping[str, str], slopes: Translation, starts: Translation) -> None:
        self.assignments(slopes)
        self.assignments(starts)
        for name in names:
            self._parameter(name, 0.0, constant=False)
            rule = self.model.createRateRule()
            rule.setVariable(name)
            rule.setMath(self._math(slopes.values[name]))
            if name in starts.values:
                start = self.model.createInitialAssignment()
                start.setSymbol(name)
                start.setMath(self._math(starts.values[name]))


# --- the tables --------------------------------------------------------------------------------------------


def _observable(residual: ControlResidual) -> str:
    return f"observable_{residual.analyte}"


def _output(residual: ControlResidual) -> str:
    return f"output_{residual.analyte}"


def _sigma(residual: ControlResidual) -> str:
    return f"sigma_{residual.analyte}"


def _tsv(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join("\t".join(row) for row in [heads, *rows]) + "\n"


def _yaml(name: str) -> str:
    lines = [
        "format_version: 1",
        "parameter_file: parameters.tsv",
        "problems:",
        f"- sbml_files: [{name}.xml]",
        "  condition_files: [conditions.tsv]",
        "  observable_files: [observables.tsv]",
        "  measurement_files: [measurements.tsv]",
    ]
    return "\n".join(lines) + "\n"


def _observables(plan: ControlPlan) -> str:
    rows = []
    for residual in plan.residuals:
        noise = _sigma(residual)
        if residual.family == "proportional":
            noise = f"{noise}*{_output(residual)}"
        scale = "log" if residual.family == "lognormal" else "lin"
        rows.append([_observable(residual), _output(residual), scale, noise, "normal"])
    heads = ["observableId", "observableFormula", "observableTransformation", "noiseFormula"]
    return _tsv([*heads, "noiseDistribution"], rows)


def _measurements(plan: ControlPlan, subject: str) -> str:
    rows = []
    for residual in plan.residuals:
        records = plan.study.observed(residual.analyte)
        for record in records[records["subject"] == subject].to_dict("records"):
            rows.append(
                [_observable(residual), _CONDITION, repr(float(record["time"])), repr(float(record["value"]))]
            )
    return _tsv(["observableId", "simulationConditionId", "time", "measurement"], rows)


def _parameters(plan: ControlPlan) -> str:
    heads = ["parameterId", "parameterScale", "lowerBound", "upperBound", "nominalValue", "estimate"]
    rows = [_parameter_row(parameter) for parameter in plan.parameters]
    for residual in plan.residuals:
        start = residual.start
        row = [_sigma(residual), "log", repr(start / _FAR), repr(start * _FAR), repr(start), "1", "", ""]
        rows.append(row)
    return _tsv([*heads, "objectivePriorType", "objectivePriorParameters"], rows)


def _parameter_row(parameter: ControlParameter) -> list[str]:
    start = parameter.start
    scale = "log" if parameter.link == "log" else "lin"
    low = start / _FAR
    high = start * _FAR
    kind = ""
    numbers = ""
    if parameter.link == "logit":
        low = 0.0
        high = 1.0
    elif isinstance(parameter.prior, LogNormal):
        kind = "parameterScaleNormal"
        numbers = f"{math.log(parameter.prior.median)!r};{parameter.prior.sd!r}"
    elif isinstance(parameter.prior, Normal):
        low = start - _SPAN * parameter.prior.sd
        high = start + _SPAN * parameter.prior.sd
        kind = "normal"
        numbers = f"{parameter.prior.median!r};{parameter.prior.sd!r}"
    if scale == "lin" and low == high:  # a value of 0 that is held
        high = 1.0
    estimate = "0" if parameter.is_fixed else "1"
    return [parameter.name, scale, repr(low), repr(high), repr(start), estimate, kind, numbers]
