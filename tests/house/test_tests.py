"""The tests mirror the package: a folder for each layer, and what several tests share in tests/support."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.source_tree import file_tree, imports

ROOT = Path(__file__).parents[2]

# Folders of tests/ that are no layer of the package.
BESIDE_THE_LAYERS = {
    "ground",
    "support",
    "published",
    "laws",
    "house",
    "wheel",
    "cluster",
    "bench",
    "strangers",
    "fuzz",
    "faults",
}


def imported_tests(root: Path) -> list[str]:
    """Imports of a test module by a module of tests/, bench/ or docs/, as sentences."""
    files = [file for folder in ("tests", "bench", "docs") for file in sorted((root / folder).rglob("*.py"))]
    modules = {".".join(file.relative_to(root).with_suffix("").parts): file for file in files}
    problems = []
    for module, file in modules.items():
        for line, name in imports(module, file, modules):
            if any(part.startswith("test_") for part in name.split(".")):
                place = f"{file.relative_to(root)}:{line}"
                problems.append(f"{place} imports {name}: what several tests share lies in tests/support")
    return list(dict.fromkeys(problems))


def folder_problems(root: Path) -> list[str]:
    """Folders of tests/ that are neither a layer of the package nor one of the others, and tests that lie in
    no folder of tests/, as sentences.
    """
    layers = {file.parent.name for file in (root / "kinetics").glob("*/__init__.py")} - {"library"}
    folders = {file.relative_to(root / "tests").parts[0] for file in (root / "tests").glob("*/**/*.py")}
    odd = sorted(folders - layers - BESIDE_THE_LAYERS)
    problems = [
        f"tests/{name} is no layer of kinetics: name the folder after the layer tried" for name in odd
    ]
    loose = [*(root / "tests").glob("test_*.py"), *root.glob("test_*.py")]
    for folder in ("kinetics", "bench", "docs", "models", "notebooks"):
        loose += (root / folder).rglob("test_*.py")
    for file in sorted(loose):
        place = file.relative_to(root)
        problems.append(
            f"{place} lies in no folder of tests/: move it to tests/LAYER, the layer that it tries"
        )
    return problems


def test_no_test_is_imported():
    problems = imported_tests(ROOT)
    assert not problems, "\n".join(problems)


def test_every_test_lies_in_the_folder_of_a_layer_or_in_one_of_the_others():
    problems = folder_problems(ROOT)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tests/plot/test_vpc.py", "from tests.checks.test_loo import level_fit"),
        ("tests/plot/test_vpc.py", "from ..checks import test_loo"),
        ("tests/support/fits.py", "def f():\n    import tests.checks.test_loo"),
        ("bench/explorer.py", "from tests.checks import test_loo as loo"),
        ("docs/generate/gallery.py", "from tests.checks.test_loo import level_fit"),
    ],
)
def test_a_test_that_is_imported_is_found(tmp_path, file, text):
    tree = file_tree(tmp_path, {"tests/checks/test_loo.py": "from tests.support.fits import x", file: text})
    (problem,) = imported_tests(tree)
    assert problem.startswith(f"{file}:")
    assert "imports tests.checks.test_loo" in problem


def test_a_folder_that_mirrors_no_layer_is_found(tmp_path):
    files = {"kinetics/solve/__init__.py": "", "tests/solve/test_x.py": "", "tests/house/test_x.py": ""}
    assert folder_problems(file_tree(tmp_path, files)) == []
    file_tree(tmp_path, {"tests/cellar/inner/test_x.py": ""})
    (problem,) = folder_problems(tmp_path)
    assert problem.startswith("tests/cellar is no layer of kinetics")


@pytest.mark.parametrize("file", ["tests/test_solve.py", "test_solve.py", "kinetics/solve/test_solve.py"])
def test_a_test_outside_the_folders_is_found(tmp_path, file):
    (problem,) = folder_problems(file_tree(tmp_path, {"kinetics/solve/__init__.py": "", file: ""}))
    assert problem.startswith(f"{file} lies in no folder of tests/")
