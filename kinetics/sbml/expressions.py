"""A formula of SBML, as libsbml has parsed it, written as Python over `jnp`.

Precedence is that of Python, so that a formula has the parentheses it needs and no others. A function that is
not in the tables below is refused by name before anything is written.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

__all__ = ["Formula", "child_nodes", "foreign_functions", "formula_text", "names_in"]

Formula = Any  # libsbml.ASTNode

# precedence, from weak to strong
_COMPARISON = 1
_SUM = 2
_PRODUCT = 3
_SIGN = 4
_POWER = 5
_ATOM = 6

# MathML's element -> the function of jax.numpy with the same meaning
_FUNCTIONS = {
    "abs": "jnp.abs",
    "exp": "jnp.exp",
    "ln": "jnp.log",
    "ceil": "jnp.ceil",
    "ceiling": "jnp.ceil",
    "floor": "jnp.floor",
    "sin": "jnp.sin",
    "cos": "jnp.cos",
    "tan": "jnp.tan",
    "sinh": "jnp.sinh",
    "cosh": "jnp.cosh",
    "tanh": "jnp.tanh",
    "arcsin": "jnp.arcsin",
    "arccos": "jnp.arccos",
    "arctan": "jnp.arctan",
    "arcsinh": "jnp.arcsinh",
    "arccosh": "jnp.arccosh",
    "arctanh": "jnp.arctanh",
}
_FOLDED = {"max": "jnp.maximum", "min": "jnp.minimum"}
_COMPARISONS = {"lt": "<", "leq": "<=", "gt": ">", "geq": ">=", "eq": "==", "neq": "!="}
_LOGICAL = {"and": "jnp.logical_and", "or": "jnp.logical_or", "xor": "jnp.logical_xor"}
_STRUCTURE = {
    "plus",
    "minus",
    "times",
    "divide",
    "power",
    "log",
    "root",
    "piecewise",
    "not",
    "number",
    "name",
    "time",
    "avogadro",
    "pi",
    "e",
    "true",
    "false",
    "call",
}
_AVOGADRO = "6.02214179e23"  # the value of the SBML Level 3 specification, section 3.4.6 (CODATA 2006)


def _kinds() -> dict[int, str]:
    """The kind of node for each of libsbml's types that this module writes."""
    sbml = importlib.import_module("libsbml")
    kinds = {
        sbml.AST_PLUS: "plus",
        sbml.AST_MINUS: "minus",
        sbml.AST_TIMES: "times",
        sbml.AST_DIVIDE: "divide",
        sbml.AST_POWER: "power",
        sbml.AST_FUNCTION_POWER: "power",
        sbml.AST_FUNCTION_LOG: "log",
        sbml.AST_FUNCTION_ROOT: "root",
        sbml.AST_FUNCTION_PIECEWISE: "piecewise",
        sbml.AST_LOGICAL_NOT: "not",
        sbml.AST_INTEGER: "number",
        sbml.AST_REAL: "number",
        sbml.AST_REAL_E: "number",
        sbml.AST_RATIONAL: "number",
        sbml.AST_NAME: "name",
        sbml.AST_NAME_TIME: "time",
        sbml.AST_NAME_AVOGADRO: "avogadro",
        sbml.AST_CONSTANT_PI: "pi",
        sbml.AST_CONSTANT_E: "e",
        sbml.AST_CONSTANT_TRUE: "true",
        sbml.AST_CONSTANT_FALSE: "false",
        sbml.AST_FUNCTION: "call",
    }
    named = [*_FUNCTIONS, *_FOLDED]
    for name in named:
        code = getattr(sbml, f"AST_FUNCTION_{name.upper()}", None)
        if code is not None:
            kinds[code] = name
    kinds |= {getattr(sbml, f"AST_RELATIONAL_{name.upper()}"): name for name in _COMPARISONS}
    kinds |= {getattr(sbml, f"AST_LOGICAL_{name.upper()}"): name for name in _LOGICAL}
    return kinds


def child_nodes(node: Formula) -> list[Formula]:
    """The arguments of a node."""
    return [node.getChild(i) for i in range(node.getNumChildren())]


def _all_nodes(node: Formula) -> Iterator[Formula]:
    yield node
    for child in child_nodes(node):
        yield from _all_nodes(child)


def names_in(node: Formula) -> set[str]:
    """The identifiers that a formula reads; `time` is among them as "" where it reads the time."""
    kinds = _kinds()
    names = set()
    for part in _all_nodes(node):
        kind = kinds.get(part.getType())
        if kind == "name":
            names.add(part.getName())
        elif kind == "time":
            names.add("")
    return names


def foreign_functions(node: Formula) -> list[str]:
    """The functions of a formula that Python's formula cannot have, by MathML's names, each once."""
    kinds = _kinds()
    sbml = importlib.import_module("libsbml")
    names = []
    for part in _all_nodes(node):
        if part.getType() not in kinds:
            if part.getType() == sbml.AST_FUNCTION_DELAY:
                name = "delay"
            else:
                name = part.getOperatorName() or part.getName() or f"node {part.getType()}"
            names.append(str(name))
    return list(dict.fromkeys(names))


