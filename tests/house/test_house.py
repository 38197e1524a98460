"""How the house is built: imports point backwards only, files stay small, nothing stray is tracked."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

# The rooms in the order a reader meets them. A module imports from the modules before it; inside the study
# room the order is free.
ROOMS: dict[str, tuple[str, ...]] = {
    "ground": ("errors", "units", "arrays", "files", "content", "toml", "printing", "streams", "library"),
    "study": (
        "dictionary",
        "tables",
        "parse",
        "subject_table",
        "dose_table",
        "observation_table",
        "record_table",
        "event_rows",
        "event_sidecar",
        "event_table",
        "adam_names",
        "adam_sidecar",
        "adam_table",
        "workbook",
        "parquet_table",
        "study_file",
        "validate",
        "fetch",
        "study",
    ),
    "regimen": ("dose_keys", "regimen", "regimen_file"),
    "model": ("distributions", "parameter", "model", "compose"),
    "solve": ("solve",),
    "observe": (
        "residual",
        "nucleated",
        "imaging",
        "observe",
        "correlated",
        "shrinkage",
        "conditional",
        "hierarchy",
    ),
    "fit": (
        "ahead",
        "plan_tables",
        "plan",
        "covariates",
        "plan_checks",
        "bind",
        "device",
        "posterior",
        "possible",
        "information",
        "newton",
        "modes",
        "laplace",
        "chart",
        "maximum",
        "identified",
        "estimation",
        "variational",
        "start",
        "sampler",
        "approximate",
        "run",
        "checkpoint",
        "fit",
    ),
    "check": (
        "diagnostics",
        "summary",
        "estimates",
        "check_approximation",
        "check",
        "patients",
        "predict",
        "replicates",
        "vpc",
        "predictive_check",
        "npde",
        "gof",
        "pointwise",
        "loo",
        "compare",
        "sensitivity",
        "subgroups",
        "simulate",
        "laws",
        "uniformity",
        "prior_study",
        "calibration",
        "sbc",
        "sampling_design",
    ),
    "exposure": ("area", "nca_rules", "nca", "curve", "exposure", "biodistribution", "tornado"),
    "dose": (
        "escalation",
        "protocol_tables",
        "protocol_points",
        "protocol",
        "protocol_history",
        "astct",
        "astct_table",
        "recist",
        "irecist",
        "lesion_table",
        "response",
        "strata",
        "exnex",
        "expansion",
        "expansion_characteristics",
        "follow_up",
        "tumour_size",
        "immune_response",
        "time_to_event",
        "kaplan_meier",
        "dose_exposure",
        "dose_proportionality",
        "exposure_response",
        "utility",
        "outcomes",
        "decision_models",
        "decision_words",
        "next_dose",
        "recommend",
        "virtual_trials",
        "simulated_trials",
    ),
    "formats": ("formats",),
    "show": (
        "plot",
        "page",
        "report_assessment",
        "report_biodistribution",
        "report_recommendation",
        "report",
        "new",
        "progress",
        "terminal",
        "explore",
        "cli_explore",
        "cli_export",
        "cli_exposure",
        "cli_fit",
        "cli_simulate",
        "cli_tornado",
        "cli_assess",
        "cli_sbc",
        "cli_design_sampling",
        "cli_design_trials",
        "cli_design",
        "cli_response",
        "cli_astct",
        "cli_recist",
        "cli_recommend",
        "cli_next",
        "cli_expansion",
        "batch",
        "cli_batch",
        "cli",
    ),
}
NCA = ("area", "nca_rules", "nca")  # validated alone: it stands on the study room
VAGUE = {"utils", "helpers", "common", "base", "core", "misc"}
LONGEST_FILE, LONGEST_FUNCTION, LARGEST_FILE = 400, 50, 1_000_000


def sources(root: Path) -> dict[str, Path]:
    """Every module of the package: dotted name -> file."""
    found = {}
    for file in sorted((root / "kinetics").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(module: str, file: Path, modules: Mapping[str, Path]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module imports, wherever in the file it does."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                inner = f"{source}.{name.name}"
                yield node.lineno, inner if inner in modules else source


def room_of(module: str) -> str:
    """The room's module that a dotted name belongs to: `plot` for `kinetics.plot.persistence`."""
    return module.split(".")[1] if "." in module else ""


def may_import(module: str, imported: str) -> bool:
    """Whether the ladder lets `module` import `imported` (both first names after `kinetics`)."""
    if module == imported or {module, imported} <= set(ROOMS["study"]):
        return True
    order = list(chain.from_iterable(ROOMS.values()))
    if module in NCA and imported not in (*ROOMS["ground"], *ROOMS["study"], *NCA):
        return False
    return order.index(imported) < order.index(module)


