"""pyproject.toml declares what is imported and nothing else, and extras are imported late."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.source_tree import file_tree

ROOT = Path(__file__).parents[2]

ENGINES = {  # declared and never imported: distribution -> who loads it
    "jupyterlab": "whoever opens notebooks/*.ipynb",
    "jupytext": "Jupyter, by notebooks/jupytext.toml",
    "h5netcdf": "xarray, by the name of the engine that posterior.nc is written and read with",
    "h5py": "h5netcdf, which does not require it",
}
# Distribution -> what is imported, where that is not its name.
IMPORT_NAMES = {"python_docx": "docx", "python_libsbml": "libsbml", "pyyaml": "yaml"}
# Extra -> the sub-package that is imported only where the extra is installed.
PACKAGES_OF_EXTRAS = {"explore": "kinetics.explore"}


def dotted_imports(file: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether it waits for a call) of every absolute import, by `import_module` too."""
    for node, waits in _with_waiting(ast.parse(file.read_text(encoding="utf-8")), False):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
        for name in names:
            yield node.lineno, name, waits


def _with_waiting(node: ast.AST, waits: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below `node`, and whether it lies inside a function."""
    for child in ast.iter_child_nodes(node):
        yield child, waits
        yield from _with_waiting(child, waits or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def distributions(requirements: list[str]) -> set[str]:
    """The import names of requirements: `arviz_stats` of `arviz-stats[xarray]>=0.8`."""
    written = [re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0] for requirement in requirements]
    names = [name.lower().replace("-", "_") for name in written]
    return {IMPORT_NAMES.get(name, name) for name in names}


@dataclass(frozen=True)
class Declared:
    """The import names that pyproject.toml declares: always installed, by extra, and for the build."""

    runtime: set[str]
    extras: dict[str, set[str]]
    build: set[str]


def declared_in(pyproject: Path) -> Declared:
    """What a pyproject.toml declares; of an extra only what is not installed without it."""
    content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    runtime = distributions(content["project"]["dependencies"])
    optional = content["project"].get("optional-dependencies", {})
    extras = {extra: distributions(requirements) - runtime for extra, requirements in optional.items()}
    return Declared(runtime, extras, distributions(content["build-system"]["requires"]))


def import_problem(module: str, dotted: str, waits: bool, declared: Declared) -> str:
    """What is wrong with one import of `module`, or "".

    A package of an extra is imported inside a function, or anywhere in the extra's own sub-package.
    """
    for extra, package in PACKAGES_OF_EXTRAS.items():
        if f"{dotted}.".startswith(f"{package}.") and not module.startswith(package) and not waits:
            return f"which needs the extra {extra}: import it inside a function"
    name = dotted.partition(".")[0]
    if name == "kinetics" or name in sys.stdlib_module_names or name in declared.runtime:
        return ""
    if name in declared.build and module.endswith("._wheel"):
        return ""
    extras = [extra for extra, names in declared.extras.items() if name in names]
    if not extras:
        return "which pyproject.toml does not declare"
    packages = tuple(PACKAGES_OF_EXTRAS[extra] for extra in extras if extra in PACKAGES_OF_EXTRAS)
    if waits or module.startswith(packages):
        return ""
    return f"of the extra {extras[0]}: import it inside the function that needs it"


def dependency_problems(root: Path) -> list[str]:
    """Undeclared imports, imports of an extra at the top of a module, declarations that nothing imports."""
    declared = declared_in(root / "pyproject.toml")
    content = [*root.glob("models/**/*.py"), *root.glob("fits/**/*.py"), *root.glob("notebooks/*.py")]
    problems = []
    imported = set()
    for file in [*sorted((root / "kinetics").rglob("*.py")), *content]:
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        for line, dotted, waits in dotted_imports(file):
            imported.add(dotted.partition(".")[0])
            problem = import_problem(module, dotted, waits, declared)
            if problem:
                problems.append(f"{file.relative_to(root)}:{line} imports {dotted}, {problem}")
    for name in sorted(declared.runtime.union(*declared.extras.values()) - imported - set(ENGINES)):
        problems.append(f"pyproject.toml declares {name}, which nothing imports")
    return problems


def test_pyproject_declares_what_is_imported_and_nothing_else():
    problems = dependency_problems(ROOT)
    assert not problems, "\n".join(problems)


PYPROJECT = """
[build-system]
requires = ["hatchling>=1"]
[project]
dependencies = ["h5py", "arviz-stats[xarray]>=0.8"]
[project.optional-dependencies]
cuda = ["arviz-stats[gpu]"]
excel = ["openpyxl>=3.1"]
explore = ["shiny"]
"""
DECLARED = {  # a tree in which everything declared is imported, and in time
    "pyproject.toml": PYPROJECT,
    "kinetics/checks/loo.py": "from arviz_stats.base import psis",
    "kinetics/study/workbook.py": "def load():\n    return importlib.import_module('openpyxl').load_workbook",
    "kinetics/explore/app.py": "import shiny",
    "kinetics/cli/explore.py": "def page():\n    return import_module('kinetics.explore.app')",
    "kinetics/library/_wheel.py": "import hatchling",
}


STUDY = "kinetics/study/study.py"


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        (STUDY, "import requests", "study.py:1 imports requests, which pyproject.toml does not declare"),
        ("models/mine.py", "def f():\n    from seaborn import x", "mine.py:2 imports seaborn, which"),
        (STUDY, "import hatchling", "imports hatchling, which pyproject.toml does not declare"),
        (STUDY, "import openpyxl", "of the extra excel: import it inside"),
        (STUDY, "class A:\n    from shiny import ui", "of the extra explore: import it inside"),
        (STUDY, "from kinetics.explore import app", "kinetics.explore, which needs the extra explore"),
        ("kinetics/checks/loo.py", "x = 1", "declares arviz_stats, which nothing imports"),
        ("kinetics/study/workbook.py", "x = 1", "declares openpyxl, which nothing imports"),
    ],
)
def test_an_import_and_a_declaration_that_differ_are_found(tmp_path, file, text, complaint):
    assert dependency_problems(file_tree(tmp_path, DECLARED)) == []
    problems = dependency_problems(file_tree(tmp_path, {file: text}))
    assert len(problems) == 1
    assert complaint in problems[0]
