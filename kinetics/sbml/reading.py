"""An SBML model as states, constants, rules and reactions: what a model file is written from.

Species are what their name means in a formula of SBML: a concentration, or an amount where the file says that
a species has only units of substance. Reactions change amounts, so the slope of a concentration is the sum of
its reactions over the size of its compartment.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kinetics.errors import InputError, Problem
from kinetics.sbml.expressions import Formula
from kinetics.sbml.refusals import open_model, refusals
from kinetics.sbml.unit_names import DAYS, time_unit_days, unit_name, unit_phrase

__all__ = ["Constant", "Item", "Reaction", "ReactionModel", "StateVariable", "read_sbml"]

Item = Literal["cells", "copies", "count"]


@dataclass(frozen=True)
class Constant:
    """A number of the file: a parameter, a constant species or the size of a compartment.

    `formula` computes it at the beginning, where the file has an initial assignment. `unit_note` says the
    file's unit where this package has no word for it.
    """

    name: str
    title: str
    value: float
    unit: str
    unit_note: str
    formula: Formula | None = None


@dataclass(frozen=True)
class StateVariable:
    """A species or parameter that changes by a rate rule (`rate`) or by reactions.

    `volume` is the compartment that its reactions are divided by, "" where it is an amount. `conversion` is
    the parameter that its reactions are multiplied by, "" for none.
    """

    name: str
    title: str
    compartment: str
    value: float
    unit: str
    unit_note: str
    formula: Formula | None
    rate: Formula | None
    volume: str = ""
    conversion: str = ""


@dataclass(frozen=True)
class Reaction:
    """A reaction: its rate in substance per time, and the net stoichiometry of each species it changes."""

    name: str
    title: str
    rate: Formula
    changes: dict[str, float]


@dataclass(frozen=True)
class ReactionModel:
    """An SBML model. `assigned` has the formula of each variable that an assignment rule gives.

    `functions` has arguments and body of each function definition, `days` the length of the file's unit of
    time. `notes` are sentences for whoever uses the model.
    """

    file: str
    name: str
    title: str
    level: str
    described_by: tuple[str, ...]
    days: float
    time_unit: str
    constants: dict[str, Constant]
    states: dict[str, StateVariable]
    assigned: dict[str, tuple[str, str, Formula]]
    reactions: tuple[Reaction, ...]
    functions: dict[str, tuple[list[str], Formula]]
    compartments: dict[str, Constant]
    notes: tuple[str, ...]
    document: Any


def read_sbml(path: Path, *, time_unit: str | None = None, item: Item = "count") -> ReactionModel:
    """The model of the SBML file `path`, of Level 1 to 3. InputError lists all that a model file cannot say.

    `time_unit` (a key of DAYS) is for a file that does not declare its own; `item` says what an item is.

    >>> from pathlib import Path
    >>> try:
    ...     kn.sbml.read_sbml(Path("nothing.xml"))
    ... except kn.errors.InputError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    file = path.name
    document, model = open_model(path)
    converter = importlib.import_module("libsbml").ConversionProperties()
    converter.addOption("promoteLocalParameters", True)
    document.convert(converter)
    problems = refusals(document, model, file)
    time = _time(document, model, file, time_unit)
    if isinstance(time, Problem):
        raise InputError([*problems, time])
    if problems:
        raise InputError(problems)
    return _model(document, model, file, item, time)


@dataclass(frozen=True)
class _TimeUnit:
    """The file's unit of time in days and as a word, and notes where the file does not declare it."""

    days: float
    word: str
    notes: tuple[str, ...] = ()


_SECOND = _TimeUnit(1 / 86400, "s")