def ladder_problems(root: Path) -> list[str]:
    """Every import inside `root`/kinetics that does not point backwards, as sentences."""
    modules, known, problems = sources(root), set(chain.from_iterable(ROOMS.values())), []
    for module, file in modules.items():
        if module == "kinetics":
            continue
        if room_of(module) not in known:
            problems.append(f"{module}: give it a room in tests/house/test_house.py and CONTRIBUTING.md")
            continue
        for line, name in imports(module, file, modules):
            where = f"{file.relative_to(root)}:{line}"
            if name == "kinetics":
                problems.append(f"{where} imports the package root: import from the module that defines it")
            elif name.startswith("kinetics.") and room_of(name) not in known:
                problems.append(f"{where} imports {name}, which has no room")
            elif name.startswith("kinetics.") and not may_import(room_of(module), room_of(name)):
                problems.append(f"{where} imports {name}, which comes after {module} in the ladder")
    return list(dict.fromkeys(problems))


def foreign_problems(root: Path) -> list[str]:
    """Imports of diffrax outside the solve room, and of content as if it were a package."""
    modules, problems = sources(root), []
    content = [*root.glob("models/*.py"), *root.glob("notebooks/*.py"), *root.glob("data/*/*.py")]
    tests = [file for file in root.glob("tests/**/*.py")]
    for file in [*modules.values(), *content, *tests]:
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        for line, name in imports(module, file, {}):
            where, top = f"{file.relative_to(root)}:{line}", name.partition(".")[0]
            if top == "diffrax" and not module.startswith("kinetics.solve") and file not in tests:
                problems.append(f"{where} imports diffrax: only kinetics/solve does")
            if top in {"models", "data", "fits"}:
                problems.append(f"{where} imports {top}, which is content: load it by name or path")
    return list(dict.fromkeys(problems))


def cycle(root: Path) -> list[str]:
    """The modules of one import cycle, or nothing."""
    modules = sources(root)
    graph = {
        module: {name for _, name in imports(module, file, modules) if name in modules and name != module}
        for module, file in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def form_problems(root: Path) -> list[str]:
    """Files and functions that are too long, vague names, modules without `__all__`."""
    problems = []
    for file in [*sources(root).values(), *root.glob("models/*.py")]:
        name, text = file.relative_to(root), file.read_text(encoding="utf-8")
        tree, lines = ast.parse(text), len(text.splitlines())
        if lines > LONGEST_FILE:
            problems.append(f"{name} has {lines} lines, more than {LONGEST_FILE}")
        if file.stem in VAGUE:
            problems.append(f"{name}: name it by the noun it holds")
        if name.parts[0] == "kinetics" and not any(_assigns_all(node) for node in tree.body):
            problems.append(f"{name} has no __all__")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    problems.append(f"{name}:{node.lineno} {node.name} has {length} lines")
    return problems


def _assigns_all(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def git_files() -> list[Path]:
    """The files that git tracks, and those it would track if everything were added."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def written(root: Path, files: Mapping[str, str]) -> Path:
    """A small tree to try the checks on."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def test_imports_point_backwards_only():
    assert ladder_problems(ROOT) == []


def test_contributing_shows_this_ladder():
    shown = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert " ".join(f"{room} {', '.join(modules)}" for room, modules in ROOMS.items()) in shown


def test_only_solve_imports_diffrax_and_nothing_imports_content():
    assert foreign_problems(ROOT) == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycle(ROOT) == []


def test_files_and_functions_are_short_and_every_module_says_what_is_public():
    assert form_problems(ROOT) == []


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("solve", "from kinetics.fit import fit", "comes after kinetics.solve"),
        ("solve", "def f():\n    import kinetics.cli", "comes after kinetics.solve"),
        ("solve", "from . import report", "comes after kinetics.solve"),
        ("solve", "from kinetics import report", "comes after kinetics.solve"),
        ("solve", "from .plot.persistence import draw", "comes after kinetics.solve"),
        ("plot/persistence", "from ..cli import main", "comes after kinetics.plot.persistence"),
        ("nca", "from kinetics.model import Model", "comes after kinetics.nca"),
        ("solve", "from kinetics import Model", "imports the package root"),
        ("solve", "import kinetics as kn", "imports the package root"),
        ("cellar", "", "kinetics.cellar: give it a room"),
    ],
)
def test_an_import_that_points_forwards_is_found(tmp_path, module, text, complaint):
    files = {"cli": "", "fit": "", "report": "", "model": "", "plot/__init__": "", module: text}
    tree = written(tmp_path, {f"kinetics/{name}.py": body for name, body in files.items()})
    problems = ladder_problems(tree)
    assert len(problems) == 1
    assert complaint in problems[0]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("fit", "from kinetics.model import Model"),
        ("nca", "from kinetics.study import Study\nfrom kinetics.exposures.profile import rules"),
        ("tables", "from kinetics.study import Study"),
        ("plot/persistence", "from . import axes\nfrom kinetics import fit"),
        ("cli", "import jax\nfrom kinetics import report"),
    ],
)
def test_an_import_that_points_backwards_is_let_be(tmp_path, module, text):
    files = {"fit": "", "model": "", "report": "", "plot/__init__": "", "plot/axes": "", module: text}
    tree = written(tmp_path, {f"kinetics/{name}.py": body for name, body in files.items()})
    assert ladder_problems(tree) == []


