"""The text of a model file: an SBML model as a reader of this package's models expects it.

Every number is a parameter with its unit and its place in the file; sizes of compartments are constants above
the equations. The values are those of the file; priors and the scales of states are guesses, and say so.
"""

from __future__ import annotations

import builtins
import json
import keyword
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kinetics.errors import InputError, Problem
from kinetics.sbml.expressions import Formula, child_nodes, formula_text, names_in
from kinetics.sbml.reading import Constant, Reaction, ReactionModel, StateVariable

__all__ = ["PRIOR_SD", "model_source"]

PRIOR_SD = 0.5  # a guess: SD of log x of every prior
_SCALE = 1e-6  # a guess: the size of a state that no longer matters, as a share of its beginning
_LINE = 110  # characters of a line of the equations
_NAMES = {
    "jnp",
    "Model",
    "Output",
    "Parameter",
    "State",
    "LogNormal",
    "Normal",
    "STATES",
    "PARAMETERS",
    "OUTPUTS",
    "DOSING",
    "MODEL",
    "initial",
    "vector_field",
    "t",
    "y",
    "p",
    "build",
}


@dataclass
class _Names:
    """The Python name of each identifier of the file, and how a formula reads it."""

    model: ReactionModel
    python: dict[str, str] = field(default_factory=dict)
    initial: dict[str, str] = field(default_factory=dict)  # state -> its parameter for the beginning
    timed: set[str] = field(default_factory=set)  # assigned variables that depend on the time


def model_source(model: ReactionModel) -> str:
    """The model file as text. InputError for a model without a state, or with rules in a circle."""
    if not model.states:
        what = "nothing in the model changes: it has neither a rate rule nor a reaction"
        raise InputError(Problem(what, "name a model of equations", file=model.file))
    names = _names(model)
    circle = _circle(model)
    if circle:
        what = f"assignment rules in a circle: {' -> '.join(circle)}"
        raise InputError(Problem(what, "mend the file", file=model.file))
    equations = "\n\n\n".join(_equations(model, names))
    outputs = "\n".join(_outputs(model, names))
    body = [
        _states(model),
        _parameters(model, names),
        *_sizes(model, names, equations + outputs),
        "# SBML has no doses: the model begins from its initial values. Say here how a cell enters, as\n"
        '# {"iv": lambda p: {"STATE": 1 / volume}}.\nDOSING = {}',
    ]
    end = (
        "MODEL = Model(\n    STATES,\n    PARAMETERS,\n    OUTPUTS,\n    vector_field=vector_field,\n"
        "    initial=initial,\n    dosing=DOSING,\n)"
    )
    code = "\n\n".join(body) + "\n\n\n" + equations + "\n\n\n" + outputs + "\n\n" + end + "\n"
    return f"{_docstring(model, names)}\n\n{_imports(code)}\n\n{code}"


def _python_name(name: str) -> str:
    """The name as Python may have it: with an underscore where it means something else there."""
    taken = keyword.iskeyword(name) or name in _NAMES or hasattr(builtins, name)
    return f"{name}_" if taken else name


def _names(model: ReactionModel) -> _Names:
    names = _Names(model)
    identifiers = [
        *model.functions,
        *model.assigned,
        *model.states,
        *model.constants,
        *model.compartments,
        *(reaction.name for reaction in model.reactions),
    ]
    for name in identifiers:
        python = _python_name(name)
        while python in names.python.values() or (python != name and python in identifiers):
            python += "_"
        names.python[name] = python
    for name, state in model.states.items():
        if state.formula is None and state.value > 0:
            parameter = f"{name}_0"
            while parameter in model.constants:
                parameter += "_"
            names.initial[name] = parameter
    reads = {name: names_in(formula) for name, (_, _, formula) in model.assigned.items()}
    names.timed = {name for name, read in reads.items() if "" in read}
    while True:
        more = {name for name, read in reads.items() if read & names.timed} - names.timed
        if not more:
            return names
        names.timed |= more


def _circle(model: ReactionModel) -> list[str]:
    """The assigned variables of a circle of rules; [] where there is none."""
    reads = {
        name: names_in(formula) & set(model.assigned) for name, (_, _, formula) in model.assigned.items()
    }

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        for other in sorted(reads[name]):
            circle = walk(other, [*path, name])
            if circle:
                return circle
        return []

    return next((circle for name in reads if (circle := walk(name, []))), [])


