"""The form of the package's code: one assignment a line, few tables laid out by hand, problems that are
returned, arguments that are named, and lines that fit.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MOST_TABLES = 40  # fewer `# fmt: skip` than this in the package
MOST_POSITIONAL = 5  # arguments of a call without their names
LONGEST_LINE = 110  # characters, in comments and docstrings too
# Calls of any number of positional arguments: all of them play one part, or are handed on, or have no names.
FREE_CALLS = {"print", "min", "max", "zip", "map", "chain", "product", "union", "guard", "Progress"}
FREE_MODULES = {"np", "numpy", "jnp", "jax", "lax"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
WAYS_TO_FILL = {"problems.append", "problems.extend", "problems.insert"}


def package_files() -> list[Path]:
    return sorted((ROOT / "kinetics").rglob("*.py"))


def packed_assignments(text: str) -> list[int]:
    """Lines that assign several values to several names side by side, `a, b = x, y`.

    A swap is let be, and so is every assignment in which a value reads what an earlier target held before.
    """
    lines = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
            continue
        targets = node.targets[0]
        if not isinstance(targets, ast.Tuple | ast.List) or len(targets.elts) != len(node.value.elts):
            continue
        if any(isinstance(part, ast.Starred) for part in [*targets.elts, *node.value.elts]):
            continue
        if not _reads_an_earlier_target(targets.elts, node.value.elts):
            lines.append(node.lineno)
    return sorted(lines)


def _reads_an_earlier_target(targets: list[ast.expr], values: list[ast.expr]) -> bool:
    for i, target in enumerate(targets):
        names = _stored(target)
        for value in values[i + 1 :]:
            parts = {ast.unparse(part) for part in ast.walk(value) if isinstance(part, ast.expr)}
            if names & parts:
                return True
    return False


def _stored(target: ast.expr) -> set[str]:
    """What an assignment to `target` changes, as written: a name, an attribute, or the object of an item."""
    if isinstance(target, ast.Tuple | ast.List):
        return set().union(*(_stored(part) for part in target.elts))
    if isinstance(target, ast.Subscript):
        return {ast.unparse(target.value)}
    return {ast.unparse(target)}


def skipped_lines(text: str) -> list[int]:
    """Lines whose layout is kept by a comment `# fmt: skip`."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    return [token.start[0] for token in comments if re.search(r"#\s*fmt:\s*skip", token.string)]


def skipped_code(text: str) -> list[int]:
    """Lines of `# fmt: skip` that do not end a literal table."""
    tables = {
        node.end_lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return | ast.Expr)
        and node.value is not None
        and _is_table(node.value)
    }
    return [line for line in skipped_lines(text) if line not in tables]


def _is_table(node: ast.expr) -> bool:
    """Whether a value is a container of literals, or one call on such containers, as `np.array([[1, 2]])`."""
    if isinstance(node, ast.Call):
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        return any(map(_is_table, arguments)) and all(map(_is_literal, arguments))
    return isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set) and _is_literal(node)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def filled_problems(text: str) -> list[int]:
    """Lines of functions that add to a parameter named `problems` instead of returning what they find."""
    return sorted(
        node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, FUNCTIONS) and _fills(node)
    )


def _fills(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    if "problems" not in names:
        return False
    for node in ast.walk(function):
        if isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "problems":
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in WAYS_TO_FILL:
            return True
    return False


def unnamed_arguments(text: str) -> list[int]:
    """Lines of calls with more than five positional arguments, but for FREE_CALLS and numpy's and jax's."""
    return sorted(
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and sum(not isinstance(argument, ast.Starred) for argument in node.args) > MOST_POSITIONAL
        and not _is_free(node.func)
    )


def _is_free(function: ast.expr) -> bool:
    name = ast.unparse(function)
    return name.rpartition(".")[2] in FREE_CALLS or name.partition(".")[0] in FREE_MODULES


def long_lines(text: str) -> list[int]:
    """Lines of more than 110 characters, a remark to the type checker aside."""
    lines = [line.partition("  # pyright: ")[0] for line in text.splitlines()]
    return [number for number, line in enumerate(lines, start=1) if len(line) > LONGEST_LINE]


def places(check: Callable[[str], list[int]]) -> Iterator[str]:
    """file:line of everything that a check finds in the package."""
    for file in package_files():
        for line in check(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(ROOT)}:{line}"


def test_no_two_assignments_share_a_line():
    assert list(places(packed_assignments)) == []


def test_the_formatter_lays_out_all_but_a_few_literal_tables():
    assert list(places(skipped_code)) == []
    assert len(list(places(skipped_lines))) < MOST_TABLES


def test_problems_are_returned_and_no_list_is_handed_in_to_be_filled():
    assert list(places(filled_problems)) == []


def test_arguments_beyond_the_fifth_are_named():
    assert list(places(unnamed_arguments)) == []


def test_lines_fit_their_length():
    assert list(places(long_lines)) == []


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (packed_assignments, "a, b = x, y"),
        (packed_assignments, "(a, b), c = pair, 1"),
        (packed_assignments, "self.a, self.b = 1, 2"),
        (packed_assignments, "a, b = b, x"),
        (skipped_lines, "x = f(1,2)  # fmt: skip"),
        (skipped_code, "x = f(1,2)  # fmt: skip"),
        (skipped_code, "def f(\n    x\n) -> int:  # fmt: skip\n    return 1"),
        (skipped_code, "x = [y, 2]  # fmt: skip"),
        (filled_problems, "def f(x, problems):\n    problems.append(x)"),
        (filled_problems, "def f(x, *, problems):\n    for y in x:\n        problems += [y]"),
        (filled_problems, "def f(problems):\n    add = problems.extend\n    add([1])"),
        (unnamed_arguments, "f(1, 2, 3, 4, 5, 6)"),
        (unnamed_arguments, "a.f(1, 2, 3, 4, 5, 6, x=7)"),
        (long_lines, "#" * 111),
    ],
)
def test_code_out_of_form_is_found(check, wrong):
    first, *_ = check(f"x = 1\n{wrong}\n")
    assert first >= 2


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (packed_assignments, "a, b = b, a"),
        (packed_assignments, "a, b = b, a + b"),
        (packed_assignments, "x[0], x[1] = x[1], x[0]"),
        (packed_assignments, "self.a, self.b = 1, self.a"),
        (packed_assignments, "a, b = pair\na, *b = x, y, z\nc = 1, 2\nfor a, b in x: pass"),
        (skipped_lines, "x = '# fmt: skip'"),
        (skipped_code, "x = {\n  'a': -1, 'b': (2, 3),\n}  # fmt: skip"),
        (skipped_code, "X: list = np.array([[1,2],\n  [3,4]])  # fmt: skip"),
        (filled_problems, "def f(x):\n    problems = []\n    problems.append(x)\n    return problems"),
        (filled_problems, "def f(problems):\n    return [p for p in problems if p]"),
        (unnamed_arguments, "f(1, 2, 3, 4, 5, x=6)"),
        (unnamed_arguments, "print(1, 2, 3, 4, 5, 6)\nnp.where(1, 2, 3, 4, 5, 6)\nf(*x, 1, 2)"),
        (long_lines, "#" * 110),
    ],
)
def test_code_in_form_is_let_be(check, right):
    assert check(f"x = 1\n{right}\n") == []
