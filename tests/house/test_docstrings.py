"""Every public name says what it is, its units, shapes and errors, and shows a use of it that is run.

What the reference shows is public (`docs/generate/reference.py`): the names of the root, the figures, the
dose rules and the tables of a TOML, each class with its own methods and properties.
"""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kinetics as kn
from docs.generate.reference import ARGUMENTS, names_by_layer
from kinetics.inference.fitting import Fit
from kinetics.plan.plan import plan_of, read_plan
from tests.support.fits import cart_fit, prior_fit, theophylline_fit

ROOT = Path(__file__).parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Sampling for minutes: nobody wants to wait for these.
SKIPPED = {
    "kinetics.inference.fit": 1,
    "kinetics.inference.resume": 2,
    "kinetics.checks.sbc": 1,
    "kinetics.plot.plot_sbc": 2,
}
NUMBER = re.compile(r"\bfloat\b|Float\[|Int\[|ndarray|Array")
UNIT = re.compile(
    r"\[[^\]]+\]|\bdays?\b|\bcells\b|\bmg\b|%|\bP\(|\bprobabilit|\bshares?\b|\brates?\b|\b0 to 1|"
    r"\bSDs?\b|\bsd\b|\bratios?\b|\bunits?\b|\bmean\b|\bmedian\b|\bnumber|\bgrade"
)
SAYS_UNIT = re.compile(r"days?|_kg|_mm|mg|cells|minutes|level$")  # in a name
ROWS = re.compile(r"\brows?\b|\bcolumns?\b|: `?\w+`?(, | [\[(])")
SHAPE = re.compile(r"\(\w+, ?(\w+|\.\.\.)?\)|\w+ x \w+")


def public() -> dict[str, Any]:
    """Dotted name -> object, of all classes and functions that the reference shows."""
    names = [name for public in names_by_layer().values() for name in public]
    values = {n: getattr(importlib.import_module(n.rpartition(".")[0]), n.rpartition(".")[2]) for n in names}
    return {name: value for name, value in values.items() if callable(value)}


def members(value: type) -> dict[str, FunctionType]:
    """The public methods and properties that a class defines itself, as functions."""
    found = {}
    for name, member in vars(value).items():
        if isinstance(member, property):
            member = member.fget
        elif isinstance(member, cached_property):
            member = member.func
        member = getattr(member, "__func__", member)
        if inspect.isfunction(member) and not name.startswith("_"):
            found[name] = member
    return found


PUBLIC = public()
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
NOUNS = {value.__name__ for value in CLASSES.values()}


def own_doc(value: Any) -> str:
    return (vars(value).get("__doc__") or "") if inspect.isclass(value) else (value.__doc__ or "")


def prose(doc: str) -> str:
    """A docstring without its example."""
    return doc.partition(">>> ")[0]


def whole(value: type) -> str:
    """The prose of a class and of all its members."""
    return "\n".join(prose(own_doc(v)) for v in (value, *members(value).values()))


def functions() -> Iterator[tuple[str, FunctionType, str]]:
    """(name, function, what is said of it) of every public function, and of every method with its class."""
    for name, value in PUBLIC.items():
        if inspect.isclass(value):
            yield from ((f"{name}.{k}", f, whole(value)) for k, f in members(value).items())
        else:
            yield name, value, prose(own_doc(value))


def undocumented() -> list[str]:
    pairs = [*PUBLIC.items(), *((f"{n}.{k}", f) for n, c in CLASSES.items() for k, f in members(c).items())]
    return [name for name, value in pairs if len(prose(own_doc(value)).split()) < 2]


def unshown() -> list[str]:
    """Names without an example, and members that neither their own nor their class's example uses."""
    found = [name for name, value in PUBLIC.items() if ">>> " not in own_doc(value)]
    for name, value in CLASSES.items():
        shown = own_doc(value) + "".join(d for f in members(value).values() if ">>> " in (d := own_doc(f)))
        example = shown[shown.find(">>> ") :] if ">>> " in shown else ""
        found += [f"{name}.{k}" for k in members(value) if not re.search(rf"\.{k}\b", example)]
    return found


def of_a_public_class(annotation: object) -> bool:
    return bool(NOUNS & set(re.findall(r"\w+", str(annotation))))


def unexplained(name: str, value: FunctionType, said: str) -> list[str]:
    """Arguments that are neither explained, nor of a class that is, nor the same everywhere."""
    arguments = [p for p in inspect.signature(value).parameters.values() if p.name not in ("self", "cls")]
    return [
        f"{name}: {p.name}"
        for p in arguments
        if not re.search(rf"\b{p.name}\b", said)
        and p.name not in ARGUMENTS
        and not of_a_public_class(p.annotation)
    ]