def formula_text(node: Formula, name_text: Callable[[str], str], time_text: str) -> str:
    """The formula as Python.

    `name_text` gives the text of an identifier or of a function that is called; it must be an atom (a name, a
    call or a subscript). `time_text` is that of the time.
    """
    kinds = _kinds()

    def text_of(node: Formula, weakest: int) -> str:
        """The text of a node, in parentheses where it binds weaker than `weakest`."""
        text, strength = written(node)
        return f"({text})" if strength < weakest else text

    def written(node: Formula) -> tuple[str, int]:
        kind = kinds[node.getType()]
        arguments = child_nodes(node)
        if kind == "number":
            return _number(node)
        if kind == "name":
            return name_text(node.getName()), _ATOM
        if kind == "call":
            inside = ", ".join(text_of(child, _COMPARISON) for child in arguments)
            return f"{name_text(node.getName())}({inside})", _ATOM
        if kind == "plus":
            return _sum(arguments)
        if kind == "minus" and len(arguments) == 1:
            return f"-{text_of(arguments[0], _SIGN)}", _SIGN
        if kind == "minus":
            return f"{text_of(arguments[0], _SUM)} - {text_of(arguments[1], _PRODUCT)}", _SUM
        if kind == "times":
            if not arguments:
                return "1.0", _ATOM
            factors = [text_of(arguments[0], _PRODUCT), *(text_of(child, _SIGN) for child in arguments[1:])]
            return " * ".join(factors), _PRODUCT if len(factors) > 1 else written(arguments[0])[1]
        if kind == "divide":
            return f"{text_of(arguments[0], _PRODUCT)} / {text_of(arguments[1], _SIGN)}", _PRODUCT
        if kind == "power":
            return f"{text_of(arguments[0], _ATOM)} ** {text_of(arguments[1], _SIGN)}", _POWER
        if kind in _COMPARISONS:
            return _chain(arguments, _COMPARISONS[kind])
        if kind == "piecewise":
            return _pieces(arguments), _ATOM
        return _function(kind, arguments)

    def _sum(arguments: list[Formula]) -> tuple[str, int]:
        if not arguments:
            return "0.0", _ATOM
        terms = [text_of(arguments[0], _SUM), *(text_of(child, _PRODUCT) for child in arguments[1:])]
        return " + ".join(terms), _SUM if len(terms) > 1 else written(arguments[0])[1]

    def _chain(arguments: list[Formula], sign: str) -> tuple[str, int]:
        """A comparison of two or more values: a <= b <= c holds where each pair does."""
        texts = [text_of(child, _SUM) for child in arguments]
        pairs = [f"{left} {sign} {right}" for left, right in pairwise(texts)]
        if len(pairs) == 1:
            return pairs[0], _COMPARISON
        return _nested("jnp.logical_and", pairs), _ATOM

    def _pieces(arguments: list[Formula]) -> str:
        """Values and conditions in turn, and last the value where no condition holds."""
        texts = [text_of(child, _COMPARISON) for child in arguments]
        text = texts.pop() if len(texts) % 2 else "jnp.nan"  # without `otherwise` nothing is defined there
        while texts:
            condition = texts.pop()
            value = texts.pop()
            text = f"jnp.where({condition}, {value}, {text})"
        return text

    def _function(kind: str, arguments: list[Formula]) -> tuple[str, int]:
        texts = [text_of(child, _COMPARISON) for child in arguments]
        constants = {"pi": "jnp.pi", "e": "jnp.e", "true": "True", "false": "False", "avogadro": _AVOGADRO}
        if kind == "time":
            return time_text, _ATOM
        if kind in constants:
            return constants[kind], _ATOM
        if kind == "log":
            base = texts[0] if len(texts) > 1 else "10"
            if base in ("10", "10.0"):
                return f"jnp.log10({texts[-1]})", _ATOM
            return f"jnp.log({texts[-1]}) / jnp.log({base})", _PRODUCT
        if kind == "root":
            degree = texts[0] if len(texts) > 1 else "2"
            if degree in ("2", "2.0"):
                return f"jnp.sqrt({texts[-1]})", _ATOM
            return f"{text_of(arguments[-1], _ATOM)} ** (1 / {text_of(arguments[0], _SIGN)})", _POWER
        if kind == "not":
            return f"jnp.logical_not({texts[0]})", _ATOM
        if kind in _LOGICAL:
            return _nested(_LOGICAL[kind], texts), _ATOM
        if kind in _FOLDED:
            return _nested(_FOLDED[kind], texts), _ATOM
        return f"{_FUNCTIONS[kind]}({', '.join(texts)})", _ATOM

    return text_of(node, _COMPARISON)


def _nested(function: str, texts: list[str]) -> str:
    """A function of two arguments over one or more."""
    text = texts[0]
    for other in texts[1:]:
        text = f"{function}({text}, {other})"
    return text


def _number(node: Formula) -> tuple[str, int]:
    """A number with every digit; one below 0 binds as a sign does."""
    if node.isInteger():
        text = str(node.getInteger())
    elif node.isRational():
        return f"{node.getNumerator()} / {node.getDenominator()}", _PRODUCT
    else:
        value = float(node.getReal())
        if value != value:
            return "jnp.nan", _ATOM
        if value in (float("inf"), float("-inf")):
            return ("jnp.inf", _ATOM) if value > 0 else ("-jnp.inf", _SIGN)
        text = repr(value)
    return text, _SIGN if text.startswith("-") else _ATOM
