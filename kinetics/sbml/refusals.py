"""What an SBML model has and a model file of this package cannot say, each by its name in the file.

A model is scalar equations from day 0 on. What changes states at once (events), looks back (delays), fixes a
state by an equation of others (algebraic rules), or changes a volume has no place in it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinetics.errors import InputError, Problem
from kinetics.files import not_readable
from kinetics.sbml.expressions import foreign_functions

__all__ = ["open_model", "refusals"]

_SID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BY_HAND = "write this part by hand: docs/how_to/write_a_model.md"
_REPAIR = "mend the file with the program that wrote it"
_PROBLEMS_SHOWN = 20


def open_model(path: Path) -> tuple[Any, Any]:
    """The document and the model of the SBML file `path`, which libsbml finds valid.

    InputError lists what it finds wrong. The document must be kept as long as the model is used.

    >>> from pathlib import Path
    >>> try:
    ...     kn.sbml.open_model(Path("nothing.xml"))
    ... except kn.errors.InputError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    reason = not_readable(path)
    if reason:
        raise InputError(Problem(reason, "name an SBML file", file=str(path)))
    try:
        sbml = importlib.import_module("libsbml")
    except ImportError as error:
        remedy = "install it: the extra `sbml` of this package has it"
        raise InputError(Problem("an SBML file needs python-libsbml", remedy, file=str(path))) from error
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        what = "the XML declares a document type or entities, which no SBML needs"
        raise InputError(Problem(what, "remove the declaration", file=str(path)))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(Problem("not UTF-8", "save the file as UTF-8", file=str(path))) from error
    document = sbml.readSBMLFromString(text)
    if document.getNumErrors(sbml.LIBSBML_SEV_ERROR) + document.getNumErrors(sbml.LIBSBML_SEV_FATAL) == 0:
        document.setConsistencyChecks(sbml.LIBSBML_CAT_UNITS_CONSISTENCY, False)
        document.setConsistencyChecks(sbml.LIBSBML_CAT_MODELING_PRACTICE, False)
        document.checkConsistency()
    errors = list(_errors(document, str(path)))
    if errors:
        raise InputError(errors)
    model = document.getModel()
    if model is None:
        raise InputError(Problem("no model in the file", "name an SBML file", file=str(path)))
    return document, model


def _errors(document: Any, file: str) -> Iterator[Problem]:
    """What libsbml rejects, by line."""
    sbml = importlib.import_module("libsbml")
    shown = 0
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= sbml.LIBSBML_SEV_ERROR and shown < _PROBLEMS_SHOWN:
            shown += 1
            words = " ".join(error.getShortMessage().split()) or "not valid"
            what = f"line {error.getLine()}: not valid SBML: {words} (rule {error.getErrorId()})"
            yield Problem(what, _REPAIR, file=file)


def refusals(document: Any, model: Any, file: str) -> list[Problem]:
    """A problem for each part of a model that has no place in a model file."""
    wholes = [*_packages(document), *_parts(model), *_volumes(model), *_reactions(model)]
    values = [*_formulas(model), *_missing_values(model), *_names(model)]
    return [Problem(what, remedy, file=file) for what, remedy in [*wholes, *values]]


def _packages(document: Any) -> Iterator[tuple[str, str]]:
    if document.getLevel() < 3:  # there are none; libsbml lists the layouts that it would read
        return
    for i in range(document.getNumPlugins()):
        name = document.getPlugin(i).getPackageName()
        if document.getPackageRequired(name):
            yield f"the package {name} of SBML Level 3 changes the meaning of the model", _BY_HAND
    for i in range(document.getNumUnknownPackages()):
        prefix = document.getUnknownPackagePrefix(i)
        yield f"the package {prefix} of SBML Level 3, which is not known here", _BY_HAND


def _parts(model: Any) -> Iterator[tuple[str, str]]:
    """Events, algebraic rules, and what follows from them."""
    for i in range(model.getNumEvents()):
        event = model.getEvent(i)
        targets = [event.getEventAssignment(k).getVariable() for k in range(event.getNumEventAssignments())]
        name = event.getId() or event.getName() or str(i + 1)
        remedy = "a dose belongs into a regimen; " + _BY_HAND
        yield f"event {name}, which sets {', '.join(targets) or 'nothing'} at once", remedy
    for i in range(model.getNumRules()):
        if model.getRule(i).isAlgebraic():
            yield f"algebraic rule: 0 = {model.getRule(i).getFormula()}", "solve it for one of its variables"


