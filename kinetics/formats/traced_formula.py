"""A model's function, traced by JAX, as assignments of another program's language.

The function is traced with numbers of one element, so that every operation on shapes is nothing. What is left
are sums, products, powers and a few functions, each of which NM-TRAN and Mlxtran have. Any other operation is
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

__all__ = ["MLXTRAN", "NM_TRAN", "SBML", "Dialect", "Translation", "UntranslatableError", "translated"]

_LONG = 50  # characters of a term that gets a name of its own


class UntranslatableError(ValueError):
    """An operation that the other program's language does not have."""


@dataclass(frozen=True)
class Dialect:
    """How a language writes powers, functions, comparisons and a choice between two values."""

    power: str
    functions: Mapping[str, str]
    comparisons: Mapping[str, str]
    both: str
    either: str
    negation: str
    choice: Callable[[str, str, str, str], list[str]]


def _nm_tran_choice(name: str, condition: str, yes: str, no: str) -> list[str]:
    return [f"{name} = {no}", f"IF ({condition}) {name} = {yes}"]


def _mlxtran_choice(name: str, condition: str, yes: str, no: str) -> list[str]:
    return [f"if {condition}", f"  {name} = {yes}", "else", f"  {name} = {no}", "end"]


_FUNCTIONS = ("exp", "log", "sqrt", "abs", "sin", "cos", "tan", "tanh")
NM_TRAN = Dialect(
    power="**",
    functions={name: name.upper() for name in _FUNCTIONS},
    comparisons={"lt": ".LT.", "le": ".LE.", "gt": ".GT.", "ge": ".GE.", "eq": ".EQ.", "ne": ".NE."},
    both=".AND.",
    either=".OR.",
    negation=".NOT.",
    choice=_nm_tran_choice,
)
MLXTRAN = Dialect(
    power="^",
    functions={name: name for name in _FUNCTIONS},
    comparisons={"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="},
    both="&",
    either="|",
    negation="!",
    choice=_mlxtran_choice,
)
SBML = Dialect(  # as libsbml reads a formula: its `log` is to the base of ten
    power="^",
    functions={name: "ln" if name == "log" else name for name in _FUNCTIONS},
    comparisons={"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="},
    both="&&",
    either="||",
    negation="!",
    choice=lambda name, condition, yes, no: [f"{name} = piecewise({yes}, {condition}, {no})"],
)


@dataclass(frozen=True)
class Translation:
    """The `lines` of assignments, and the text of every value of the function, by name."""

    lines: tuple[str, ...]
    values: Mapping[str, str]