def test_a_circle_is_found(tmp_path):
    files = {
        "kinetics/tables.py": "import kinetics.study",
        "kinetics/study.py": "import kinetics.study.raw_table",
    }
    assert set(cycle(written(tmp_path, files))) == {"kinetics.study.raw_table", "kinetics.study"}


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("kinetics/model.py", "import diffrax", "only kinetics/solve"),
        ("models/mine.py", "from diffrax import Tsit5", "only kinetics/solve"),
        ("tests/model/test_model.py", "import models.stein_2019", "which is content"),
        ("notebooks/first.py", "from data import theophylline", "which is content"),
    ],
)
def test_a_foreign_import_is_found(tmp_path, file, text, complaint):
    problems = foreign_problems(written(tmp_path, {file: text, "kinetics/solve.py": "import diffrax"}))
    assert len(problems) == 1
    assert complaint in problems[0]


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("kinetics/utils.py", "__all__ = []", "by the noun"),
        ("kinetics/solve.py", "x = 1", "no __all__"),
        ("models/mine.py", "x = 1\n" * (LONGEST_FILE + 1), "more than 400"),
        ("models/mine.py", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION, "f has 51 lines"),
    ],
)
def test_a_file_out_of_form_is_found(tmp_path, file, text, complaint):
    problems = form_problems(written(tmp_path, {file: text}))
    assert len(problems) == 1
    assert complaint in problems[0]


def submodules() -> list[str]:
    """The package's public modules, by dotted name."""
    import kinetics

    names = (info.name for info in pkgutil.walk_packages(kinetics.__path__, "kinetics."))
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def test_all_names_exactly_what_is_public():
    import kinetics

    def public(name: str) -> bool:
        value = getattr(kinetics, name)
        is_own_module = isinstance(value, ModuleType) and value.__name__.startswith("kinetics.")
        return not name.startswith("_") and (name in kinetics.__all__ or not is_own_module)

    assert sorted(kinetics.__all__) == sorted(name for name in dir(kinetics) if public(name))


def test_no_public_name_is_hidden_by_the_module_of_that_name():
    import kinetics

    before = {name: getattr(kinetics, name) for name in kinetics.__all__}
    for name in submodules():
        importlib.import_module(name)
    hidden = [name for name, value in before.items() if getattr(kinetics, name) is not value]
    assert hidden == []


def test_every_name_in_a_modules_all_exists():
    modules = [importlib.import_module(name) for name in submodules()]
    missing = [(m.__name__, name) for m in modules for name in m.__all__ if not hasattr(m, name)]
    assert missing == []


def test_no_tracked_file_names_a_package_registry():
    parts = (
        ("py" + "pi", "org"),
        ("python" + "hosted", "org"),
        ("npm" + "js", "org"),
        ("npm" + "js", "com"),
        ("deb", "debian"),
    )
    hosts = [".".join(pair) for pair in parts]  # in pieces, for this file is tracked too
    named = [
        f"{file.relative_to(ROOT)} names {host}"
        for file in git_files()
        for host in hosts
        if host.encode() in file.read_bytes()
    ]
    assert named == []


def test_no_tracked_file_is_large():
    large = {str(file.relative_to(ROOT)): file.stat().st_size for file in git_files()}
    assert {name: size for name, size in large.items() if size > LARGEST_FILE} == {}


def test_constraints_are_names_and_versions_only():
    assert not any(file.name == "uv.lock" for file in git_files())
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert "==" in line
        assert not any(word in line for word in ("http", "#", "--", "@"))
