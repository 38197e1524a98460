"""What the root of the package and its layers export: all that is public, and nothing that is hidden."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import kinetics
from tests.support.source_tree import file_tree

ROOT = Path(__file__).parents[2]


def faces() -> list[ModuleType]:
    """The package root and its layers."""
    folders = sorted(file.parent.name for file in (ROOT / "kinetics").glob("*/__init__.py"))
    return [kinetics, *(importlib.import_module(f"kinetics.{name}") for name in folders if name != "library")]


def exported(package: ModuleType) -> set[str]:
    """The names that the stub of a package exports: what an editor completes."""
    stub = Path(str(package.__file__)).with_suffix(".pyi")
    if not stub.exists():
        return set()
    nodes = [
        node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)
    ]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


@pytest.mark.parametrize("package", faces(), ids=lambda package: package.__name__)
def test_a_face_gives_what_it_lists_and_its_stub_lists_what_it_gives(package):
    face = f"kinetics/{package.__name__.partition('.')[2]}/__init__".replace("//", "/")
    missing = sorted(name for name in {*package.__all__, *exported(package)} if not hasattr(package, name))
    assert not missing, f"{face}.py and .pyi list what no module has: {', '.join(missing)}"
    unsaid = sorted(set(package.__all__) - exported(package))
    assert not unsaid, f"{face}.pyi does not say in which module these of __all__ are: {', '.join(unsaid)}"


def submodules() -> list[str]:
    """The package's public modules, by dotted name."""
    names = (info.name for info in pkgutil.walk_packages(kinetics.__path__, "kinetics."))
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def namesakes(packages: list[ModuleType]) -> list[str]:
    """Names that the stubs of two packages give to two different things, as sentences; layers aside."""
    problems = []
    first: dict[str, ModuleType] = {}
    for package in packages:
        for name in sorted(exported(package)):
            if isinstance(getattr(package, name), ModuleType):
                continue
            other = first.setdefault(name, package)
            if getattr(other, name) is not getattr(package, name):
                problems.append(f"{name} is one thing in {other.__name__} and another in {package.__name__}")
    return problems


def test_no_two_layers_give_one_name_to_two_things():
    problems = namesakes(faces())
    assert not problems, "\n".join(["Rename one of each pair to a noun of its own:", *problems])


def test_a_name_of_two_things_is_found(tmp_path):
    layers = []
    for layer, value in (("outcomes", "os"), ("protocol", "response")):
        stub = file_tree(tmp_path, {f"{layer}/__init__.pyi": "from .x import Endpoint as Endpoint"})
        package = ModuleType(layer)
        package.__file__ = str(stub / layer / "__init__.py")
        package.Endpoint = value
        layers.append(package)
    assert namesakes(layers) == ["Endpoint is one thing in outcomes and another in protocol"]
    layers[1].Endpoint = layers[0].Endpoint
    assert namesakes(layers) == []


def test_all_names_exactly_what_is_public():
    def public(name: str) -> bool:
        value = getattr(kinetics, name)
        is_own_module = isinstance(value, ModuleType) and value.__name__.startswith("kinetics.")
        return not name.startswith("_") and (name in kinetics.__all__ or not is_own_module)

    odd = sorted(set(kinetics.__all__) ^ {name for name in dir(kinetics) if public(name)})
    assert not odd, f"in __all__ of kinetics/__init__.py and not there, or the reverse: {', '.join(odd)}"


def test_no_public_name_is_hidden_by_the_module_of_that_name():
    before = {name: getattr(kinetics, name) for name in kinetics.__all__}
    for name in submodules():
        importlib.import_module(name)
    hidden = [name for name, value in before.items() if getattr(kinetics, name) is not value]
    assert not hidden, f"a module of the same name hides these; rename the module: {', '.join(hidden)}"


def test_every_name_in_a_modules_all_exists():
    modules = [importlib.import_module(name) for name in submodules()]
    missing = [
        f"{module.__name__}.__all__ lists {name}, which is not there"
        for module in modules
        for name in module.__all__
        if not hasattr(module, name)
    ]
    assert not missing, "\n".join(missing)


def test_a_name_that_is_not_at_the_root_is_told_with_its_place():
    with pytest.raises(AttributeError, match=r"it is kinetics\.outcomes\.kaplan_meier"):
        _ = kinetics.kaplan_meier
    with pytest.raises(AttributeError, match=r"did you mean kinetics\.read_study\?"):
        _ = kinetics.read_stduy
    with pytest.raises(AttributeError, match=r"kinetics\.study has no 'nca'; it is kinetics\.nca"):
        _ = kinetics.study.nca


def test_the_root_has_the_version_that_is_installed():
    assert kinetics.__version__ == version("cellkinetics")
    assert not hasattr(kinetics, "__versoin__")


def test_the_roots_help_begins_with_a_guide_to_its_functions():
    words = set(re.findall(r"\w+", str(kinetics.__doc__)))
    functions = {name for name in kinetics.__all__ if inspect.isfunction(getattr(kinetics, name))}
    assert functions - words == {"compose", "prefixed"}  # what builds a model has its page


def test_completion_lists_what_is_for_users():
    assert dir(kinetics.study) == ["Study", "read_study", "validate_study"]
    assert "Pattern" not in dir(kinetics.solve)


def test_the_root_loads_neither_jax_nor_pandas():
    program = "import sys, kinetics; print(sorted({'jax', 'pandas'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