def _time(document: Any, model: Any, file: str, time_unit: str | None) -> _TimeUnit | Problem:
    """The unit of time that the file declares or, where it declares none, that the caller names."""
    declared = None
    if document.getLevel() < 3:
        declared = model.getUnitDefinition("time")
    elif model.isSetTimeUnits():
        name = model.getTimeUnits()
        if name == "second":
            return _agreeing(_SECOND, time_unit, file)
        declared = model.getUnitDefinition(name)
        if declared is None:
            return Problem(f"the unit of time is {name!r}", f"use {', '.join(DAYS)}", file=file)
    if declared is not None:
        days = time_unit_days(declared)
        if days is None:
            what = f"the unit of time is {unit_phrase(declared)}"
            return Problem(what, "use a unit of time", file=file)
        word = next((w for w, d in DAYS.items() if abs(days / d - 1) < 1e-9), f"{days:g} days")
        exact = DAYS.get(word, days)
        return _agreeing(_TimeUnit(exact, word), time_unit, file)
    if time_unit is not None:
        note = f"the file declares no unit of time: {time_unit}, as you said"
        return _TimeUnit(DAYS[time_unit], time_unit, (note,))
    if document.getLevel() < 3:
        note = "the file declares no unit of time: seconds, the default of SBML before Level 3"
        return _TimeUnit(_SECOND.days, _SECOND.word, (note,))
    remedy = f"say it: --time-unit {', '.join(DAYS)}"
    return Problem("the file declares no unit of time", remedy, file=file)


def _agreeing(declared: _TimeUnit, time_unit: str | None, file: str) -> _TimeUnit | Problem:
    """The declared unit, where the caller names none or the same."""
    if time_unit is None or abs(DAYS[time_unit] / declared.days - 1) < 1e-9:
        return declared
    what = f"the file says that its unit of time is {declared.word}"
    return Problem(what, "leave --time-unit out, or mend the file", file=file)


def _model(document: Any, model: Any, file: str, item: Item, time: _TimeUnit) -> ReactionModel:
    """The parts of a model that was not refused."""
    reactions = tuple(_reactions(model))
    changed = {species for reaction in reactions for species in reaction.changes}
    compartments = {c.name: c for c in (_constant(model, e, item) for e in model.getListOfCompartments())}
    constants: dict[str, Constant] = {}
    states: dict[str, StateVariable] = {}
    assigned: dict[str, tuple[str, str, Formula]] = {}
    for element in [*model.getListOfSpecies(), *model.getListOfParameters()]:
        name = element.getId()
        rule = model.getRule(name)
        if rule is not None and rule.isAssignment():
            assigned[name] = (_title(element), _unit(element, item)[0] or "1", rule.getMath())
        elif rule is not None or name in changed:
            states[name] = _state(model, element, item, None if rule is None else rule.getMath())
        else:
            constants[name] = _constant(model, element, item)
    notes = list(time.notes)
    if model.getNumConstraints():
        notes.append(f"{model.getNumConstraints()} constraints of the file are not checked")
    return ReactionModel(
        file=file,
        name=model.getId() or model.getName(),
        title=model.getName() or model.getId(),
        level=f"Level {document.getLevel()} Version {document.getVersion()}",
        described_by=tuple(_described_by(model)),
        days=time.days,
        time_unit=time.word,
        constants=constants,
        states=states,
        assigned=assigned,
        reactions=reactions,
        functions=dict(_functions(model)),
        compartments=compartments,
        notes=tuple(notes),
        document=document,
    )


def _title(element: Any) -> str:
    return str(element.getName() or element.getId())


def _unit(element: Any, item: Item) -> tuple[str | None, str]:
    """The unit of a species, parameter or compartment, and the file's own where there is no word for it."""
    definition = element.getDerivedUnitDefinition()
    if definition is None or definition.getNumUnits() == 0:
        return None, "no unit in the file"
    word = unit_name(definition, item)
    return word, "" if word else f"the file's unit: {unit_phrase(definition)}"


