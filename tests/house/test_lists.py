"""What is added to the package is in the lists that users and other tests read: faces, `--rule`, footers.

CONTRIBUTING.md says under "Adding content" what a new plot and a new dose rule ask for.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source_tree import file_tree

ROOT = Path(__file__).parents[2]

# What gives a figure its title, its warning labels and its footer; the second is for figures of no study.
FOOTERS = {"finish", "dress"}
# Dose rules that nobody names: what `asked_patient_by_patient` makes of another rule.
NOT_NAMED = {"WholeCohorts"}


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8")) if file.exists() else ast.Module([], [])


def listed(face: Path) -> set[str]:
    """The names in `__all__` of a face that its stub has too."""
    shown: set[str] = set()
    for node in tree_of(face / "__init__.py").body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            shown = set(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    nodes = [node for node in tree_of(face / "__init__.pyi").body if isinstance(node, ast.ImportFrom)]
    return shown & {alias.asname or alias.name for node in nodes for alias in node.names}


def modules_of(face: Path) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(face.glob("[!_]*.py")):
        yield file, tree_of(file)


def names_in(node: ast.AST) -> set[str]:
    """Every name that a piece of code reads."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def hidden_plots(root: Path) -> list[str]:
    """Functions `plot_*` that the face of `plot` does not list, as sentences."""
    face = root / "kinetics" / "plot"
    return [
        f"{file.relative_to(root)}:{node.lineno} {node.name}: list it in both files of the face, "
        "kinetics/plot/__init__.py and __init__.pyi"
        for file, tree in modules_of(face)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("plot_")
        if node.name not in listed(face)
    ]


def bare_plots(root: Path) -> list[str]:
    """Functions `plot_*` that reach neither `finish` nor `dress`, by any chain of calls, as sentences."""
    face = root / "kinetics" / "plot"
    functions = {
        (file, node.name): node
        for file, tree in modules_of(face)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    elsewhere = {name: (file, name) for file, name in functions if not name.startswith("_")}

    def is_finished(key: tuple[Path, str], callers: frozenset[tuple[Path, str]]) -> bool:
        names = names_in(functions[key])
        if names & FOOTERS:
            return True
        called = {(key[0], name) if (key[0], name) in functions else elsewhere.get(name) for name in names}
        return any(c is not None and c not in callers and is_finished(c, callers | {c}) for c in called)

    return [
        f"{file.relative_to(root)}:{node.lineno} {name}: end with finish (or dress, for a figure of no "
        "study) of kinetics/plot/frame.py, which gives title, warning labels and footer"
        for (file, name), node in functions.items()
        if name.startswith("plot_") and not is_finished((file, name), frozenset({(file, name)}))
    ]


def rule_classes(root: Path) -> Iterator[tuple[str, str]]:
    """(file:line, name) of every class of `escalation` that decides on a history, itself or by its base."""
    bases_that_decide = set[str]()
    classes = [
        (file, node, {ast.unparse(base) for base in node.bases})
        for file, tree in modules_of(root / "kinetics" / "escalation")
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    ]
    for _, node, bases in classes:
        if "ABC" in bases and decides(node):
            bases_that_decide.add(node.name)
    for file, node, bases in classes:
        if bases & {"ABC", "Protocol"}:
            continue
        if decides(node) or bases & bases_that_decide:
            yield f"{file.relative_to(root)}:{node.lineno}", node.name


def decides(node: ast.ClassDef) -> bool:
    """Whether a class has a `decide` on a history."""
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "decide"]
    return any("history" in [a.arg for a in part.args.args] for part in functions)


def hidden_rules(root: Path) -> list[str]:
    """Dose rules that a face, `rule_of` or the tests of `escalation` leave out, as sentences."""
    face = root / "kinetics" / "escalation"
    chooser = tree_of(root / "kinetics" / "protocol" / "dose_rule.py")
    functions = [node for node in chooser.body if isinstance(node, ast.FunctionDef)]
    chosen = set().union(*(names_in(node) for node in functions if node.name != "assumed"))
    tried: set[str] = set()
    for file in (root / "tests" / "escalation").glob("test_*.py"):
        tried |= names_in(tree_of(file))
    problems = []
    for place, name in rule_classes(root):
        if name not in listed(face):
            problems.append(
                f"{place} {name}: list it in both files of the face, kinetics/escalation/__init__.py and "
                "__init__.pyi"
            )
        if name not in chosen | NOT_NAMED:
            problems.append(
                f"{place} {name}: give it a name in RULES and a case in rule_of, both in "
                "kinetics/protocol/dose_rule.py"
            )
        if name not in tried | NOT_NAMED:
            problems.append(
                f"{place} {name}: add it to RULES of tests/escalation/test_laws.py, and try its paper's "
                "tables"
            )
    return problems