def translated(
    function: Callable[..., Mapping[str, Any]],
    arguments: tuple[Any, ...],
    texts: tuple[Any, ...],
    dialect: Dialect,
    prefix: str,
) -> Translation:
    """The function as assignments.

    `arguments` are shapes of one element, `texts` the same structure with the text of each argument. The
    names that are made begin with `prefix`. UntranslatableError names an operation without a translation.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    writer = _Writer(dialect, prefix)
    leaves = jax.tree.leaves(texts)
    results = writer.run(closed.jaxpr, closed.consts, [_Term(text) for text in leaves])
    names, structure = jax.tree.flatten(shapes)
    values = jax.tree.unflatten(structure, [writer.plain(term) for term in results])
    assert len(names) == len(results)
    return Translation(tuple(writer.lines), dict(values))


@dataclass(frozen=True)
class _Term:
    """A text, and how strongly it binds: 1 sums, 2 products, 3 signs and powers, 4 names and calls."""

    text: str
    strength: int = 4

    def at(self, weakest: int) -> str:
        return self.text if self.strength >= weakest else f"({self.text})"


_NOTHING = {
    "broadcast_in_dim",
    "reshape",
    "squeeze",
    "convert_element_type",
    "copy",
    "stop_gradient",
    "reduce_sum",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "expand_dims",
    "copy_p",
    "slice",
    "cumsum",
    "device_put",
    "optimization_barrier",
    "transpose",
}
_INNER = {"pjit", "jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint"}


@dataclass
class _Writer:
    """Assignments as they are made."""

    dialect: Dialect
    prefix: str
    lines: list[str] = field(default_factory=list)
    made: int = 0

    def run(self, jaxpr: Any, consts: list[Any], inputs: list[_Term]) -> list[_Term]:
        """The terms of what a traced function returns."""
        terms: dict[Any, _Term] = dict(zip(jaxpr.invars, inputs, strict=True))
        terms |= {v: _number(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}
        uses = _uses(jaxpr)

        def term_of(variable: Any) -> _Term:
            if hasattr(variable, "val"):
                return _number(variable.val)
            return terms[variable]

        for equation in jaxpr.eqns:
            arguments = [term_of(variable) for variable in equation.invars]
            results = self.equation(equation, arguments)
            for variable, result in zip(equation.outvars, results, strict=True):
                term = result
                is_condition = variable.aval.dtype == bool
                if not is_condition and (
                    len(term.text) > _LONG or (uses.get(variable, 0) > 1 and term.strength < 4)
                ):
                    term = self.named(term)
                terms[variable] = term
        return [term_of(variable) for variable in jaxpr.outvars]

    def named(self, term: _Term) -> _Term:
        """A name for a term, which is assigned to it."""
        name = self.name()
        self.lines.append(f"{name} = {term.text}")
        return _Term(name)

    def name(self) -> str:
        self.made += 1
        return f"{self.prefix}{self.made}"

    def plain(self, term: _Term) -> str:
        return term.text

    def equation(self, equation: Any, arguments: list[_Term]) -> list[_Term]:
        """The terms of one operation."""
        name = equation.primitive.name
        for variable in equation.outvars:
            if int(np.prod(variable.aval.shape)) != 1:
                raise UntranslatableError(f"{name} of several numbers")
        if name in _INNER:
            inner = next(
                equation.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in equation.params
            )
            if hasattr(inner, "jaxpr"):
                return self.run(inner.jaxpr, list(inner.consts), arguments)
            return self.run(inner, [], arguments)
        if name in _NOTHING:
            return [arguments[0]]
        return [self.operation(name, equation.params, arguments)]

    def operation(self, name: str, parameters: Mapping[str, Any], arguments: list[_Term]) -> _Term:
        """The term of an operation on numbers."""
        d = self.dialect
        a = arguments[0]
        b = arguments[-1]
        if name in ("add", "add_any"):
            return _Term(f"{a.at(1)} + {b.at(2)}", 1)
        if name == "sub":
            return _Term(f"{a.at(1)} - {b.at(2)}", 1)
        if name == "mul":
            return _Term(f"{a.at(2)}*{b.at(3)}", 2)
        if name == "div":
            return _Term(f"{a.at(2)}/{b.at(4)}", 2)
        if name == "neg":
            return _Term(f"-{a.at(3)}", 1)
        if name == "pow":
            return _Term(f"{a.at(4)}{d.power}{b.at(4)}", 3)
        if name in ("integer_pow", "square"):
            exponent = parameters["y"] if name == "integer_pow" else 2
            text = str(exponent) if exponent >= 0 else f"({exponent})"
            return _Term(f"{a.at(4)}{d.power}{text}", 3)
        if name in d.functions:
            return _Term(f"{d.functions[name]}({a.text})")
        if name == "logistic":
            return _Term(f"1/(1 + {d.functions['exp']}(-{a.at(3)}))", 2)
        if name == "expm1":
            return _Term(f"{d.functions['exp']}({a.text}) - 1", 1)
        if name == "log1p":
            return _Term(f"{d.functions['log']}(1 + {a.at(2)})")
        if name in d.comparisons:
            return _Term(f"{a.at(1)} {d.comparisons[name]} {b.at(1)}", 0)
        if name in ("and", "or"):
            return _Term(f"({a.text}) {d.both if name == 'and' else d.either} ({b.text})", 0)
        if name == "not":
            return _Term(f"{d.negation}({a.text})", 0)
        return self.choice(name, arguments)

    def choice(self, name: str, arguments: list[_Term]) -> _Term:
        """The term of a choice between values: where, max, min and clip."""
        d = self.dialect
        if name == "select_n" and len(arguments) == 3:
            which, no, yes = arguments
            return self.chosen(which.text, yes, no)
        if name in ("max", "min"):
            left, right = arguments
            sign = d.comparisons["gt" if name == "max" else "lt"]
            return self.chosen(f"{left.at(1)} {sign} {right.at(1)}", left, right)
        if name == "clamp":
            least, value, most = arguments
            above = self.choice("max", [value, least])
            return self.choice("min", [above, most])
        raise UntranslatableError(name)

    def chosen(self, condition: str, yes: _Term, no: _Term) -> _Term:
        name = self.name()
        self.lines += self.dialect.choice(name, condition, yes.text, no.text)
        return _Term(name)


def _uses(jaxpr: Any) -> dict[Any, int]:
    """How often each variable is read."""
    counts: dict[Any, int] = {}
    for variable in _read(jaxpr):
        counts[variable] = counts.get(variable, 0) + 1
    return counts


def _read(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield from (v for v in equation.invars if not hasattr(v, "val"))
    yield from (v for v in jaxpr.outvars if not hasattr(v, "val"))


def _number(value: Any) -> _Term:
    """A number with every digit; one below 0 binds as a sum does."""
    array = np.asarray(value)
    if array.size != 1:
        raise UntranslatableError("a table of numbers")
    number = float(array.reshape(()))
    if not np.isfinite(number):
        raise UntranslatableError(f"the number {number}")
    text = str(int(number)) if number.is_integer() and abs(number) < 1e6 else repr(number)
    return _Term(text, 1 if number < 0 else 4)
