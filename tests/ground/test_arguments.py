"""What stands where a Study, a Fit, a Protocol, a Model or a regimen is wanted, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import Parameter, isfunction, signature
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kinetics as kn
from kinetics.arguments import require
from kinetics.errors import InputError, Problem

WANTED = r"\b(Study|Fit|Protocol|Model|FitPlan|Regimen)\b"
READS = r"\bstr \| Path\b"  # the rule holds for what reads a name or a path, too
ITS_OWN = {"decision", "explore"}  # layers whose functions are tried through the root alone


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function of the root and of the layers that begins with one of the classes, or reads it."""
    for name in kn.__all__:
        value = getattr(kn, name)
        if isfunction(value) and _begins(value, f"{WANTED}|{READS}"):
            yield f"kn.{name}", value
        if isinstance(value, ModuleType) and name not in ITS_OWN:
            for inner in value.__all__:
                function = getattr(value, inner)
                if isfunction(function) and inner not in kn.__all__ and _begins(function, WANTED):
                    yield f"kn.{name}.{inner}", function


def _begins(function: Callable[..., Any], pattern: str) -> bool:
    first = next(iter(signature(function).parameters.values()), None)
    return first is not None and re.search(pattern, str(first.annotation)) is not None


FUNCTIONS = dict(functions())


def refusal(function: Callable[..., Any], value: object) -> tuple[Problem, ...]:
    """The problems of a call whose first argument is `value`; whatever else it needs is an object."""
    first, *others = signature(function).parameters.values()
    needed = [parameter for parameter in others if parameter.default is Parameter.empty]
    positional = [object() for parameter in needed if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD]
    named = {parameter.name: {} for parameter in needed if parameter.kind is Parameter.KEYWORD_ONLY}
    with pytest.raises(InputError) as caught:
        function(value, *positional, **named)
    assert first.name in str(caught.value)[:40] or first.kind is Parameter.VAR_POSITIONAL
    return caught.value.problems


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_and_an_unknown_object_are_refused_with_what_is_wanted(name: str) -> None:
    first = next(iter(signature(FUNCTIONS[name]).parameters.values()))
    for value, shown in ((None, "None"), (object(), "an object")):
        problem = refusal(FUNCTIONS[name], value)[0]
        assert f"is {shown}, not a" in problem.what
        assert problem.remedy.startswith("give "), first


@pytest.mark.parametrize("value", ["runs/x", Path("runs/x")])
@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if not _begins(f, r"\bstr\b")])
def test_a_name_or_a_path_is_refused_with_the_line_that_reads_it(name: str, value: str | Path) -> None:
    problem = refusal(FUNCTIONS[name], value)[0]
    assert re.fullmatch(r"`[^`]+` is the (text|path) 'runs/x', not an? .*", problem.what)
    assert re.match(r"read it first: kn\.\w+\('runs/x'\)", problem.remedy)


def test_a_root_function_of_each_kind_is_among_those_tried() -> None:
    names = (
        "nca check exposure recommend next_dose validate_study lint loo vpc export report fit compare compose"
    )
    assert {f"kn.{name}" for name in names.split()} <= set(FUNCTIONS)


def test_all_arguments_are_refused_at_once() -> None:
    with pytest.raises(InputError) as caught:
        kn.recommend("trial", "trial")  # pyright: ignore[reportArgumentType]
    assert [problem.remedy for problem in caught.value.problems] == [
        "read it first: kn.read_study('trial')",
        "read it first: kn.read_protocol('trial')",
    ]


def test_the_second_argument_is_looked_at_too() -> None:
    protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    with pytest.raises(InputError, match=r"`study` is the text 'trial', not a Study; read it first"):
        kn.next_dose(protocol, "trial")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"`regimen` is the text 'r\.toml', not a Regimen; read it first"):
        kn.simulate("stein_2019", "r.toml")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"`protocol` is the text 'trial', not a Protocol"):
        kn.export(kn.read_study("theophylline"), "adtte", "out", protocol="trial")  # pyright: ignore


def test_a_study_is_not_read_twice() -> None:
    study = kn.read_study("theophylline")
    with pytest.raises(InputError, match=r"`source` is a Study, not a name or a path; .* read already"):
        kn.validate_study(study)  # pyright: ignore[reportArgumentType]


def test_a_fit_says_which_of_its_parts_is_wanted() -> None:
    class Fit:
        """A stand-in of that name."""

    with pytest.raises(InputError, match=r"a Fit holds it: give its `\.study`"):
        require(study=(Fit(), kn.Study))


def test_what_is_of_its_class_passes_and_none_does_where_it_may() -> None:
    require(
        name=("x", str | Path), study=(None, kn.Study | None), model=(kn.load_model("stein_2019"), kn.Model)
    )
