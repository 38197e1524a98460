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
    missing = [name for name in {*package.__all__, *exported(package)} if not hasattr(package, name)]
    assert missing == []
    assert set(package.__all__) <= exported(package)


def submodules() -> list[str]:
    """The package's public modules, by dotted name."""
    names = (info.name for info in pkgutil.walk_packages(kinetics.__path__, "kinetics."))
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def test_all_names_exactly_what_is_public():
    def public(name: str) -> bool:
        value = getattr(kinetics, name)
        is_own_module = isinstance(value, ModuleType) and value.__name__.startswith("kinetics.")
        return not name.startswith("_") and (name in kinetics.__all__ or not is_own_module)

    assert sorted(kinetics.__all__) == sorted(name for name in dir(kinetics) if public(name))


def test_no_public_name_is_hidden_by_the_module_of_that_name():
    before = {name: getattr(kinetics, name) for name in kinetics.__all__}
    for name in submodules():
        importlib.import_module(name)
    hidden = [name for name, value in before.items() if getattr(kinetics, name) is not value]
    assert hidden == []


def test_every_name_in_a_modules_all_exists():
    modules = [importlib.import_module(name) for name in submodules()]
    missing = [(m.__name__, name) for m in modules for name in m.__all__ if not hasattr(m, name)]
    assert missing == []


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