# text of formulas


def _text(model: ReactionModel, names: _Names, formula: Formula, arguments: Mapping[str, str] = {}) -> str:
    """A formula as it stands in the equations; `arguments` are those of a function definition."""

    def name_text(name: str) -> str:
        if name in arguments:
            return arguments[name]
        if name in model.assigned:
            return f"{names.python[name]}({'t, y, p' if name in names.timed else 'y, p'})"
        if name in model.states:
            return f"y[{json.dumps(name)}]"
        if name in model.constants:
            formula = model.constants[name].formula
            if formula is None:
                return f"p[{json.dumps(name)}]"
            return f"{names.python[name]}(p)"
        return names.python[name]

    return formula_text(formula, name_text, _time_text(model))


def _time_text(model: ReactionModel) -> str:
    return "t" if model.days == 1 else "(t / DAYS)"


def _initial_text(model: ReactionModel, names: _Names, formula: Formula) -> str:
    """A formula at the beginning, from parameters alone: the time is 0, and a state has its initial value."""

    def name_text(name: str) -> str:
        if name in model.assigned:
            return f"({_initial_text(model, names, model.assigned[name][2])})"
        if name in model.states:
            return f"({_initial_value_text(model, names, model.states[name])})"
        if name in model.constants and model.constants[name].formula is not None:
            return f"{names.python[name]}(p)"
        if name in model.constants:
            return f"p[{json.dumps(name)}]"
        return names.python[name]

    return formula_text(formula, name_text, "0.0")


def _initial_value_text(model: ReactionModel, names: _Names, state: StateVariable) -> str:
    if state.formula is not None:
        return _initial_text(model, names, state.formula)
    if state.name in names.initial:
        return f"p[{json.dumps(names.initial[state.name])}]"
    return repr(state.value)


# parts of the file


def _docstring(model: ReactionModel, names: _Names) -> str:
    """What the model is, where it is from, and what whoever uses it must know."""
    lines = [f"{_plain(model.title)}.", "", f"Read from the SBML file {_plain(model.file)}."]
    lines += [f"{model.level}, model {_plain(model.name)}."]
    lines += [f"Described by {_plain(address)}." for address in model.described_by]
    lines += [""]
    notes = [
        "Values are the file's. Every prior, and the scale of every state, is a guess.",
        "The file has no doses and no assays: the outputs are its states and its assigned variables.",
    ]
    if model.days != 1:
        notes.append(
            f"The file's unit of time is {model.time_unit}: parameters keep it, and the equations turn it"
            " into days."
        )
    formulas = [*(f for _, _, f in model.assigned.values()), *(r.rate for r in model.reactions)]
    formulas += [state.rate for state in model.states.values() if state.rate is not None]
    if any(_is_piecewise(formula) for formula in [*formulas, *(f for _, f in model.functions.values())]):
        notes.append(
            "The equations are in pieces (jnp.where): a slope jumps where a condition changes. The solver of"
            " fits steps over a jump at its usual tolerances; at tighter ones it gives up there, and what is"
            " later is missing. The gradient of the day of a jump is 0, so no fit can move it. Put a smooth"
            " gate there, as models/chaudhury_2020.py does, before you fit it."
        )
    hidden = sorted(names.timed)
    if hidden:
        notes.append(f"No output, because it depends on the time itself: {', '.join(hidden)}.")
    notes += [f"{note[0].upper()}{note[1:]}." for note in model.notes]
    text = "\n".join(lines)
    text += "\n".join(textwrap.fill(note, 108) for note in notes)
    return '"""' + text + '\n"""'