def _initial_value(model: Any, element: Any) -> float:
    """The number that the file gives a variable; nan where a formula gives it."""
    sbml = importlib.import_module("libsbml")
    code = element.getTypeCode()
    if code == sbml.SBML_PARAMETER:
        return float(element.getValue()) if element.isSetValue() else float("nan")
    if code == sbml.SBML_COMPARTMENT:
        return float(element.getSize()) if element.isSetSize() else 1.0
    is_amount = element.getHasOnlySubstanceUnits()
    size = _size(model, element)
    if element.isSetInitialConcentration():
        return float(element.getInitialConcentration()) * (size if is_amount else 1.0)
    if element.isSetInitialAmount():
        return float(element.getInitialAmount()) / (1.0 if is_amount else size)
    return float("nan")


def _size(model: Any, species: Any) -> float:
    """The size of a species' compartment, 1 for one without dimensions."""
    compartment = model.getCompartment(species.getCompartment())
    return float(compartment.getSize()) if compartment.isSetSize() else 1.0


def _initial_formula(model: Any, name: str) -> Formula | None:
    assignment = model.getInitialAssignment(name)
    return None if assignment is None else assignment.getMath()


def _constant(model: Any, element: Any, item: Item) -> Constant:
    unit, note = _unit(element, item)
    value = _initial_value(model, element)
    formula = _initial_formula(model, element.getId())
    return Constant(
        name=element.getId(),
        title=_title(element),
        value=value,
        unit=unit or "1",
        unit_note=note,
        formula=formula,
    )


def _state(model: Any, element: Any, item: Item, rate: Formula | None) -> StateVariable:
    sbml = importlib.import_module("libsbml")
    unit, note = _unit(element, item)
    compartment = ""
    volume = ""
    conversion = ""
    if element.getTypeCode() == sbml.SBML_SPECIES:
        compartment = element.getCompartment()
        dimensions = model.getCompartment(compartment).getSpatialDimensionsAsDouble()
        if not element.getHasOnlySubstanceUnits() and dimensions > 0:
            volume = compartment
        if model.getLevel() > 2:
            conversion = element.getConversionFactor() or model.getConversionFactor()
    return StateVariable(
        name=element.getId(),
        title=_title(element),
        compartment=compartment,
        value=_initial_value(model, element),
        unit=unit or "1",
        unit_note=note,
        formula=_initial_formula(model, element.getId()),
        rate=rate,
        volume=volume,
        conversion=conversion,
    )


def _reactions(model: Any) -> Iterator[Reaction]:
    """The reactions, with the species that they change: none that is constant or on the boundary."""
    for element in model.getListOfReactions():
        changes: dict[str, float] = {}
        for sign, references in ((-1, element.getListOfReactants()), (1, element.getListOfProducts())):
            for reference in references:
                species = model.getSpecies(reference.getSpecies())
                if not (species.getBoundaryCondition() or species.getConstant()):
                    name = species.getId()
                    changes[name] = changes.get(name, 0.0) + sign * _stoichiometry(reference)
        kept = {name: change for name, change in changes.items() if change != 0}
        yield Reaction(element.getId(), _title(element), element.getKineticLaw().getMath(), kept)


def _stoichiometry(reference: Any) -> float:
    """How many of a species a reaction takes or gives; Level 1 writes it as a fraction."""
    return float(reference.getStoichiometry()) / float(reference.getDenominator())


def _functions(model: Any) -> Iterator[tuple[str, tuple[list[str], Formula]]]:
    for element in model.getListOfFunctionDefinitions():
        arguments = [element.getArgument(i).getName() for i in range(element.getNumArguments())]
        yield element.getId(), (arguments, element.getBody())


def _described_by(model: Any) -> Iterator[str]:
    """Addresses of the papers that the file says it is described by."""
    sbml = importlib.import_module("libsbml")
    for i in range(model.getNumCVTerms()):
        term = model.getCVTerm(i)
        if (
            term.getQualifierType() == sbml.MODEL_QUALIFIER
            and term.getModelQualifierType() == sbml.BQM_IS_DESCRIBED_BY
        ):
            for k in range(term.getNumResources()):
                yield term.getResourceURI(k)