def fields_unexplained() -> list[str]:
    """Numbers, arrays and tables of a dataclass that its docstring does not name."""
    return [
        f"{name}: {field.name}"
        for name, value in CLASSES.items()
        if dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
        if field.init and re.search(NUMBER.pattern + "|DataFrame", str(field.type))
        if not re.search(rf"\b{field.name}\b", prose(own_doc(value))) and field.name not in ARGUMENTS
    ]


def without_unit(name: str, value: FunctionType, said: str) -> list[str]:
    """A function that takes or gives numbers and has no word on their unit."""
    signature = inspect.signature(value)
    taken = [p.name for p in signature.parameters.values() if NUMBER.search(str(p.annotation))]
    needs = [k for k in taken if not SAYS_UNIT.search(k) and k not in ARGUMENTS]
    given = NUMBER.search(str(signature.return_annotation)) is not None
    return (
        [f"{name}: {', '.join(needs) or 'what it gives'}"]
        if (needs or given) and not UNIT.search(said)
        else []
    )


def without_shape(name: str, value: FunctionType, said: str) -> list[str]:
    """A table whose rows and columns, or an array whose axes, are named nowhere."""
    given = str(inspect.signature(value).return_annotation)
    if "DataFrame" in given and not ROWS.search(prose(own_doc(value))):
        return [f"{name}: rows or columns"]
    array = re.search(r"(ndarray|Array)(?!,? ['\"])", re.sub(r"\w+\[[^]]*['\"][^]]*\]", "", given))
    return [f"{name}: axes"] if array and not SHAPE.search(said) else []