def _plain(text: str) -> str:
    """A text of the file for a docstring: on one line, without what would end the string."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def _is_piecewise(formula: Formula) -> bool:
    return "piecewise" in (formula.getOperatorName() or formula.getName() or "") or any(
        _is_piecewise(child) for child in child_nodes(formula)
    )


def _imports(code: str) -> str:
    """The imports that the code uses."""
    names = ("LogNormal", "Model", "Normal", "Output", "Parameter", "State")
    kinds = [name for name in names if re.search(rf"\b{name}\(", code)]
    lines = [f"from kinetics import {', '.join(kinds)}"]
    if "jnp." in code:
        lines = ["import jax.numpy as jnp", "", *lines]
    return "\n".join(lines)


def _states(model: ReactionModel) -> str:
    lines = ["STATES = {"]
    for state in model.states.values():
        scale = _SCALE * _size_of(model, state)
        text = ", ".join(
            [
                json.dumps(_plain(state.title), ensure_ascii=False),
                json.dumps(state.unit),
                f"site={json.dumps(state.compartment or 'body')}",
                f"scale={scale:.3g}",
            ]
        )
        note = f"  # {_plain(state.unit_note)}" if state.unit_note else ""
        lines.append(f"    {json.dumps(state.name)}: State({text}),{note}")
    return "\n".join([*lines, "}"])


def _size_of(model: ReactionModel, state: StateVariable) -> float:
    """How large a state is: at its beginning, or as the largest of its unit begins, or 1."""
    if state.value > 0:
        return state.value
    values = [other.value for other in model.states.values() if other.unit == state.unit and other.value > 0]
    return max(values, default=1.0)


def _parameters(model: ReactionModel, names: _Names) -> str:
    lines = ["PARAMETERS = {"]
    for constant in model.constants.values():
        if constant.formula is None:
            lines.append(_parameter(model, constant.name, constant, constant.value, ""))
    for name, parameter in names.initial.items():
        state = model.states[name]
        lines.append(_parameter(model, parameter, state, state.value, "initial value of "))
    return "\n".join([*lines, "}"])


def _parameter(
    model: ReactionModel, name: str, variable: Constant | StateVariable, value: float, what: str
) -> str:
    """The line of one parameter; one that is not above 0 has a normal prior."""
    note = f"; {variable.unit_note}" if variable.unit_note else ""
    source = _plain(f"{model.file}, {what}{variable.name}{note}; prior a guess")
    if value > 0:
        prior = f"LogNormal({value!r}, {PRIOR_SD})"
    else:
        prior = f"Normal({value!r}, {max(abs(value) * PRIOR_SD, PRIOR_SD)!r})"
    held = ", held=True" if not value > 0 else ""
    return (
        f"    {json.dumps(name)}: Parameter({value!r}, {json.dumps(variable.unit)}, {prior}, "
        f"source={json.dumps(source, ensure_ascii=False)}{held}),"
    )


def _sizes(model: ReactionModel, names: _Names, code: str) -> Iterator[str]:
    """Constants of the equations: sizes of compartments that they name, and the file's unit of time."""
    lines = []
    for name, size in model.compartments.items():
        if any(f"{names.python[name]}{mark}" in code for mark in (" ", ")", ",", "\n")):
            unit = size.unit_note or size.unit
            lines.append(f"{names.python[name]} = {size.value!r}  # {_plain(unit)}: size of the compartment")
    if model.days != 1:
        lines.append(f"DAYS = {model.days!r}  # the file's unit of time, {model.time_unit}, in days")
    if lines:
        yield "\n".join(lines)


def _equations(model: ReactionModel, names: _Names) -> Iterator[str]:
    """The functions of the file, the beginning, and the slopes."""
    for name, (arguments, body) in model.functions.items():
        inner = {argument: _python_name(argument) for argument in arguments}
        text = _text(model, names, body, inner)
        yield f"def {names.python[name]}({', '.join(inner.values())}):\n    return {text}"
    for name, constant in model.constants.items():
        if constant.formula is not None:
            text = _initial_text(model, names, constant.formula)
            yield f"def {names.python[name]}(p):\n    return {text}"
    for name, (_, _, formula) in model.assigned.items():
        arguments_text = "t, y, p" if name in names.timed else "y, p"
        yield f"def {names.python[name]}({arguments_text}):\n    return {_text(model, names, formula)}"
    begins = [
        f"        {json.dumps(name)}: {_initial_value_text(model, names, state)},"
        for name, state in model.states.items()
    ]
    yield "\n".join(["def initial(p):", "    return {", *begins, "    }"])
    yield _field(model, names)


def _field(model: ReactionModel, names: _Names) -> str:
    """The slopes of all states: a rate rule, or the sum of the reactions."""
    lines = ["def vector_field(t, y, p):"]
    per_volume = {r.name: _volume(model, r) for r in model.reactions}
    for reaction in model.reactions:
        if reaction.changes:
            volume = per_volume[reaction.name]
            rate = _rate_text(model, names, reaction, volume)
            lines += _folded(f"    {names.python[reaction.name]} = ", rate, "")
    lines.append("    return {")
    for name, state in model.states.items():
        if state.rate is not None:
            slope = _text(model, names, state.rate)
        else:
            slope = _sum_of_reactions(model, names, state, per_volume)
        if model.days != 1:
            slope = f"({slope}) / DAYS"
        lines += _folded(f"        {json.dumps(name)}: ", slope, ",")
    return "\n".join([*lines, "    }"])


