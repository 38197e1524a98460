"""How the package is built: layers whose imports point backwards only, nothing vague, no circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

import kinetics
from tests.support.source_tree import file_tree, imports, sources

ROOT = Path(__file__).parents[2]

# The way data flows. Each layer but the ground is a folder of kinetics/; the ground is the modules that lie
# beside them. A module imports from the layers before its own, through their faces, and freely inside its
# own.
LAYERS = (
    "ground",
    "study",
    "lab_sheet",
    "regimen",
    "model",
    "sbml",
    "solve",
    "assay",
    "population",
    "plan",
    "inference",
    "prediction",
    "checks",
    "exposures",
    "escalation",
    "protocol",
    "outcomes",
    "decision",
    "formats",
    "plot",
    "pages",
    "submission",
    "explore",
    "batch",
    "cli",
)
WITHOUT_JAX = (
    "study",
    "lab_sheet",
    "escalation",
    "protocol",
    "outcomes",
)  # what a clinic's machine reads quickly
VAGUE = {"utils", "helpers", "common", "base", "core", "misc"}


def layer_of(module: str, modules: Mapping[str, Path]) -> str:
    """The layer of a module of the package: the folder it lies in, or the ground."""
    top = ".".join(module.split(".")[:2])
    is_folder = top in modules and modules[top].name == "__init__.py"
    return top.partition(".")[2] if is_folder and top != "kinetics.library" else "ground"


def layer_problems(root: Path) -> list[str]:
    """Imports inside `root`/kinetics that point forwards or go past a face, as sentences."""
    modules = sources(root)
    problems = []
    for module, file in modules.items():
        if module == "kinetics":
            continue
        layer = layer_of(module, modules)
        if layer not in LAYERS:
            problems.append(f"{module}: give {layer} a place in LAYERS of tests/house/test_layers.py")
            continue
        for line, name in imports(module, file, modules):
            where = f"{file.relative_to(root)}:{line}"
            if name == "kinetics":
                problems.append(f"{where} imports the package root: import from a layer")
            if not name.startswith("kinetics."):
                continue
            imported = layer_of(name, modules)
            if imported == layer:
                continue
            if imported not in LAYERS or LAYERS.index(imported) > LAYERS.index(layer):
                problems.append(f"{where} imports {name}, which comes after {layer}")
            elif imported != "ground" and name != f"kinetics.{imported}":
                problems.append(f"{where} imports {name}: import from the face, kinetics.{imported}")
    return list(dict.fromkeys(problems))


def foreign_problems(root: Path) -> list[str]:
    """Imports of diffrax outside solve, of jax where there is to be none, and of content as if it were a
    package.
    """
    modules = sources(root)
    content = [*root.glob("models/*.py"), *root.glob("notebooks/*.py"), *root.glob("data/*/*.py")]
    tests = list(root.glob("tests/**/*.py"))
    problems = []
    for file in [*modules.values(), *content, *tests]:
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        layer = module.split(".")[1] if module.startswith("kinetics.") else ""
        for line, name in imports(module, file, {}):
            where = f"{file.relative_to(root)}:{line}"
            top = name.partition(".")[0]
            if top == "diffrax" and layer != "solve" and file not in tests:
                problems.append(f"{where} imports diffrax: only kinetics/solve does")
            if top == "jax" and layer in WITHOUT_JAX:
                problems.append(f"{where} imports jax: {layer} does without")
            if top in {"models", "data", "fits"}:
                problems.append(f"{where} imports {top}, which is content: load it by name or path")
    return list(dict.fromkeys(problems))


def cycle(root: Path) -> list[str]:
    """The modules of one import cycle, or nothing. Faces load lazily and are left out."""
    modules = sources(root)
    graph = {
        module: {name for _, name in imports(module, file, modules) if name in modules and name != module}
        for module, file in modules.items()
        if file.name != "__init__.py"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def form_problems(root: Path) -> list[str]:
    """Vague names, modules without `__all__`, modules that a public function of their package is named
    after.
    """
    problems = []
    for file in sources(root).values():
        name = file.relative_to(root)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if file.stem in VAGUE:
            problems.append(f"{name}: name it by the noun it holds")
        if not any(_assigns_all(node) for node in tree.body):
            problems.append(f"{name} has no __all__: list in it what is public")
    for stub in sorted((root / "kinetics").rglob("__init__.pyi")):
        package = stub.parent
        names = [
            alias.name
            for node in ast.parse(stub.read_text(encoding="utf-8")).body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        ]
        for name in names:
            modules_below = [package.glob(f"{name}.py")]
            if package.name != "kinetics":  # the folders of the root are layers with faces of their own
                modules_below.append(package.glob(f"*/{name}.py"))
            if any(chain(*modules_below)) or (package / name).is_dir():
                problems.append(
                    f"{stub.relative_to(root)}: {name} is both a module and a name, and one hides the other: "
                    "rename the module"
                )
    return problems


def stub_problems(root: Path) -> list[str]:
    """Names of a layer's stub that lie elsewhere, and names that neither users nor other layers take."""
    problems = []
    modules = sources(root)
    taken = _taken_from_faces(root)
    for face in sorted((root / "kinetics").glob("*/__init__.py")):
        stub = face.with_suffix(".pyi")
        if not stub.exists():
            continue
        shown = _names_of_all(face)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            place = f"{stub.relative_to(root)}:{node.lineno}"
            if not isinstance(node, ast.ImportFrom):
                problems.append(f"{place} holds more than imports: from .module import name as name")
                continue
            module = f"kinetics.{face.parent.name}.{node.module}"
            if node.level != 1 or module not in modules:
                problems.append(f"{place} imports from no module of its own layer")
            for alias in node.names:
                if alias.asname != alias.name:
                    problems.append(f"{place} {alias.name}: write {alias.name} as {alias.name}")
                if alias.name not in shown and (face.parent.name, alias.name) not in taken:
                    problems.append(
                        f"{place} {alias.name} is not in __all__, and no other layer uses it: delete it"
                    )
    return problems