def raised(value: Any, module: ModuleType, seen: set[Any]) -> set[str]:
    """The KineticsErrors that a function raises, itself or in the functions of its module that it calls."""
    if value in seen:
        return set()
    seen.add(value)
    found: set[str] = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(value)))):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and isinstance(node.exc.func, ast.Name)
        ):
            found.add(node.exc.func.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = getattr(module, node.func.id, None)
            if inspect.isfunction(called) and called.__module__ == module.__name__:
                found |= raised(called, module, seen)
    return {e for e in found if issubclass(getattr(kn.errors, e, ValueError), kn.KineticsError)}


def unsaid_errors(name: str, value: FunctionType, said: str) -> list[str]:
    module = importlib.import_module(value.__module__)
    return [f"{name}: {error}" for error in sorted(raised(value, module, set())) if error not in said]


def place(name: str) -> str:
    """file:line of a public name, or of the class of a member."""
    value = PUBLIC.get(name) or PUBLIC[name.rpartition(".")[0]]
    file = Path(inspect.getsourcefile(value) or "")
    return f"{file.relative_to(ROOT)}:{inspect.getsourcelines(value)[1]}"


def message(problems: list[str], remedy: str) -> str:
    """A line for each problem of a public name, `NAME` or `NAME: what`, with its place; and what to do."""
    return "\n".join([remedy, *(f"{place(problem.partition(':')[0])} {problem}" for problem in problems)])


def test_every_public_name_and_member_has_a_docstring() -> None:
    problems = undocumented()
    assert not problems, message(problems, "Write a docstring of two words or more:")


def test_every_public_name_has_an_example_and_every_member_is_used_in_one() -> None:
    problems = unshown()
    assert not problems, message(problems, "End the docstring with an example in >>> lines that uses it:")


def test_every_argument_is_explained() -> None:
    problems = [problem for f in functions() for problem in unexplained(*f)] + fields_unexplained()
    remedy = "Explain the argument in the docstring, or, if it means the same everywhere, in ARGUMENTS of "
    assert not problems, message(problems, f"{remedy}docs/generate/reference.py:")


def test_numbers_have_units_tables_have_columns_and_arrays_have_axes() -> None:
    problems = [problem for f in functions() for problem in (*without_unit(*f), *without_shape(*f))]
    remedy = (
        "Give in the docstring the unit of numbers, `[day]`, the columns of a table or the axes of an array:"
    )
    assert not problems, message(problems, remedy)


def test_every_error_that_a_function_raises_is_in_its_docstring() -> None:
    made = [(n, f, whole(c)) for n, c in CLASSES.items() if (f := vars(c).get("__post_init__"))]
    problems = [problem for f in (*functions(), *made) for problem in unsaid_errors(*f)]
    assert not problems, message(problems, "Say in the docstring when the error is raised:")


def poor(times, model: str, ratio: float) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Says nothing."""
    if ratio < 0:
        raise kn_input_error()
    return times


def kn_input_error() -> Exception:
    raise InputError(kn.Problem("no", "yes"))


InputError = kn.errors.InputError


def test_a_poor_docstring_is_found() -> None:
    said = own_doc(poor)
    assert unexplained("f", poor, said) == ["f: times", "f: model", "f: ratio"]
    assert without_unit("f", poor, said) == ["f: ratio"]
    assert without_shape("f", poor, said) == ["f: axes"]
    assert unsaid_errors("f", poor, said) == ["f: InputError"]
    better = "`times` [day] and the `ratio` of the `model`; (draw, time). InputError below 0."
    laws = (unexplained, without_unit, without_shape, unsaid_errors)
    assert [law("f", poor, better) for law in laws] == [[], [], [], []]


def examples() -> dict[str, tuple[str, int]]:
    """Name -> docstring with an example, and the line where its object begins."""
    found = {}
    for name, value in PUBLIC.items():
        own = {name: value} | (
            {f"{name}.{k}": f for k, f in members(value).items()} if inspect.isclass(value) else {}
        )
        for dotted, thing in own.items():
            if ">>> " in own_doc(thing):
                found[dotted] = (inspect.cleandoc(own_doc(thing)), inspect.getsourcelines(thing)[1])
    return found


EXAMPLES = examples()


@cache
def run_of(name: str) -> Fit:
    """What the examples find in runs/: fits whose posterior is written down, and one that is computed in
    seconds.
    """
    if name == "theophylline":
        return theophylline_fit()
    if name == "theophylline-combined":
        content = theophylline_fit().bound.plan.resolved() | {"name": name}
        return prior_fit(plan_of(content | {"observe": {"theophylline": {"likelihood": "combined"}}}))
    if name == "theophylline-laplace":
        observe = {"theophylline": {"likelihood": "additive"}}
        return kn.fit("one_compartment_oral", "theophylline", observe=observe, method="laplace", seed=1)
    if name == "ogasawara_2021__synthetic_cart_12":
        return cart_fit()
    return prior_fit(read_plan(name), draws=4)


def run_example(text: str, name: str, line: int, where: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What doctest says of an example in a folder of its own; "" where it gives what it shows."""
    load, said = kn.load_fit, []
    runs = ("theophylline", "ogasawara", "nkg2d")
    monkeypatch.setattr(
        kn, "load_fit", lambda f: run_of(str(f)[5:]) if str(f)[5:].startswith(runs) else load(f)
    )
    monkeypatch.chdir(where)
    namespace = {"kn": kn, "np": np, "pd": pd}
    test = doctest.DocTestParser().get_doctest(text, namespace, name, name, line)
    with pd.option_context("display.width", 110):
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_gives_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = run_example(EXAMPLES[name][0], name, EXAMPLES[name][1], tmp_path, monkeypatch)
    assert not complaint, complaint


def test_an_example_that_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Got:\n    2" in run_example("A sum.\n\n>>> 1 + 1\n3\n", "sum", 1, tmp_path, monkeypatch)
    assert "ModelError" in run_example('>>> m = kn.load_model("nobody")\n', "m", 1, tmp_path, monkeypatch)


def test_few_lines_of_examples_are_left_out_and_only_where_hours_would_be_sampled() -> None:
    count = {name: doc.count("doctest: +SKIP") for name, (doc, _) in EXAMPLES.items()}
    skipped = {name: n for name, n in count.items() if n}
    changed = sorted(
        name for name, n in (skipped | SKIPPED).items() if skipped.get(name) != SKIPPED.get(name)
    )
    remedy = "Run the line, or, if it samples for minutes, count it in SKIPPED of this file:"
    assert not changed, message(changed, remedy)


def unlisted() -> dict[str, list[str]]:
    """Module -> public functions and classes that it defines, or as a package gathers, outside its
    `__all__`.
    """
    found = {}
    for info in pkgutil.walk_packages(kn.__path__, "kinetics."):
        if info.name.rpartition(".")[2].startswith("_") or info.name.startswith(
            "kinetics.cli"
        ):  # its functions are commands
            continue
        module = importlib.import_module(info.name)
        things = {k: v for k, v in vars(module).items() if inspect.isfunction(v) or inspect.isclass(v)}
        own = {k for k, v in things.items() if v.__module__ == info.name}
        if names := {k for k in own if not k.startswith("_")} - set(module.__all__):
            found[info.name] = sorted(names)
    return found


def test_what_a_module_defines_without_an_underscore_is_in_its_all() -> None:
    """tests/house/test_faces.py holds `kinetics.__all__` itself, and that every name listed exists."""
    problems = [
        f"{module.replace('.', '/')}: {', '.join(names)}: list it in __all__, or begin its name with _"
        for module, names in unlisted().items()
    ]
    assert not problems, "\n".join(problems)