def _folded(before: str, text: str, after: str) -> list[str]:
    """The lines of an assignment; a call that is too long for one has each argument on its own."""
    arguments = _arguments(text)
    if len(before) + len(text) + len(after) <= _LINE or not arguments:
        return [f"{before}{text}{after}"]
    indent = " " * (len(before) - len(before.lstrip()))
    lines = [f"{before}{text[: text.index('(')]}("]
    for argument in arguments:
        lines += _folded(f"{indent}    ", argument, ",")
    return [*lines, f"{indent}){after}"]


def _arguments(text: str) -> list[str]:
    """The arguments of a text that is one call; [] for another."""
    call = re.match(r"[\w.]+\(", text)
    if call is None:
        return []
    depth = 1
    begin = call.end()
    arguments = []
    for place in range(call.end(), len(text)):
        if text[place] in "([":
            depth += 1
        elif text[place] in ")]":
            depth -= 1
        if depth == 0:
            return [*arguments, text[begin:place].strip()] if place == len(text) - 1 else []
        if depth == 1 and text[place] == ",":
            arguments.append(text[begin:place].strip())
            begin = place + 1
    return []


def _volume(model: ReactionModel, reaction: Reaction) -> str:
    """The compartment that is a factor of a rate, where all that the reaction changes are concentrations
    there; else "".
    """
    volumes = {model.states[name].volume for name in reaction.changes}
    if len(volumes) != 1:
        return ""
    volume = volumes.pop()
    has_factor = volume and _place_of_factor(reaction.rate, volume) is not None
    return volume if has_factor else ""


def _place_of_factor(formula: Formula, name: str) -> tuple[Formula, int] | None:
    """The product, and the place in it, at which a name is a factor of the whole formula."""
    if formula.getOperatorName() != "times" or formula.getNumChildren() < 2:
        return None
    for place, factor in enumerate(child_nodes(formula)):
        if factor.isName() and factor.getName() == name:
            return formula, place
        inner = _place_of_factor(factor, name)
        if inner is not None:
            return inner
    return None


def _rate_text(model: ReactionModel, names: _Names, reaction: Reaction, volume: str) -> str:
    """The rate of a reaction, in concentration where its volume was taken out."""
    if not volume:
        return _text(model, names, reaction.rate)
    rate = reaction.rate.deepCopy()
    factor = _place_of_factor(rate, volume)
    assert factor is not None
    product, place = factor
    product.removeChild(place)
    return _text(model, names, rate)


def _sum_of_reactions(
    model: ReactionModel, names: _Names, state: StateVariable, per_volume: Mapping[str, str]
) -> str:
    """What the reactions add to a state, with their signs."""
    whole: list[tuple[float, str]] = []
    for reaction in model.reactions:
        change = reaction.changes.get(state.name)
        if change is not None:
            text = names.python[reaction.name]
            if state.volume and not per_volume[reaction.name]:
                text += f" / {names.python[state.volume]}"
            if state.conversion:
                text += f" * p[{json.dumps(state.conversion)}]"
            whole.append((change, text))
    text = ""
    for change, term in whole:
        size = abs(change)
        number = "" if size == 1 else f"{int(size) if math.floor(size) == size else repr(size)} * "
        if not text:
            text = f"{'-' if change < 0 else ''}{number}{term}"
        else:
            text += f" {'-' if change < 0 else '+'} {number}{term}"
    return text


def _outputs(model: ReactionModel, names: _Names) -> Iterator[str]:
    yield "OUTPUTS = {"
    for name, state in model.states.items():
        label = json.dumps(_plain(state.title), ensure_ascii=False)
        key = json.dumps(name)
        yield f"    {key}: Output(lambda y, p: y[{key}], {json.dumps(state.unit)}, {label}),"
    for name, (title, unit, _) in model.assigned.items():
        if name not in names.timed:
            label = json.dumps(_plain(title), ensure_ascii=False)
            yield f"    {json.dumps(name)}: Output({names.python[name]}, {json.dumps(unit)}, {label}),"
    yield "}"