def unnamed_modules(root: Path) -> list[str]:
    """Modules that the docstring of their layer's face does not name, as sentences."""
    problems = []
    for face in sorted((root / "kinetics").glob("*/**/__init__.py")):
        text = ast.get_docstring(tree_of(face)) or ""
        modules = [
            file for file in face.parent.iterdir() if file.suffix == ".py" or (file / face.name).exists()
        ]
        for module in sorted(modules):
            if not module.name.startswith("_") and not re.search(rf"\b{module.stem}\b", text):
                place = f"{face.relative_to(root)}:1"
                problems.append(
                    f"{place} does not say what to open {module.stem} for: name it in the docstring"
                )
    return problems


def test_every_plot_is_listed():
    problems = hidden_plots(ROOT)
    assert not problems, "\n".join(problems)


def test_every_plot_has_title_labels_and_footer():
    problems = bare_plots(ROOT)
    assert not problems, "\n".join(problems)


def test_every_dose_rule_is_listed_chosen_by_name_and_tried():
    assert len(list(rule_classes(ROOT))) > 8
    problems = hidden_rules(ROOT)
    assert not problems, "\n".join(problems)


def test_a_face_says_what_every_module_is_for():
    problems = unnamed_modules(ROOT)
    assert not problems, "\n".join(problems)


PLOTS = {
    "kinetics/plot/__init__.py": '"""Figures.\n\nwaterfall, organs, frame."""\n__all__ = ["plot_waterfall"]',
    "kinetics/plot/__init__.pyi": "from .waterfall import plot_waterfall as plot_waterfall",
    "kinetics/plot/waterfall.py": "def plot_waterfall(x):\n    _last(x)\n\n\ndef _last(x):\n    end_it(x)",
    "kinetics/plot/organs.py": "def end_it(x):\n    return finish(x)",
    "kinetics/plot/frame.py": "def finish(x):\n    return x",
}


def test_a_plot_that_is_hidden_or_bare_is_found(tmp_path):
    tree = file_tree(tmp_path, PLOTS)
    assert [*hidden_plots(tree), *bare_plots(tree), *unnamed_modules(tree)] == []
    text = "\n\ndef plot_spider(x):\n    _last(x)\n\n\ndef _last(x):\n    plot_spider(x)"
    file_tree(tmp_path, {"kinetics/plot/spider.py": text})
    (hidden,) = hidden_plots(tree)
    (bare,) = bare_plots(tree)
    (unnamed,) = unnamed_modules(tree)
    assert hidden.startswith("kinetics/plot/spider.py:3 plot_spider: list it")
    assert bare.startswith("kinetics/plot/spider.py:3 plot_spider: end with finish")
    assert "does not say what to open spider for" in unnamed


RULE_FILES = {
    "kinetics/escalation/__init__.py": '__all__ = ["Crm"]',
    "kinetics/escalation/__init__.pyi": "from .crm import Crm as Crm",
    "kinetics/escalation/crm.py": "class Crm:\n    def decide(self, history):\n        return history",
    "kinetics/protocol/dose_rule.py": "def rule_of(protocol):\n    return Crm()",
    "tests/escalation/test_laws.py": "RULES = [Crm()]",
}


def test_a_rule_that_decides_by_its_base_is_one_and_the_base_is_none(tmp_path):
    files = {
        "kinetics/escalation/crm.py": "class Rule(ABC):\n    def decide(self, history): ...",
        "kinetics/escalation/boin.py": "class Boin(Rule):\n    pass",
    }
    assert [name for _, name in rule_classes(file_tree(tmp_path, files))] == ["Boin"]


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("kinetics/escalation/__init__.py", "crm.py:1 Crm: list it in both files of the face"),
        ("kinetics/escalation/__init__.pyi", "crm.py:1 Crm: list it in both files of the face"),
        ("kinetics/protocol/dose_rule.py", "crm.py:1 Crm: give it a name in RULES"),
        ("tests/escalation/test_laws.py", "crm.py:1 Crm: add it to RULES of tests/escalation"),
    ],
)
def test_a_dose_rule_that_is_hidden_is_found(tmp_path, file, complaint):
    tree = file_tree(tmp_path, RULE_FILES)
    assert hidden_rules(tree) == []
    (tree / file).write_text("", encoding="utf-8")
    (problem,) = hidden_rules(tree)
    assert complaint in problem