def _taken_from_faces(root: Path) -> set[tuple[str, str]]:
    """(layer, name) of everything that modules of the package import from a layer's face."""
    return {
        (node.module.partition(".")[2], alias.name)
        for file in sources(root).values()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kinetics.")
        for alias in node.names
    }


def _names_of_all(file: Path) -> set[str]:
    """The names in the `__all__` of a module."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _assigns_all(node) and node.value is not None:
            return set(ast.literal_eval(node.value))
    return set()


def _assigns_all(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def test_imports_point_backwards_only_and_through_faces():
    problems = layer_problems(ROOT)
    assert not problems, "\n".join(problems)


def test_every_layer_is_a_folder_and_every_folder_a_layer():
    folders = {folder.name for folder in (ROOT / "kinetics").iterdir() if any(folder.glob("**/*.py"))}
    odd = sorted((folders - {"library"}) ^ (set(LAYERS) - {"ground"}))
    assert not odd, f"make these both a folder of kinetics/ and one of LAYERS, or neither: {', '.join(odd)}"


def test_the_root_shows_the_layers_in_their_order():
    shown = [name for name in kinetics.__all__ if name in LAYERS]
    order = [layer for layer in LAYERS if layer not in ("ground", "cli")]
    assert shown == order, f"list the layers in __all__ of kinetics/__init__.py in this order: {order}"


def test_only_solve_imports_diffrax_and_nothing_imports_content():
    problems = foreign_problems(ROOT)
    assert not problems, "\n".join(problems)


def test_no_modules_import_each_other_in_a_circle():
    modules = cycle(ROOT)
    assert not modules, f"these import each other in a circle; move what two share: {' -> '.join(modules)}"


def test_modules_are_named_by_nouns_and_say_what_is_public():
    problems = [*form_problems(ROOT), *stub_problems(ROOT)]
    assert not problems, "\n".join(problems)


def names_of_the_stub(layer: str) -> set[str]:
    """Every name that the face of a layer exports, for users or for the other layers."""
    stub = (ROOT / "kinetics" / layer / "__init__.pyi").read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


@pytest.mark.parametrize("layer", WITHOUT_JAX)
def test_a_layer_without_jax_loads_none(layer):
    program = (
        "import importlib, sys\n"
        f"layer = importlib.import_module('kinetics.{layer}')\n"
        f"[getattr(layer, name) for name in {sorted(names_of_the_stub(layer))}]\n"
        "assert 'jax' not in sys.modules, 'jax is loaded'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    remedy = f"kinetics.{layer} is to load no jax: import it inside the function that needs it, or elsewhere"
    assert done.returncode == 0, f"{remedy}\n{done.stderr}"


TREE = {
    "kinetics/__init__.py": "",
    "kinetics/errors.py": "",
    "kinetics/model/__init__.py": "",
    "kinetics/model/model.py": "",
    "kinetics/solve/__init__.py": "",
    "kinetics/solve/lanes.py": "",
    "kinetics/inference/__init__.py": "",
    "kinetics/inference/fitting.py": "",
    "kinetics/pages/__init__.py": "",
}


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("solve/lanes", "from kinetics.inference import fit", "comes after solve"),
        ("solve/lanes", "def f():\n    import kinetics.pages", "comes after solve"),
        ("solve/lanes", "import_module('kinetics.pages')", "comes after solve"),
        ("solve/lanes", "from .. import pages", "comes after solve"),
        ("solve/lanes", "from kinetics import pages", "comes after solve"),
        ("solve/lanes", "from ..inference.fitting import fit", "comes after solve"),
        ("errors", "from kinetics.model import Model", "comes after ground"),
        ("solve/lanes", "from kinetics.model.model import Model", "import from the face"),
        ("solve/lanes", "from kinetics import Model", "imports the package root"),
        ("solve/lanes", "import kinetics as kn", "imports the package root"),
        ("cellar/__init__", "", "give cellar a place"),
    ],
)
def test_an_import_that_points_forwards_is_found(tmp_path, module, text, complaint):
    tree = file_tree(tmp_path, {**TREE, f"kinetics/{module}.py": text})
    problems = layer_problems(tree)
    assert len(problems) == 1
    assert complaint in problems[0]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("inference/fitting", "from kinetics.model import Model"),
        ("solve/lanes", "from kinetics.solve.sparse import Pattern"),
        ("solve/lanes", "from kinetics.errors import Problem"),
        ("pages/__init__", "import jax\nfrom kinetics import inference"),
    ],
)
def test_an_import_that_points_backwards_is_let_be(tmp_path, module, text):
    assert layer_problems(file_tree(tmp_path, {**TREE, f"kinetics/{module}.py": text})) == []


def test_a_circle_is_found(tmp_path):
    files = {
        "kinetics/study/cells.py": "import kinetics.study.reading",
        "kinetics/study/reading.py": "import kinetics.study.cells",
    }
    assert set(cycle(file_tree(tmp_path, files))) == {"kinetics.study.cells", "kinetics.study.reading"}


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("kinetics/model/model.py", "import diffrax", "only kinetics/solve"),
        ("kinetics/study/cells.py", "import jax.numpy as jnp", "study does without"),
        ("models/mine.py", "from diffrax import Tsit5", "only kinetics/solve"),
        ("tests/test_model.py", "import models.stein_2019", "which is content"),
        ("notebooks/first.py", "from data import theophylline", "which is content"),
    ],
)
def test_a_foreign_import_is_found(tmp_path, file, text, complaint):
    problems = foreign_problems(
        file_tree(tmp_path, {file: text, "kinetics/solve/reference.py": "import diffrax"})
    )
    assert len(problems) == 1
    assert complaint in problems[0]


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("kinetics/utils.py", "__all__ = []", "by the noun"),
        ("kinetics/solve/lanes.py", "x = 1", "no __all__"),
    ],
)
def test_a_file_out_of_form_is_found(tmp_path, file, text, complaint):
    problems = form_problems(file_tree(tmp_path, {file: text}))
    assert len(problems) == 1
    assert complaint in problems[0]


def test_a_module_named_as_a_public_function_is_found(tmp_path):
    files = {
        "kinetics/checks/__init__.pyi": "from .loo import loo as loo",
        "kinetics/checks/loo.py": "__all__ = []",
    }
    (problem,) = form_problems(file_tree(tmp_path, files))
    assert problem.startswith("kinetics/checks/__init__.pyi: loo is both a module and a name")


FACE = {
    "kinetics/model/__init__.py": "__all__ = ['Model']",
    "kinetics/model/__init__.pyi": "from .model import Model as Model, link as link",
    "kinetics/model/model.py": "__all__ = []",
    "kinetics/plan/binding.py": "from kinetics.model import link",
}


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        (
            "model/__init__.pyi",
            "from kinetics.study import Study as Study",
            "from no module of its own layer",
        ),
        ("model/__init__.pyi", "from .priors import Model as Model", "from no module of its own layer"),
        ("model/__init__.pyi", "from .model import Model", "write Model as Model"),
        ("model/__init__.pyi", "Model: type", "holds more than imports"),
        ("plan/binding.py", "x = 1", "link is not in __all__, and no other layer uses it"),
    ],
)
def test_a_stub_out_of_form_is_found(tmp_path, file, text, complaint):
    tree = file_tree(tmp_path, FACE)
    assert stub_problems(tree) == []
    problems = stub_problems(file_tree(tree, {f"kinetics/{file}": text}))
    assert complaint in problems[0]
    assert problems[0].startswith("kinetics/model/__init__.pyi:1 ")