def _volumes(model: Any) -> Iterator[tuple[str, str]]:
    """Compartments whose size changes or is not a number."""
    for i in range(model.getNumCompartments()):
        compartment = model.getCompartment(i)
        name = compartment.getId()
        if model.getRule(name) is not None:
            yield f"compartment {name} changes its size by a rule", _BY_HAND
        if model.getInitialAssignment(name) is not None:
            yield f"compartment {name} has its size by an initial assignment", "give it a number"
        if compartment.isSetSize() and not compartment.getSize() > 0:
            yield f"compartment {name} has the size {compartment.getSize():g}", "give it a size above 0"


def _reactions(model: Any) -> Iterator[tuple[str, str]]:
    """Fast reactions, reactions without a rate, and stoichiometries that are not numbers."""
    for i in range(model.getNumReactions()):
        reaction = model.getReaction(i)
        name = reaction.getId()
        if reaction.isSetFast() and reaction.getFast():
            yield f"reaction {name} is fast: in equilibrium at once", _BY_HAND
        if reaction.getKineticLaw() is None or reaction.getKineticLaw().getMath() is None:
            yield f"reaction {name} has no kinetic law", "give it a rate"
        for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]:
            species = reference.getSpecies()
            ruled = reference.isSetId() and (
                model.getRule(reference.getId()) is not None
                or model.getInitialAssignment(reference.getId()) is not None
            )
            if ruled or reference.isSetStoichiometryMath():
                yield f"reaction {name}: the stoichiometry of {species} is computed", "make it a number"
            if model.getLevel() > 2 and not (ruled or reference.isSetStoichiometry()):
                yield f"reaction {name}: no stoichiometry of {species}", "give it a number"


def _formulas(model: Any) -> Iterator[tuple[str, str]]:
    """Functions in formulas that no model file can have."""
    for where, node in _all_formulas(model):
        for name in foreign_functions(node):
            remedy = "the equations know no earlier time" if name == "delay" else _BY_HAND
            yield f"{where} uses {name}", remedy


def _all_formulas(model: Any) -> Iterator[tuple[str, Any]]:
    for i in range(model.getNumFunctionDefinitions()):
        function = model.getFunctionDefinition(i)
        if function.getBody() is not None:
            yield f"function {function.getId()}", function.getBody()
    for i in range(model.getNumRules()):
        rule = model.getRule(i)
        if rule.getMath() is not None:
            yield f"rule of {rule.getVariable() or 'no variable'}", rule.getMath()
    for i in range(model.getNumInitialAssignments()):
        assignment = model.getInitialAssignment(i)
        if assignment.getMath() is not None:
            yield f"initial assignment of {assignment.getSymbol()}", assignment.getMath()
    for i in range(model.getNumReactions()):
        reaction = model.getReaction(i)
        if reaction.getKineticLaw() is not None and reaction.getKineticLaw().getMath() is not None:
            yield f"reaction {reaction.getId()}", reaction.getKineticLaw().getMath()


def _missing_values(model: Any) -> Iterator[tuple[str, str]]:
    """Parameters, species and compartments that no number and no rule gives a value."""
    for kind, variable, has_value in _valued(model):
        name = variable.getId()
        rule = model.getRule(name)
        is_assigned = rule is not None and rule.isAssignment()
        if not (has_value or is_assigned or model.getInitialAssignment(name) is not None):
            yield f"{kind} {name} has no value", "give it one in the file"


def _valued(model: Any) -> Iterator[tuple[str, Any, bool]]:
    """Kind, variable and whether it has a number of its own."""
    for i in range(model.getNumParameters()):
        parameter = model.getParameter(i)
        yield "parameter", parameter, parameter.isSetValue() and parameter.getValue() == parameter.getValue()
    for i in range(model.getNumSpecies()):
        species = model.getSpecies(i)
        amount = species.isSetInitialAmount() and species.getInitialAmount() == species.getInitialAmount()
        concentration = species.isSetInitialConcentration()
        yield "species", species, amount or concentration
    for i in range(model.getNumCompartments()):
        compartment = model.getCompartment(i)
        if compartment.getSpatialDimensionsAsDouble() > 0:
            yield "compartment", compartment, compartment.isSetSize()


def _names(model: Any) -> Iterator[tuple[str, str]]:
    """Identifiers that are none: nothing of a file reaches the model file unless it is a plain word."""
    lists = [
        model.getListOfFunctionDefinitions(),
        model.getListOfParameters(),
        model.getListOfSpecies(),
        model.getListOfCompartments(),
        model.getListOfReactions(),
    ]
    for elements in lists:
        for element in elements:
            if not _SID.fullmatch(element.getId()):
                yield f"the identifier {element.getId()!r}", "use letters, digits and _"
